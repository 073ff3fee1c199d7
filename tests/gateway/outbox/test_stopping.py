"""A stop: what is in flight is finished or is unclear, what is held stays held, and nothing promised is lost."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.observability.metrics import UNCLEAR
from gateway.proxy.bounds import Bounds
from service_stubs.behaviour import Behaviour
from tests.gateway.cli.test_serve import served
from tests.gateway.outbox.conftest import (
    HOLD,
    QUICK,
    Jft,
    alarm,
    assert_success,
    counted,
    delivery_of,
    dispatching,
    jft_of,
    routes,
    rows,
    until_states,
    visit,
)
from tests.gateway.world import NORDFJELL
from tests.waiting import HANGS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

REFUSE = "on_outage: refuse"
RESEND = f"{HOLD}, unclear: resend"
IMPATIENT = {"bounds": Bounds(grace=0.05), "intervals": replace(QUICK, last_writes=0.3)}


def begun(work: Any) -> asyncio.Task[Any]:
    """Begin something."""
    return asyncio.get_running_loop().create_task(work)


async def cut_off(world: World, body: bytes) -> None:
    """Stop a gateway without patience while JFT has a message and does not answer."""
    jft = jft_of(world)
    jft.open.clear()
    sending = begun(world.post("bundle", body))
    await until(lambda: jft.asked == 1)
    await world.stop()
    with pytest.raises(AssertionError, match="without an answer"):
        await sending
    jft.open.set()


@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_message_in_flight_is_finished(begin: Callable[..., Awaitable[World]], policies: str) -> None:
    """JFT is slow: its sender gets the answer, the ledger the delivery, and only then the gateway ends."""
    world = await begin(policies)
    jft = jft_of(world)
    jft.open.clear()
    sending = begun(world.post("bundle", alarm()))
    await until(lambda: jft.asked == 1)
    stopping = begun(world.stop())
    await until(lambda: world.gateway._server.stopping)
    jft.open.set()
    assert_success(await sending)
    await stopping
    await world.serve()
    (row,) = await rows(world)
    assert (row.state, row.event_id) == ("delivered", world.delivered[0].id)


async def test_message_in_flight_is_held_when_jft_fails_meanwhile(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Its sender is told of success, and the next process delivers it."""
    world = await begin()
    jft = jft_of(world)
    jft.open.clear()
    jft.behave(Behaviour(status=500))
    sending = begun(world.post("bundle", alarm()))
    await until(lambda: jft.asked == 1)
    stopping = begun(world.stop())
    await until(lambda: world.gateway._server.stopping)
    jft.open.set()
    assert_success(await sending)
    await stopping
    clock.now += 2
    await world.serve()
    await until_states(world, "delivered")


async def test_delivery_of_a_held_message_is_finished(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """What a worker is sending ends before the ledger is closed; nothing new is begun."""
    world = await begin()
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm(0)), await world.post("bundle", alarm(1)))
    await world.jft.start()
    jft = jft_of(world)
    jft.open.clear()
    clock.now += 2
    await until(lambda: jft.asked == 1)
    delivery = delivery_of(world)
    loop, stopping = dispatching(world), begun(world.stop())
    await until(loop.done)
    assert len(delivery._dispatch._under_way) == 1
    jft.open.set()
    await stopping
    assert jft.asked == 1
    await world.serve()
    await until_states(world, "delivered", "delivered")
    assert jft.asked == 2


@pytest.mark.parametrize(
    ("policies", "state", "possible_duplicate"),
    [(REFUSE, "refused", False), (HOLD, "quarantined", False), (RESEND, "delivered", True)],
)
async def test_message_that_was_cut_off_is_unclear_at_the_next_start(
    begin: Callable[..., Awaitable[World]], policies: str, state: str, *, possible_duplicate: bool
) -> None:
    """Its sender heard nothing, and JFT may have it: it is treated as what was never answered."""
    world = await begin(policies, **IMPATIENT)
    unclear = counted(UNCLEAR, municipality="havnes")
    await cut_off(world, alarm())
    await world.serve()
    (row,) = await until_states(world, state)
    assert row.possible_duplicate is possible_duplicate
    assert [one["reference"] for one in world.logged.named("delivery.unclear")] == [row.reference]
    assert counted(UNCLEAR, municipality="havnes") == unclear + (policies == HOLD)


async def test_repeat_of_what_was_cut_off_is_delivered_and_marked(begin: Callable[..., Awaitable[World]]) -> None:
    """Where nothing was promised the sender repeats it; it may stand in the record twice, and the log says so."""
    world = await begin(REFUSE, **IMPATIENT)
    body = alarm()
    await cut_off(world, body)
    await world.serve()
    await until_states(world, "refused")
    assert_success(await world.post("bundle", body))
    assert world.named_messages("accepted")[0]["marks"] == ("possible-duplicate",)


async def test_later_messages_of_a_patient_go_on_after_one_was_cut_off(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """What waits for a person holds up nobody."""
    world = await begin(**IMPATIENT)
    await cut_off(world, alarm(0))
    await world.serve()
    await until_states(world, "quarantined")
    assert_success(await world.post("bundle", alarm(1)), await world.post("bundle", visit()))
    clock.now += 2
    await until_states(world, "quarantined", "delivered", "delivered")


@pytest.mark.slow
async def test_process_finishes_what_is_in_flight_and_ends(start: Callable[..., Awaitable[World]]) -> None:
    """SIGTERM with a slow JFT: the sender is answered, exit 0, and the file says that it is delivered."""
    world = await start(double=Jft, serve=False, routes=routes(HOLD))
    jft_of(world).open.clear()
    async with served(world) as gateway:
        sending = begun(world.post("bundle", alarm()))
        await until(lambda: jft_of(world).asked)
        gateway.process.terminate()
        await gateway.until("gateway.stopping")
        jft_of(world).open.set()
        assert_success(await sending)
        assert await asyncio.wait_for(gateway.process.wait(), 120) == 0
    database = sqlite3.connect(world.folder / "var" / "gateway.db")
    assert database.execute("SELECT state FROM message").fetchall() == [("delivered",)]
    database.close()


async def test_note_of_what_vkp_took_is_written_before_the_end(
    begin: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop right after VKP's answer costs nothing: after the change of side the copy is still known."""
    world = await begin()
    writing, finish = threading.Event(), delivery_of(world).finish

    async def written_a_little_later() -> None:
        asyncio.get_running_loop().call_later(0.05, writing.set)
        await finish()

    monkeypatch.setattr(delivery_of(world), "finish", written_a_little_later)
    busy = delivery_of(world).ledger.store.submit(lambda _: writing.wait(HANGS))
    assert (await world.post(f"/epj/r4/{NORDFJELL}/bundle", alarm())).status == 200
    await world.stop()
    assert busy.result()
    await world.serve()
    assert [row.state for row in await rows(world)] == ["passed"]
