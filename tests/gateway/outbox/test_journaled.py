"""`answer: journaled`: the sender waits until the message is in the record, and not for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import alarm, assert_success, jft_of, rows, until_states
from tests.gateway.outbox.test_tracking import at_epj
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

JOURNALED = "answer: journaled"
LONG, SHORT = ", journaled_wait: 10m", ", journaled_wait: 200ms"


async def delivered(world: World, body: bytes) -> asyncio.Task[Any]:
    """Send a message and wait until JFT has accepted it."""
    sending = asyncio.get_running_loop().create_task(world.post("bundle", body))
    await until_states(world, "delivered")
    return sending


async def test_sender_hears_when_the_record_has_it(begin: Callable[..., Awaitable[World]]) -> None:
    """Not when it was accepted or read, but when it was acknowledged."""
    world = await begin(JOURNALED, limits=LONG)
    sending = await delivered(world, alarm())
    await at_epj(world, "read")
    for _ in range(5):
        await rows(world)
    assert not sending.done()
    await at_epj(world, "acknowledge")
    assert_success(await sending)
    assert [one["outcome"] for one in world.logged.named("message")] == ["journaled"]
    (row,) = await rows(world)
    assert (row.state, row.payload) == ("acknowledged", None)


async def test_wait_that_ends_is_a_success_and_the_event_is_followed_on(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """JFT has it; that the record has not is no failure of the message."""
    world = await begin(JOURNALED, limits=SHORT)
    assert_success(await world.post("bundle", alarm()))
    assert [one["outcome"] for one in world.logged.named("message")] == ["accepted"]
    await at_epj(world, "acknowledge")
    clock.now += 61
    await until_states(world, "acknowledged")


@pytest.mark.slow
async def test_wait_ends_in_time_for_the_senders_own_limit(begin: Callable[..., Awaitable[World]]) -> None:
    """However long `journaled_wait` is, the request's time is the bound."""
    world = await begin(JOURNALED, limits=LONG, timeout="3s")
    assert_success(await world.post("bundle", alarm()))


async def test_status_that_fails_ends_in_success_too(begin: Callable[..., Awaitable[World]]) -> None:
    """Questions that are not answered say nothing of the message."""
    world = await begin(JOURNALED, limits=SHORT)
    jft_of(world).open.clear()
    sending = asyncio.get_running_loop().create_task(world.post("bundle", alarm()))
    await until(lambda: jft_of(world).asked == 1)
    jft_of(world).behave(Behaviour(times=1))
    jft_of(world).open.set()
    await until_states(world, "delivered")
    jft_of(world).behave(Behaviour(status=500, times=-1))
    assert_success(await sending)


async def test_copy_does_not_wait_for_the_record(begin: Callable[..., Awaitable[World]]) -> None:
    """The first was accepted, so the copy is a success at once."""
    world = await begin(JOURNALED, limits=LONG)
    body = alarm()
    sending = await delivered(world, body)
    copy = await world.post("bundle", body)
    assert not sending.done()
    await at_epj(world, "acknowledge")
    assert copy.body == (await sending).body
    assert len(world.delivered) == 1
