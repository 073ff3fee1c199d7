"""The same message again: the first receipt, and one delivery; and what is not the same message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    alarms_of,
    assert_success,
    jft_of,
    restart,
    rows,
    states,
    until_states,
)
from tests.gateway.world import VIKAN, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

REFUSE = "on_outage: refuse"
DAY = 86_400


def later(world: World, body: bytes, **options: Any) -> asyncio.Task[Any]:
    """Send a message without waiting for the answer."""
    return asyncio.get_running_loop().create_task(world.post("bundle", body, **options))


async def in_flight(world: World, body: bytes) -> asyncio.Task[Any]:
    """Send a message and wait until JFT, which does not answer yet, has it."""
    jft = jft_of(world)
    jft.open.clear()
    asked = jft.asked
    first = later(world, body)
    await until(lambda: jft.asked == asked + 1)
    return first


async def waits(world: World, copy: asyncio.Task[Any]) -> None:
    """Wait until a copy has been looked up, and see that it is not answered."""
    await until(lambda: len(world.gateway._server._tasks) >= 2)
    for _ in range(3):
        await rows(world)
    assert not copy.done()


@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_copy_gets_the_first_receipt(begin: Callable[..., Awaitable[World]], policies: str) -> None:
    """Byte for byte, and nothing is delivered; the log names the first copy."""
    world = await begin(policies)
    body = alarm()
    first, second, third = [await world.post("bundle", body) for _ in range(3)]
    assert_success(first)
    assert first.body == second.body == third.body
    assert len(world.jft.received) == 1
    assert [one["outcome"] for one in world.logged.named("message")] == ["accepted", "duplicate", "duplicate"]
    reference = world.named_messages("accepted")[0]["correlation_id"]
    event = world.delivered[0].id
    assert [(one["first"], one["event_id"]) for one in world.named_messages("duplicate")] == [(reference, event)] * 2


async def test_copy_with_other_times_is_a_copy(begin: Callable[..., Awaitable[World]]) -> None:
    """A sender may make its Bundle anew when it sends again, in another order and with another time."""
    world = await begin()
    body = alarm()
    assert_success(await world.post("bundle", body))
    renewed = body.replace(b"2026-11-03T07:19:44.1928374+00:00", b"2026-11-03T08:00:00Z").replace(b"\n", b"")
    assert renewed != body
    assert_success(await world.post("bundle", renewed))
    assert len(world.delivered) == 1


async def test_copy_of_a_held_message_gets_its_receipt(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """It was promised already; when JFT is back it is delivered once, and a copy still gets the same receipt."""
    world = await begin()
    await world.jft.stop()
    body = alarm()
    first, second = await world.post("bundle", body), await world.post("bundle", body)
    assert await states(world) == ["held"]
    await world.jft.start()
    clock.now += 2
    await until_states(world, "delivered")
    third = await world.post("bundle", body)
    assert_success(first)
    assert first.body == second.body == third.body
    assert len(world.delivered) == 1


@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_copy_that_comes_while_the_first_is_in_flight_waits_for_it(
    begin: Callable[..., Awaitable[World]], policies: str
) -> None:
    """It is told what becomes of the first, and not before."""
    world = await begin(policies)
    body = alarm()
    first = await in_flight(world, body)
    copy = later(world, body)
    await waits(world, copy)
    jft_of(world).open.set()
    assert_success(await first)
    assert (await first).body == (await copy).body
    assert jft_of(world).asked == 1


@pytest.mark.parametrize("status", [503, 400, "202-then-drop"])
async def test_copy_of_a_message_that_is_refused_is_never_told_success(
    begin: Callable[..., Awaitable[World]], status: Any
) -> None:
    """Whatever the reason: its sender may try again."""
    world = await begin(REFUSE)
    world.jft.behave(Behaviour(status=status))
    body = alarm()
    first = await in_flight(world, body)
    copy = later(world, body)
    await waits(world, copy)
    jft_of(world).open.set()
    assert (await first).status == (status if isinstance(status, int) else 504)
    world.assert_refused(await copy, 503, "3.1")
    assert jft_of(world).asked == 1


async def test_copy_that_comes_while_the_first_is_held_in_flight_gets_its_receipt(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """What was promised is promised, whoever sends it just now."""
    world = await begin()
    await world.jft.stop()
    body = alarm()
    first = await world.post("bundle", body)
    await world.jft.start()
    jft_of(world).open.clear()
    clock.now += 2
    await until(lambda: jft_of(world).asked == 1)
    assert (await world.post("bundle", body)).body == first.body
    jft_of(world).open.set()
    await until_states(world, "delivered")
    assert len(world.delivered) == 1


async def test_many_copies_at_once_are_one_delivery(begin: Callable[..., Awaitable[World]]) -> None:
    """However they meet."""
    world = await begin()
    body = alarm()
    answers = await asyncio.gather(*(world.post("bundle", body) for _ in range(20)))
    assert_success(*answers)
    assert len({answer.body for answer in answers}) == 1
    assert jft_of(world).asked == 1


@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_copy_after_a_restart_gets_the_first_receipt(
    begin: Callable[..., Awaitable[World]], policies: str
) -> None:
    """What was answered is in the ledger."""
    world = await begin(policies)
    body = alarm()
    first = await world.post("bundle", body)
    await restart(world)
    assert (await world.post("bundle", body)).body == first.body
    assert len(world.jft.received) == 1


async def test_same_id_with_other_content_is_delivered_and_marked(begin: Callable[..., Awaitable[World]]) -> None:
    """An alarm is followed up under its id."""
    world = await begin()
    body = alarm(0)
    follow_up = body.replace(b"Alarm 0.", b"Alarm 1.")
    assert_success(await world.post("bundle", body), await world.post("bundle", follow_up))
    assert alarms_of(world.delivered) == [0, 1]
    assert [one["marks"] for one in world.named_messages("accepted")] == [(), ("identifier-reused",)]
    assert [row.identifier_reused for row in await rows(world)] == [False, True]
    assert_success(await world.post("bundle", follow_up))
    assert len(world.delivered) == 2


async def test_held_message_is_marked_too(begin: Callable[..., Awaitable[World]]) -> None:
    """Also when it waits for the one whose id it has."""
    world = await begin()
    await world.jft.stop()
    body = alarm(0)
    await world.post("bundle", body)
    await world.post("bundle", body.replace(b"Alarm 0.", b"Alarm 1."))
    assert [one["marks"] for one in world.named_messages("held")] == [(), ("identifier-reused",)]


async def test_id_of_what_was_refused_is_not_used(begin: Callable[..., Awaitable[World]]) -> None:
    """A sender that corrects a message reuses nothing: nobody has the first."""
    world = await begin()
    body = alarm(0)
    world.jft.behave(Behaviour(status=400))
    assert (await world.post("bundle", body)).status == 400
    assert_success(await world.post("bundle", body.replace(b"Alarm 0.", b"Alarm 1.")))
    assert world.named_messages("accepted")[0]["marks"] == ()


@pytest.mark.parametrize(
    "other", [{"vkp_id": "Dignio_Havnes"}, {"target": f"/epj/r4/{VIKAN}/bundle"}], ids=["sender", "municipality"]
)
async def test_same_id_of_another_is_another_message(
    begin: Callable[..., Awaitable[World]], other: dict[str, str]
) -> None:
    """A business id means something between one sender and one municipality only."""
    world = await begin()
    body = alarm()
    assert_success(await world.post("bundle", body))
    token = world.token(vkp_id=other.get("vkp_id", "Everywhere"))
    assert_success(await world.post(other.get("target", "bundle"), body, token=token))
    assert len(world.delivered) == 2
    assert [one["marks"] for one in world.named_messages("accepted")] == [(), ()]


async def test_message_is_known_again_within_the_window_only(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """A copy that is a year late is a message of its own."""
    world = await begin(limits=", duplicate_window: 3d")
    body = alarm()
    assert_success(await world.post("bundle", body))
    clock.now += 3 * DAY - 1
    assert_success(await world.post("bundle", body))
    assert len(world.delivered) == 1
    clock.now += 2
    assert_success(await world.post("bundle", body))
    assert len(world.delivered) == 2
    assert_success(await world.post("bundle", body))
    assert len(world.delivered) == 2


async def test_message_without_an_id_is_delivered_each_time(begin: Callable[..., Awaitable[World]]) -> None:
    """Two notes alike may be two notes."""
    world = await begin()
    for _ in range(2):
        assert_success(await world.post("composition", message("note")))
    assert len(world.delivered) == 2


async def test_repeat_of_what_was_refused_is_delivered_without_a_mark(begin: Callable[..., Awaitable[World]]) -> None:
    """JFT said that it had not taken it, so it can stand in the record once only."""
    world = await begin(REFUSE)
    body = alarm()
    world.jft.behave(Behaviour(status=503))
    refused = await world.post("bundle", body)
    assert refused.status == 503
    assert_success(await world.post("bundle", body))
    assert world.named_messages("accepted")[0]["marks"] == ()
    (row,) = await rows(world)
    assert (row.state, row.possible_duplicate) == ("delivered", False)


async def test_repeat_is_promised_as_its_route_says_now(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """What was refused under one policy may be held under the next."""
    world = await begin(REFUSE)
    await world.jft.stop()
    body = alarm()
    assert (await world.post("bundle", body)).status == 503
    world.write(routes=world.settings["routes"].replace(REFUSE, HOLD))
    assert (await world.gateway.reload()).taken
    assert_success(await world.post("bundle", body))
    assert await states(world) == ["held"]
    await world.jft.start()
    clock.now += 2
    await until_states(world, "delivered")
