"""Whatever is wrong is told by its place in the message as its sender wrote it, wherever it went in between."""

import json
from typing import Any

import pytest

from tests.translators.drawing import SUBJECT
from translators.contract import Settings, Translation, Tree
from translators.fhir.elements import stu3
from translators.fhir.json_codec import decode
from translators.fhir.xml_codec import decode as decode_xml
from translators.fhir.xml_codec import encode
from translators.national_number import TEST_KINDS
from translators.placed import Sources, placed
from translators.translate import express, translate

RECEIVED = "2026-11-03T08:00:00.000+00:00"
SYSTEM = "http://ehelse.no/fhir/CodeSystem/vkp-"


def _translate(tree: Any, surface: str = "vkp-stu3") -> Translation:
    return translate(decode(json.dumps(tree).encode()), surface, "jft", Settings(TEST_KINDS, received=RECEIVED))


def _message(*resources: Any) -> dict[str, Any]:
    """Make a message of STU3."""
    header = {"resourceType": "MessageHeader", "event": {"code": "MedicationDispense"}, "timestamp": RECEIVED}
    return {"resourceType": "Bundle", "type": "message", "entry": [{"resource": one} for one in (header, *resources)]}


def _dispense(code: str, **changes: Any) -> dict[str, Any]:
    category = {"coding": [{"system": f"{SYSTEM}medicationdispense-events-v06", "code": code}]}
    actor = {"identifier": {"system": "https://dispenser.example/serial", "value": "E300-17"}}
    return {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "category": category,
        "medicationCodeableConcept": {"text": "Ukjent medisin"},
        "subject": SUBJECT,
        "performer": [{"actor": actor}],
        "whenHandedOver": "2026-11-03T08:00:00+01:00",
    } | changes


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"whenHandedOver": "03.11.2026"}, "Bundle.entry[1].resource.whenHandedOver"),
        ({"note": [{"text": "x", "time": "kl. 8"}]}, "Bundle.entry[1].resource.note[0].time"),
        ({"id": "a_b"}, "Bundle.entry[1].resource.id"),
        ({"identifier": [{"system": "relative", "value": "x"}]}, "Bundle.entry[1].resource.identifier[0].system"),
        ({"extension": [{"url": "a:b"}]}, "Bundle.entry[1].resource.extension[0]"),
        ({"dosageInstruction": [{"timing": {"event": ["kl. 8"]}}]}, "Bundle.entry[1].resource.dosageInstruction[0].timing.event[0]"),
        ({"quantity": {"value": 1, "code": "x"}}, "Bundle.entry[1].resource.quantity"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
@pytest.mark.parametrize("code", ["1", "2"], ids=["dispensed", "failed, so an alert"])
def test_a_fault_of_a_dispense_is_told_where_its_sender_finds_it(changes: dict[str, Any], path: str, code: str) -> None:
    """Also where the dispense became an alert, and its elements extensions of that."""
    refusal = _translate(_message(_dispense(code, **changes))).refusal
    assert refusal is not None
    assert refusal.text.startswith("not valid FHIR R4: ")
    assert refusal.path == path


def test_a_fault_is_told_by_the_name_that_its_element_has_in_stu3() -> None:
    """`reason` is called `reasonCode` in R4, and a single value a list."""
    reason = [{"coding": [{"system": "relative", "code": "x"}]}]
    encounter = {"resourceType": "Encounter", "status": "finished", "subject": SUBJECT, "reason": reason}
    refusal = _translate(encounter).refusal
    assert refusal is not None
    assert refusal.path == "Encounter.reason[0].coding[0].system"


def test_what_is_missing_is_told_by_the_object_that_lacks_it() -> None:
    """It has no place of its own."""
    composition: Tree = {"resourceType": "Composition", "subject": SUBJECT, "title": "x", "author": [{"display": "x"}]}
    refusal = _translate(composition, "vkp-r4").refusal
    assert refusal is not None
    assert str(refusal) == "not valid FHIR R4: Composition.status: is missing; Composition.type: is missing"


def test_a_fault_of_a_message_in_xml_is_told_likewise() -> None:
    """The same message in its other form."""
    data = encode(decode(json.dumps(_message(_dispense("2", whenHandedOver="kl. 8"))).encode()), stu3())
    tree, repairs = decode_xml(data, stu3())
    refusal = translate(tree, "vkp-stu3", "jft", Settings(TEST_KINDS), repairs).refusal
    assert refusal is not None
    assert refusal.path == "Bundle.entry[1].resource.whenHandedOver"


def test_a_name_that_is_none_is_withheld() -> None:
    """What stands where an element's name belongs may be anything, also a person's name."""
    traced = placed({"resourceType": "Patient", "Tuva Testfjell": "x"})
    assert Sources(traced).place_of(("Tuva Testfjell",)) == "Patient.(name withheld)"


def test_what_was_made_altogether_has_no_place_in_the_message() -> None:
    """It is told by where it was to stand."""
    assert Sources({"a": [{"b": "made"}]}).place_of(("a", 0, "b")) is None


def test_a_message_that_is_read_for_its_places_becomes_the_same() -> None:
    """To the byte, so that what is told is about what would have been sent."""
    message = decode(json.dumps(_message(_dispense("2"), _dispense("1"))).encode())
    how = Settings(TEST_KINDS, received=RECEIVED)
    plain = express(message, "vkp-stu3", "jft", how)
    assert plain.calls
    assert express(placed(message), "vkp-stu3", "jft", how).calls == plain.calls
