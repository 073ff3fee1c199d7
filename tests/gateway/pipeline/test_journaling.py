"""A message's way where it is translated: what arrives at JFT, what is refused, and that nothing is promised that was not done."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from service_stubs.listening import running
from tests.each import in_one_world
from tests.gateway.world import HAVNES, ROUTES, SORVIK, VIKAN, accepted_count, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World


async def test_new_journaling_becomes_one_event(world: World) -> None:
    """JFT gets the repaired message for the right municipality, from the sender's system by name."""
    before = accepted_count()
    answer = await world.post("bundle", message("quirks"))
    issue = answer.json["issue"][0]
    assert (answer.status, issue["severity"], issue["code"]) == (200, "information", "informational")
    assert issue["details"]["text"]
    assert issue["diagnostics"]
    event = world.delivered[0]
    assert len(world.jft.received) == 1
    assert (event.target, event.orgnr_parent, event.source_system) == ("/v1/Bundle", HAVNES, "Skyresponse")
    composition = json.loads(event.body)["entry"][0]["resource"]
    assert composition["subject"]["identifier"]["value"] == "12834010060"
    assert composition["section"][0]["title"] == "Alarm info"
    assert accepted_count() == before + 1
    logged = world.named_messages("accepted")[0]
    assert (logged["event_id"], logged["upstream"], logged["mode"]) == (event.id, "jft", "new")
    assert {"object-wrapped-in-array", "empty-string-dropped", "whitespace-trimmed"} <= set(logged["repairs"])
    assert not world.vkp.received
    world.assert_discreet(answer)


@in_one_world(
    ("path", "name", "kind"),
    [
        ("composition", "note", "Composition"),
        ("medicationdispense", "dispensed", "MedicationDispense"),
        ("bundle", "measurement", "Bundle"),
        ("bundle", "supervision", "Bundle"),
        ("bundle", "dispense-failed", "Bundle"),
        ("encounter", "encounter-alone", "Bundle"),
    ],
)
async def test_every_kind_that_jft_takes_is_delivered(world: World, path: str, name: str, kind: str) -> None:
    """Each of the demo's messages becomes an event of its resource type, its decimals as they were written."""
    assert (await world.post(path, message(name))).status == 200
    assert [one.resource_type for one in world.delivered] == [kind]
    assert ("81.30" in world.delivered[0].body) == (name == "measurement")


@pytest.mark.fact("jft-numbers")
@pytest.mark.parametrize(("setting", "status"), [("", 200), (", numbers: everywhere", 400)])
async def test_numbers_of_other_people_pass_unless_jft_looks_at_them(
    start: Callable[..., Awaitable[World]], setting: str, status: int
) -> None:
    """Only elements that identify the patient are checked: an author's number is not the patient's."""
    world = await start(jft=setting)
    body = message("note").replace(b"30714510106", b"30714510107")
    assert (await world.post("composition", body)).status == status


COMMUNICATION = (
    b'{"resourceType":"Communication","status":"completed","subject":{"identifier":'
    b'{"system":"urn:oid:2.16.578.1.12.4.1.4.1","value":"30714510343"}}}'
)


async def test_a_message_that_says_no_time_is_journaled_at_the_time_it_came(world: World) -> None:
    """A Communication alone becomes a document; without `sent` its time is the gateway's own clock."""
    assert (await world.post("communication", COMMUNICATION)).status == 200
    document = json.loads(world.delivered[0].body)
    assert document["timestamp"] == document["entry"][0]["resource"]["date"]
    assert datetime.fromisoformat(document["timestamp"]).tzinfo is not None


REFUSALS = [
    ("bundle", message("bad-patient"), 400, "2.1"),
    ("composition", message("note").replace(b"01813210084", b"13116900216"), 400, "2.1"),
    ("composition", message("note").replace(b"4.1.4.1", b"4.1.4.9"), 400, "2.1"),
    ("composition", message("note").replace(b'"title": "Fritt', b'"tilte": "Fritt'), 400, "2.4"),
    ("bundle", message("note"), 400, "2.4"),
    ("composition", b'{"resourceType":"Composition","resourceType":"Composition"}', 400, "2.4"),
    ("composition", message("note").replace(b'"status": "final"', b'"status": {"a": "b"}'), 400, "2.4"),
]


@in_one_world(
    ("path", "body", "status", "code"),
    REFUSALS,
    ids=[
        "check digits",
        "real number",
        "local number",
        "loss",
        "other kind",
        "twice",
        "shape",
    ],
)
async def test_message_that_cannot_be_delivered_is_refused(
    world: World, path: str, body: bytes, status: int, code: str
) -> None:
    """The sender hears why, nothing reaches JFT, and no number is shown anywhere."""
    before = accepted_count()
    answer = await world.post(path, body)
    world.assert_refused(answer, status, code)
    assert not world.jft.received
    assert accepted_count() == before


async def test_patient_number_is_refused_by_its_place(world: World) -> None:
    """The diagnostics name the element and never the number."""
    issue = world.assert_refused(await world.post("bundle", message("bad-patient")), 400, "2.1")
    assert "Bundle.entry[0].resource.subject.identifier.value" in issue["diagnostics"]


async def test_loss_is_listed_by_its_path(world: World) -> None:
    """What would be lost is named by element, never by value."""
    body = message("note").replace(b'"title": "Fritt notat"', b'"hemmelig": "Kari 12834010060", "title": "x"')
    issue = world.assert_refused(await world.post("composition", body), 400, "2.4")
    assert "Composition.hemmelig" in issue["diagnostics"]
    assert "Kari" not in world.logged.everything()


async def test_tolerated_loss_is_delivered_and_counted(start: Callable[..., Awaitable[World]]) -> None:
    """A route may name a path whose loss it tolerates; the loss is still logged."""
    routes = ROUTES.replace(
        "havnes, information: [journaling], mode: new",
        "havnes, information: [journaling], mode: new, losses: [Composition.ward]",
    )
    world = await start(routes=routes)
    body = message("note").replace(b'"title": "Fritt notat"', b'"ward": "x", "title": "Fritt notat"')
    assert (await world.post("composition", body)).status == 200
    assert "ward" not in world.delivered[0].body
    assert world.named_messages("accepted")[0]["losses"] == 1


async def test_closed_route_says_its_text(world: World) -> None:
    """The sender's user reads what the route says."""
    answer = await world.post(f"/epj/r4/{SORVIK}/bundle", message("supervision"))
    issue = world.assert_refused(answer, 400, "1.2")
    assert issue["details"]["text"] == "Send etter mandag."


async def test_retrieval_passes_where_it_is_legacy(world: World) -> None:
    """The same municipality may still be read through VKP."""
    answer = await world.post(
        f"/epj/r4/{VIKAN}/condition/_search", b"patient.identifier=12834010060", headers=(("ServiceCodes", "rt"),)
    )
    assert answer.status == 200
    assert (answer.json["resourceType"], len(world.vkp.received)) == ("Bundle", 1)


async def test_sender_that_leaves_does_not_lose_the_account(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """An event that JFT accepted is logged and counted although nobody waited for the answer."""
    async with running(raw_upstream):
        world = await start(write=raw_upstream.url)
        before = accepted_count()
        arrived, released = raw_upstream.hold()
        location = b"Location: https://read.example/v1/Bundle/0d0bbd6c-7f0e-4b6a-9a57-5f9c8d7f2d11/$status\r\n"
        raw_upstream.answer = b"HTTP/1.1 202 Accepted\r\n" + location + b"Content-Length: 0\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
        writer.write(world.request(f"/epj/r4/{HAVNES}/bundle", message("alarm-follow-up")))
        await asyncio.wait_for(arrived.wait(), 120)
        writer.close()
        await writer.wait_closed()
        released.set()
        await asyncio.wait_for(world.logged.message.wait(), 120)
    assert [one["outcome"] for one in world.logged.named("message")] == ["accepted"]
    assert accepted_count() == before + 1
