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


def test_abridged_lists_of_codes_are_not_judged() -> None:
    """The models mark incomplete lists; only complete ones can refuse."""
    issue = {"resourceType": "DetectedIssue", "status": "cancelled", "severity": "high"}
    assert paths(issue) == []
    assert paths({**issue, "severity": "severe"}) == ["DetectedIssue.severity"]
