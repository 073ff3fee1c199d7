"""A ledger that cannot be written: senders of the translated lane are told to try again, the legacy lane goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from gateway.ledger import database
from service_stubs.behaviour import Behaviour
from tests.gateway.ledger.read_only import read_only
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    assert_success,
    delivery_of,
    jft_of,
    rows,
    states,
    until_states,
)
from tests.gateway.world import NORDFJELL
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.wire import Answer
    from tests.gateway.world import World

REFUSE = "on_outage: refuse"


def unwritable(world: World) -> AbstractContextManager[None]:
    """Have the ledger of a world refuse to be written meanwhile."""
    return read_only(delivery_of(world).ledger.store.engine)


@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_sender_is_told_to_try_again_and_nothing_is_sent(
    begin: Callable[..., Awaitable[World]], policies: str
) -> None:
    """503, 3.1, with Retry-After; and when the ledger can be written again all goes on by itself."""
    world = await begin(policies)
    assert_success(await world.post("bundle", alarm()))
    world.jft.received.clear()
    world.logged.forget()
    with unwritable(world):
        body = alarm()
        answer = await world.post("bundle", body)
        world.assert_refused(answer, 503, "3.1")
        assert int(answer.values("Retry-After")[0]) > 0
        assert not world.jft.received
        assert world.logged.named("ledger.unavailable")
    assert_success(await world.post("bundle", body))
    assert len(world.delivered) == 1
    assert world.named_messages("accepted")[0]["marks"] == ()


async def test_legacy_lane_goes_on_in_a_municipality_that_moves(begin: Callable[..., Awaitable[World]]) -> None:
    """That VKP's messages would be noted is no reason to stop them."""
    world = await begin()
    with unwritable(world):
        for _ in range(3):
            assert (await world.post(f"/epj/r4/{NORDFJELL}/bundle", alarm())).status == 200
        assert len(world.vkp.received) == 3
        recorder = delivery_of(world)._recorder
        await until(lambda: not recorder._notes and not recorder._writing)
    assert await rows(world) == []


async def test_delivery_that_cannot_be_written_down_is_a_success_and_is_written_later(
    begin: Callable[..., Awaitable[World]],
) -> None:
    """JFT has it, so its sender is told so; a copy that comes meanwhile is not delivered."""
    world = await begin()
    jft, body = jft_of(world), alarm()
    jft.open.clear()
    sending = _begun(world, body)
    await until(lambda: jft.asked == 1)
    with unwritable(world):
        jft.open.set()
        assert_success(await sending)
        assert world.logged.named("ledger.delivered_not_written")
        assert await states(world) == ["delivering"]
    (row,) = await until_states(world, "delivered")
    assert row.event_id == world.delivered[0].id
    await until(lambda: bool(world.logged.named("ledger.written_late")))
    assert_success(await world.post("bundle", body))
    assert jft.asked == 1


async def test_promise_that_cannot_be_written_down_is_not_made(begin: Callable[..., Awaitable[World]]) -> None:
    """JFT fails, and holding fails too: 503, since success would be a promise that a crash takes away."""
    world = await begin()
    jft = jft_of(world)
    jft.open.clear()
    jft.behave(Behaviour(status=500))
    sending = _begun(world, alarm())
    await until(lambda: jft.asked == 1)
    with unwritable(world):
        jft.open.set()
        world.assert_refused(await sending, 503, "3.1")


async def test_held_message_that_fails_while_the_ledger_does_is_no_defect(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """That JFT did not take it is known, and is written down when that can be: it is neither lost nor unclear."""
    world = await begin()
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()))
    await world.jft.start()
    jft = jft_of(world)
    jft.open.clear()
    jft.behave(Behaviour(status=500))
    clock.now += 2
    await until(lambda: jft.asked == 1)
    with unwritable(world):
        jft.open.set()
        await until(lambda: bool(world.logged.named("ledger.unavailable")))
        await until(lambda: not delivery_of(world)._dispatch._under_way)
    assert not world.logged.named("dispatch.defect")
    await until_states(world, "held")


@pytest.mark.slow
@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_sender_is_told_to_try_again_while_somebody_has_locked_the_table(
    begin: Callable[..., Awaitable[World]], postgres: str, monkeypatch: pytest.MonkeyPatch, policies: str
) -> None:
    """Within PostgreSQL's limits, and when the lock is gone the repeat is a first delivery."""
    monkeypatch.setitem(database._POSTGRESQL, "options", "-c lock_timeout=50ms -c statement_timeout=15s")
    world = await begin(policies, top=f'store: "{postgres}"')
    body = alarm()
    with psycopg.connect(postgres) as somebody:
        somebody.execute("LOCK TABLE message IN EXCLUSIVE MODE")
        answer = await world.post("bundle", body)
        world.assert_refused(answer, 503, "3.1")
        assert int(answer.values("Retry-After")[0]) > 0
        assert not world.jft.received
    assert_success(await world.post("bundle", body))
    assert len(world.delivered) == 1
    assert world.named_messages("accepted")[0]["marks"] == ()


def _begun(world: World, body: bytes) -> asyncio.Task[Answer]:
    return asyncio.get_running_loop().create_task(world.post("bundle", body))
