"""The check of what is sent: each kind of fault is found where it is, and nothing right is refused."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from service_stubs.fhir_structure import structure_faults as faults_by_the_double
from tests.translators.drawing import leaf_count
from tests.translators.right_resources import KINDS, message_of, right_resource, spoil
from translators.fhir.json_codec import decode, encode
from translators.fhir.quick_check import is_right, right_leaves
from translators.fhir.structure import MOST, character_faults, structure_faults
from translators.places import steps_spelled

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>'
NOTE: dict[str, Any] = {
    "resourceType": "Composition",
    "status": "final",
    "type": {"text": "x"},
    "date": "2026-11-03",
    "author": [{"display": "x"}],
    "title": "x",
}
URL = "urn:uuid:0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c11"
DOCUMENT: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "document",
    "identifier": {"system": "https://a.example/id", "value": "1"},
    "timestamp": "2026-11-03T08:00:00Z",
    "entry": [{"fullUrl": URL, "resource": NOTE}],
}


def told(resource: dict[str, Any]) -> list[str]:
    """Return the faults of a resource as they are told, and check that the quick way thinks the same."""
    tree = decode(json.dumps(resource).encode())
    assert isinstance(tree, dict)
    found = [f"{steps_spelled(fault.path)[1:]}: {fault.text}" for fault in structure_faults(tree)]
    assert not (found and is_right(tree))
    return found


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"title": None}, "title: not a text (string)"),
        ({"title": ["x"]}, "title: not a text (string)"),
        ({"title": 5}, "title: not a text (string)"),
        ({"author": {"display": "x"}}, "author: not an array with something in it"),
        ({"author": []}, "author: not an array with something in it"),
        ({"author": [None]}, "author[0]: null where nothing else says anything (ele-1)"),
        ({"author": [{}]}, "author[0]: an object that says nothing (ele-1)"),
        ({"author": [{"id": "x"}]}, "author[0]: an object that says nothing (ele-1)"),
        ({"type": "x"}, "type: not an object (CodeableConcept)"),
        ({"invented": "x"}, "invented: not an element of Composition"),
        ({"status": "done"}, "status: not a code of composition-status"),
        ({"date": "03.11.2026 08:00"}, "date: not a dateTime"),
        ({"id": "a_b"}, "id: not an id"),
        ({"language": "n  b"}, "language: not a code"),
        ({"meta": {"lastUpdated": "2026-11-03"}}, "meta.lastUpdated: not an instant"),
        ({"meta": {"profile": ["relative"]}}, "meta.profile[0]: not a canonical"),
        ({"identifier": {"system": "relative", "value": "1"}}, "identifier.system: not an absolute URI"),
        (
            {"identifier": {"system": "urn:ietf:rfc:3986", "value": "1"}},
            "identifier: a value of urn:ietf:rfc:3986 is a URI with a scheme (identifier)",
        ),
        ({"text": {"status": "generated", "div": "<div>x</div>"}}, "text.div: not a div of XHTML"),
        ({"text": {"status": "generated", "div": DIV[:-1]}}, "text.div: not well-formed XHTML"),
        ({"text": {"div": DIV}}, "text.status: is missing"),
        ({"section": [{"title": "x"}]}, "section[0]: a section needs a text, entries or sections (cmp-1)"),
        ({"extension": [{"url": "relative", "valueString": "x"}]}, "extension[0].url: not an absolute URI"),
        ({"extension": [{"url": "a:b"}]}, "extension[0]: an extension has either a value or extensions (ext-1)"),
        (
            {"extension": [{"url": "a:b", "valueString": "x", "extension": [{"url": "c", "valueString": "x"}]}]},
            "extension[0]: an extension has either a value or extensions (ext-1)",
        ),
        (
            {"extension": [{"url": "a:b", "valueString": "x", "valueCode": "x"}]},
            "extension[0].valueCode: a second value where value[x] has one",
        ),
        (
            {
                "extension": [
                    {"url": "a:b", "valueString": "x", "_valueCode": {"extension": [{"url": "a:b", "valueCode": "x"}]}}
                ]
            },
            "extension[0]._valueCode: a second value where value[x] has one",
        ),
        ({"_date": {"id": "x"}, "date": None}, "date: not a text (dateTime)"),
        ({"subject": {"reference": "#p"}}, "subject: refers to a contained resource that is not there (ref-1)"),
        (
            {"contained": [{"resourceType": "Device", "id": "d"}]},
            "contained[0]: a contained resource that nothing refers to (dom-3)",
        ),
        ({"contained": [{"resourceType": "Nothing"}]}, "contained[0]: not a resource of FHIR R4"),
        (
            {"contained": [{"resourceType": "Device", "id": "d"}] * 2, "author": [{"reference": "#d"}]},
            "contained[1].id: the same as that of another contained resource",
        ),
        (
            {"contained": [{"resourceType": "Medication", "id": "m"}], "author": [{"reference": "#m"}]},
            "author[0]: refers to a Medication, which it may not",
        ),
        (
            {"author": [{"reference": "Device/1", "type": "Patient"}]},
            "author[0].type: not the type of what it refers to",
        ),
        ({"author": [{"type": "Medication", "display": "x"}]}, "author[0].type: a type that it may not refer to"),
        ({"title": " "}, "title: a text of blanks alone"),
        (
            {"extension": [{"url": "a:b", "valueRange": {"low": {"value": 1, "comparator": "<"}}}]},
            "extension[0].valueRange.low.comparator: a comparator where there is none (sqty-1)",
        ),
        (
            {"text": {"status": "generated", "div": DIV.replace("</div>", "&#1;</div>")}},
            "text.div: not well-formed XHTML",
        ),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
def test_a_fault_is_told_by_its_place_and_what_is_wrong(changes: dict[str, Any], fault: str) -> None:
    """Without the value itself."""
    assert fault in told(NOTE | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"date": "2026-11-03T08:00:00.1678092+00:00"},
        {"_date": {"id": "x"}},
        {"id": "a-1", "meta": {"lastUpdated": "2026-11-03T08:00:00Z", "profile": ["https://a.example/p|1"]}},
        {"extension": [{"url": "a:b", "extension": [{"url": "device", "valueString": "x"}]}]},
        {"identifier": {"system": "Skyresponse:GlobalAlarmId", "value": "1"}},
        {"identifier": {"system": "urn:ietf:rfc:3986", "value": URL}},
        {"subject": {"reference": "#p"}, "contained": [{"resourceType": "Patient", "id": "p"}]},
        {"text": {"status": "generated", "div": DIV}},
    ],
    ids=lambda value: " ".join(value) or "as it is",
)
def test_what_is_right_has_no_fault(changes: dict[str, Any]) -> None:
    """Not even where it is unusual."""
    assert told(NOTE | changes) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"identifier": {"value": "1"}}, "identifier: a document needs an identifier with system and value (bdl-9)"),
        ({"timestamp": None}, "timestamp: a document needs a timestamp (bdl-10)"),
        ({"timestamp": "2026-11-03"}, "timestamp: not an instant"),
        ({"total": 1}, "total: a total of what is neither searchset nor history (bdl-1)"),
        ({"entry": [{"fullUrl": URL, "resource": {"resourceType": "Device"}}]}, "entry: the first of a document is a Composition (bdl-11)"),
        ({"entry": [{"resource": NOTE}]}, "entry[0].fullUrl: is missing"),
        ({"entry": [{"fullUrl": URL, "resource": NOTE, "search": {"mode": "match"}}]}, "entry[0].search: of what is no searchset (bdl-2)"),
        ({"entry": [{"fullUrl": URL, "resource": NOTE, "request": {"method": "POST", "url": "x"}}]}, "entry[0].request: is not allowed in a document (bdl-3)"),
        ({"entry": [{"fullUrl": URL, "resource": NOTE, "response": {"status": "200"}}]}, "entry[0].response: is not allowed in a document (bdl-4)"),
        ({"entry": [{"fullUrl": URL, "resource": NOTE}, {"fullUrl": "a:b"}]}, "entry[1]: neither a resource nor a request nor a response (bdl-5)"),
        ({"entry": [{"fullUrl": URL, "resource": NOTE}, {"fullUrl": URL, "resource": {"resourceType": "Device"}}]}, "entry[1].fullUrl: the same as that of another entry (bdl-7)"),
        ({"entry": [{"fullUrl": "https://a.example/Composition/1/_history/2", "resource": NOTE}]}, "entry[0].fullUrl: the URL of a version (bdl-8)"),
        ({"entry": [{"fullUrl": "https://a.example/Composition/1", "resource": NOTE | {"id": "2"}}]}, "entry[0].fullUrl: does not end with the type and id of the resource"),
        ({"entry": [{"fullUrl": URL, "resource": NOTE}, {"fullUrl": "a:b", "resource": {"resourceType": "Device", "id": "1"}}]}, "entry[1]: not reached from the Composition by any reference"),
        ({"entry": [{"fullUrl": URL, "resource": NOTE | {"author": [{"reference": "a:b"}]}}, {"fullUrl": "a:b", "resource": {"resourceType": "Location", "id": "1"}}]}, "entry[0].resource.author[0]: refers to a Location, which it may not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_bundle_is_checked_as_a_whole(changes: dict[str, Any], fault: str) -> None:
    """Its invariants, the URLs of its entries, and that a document hangs together."""
    assert fault in told({name: value for name, value in (DOCUMENT | changes).items() if value is not None})


def test_every_fault_is_told_and_no_more_than_twenty() -> None:
    """In the order of the elements, so that a developer can go through the message with them."""
    many = NOTE | {"author": [{"type": "a b", "reference": index} for index in range(15)], "status": "done"}
    found = told(many)
    assert len(found) == MOST
    assert found[:3] == ["status: not a code of composition-status", "author[0].type: not a uri", "author[0].reference: not a text (string)"]  # fmt: skip


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x0b", "\x0c", "\x1f", "\ufffe", "\uffff"])
def test_a_character_that_fhir_does_not_have_is_told_by_its_name(character: str) -> None:
    """Whatever text it stands in."""
    (fault,) = character_faults({**NOTE, "section": [{"title": f"x{character}y"}]})
    assert (fault.path, fault.text) == (
        ("section", 0, "title"),
        f"U+{ord(character):04X} is no character that FHIR allows",
    )


def test_tabs_and_line_ends_are_characters_of_fhir() -> None:
    """What a text for people may hold."""
    assert character_faults({**NOTE, "title": "a\tb\r\nc\u007f\ue000"}) == []


often = settings(suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("odd", [["active"], {"x": "active"}, True], ids=str)
def test_code_of_a_closed_list_that_is_no_text_is_told_by_its_place(odd: Any) -> None:
    """Whatever stands there, and by the quick way too."""
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    condition: Any = {
        "resourceType": "Condition",
        "subject": {"display": "x"},
        "clinicalStatus": {"coding": [{"system": system, "code": odd}]},
    }
    assert structure_faults(condition)[0].path == ("clinicalStatus", "coding", 0, "code")
    assert not is_right(condition)


@often
@given(st.randoms(use_true_random=False), st.sampled_from(KINDS))
def test_a_right_resource_of_any_type_is_right_by_every_judge(random: Random, kind: str) -> None:
    """The check, its quick way and the double, which shares nothing with them."""
    tree = right_resource(random, kind)
    faults = structure_faults(tree)
    # Drawn element by element, some break an invariant between them.
    assume(not faults or not all(fault.text.endswith(")") for fault in faults))
    assert faults == []
    assert is_right(tree)
    assert right_leaves(tree) == leaf_count(tree)
    assert faults_by_the_double(json.loads(encode(tree))) == []


@often
@given(st.randoms(use_true_random=False), st.sampled_from(KINDS), st.integers(1, 3))
def test_what_the_check_lets_pass_the_double_lets_pass(random: Random, kind: str, times: int) -> None:
    """Of resources of which something was spoilt; and the quick way never calls right what is not."""
    tree = right_resource(random, kind)
    for _ in range(times):
        spoil(random, tree)
    message = decode(encode(message_of(tree)))
    assert isinstance(message, dict)
    found = structure_faults(message) or character_faults(message)
    assert not (is_right(message) and structure_faults(message))
    if not found:
        assert faults_by_the_double(json.loads(encode(message))) == []
