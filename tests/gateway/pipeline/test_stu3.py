"""An STU3 message's way from end to end: what arrives where, and what its sender reads in its own wire form."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.gateway.pipeline.stu3_sender import FORMS, NORDFJELL_HER, PATIENT, assert_refused, body_of, post, read
from tests.gateway.world import HAVNES, ROUTES, accepted_count, another, message, stu3_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TAKEN = {
    "dispensed": "MedicationDispense",
    "dispense-failed": "Bundle",
    "dispense-with-note": "Bundle",
    "dispense-with-flag": "Bundle",
    "message-to-user": "MedicationDispense",
    "travel": "MedicationDispense",
    "patient-composition": "Composition",
    "location-measurement": "Bundle",
    "camera-observation": "Bundle",
    "digital-encounter": "Bundle",
}


# Mode legacy: VKP answers, whatever it is.


RENEWED = (b"c0fd6d96-d260-51da-a372-3f44a62ad7c6", b"def8d92b-c6c6-5d2f-bbc3-4122a538842d")
"""The ids of Bundle and header in the demo's dispense; the header's stands in its URL too."""


@pytest.mark.parametrize("form", FORMS)
async def test_message_with_a_new_envelope_is_a_copy(start: Callable[..., Awaitable[World]], form: str) -> None:
    """The software of a sender makes ids and the header's time anew when it sends again; one is delivered."""
    world = await start()
    body = again = body_of(f"dispensed.{form}")
    for place, known in enumerate(RENEWED):
        again = again.replace(known, b"11111111-1111-4111-8111-11111111111%d" % place)
    again = again.replace(b"2026-11-03T08:01:10+01:00", b"2026-11-03T09:30:00+01:00")
    again = again.replace(
        b"urn:uuid:69ce1531-0020-5204-9da5-7f91076a6638", b"urn:uuid:22222222-2222-4222-8222-222222222222"
    )
    answers = [await post(world, each) for each in (body, again)]
    assert [answer.status for answer in answers] == [200, 200]
    assert len(world.delivered) == 1
    assert [one["outcome"] for one in world.logged.named("message")] == ["accepted", "duplicate"]


async def test_two_dispensings_that_only_the_time_of_the_header_tells_apart_are_two(
    start: Callable[..., Awaitable[World]],
) -> None:
    """The second must not hear a success of the first."""
    world = await start()
    body = body_of("dispensed.json").replace(b"2026-11-03T08:00:21+01:00", b"2026-11-03")
    later = body.replace(b"2026-11-03T08:01:10+01:00", b"2026-11-03T20:01:10+01:00")
    for each in (body, later):
        assert (await post(world, each)).status == 200
    assert len(world.delivered) == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("resource", ["bundle", "$process-message"])
async def test_legacy_message_reaches_vkp_as_sent(world: World, form: str, resource: str) -> None:
    """Byte for byte, also from a sender that is not registered and to another receiver than the path names."""
    body = stu3_message(f"dispense-with-note.{form}")
    world.vkp.checks = "form"
    answer = await post(world, body, NORDFJELL_HER, resource, token=world.token(vkp_id=None, her_id="1"))
    _, header = read(answer, form)
    assert header is not None
    assert (answer.status, header["response"]["code"]) == (200, "ok")
    assert [one.sha256 for one in world.vkp.received] == [hashlib.sha256(body).hexdigest()]
    assert [(one["surface"], one["outcome"]) for one in world.logged.named("message")] == [("vkp-stu3", "passed")]
    world.assert_discreet(answer)


async def test_legacy_body_of_any_size_and_kind_passes(world: World) -> None:
    """Nothing is read where nothing depends on it."""
    for body in (b"<" + b"x" * 200_000, b"", b"\xff\xfe", b"<!DOCTYPE x>"):
        await post(world, body, NORDFJELL_HER)
    assert len(world.vkp.received) == 4


async def test_body_decides_where_routes_differ(start: Callable[..., Awaitable[World]]) -> None:
    """Medication of one municipality goes to JFT while its notes go to VKP."""
    world = await start(routes=ROUTES + "  - {municipality: nordfjell, information: [medisinering], mode: new}\n")
    await post(world, body_of("dispensed.xml", NORDFJELL_HER), NORDFJELL_HER)
    assert (len(world.delivered), len(world.vkp.received)) == (1, 0)
    await post(world, body_of("patient-composition.xml", NORDFJELL_HER), NORDFJELL_HER)
    assert (len(world.delivered), len(world.vkp.received)) == (1, 1)


@pytest.mark.parametrize("form", FORMS)
async def test_vkp_that_is_away_is_told_in_the_likely_form(start: Callable[..., Awaitable[World]], form: str) -> None:
    """The body went by unread, so Content-Type is all there is."""
    world = await start()
    await world.vkp.stop()
    headers = (("Content-Type", f"application/fhir+{form}"),)
    answer = await post(world, body_of(f"travel.{form}"), NORDFJELL_HER, headers=headers)
    assert_refused(world, answer, 503, "3.1", form, None)


async def test_verify_in_legacy_looks_at_the_her_id(start: Callable[..., Awaitable[World]]) -> None:
    """The token is checked, the message's own address is not."""
    world = await start(top="admit: {legacy: verify}")
    world.vkp.checks = "form"
    body = stu3_message("travel.json")
    refused = await post(world, body, NORDFJELL_HER, token=world.token(vkp_id="Everywhere"))
    assert_refused(world, refused, 403, "1.4", "json", None)
    assert (await post(world, body, NORDFJELL_HER)).status == 200
    assert len(world.vkp.received) == 1


# Mode new.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("file", "kind"), TAKEN.items())
async def test_every_kind_becomes_one_event(world: World, file: str, kind: str, form: str) -> None:
    """JFT takes it for the right municipality, and the sender's answer names its message."""
    before = accepted_count()
    body = body_of(f"{file}.{form}")
    answer = await post(world, body, resource="encounter" if file == "digital-encounter" else "bundle")
    outcome, header = read(answer, form)
    assert answer.status == 200, answer.body
    (event,) = world.delivered
    assert (event.orgnr_parent, event.resource_type, event.source_system) == (HAVNES, kind, "Skyresponse")
    if file == "digital-encounter":
        assert (header, outcome["issue"][0]["code"]) == (None, "informational")
    else:
        assert header is not None
        assert header["response"]["code"] == "ok"
        assert header["response"]["identifier"].encode() in body
        assert outcome == {}
    assert accepted_count() == before + 1
    logged = world.named_messages("accepted")[0]
    assert (logged["surface"], logged["sender"]) == ("vkp-stu3", "Everywhere")
    world.assert_discreet(answer)


async def test_decimals_keep_their_digits(world: World) -> None:
    """A position is where the sender says, not somewhere near it."""
    await post(world, body_of("location-measurement.xml"))
    assert "10.39510" in world.delivered[0].body


@pytest.mark.fact("vkp-stu3-test")
@pytest.mark.parametrize("form", FORMS)
async def test_test_message_is_delivered_nowhere(world: World, form: str) -> None:
    """It is acknowledged, said to be a test, and counted as one."""
    before = accepted_count()
    answer = await post(world, body_of(f"test.{form}"))
    outcome, header = read(answer, form)
    assert header is not None
    assert (answer.status, header["response"]["code"]) == (200, "ok")
    assert "ikke journalført" in outcome["issue"][0]["details"]["text"]
    assert not world.jft.received
    assert not world.vkp.received
    assert accepted_count() == before
    assert [one["outcome"] for one in world.logged.named("message")] == ["test"]


@pytest.mark.fact("not-to-be-journaled")
async def test_note_that_is_not_to_be_journaled_is_acknowledged_and_delivered_nowhere(world: World) -> None:
    """Its sender is told so in words, and it is counted under its own name."""
    tree = json.loads(body_of("patient-composition.json"))
    note = next(each["resource"] for each in tree["entry"] if each["resource"]["resourceType"] == "Composition")
    system = "http://ehelse.no/fhir/CodeSystem/vkp-composition-class-v06"
    note["class"] = {"coding": [{"system": system, "code": "2", "display": "ikke_respons"}]}
    answer = await post(world, json.dumps(tree).encode())
    outcome, header = read(answer, "json")
    assert header is not None
    assert (answer.status, header["response"]["code"]) == (200, "ok")
    assert "skal ikke journalføres" in outcome["issue"][0]["details"]["text"]
    assert not world.jft.received
    assert not world.vkp.received
    assert [one["outcome"] for one in world.logged.named("message")] == ["not-to-be-journaled"]


@pytest.mark.parametrize("value", ["application/json", "text/plain", "nonsense"])
async def test_content_type_does_not_matter(world: World, value: str) -> None:
    """XML is XML, whatever the field says."""
    answer = await post(world, body_of("travel.xml"), headers=(("Content-Type", value),))
    assert (answer.status, len(world.delivered)) == (200, 1)
    read(answer, "xml")


# Numbers of the record system's own.


TABLE = ', patient_ids: {"http://cosdoc.dips.no/lopenummer": {resolve: table, file: numbers.csv}}'


@pytest.mark.parametrize("form", FORMS)
async def test_local_number_is_resolved_by_the_table_that_the_reload_read(world: World, form: str) -> None:
    """What the table says when the file is read is what messages get."""
    body = body_of(f"dispensed.{form}")
    body = body.replace(b"urn:oid:2.16.578.1.12.4.1.4.1", b"http://cosdoc.dips.no/lopenummer").replace(PATIENT, b"1302")
    assert_refused(world, await post(world, body), 400, "2.1", form, "fatal-error")
    (world.folder / "numbers.csv").write_bytes(b"77,12834010060\n")
    world.write(patient_ids=TABLE)
    assert (await world.gateway.reload()).taken
    assert_refused(world, await post(world, body), 400, "2.1", form, "fatal-error")
    (world.folder / "numbers.csv").write_bytes(b"77,12834010060\n1302," + PATIENT + b"\n")
    assert (await world.gateway.reload()).taken
    assert (await post(world, body)).status == 200
    subject = json.loads(world.delivered[0].body)["subject"]["identifier"]
    assert PATIENT.decode() in json.dumps(subject)
    (world.folder / "numbers.csv").write_bytes(b"1302,x\n")
    assert not (await world.gateway.reload()).taken
    assert PATIENT.decode() not in world.logged.everything()


async def test_superseded_codes_of_a_sender_are_read_by_its_history(start: Callable[..., Awaitable[World]]) -> None:
    """What an alert code meant when the sender was built is what the record gets."""
    old = message("dispense-failed").replace(b'"code": "1.2"', b'"code": "1.6"')
    plain = await start()
    assert (await plain.post("bundle", another(old))).status == 200
    history = '{vkp_id: Everywhere, her_id: "99001", municipalities: all, code_history: {alert: until-2022-01-14}}'
    plain.write(everywhere=history)
    assert (await plain.gateway.reload()).taken
    assert (await plain.post("bundle", another(old))).status == 200
    first, second = (re.sub(UUID, "", one.body) for one in plain.delivered)
    assert first != second
