"""The independent FHIR check finds what a strict parser would."""

from __future__ import annotations

from typing import Any

import pytest

from service_stubs.fhir_structure import structure_faults

OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "puls"}}


def paths(resource: dict[str, Any]) -> list[str]:
    """List where the faults are."""
    return [fault.path for fault in structure_faults(resource)]


def test_right_resources_have_no_faults(composition: dict[str, Any], document: dict[str, Any]) -> None:
    """The examples of these tests are right."""
    assert paths(composition) == paths(document) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"invented": "x"}, "Composition.invented"),
        ({"category": {"text": "x"}}, "Composition.category"),
        ({"title": ["x"]}, "Composition.title"),
        ({"title": 5}, "Composition.title"),
        ({"status": "finale"}, "Composition.status"),
        ({"date": "yesterday"}, "Composition.date"),
        ({"date": 2026}, "Composition.date"),
        ({"date": "2026-02-30"}, "Composition.date"),
        ({"section": [{"title": "a"}, {"titel": "b"}]}, "Composition.section[1].titel"),
        ({"section": [{"text": {"status": "additional", "div": "text"}}]}, "Composition.section[0].text.div"),
        ({"section": [{"text": {"status": "additional"}}]}, "Composition.section[0].text"),
        ({"extension": [{"url": "u", "valueBoolean": "true"}]}, "Composition.extension[0].valueBoolean"),
    ],
    ids=str,
)
def test_faults_are_found_where_they_are(composition: dict[str, Any], changes: dict[str, Any], path: str) -> None:
    """Unknown elements, cardinality, types, codes and dates."""
    assert any(found.startswith(path) for found in paths({**composition, **changes}))


@pytest.mark.parametrize("name", ["status", "type", "date", "author", "title"])
def test_mandatory_elements_are_demanded(composition: dict[str, Any], name: str) -> None:
    """What R4 says must be there must be there."""
    del composition[name]
    assert paths(composition)


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ({"valueQuantity": {"value": 81.30}}, []),
        ({"valueQuantity": {"value": 81}}, []),
        ({"valueQuantity": {"value": "81.30"}}, ["Observation.valueQuantity.value"]),
        ({"valueInteger": "1"}, ["Observation.valueInteger"]),
        ({"valueInteger": 1}, []),
        ({"valueBoolean": 1}, ["Observation.valueBoolean"]),
    ],
    ids=str,
)
def test_numbers_and_booleans_are_not_text(value: dict[str, Any], faults: list[str]) -> None:
    """FHIR's JSON representation; the models alone would convert."""
    assert paths({**OBSERVATION, **value}) == faults


def test_two_values_are_refused() -> None:
    """`value[x]` is one."""
    assert paths({**OBSERVATION, "valueInteger": 1, "valueString": "x"})


def test_unknown_resource_types_are_refused(document: dict[str, Any]) -> None:
    """A Bundle holds resources of R4 only."""
    document["entry"].append({"resource": {"resourceType": "Invention"}})
    assert paths(document) == ["resourceType"]


def test_codes_are_judged_by_hl7s_own_lists() -> None:
    """Also where the models have a part of a list only."""
    issue = {"resourceType": "DetectedIssue", "status": "cancelled", "severity": "high"}
    assert paths(issue) == []
    assert paths({**issue, "severity": "severe"}) == ["DetectedIssue.severity"]
    assert paths({**issue, "status": "done"}) == ["DetectedIssue.status"]
    assert paths({"resourceType": "Condition", "subject": {"display": "x"}, "clinicalStatus": {"coding": [{"system": "a:b", "code": "x"}]}}) == ["Condition.clinicalStatus"]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"meta": {"lastUpdated": "2026-11-03"}}, "Composition.meta.lastUpdated"),
        ({"identifier": {"system": "relative", "value": "x"}}, "Composition.identifier"),
        ({"identifier": {"system": "urn:ietf:rfc:3986", "value": "4711"}}, "Composition.identifier"),
        ({"extension": [{"url": "relative", "valueCode": "x"}]}, "Composition.extension[0]"),
        ({"extension": [{"url": "a:b"}]}, "Composition.extension[0]"),
        ({"section": [{"title": "x"}]}, "Composition.section[0]"),
        ({"contained": [{"resourceType": "Device", "id": "d"}]}, "Composition"),
        ({"contained": [{"resourceType": "Device", "id": "d"}] * 2, "author": [{"reference": "#d"}]}, "Composition"),
        ({"contained": [{"resourceType": "Medication", "id": "m"}], "author": [{"reference": "#m"}]}, "Composition.author[0]"),
        ({"author": [{"reference": "Device/1", "type": "Patient"}]}, "Composition.author[0]"),
        ({"author": [{"type": "Medication", "display": "x"}]}, "Composition.author[0]"),
        ({"extension": [{"url": "a:b", "valueRange": {"low": {"value": 1, "comparator": "<"}}}]}, "Composition.extension[0].valueRange.low"),
        ({"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><x/></div>'}}, "Composition.text.div"),
        ({"title": "x\u0001"}, "Composition.title"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_the_models_let_pass_is_found(composition: dict[str, Any], changes: dict[str, Any], path: str) -> None:
    """What HL7's validator calls an error on base R4."""
    assert path in paths({**composition, **changes})


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"resource": {"resourceType": "Device", "id": "1"}}, "Bundle.entry[1].fullUrl"),
        ({"fullUrl": "https://a.example/Device/2", "resource": {"resourceType": "Device", "id": "1"}}, "Bundle.entry[1].fullUrl"),
        ({"fullUrl": "urn:uuid:0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c99", "resource": {"resourceType": "Device", "id": "1"}}, "Bundle.entry[1]"),
    ],
    ids=["without a URL", "with the URL of another", "that nothing refers to"],
)  # fmt: skip
def test_a_document_hangs_together(document: dict[str, Any], entry: dict[str, Any], path: str) -> None:
    """By URLs and references in either direction."""
    document["entry"].insert(1, entry)
    assert path in paths(document)
