"""What holds for every message: trees are drawn from the element tables, as they should be and as senders get them wrong."""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from translators.contract import Number, Settings, Translation, Tree
from translators.fhir.elements import ANY_RESOURCE, ELEMENT, NUMERIC, Element, r4
from translators.fhir.json_codec import decode, encode
from translators.information import information_of
from translators.national_number import TEST_KINDS
from translators.translate import translate

Draw = Callable[[st.SearchStrategy[Any]], Any]

TABLE = r4()
KINDS = (
    *("Bundle", "Composition", "DetectedIssue", "Device", "Encounter", "Flag", "MedicationDispense", "MessageHeader"),
    *("Observation", "Patient", "QuestionnaireResponse"),
)
TOLERANT = Settings(TEST_KINDS, (*sorted(TABLE.resources), "(name withheld)"))
STRICT = Settings(TEST_KINDS)
ELEVEN_DIGITS = re.compile(r"[0-9]{11}")
PERSON = "31714510382"

TEXTS = st.sampled_from(["x", "final", "2026-05-04T08:36:37.1678092+00:00", "Blåbær\u00a0 syltetøy", PERSON])
CODES = st.sampled_from(["1", "1.5", "3", "5.2.1", "5.2.2", "5.3.1", "5.3.2", "74465-6", "8867-4"])
CODED_KINDS = st.sampled_from(["DetectedIssue", "Flag", "Observation"])
NUMBERS = st.sampled_from(["0", "-0", "81.30", "1e2", "0.123456789012345678901234567890"]).map(Number)
SYSTEMS = st.sampled_from(
    ["http://loinc.org", "http://ehelse.no/fhir/CodeSystem/vkp-alert-code-v090", "http://record.example/lopenummer"]
)
BROKEN_VALUES: tuple[Tree, ...] = (
    *(None, "", "  ", [], {}, [None], [""], {"": ""}, True, "true", " 81.30 ", "12834010060", PERSON, "Device"),
    *(Number("12834010060"), {PERSON: PERSON}, {"id": PERSON}, {"id": ""}, [[{}]], {"resourceType": PERSON}),
)
BROKEN = st.sampled_from(BROKEN_VALUES).map(deepcopy)
WRONG_SYSTEMS = st.sampled_from(
    [
        " https://loinc.org ",
        "http://ehelse.no/fhir/ValueSet/vkp-alert-code-v090",
        "http://ehelse.no/fhir/identifiertypes/HERID",
    ]
)
NAMES = st.sampled_from(
    ["vendor", PERSON, "Kari Nordmann", "", "_status", "_given", "_author", "resourceType", "system", "code"]
)


def _plain(draw: Draw, element: Element, name: str) -> Tree:
    if element.type in NUMERIC:
        return draw(NUMBERS)
    if element.type == "boolean":
        return draw(st.booleans())
    return draw(SYSTEMS if name == "system" else TEXTS)


def _fields(draw: Draw, kind: str, depth: int) -> dict[str, Tree]:
    """Draw some of the elements of a type; deep down only primitives, so that it ends."""
    row = TABLE.types[kind]
    names = [name for name, element in row.items() if name[0] != "_" and (element.primitive or depth < 5)]
    names = [name for name in names if name != "resourceType" or kind not in TABLE.resources]
    fields: dict[str, Tree] = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True)):
        element = row[name]
        if element.primitive:
            fields |= _primitive(draw, element, name)
        elif element.repeats:
            fields[name] = [_object(draw, element.type, depth + 1) for _ in range(draw(st.integers(1, 2)))]
        else:
            fields[name] = _object(draw, element.type, depth + 1)
    return fields


def _primitive(draw: Draw, element: Element, name: str) -> dict[str, Tree]:
    """Draw a primitive, its sibling, or both; in two aligned lists null fills the place of the one that is missing."""
    if not element.repeats:
        drawn = draw(st.sampled_from(["value", "value", "sibling", "both"]))
        value = {name: _plain(draw, element, name)} if drawn != "sibling" else {}
        return value | ({f"_{name}": {"id": "s"}} if drawn != "value" else {})
    places = draw(st.lists(st.sampled_from(["value", "value", "sibling", "both"]), min_size=1, max_size=3))
    values = [_plain(draw, element, name) if place != "sibling" else None for place in places]
    siblings = [{"id": "s"} if place != "value" else None for place in places]
    halves: dict[str, Tree] = {name: values, f"_{name}": siblings}
    return {half: places for half, places in halves.items() if isinstance(places, list) and any(map(bool, places))}


def _object(draw: Draw, kind: str, depth: int) -> dict[str, Tree]:
    if kind == ANY_RESOURCE:
        kind = draw(st.sampled_from(KINDS))
    head: dict[str, Tree] = {"resourceType": kind} if kind in TABLE.resources else {}
    return head | _fields(draw, kind, depth)


@st.composite
def valid_messages(draw: Draw) -> dict[str, Tree]:
    """Draw a Bundle about one patient whose every value is what FHIR R4 allows."""
    subject: Tree = {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "12834010060"}}
    flag: dict[str, Tree] = {"resourceType": "Flag", "subject": subject}
    coding: Tree = {"system": draw(SYSTEMS), "code": draw(CODES)}
    coded: Tree = {"resourceType": draw(CODED_KINDS), "code": {"coding": [coding]}}
    given = _primitive(draw, TABLE.types["HumanName"]["given"], "given")
    named: Tree = {"resourceType": "Practitioner", "name": [given]}
    drawn = [_object(draw, ANY_RESOURCE, 2) for _ in range(draw(st.integers(0, 2)))]
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in [flag, coded, named, *drawn]]}


def _places(tree: Tree) -> list[tuple[Any, Any]]:
    """Return every place of a tree as its container and key."""
    if isinstance(tree, dict):
        return [place for name, value in tree.items() for place in [(tree, name), *_places(value)]]
    if isinstance(tree, list):
        return [place for index, value in enumerate(tree) for place in [(tree, index), *_places(value)]]
    return []


def _entries(message: dict[str, Tree]) -> list[Any]:
    entries = message["entry"]
    assert isinstance(entries, list)
    return entries[1:]


def _worsen(draw: Draw, container: Any, key: Any) -> None:
    """Do to one place what senders do."""
    value = container[key]
    done = draw(st.sampled_from(["broken", "blanks", "wrapped", "unwrapped", "added", "repeated", "other-form"]))
    if done == "broken":
        container[key] = draw(BROKEN)
    elif done == "blanks" and isinstance(value, str):
        container[key] = f" {value}\t"
    elif done == "wrapped":
        container[key] = [value]
    elif done == "unwrapped" and isinstance(value, list) and value:
        container[key] = value[0]
    elif done == "added" and isinstance(container, dict):
        container.setdefault(draw(NAMES), draw(BROKEN))
    elif done == "repeated" and isinstance(value, list):
        value.append(draw(BROKEN))
    elif key == "system":
        container[key] = draw(WRONG_SYSTEMS)
    elif done == "other-form":
        container[key] = value.text if isinstance(value, Number) else Number("1")


@st.composite
def lenient_messages(draw: Draw) -> Tree:
    """Draw a message that was right before one to six things were done to it, mostly inside its resources."""
    message = decode(encode(draw(valid_messages())))
    assert isinstance(message, dict)
    inside = draw(st.integers(0, 9)) > 0
    for _ in range(draw(st.integers(1, 6))):
        places = _places(message)
        if inside:
            places = [place for entry in _entries(message) for place in _places(entry["resource"])]
        container, key = draw(st.sampled_from(places))
        for _ in range(draw(st.integers(1, 2)) if not inside or key != "resourceType" else 0):
            _worsen(draw, container, key)
    return decode(encode(message))


def _leaf_count(tree: Tree) -> int:
    below = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return sum(map(_leaf_count, below)) or 1


def _translate(tree: Tree, how: Settings = TOLERANT) -> Translation:
    return translate(tree, "vkp-r4", "jft", how)


often = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@often
@given(valid_messages())
def test_a_right_message_is_carried_to_the_byte(message: dict[str, Tree]) -> None:
    """No repair, no loss, and the call's body has every value, digit and key in its place."""
    result = _translate(message, STRICT)
    assert result.refusal is None
    assert (result.repairs, result.losses) == ((), ())
    assert result.calls[0].body == encode(message)
    leaves = _leaf_count(message)
    assert (result.coverage.leaves, result.coverage.carried) == (leaves, leaves)


@often
@given(lenient_messages())
def test_every_leaf_of_any_message_is_accounted_for(message: Tree) -> None:
    """Refused with a reason, or carried + repaired + lost are all leaves; what was carried is in the call, what was lost is not."""
    result = _translate(message)
    coverage = result.coverage
    assert coverage.leaves in (0, _leaf_count(message))
    assert coverage.leaves == coverage.carried + coverage.repaired + coverage.lost
    assert coverage.lost == len(result.losses)
    assert (coverage.repaired == 0) or result.repairs
    assert bool(result.calls) == (result.refusal is None)
    if result.refusal:
        assert result.refusal.text
    for call in result.calls:
        assert coverage.carried <= _leaf_count(decode(call.body)) <= coverage.carried + coverage.repaired


@often
@given(lenient_messages())
def test_a_message_translated_twice_gives_the_same_twice(message: Tree) -> None:
    """Nothing is remembered from one message to the next, and nothing done to the message itself."""
    before = encode(message)
    first, second = _translate(message), _translate(message)
    assert encode(message) == before
    assert first.calls == second.calls
    assert (first.repairs, first.losses, first.coverage) == (second.repairs, second.losses, second.coverage)
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
    """Repairs, losses and refusals are logged and answered; no eleven digits of the message may be in them."""
    for how in (STRICT, TOLERANT):
        result = _translate(message, how)
        told = [repair.path for repair in result.repairs] + [f"{loss.path} {loss.element}" for loss in result.losses]
        if result.refusal:
            told += [str(result.refusal), result.refusal.text, str(result.refusal.path)]
        assert not ELEVEN_DIGITS.search(" ".join(told))


@often
@given(lenient_messages())
def test_no_element_is_written_that_the_release_does_not_have(message: Tree) -> None:
    """Every key of the call is an element of its type, repeating ones are arrays, the others are not."""

    def check(tree: Tree, kind: str) -> None:
        assert isinstance(tree, dict)
        assert tree
        kind = str(tree["resourceType"]) if kind == ANY_RESOURCE else kind
        for name, value in tree.items():
            element = TABLE.types[kind][name]
            assert isinstance(value, list) == element.repeats
            items = value if isinstance(value, list) else [value]
            assert [item for item in items if item is not None]
            if not element.primitive:
                for item in items:
                    if item is not None or element.type != ELEMENT:
                        check(item, element.type)

    for call in _translate(message).calls:
        check(decode(call.body), ANY_RESOURCE)
