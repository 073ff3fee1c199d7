"""A message that was sent and never answered: nobody knows whether it is in the record, and each route says what then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.observability.metrics import QUARANTINED, UNCLEAR
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    alarms_of,
    assert_success,
    counted,
    jft_of,
    rows,
    states,
    until_states,
)
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.clocks import LoopClock
    from tests.gateway.world import World

REFUSE = "on_outage: refuse"
RESEND = f"{HOLD}, unclear: resend"
LOST = Behaviour(status="202-then-drop")


async def held_then_lost(begin: Callable[..., Awaitable[World]], clock: Clock, policies: str) -> tuple[World, bytes]:
    """Hold a message, and let JFT take it without an answer when its turn comes."""
    world = await begin(policies)
    await world.jft.stop()
    body = alarm()
    assert_success(await world.post("bundle", body))
    await world.jft.start()
    world.jft.behave(LOST)
    clock.now += 2
    return world, body


def bodies(world: World) -> list[str]:
    """Return what JFT was sent."""
    return [one.body for one in world.jft.received]


async def test_unclear_message_is_set_aside_and_alarmed(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """Its sender is told of success, since it was promised; it is never sent again; a person hears of it at once."""
    world = await begin()
    unclear, quarantined = (counted(each, municipality="havnes") for each in (UNCLEAR, QUARANTINED))
    world.jft.behave(LOST)
    body = alarm()
    first = await world.post("bundle", body)
    assert_success(first)
    (row,) = await until_states(world, "quarantined")
    assert (row.reason, row.told, row.payload is None) == ("unclear", True, False)
    assert [one["reference"] for one in world.logged.named("delivery.unclear")] == [row.reference]
    assert counted(UNCLEAR, municipality="havnes") == unclear + 1
    assert counted(QUARANTINED, municipality="havnes") == quarantined + 1
    clock.now += 3600
    assert (await world.post("bundle", body)).body == first.body
    assert_success(await world.post("bundle", alarm(1)))
    assert alarms_of(world.jft.received) == [0, 1]


async def test_held_message_that_becomes_unclear_is_set_aside_and_alarmed(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """The same holds when it is sent later."""
    unclear = counted(UNCLEAR, municipality="havnes")
    world, body = await held_then_lost(begin, clock, HOLD)
    (row,) = await until_states(world, "quarantined")
    assert row.reason == "unclear"
    assert counted(UNCLEAR, municipality="havnes") == unclear + 1
    clock.now += 3600
    assert_success(await world.post("bundle", body))
    assert len(world.jft.received) == 1
    assert [one["reference"] for one in world.logged.named("delivery.unclear")] == [row.reference]


async def test_unclear_message_is_sent_again_where_the_route_says_so(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """With the same identifiers, so that the record system can tell; and marked in the ledger."""
    world = await begin(RESEND)
    world.jft.behave(LOST)
    assert_success(await world.post("bundle", alarm()))
    assert await states(world) == ["held"]
    clock.now += 2
    (row,) = await until_states(world, "delivered")
    assert row.possible_duplicate
    first, second = bodies(world)
    assert first == second


async def test_held_message_that_becomes_unclear_is_sent_again_where_the_route_says_so(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """The same holds when it is sent later."""
    world, _ = await held_then_lost(begin, clock, RESEND)
    await until(lambda: len(world.jft.received) == 1)
    await until_states(world, "held")
    clock.now += 4
    (row,) = await until_states(world, "delivered")
    assert row.possible_duplicate
    first, second = bodies(world)
    assert first == second


async def test_unclear_message_is_refused_and_its_repeat_marked(begin: Callable[..., Awaitable[World]]) -> None:
    """504, 3.1; the repeat is delivered with the same identifiers, and the log says that it may be there twice."""
    world = await begin(REFUSE)
    world.jft.behave(LOST)
    body = alarm()
    world.assert_refused(await world.post("bundle", body), 504, "3.1")
    (row,) = await rows(world)
    assert (row.state, row.reason, row.told, row.payload) == ("refused", "unclear", False, None)
    again = await world.post("bundle", body)
    assert_success(again)
    assert world.named_messages("accepted")[0]["marks"] == ("possible-duplicate",)
    (row,) = await rows(world)
    assert (row.state, row.possible_duplicate) == ("delivered", True)
    first, second = bodies(world)
    assert first == second
    assert (await world.post("bundle", body)).body == again.body
    assert len(world.jft.received) == 2


async def test_mark_stays_when_the_repeat_fails_too(begin: Callable[..., Awaitable[World]]) -> None:
    """Once it may have arrived, it may have arrived, whatever JFT said of the next one."""
    world = await begin(REFUSE)
    body = alarm()
    for status in ("202-then-drop", 503):
        world.jft.behave(Behaviour(status=status))  # type: ignore[arg-type] # one of its words
        assert (await world.post("bundle", body)).status >= 500
    assert_success(await world.post("bundle", body))
    assert world.named_messages("accepted")[0]["marks"] == ("possible-duplicate",)


@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_slow_jft_is_unclear_and_told_in_time(
    begin: Callable[..., Awaitable[World]], loop_clock: LoopClock, policies: str
) -> None:
    """The bytes have left and the sender's patience ends."""
    world = await begin(policies, timeout="40s")
    jft_of(world).open.clear()
    posted = asyncio.get_running_loop().create_task(world.post("bundle", alarm()))
    await until(lambda: jft_of(world).asked)
    await loop_clock.move(39.9)
    answer = await posted
    assert answer.status == (504 if policies == REFUSE else 200)
    await until_states(world, "refused" if policies == REFUSE else "quarantined")
    jft_of(world).open.set()
