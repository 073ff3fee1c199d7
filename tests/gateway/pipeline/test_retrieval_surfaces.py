"""Retrieval of STU3 and SOAP senders where VKP does not answer: the same lanes as R4's, in their own wire forms."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from gateway.observability.metrics import ANSWERS_REFUSED, COMPARED
from tests.gateway.pipeline.record_system import SOLVEIG, TORBJORN
from tests.gateway.pipeline.searching import (
    BY_SERVICE,
    FNR,
    PERSON,
    XML,
    ask,
    fault_of,
    get,
    read,
    started,
    tree_of,
)
from tests.gateway.world import NORDFJELL, ROUTES
from tests.waiting import until

if TYPE_CHECKING:
    from tests.gateway.pipeline.searching import Start


async def test_searches_over_stu3_are_answered_in_its_release_and_form(start: Start) -> None:
    """With GET, with a form, with the services named by `type.text`, and without any."""
    async with started(start) as (world, epj):
        found = await get(world, f"Patient?identifier={SOLVEIG}", headers=XML)
        assert found.values("Content-Type") == ["application/fhir+xml; charset=utf-8"]
        bundle = tree_of(found)
        assert (bundle["type"], bundle["total"].text) == ("searchset", "1")
        by_form = await get(world, "patient/_search", "POST", f"identifier={SOLVEIG}".encode())
        assert tree_of(by_form) == bundle
        services = tree_of(await get(world, f"EpisodeOfCare?type.text=TA&patient={SOLVEIG}"))
        assert services["entry"][0]["resource"]["resourceType"] == "EpisodeOfCare"
        plan = tree_of(await get(world, f"CarePlan?patient={SOLVEIG}&date=ge2024-05-17", headers=XML))
        (careplan,) = [one["resource"] for one in plan["entry"] if one["resource"]["resourceType"] == "CarePlan"]
        assert careplan["meta"]["profile"] == ["http://ehelse.no/fhir/StructureDefinition/vkp-CarePlan-v06"]
        assert [one.service_codes for one in epj.received][2] == "TA"
        assert all(one.service_codes for one in epj.received)
        assert {(one["surface"], one["outcome"]) for one in world.logged.named("message")} == {("vkp-stu3", "answered")}


async def test_a_read_and_a_name_are_chosen_from_what_the_sender_may_see(start: Start) -> None:
    """The record system has no such searches; a patient without need is not found by id either."""
    async with started(start) as (world, _):
        everybody = tree_of(await get(world, "Patient"))
        one = everybody["entry"][0]["resource"]
        assert tree_of(await get(world, f"Patient/{one['id']}")) == one
        found = tree_of(await get(world, f"Patient?name={one['name'][0]['family'][:3].lower()}"))
        assert one in [each["resource"] for each in found["entry"]]
        missing = await get(world, "Patient/nobody", headers=XML)
        assert (missing.status, tree_of(missing)["issue"][0]["details"]["text"]) == (404, "Ressursen finnes ikke")
        plan = await get(world, "CarePlan/1")
        assert (plan.status, tree_of(plan)["issue"][0]["details"]["coding"][0]["code"]) == (400, "3")
        assert SOLVEIG not in world.logged.everything()


@pytest.mark.parametrize("form", ["xml", "json"])
async def test_bad_searches_over_stu3_are_refused_in_words_and_nothing_is_fetched(start: Start, form: str) -> None:
    """In the form that is asked for, with VKP's codes; no value is repeated."""
    cases = (
        ("Patient?identifier=12345678901", 400, "2.1"),
        ("Patient?identifier=01010112345", 400, "2.1"),
        ("Patient?birthdate=1940", 400, "2.3"),
        (f"Patient?identifier={SOLVEIG}&identifier={TORBJORN}", 400, "2.3"),
        (f"Composition?subject={SOLVEIG}&date=today", 400, "2.4"),
        (f"EpisodeOfCare?type.text=DHO&patient={SOLVEIG}", 400, "1.3"),
        ("CarePlan", 400, "2.3"),
    )
    async with started(start) as (world, epj):
        for target, status, code in cases:
            answer = await get(world, target, headers=(("Accept", f"application/fhir+{form}"),))
            assert answer.values("Content-Type") == [f"application/fhir+{form}; charset=utf-8"]
            (issue,) = tree_of(answer)["issue"]
            assert (answer.status, issue["details"]["coding"][0]["code"]) == (status, code), target
            assert not [one for one in (SOLVEIG, TORBJORN, "12345678901", "01010112345") if one in str(answer.body)]
        put = await get(world, "patient/_search", "PUT", f"identifier={SOLVEIG}".encode())
        assert put.status == 400
        assert not list(epj.received)
        assert not list(world.vkp.received)
        assert SOLVEIG not in world.logged.everything()


async def test_read_and_name_are_bounded_by_what_they_find_and_not_by_the_list_they_are_looked_for_in(
    start: Start,
) -> None:
    """A record system is asked for its list, which is longer in most municipalities."""
    async with started(start, limits=", answer: 2") as (world, _):
        assert (await get(world, "Patient")).status == 400
        found = tree_of(await get(world, "Patient?name=Solveig"))
        assert found["total"].text == "1"
        patient = found["entry"][0]["resource"]
        assert tree_of(await get(world, f"Patient/{patient['id']}")) == patient


async def test_answer_that_is_no_fhir_is_refused_by_its_path_over_stu3_too(start: Start) -> None:
    """A temporary error and an alarm; what STU3 has no word for is refused for good, as not supported."""
    async with started(start) as (world, epj):
        for more, told in (
            ({"shoeSize": 44}, "The answer is no FHIR R4: Patient.shoeSize: R4 has no such element"),
            ({"name": "Solveig"}, "gerica answered what its contract does not say: Bundle.entry[0].resource.name"),
        ):
            patient = {"resourceType": "Patient", "identifier": [{"system": FNR, "value": SOLVEIG}], **more}
            epj.body = json.dumps(
                {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": patient}]}
            ).encode()
            before = ANSWERS_REFUSED.labels("gerica")._value.get()
            answer = await get(world, f"Patient?identifier={SOLVEIG}", headers=XML)
            issue = tree_of(answer)["issue"][0]
            assert (answer.status, issue["details"]["coding"][0]["code"]) == (504, "3.1")
            assert issue["diagnostics"].startswith(told)
            assert ANSWERS_REFUSED.labels("gerica")._value.get() == before + 1
            place = told.rpartition("does not say: ")[2]
            assert world.logged.named("retrieval.answer_refused")[-1]["reason"].startswith(place)


WRONG_SHAPES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"birthDate": ["1940-03-12"]}, "Bundle.entry[0].resource.birthDate: one value is expected, and no list"),
    ({"telecom": ["00000000"]}, "Bundle.entry[0].resource.telecom[0]: an object is expected"),
    ({"name": [{"family": {"x": "Eksempel"}}]}, "Bundle.entry[0].resource.name[0].family: text is expected"),
    ({"address": [{"line": [7]}]}, "Bundle.entry[0].resource.address[0].line[0]: text is expected"),
    ({"deceasedBoolean": "true"}, "Bundle.entry[0].resource.deceasedBoolean: true or false is expected"),
    ({"link": [{"type": "seealso"}]}, "Bundle.entry[0].resource.link[0].other: is missing"),
)
UNKNOWN_VALUES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"gender": "kvinne"}, "Patient.gender: not a code of administrative-gender"),
    ({"birthDate": "1.5.1940"}, "Patient.birthDate: not a date"),
    ({"telecom": [{"system": "telefon", "value": "00000000"}]}, "Patient.telecom[0].system: not a code of contact-point-system"),
    ({"address": [{"city": "Nordfjell", "period": {"end": "i går"}}]}, "Patient.address[0].period.end: not a dateTime"),
    ({"extension": [{"url": "http://ehelse.no/fhir/StructureDefinition/vkp-sone-v090", "valueCode": "x"}]}, "Patient.extension[0].valueString: is missing"),
    ({"name": [{"text": "\x01"}]}, "Patient.name[0].text: "),
)  # fmt: skip
"""Of the right shape, and yet what the plain XML would pass over."""


def _of_patient(changes: dict[str, Any]) -> bytes:
    patient = {"resourceType": "Patient", "identifier": [{"system": FNR, "value": SOLVEIG}], **changes}
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": patient}]}).encode()


async def test_element_of_a_wrong_shape_is_refused_by_its_path_on_every_surface(start: Start) -> None:
    """A temporary error and an alarm over R4, STU3 and SOAP alike, where SOAP left the element out."""
    async with started(start) as (world, epj):
        for changes, place in WRONG_SHAPES:
            epj.body = _of_patient(changes)
            before = ANSWERS_REFUSED.labels("gerica")._value.get()
            r4 = await world.post(
                f"/epj/r4/{NORDFJELL}/patient/_search",
                f"identifier={SOLVEIG}".encode(),
                headers=(("ServiceCodes", "TA"),),
            )
            stu3 = await get(world, f"Patient?identifier={SOLVEIG}")
            soap = await ask(world, "HentPasientinformasjon")
            assert (r4.status, stu3.status, fault_of(soap)) == (504, 504, (504, "3.1")), place
            assert ANSWERS_REFUSED.labels("gerica")._value.get() == before + 3
            assert [one["reason"] for one in world.logged.named("retrieval.answer_refused")] == [place] * 3
            world.forget()


async def test_value_that_soap_would_leave_out_is_refused_by_its_path(start: Start) -> None:
    """A temporary error and an alarm: what nobody understands is not as if the record system had said nothing."""
    async with started(start) as (world, epj):
        for changes, place in UNKNOWN_VALUES:
            epj.body = _of_patient(changes)
            before = ANSWERS_REFUSED.labels("gerica")._value.get()
            assert fault_of(await ask(world, "HentPasientinformasjon")) == (504, "3.1"), place
            assert ANSWERS_REFUSED.labels("gerica")._value.get() == before + 1
            (line,) = world.logged.named("retrieval.answer_refused")
            assert line["reason"].startswith(f"The resource 1 is not as VKP has it: {place}")
            world.forget()


@pytest.mark.parametrize("form", ["xml", "json"])
async def test_what_says_nothing_is_left_out_over_stu3_and_a_code_of_no_list_is_refused(
    start: Start, form: str
) -> None:
    """A record system's null is no failure of ours; a word that R4 does not have either is one of its own, with the alarm."""
    async with started(start) as (world, epj):
        nothing = {
            "gender": None,
            "birthDate": "",
            "telecom": [],
            "address": [{"line": [None], "city": {}}],
            "active": False,
        }
        epj.body = _of_patient(nothing)
        headers = (("Accept", f"application/fhir+{form}"),)
        found = tree_of(await get(world, f"Patient?identifier={SOLVEIG}", headers=headers))
        patient = found["entry"][0]["resource"]
        assert sorted(patient) == ["active", "identifier", "resourceType"]
        for changes, place in (
            ({"name": [{"use": "kallenavn", "text": "x"}]}, "Patient.name[0].use: not a code of name-use"),
            ({"link": [{"type": "x", "other": {"display": "y"}}]}, "Patient.link[0].type: not a code of link-type"),
        ):
            epj.body = _of_patient(changes)
            before = ANSWERS_REFUSED.labels("gerica")._value.get()
            answer = await get(world, f"Patient?identifier={SOLVEIG}", headers=headers)
            issue = tree_of(answer)["issue"][0]
            assert (answer.status, issue["details"]["coding"][0]["code"]) == (504, "3.1")
            assert issue["diagnostics"].startswith(f"The answer is no FHIR R4: {place}")
            assert ANSWERS_REFUSED.labels("gerica")._value.get() == before + 1


async def test_list_with_a_patient_whom_few_may_read_is_told_with_the_label_on_every_surface(start: Start) -> None:
    """Whole, so that nobody seems to have no service; what the label asks for is the sender's to do, as with VKP's own answer."""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    people: list[dict[str, Any]] = [
        {"resourceType": "Patient", "identifier": [{"system": FNR, "value": SOLVEIG}]},
        {
            "resourceType": "Patient",
            "meta": {"security": [label]},
            "identifier": [{"system": FNR, "value": TORBJORN}],
        },
    ]
    async with started(start) as (world, epj):
        epj.body = json.dumps(
            {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in people]}
        ).encode()
        r4 = await world.post(f"/epj/r4/{NORDFJELL}/patient/_search", b"", headers=(("ServiceCodes", "TA"),))
        assert [one["resource"].get("meta") for one in r4.json["entry"]] == [None, {"security": [label]}]
        stu3 = tree_of(await get(world, "Patient"))
        labels = [one["resource"].get("meta", {}).get("security", [{}])[0] for one in stu3["entry"]]
        assert [one.get("code") for one in labels] == [None, "R"]
        soap = read(await ask(world, "HentPasientinformasjon", BY_SERVICE), "HentPasientinformasjon")
        told = [(one.Identifikator[0].Id, one.Konfidensialitet) for one in soap]
        assert told == [(SOLVEIG, None), (TORBJORN, "R")]


async def test_answer_that_cannot_be_used_raises_its_alarm_in_mode_compare_too(start: Start) -> None:
    """Nobody waits for it, and an operator hears of it all the same."""
    async with started(start, routes=COMPARED_ROUTES) as (world, epj):
        epj.body = _of_patient({"gender": "kvinne"})
        before = ANSWERS_REFUSED.labels("gerica")._value.get()
        assert (await ask(world, "HentPasientinformasjon")).status == 200
        await until(lambda: ANSWERS_REFUSED.labels("gerica")._value.get() == before + 1)
        assert len(world.logged.named("retrieval.answer_refused")) == 1


@pytest.mark.parametrize("mode", ["closed, text: Stengt", "legacy"])
async def test_other_modes_hold_for_both_surfaces(start: Start, mode: str) -> None:
    """Closed in the route's words; in legacy VKP answers."""
    routes = ROUTES + f"  - {{municipality: nordfjell, information: [retrieval], mode: {mode}}}\n"
    async with started(start, routes=routes) as (world, epj):
        stu3, soap = await get(world, f"Patient?identifier={SOLVEIG}"), await ask(world, "HentTjenester")
        assert not list(epj.received)
        if mode == "legacy":
            assert (stu3.status, soap.status) == (200, 200)
            assert len(list(world.vkp.received)) == 2
        else:
            assert (stu3.status, tree_of(stu3)["issue"][0]["details"]["text"]) == (400, "Stengt")
            assert fault_of(soap) == (500, "1.2")


async def test_answers_are_compared_in_the_surfaces_own_form(start: Start) -> None:
    """VKP answers; what differs is found in STU3's XML and in the plain XML of SOAP, by names and without values."""
    before = _outcomes()
    async with started(start, routes=COMPARED_ROUTES) as (world, epj):
        for answer in (await get(world, f"Patient?identifier={SOLVEIG}"), await ask(world, "HentTjenester", PERSON)):
            assert answer.status == 200
        await until(lambda: (_outcomes() - before).total() == 2)
        assert set(_outcomes() - before) <= {"equal", "different"}
        assert len(list(epj.received)) == 2
        assert SOLVEIG not in world.logged.everything()


COMPARED_ROUTES = ROUTES + "  - {municipality: nordfjell, information: [retrieval], mode: compare}\n"


def _outcomes() -> Counter[str]:
    samples = (sample for family in COMPARED.collect() for sample in family.samples if sample.name.endswith("_total"))
    found = Counter[str]()
    for sample in samples:
        found[sample.labels["outcome"]] += int(sample.value)
    return found
