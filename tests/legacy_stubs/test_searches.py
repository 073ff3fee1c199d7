"""Legacy VKP's searches: parameters, tjenstlig behov and fixed synthetic data."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from legacy_stubs.records import PATIENTS
from service_stubs.national_numbers import Kind, kind_of, number_for

if TYPE_CHECKING:
    from tests.legacy_stubs.conftest import Answer, Sender

NUMBER = PATIENTS[0].number
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
PARAMETERS = {
    "patient": "identifier",
    "episodeofcare": "patient.identifier",
    "careplan": "patient.identifier",
    "composition": "patient.identifier",
    "condition": "patient.identifier",
    "allergyintolerance": "identifier",
    "medicationstatement": "patient.identifier",
}


def resources(answer: Answer) -> list[dict[str, Any]]:
    """List the resources found."""
    assert answer.status == 200, answer.body
    return [entry["resource"] for entry in answer.body.get("entry", [])]


@pytest.mark.parametrize("resource", PARAMETERS)
async def test_search_for_a_patient_answers_a_valid_searchset(sender: Sender, resource: str) -> None:
    """Sample clients read the answer with a strict parser."""
    answer = await sender.search(resource, {PARAMETERS[resource]: NUMBER})
    get_fhir_model_class("Bundle").model_validate(answer.body)
    assert answer.body["type"] == "searchset"
    assert answer.body["total"] == len(answer.body["entry"]) > 0
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", entry["fullUrl"]) for entry in answer.body["entry"])
    assert resources(answer)[-1]["resourceType"].lower() == resource
    assert NUMBER in str(resources(answer))


async def test_data_is_synthetic() -> None:
    """Nobody's number is in the stub, and all three synthetic series are."""
    assert {kind_of(patient.number) for patient in PATIENTS} == {Kind.SYNTHETIC}
    assert [int(patient.number[2:4]) - patient.born.month for patient in PATIENTS] == [80, 65, 40]


@pytest.mark.parametrize("resource", ["patient", "episodeofcare"])
async def test_list_is_given_without_identifier(sender: Sender, resource: str) -> None:
    """No body and no Content-Type at all, as the sample sends it."""
    assert len(resources(await sender.search(resource))) == len(PATIENTS)


@pytest.mark.parametrize(
    "resource", ["careplan", "composition", "condition", "allergyintolerance", "medicationstatement"]
)
async def test_other_searches_need_an_identifier(sender: Sender, resource: str) -> None:
    """400 with code 2.3; the name of the parameter counts."""
    wrong_name = "patient" if PARAMETERS[resource] == "identifier" else "identifier"
    for form in (b"", {wrong_name: NUMBER}):
        answer = await sender.search(resource, form)
        assert (answer.status, answer.code) == (400, "2.3")


async def test_repeated_identifier_is_refused(sender: Sender) -> None:
    """One patient at a time."""
    answer = await sender.search("patient", f"identifier={NUMBER}&identifier={NUMBER}")
    assert (answer.status, answer.code) == (400, "2.3")


@pytest.mark.parametrize("identifier", [NUMBER, f"{FNR}|{NUMBER}", f" {NUMBER} "])
async def test_number_may_be_bare_or_with_its_system(sender: Sender, identifier: str) -> None:
    """R4 samples send it bare, the STU3 requirements with system."""
    (patient,) = resources(await sender.search("patient", {"identifier": identifier}))
    assert patient["identifier"][0] == {"system": FNR, "value": NUMBER}


async def test_any_valid_number_is_somebodys(sender: Sender) -> None:
    """VKP's test environment answers static data for any valid number."""
    number = number_for(date(1933, 2, 1), 700)
    (patient,) = resources(await sender.search("patient", {"identifier": number}))
    assert patient["identifier"][0]["value"] == number


@pytest.mark.parametrize("identifier", ["", "1302", "12345678901", f"http://cosdoc.dips.no/lopenummer|{NUMBER}"])
async def test_invalid_numbers_are_refused(sender: Sender, identifier: str) -> None:
    """400 with code 2.1; the number is not repeated."""
    answer = await sender.search("patient", {"identifier": identifier})
    assert (answer.status, answer.code) == (400, "2.1")
    assert "12345678901" not in str(answer.body)


@pytest.mark.fact("vkp-service-codes")
@pytest.mark.parametrize("header", ["", " , "])
async def test_service_codes_are_needed(sender: Sender, header: str) -> None:
    """400 with code 1.3 if the header is missing or says nothing."""
    answer = await sender.search("patient", ServiceCodes=header)
    assert (answer.status, answer.code) == (400, "1.3")
    answer = await sender.post("patient/_search")
    assert (answer.status, answer.code) == (400, "1.3")


@pytest.mark.parametrize("resource", ["careplan", "composition"])
async def test_dates_are_parameters_of_visits_and_measures(sender: Sender, resource: str) -> None:
    """Two dates make a range; a date that is none is refused."""
    form = f"patient.identifier={NUMBER}&date=ge2026-01-17T07:08:09Z&date=le2026-12-24T09:08:07%2B02:00"
    assert resources(await sender.search(resource, form))
    answer = await sender.search(resource, f"patient.identifier={NUMBER}&date=tomorrow")
    assert (answer.status, answer.code) == (400, "2.4")


async def test_dates_are_no_parameter_elsewhere(sender: Sender) -> None:
    """400 with code 2.3."""
    answer = await sender.search("condition", f"patient.identifier={NUMBER}&date=ge2024-05-17")
    assert (answer.status, answer.code) == (400, "2.3")
