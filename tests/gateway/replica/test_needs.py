"""Whose need is fulfilled by services in the services, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy import select

from gateway.errors import Fault
from gateway.ledger.tables import REPLICA_SERVICE
from gateway.replica.patient_seal import hash_of
from gateway.surfaces.search import PatientKey
from tests.gateway.replica.services_world import ALARM, ANOTHER, GPS, HOUR, NOBODY, SOMEBODY, SweptCopy, _write_people
from translators.services import Service


async def test_services_of_a_patient_are_told_where_one_of_them_stands_behind_the_codes(services: SweptCopy) -> None:
    """All of them, in VKP's form."""
    await services.swept()
    found = await services.find(number=SOMEBODY, codes="MD TA")
    assert [(one["status"], one["type"][0]["coding"][0]["code"]) for one in found] == [
        ("active", "6"),
        ("onhold", "26"),
    ]
    assert await services.refusal(number=SOMEBODY) is Fault.NO_NEED
    assert await services.refusal() is Fault.NO_NEED
    assert await services.refusal(number=SOMEBODY, codes="GPS") is Fault.NO_SERVICE
    assert await services.refusal(number=ANOTHER, codes="GPS") is Fault.NO_SERVICE
    assert await services.refusal(number=NOBODY, codes="TA") is Fault.NO_SERVICE


async def test_list_has_the_patients_with_a_service_behind_the_codes(services: SweptCopy) -> None:
    """And nobody else; it waits for the first sweep to be complete."""
    assert await services.refusal(codes="TA") is Fault.UNAVAILABLE
    await services.swept()
    found = await services.find(codes="TA")
    assert {one["patient"]["identifier"]["value"] for one in found} == {SOMEBODY}
    assert await services.find(codes="RT") == []
    assert await services.refusal(codes="TA", most=1) is Fault.TOO_MANY_FOUND


async def test_patient_who_was_never_asked_about_is_no_patient_without_need(services: SweptCopy) -> None:
    """That is not known yet; of somebody whom the copy does not have, there is no need."""
    assert await services.refusal(number=SOMEBODY, codes="TA") is Fault.UNAVAILABLE
    services.people.known.clear()
    assert await services.refusal(number=SOMEBODY, codes="TA") is Fault.NO_SERVICE
    services.people.complete = False
    assert await services.refusal(number=SOMEBODY, codes="TA") is Fault.UNAVAILABLE


async def test_who_is_not_in_a_copy_that_is_too_old_is_nobody_without_need(services: SweptCopy) -> None:
    """PIT may have the patient by now: a temporary error, for a list too. Whom the copy has is told of as OKT said it."""
    await services.swept()
    services.people.fresh = False
    assert len(await services.find(number=SOMEBODY, codes="TA")) == 2
    assert await services.refusal(number=ANOTHER, codes="TA") is Fault.NO_SERVICE
    assert await services.refusal(number="52834010061", codes="TA") is Fault.UNAVAILABLE
    assert await services.refusal(patient=PatientKey("urn:epj", "local-52834010061"), codes="TA") is Fault.UNAVAILABLE
    assert await services.refusal(codes="TA") is Fault.UNAVAILABLE
    services.people.fresh = True
    assert await services.refusal(number="52834010061", codes="TA") is Fault.NO_SERVICE
    assert (
        await services.refusal(patient=PatientKey("urn:epj", "local-52834010061"), codes="TA") is Fault.UNKNOWN_PATIENT
    )


async def test_who_has_left_the_copy_is_told_of_no_more(services: SweptCopy) -> None:
    """Neither in a list nor by number, though OKT's last answer is kept until the next sweep is complete."""
    await services.swept()
    gone = hash_of(services.lookup, "havnes", "", SOMEBODY)
    del services.people.known[gone]
    assert await services.find(codes="TA") == []
    assert await services.refusal(number=SOMEBODY, codes="TA") is Fault.UNKNOWN_PATIENT


async def test_services_that_were_told_of_a_former_number_are_told_once(services: SweptCopy) -> None:
    """A D number that has become a national number: both are the patient's, and OKT is asked by the new one from now on."""
    await services.swept()
    former, number = hash_of(services.lookup, "havnes", "", SOMEBODY), "52834010061"
    services.people.known = {hash_of(services.lookup, "havnes", "", number): number}
    services.people.aliases = {former: list(services.people.known), next(iter(services.people.known)): [former]}
    services.okt.answers[number] = services.okt.answers.pop(SOMEBODY)
    await services.swept()
    for asked in ({"number": number}, {"number": SOMEBODY}, {}):
        found = await services.find(codes="TA", **asked)
        assert [one["patient"]["identifier"]["value"] for one in found] == [number, number], asked


async def test_patient_is_found_by_any_of_several_numbers(services: SweptCopy) -> None:
    """OKT is asked by one of them, and a sender may know another."""
    await services.swept()
    other = "52834010061"
    services.people.aliases[hash_of(services.lookup, "havnes", "", other)] = [
        hash_of(services.lookup, "havnes", "", SOMEBODY)
    ]
    assert await services.find(number=other, codes="TA") == await services.find(number=SOMEBODY, codes="TA")
    assert await services.refusal(number=other, codes="GPS") is Fault.NO_SERVICE


async def test_one_resource_is_read_by_its_id_where_there_is_a_need(services: SweptCopy) -> None:
    """Its id is the same from sweep to sweep, and names nobody."""
    await services.swept()
    one, _ = await services.find(number=SOMEBODY, codes="TA")
    services.clock.now += 6 * HOUR
    await services.swept()
    assert await services.find(id=one["id"], codes="TA") == [one]
    assert await services.refusal(id=one["id"], codes="GPS") is Fault.NO_SERVICE
    assert await services.find(id="4711", codes="TA") == []
    assert SOMEBODY not in one["id"]


async def test_local_number_finds_the_patient_that_the_copy_says(services: SweptCopy) -> None:
    """One that it does not know is refused."""
    await services.swept()
    known = PatientKey("urn:epj", f"local-{SOMEBODY}")
    assert len(await services.find(patient=known, codes="TA")) == 2
    assert await services.refusal(patient=PatientKey("urn:epj", "1"), codes="TA") is Fault.UNKNOWN_PATIENT


async def test_rows_hold_nothing_that_names_a_patient_or_a_place(services: SweptCopy) -> None:
    """Number, name and place are sealed; types and dates alone can be read."""
    services.okt.answers[SOMEBODY] = (replace(ALARM, place="1.1.1 Sone sør", description="Hemmelig"),)
    await services.swept()
    rows = await services.database.read(
        lambda connection: [tuple(row) for row in connection.execute(select(REPLICA_SERVICE))]
    )
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
    assert b"2022-06-20" in stored
    for text in (SOMEBODY, "Sone s", "Hemmelig", "Trygghetsalarm"):
        assert text.encode() not in stored


async def test_services_of_whom_the_copy_has_no_more_are_forgotten(services: SweptCopy) -> None:
    """With the end of the next sweep."""
    await services.swept()
    del services.people.known[hash_of(services.lookup, "havnes", "", SOMEBODY)]
    await services.database.write(partial(_write_people, services.people))
    services.clock.now += 6 * HOUR
    await services.swept()
    stored = await services.database.read(lambda connection: set(connection.scalars(select(REPLICA_SERVICE.c.patient))))
    assert stored == set(services.people.known)


async def test_service_keeps_its_id_when_another_of_the_patient_comes_or_goes(services: SweptCopy) -> None:
    """By which senders know it again."""
    await services.swept()
    before = {one["id"] for one in await services.find(number=SOMEBODY, codes="TA")}
    services.okt.answers[SOMEBODY] = (Service(iplos=27, start="2020-01-01"), ALARM, GPS)
    services.clock.now += 6 * HOUR
    await services.swept()
    after = {one["id"] for one in await services.find(number=SOMEBODY, codes="TA")}
    assert before < after
