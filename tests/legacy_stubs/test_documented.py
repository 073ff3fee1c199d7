"""What VKP is documented to look at besides reading a message, and what nobody knows of it played both ways."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from legacy_stubs.access import AccessRegister
from legacy_stubs.records import PATIENTS
from tests.legacy_stubs.test_stu3 import HEADER, post

if TYPE_CHECKING:
    from tests.legacy_stubs.conftest import Answer, Sender

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
ORGNR = "310000001"
NOTE = {"resourceType": "Composition", "subject": {"display": "Solveig Fiktiv"}}
DISPENSE = {"resourceType": "MedicationDispense", "category": {"text": "utlevert"}, "performer": [{"actor": {}}]}
WRONG = {"identifier": {"system": FNR, "value": "12345678901"}}


@pytest.mark.fact("vkp-access-register")
@pytest.mark.parametrize(
    ("register", "status", "code"),
    [
        (AccessRegister(receivers={"vendor-test": frozenset({ORGNR})}), 200, None),
        (AccessRegister(receivers={"vendor-test": frozenset({"310000002"})}), 403, "1.4"),
        (AccessRegister(receivers={}), 403, "1.4"),
        (AccessRegister(inactive=frozenset({ORGNR})), 403, "1.1"),
        (AccessRegister(known=frozenset({"310000002"})), 400, "2.2"),
    ],
)
async def test_its_register_says_who_may_call_whom(
    sender: Sender, register: AccessRegister, status: int, code: str | None
) -> None:
    """By sender and municipality; a municipality may have stopped submission, or not be known."""
    sender.vkp.register = register
    answer = await sender.post("composition", NOTE)
    assert (answer.status, answer.code if code else None) == (status, code)


@pytest.mark.fact("helseid-one-api")
async def test_a_token_for_another_api_is_refused_where_it_looks(sender: Sender) -> None:
    """Whether VKP looks is not documented, so the double does either."""
    for audience, expected in ((sender.vkp.audience, 401), (None, 200)):
        sender.vkp.audience = audience
        assert (await sender.post("composition", NOTE, token=sender.token(audience="nhn:jft"))).status == expected


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (DISPENSE, None),
        ({**DISPENSE, "category": None}, "2.4"),
        ({**DISPENSE, "performer": []}, "2.4"),
        ({**NOTE, "subject": ""}, "2.4"),
        ({**NOTE, "subject": WRONG}, "2.1"),
        ({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Flag", "subject": WRONG}}]}, "2.1"),
        ({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "MedicationDispense"}}]}, "2.4"),
    ],
)
async def test_what_its_profiles_need_is_looked_for(sender: Sender, resource: dict[str, Any], code: str | None) -> None:
    """As documented, or only that it can be read."""
    path = resource["resourceType"].lower()
    answer = await sender.post(path, resource)
    assert (answer.status, answer.code if code else None) == (400 if code else 200, code)
    sender.vkp.checks = "form"
    assert (await sender.post(path, resource)).status == 200


@pytest.mark.fact("vkp-header-addresses")
@pytest.mark.parametrize(
    ("bundle", "header", "status"),
    [
        ({}, {}, 200),
        ({"type": "collection"}, {}, 400),
        ({}, {"event": {"code": "Something"}}, 400),
        ({}, {"event": None}, 400),
        ({}, {"receiver": {"identifier": {"value": "95938"}}}, 400),
        ({}, {"receiver": None}, 400),
        ({}, {"sender": {"identifier": {"value": "95938"}}}, 403),
    ],
)
async def test_an_stu3_message_says_what_it_is_and_whom_it_is_for(
    sender: Sender, bundle: dict[str, Any], header: dict[str, Any], status: int
) -> None:
    """Type, event, receiver and sender, against address and token."""
    entry = [{"resource": {**HEADER, **header}}]
    body = json.dumps({"resourceType": "Bundle", "type": "message", "entry": entry, **bundle}).encode()
    assert (await post(sender, "102287/bundle", body))[0] == status


@pytest.mark.fact("vkp-success-unknown")
async def test_what_it_has_stored_may_fail_at_the_record_system_later(sender: Sender) -> None:
    """Its sender has been told of success in both cases."""
    for fails in (False, True):
        sender.vkp.fails_later = fails
        assert (await sender.post("composition", NOTE)).status == 200
    await sender.search("patient")
    assert [one.journaled for one in sender.vkp.received] == [True, False, None]


def names(answer: Answer) -> list[str]:
    """Return the families that a search found."""
    return [entry["resource"]["name"][0]["family"] for entry in answer.body.get("entry", [])]


@pytest.mark.fact("vkp-service-codes", "vkp-no-hits")
async def test_lists_have_the_patients_of_the_senders_services(sender: Sender) -> None:
    """And nothing is told of a patient who gets none of them (1.3)."""
    assert names(await sender.search("patient", ServiceCodes="MD, dt")) == ["Oppdiktet"]
    empty = await sender.search("patient", ServiceCodes="dt")
    assert (empty.body["total"], "entry" in empty.body) == (0, False)
    answer = await sender.search("patient", {"identifier": PATIENTS[0].number}, ServiceCodes="md")
    assert (answer.status, answer.code) == (400, "1.3")
    sender.vkp.register = AccessRegister(services={"vendor-test": frozenset({"rt"})})
    assert (await sender.search("patient", ServiceCodes="rt,md")).code == "1.3"


@pytest.mark.parametrize(
    ("date", "found"),
    [("2026-05-04", 1), ("ge2026-05-05", 0), ("lt2026-05-05", 1), ("2026-05", 1), ("ne2026-05-04", 0)],
)
async def test_visits_are_found_by_their_day(sender: Sender, date: str, found: int) -> None:
    """A FHIR date with its prefix."""
    answer = await sender.search("careplan", {"patient.identifier": PATIENTS[0].number, "date": date})
    kinds = [entry["resource"]["resourceType"] for entry in answer.body.get("entry", [])]
    assert kinds.count("CarePlan") == found


async def test_what_it_returns_names_its_profiles(sender: Sender) -> None:
    """Those that VKP has published."""
    answer = await sender.search("patient")
    profile = "http://ehelse.no/fhir/StructureDefinition/vkp-Patient-v090"
    assert {tuple(entry["resource"]["meta"]["profile"]) for entry in answer.body["entry"]} == {(profile,)}


@pytest.mark.fact("vkp-stu3-searches")
@pytest.mark.parametrize(
    ("path", "status", "found"),
    [
        ("patient", 200, 3),
        ("patient?name=fiktiv", 200, 1),
        (f"Patient?identifier={FNR}%7C{PATIENTS[1].number}", 200, 1),
        ("EpisodeOfCare?type.text=GPS", 200, 1),
        ("EpisodeOfCare?type=rt", 200, 3),
        (f"composition?subject={PATIENTS[2].number}&date=2026-02-03", 200, 1),
        ("patient?birthdate=1941-03-17", 400, None),
        ("patient/nobody", 404, None),
        (f"patient/patient-{PATIENTS[0].number[-5:]}", 200, None),
    ],
)
async def test_searches_of_stu3_have_the_documented_parameters(
    sender: Sender, path: str, status: int, found: int | None
) -> None:
    """Those of the CapabilityStatement, and `read`."""
    token = sender.token(vkp_id=None, her_id="95341")
    url = f"{sender.vkp.url}/epj/stu3/102287/{path}"
    async with sender.session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
        body = await response.json(content_type=None)
        assert (response.status, body.get("total")) == (status, found)
