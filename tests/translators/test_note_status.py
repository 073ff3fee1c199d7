"""What a made note says of the status of what it is about: every code of R4 has words, or the message is refused by path."""

import json
import re
from html import unescape
from importlib import resources
from typing import Any

import pytest

from tests.each import each_of
from tests.translators.drawing import SUBJECT
from translators.contract import Reason, Refused, Settings, Translation
from translators.fhir import rules
from translators.fhir.json_codec import decode
from translators.fhir.rules import ENTERED_IN_ERROR
from translators.national_number import TEST_KINDS
from translators.note_status import statuses
from translators.translate import translate

TABLE = json.loads(resources.files("translators").joinpath("note_statuses.json").read_text(encoding="utf-8"))
CODES = [(path, code, words) for path, row in TABLE["statuses"].items() for code, words in row.items()]
ALONE = ("Encounter", "Communication", "DetectedIssue")
TIME = "2026-05-04T08:31:00Z"


def _sent(resource: dict[str, Any]) -> Translation:
    data = json.dumps(resource).encode()
    return translate(decode(data), "vkp-r4", "jft", Settings(TEST_KINDS, received=TIME))


def _texts(result: Translation) -> list[str]:
    """Return the texts of the note, section by section."""
    assert result.refusal is None
    (call,) = result.calls
    note = json.loads(call.body)["entry"][0]["resource"]
    divs = [section.get("text", {}).get("div", "") for section in note["section"]]
    return [unescape(re.sub("<[^>]+>", "\n", div)).strip() for div in divs]


def _alone(kind: str, status: str) -> dict[str, Any]:
    """Return a resource that becomes a note of ours, with what R4 demands of it."""
    fields: dict[str, Any] = {"resourceType": kind, "status": status}
    match kind:
        case "Encounter":
            fields |= {"class": {"code": "VR"}, "subject": SUBJECT, "period": {"start": TIME}}
        case "Communication":
            fields |= {"subject": SUBJECT, "sent": TIME, "payload": [{"contentString": "Alt vel."}]}
        case _:
            fields |= {"patient": SUBJECT, "identifiedDateTime": TIME, "code": {"text": "Fall"}}
    return fields


def test_every_code_of_an_element_that_has_words_has_them() -> None:
    """Codes as R4 has them; what was entered in error gets no note."""
    for path, row in TABLE["statuses"].items():
        codes = rules.r4().codes.get(path)
        if codes:
            assert set(row) == codes - {ENTERED_IN_ERROR}, path
        assert path in rules.r4().modifiers or _is_status(path), path
        assert path.split(".")[0] in TABLE["types"], path


def _is_status(path: str) -> bool:
    return path.partition(".")[2] in ("docStatus", "status")


def test_a_type_that_has_words_has_them_for_each_of_its_modifiers() -> None:
    """None is passed over because another one has words; a status that is no modifier says as well what did not happen."""
    every = rules.r4().modifiers | set(filter(_is_status, rules.r4().codes))
    for kind in TABLE["types"]:
        of_kind = {path for path in every if path.split(".")[0] == kind and path.count(".") == 1}
        assert of_kind == {path for path in TABLE["statuses"] if path.split(".")[0] == kind}, kind


@pytest.mark.parametrize(("path", "code", "words"), [row for row in CODES if row[0].split(".")[0] in ALONE])
def test_the_note_begins_with_a_status_that_is_not_the_ordinary_one(path: str, code: str, words: str) -> None:
    """A person reads it before the text that was written as if it had happened."""
    kind = path.split(".", maxsplit=1)[0]
    texts = _texts(_sent(_alone(kind, code)))
    if words:
        assert texts[0].startswith(TABLE["types"][kind])
        assert texts[0].endswith(f": {words}")
        assert "Fall" not in texts[1:]
    else:
        assert not any(TABLE["types"][kind] in text for text in texts)


@each_of(CODES)
def test_a_contained_resource_is_told_of_too(path: str, code: str, words: str) -> None:
    """Whatever kind it is: what a note is about may hang on it."""
    kind, _, name = path.partition(".")
    concept = {"coding": [{"code": code}]} if name in ("clinicalStatus", "verificationStatus") else code
    value: Any = {"true": True, "false": False, "*": TIME}.get(code, concept)
    inner = {"resourceType": kind, "id": "c", name: [{"type": code}] if path == "Patient.link" else value}
    outer: dict[str, Any] = {"resourceType": "Encounter", "status": "finished", "contained": [inner]}
    found = statuses(outer, None)
    assert found.own is None
    assert found.contained == ((f"{TABLE['types'][kind]}: {words}",) if words else ())


@pytest.mark.parametrize(
    ("inner", "path"),
    [
        ({"resourceType": "Task", "status": "failed"}, "status"),
        ({"resourceType": "List", "entry": [{"deleted": True}]}, "entry.deleted"),
        ({"resourceType": "Condition", "verificationStatus": {"text": "avkreftet?"}}, "verificationStatus"),
        ({"resourceType": "Observation", "_status": {"extension": []}}, "status"),
        (
            {"resourceType": "CarePlan", "activity": [{"detail": {"doNotPerform": True}}]},
            "activity.detail.doNotPerform",
        ),
    ],
)
def test_a_modifier_without_words_is_refused_by_path(inner: dict[str, Any], path: str) -> None:
    """Where nobody can say what it means, a person has to write the note."""
    with pytest.raises(Refused) as refusal:
        statuses({"resourceType": "Encounter", "contained": [inner]}, None)
    assert (refusal.value.reason, refusal.value.path) == (Reason.UNSUPPORTED, f"Encounter.contained[0].{path}")


def test_a_modifier_of_a_data_type_is_no_matter_of_the_note() -> None:
    """It stands with its value, and the note repeats neither."""
    patient: dict[str, Any] = {"resourceType": "Patient", "identifier": [{"use": "old", "value": "1"}]}
    weight: dict[str, Any] = {"resourceType": "Observation", "valueQuantity": {"comparator": "<"}}
    assert [statuses(one, None).own for one in (patient, weight)] == [None, None]


@pytest.mark.parametrize(
    ("status", "words"), [("final", None), ("cancelled", "Risikovurdering: avbrutt, uten resultat")]
)
def test_a_status_that_is_no_modifier_is_told(status: str, words: str | None) -> None:
    """What people wrote of it would read as if it had come to that."""
    assert statuses({"resourceType": "RiskAssessment", "status": status}, None).own == words


def test_a_status_that_is_no_modifier_and_has_no_words_is_refused_by_its_place() -> None:
    """As any other that says what a note of ours cannot."""
    with pytest.raises(Refused) as caught:
        statuses({"resourceType": "Slot", "status": "busy"}, None)
    assert caught.value.path == "Slot.status"
