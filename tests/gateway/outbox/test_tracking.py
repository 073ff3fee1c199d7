"""Delivered events are followed to the record: asked after seldom, never by JFT's search, and told of when overdue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.upstreams import Follow
from gateway.ledger.records import FollowedEvent, MessageState
from gateway.model import Rate
from gateway.observability.metrics import OVERDUE_EVENTS, POLLS
from gateway.outbox.tracker import interval, next_poll
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    assert_success,
    counted,
    delivery_of,
    restart,
    rows,
    until_states,
    until_written,
    visit,
)
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

FOLLOW = Follow()
SECONDS = st.floats(0, 1e9)


async def at_epj(world: World, what: str, ids: list[str] | str = "all") -> None:
    """Have the record system read or acknowledge events."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{world.jft.read_url}/stub/{what}", json={"ids": ids}) as answer,
    ):
        assert answer.status == 204


async def looked(world: World, times: int) -> list[Any]:
    """Wait until the first message was looked at so often; while a look is under way it is due in a minute."""
    now = delivery_of(world)._clock()
    return await until_written(world, lambda found: found[0].looks == times and (not times or found[0].due - now > 61))


def an_event(**changed: Any) -> FollowedEvent:
    """Make a look at an event that was delivered at 0."""
    usual = {
        "id": 1, "reference": "r", "municipality": "havnes", "state": MessageState.DELIVERED, "event_id": "e", "event_kind": "Bundle",
        "polls": 1, "delivered_at": 0.0, "overdue_at": 86_400.0, "overdue": False,
    }  # fmt: skip
    return FollowedEvent(**{**usual, **changed})


# The interval.


def test_interval_doubles_up_to_the_longest() -> None:
    """A minute, two, four ... an hour, and no more."""
    assert [interval(polls, FOLLOW) for polls in range(8)] == [60, 120, 240, 480, 960, 1920, 3600, 3600]


@given(polls=st.integers(0, 10_000_000))
def test_interval_never_shrinks_and_is_bounded(polls: int) -> None:
    """However long an event is followed."""
    assert interval(polls, FOLLOW) <= interval(polls + 1, FOLLOW) <= FOLLOW.longest
    assert interval(polls, FOLLOW) >= FOLLOW.first


@given(polls=st.integers(0, 100), overdue_at=SECONDS, now=SECONDS)
def test_event_is_looked_at_when_it_becomes_overdue(polls: int, overdue_at: float, now: float) -> None:
    """Never later, so that nobody hears of it an hour too late; and never before now."""
    found = next_poll(an_event(polls=polls, overdue_at=overdue_at), FOLLOW, now)
    assert found > now or found == now == overdue_at
    assert found <= now + FOLLOW.longest
    assert now >= overdue_at or found <= overdue_at


# Through real ports.


@pytest.mark.parametrize("field", ["journalingAcknowledged", "journaled"])
async def test_event_is_followed_from_read_to_acknowledged(
    begin: Callable[..., Awaitable[World]], clock: Clock, field: Any
) -> None:
    """By either name of JFT's last stage; then what was kept of the message is forgotten."""
    world = await begin()
    world.jft.status_field = field
    assert_success(await world.post("bundle", alarm()))
    clock.now += 61
    await looked(world, 1)
    await at_epj(world, "read")
    clock.now += 121
    (row,) = await until_states(world, "read")
    assert row.payload is not None
    await at_epj(world, "acknowledge")
    clock.now += 241
    (row,) = await until_states(world, "acknowledged")
    assert (row.payload, row.due) == (None, None)
    assert [line.split(" ", 3)[2] for line in row.history.splitlines()] == [
        "received", "delivering", "delivered", "read", "acknowledged",
    ]  # fmt: skip
    assert len(world.jft.received) == 1


async def test_event_that_is_acknowledged_at_once_is_never_only_read(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """The stage that it has come to is what is written."""
    world = await begin()
    assert_success(await world.post("bundle", alarm()))
    await at_epj(world, "acknowledge")
    clock.now += 61
    await until_states(world, "acknowledged")


async def test_looks_become_rarer(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """Each interval is twice the one before; a restart does not begin anew."""
    world = await begin()
    assert_success(await world.post("bundle", alarm()))
    waits = []
    for times in range(6):
        found = await looked(world, times)
        waits.append(found[0].due - clock.now)
        clock.now = found[0].due
        if times == 2:
            await restart(world)
    assert waits == [60, 120, 240, 480, 960, 1920]


async def test_looks_of_a_municipality_are_within_its_budget(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Two a minute: the rest wait for the next minute, and none is left out."""
    world = await begin(jft=", follow: {first: 10s, longest: 1h, budget: 2/m}")
    for _ in range(5):
        assert_success(await world.post("bundle", visit()))
    before = counted(POLLS)
    await at_epj(world, "acknowledge")
    clock.now += 11
    await until(lambda: counted(POLLS) == before + 2)
    found = await until_written(world, lambda found: [row.state for row in found].count("acknowledged") == 2)
    for acknowledged in (4, 5):
        clock.now += 61
        found = await until_written(
            world,
            lambda found: [row.state for row in found].count("acknowledged") == acknowledged,  # noqa: B023 - awaited here
        )
    assert counted(POLLS) == before + 5
    assert [row.state for row in found] == ["acknowledged"] * 5


async def test_overdue_event_is_told_of_once(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """Metric, log and mark when `acknowledge_within` has passed; it is followed on, and the mark goes when it is there."""
    world = await begin(f"{HOLD}, acknowledge_within: 1h")
    before = counted(OVERDUE_EVENTS, municipality="havnes")
    assert_success(await world.post("bundle", alarm()))
    await at_epj(world, "read")
    clock.now += 3601
    (row,) = await until_written(world, lambda found: found[0].overdue)
    for times in (2, 3):
        found = await looked(world, times - 1)
        clock.now = found[0].due
        await looked(world, times)
    assert [(one["reference"], one["reason"]) for one in world.logged.named("event.overdue")] == [
        (row.reference, "read")
    ]
    assert counted(OVERDUE_EVENTS, municipality="havnes") == before + 1
    await restart(world)
    await at_epj(world, "acknowledge")
    clock.now += 4000
    (row,) = await until_states(world, "acknowledged")
    assert not row.overdue
    assert len(world.logged.named("event.overdue")) == 1


async def test_acknowledged_in_time_is_never_overdue(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """Though nobody had looked before the time was up."""
    world = await begin(f"{HOLD}, acknowledge_within: 1h")
    assert_success(await world.post("bundle", alarm()))
    await at_epj(world, "acknowledge")
    clock.now += 7200
    await until_states(world, "acknowledged")
    assert not world.logged.named("event.overdue")


@pytest.mark.parametrize("why", [500, 503, 429, 401, "drop", "no token"])
async def test_polls_that_could_not_be_asked_neither_lengthen_the_interval_nor_make_an_event_overdue(
    begin: Callable[..., Awaitable[World]], clock: Clock, why: Any
) -> None:
    """They say nothing of the event, however many there are: as soon as JFT can be asked, its answer counts."""
    world = await begin(f"{HOLD}, acknowledge_within: 2m", jft=", follow: {first: 50s}")
    assert_success(await world.post("bundle", alarm()))
    await at_epj(world, "acknowledge")
    if why == "no token":
        await world.helseid.stop()
        clock.now += 3600  # until the token at hand has ended
    else:
        world.jft.behave(Behaviour(status=why, times=-1))
    for polls in range(1, 5):
        unknown = counted(POLLS, stage="unknown")
        clock.now += 61
        due = clock.now + 50
        (row,) = await until_written(world, lambda found, due=due: found[0].due == due)  # type: ignore[misc]
        assert (row.state, row.looks, row.overdue) == ("delivered", 0, False), polls
        assert counted(POLLS, stage="unknown") == unknown + 1
    assert not world.logged.named("event.overdue")
    if why == "no token":
        await world.helseid.start()
    world.jft.behave(Behaviour(times=0))
    clock.now += 61
    await until_states(world, "acknowledged")
    assert not world.logged.named("event.overdue")


async def test_event_whose_state_cannot_be_asked_for_a_day_is_told_of(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """JFT refuses it for good, perhaps for one municipality only: somebody has to look, and it is asked for all the same."""
    world = await begin(f"{HOLD}, acknowledge_within: 1h")
    assert_success(await world.post("bundle", alarm()))
    world.jft.behave(Behaviour(status=403, times=-1))
    clock.now += 3600 + 86_401
    await until_written(world, lambda found: found[0].overdue)
    await until(lambda: bool(world.logged.named("event.overdue")))
    assert [one["reason"] for one in world.logged.named("event.overdue")] == ["its state cannot be asked"]
    world.jft.behave(Behaviour(times=0))
    await at_epj(world, "acknowledge")
    clock.now += 61
    (row,) = await until_states(world, "acknowledged")
    assert not row.overdue


async def test_event_that_jft_does_not_know_is_overdue_and_asked_for_again(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Nothing is concluded from it; that nobody acknowledged the event in time is told."""
    status = 404
    world = await begin(f"{HOLD}, acknowledge_within: 1h")
    unknown = counted(POLLS, stage="unknown")
    assert_success(await world.post("bundle", alarm()))
    await at_epj(world, "acknowledge")
    world.jft.behave(Behaviour(status=status, times=-1))
    clock.now += 3601
    (row,) = await until_written(world, lambda found: found[0].overdue)
    assert row.state == "delivered"
    assert counted(POLLS, stage="unknown") == unknown + 1
    # What is written down is told a moment later.
    await until(lambda: bool(world.logged.named("event.overdue")))
    assert [one["reason"] for one in world.logged.named("event.overdue")] == ["its state cannot be asked"]
    world.jft.behave(Behaviour(times=0))
    clock.now += 3601
    await until_states(world, "acknowledged")


async def test_other_municipalities_are_followed_while_one_has_used_its_budget(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """A municipality with a great many events keeps no other from hearing of its own."""
    world = await begin(jft=", follow: {first: 10s, longest: 1h, budget: 1/h}")
    for _ in range(40):
        assert_success(await world.post("bundle", visit()))
    assert_success(await world.post("/epj/r4/310000001/bundle", visit()))
    await at_epj(world, "acknowledge")
    clock.now += 11
    found = await until_written(world, lambda found: found[-1].state == "acknowledged")
    assert found[-1].municipality == "vikan"
    assert [row.state for row in await rows(world)].count("acknowledged") <= 2


def test_budget_is_as_configured_by_default() -> None:
    """Sixty looks a minute for each municipality."""
    assert FOLLOW.budget == Rate(60, 60.0)
