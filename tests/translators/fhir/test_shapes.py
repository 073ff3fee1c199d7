"""What has the shape of FHIR R4 is told from what has not, and nothing more is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translators.right_resources import KINDS, right_resource, spoil
from translators.contract import Number
from translators.fhir.shapes import EVERY_VALUE, shape_fault, without_nothing
from translators.fhir.structure import structure_faults

if TYPE_CHECKING:
    from random import Random

SUBJECT = {"display": "x"}


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ({"resourceType": "Patient"}, None),
        ({"resourceType": "Patient", "name": {"given": "Line"}}, None),
        ({"resourceType": "Patient", "multipleBirthInteger": Number("2"), "active": False}, None),
        ({"resourceType": "Patient", "multipleBirthInteger": "2"}, "multipleBirthInteger a number is expected"),
        ({"resourceType": "Patient", "name": [{"given": [["Line"]]}]}, "name 0 given 0 text is expected"),
        ({"resourceType": "Patient", "communication": [{"preferred": False}]}, "communication 0 language is missing"),
        ({"resourceType": "MedicationStatement", "status": "active", "subject": SUBJECT}, "medication[x] is missing"),
        (
            {
                "resourceType": "MedicationStatement",
                "status": "active",
                "subject": SUBJECT,
                "medicationReference": {"display": "x"},
            },
            None,
        ),
        ({"resourceType": "Shoe"}, " a resource of FHIR R4 is expected"),
        ([], " a resource of FHIR R4 is expected"),
    ],
    ids=str,
)
def test_first_place_of_another_shape_is_told(resource: Any, told: str | None) -> None:
    """By its path, without a value."""
    fault = shape_fault(resource)
    assert (None if fault is None else f"{' '.join(map(str, fault.path))} {fault.text}") == told


def test_values_are_looked_at_where_that_is_asked_for() -> None:
    """By type and name, wherever the type stands."""
    patient: Any = {"resourceType": "Patient", "gender": "kvinne", "name": [{"period": {"end": "i går"}}]}
    assert shape_fault(patient) is None
    assert shape_fault(patient, {"Patient.birthDate"}) is None
    named = [shape_fault(patient, {one}) for one in ("Patient.gender", "Period.end")]
    assert [one.path for one in named if one is not None] == [("gender",), ("name", 0, "period", "end")]


def test_what_says_nothing_is_left_out_and_lists_stay_aligned() -> None:
    """Whatever else is said beside it stays as it is."""
    named: Any = {
        "use": "",
        "family": "Danser",
        "given": ["Line", None],
        "_given": [None, {"id": "a"}],
        "prefix": [" "],
    }
    resource: Any = {"resourceType": "Patient", "name": [None, named], "active": False, "gender": None, "contact": [{}]}
    assert without_nothing(resource) == {
        "resourceType": "Patient",
        "name": [{"family": "Danser", "given": ["Line", None], "_given": [None, {"id": "a"}]}],
        "active": False,
    }


@given(st.randoms(use_true_random=False), st.sampled_from(KINDS))
def test_whatever_is_right_has_the_right_shape_and_values(random: Random, kind: str) -> None:
    """Nothing that R4 allows is refused, and what is refused is wrong by the whole of R4's rules too."""
    resource = right_resource(random, kind)
    if not structure_faults(resource):
        assert shape_fault(resource, EVERY_VALUE) is None
    spoil(random, resource)
    if shape_fault(resource, EVERY_VALUE) is not None:
        assert structure_faults(resource)
