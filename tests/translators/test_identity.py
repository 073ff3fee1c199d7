"""Which messages are the same: the business id that a sender gave, and the digest of what the message says."""

import hashlib
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.translators.drawing import PATIENT, places, strings
from tests.translators.stu3_messages import ANY, TABLE, header_of, lenient, messages
from translators import identity
from translators.contract import Number, Reason, Refused, Tree
from translators.fhir import json_codec, xml_codec
from translators.identity import business_id, content_digest

OWN: Tree = {"system": "http://vendor.example/no", "value": "A-1"}
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
OTHER_TIME = "2019-01-01T00:00:00Z"
TIMESTAMP = "http://ehelse.no/fhir/StructureDefinition/vkp-timestamp-v05"
STU3 = Path(__file__).parents[2] / "translators" / "examples" / "stu3"
FEWER = settings(suppress_health_check=list(HealthCheck))
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


DATED = _one("Flag", period={"start": "2026-05-04T08:00:00Z"})
"""A resource that says when it happened, so that no time of the envelope tells messages apart."""


def _entries(tree: dict[str, Tree]) -> list[Any]:
    entries = tree["entry"]
    assert isinstance(entries, list)
    return entries


def _stored(tree: dict[str, Tree]) -> list[dict[str, Tree]]:
    return [tree, *(entry["resource"] for entry in _entries(tree))]


def _renew(tree: dict[str, Tree], data: st.DataObject) -> None:
    """Give a message anew what the software of a sender makes whenever it sends."""
    urls = {
        entry["fullUrl"]: f"urn:uuid:new-{place}" for place, entry in enumerate(_entries(tree)) if "fullUrl" in entry
    }
    if data.draw(st.booleans()):
        for entry in _entries(tree):
            entry.update({"fullUrl": urls[entry["fullUrl"]]} if "fullUrl" in entry else {})
        for container, key in places(tree):
            if key == "reference" and container[key] in urls:
                container[key] = urls[container[key]]
    for owner in (tree, header_of(tree)):
        _renew_one(owner, ("id", "timestamp"), data)
    for resource in _stored(tree):
        if isinstance(meta := resource.setdefault("meta", {}), dict):
            _renew_one(meta, ("versionId", "lastUpdated"), data)
        if not resource["meta"]:
            del resource["meta"]


def _renew_one(owner: dict[str, Tree], names: tuple[str, ...], data: st.DataObject) -> None:
    for name in names:
        match data.draw(st.sampled_from(["kept", "other", "gone"])):
            case "other":
                owner[name] = OTHER_TIME
            case "gone":
                owner.pop(name, None)


@FEWER
@given(messages(ANY), st.data())
def test_what_an_envelope_is_given_anew_never_matters(tree: dict[str, Tree], data: st.DataObject) -> None:
    """Ids of Bundle and header, URLs of entries with what refers to them, versions, and times where a resource has its own."""
    _entries(tree).append({"fullUrl": "urn:uuid:dated", "resource": deepcopy(DATED)})
    _entries(tree).append({"resource": _one("Flag", subject={"reference": "urn:uuid:dated"})})
    assume(all(resource.get("meta", True) for resource in _stored(tree)))
    before = content_digest(tree)
    _renew(tree, data)
    assert content_digest(tree) == before


@FEWER
@given(messages(ANY), st.booleans(), st.data())
def test_anything_else_that_is_changed_matters(tree: dict[str, Tree], dated: bool, data: st.DataObject) -> None:
    """Of every leaf of a message, whether or not a resource says when it happened."""
    if dated:
        _entries(tree).append({"resource": deepcopy(DATED)})
    else:
        assume("timestamp" in header_of(tree))
        assume(not any(re.search(r"T\d\d:\d\d", text) for entry in _entries(tree)[1:] for text in strings(entry)))
    renewed = {id(tree): ("id", "timestamp"), id(header_of(tree)): ("id",)}
    renewed |= {id(entry): ("fullUrl",) for entry in _entries(tree)}
    renewed |= {id(one.get("meta")): ("versionId", "lastUpdated") for one in _stored(tree)}
    if dated:
        renewed[id(header_of(tree))] = ("id", "timestamp")
    focus = header_of(tree).get("focus")
    renewed |= {id(one): ("reference",) for one in focus} if isinstance(focus, list) else {}
    left = [(one, key) for one, key in places(tree) if not _is_inner(one, key) and key not in renewed.get(id(one), ())]
    container, key = data.draw(st.sampled_from(left))
    before = content_digest(tree)
    container[key] = [container[key], "added"] if data.draw(st.booleans()) else "changed"
    assert content_digest(tree) != before


def _is_inner(container: Any, key: Any) -> bool:
    return bool(container[key]) and isinstance(container[key], (dict, list))


DISPENSE = _one("MedicationDispense", category={"coding": [{"code": "1"}]})


def _sent(resource: Tree, time: Tree, name: str = "timestamp") -> dict[str, Tree]:
    return _bundle(_one("MessageHeader", id="h", **{name: time}), resource)


@pytest.mark.parametrize(
    ("fields", "matters"),
    [
        ({}, True),
        ({"whenPrepared": "2026-05-03T12:00:00Z"}, True),
        ({"whenHandedOver": "2026-05-04"}, True),
        ({"whenHandedOver": "2026-05-04T08:00Z"}, False),
        ({"whenHandedOver": ["2026-05-04T08:00:00.936+02:00"]}, False),
    ],
)
def test_the_time_of_a_header_matters_where_no_resource_says_when_it_happened(
    fields: dict[str, Tree], matters: bool
) -> None:
    """Two dispensings may be told apart by nothing else; a sender that sends one again makes the header's time anew."""
    one, other = (_sent({**DISPENSE, **fields}, time) for time in ("2026-05-04T08:00:46Z", "2026-05-04T20:00:12Z"))
    assert (content_digest(one) != content_digest(other)) is matters


@pytest.mark.parametrize("fields", [{"url": "x"}, {"url": TIMESTAMP}, {"valueDateTime": "2026-05-04T08:00Z"}])
def test_an_extension_says_when_it_happened_only_as_vkp_has_it(fields: dict[str, Tree]) -> None:
    """By its URL, and with a time."""
    flag = _one("Flag", extension=[fields])
    assert content_digest(_sent(flag, "2026")) != content_digest(_sent(flag, "2027"))
    whole = _one("Flag", extension=[{"url": TIMESTAMP, "valueDateTime": "2026-05-04T08:00Z"}])
    assert content_digest(_sent(whole, "2026")) == content_digest(_sent(whole, "2027"))


def test_where_nothing_says_when_the_next_best_tells_messages_apart() -> None:
    """The header's time, else the Bundle's, else when it was stored, else the ids of header and Bundle."""
    for name, owner in (("timestamp", "header"), ("timestamp", "bundle"), ("lastUpdated", "meta"), ("id", "header")):
        messages_told_apart = []
        for value in ("a", "b"):
            own: dict[str, Tree] = {name: value} if owner == "header" else {}
            bundle: dict[str, Tree] = {name: value} if owner == "bundle" else {}
            meta: dict[str, Tree] = {"meta": {name: value}} if owner == "meta" else {}
            messages_told_apart.append(_bundle(_one("MessageHeader", **own), {**DISPENSE, **meta}, **bundle))
        one, other = messages_told_apart
        assert content_digest(one) != content_digest(other), (name, owner)


def test_a_reference_to_an_entry_counts_by_the_entry() -> None:
    """A new URL is the same entry; another entry is another one."""

    def message(first: str, second: str, subject: str) -> dict[str, Tree]:
        flag = _one("Flag", subject={"reference": subject}, period=DATED["period"])
        entries: list[Tree] = [{"fullUrl": url, "resource": _one("Device")} for url in (first, second)]
        return {"resourceType": "Bundle", "entry": [*entries, {"resource": flag}]}

    assert content_digest(message("a", "b", "a")) == content_digest(message("x", "y", "x"))
    assert content_digest(message("a", "b", "a")) == content_digest(message('"', "\\", '"'))
    assert content_digest(message("a", "b", "a")) != content_digest(message("a", "b", "b"))
    assert content_digest(message("a", "b", "a")) != content_digest(message("x", "b", "a"))


URLS = st.sampled_from(["a", '"', "\\", '\\"', " a ", "æ", '","', '"reference":"a"', ""])
REFERRING: st.SearchStrategy[Tree] = st.recursive(
    URLS,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["reference", '"reference', 'reference":"a', "\\reference"]), below, max_size=3
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.tuples(URLS, REFERRING), max_size=4))
def test_digests_stay_what_they_were_for_ledgers_that_have_them(entries: list[tuple[str, Tree]]) -> None:
    """References are found as the expression found them with which digests were made first, wherever else their name stands."""
    own: list[Tree] = [{"fullUrl": url, "resource": _one("Flag", subject=said)} for url, said in entries]
    tree: dict[str, Tree] = {"resourceType": "Bundle", "timestamp": "t", "entry": own}
    links = identity._links(tree)
    written = identity._ENCODER.encode([identity._lasting(tree), "t"])

    def place(found: re.Match[bytes]) -> bytes:
        number = links.get(found[1].strip())
        is_within_a_name = found.string[found.start() - 1 : found.start()] == b"\\"
        return found[0] if number is None or is_within_a_name else b'"reference":%d' % number

    before = re.sub(rb'"reference":"((?:[^"\\]|\\.)*)"', place, written)
    assert content_digest(tree) == hashlib.sha256(before).digest()


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one]], ids=["object", "list"])
def test_what_is_made_anew_never_matters_in_shapes_that_vkp_lets_pass(wrap: Any) -> None:
    """An object for an array, and an array for an object."""

    def message(new: str) -> Tree:
        meta = {"lastUpdated": new, "versionId": new, "profile": ["p"]}
        header = _one("MessageHeader", id=new, timestamp=new, meta=wrap(meta), focus=wrap({"reference": new}))
        entries: list[Tree] = [{"fullUrl": new, "resource": wrap(one)} for one in (header, DATED)]
        return _one("Bundle", id=new, timestamp=new, entry=entries)

    assert content_digest(message("a")) == content_digest(message("b"))


@pytest.mark.parametrize("name", ["timestamp", "date", "_timestamp"])
def test_times_of_what_happened_matter(name: str) -> None:
    """Only the envelope's are left out."""
    assert content_digest(_bundle(_one("Composition", **{name: "a"}))) != content_digest(
        _bundle(_one("Composition", **{name: "b"}))
    )


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
