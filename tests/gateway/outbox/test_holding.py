"""Messages that are promised while JFT is away: kept, delivered in order when it is back, and never too many."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    QUICK,
    alarm,
    alarms_of,
    assert_success,
    delivery_of,
    jft_of,
    means_of,
    rows,
    states,
    until_states,
    until_written,
    visit,
)
from tests.gateway.world import VIKAN
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.upstreams.circuit_breaker import CircuitBreaker
    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World

BREAKER = ", breaker: {failures: 2, pause: 1h, longest: 1h}"


def breaker_of(world: World) -> CircuitBreaker:
    """Return the breaker in front of JFT."""
    return means_of(world).service.breaker


def end_pause(world: World) -> None:
    """Let the breaker's pause be over."""
    breaker_of(world)._opens_until = asyncio.get_running_loop().time()


async def test_held_messages_are_delivered_in_order_when_jft_is_back(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Each sender is told of success, and what is about one patient arrives as it came."""
    world = await begin()
    await world.jft.stop()
    answers = [await world.post("bundle", alarm(number)) for number in range(4)]
    assert_success(*answers)
    assert [one["outcome"] for one in world.logged.named("message")] == ["held"] * 4
    assert await states(world) == ["held"] * 4
    await world.jft.start()
    clock.now += 2
    await until_states(world, *["delivered"] * 4)
    assert alarms_of(world.delivered) == [0, 1, 2, 3]
    # What is written down is told a moment later.
    await until(lambda: len(world.logged.named("delivery.accepted")) == 4)
    world.assert_discreet(*answers)


async def test_reference_of_a_held_message_is_that_of_its_answer(begin: Callable[..., Awaitable[World]]) -> None:
    """What a sender's developer quotes is what an operator finds."""
    world = await begin()
    await world.jft.stop()
    answer = await world.post("bundle", alarm())
    (row,) = await rows(world)
    assert row.reference in answer.json["issue"][0]["diagnostics"]
    assert row.reference == world.named_messages("held")[0]["correlation_id"]
    assert [line.split(" ", 3)[2] for line in row.history.splitlines()] == ["received", "delivering", "held"]


async def test_message_waits_for_an_earlier_one_about_its_patient(begin: Callable[..., Awaitable[World]]) -> None:
    """While the first is on its way the second is held and promised; another patient's goes at once."""
    world = await begin()
    jft = jft_of(world)
    jft.open.clear()
    first = asyncio.get_running_loop().create_task(world.post("bundle", alarm(1)))
    await until(lambda: jft.asked == 1)
    assert_success(await world.post("bundle", alarm(2)))
    other = asyncio.get_running_loop().create_task(world.post("bundle", visit()))
    await until(lambda: jft.asked == 2)
    assert await states(world) == ["delivering", "held", "delivering"]
    jft.open.set()
    assert_success(await first, await other)
    await until_states(world, *["delivered"] * 3)
    assert alarms_of(world.delivered) == [1, 2]


async def test_patients_of_different_municipalities_do_not_wait_for_each_other(
    begin: Callable[..., Awaitable[World]],
) -> None:
    """Order is kept within a municipality: the other's record is another."""
    world = await begin()
    jft = jft_of(world)
    jft.open.clear()
    first = asyncio.get_running_loop().create_task(world.post("bundle", alarm()))
    await until(lambda: jft.asked == 1)
    second = asyncio.get_running_loop().create_task(world.post(f"/epj/r4/{VIKAN}/bundle", alarm()))
    await until(lambda: jft.asked == 2)
    jft.open.set()
    assert_success(await first, await second)


async def test_held_message_survives_a_restart(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """What was promised is in the ledger, not in the process."""
    world = await begin()
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm(1)), await world.post("bundle", alarm(2)))
    await world.stop()
    await world.jft.start()
    clock.now += 3600
    await world.serve()
    await until_states(world, "delivered", "delivered")
    assert alarms_of(world.delivered) == [1, 2]


async def test_message_is_refused_where_the_route_does_not_hold(begin: Callable[..., Awaitable[World]]) -> None:
    """It is a temporary error, nothing of the message is kept, and its repeat is a first delivery without a mark."""
    world = await begin("on_outage: refuse")
    await world.jft.stop()
    body = alarm()
    world.assert_refused(await world.post("bundle", body), 503, "3.1")
    (row,) = await rows(world)
    assert (row.state, row.payload, row.told) == ("refused", None, False)
    await world.jft.start()
    assert_success(await world.post("bundle", body))
    assert world.named_messages("accepted")[0]["marks"] == ()
    assert len(world.delivered) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(
    begin: Callable[..., Awaitable[World]], clock: Clock, raw_upstream: RawUpstream, status: int
) -> None:
    """As long as JFT asks for, the message is not tried again, and nothing else is sent either."""
    await raw_upstream.start()
    world = await begin(write=raw_upstream.url)
    raw_upstream.answer = b"HTTP/1.1 %d x\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n" % status
    assert_success(await world.post("bundle", alarm()), await world.post("bundle", visit()))
    first, second = await rows(world)
    assert first.due >= clock.now + 120
    assert (second.state, second.due) == ("held", clock.now)
    clock.now += 60
    await asyncio.gather(*(world.post("bundle", visit()) for _ in range(3)))
    assert raw_upstream.seen.qsize() == 1
    assert 110 < breaker_of(world).wait(asyncio.get_running_loop().time()) <= 120
    await raw_upstream.stop()


async def test_nothing_is_sent_while_the_breaker_is_open(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """After so many failures messages are held at once, and held ones whose time has come stay."""
    world = await begin(jft=BREAKER)
    world.jft.behave(Behaviour(status=500, times=-1))
    assert_success(await world.post("bundle", alarm()), await world.post("bundle", visit()))
    assert world.logged.named("jft.circuit_open")
    clock.now += 700
    assert_success(*[await world.post("bundle", visit()) for _ in range(3)])
    assert await states(world) == ["held"] * 5
    assert jft_of(world).asked == 2


async def test_message_is_refused_at_once_while_the_breaker_is_open(begin: Callable[..., Awaitable[World]]) -> None:
    """Where the route does not hold, senders are told to try again without waiting for JFT."""
    world = await begin("on_outage: refuse", jft=BREAKER)
    world.jft.behave(Behaviour(status=500, times=-1))
    for _ in range(3):
        answer = await world.post("bundle", alarm())
        world.assert_refused(answer, 503, "3.1")
        assert int(answer.values("Retry-After")[0]) > 0
    assert jft_of(world).asked == 2


async def test_one_message_asks_whether_jft_is_back(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """After the pause exactly one goes; the rest follow when it was taken."""
    world = await begin(jft=BREAKER)
    jft = jft_of(world)
    jft.behave(Behaviour(status=500, times=2))
    assert_success(await world.post("bundle", visit()))
    assert_success(*[await world.post("bundle", alarm(number)) for number in range(3)])
    jft.open.clear()
    clock.now += 2
    end_pause(world)
    await until(lambda: jft.asked == 3)
    assert_success(await world.post("bundle", alarm(3)))
    assert sorted(await states(world)) == ["delivering", *["held"] * 4]
    assert jft.asked == 3
    jft.open.set()
    await until_states(world, *["delivered"] * 5)
    assert alarms_of(world.delivered) == [0, 1, 2, 3]
    assert world.logged.named("jft.circuit_closed")


async def test_probe_that_fails_blames_no_message(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """While JFT is away nothing comes nearer to quarantine, however often it was the one that asked."""
    world = await begin(jft=BREAKER)
    jft = jft_of(world)
    jft.behave(Behaviour(status=500, times=-1))
    assert_success(await world.post("bundle", visit()), await world.post("bundle", alarm()))
    before = [row.attempts for row in await rows(world)]
    for asked in (3, 4, 5):
        clock.now += 700
        end_pause(world)
        await until(lambda: jft.asked == asked)  # noqa: B023 - awaited here
        await until_states(world, "held", "held")
    assert [row.attempts for row in await rows(world)] == before


async def test_a_flood_about_one_patient_leaves_room_for_others(begin: Callable[..., Awaitable[World]]) -> None:
    """Also where all come from one sender; a copy of what is held is answered as the first was."""
    world = await begin(HOLD, limits=", backlog: 20, backlog_per_patient: 2", intervals=replace(QUICK, count=3600.0))
    await world.jft.stop()
    first = alarm()
    assert_success(await world.post("bundle", first), await world.post("bundle", alarm()))
    refused = await world.post("bundle", alarm())
    world.assert_refused(refused, 429, "3.1")
    assert int(refused.values("Retry-After")[0]) > 0
    assert_success(await world.post("bundle", first), await world.post("bundle", visit()))
    assert await states(world) == ["held"] * 3


async def test_a_flood_of_one_sender_leaves_room_for_others(begin: Callable[..., Awaitable[World]]) -> None:
    """Whomever its messages are about, and also when they were counted anew; another sender is not affected."""
    world = await begin(HOLD, limits=", backlog: 20, backlog_per_sender: 2", intervals=replace(QUICK, count=3600.0))
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()), await world.post("bundle", visit()))
    for _ in range(2):
        refused = await world.post("bundle", alarm())
        assert (refused.status, bool(refused.values("Retry-After"))) == (429, True)
        await delivery_of(world)._upkeep.count()
    assert_success(await world.post("bundle", alarm(), token=world.token(vkp_id="Dignio_Havnes")))
    assert await states(world) == ["held"] * 3


async def test_backlog_that_is_full_refuses_and_has_room_again(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Beyond the bound senders are told to try again; another municipality is not affected."""
    policies = f"{HOLD}}}\n  - {{municipality: vikan, information: [varsel], mode: new, {HOLD}"
    world = await begin(policies, limits=", backlog: 2", intervals=replace(QUICK, count=3600.0))
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()), await world.post("bundle", alarm()))
    refused = await world.post("bundle", alarm())
    world.assert_refused(refused, 503, "3.1")
    assert int(refused.values("Retry-After")[0]) > 0
    assert_success(await world.post(f"/epj/r4/{VIKAN}/bundle", alarm()))
    assert await states(world) == ["held"] * 3
    await world.jft.start()
    clock.now += 2
    await until_states(world, *["delivered"] * 3)
    await delivery_of(world)._upkeep.count()
    assert_success(await world.post("bundle", alarm()))


async def test_refused_tokens_of_one_municipality_do_not_slow_the_others_down(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """They say nothing of how much JFT bears: what is held goes on being delivered ever faster until JFT complains."""
    world = await begin()
    world.jft.behave(Behaviour(status=401, times=-1))
    assert_success(await world.post("bundle", alarm()))
    for tries in (2, 3):
        clock.now += 61
        await until_written(world, lambda found: found[0].tries >= tries and found[0].state == "held")  # noqa: B023 - awaited here
    assert delivery_of(world)._dispatch._pace._is_probing
    world.jft.behave(Behaviour(times=0))
    clock.now += 3600
    await until_states(world, "delivered")
