"""A running gateway whose municipality feeds PIT and OKT: services and needs from the sweep, over every surface, and no number shown."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest

from gateway.observability.metrics import ANSWERS_REFUSED, REGISTRY
from service_stubs.listening import running
from service_stubs.okt import OktStub, message
from service_stubs.people import number_of
from service_stubs.pit import PitStub
from tests.gateway.pipeline.record_system import SCOPES
from tests.gateway.pipeline.searching import ask, fault_of, get, read, tree_of
from tests.gateway.world import NORDFJELL, ROUTES
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

NUMBERS = [number_of(index) for index in range(4)]
ALARM, GPS, WITHOUT, CEASED = NUMBERS
SENDER = '{vkp_id: Everywhere, her_id: "99001", municipalities: all, service_codes: [TA, GPS, RT]}'
NEW = ROUTES + "  - {municipality: nordfjell, information: [pasientinfo, tjenester], mode: new}\n"


@pytest.fixture
async def served(start: Callable[..., Awaitable[World]]) -> AsyncIterator[tuple[World, OktStub]]:
    """Start it with four patients, three of whom have services."""
    own = ["nhn:pit/api.read", "nhn:okt/api.read", "nhn:jft/api", *SCOPES]
    world = await start(client={"scopes": own}, serve=False, everywhere=SENDER)
    async with running(PitStub(world.helseid.issuer)) as pit, running(OktStub(world.helseid.issuer)) as okt:
        pit.fill(NORDFJELL, len(NUMBERS))
        okt.put(NORDFJELL, ALARM, [message("06", "Trygghetsalarm", weeklyExtent="15 minutter"), message("15")])
        okt.put(NORDFJELL, GPS, [message("26")])
        okt.put(NORDFJELL, CEASED, [message("06", temporaryCessation=True)])
        upstreams = (
            f'  pit: {{kind: pit, url: "{pit.url}", status: test}}\n'
            f'  okt: {{kind: okt, url: "{okt.url}", status: test, sweep: {{every: 1s, rate: 1000/s}}, freshness: 1h}}\n'
        )
        world.write(upstreams=upstreams, epj=", feeds: [pit, okt]", nordfjell=", services_from: okt", routes=NEW)
        await world.serve()
        yield world, okt
        await world.stop()


async def search(world: World, resource: str, form: str = "", codes: str = "ta") -> Answer:
    """Search over R4 until the copy can answer."""

    async def answered() -> Answer | None:
        path = f"/epj/r4/{NORDFJELL}/{resource}/_search"
        answer = await world.post(path, form.encode(), headers=(("ServiceCodes", codes),))
        return None if answer.status == 503 else answer

    found: Answer = await until(answered)
    return found


async def test_services_are_answered_from_the_sweep_over_every_surface(served: tuple[World, OktStub]) -> None:
    """In R4, in STU3 and in plain XML; who has no such service, and who has ceased to, is told of to nobody."""
    world, okt = served
    found = (await search(world, "episodeofcare")).json
    assert {one["resource"]["patient"]["identifier"]["value"] for one in found["entry"]} == {ALARM}
    assert [one["resource"]["type"][0]["coding"][0]["code"] for one in found["entry"]] == ["6", "15"]
    one = await search(world, "episodeofcare", f"patient.identifier={ALARM}")
    assert one.json == found
    assert (await search(world, "patient", codes="gps")).json["total"] == 1
    for number, codes in ((GPS, "ta"), (WITHOUT, "ta,gps"), (CEASED, "ta"), (ALARM, "rt")):
        for resource, name in (("episodeofcare", "patient.identifier"), ("patient", "identifier")):
            answer = await search(world, resource, f"{name}={number}", codes)
            assert (answer.status, answer.code) == (400, "1.3"), (number, codes)
    stu3 = tree_of(await get(world, f"EpisodeOfCare?type.text=TA&patient={ALARM}", headers=(("Accept", "text/xml"),)))
    assert stu3["total"].text == "2"
    first = stu3["entry"][0]["resource"]
    assert tree_of(await get(world, f"EpisodeOfCare/{first['id']}")) == first
    person = f"<h:Pasient><h:Id>{ALARM}</h:Id><h:Type>FNR</h:Type></h:Pasient>"
    services = read(await ask(world, "HentTjenester", person), "HentTjenester")
    assert [(each.Kode, each.Omfang) for each in services] == [("6", "15 minutter"), ("15", None)]
    assert fault_of(await ask(world, "HentTjenester", person.replace(ALARM, WITHOUT))) == (500, "1.3")
    asked = {each.template for each in okt.received}
    assert asked == {"/okt-events/{pid}", "/okt-status/{pid}"}


@pytest.mark.slow
async def test_other_json_than_yesterday_is_an_alarm_and_leaves_what_is_known(served: tuple[World, OktStub]) -> None:
    """The path is told, and the answer stays as it was."""
    world, okt = served
    before = (await search(world, "episodeofcare")).json
    refused = ANSWERS_REFUSED.labels("okt")._value.get()
    okt.shape = "renamed"
    await until(lambda: ANSWERS_REFUSED.labels("okt")._value.get() > refused)
    assert (await search(world, "episodeofcare")).json == before
    (first, *_) = world.logged.named("okt.answer_refused")
    assert "serviceCode" in first["reason"]


@pytest.mark.slow
async def test_patient_whom_a_copy_too_old_does_not_have_is_not_known_yet(served: tuple[World, OktStub]) -> None:
    """PIT is away, and may have the patient by now: a temporary error in place of a need that is not fulfilled."""
    world, _ = served
    new, own = f"patient.identifier={number_of(9)}", f"patient.identifier={ALARM}"
    assert (await search(world, "episodeofcare", new)).code == "1.3"
    await search(world, "episodeofcare")
    await world.stop()
    away = re.sub(
        r"(kind: pit, url: )[^,]*", r'\1"http://127.0.0.1:1", every: 1s, freshness: 2s', world.settings["upstreams"]
    )
    world.write(upstreams=away)
    await world.serve()
    path, codes = f"/epj/r4/{NORDFJELL}/episodeofcare/_search", (("ServiceCodes", "ta"),)

    async def refused() -> Answer | None:
        answer = await world.post(path, new.encode(), headers=codes)
        return answer if answer.status == 503 else None

    assert (await until(refused)).code == "3.1"
    assert (await world.post(path, b"", headers=codes)).status == 503
    assert (await world.post(path, own.encode(), headers=codes)).json["total"] == 2


async def test_no_number_is_in_what_is_logged_counted_or_told(
    served: tuple[World, OktStub], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is asked and however it ends; nor in the files of the ledger, nor in the address of any request that we design."""
    world, okt = served
    caplog.set_level(logging.DEBUG)
    told: list[Any] = []
    for number in NUMBERS:
        await search(world, "episodeofcare", f"patient.identifier={number}")
        for target in (
            f"EpisodeOfCare?patient={number}",
            f"Patient?identifier={number}&identifier={number}",
            "Patient?x=1",
        ):
            answer = await get(world, target)
            told += [answer.body] if answer.status >= 400 else []
        person = f"<h:Pasient><h:Id>{number}</h:Id><h:Type>FNR</h:Type></h:Pasient>"
        answer = await ask(world, "HentTjenester", person)
        told += [answer.body] if answer.status >= 400 else []
    okt.shape = "half"
    await until(lambda: world.logged.named("okt.answer_refused"))
    written = await asyncio.to_thread(
        lambda: b"".join(path.read_bytes() + str(path).encode() for path in world.folder.rglob("*") if path.is_file())
    )
    shown = (world.logged.everything(), caplog.text, *capfd.readouterr(), generate_latest(REGISTRY).decode(), str(told))
    for number in NUMBERS:
        assert not [one for one in shown if number in one]
        assert number.encode() not in written


async def test_canary_takes_patients_over_alike_on_every_surface(served: tuple[World, OktStub]) -> None:
    """Who is named by a number is answered here; lists go to VKP."""
    world, _ = served
    await search(world, "episodeofcare")
    await world.stop()
    canary = "[pasientinfo, tjenester], mode: canary, share: 100%"
    world.write(routes=NEW.replace("[pasientinfo, tjenester], mode: new", canary))
    await world.serve()
    world.vkp.received.clear()
    person = f"<h:Pasient><h:Id>{ALARM}</h:Id><h:Type>FNR</h:Type></h:Pasient>"
    assert (await search(world, "episodeofcare", f"patient.identifier={ALARM}")).json["total"] == 2
    assert tree_of(await get(world, f"EpisodeOfCare?patient={ALARM}"))["total"].text == "2"
    assert len(read(await ask(world, "HentTjenester", person), "HentTjenester")) == 2
    assert not list(world.vkp.received)
    for answer in (
        await search(world, "episodeofcare"),
        await get(world, "EpisodeOfCare"),
        await ask(world, "HentTjenester", ""),
    ):
        assert answer.status == 200
    assert len(list(world.vkp.received)) == 3
