"""Rehearsals through real ports: the sender is answered by VKP as ever, and JFT never hears of it."""

from __future__ import annotations

import asyncio
import base64
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.database import open_store
from gateway.ledger.decision_log import DecisionLog, past
from gateway.ledger.rehearsals import summary
from gateway.migration.rehearsal import Rehearsals
from gateway.pipeline.pipeline import Pipeline
from gateway.runtime import build, node
from tests.gateway.auth.helseid.conftest import Clock
from tests.gateway.migration.rehearsal.scene import LOCAL_SYSTEM, with_subject
from tests.gateway.world import NORDFJELL, World, message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.wire import RawUpstream

    Start = Callable[..., Awaitable[World]]

ROUTES = (
    "  - {mode: legacy}\n"
    '  - {municipality: havnes, mode: closed, text: "Ikke ennå."}\n'
    "  - {municipality: nordfjell, information: [journaling], mode: rehearse}\n"
)
STREAMING = ROUTES.replace("information: [journaling], ", "") + (
    "  - {municipality: nordfjell, information: [retrieval], mode: legacy}\n"
)


@pytest.fixture
async def rehearsing(start: Start, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start a gateway that rehearses into a ledger of the test's own; `world.finish()` returns verdicts and decisions."""
    store = await asyncio.to_thread(open_store, "sqlite:///rehearsed.db", tmp_path, patience=0.0)
    clock = Clock()
    rehearsals, decisions = Rehearsals(lambda: store, clock), DecisionLog(lambda: store, clock)
    record = node.telemetry.record

    def recorded(account: Any, status: int, seconds: float) -> None:
        record(account, status, seconds)
        decisions.record(account)

    def exchange(*given: Any, **named: Any) -> Pipeline:
        return Pipeline(*given, **{**named, "rehearse": rehearsals.offering(given[0])})

    monkeypatch.setattr(build, "Pipeline", exchange)
    monkeypatch.setattr(node.telemetry, "record", recorded)
    rehearsals.start()
    decisions.start()
    worlds: list[World] = []

    async def finish() -> SimpleNamespace:
        for world in worlds:
            await world.stop()
        worlds.clear()
        await rehearsals.stop()
        await decisions.stop()
        return SimpleNamespace(
            verdicts=await store.read(lambda each: summary(each, since=0.0)),
            decisions=await store.read(lambda each: list(past(each, 0.0))),
        )

    async def started(**changes: Any) -> Any:
        world = await start(serve=False, **changes)
        await world.serve()
        worlds.append(world)
        return SimpleNamespace(world=world, finish=finish)

    yield started
    await finish()
    await store.close()


async def test_message_is_passed_as_in_mode_legacy_and_judged(rehearsing: Any) -> None:
    """Every byte goes to VKP and back; the verdicts and the decisions tell the rest."""
    scene = await rehearsing(routes=ROUTES)
    world = scene.world
    bodies = [message("note"), with_subject(message("note"), LOCAL_SYSTEM, "4711"), message("note")]
    for body in bodies:
        assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", body)).status == 200
    assert [base64.b64decode(one.body) for one in world.vkp.received] == bodies
    found = await scene.finish()
    assert not world.jft.received
    (cell,) = found.verdicts
    assert (cell.municipality, cell.vendor, cell.information) == ("nordfjell", "skyresponse", "notat")
    assert cell.counts == {"clean": 2, "refused": 1}
    assert cell.reasons[0].reason.startswith(
        "unknown-patient: Composition.subject.identifier.value: the patient has only"
    )
    logged = world.logged.named("message")
    assert {(one["mode"], one["upstream"], one["layer"], one["canary"]) for one in logged} == {
        ("rehearse", "vkp", "routes", False)
    }
    assert [one.reference for one in found.decisions] == [one["correlation_id"] for one in logged]
    assert {(one.information, one.mode, one.layer, one.outcome) for one in found.decisions} == {
        ("notat", "rehearse", "routes", "passed")
    }
    assert all(one.route == logged[0]["route"] for one in found.decisions)
    world.assert_discreet()


async def test_nothing_waits_for_the_body_where_every_type_is_rehearsed(
    rehearsing: Any, raw_upstream: RawUpstream
) -> None:
    """It streams: VKP has the first half before the sender has sent the second."""
    body, began = message("note"), asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(body) // 2)
        began.set()
        await reader.readexactly(len(body) - len(body) // 2)
        writer.write(raw_upstream.answer)
        await writer.drain()

    raw_upstream.play = play
    scene = await rehearsing(routes=STREAMING, vkp=raw_upstream)
    raw = scene.world.request(f"/epj/r4/{NORDFJELL}/composition", body)
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.world.data_port)
    writer.write(raw[: len(raw) - len(body) + len(body) // 2])
    await began.wait()
    writer.write(raw[len(raw) - len(body) + len(body) // 2 :])
    answer = await World.read_answer(reader)
    writer.close()
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"ok")
    (cell,) = (await scene.finish()).verdicts
    assert cell.counts == {"clean": 1}


async def test_what_was_not_read_is_judged_by_what_it_says(rehearsing: Any) -> None:
    """The verdict names the type; log and decision log do where the path says it, since nobody looked before it was answered."""
    scene = await rehearsing(routes=STREAMING)
    for name, path in (("note", "composition"), ("measurement", "bundle")):
        assert (await scene.world.post(f"/epj/r4/{NORDFJELL}/{path}", message(name))).status == 200
    found = await scene.finish()
    assert [(one.information, one.counts) for one in found.verdicts] == [
        ("maledata", {"clean": 1}),
        ("notat", {"clean": 1}),
    ]
    assert {(one.information, one.mode) for one in found.decisions} == {("notat", "rehearse"), (None, "rehearse")}


async def test_what_vkp_refuses_is_not_judged(rehearsing: Any) -> None:
    """Its status says nothing of the new side."""
    scene = await rehearsing(routes=ROUTES)
    answer = await scene.world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"), token="")
    assert answer.status == 401
    (cell,) = (await scene.finish()).verdicts
    assert cell.counts == {"not-accepted": 1}


async def test_retrieval_and_other_municipalities_are_not_rehearsed(rehearsing: Any) -> None:
    """The decision log has them all the same, the closed ones too."""
    scene = await rehearsing(routes=ROUTES)
    await scene.world.post(f"/epj/r4/{NORDFJELL}/patient/_search", b"")
    await scene.world.post("composition", message("note"))
    await scene.world.post("/somewhere/else", b"")
    found = await scene.finish()
    assert found.verdicts == []
    assert [(one.municipality, one.mode, one.outcome) for one in found.decisions] == [
        ("nordfjell", "legacy", "passed"),
        ("havnes", "closed", "closed"),
    ]
