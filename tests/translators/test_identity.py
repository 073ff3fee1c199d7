"""Which messages are the same: the business id that a sender gave, and the digest of what the message says."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.translators.drawing import PATIENT, places
from tests.translators.stu3_messages import ANY, TABLE, header_of, lenient, messages
from translators.contract import Number, Reason, Refused, Tree
from translators.fhir import json_codec, xml_codec
from translators.identity import business_id, content_digest

OWN: Tree = {"system": "http://vendor.example/no", "value": "A-1"}
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
OTHER_TIME = "2019-01-01T00:00:00Z"
STU3 = Path(__file__).parents[2] / "gateway" / "cli" / "demo" / "messages" / "stu3"
FEWER = settings(max_examples=30, suppress_health_check=list(HealthCheck))
SCALARS: st.SearchStrategy[Tree] = st.one_of(
    st.sampled_from(["", "1", "1.0", "true", "null", "a", '"', ",", "[]", "{}"]),
    st.sampled_from([True, False, None]),
    st.sampled_from(["1", "1.0", "-0", "0"]).map(Number),
)
NAMES = st.sampled_from(["a", "b", "", '"', "æ"])
TREES: st.SearchStrategy[Tree] = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(NAMES, below, max_size=3)),
    max_leaves=6,
)


def _bundle(*resources: Tree, **own: Tree) -> dict[str, Tree]:
    return {"resourceType": "Bundle", **own, "entry": [{"resource": resource} for resource in resources]}


def _one(kind: str, **fields: Tree) -> dict[str, Tree]:
    return {"resourceType": kind, **fields}


def _known(kind: str, value: str = "A-1") -> dict[str, Tree]:
    return _one(kind, identifier=[{"system": "s", "value": value}])


# The business id.


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (_bundle(_known("Encounter"), id="b", identifier=OWN), "http://vendor.example/no|A-1"),
        (_bundle(_one("Flag"), _known("Encounter", "E"), _known("Composition", "C")), "s|E"),
        (_bundle(_known("MessageHeader", "H"), _known("Flag", "F")), "s|F"),
        (_bundle(_one("MessageHeader", id="m"), _one("Flag", id="f"), id="b"), "m"),
        (_bundle(_one("Flag", id="f"), id="b"), "b"),
        (_bundle(_one("Flag", id="f")), None),
        (_known("Encounter"), "s|A-1"),
        (_one("Encounter", id="e"), "e"),
        (_one("Encounter"), None),
        ("Encounter", None),
        (None, None),
    ],
)
def test_the_first_that_names_the_business_is_its_id(tree: Tree, expected: str | None) -> None:
    """The Bundle's identifier, then those of its resources, then the ids of header and Bundle; alone, its own."""
    assert business_id(tree) == expected


@pytest.mark.parametrize(
    "kind", ["Patient", "Device", "Organization", "Practitioner", "PractitionerRole", "Location", "MessageHeader"]
)
def test_who_takes_part_is_never_the_business(kind: str) -> None:
    """Such an identifier stands in message after message."""
    assert business_id(_bundle(_known(kind), _known("Flag", "F"))) == "s|F"
    assert business_id(_bundle(_known(kind), id="b")) == "b"


@pytest.mark.parametrize(
    "identifier",
    [
        OWN,
        [OWN],
        [None, "x", {}, {"system": "s"}, {"value": ""}, OWN],
        {"system": " http://vendor.example/no\n", "value": "\tA-1 "},
        {"system": ["http://vendor.example/no"], "value": ["A-1"]},
    ],
)
def test_shapes_that_vkp_lets_pass_make_no_other_id(identifier: Tree) -> None:
    """Blanks, needless and missing arrays, and identifiers that say nothing."""
    expected = "http://vendor.example/no|A-1"
    assert business_id(_one("Bundle", identifier=identifier)) == expected
    entry: Tree = {"resource": [_one("Flag", identifier=identifier)]}
    assert business_id(_one("Bundle", entry=entry)) == expected


def test_a_number_without_system_is_an_id_too() -> None:
    """What a sender wrote as a JSON number is taken by its digits."""
    assert business_id(_one("Flag", identifier={"value": Number("0815")})) == "|0815"


@pytest.mark.parametrize(
    "resource",
    [
        _one("Flag", identifier={"system": FNR, "value": "123"}),
        _one("Flag", identifier={"system": "s", "value": PATIENT}),
        _one("Flag", identifier={"value": Number(PATIENT)}),
        _one("Flag", id=PATIENT),
    ],
)
def test_a_national_number_is_never_a_business_id(resource: dict[str, Tree]) -> None:
    """The id is shown to operators."""
    assert business_id(resource) is None
    assert business_id(_bundle(resource, id="b")) == "b"


@FEWER
@given(st.one_of(lenient(), TREES))
def test_any_tree_has_an_id_and_a_digest(tree: Tree) -> None:
    """Nothing that a message holds makes either fail, or changes the message."""
    before = deepcopy(tree)
    found = business_id(tree)
    assert found is None or found.strip("|")
    assert len(content_digest(tree)) == 32
    assert tree == before


# The digest.


@given(TREES, TREES)
def test_digests_are_equal_only_of_equal_trees(one: Tree, other: Tree) -> None:
    """Types are told apart, a number is its digits, and no two trees are written alike."""
    assert (content_digest(one) == content_digest(other)) == (one == other)


def test_types_are_told_apart() -> None:
    """A text, a number, a truth value and nothing differ, and 1.0 is not 1."""
    values: list[Tree] = ["1", Number("1"), Number("1.0"), True, "true", None, "null", [], {}, "", [None], [[]]]
    assert len({content_digest({"a": value}) for value in values}) == len(values)


@FEWER
@given(messages(ANY), st.randoms(use_true_random=False))
def test_the_order_of_members_never_matters(tree: dict[str, Tree], chance: Any) -> None:
    """JSON objects have none, and XML's order is the schema's."""

    def mixed(value: Any) -> Any:
        if isinstance(value, list):
            return [mixed(one) for one in value]
        if isinstance(value, dict):
            return {name: mixed(value[name]) for name in chance.sample(list(value), len(value))}
        return value

    assert content_digest(mixed(tree)) == content_digest(tree)


def test_the_order_of_a_list_matters() -> None:
    """It may mean something."""
    assert content_digest(_bundle(_one("Flag"), _one("Device"))) != content_digest(
        _bundle(_one("Device"), _one("Flag"))
    )


@FEWER
@given(messages(ANY), st.data())
def test_any_changed_leaf_matters(tree: dict[str, Tree], data: st.DataObject) -> None:
    """But for the times of Bundle and header, nothing may change without a new digest."""
    container, key = data.draw(st.sampled_from([place for place in places(tree) if not _is_inner(*place)]))
    assume(key not in ("timestamp", "_timestamp", "lastUpdated", "_lastUpdated"))
    before = content_digest(tree)
    container[key] = [container[key], "added"] if data.draw(st.booleans()) else "changed"
    assert content_digest(tree) != before


def _is_inner(container: Any, key: Any) -> bool:
    return bool(container[key]) and isinstance(container[key], (dict, list))


@FEWER
@given(messages(ANY), st.data())
def test_times_of_bundle_and_header_alone_never_matter(tree: dict[str, Tree], data: st.DataObject) -> None:
    """A sender that sends again may write them anew, or leave them out."""
    before = content_digest(tree)
    for owner in (tree, header_of(tree)):
        for name in ("timestamp", "_timestamp"):
            _retime(owner, name, data)
        meta = owner.get("meta")
        if isinstance(meta, dict) and len(meta) > data.draw(st.integers(0, 1)):
            for name in ("lastUpdated", "_lastUpdated"):
                _retime(meta, name, data)
        elif meta is None:
            owner["meta"] = {"lastUpdated": OTHER_TIME}
    assert content_digest(tree) == before


def _retime(owner: dict[str, Tree], name: str, data: st.DataObject) -> None:
    match data.draw(st.sampled_from(["kept", "other", "gone"])):
        case "other":
            owner[name] = {"id": "t"} if name[0] == "_" else OTHER_TIME
        case "gone" if len(owner) > 1:
            owner.pop(name, None)


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one]], ids=["object", "list"])
def test_times_never_matter_in_shapes_that_vkp_lets_pass(wrap: Any) -> None:
    """An object for an array, and an array for an object."""

    def message(time: str) -> Tree:
        header = _one("MessageHeader", timestamp=time, meta=wrap({"lastUpdated": time, "profile": ["p"]}))
        return _one("Bundle", timestamp=time, entry=wrap({"resource": wrap(header)}))

    assert content_digest(message("a")) == content_digest(message("b"))
    assert content_digest(_one("MessageHeader", timestamp="a")) == content_digest(_one("MessageHeader"))


@pytest.mark.parametrize("name", ["timestamp", "date", "_timestamp"])
def test_times_of_what_happened_matter(name: str) -> None:
    """Only the envelope's are left out."""
    assert content_digest(_bundle(_one("Composition", **{name: "a"}))) != content_digest(
        _bundle(_one("Composition", **{name: "b"}))
    )
    own = [_bundle(_one("Composition", meta={"lastUpdated": time})) for time in ("a", "b")]
    assert content_digest(own[0]) != content_digest(own[1])


@pytest.mark.parametrize("name", sorted(one.stem for one in STU3.iterdir() if one.suffix == ".xml"))
def test_a_message_has_one_id_and_digest_in_json_and_xml(name: str) -> None:
    """The wire form is not content."""
    in_xml, _ = xml_codec.decode((STU3 / f"{name}.xml").read_bytes(), TABLE)
    in_json = json_codec.decode((STU3 / f"{name}.json").read_bytes())
    assert content_digest(in_xml) == content_digest(in_json)
    assert business_id(in_xml) == business_id(in_json) is not None


def test_what_is_nested_too_deep_is_refused() -> None:
    """As everywhere where a message is read or written."""
    tree: Tree = "x"
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(Refused) as caught:
        content_digest(tree)
    assert caught.value.reason is Reason.FORMAT
