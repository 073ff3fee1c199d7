"""What an answer of a record system must be: about the patient that was asked for, by whatever number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.model import Information
from gateway.surfaces.search import PatientKey, Search
from gateway.upstreams.epj import found
from gateway.upstreams.service_caller import AnswerRefused
from service_stubs.people import LOCAL, number_of

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
BY_LOCAL = Search(kind="CarePlan", information=Information.BESOKSPLAN, patient=PatientKey(LOCAL, "1302"))
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": FNR, "value": number_of(1)}, {"system": LOCAL, "value": "1302"}],
}
OTHER = {"resourceType": "Patient", "identifier": [{"system": LOCAL, "value": "1303"}]}


def plan(system: str, value: str) -> dict[str, Any]:
    """Return a visit plan of somebody."""
    return {"resourceType": "CarePlan", "subject": {"identifier": {"system": system, "value": value}}}


def answer(*resources: dict[str, Any]) -> bytes:
    """Return a searchset."""
    entries = [{"resource": one} for one in resources]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()


@pytest.mark.parametrize(
    "told",
    [(PATIENT, plan(LOCAL, "1302")), (PATIENT, plan(FNR, number_of(1))), (plan(FNR, number_of(1)),)],
    ids=["the same number", "a national number", "a national number alone"],
)
def test_what_is_about_a_patient_asked_for_by_a_local_number_is_told(told: tuple[dict[str, Any], ...]) -> None:
    """Also by a national number: whose that is the record system knows."""
    assert [one.resource["resourceType"] for one in found(answer(*told), BY_LOCAL)] == [
        one["resourceType"] for one in told
    ]


@pytest.mark.parametrize(
    "told", [(PATIENT, OTHER), (PATIENT, plan(LOCAL, "1303"))], ids=["another patient", "a plan of another"]
)
def test_what_is_about_another_local_number_is_refused_by_its_path(told: tuple[dict[str, Any], ...]) -> None:
    """No value is shown."""
    with pytest.raises(AnswerRefused) as caught:
        found(answer(*told), BY_LOCAL)
    assert str(caught.value) == "Bundle.entry[1].resource: about another patient than was asked for"


@pytest.mark.parametrize("odd", [None, 1, [], ["x"], {}, {"x": "y"}], ids=str)
def test_whatever_stands_where_a_text_does_is_refused_or_means_nothing(odd: object) -> None:
    """A system that is no text is of no number that was asked for, and what is no type is no resource."""
    of_nobody = {"resourceType": "CarePlan", "subject": {"identifier": {"system": odd, "value": "1303"}}}
    assert len(found(answer(PATIENT, of_nobody), BY_LOCAL)) == 2
    with pytest.raises(AnswerRefused, match=r"^Bundle.entry\[0\].resource.resourceType: "):
        found(answer({**of_nobody, "resourceType": odd}), BY_LOCAL)
