"""The double's FHIRPath does what HL7's invariants need of it."""

import json
from importlib import resources
from typing import Any

import pytest

from service_stubs.fhirpath import Node, NotSupported, _parsed, holds

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"family": "A", "given": ["B", "C"]}, {"family": "D"}],
    "_birthDate": {"extension": [{"url": "x", "valueCode": "unknown"}]},
    "deceasedBoolean": False,
    "multipleBirthInteger": 2,
    "contained": [{"resourceType": "Device", "id": "d"}],
    "link": [{"other": {"reference": "#d"}}],
}


@pytest.mark.parametrize(
    "expression",
    [
        "name.exists()",
        "name.family.count() = 2",
        "name.where(family = 'A').given.first() = 'B'",
        "name.all(family.exists())",
        "name.given.isDistinct() and name.given.count() > 1",
        "birthDate.exists() and birthDate.hasValue().not()",
        "deceased.exists() and (deceased is Boolean) and deceased.not()",
        "(multipleBirth is integer) and multipleBirth >= 2",
        "telecom.empty() implies name.exists()",
        "telecom.exists() or name.exists()",
        "telecom.exists() xor name.exists()",
        "'A' in name.family",
        "name.family contains 'D'",
        "contained.where('#' + id in %resource.descendants().reference).count() = 1",
        "iif(telecom.exists(), false, true)",
        "id.startsWith('p') and id.matches('^[a-z]$') and 'abc'.length() = 3",
        "contained.first().is(Device)",
        "name.select(family & 'x').first() = 'Ax'",
        "name.tail().family = 'D'",
        "name.given.intersect(name.given).count() = 2 and name.family.combine(name.given).count() = 4",
        "%ucum = 'http://unitsofmeasure.org'",
        "'2026-11-03' <= '2026-11-03T00:00:00Z' or true",
        "telecom.value.startsWith('x').not()",
    ],
)
def test_an_expression_that_holds(expression: str) -> None:
    """Of one resource."""
    node = Node(PATIENT)
    assert holds(expression, node, node, node)


@pytest.mark.parametrize(
    "expression",
    ["telecom.value", "name.family = telecom.value", "telecom.count() > 0", "name.exists() and telecom.exists()", "photo"],
)  # fmt: skip
def test_nothing_is_not_true(expression: str) -> None:
    """As HL7's validator has it of an invariant."""
    node = Node(PATIENT)
    assert not holds(expression, node, node, node)


@pytest.mark.parametrize("expression", ["name.", "name.unheard()", "%unheard", "name ? x", "(name", "-1 = 1"])
def test_what_it_does_not_know_it_does_not_judge(expression: str) -> None:
    """Rather than wrongly."""
    node = Node(PATIENT)
    with pytest.raises(NotSupported):
        holds(expression, node, node, node)


def test_every_invariant_of_hl7_can_be_read() -> None:
    """All but one of those that are errors."""
    rules = json.loads(resources.files("service_stubs").joinpath("fhir_r4_rules.json").read_text(encoding="utf-8"))
    unread = set()
    for key, expression in [one for listed in rules["invariants"].values() for one in listed]:
        try:
            _parsed(expression)
        except NotSupported:
            unread.add(key)
    assert unread == {"sdf-8a"}
