"""What holds for every message of STU3: drawn as its profiles have it, as its element table allows, and as senders err."""

import json
from collections import Counter
from contextlib import suppress
from copy import deepcopy
from functools import cache

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_stubs.fhir_structure import model_faults
from service_stubs.problems import Fault
from tests.translators.accounting import missing
from tests.translators.drawing import (
    SUBJECT,
    Drawing,
    at,
    bodies,
    check_account,
    check_elements,
    check_told,
    strings,
)
from tests.translators.stu3_messages import (
    KINDS,
    PROFILE,
    TABLE,
    TIME,
    lenient,
    lone_resources,
    marked,
    message,
    messages,
    resource,
    right_value,
)
from translators.contract import Refused, Settings, Translation, Tree
from translators.fhir.conform import conform
from translators.fhir.elements import r4
from translators.fhir.json_codec import decode, encode
from translators.fhir.plan import from_stu3
from translators.made import settled
from translators.national_number import TEST_KINDS
from translators.source import Source
from translators.translate import express

R4 = r4()
SHARED = sorted(TABLE.resources & R4.resources)
TOLERANT = Settings(TEST_KINDS, (*SHARED, "(name withheld)"), received=TIME)
STRICT = Settings(TEST_KINDS, received=TIME)
LONGER = settings(suppress_health_check=list(HealthCheck))
MISSING = (".valueSignature.who", ".version[0].value", ".note[0].text")
"""What R4 demands and STU3 does not: who signed as a reference and no address, a version or comment beside its `_name`."""
RIGHT_MESSAGES = st.one_of(messages(), messages(), lone_resources())


def _translate(tree: Tree, how: Settings = TOLERANT) -> Translation:
    return express(tree, "vkp-stu3", "jft", how)


def _avoidable(result: Translation) -> list[str]:
    """Return the losses of a right message; what modifies an element cannot stand in the extension that R4 has for it."""
    split = [loss.path.partition(".modifierExtension") for loss in result.losses]
    modified = tuple(f"{before}." for before, found, _ in split if found)
    return [loss.path for loss in result.losses if not loss.path.startswith(modified)]


@LONGER
@given(lenient())
def test_any_message_is_translated_or_refused_with_a_reason_that_tells_nothing_of_a_person(tree: Tree) -> None:
    """Refusals, repairs, losses and derived elements are logged and answered; nothing else is ever raised."""
    for how in (STRICT, TOLERANT):
        result = _translate(tree, how)
        check_told(result)
        assert bool(result.calls) == (result.refusal is None and result.undelivered is None)
        assert result.refusal is None or (result.refusal.text and str(result.refusal))


@LONGER
@given(lenient())
def test_every_leaf_of_any_message_is_accounted_for(tree: Tree) -> None:
    """Carried, repaired and lost are all leaves; the call has those that go further, and what is listed as derived."""
    check_account(tree, _translate(tree))


@LONGER
@given(RIGHT_MESSAGES)
def test_nothing_of_a_right_message_stays_behind_but_its_envelope(tree: dict[str, Tree]) -> None:
    """What FHIR STU3 allows is never lost, and what is used up is no more than addressing and answering need."""
    result = _translate(tree)
    assert _avoidable(result) == []
    check_account(tree, result)


@LONGER
@given(lenient())
def test_a_message_translated_twice_gives_the_same_twice(tree: Tree) -> None:
    """Nothing is remembered from one message to the next, and nothing done to the message itself."""
    before = encode(tree)
    first = _translate(tree)
    assert encode(tree) == before
    second = _translate(deepcopy(tree))
    assert first.calls == second.calls
    assert (first.repairs, first.losses, first.derived) == (second.repairs, second.losses, second.derived)
    assert (first.coverage, str(first.refusal)) == (second.coverage, str(second.refusal))


@LONGER
@given(st.one_of(RIGHT_MESSAGES, lenient()))
def test_every_value_of_any_message_is_sent_or_told_of(tree: dict[str, Tree]) -> None:
    """In the call, or at a place that repairs, losses and addressing name: what is carried by the count alone is found."""
    result = _translate(tree)
    if result.calls:
        assert missing(tree, "vkp-stu3", result) == Counter()


@LONGER
@given(lenient())
def test_what_is_written_is_r4_and_needs_no_more_repair(tree: Tree) -> None:
    """Every key is an element of R4, and the call's body, sent as VKP R4, becomes the same body."""
    for body in bodies(_translate(tree)):
        check_elements(R4, body)
        again = express(body, "vkp-r4", "jft", STRICT)
        assert again.refusal is None
        assert (again.repairs, again.losses) == ((), ())
        assert bodies(again) == [body]


@pytest.mark.parametrize("kind", [kind for kind in SHARED if kind not in ("Bundle", "MessageHeader")])
@settings(max_examples=max(1, settings.default.max_examples // 25), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_type_that_r4_has_goes_through_without_a_loss(kind: str, data: st.DataObject) -> None:
    """A message with an observation of a known patient, and one resource of this type."""
    known: dict[str, Tree] = {"resourceType": "Observation", "subject": SUBJECT}
    drawing = marked()
    tree = message(data.draw, drawing, [known, resource(data.draw, drawing, kind)])
    result = _translate(tree)
    assert _avoidable(result) == []
    if result.refusal:
        assert result.refusal.path
    check_account(tree, result)


@cache
def _needed(kind: str) -> frozenset[str]:
    """Return the elements without which the models refuse a type."""
    try:
        fields = get_fhir_model_class("".join(part[0].upper() + part[1:] for part in kind.split("."))).model_fields
    except (KeyError, ValueError):
        return frozenset()
    extra = {name: field.json_schema_extra or {} for name, field in fields.items()}
    needed = {name for name, field in fields.items() if field.is_required() or extra[name].get("element_required")}
    return frozenset(fields[name].alias or name for name in needed)


def _is_ours(fault: Fault, converted: Tree) -> bool:
    """Whether a fault is not of the message itself: no value of a choice, a code that neither release has.

    The check has no place for what is said of a number, truth or time within an extension, for Meta there, nor for the null
    that fills a place of a list.
    """
    last = fault.path.rpartition(".")[2]
    is_choice = fault.message.startswith("Value error, Expect any of field value")
    is_of_models = last.startswith(("_value", "valueMeta")) and fault.message == "Extra inputs are not permitted"
    is_missing = fault.path.endswith(MISSING) and "required" in fault.message
    is_gap = fault.message == "must be a JSON str" and at(converted, fault.path) is None
    return not (is_choice or is_of_models or is_missing or is_gap or fault.message == "not a code of its value set")


@pytest.mark.parametrize("kind", [*KINDS, "DetectedIssue"])
@settings(max_examples=max(1, settings.default.max_examples // 10), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_right_resource_of_stu3_is_a_right_resource_of_r4(kind: str, data: st.DataObject) -> None:
    """Models of FHIR R4 that we did not write agree with the element tables and the plan between them."""
    drawing = Drawing(TABLE, KINDS, right_value, depth=4, strict=True, needed=_needed)
    tree = resource(data.draw, drawing, kind)
    # Refused is what has more values than R4 allows.
    with suppress(Refused):
        converted = conform(Source(tree, kind).root, from_stu3())
        settled(converted)
        faults = model_faults(json.loads(encode(converted)))
        assert [fault for fault in faults if _is_ours(fault, converted)] == []


def _decoded(tree: dict[str, Tree]) -> dict[str, Tree]:
    found = decode(encode(tree))
    assert isinstance(found, dict)
    return found


NOTE: Tree = {"url": f"{PROFILE}annotation-v06", "valueAnnotation": {"time": TIME, "text": "Alt vel"}}
CAMERA: Tree = {
    "id": "kept",
    "url": f"{PROFILE}encounterDevice-v06",
    "extension": [{"url": "display", "valueString": "Kamera 1"}],
}
MODE: Tree = {"code": "2", "extension": [{"url": "http://record.example/own", "valueString": "kept"}]}
ACTOR: Tree = {"reference": "urn:uuid:d", "identifier": {"system": "http://record.example/imei", "value": "kept"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"resourceType": "Encounter", "extension": [NOTE, CAMERA]},
        {"resourceType": "Encounter", "class": MODE, "classHistory": [{"class": {"code": "2"}}]},
        {"resourceType": "Flag", "extension": [{"url": f"{PROFILE}timestamp-v05", "_valueDateTime": {"id": "kept"}}]},
        {
            "resourceType": "Flag",
            "extension": [{"url": f"{PROFILE}timestamp-v05", "id": "kept", "valueDateTime": TIME}],
        },
        {"resourceType": "Observation", "related": [{"id": "kept"}]},
        {
            "resourceType": "MedicationDispense",
            "category": {"coding": [{"code": "2"}]},
            "performer": [{"actor": ACTOR}],
        },
    ],
    ids=[
        "device-beside-a-note",
        "mode-said-twice",
        "time-without-value",
        "time-with-id",
        "empty-part",
        "actor-elsewhere",
    ],
)
def test_what_stands_in_the_way_of_a_new_element_stays(fields: dict[str, Tree]) -> None:
    """An extension or part that says more than its new element can say is kept whole, and overwrites nothing."""
    resources = [{**fields, "subject": SUBJECT}, {"resourceType": "Device", "id": "d"}]
    entries = [{"fullUrl": f"urn:uuid:{index}", "resource": one} for index, one in enumerate(resources)]
    header = {"resourceType": "MessageHeader", "id": "h", "event": {"code": "x"}, "timestamp": TIME}
    tree: dict[str, Tree] = {"resourceType": "Bundle", "type": "message", "entry": [{"resource": header}, *entries]}
    tree = _decoded(tree)
    result = _translate(tree, STRICT)
    assert result.refusal is None
    check_account(tree, result)
    (body,) = bodies(result)
    check_elements(R4, body)
    assert {text for text in strings(tree) if text in ("kept", "Alt vel", "Kamera 1")} <= set(strings(body))


def test_what_a_header_says_beside_addressing_goes_along() -> None:
    """Its own extensions stay extensions, what it contains goes into the resource that stays, its time keeps its id."""
    own: Tree = {"url": "http://record.example/own", "valueString": "eget"}
    person: Tree = {"resourceType": "Practitioner", "id": "p"}
    header: dict[str, Tree] = {
        "resourceType": "MessageHeader",
        "id": "h",
        "event": {"code": "MedicationDispense"},
        "timestamp": TIME,
        "_timestamp": {"id": "t"},
        "extension": [own],
        "contained": [person],
        "author": {"reference": "#p"},
    }
    note: Tree = {"resourceType": "Composition", "subject": SUBJECT, "date": TIME}
    entries: list[Tree] = [
        {"resource": header},
        {"resource": note},
        {"resource": {"resourceType": "Device", "id": "d"}},
    ]
    (body,) = bodies(_translate({"resourceType": "Bundle", "type": "message", "entry": entries}, STRICT))
    check_elements(R4, body)
    assert (at(body, ".timestamp"), at(body, "._timestamp")) == (TIME, {"id": "t"})
    assert at(body, ".entry[0].resource.contained") == [person]
    assert at(body, ".entry[0].resource.extension") == [
        own,
        {"url": "urn:vkp-gateway:element:3.0:MessageHeader.author", "valueReference": {"reference": "#p"}},
    ]
