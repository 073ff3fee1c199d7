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
PLAN = {"resourceType": "CarePlan", "status": "active", "intent": "plan"}
OTHER = {"resourceType": "Patient", "identifier": [{"system": LOCAL, "value": "1303"}]}


def plan(system: str, value: str) -> dict[str, Any]:
    """Return a visit plan of somebody."""
    return {**PLAN, "subject": {"identifier": {"system": system, "value": value}}}


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


@pytest.mark.parametrize("odd", [1, ["x"], {"x": "y"}], ids=str)
def test_whatever_stands_where_a_text_does_is_refused_by_its_path(odd: object) -> None:
    """Whose a number is must not be guessed, and what is no type is no resource."""
    of_nobody = {**PLAN, "subject": {"identifier": {"system": odd, "value": "1303"}}}
    with pytest.raises(AnswerRefused, match=r"^Bundle.entry\[1\].resource.subject.identifier.system: "):
        found(answer(PATIENT, of_nobody), BY_LOCAL)
    with pytest.raises(AnswerRefused, match=r"^Bundle.entry\[0\].resource.resourceType: "):
        found(answer({**of_nobody, "resourceType": odd}), BY_LOCAL)


@pytest.mark.parametrize("nothing", [None, "", [], {}], ids=str)
def test_what_says_nothing_is_as_if_it_were_not_there(nothing: object) -> None:
    """Record systems write it where they know nothing, and nothing is lost by it."""
    told = {**PLAN, "subject": {"identifier": {"system": nothing, "value": "1303"}}, "title": nothing, "note": nothing}
    assert len(found(answer(PATIENT, told), BY_LOCAL)) == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"title": 48}, "title: text is expected"),
        ({"subject": [{"display": "x"}]}, "subject: one value is expected, and no list"),
        ({"activity": ["x"]}, "activity[0]: an object is expected"),
        ({"activity": [{"detail": {"scheduledPeriod": "x", "status": "scheduled"}}]}, "activity[0].detail.scheduledPeriod: an object is expected"),
        ({"status": ""}, "status: is missing"),
        ({"contained": [{"resourceType": "Shoe"}]}, "contained[0]: a resource of FHIR R4 is expected"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_of_another_shape_is_refused_by_its_path_on_every_interface(changes: dict[str, Any], told: str) -> None:
    """What reads it next would pass over it: half an answer."""
    resource = {**plan(LOCAL, "1302"), **changes}
    with pytest.raises(AnswerRefused) as caught:
        found(answer(resource), BY_LOCAL)
    assert str(caught.value) == f"Bundle.entry[0].resource.{told}"


@pytest.mark.parametrize(
    "changes",
    [
        {"extension": [{"url": "urn:x:unknown", "valueCode": "y"}]},
        {"shoeSize": ["44"]},
        {"activity": {"detail": {"status": "scheduled"}}},
        {"title": "Uke 48", "_title": {"extension": [{"url": "urn:x:y", "valueString": "z"}]}},
        {"status": None, "_status": {"extension": [{"url": "urn:x:why", "valueCode": "unknown"}]}},
    ],
    ids=["an extension", "another element", "one value for a list", "a value with more", "why there is no status"],
)
def test_what_r4_lets_a_record_system_add_is_taken(changes: dict[str, Any]) -> None:
    """As it is: nobody has to understand it."""
    resource = {**plan(LOCAL, "1302"), **changes}
    assert found(answer(resource), BY_LOCAL)[0].resource == resource


def test_link_whose_relation_cannot_be_read_is_refused_since_it_may_lead_to_the_rest() -> None:
    """As one that leads to a next page is."""
    bundle = {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": ["next"], "url": "x"}]}
    with pytest.raises(AnswerRefused, match=r"^Bundle.link\[0\].relation: text is expected$"):
        found(json.dumps(bundle).encode(), BY_LOCAL)


def test_where_only_numbers_are_read_the_rest_of_a_patient_may_be_of_any_shape() -> None:
    """VKP's list is read for these: a birth date that is wrong keeps no patient's number from being known."""
    search = Search(kind="Patient", information=Information.PASIENTINFO)
    assert len(found(answer({**PATIENT, "birthDate": 1940}), search, ("identifier",))) == 1
    wrong = {**PATIENT, "identifier": [{"system": LOCAL, "value": 1302}]}
    with pytest.raises(AnswerRefused, match=r"identifier\[0\].value: text is expected$"):
        found(answer(wrong), search, ("identifier",))
