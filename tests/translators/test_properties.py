"""What holds for every message: trees are drawn from the element tables, as they should be and as senders get them wrong."""

from collections import Counter
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.translators.accounting import missing
from tests.translators.drawing import (
    SUBJECT,
    SYSTEMS,
    Draw,
    Drawing,
    bodies,
    check_account,
    check_elements,
    check_told,
    leaf_count,
    places,
    worsen,
)
from translators.bindings import has_code
from translators.contract import Coverage, Settings, Translation, Tree
from translators.fhir.elements import ANY_RESOURCE, r4
from translators.fhir.json_codec import decode, encode
from translators.information import information_of
from translators.national_number import TEST_KINDS
from translators.terminology import ALERT, CATEGORY, CLASS, DISPENSE, EVENT, FLAG, MODE, REASON, SECTION, TYPE
from translators.translate import express

TABLE = r4()
KINDS = (
    *("Composition", "DetectedIssue", "Device", "Encounter", "MedicationDispense", "MessageHeader"),
    *("Observation", "Patient", "QuestionnaireResponse"),
)
RIGHT = Drawing(TABLE, KINDS)
OLDER = Drawing(TABLE, (*KINDS, "Flag"))
TOLERANT = Settings(TEST_KINDS, (*sorted(TABLE.resources), "(name withheld)"))
STRICT = Settings(TEST_KINDS)

CODES = st.sampled_from(["1", "1.5", "3", "5.2.1", "5.2.2", "5.3.1", "5.3.2", "74465-6", "8867-4"])
CODED_KINDS = st.sampled_from(["DetectedIssue", "Observation"])
SUPERSEDED = st.sampled_from(
    [
        ("MedicationDispense", "category", DISPENSE, "18"),
        ("MedicationDispense", "category", DISPENSE, "27"),
        ("MedicationDispense", "category", DISPENSE, "0"),
        ("Encounter", "reasonCode", REASON, "7"),
        ("DetectedIssue", "code", ALERT, "1.24"),
        ("DetectedIssue", "code", FLAG, "1.1"),
        ("Composition", "category", CLASS, "0"),
        ("Composition", "category", CLASS, "2"),
        ("Composition", "category", SECTION, "7"),
        ("Encounter", "type", TYPE, "3"),
    ]
)


def _concept(system: str, code: str) -> Tree:
    return {"coding": [{"system": system, "code": code}]}


ALERT_CODES = ("1", "1.5", "3", "5.2.1", "5.2.2", "5.3.1", "5.3.2")
BOUND: dict[str, dict[str, Tree]] = {
    "Composition": {"category": _concept(CATEGORY, "1"), "event.code": _concept(EVENT, "3")},
    "Encounter": {"participant.type": _concept(MODE, "2"), "reasonCode": _concept(REASON, "2")},
    "MedicationDispense": {"category": _concept(DISPENSE, "1")},
}
DEVICE = "urn:uuid:0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c11"


def _message(*resources: Tree) -> dict[str, Tree]:
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]}


@st.composite
def valid_messages(draw: Draw) -> dict[str, Tree]:
    """Draw a Bundle about one patient whose every value is what FHIR R4 and VKP's profiles of today allow."""
    known: Tree = {"resourceType": "DetectedIssue", "patient": SUBJECT}
    coding: dict[str, Tree] = {"system": draw(SYSTEMS), "code": draw(CODES)}
    coded: dict[str, Tree] = {"resourceType": draw(CODED_KINDS), "code": {"coding": [coding]}}
    given = RIGHT.primitive(draw, TABLE.types["HumanName"]["given"], "given")
    named: Tree = {"resourceType": "Practitioner", "name": [given]}
    message = _message(known, coded, named, *_drawn(draw, RIGHT))
    _set_codes(message)
    return message


def _set_codes(tree: Tree) -> None:
    """Give a drawn tree the codes that the profiles require, and no code that is in no table."""
    if isinstance(tree, list):
        for item in tree:
            _set_codes(item)
    if not isinstance(tree, dict):
        return
    for value in tree.values():
        _set_codes(value)
    if tree.get("system") == ALERT and "code" in tree and tree["code"] not in ALERT_CODES:
        tree["code"] = "4.1"
    kind = str(tree.get("resourceType"))
    if kind == "DetectedIssue" and "code" in tree and not has_code(tree["code"], ALERT):
        tree["code"] = _concept(ALERT, "4.1")
    if kind == "MedicationDispense":
        tree |= {"status": "completed", "category": {}, "performer": [{"actor": {"display": "x"}}]}
    for path, concept in BOUND.get(kind, {}).items():
        _put_concept(tree, path.split("."), concept)


def _put_concept(holder: dict[str, Tree], path: list[str], concept: Tree) -> None:
    name, *below = path
    value = holder.get(name)
    items = value if isinstance(value, list) else [value]
    if name in holder and not below:
        found = deepcopy(concept)
        holder[name] = [found] if isinstance(value, list) else found
    for item in items:
        if below and isinstance(item, dict):
            _put_concept(item, below, concept)


def _drawn(draw: Draw, how: Drawing) -> list[Tree]:
    return [how.object(draw, ANY_RESOURCE, 2) for _ in range(draw(st.integers(0, 2)))]


@st.composite
def older_messages(draw: Draw) -> dict[str, Tree]:
    """Draw a Bundle with what profiles before today's had: flags, superseded codes, devices that take part."""
    flag: dict[str, Tree] = {"resourceType": "Flag", "subject": SUBJECT, **OLDER.fields(draw, "Flag", 2)}
    kind, name, system, code = draw(SUPERSEDED)
    concept: Tree = {"coding": [{"system": system, "code": code}]}
    repeats = TABLE.types[kind][name].repeats
    coded = OLDER.object(draw, kind, 2)
    _set_codes(coded)
    coded |= {name: [concept] if repeats else concept}
    individual: dict[str, Tree] = {"reference": DEVICE, **draw(st.sampled_from([{}, {"type": "Device"}]))}
    encounter = {**OLDER.object(draw, "Encounter", 2), "participant": [{"individual": individual}]}
    _set_codes(encounter)
    chosen = [one for one in (flag, coded, encounter) if draw(st.booleans())]
    message = _message({"resourceType": "Flag", "subject": SUBJECT}, *chosen, *_drawn(draw, OLDER))
    device: Tree = {"fullUrl": DEVICE, "resource": {"resourceType": "Device"}}
    return {**message, "entry": [*_each(message["entry"]), device]}


def _each(value: Tree) -> list[Any]:
    assert isinstance(value, list)
    return value


@st.composite
def lenient_messages(draw: Draw) -> Tree:
    """Draw a message that was right, once or today, before up to six things were done to it, mostly inside its resources."""
    message = decode(encode(draw(st.one_of(valid_messages(), older_messages()))))
    assert isinstance(message, dict)
    inside = draw(st.integers(0, 9)) > 0
    for _ in range(draw(st.integers(0, 6))):
        found = places(message)
        if inside:
            found = [place for entry in _each(message["entry"])[1:] for place in places(entry["resource"])]
        container, key = draw(st.sampled_from(found))
        for _ in range(draw(st.integers(1, 2)) if not inside or key != "resourceType" else 0):
            worsen(draw, container, key)
    return decode(encode(message))


def _translate(tree: Tree, how: Settings = TOLERANT) -> Translation:
    return express(tree, "vkp-r4", "jft", how)


often = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@often
@given(valid_messages())
def test_a_right_message_is_carried_to_the_byte(message: dict[str, Tree]) -> None:
    """No repair, no loss, and the call's body has every value, digit and key in its place."""
    result = _translate(message, STRICT)
    assert result.refusal is None
    assert (result.repairs, result.losses, result.derived) == ((), (), ())
    assert result.calls[0].body == encode(message)
    leaves = leaf_count(message)
    assert result.coverage == Coverage(leaves=leaves, carried=leaves)


@often
@given(lenient_messages())
def test_every_leaf_of_any_message_is_accounted_for(message: Tree) -> None:
    """Refused with a reason, or carried + repaired + lost are all leaves, and the rest of the call is listed as derived."""
    result = _translate(message)
    check_account(message, result)
    assert bool(result.calls) == (result.refusal is None and result.undelivered is None)
    if result.refusal:
        assert result.refusal.text


@often
@given(lenient_messages())
def test_every_value_of_any_message_is_sent_or_told_of(message: Tree) -> None:
    """In the call, or at a place that repairs and losses name: what is carried by the count alone is found."""
    result = _translate(message)
    if result.calls:
        assert missing(message, "vkp-r4", result) == Counter()


@often
@given(lenient_messages())
def test_a_message_translated_twice_gives_the_same_twice(message: Tree) -> None:
    """Nothing is remembered from one message to the next, and nothing done to the message itself."""
    before = encode(message)
    first, second = _translate(message), _translate(message)
    assert encode(message) == before
    assert first.calls == second.calls
    assert (first.repairs, first.losses, first.derived) == (second.repairs, second.losses, second.derived)
    assert first.coverage == second.coverage
    assert str(first.refusal) == str(second.refusal)


@often
@given(lenient_messages())
def test_what_was_repaired_needs_no_repair(message: Tree) -> None:
    """The call's body, sent in again, becomes the same body: repairs leave nothing to repair, losses nothing to lose."""
    for call in _translate(message).calls:
        again = _translate(decode(call.body), STRICT)
        assert again.refusal is None
        assert (again.repairs, again.losses) == ((), ())
        assert again.calls == (call,)


@often
@given(lenient_messages())
def test_the_type_that_a_message_is_routed_by_is_the_type_that_is_sent(message: Tree) -> None:
    """Routing reads the message before repairs, the translator after them; they must not differ."""
    result = _translate(message)
    for call in result.calls:
        assert result.information == information_of(message) == information_of(decode(call.body))


@often
@given(lenient_messages())
def test_no_number_of_a_person_gets_into_a_text_or_path(message: Tree) -> None:
    """Repairs, losses, derived elements and refusals are logged and answered; no eleven digits of the message may be in them."""
    for how in (STRICT, TOLERANT):
        check_told(_translate(message, how))


@often
@given(lenient_messages())
def test_no_element_is_written_that_the_release_does_not_have(message: Tree) -> None:
    """Every key of the call is an element of its type, repeating ones are arrays, the others are not."""
    for body in bodies(_translate(message)):
        check_elements(TABLE, body)
