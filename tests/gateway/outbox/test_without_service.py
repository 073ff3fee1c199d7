"""All is legacy again and JFT is configured no more, but messages are left: what can be done is done, and the rest is told."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.messages import Ledger
from gateway.ledger.retention import PURGE, last_run
from gateway.ledger.returns import Selection
from gateway.observability.metrics import LEDGER_MESSAGES
from gateway.outbox.returns import NO_SERVICE
from tests.gateway.ledger.conftest import taken
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    assert_success,
    delivery_of,
    routes,
    rows,
    states,
    until_states,
    visit,
)
from tests.gateway.world import NORDFJELL
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

DAY = 86_400
LEGACY = "  - {mode: legacy}\n"


def without_jft(world: World) -> None:
    """Write a configuration in which VKP answers everything."""
    world.write(routes=LEGACY)
    text = re.sub(r"  jft: \{kind.*\n", "", world.config.read_text(encoding="utf-8"))
    text = text.replace("generation: new", "generation: legacy")
    world.config.write_text(re.sub(r", (reads|feeds): \[[^]]*\]", "", text), encoding="utf-8")


async def left_behind(begin: Callable[..., Awaitable[World]], way: str) -> World:
    """Deliver a message and hold two, and take JFT out of the configuration."""
    world = await begin()
    assert_success(await world.post("bundle", visit()))
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm(0)), await world.post("bundle", alarm(1)))
    world.logged.forget()
    without_jft(world)
    if way == "restart":
        await world.stop()
        await world.serve()
    else:
        assert (await world.gateway.reload()).taken
    return world


@pytest.mark.parametrize("way", ["reload", "restart"])
async def test_what_is_left_is_told_and_counted(begin: Callable[..., Awaitable[World]], way: str) -> None:
    """Once, as an error that says how much; the metric goes on saying it, and nothing crashes."""
    world = await left_behind(begin, way)
    await until(lambda: bool(world.logged.named("delivery.without_service")))
    (told,) = world.logged.named("delivery.without_service")
    assert (told["held"], told["followed"]) == (2, 1)
    await delivery_of(world)._upkeep.count()
    assert LEDGER_MESSAGES.labels("havnes", "held")._value.get() == 2
    assert (await world.post(f"/epj/r4/{NORDFJELL}/bundle", alarm())).status == 200
    assert await states(world) == ["delivered", "held", "held"]
    assert len(world.logged.named("delivery.without_service")) == 1
    defects = [one["event"] for one in world.logged.events if one["event"].endswith(".defect")]
    assert not defects
    assert not any(loop._task is None or loop._task.done() for loop in delivery_of(world)._loops)


async def test_more_that_is_held_is_told_again(begin: Callable[..., Awaitable[World]]) -> None:
    """As when a person releases one from quarantine: nothing delivers it."""
    world = await left_behind(begin, "reload")
    await until(lambda: bool(world.logged.named("delivery.without_service")))
    await taken(Ledger(delivery_of(world).ledger.store, "another", world.jft.clock), "more")
    await until(lambda: len(world.logged.named("delivery.without_service")) == 2)
    assert world.logged.named("delivery.without_service")[1]["held"] == 3


async def test_empty_ledger_is_no_alarm(begin: Callable[..., Awaitable[World]]) -> None:
    """Where nothing is left nothing is told."""
    world = await begin()
    without_jft(world)
    assert (await world.gateway.reload()).taken
    await delivery_of(world)._upkeep.count()
    assert not world.logged.named("delivery.without_service")


async def test_lost_messages_are_set_aside_and_old_ones_cleared_away(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """What was with a process that is gone is told, and nothing is kept for longer than may be but what was promised."""
    world = await left_behind(begin, "restart")
    delivery = delivery_of(world)
    await taken(Ledger(delivery.ledger.store, "gone", clock), "lost", received_at=clock.now)
    await delivery._upkeep.recover()
    assert [one["reference"] for one in world.logged.named("delivery.unclear")] == ["lost"]
    for loop in delivery._upkeep.loops:
        await loop.finish()  # nothing of it may be under way when the clock is moved
    clock.now += 400 * DAY
    for _ in range(2):
        await delivery._upkeep.purge()
        clock.now += 400 * DAY
    await delivery._upkeep.purge()
    assert {(row.state, row.promised, row.event_id) for row in await rows(world)} == {
        (state, True, None) for state in ("held", "quarantined")
    }
    assert await last_run(delivery.ledger.store, PURGE) == clock.now
    told = [each["event"] for each in world.logged.events if each["event"].startswith("retention.")]
    assert [each["messages"] for each in world.logged.named("retention.kept_longer")] == [3, 3, 3]
    assert told.count("retention.never_acknowledged") == 1


async def test_what_was_left_is_delivered_when_jft_is_configured_again(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Nothing of it is lost meanwhile."""
    world = await left_behind(begin, "reload")
    await world.jft.start()
    world.write(routes=routes(HOLD))
    assert (await world.gateway.reload()).taken
    clock.now += 2
    await until_states(world, "delivered", "delivered", "delivered")


async def test_nothing_can_be_sent_back_and_it_is_said_why(begin: Callable[..., Awaitable[World]]) -> None:
    """Without JFT nobody knows what was read."""
    world = await left_behind(begin, "reload")
    assert delivery_of(world).returning.obstacle(Selection("havnes", 0.0)) == NO_SERVICE


async def test_alarms_of_upkeep_are_told_also_when_it_is_cancelled(
    begin: Callable[..., Awaitable[World]], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message was set aside while the gateway stopped: a person hears of it all the same."""
    world = await begin()
    delivery, gate, recovered = delivery_of(world), asyncio.Event(), asyncio.Event()
    await taken(Ledger(delivery.ledger.store, "gone", clock), "lost")
    recover = delivery.ledger.recover

    async def slow(**how: Any) -> object:
        found = await recover(**how)
        recovered.set()
        await gate.wait()
        return found

    monkeypatch.setattr(delivery.ledger, "recover", slow)
    upkeep = delivery._upkeep
    working = upkeep._loop("recover", upkeep.recover, 3600.0)
    working.start()
    await recovered.wait()
    await working.stop()
    gate.set()
    await until(lambda: bool(world.logged.named("delivery.unclear")))
    assert await states(world) == ["quarantined"]
