"""What a stopping node has claimed, or knows of a delivery, is neither lost nor done twice; and it claims nothing more."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.database import LedgerUnavailable
from gateway.observability.metrics import DELIVERIES
from gateway.upstreams.jft_answers import Submitted
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    alarms_of,
    assert_success,
    counted,
    delivery_of,
    dispatching,
    jft_of,
    rows,
    until_states,
)
from tests.waiting import HANGS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from gateway.ledger.records import Due
    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World


def begun(work: Any) -> asyncio.Task[Any]:
    """Begin something."""
    return asyncio.get_running_loop().create_task(work)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Make what the ledger's writer waits for."""
    made = threading.Event()
    yield made
    made.set()


async def with_held(begin: Callable[..., Awaitable[World]], *bodies: bytes, policies: str = HOLD) -> World:
    """Start a gateway that holds messages whose time has not come, with a JFT that is back."""
    world = await begin(policies)
    await world.jft.stop()
    assert_success(*[await world.post("bundle", body) for body in bodies])
    await world.jft.start()
    return world


async def test_what_was_claimed_at_the_stop_is_delivered_and_nothing_more_is_claimed(
    begin: Callable[..., Awaitable[World]], clock: Clock, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    """The claim was on its way to the disk: whom it made the owner delivers it, and the next in line stays held."""
    world = await with_held(begin, alarm(0), alarm(1))
    delivery, asked = delivery_of(world), []
    claim = delivery.ledger.claim

    async def slow(most: int, *, until: float) -> list[Due]:
        asked.append(most)
        delivery.ledger.store.submit(lambda _: gate.wait(HANGS))
        return await claim(most, until=until)

    monkeypatch.setattr(delivery.ledger, "claim", slow)
    clock.now += 2
    await until(lambda: len(asked) == 1)
    loop, stopping = dispatching(world), begun(world.stop())
    await until(lambda: bool(loop.cancelling()))
    gate.set()
    await stopping
    assert (len(asked), alarms_of(world.delivered)) == (1, [0])
    await world.serve()
    await until_states(world, "delivered", "delivered")
    assert alarms_of(world.jft.received) == [0, 1]


async def test_claim_that_fails_at_the_stop_holds_up_nothing(
    begin: Callable[..., Awaitable[World]], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot be written while the gateway stops must not keep it from ending."""
    world = await with_held(begin, alarm())
    delivery, failing, asked = delivery_of(world), asyncio.Event(), []

    async def fail(most: int, *, until: float) -> list[Due]:
        del until
        asked.append(most)
        await failing.wait()
        raise LedgerUnavailable("SQLITE_FULL")

    monkeypatch.setattr(delivery.ledger, "claim", fail)
    await until(lambda: len(asked) == 1)
    loop, stopping = dispatching(world), begun(world.stop())
    await until(lambda: bool(loop.cancelling()))
    failing.set()
    async with asyncio.timeout(120):
        await stopping
    assert len(asked) == 1
    clock.now += 2
    await world.serve()
    await until_states(world, "delivered")


@pytest.mark.parametrize(("status", "told", "state"), [(202, "accepted", "delivered"), (500, "unavailable", "held")])
async def test_what_is_known_of_a_delivery_is_written_though_it_is_cut_off(  # noqa: PLR0917 - fixtures and cases
    begin: Callable[..., Awaitable[World]], clock: Clock, gate: threading.Event, status: int, told: str, state: str
) -> None:
    """JFT has answered and the disk is slow: at the next start nothing is unclear that is known."""
    world = await with_held(begin, alarm())
    jft, delivery = jft_of(world), delivery_of(world)
    known = counted(DELIVERIES, outcome=told)
    jft.open.clear()
    if status != 202:
        jft.behave(Behaviour(status=status))
    clock.now += 2
    await until(lambda: jft.asked == 1)
    blocked = threading.Event()

    def block(_: object) -> None:
        blocked.set()
        gate.wait(HANGS)

    delivery.ledger.store.submit(block)
    await until(blocked.is_set)
    jft.open.set()
    await until(lambda: counted(DELIVERIES, outcome=told) == known + 1)
    await delivery._dispatch.finish(0.0)
    gate.set()
    (row,) = await until_states(world, state)
    assert (row.event_id is not None, row.possible_duplicate) == (status == 202, False)


async def test_nothing_is_sent_once_another_node_may_take_it(
    begin: Callable[..., Awaitable[World]], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim took so long that its lease is almost over: the message goes back, and blames nobody."""
    world = await with_held(begin, alarm())
    delivery, loop = delivery_of(world), asyncio.get_running_loop()
    claim, time, late = delivery.ledger.claim, loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: time() + late)

    async def slow(most: int, *, until: float) -> list[Due]:
        nonlocal late
        found = await claim(most, until=until)
        late += 31.0 if found else 0.0
        return found

    monkeypatch.setattr(delivery.ledger, "claim", slow)
    clock.now += 2
    await until(lambda: late > 0)
    (row,) = await until_states(world, "held")
    assert (row.tries, row.attempts, jft_of(world).asked) == (2, 0, 0)
    monkeypatch.undo()


async def test_late_note_of_a_delivery_that_another_node_made_too_is_told(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Two events of one message are in JFT; whoever learns of it second tells, however late it could write."""
    world = await with_held(begin, alarm())
    clock.now += 2
    (row,) = await until_states(world, "delivered")
    delivery = delivery_of(world)
    event = world.delivered[0]

    await delivery._recorder.delivered(row.id, row.reference, Submitted(f"{event.id}-2", "Bundle"), 60.0)
    assert [one["reference"] for one in world.logged.named("ledger.delivered_twice")] == [row.reference]
    assert (await rows(world))[0].event_id == event.id
