"""Following delivered events in the ledger: which are asked for, and what their states become."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.ledger.records import FollowedEvent, Known, MessageState
from tests.gateway.ledger.conftest import NOW, arrive, brought_to, history, payload, put, row

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger
    from tests.gateway.ledger.conftest import Clock

LATER = NOW + 60


async def looked_at(ledger: Ledger, *without: str, most: int = 32) -> list[int]:
    """Return the ids of what is to be asked for now."""
    return sorted(followed.id for followed in await ledger.due_for_poll(most, until=LATER, without=without))


@pytest.mark.parametrize("state", [MessageState.DELIVERED, MessageState.READ])
async def test_look_has_what_asking_needs(ledger: Ledger, other: Ledger, state: MessageState) -> None:
    """And counts itself, so that the next may wait longer."""
    first = await brought_to(ledger, state, "first")
    expected = FollowedEvent(
        id=first,
        reference="first",
        municipality="havnes",
        state=state,
        event_id="event-first",
        event_kind="Communication",
        polls=int(state is MessageState.READ),
        delivered_at=NOW,
        overdue_at=NOW + 100,
        overdue=False,
    )
    assert await other.due_for_poll(1, until=LATER, without=()) == [expected]


async def test_nothing_else_is_looked_at(ledger: Ledger) -> None:
    """Neither what is not delivered nor what is in the record."""
    for state in (
        MessageState.HELD,
        MessageState.DELIVERING,
        MessageState.REFUSED,
        MessageState.QUARANTINED,
        MessageState.ACKNOWLEDGED,
    ):
        await brought_to(ledger, state, state.value)
    assert await looked_at(ledger) == []


async def test_event_is_looked_at_when_its_time_has_come_and_by_one_node(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    """Whoever takes it keeps it until the time that it said, should it die."""
    events = [await brought_to(ledger, MessageState.DELIVERED, str(number)) for number in range(20)]
    found = await asyncio.gather(*(looked_at(node, most=5) for node in [ledger, other] * 3))
    assert sorted(each for some in found for each in some) == events
    clock.now = LATER - 1
    assert await looked_at(ledger) == []
    clock.now = LATER
    assert await looked_at(ledger) == events


async def test_events_that_wait_longest_are_first(ledger: Ledger) -> None:
    """Nothing is left behind where there are more than can be asked for."""
    events = [await brought_to(ledger, MessageState.DELIVERED, str(number)) for number in range(3)]
    for number, event in enumerate(events):
        await put(ledger, event, due=NOW - number)
    assert await looked_at(ledger, most=2) == events[1:]


async def test_municipalities_without_room_are_left_out(ledger: Ledger) -> None:
    """They do not keep others' events waiting, and theirs do not count as looked at."""
    first = await brought_to(ledger, MessageState.DELIVERED, "first")
    second = await brought_to(ledger, MessageState.DELIVERED, "second", municipality="vikan")
    assert await looked_at(ledger, "havnes", "another") == [second]
    assert await looked_at(ledger) == [first]


async def test_read_event_is_asked_for_again_when_said(ledger: Ledger, clock: Clock) -> None:
    """It is not in the record yet; that it was read is news once."""
    first = await brought_to(ledger, MessageState.DELIVERED, "first")
    assert await ledger.read(first, next_poll=NOW + 5)
    assert not await ledger.read(first, next_poll=NOW + 9)
    written = await row(ledger, first)
    assert (written.state, written.payload, written.due) == (MessageState.READ, payload("first"), NOW + 5)
    assert (await history(ledger, first))[-1] == ("node-a", "read", "")
    assert await looked_at(ledger) == []
    clock.now = NOW + 5
    assert await looked_at(ledger) == [first]


@pytest.mark.parametrize("state", [MessageState.DELIVERED, MessageState.READ])
async def test_acknowledged_message_is_forgotten_and_no_longer_followed(ledger: Ledger, state: MessageState) -> None:
    """The record has it; a copy of it is still known."""
    first = await brought_to(ledger, state, "first", identity="identity", copy="copy")
    assert await ledger.overdue(first, "not read")
    assert await ledger.acknowledged(first)
    written = await row(ledger, first)
    assert (written.state, written.payload, written.due, written.overdue) == (
        MessageState.ACKNOWLEDGED,
        None,
        None,
        False,
    )
    assert (await history(ledger, first))[-1] == ("node-a", "acknowledged", "")
    assert await looked_at(ledger) == []
    found = await arrive(ledger, "second", identity="identity", copy="copy")
    assert isinstance(found, Known)
    assert (found.is_success, found.event_id) == (True, "event-first")


async def test_next_poll_is_when_said(ledger: Ledger, clock: Clock) -> None:
    """And what is done by then has none."""
    first, done = [await brought_to(ledger, MessageState.DELIVERED, reference) for reference in ("first", "done")]
    assert await looked_at(ledger) == [first, done]
    assert await ledger.acknowledged(done)
    for event in (first, done):
        await ledger.poll_again(event, next_poll=NOW + 3)
    clock.now = NOW + 3
    assert [(followed.id, followed.polls) for followed in await ledger.due_for_poll(9, until=LATER, without=())] == [
        (first, 1)
    ]


async def test_overdue_is_news_once(ledger: Ledger, other: Ledger) -> None:
    """Whichever node finds out; the event goes on being followed."""
    first = await brought_to(ledger, MessageState.DELIVERED, "first")
    found = await asyncio.gather(*(node.overdue(first, "not read") for node in [ledger, other] * 3))
    assert sorted(found) == [False] * 5 + [True]
    lines = [(what, why) for _, what, why in await history(ledger, first)]
    assert lines.count(("overdue", "not read")) == 1
    assert [followed.overdue for followed in await ledger.due_for_poll(9, until=LATER, without=())] == [True]


@pytest.mark.parametrize(
    "state", [MessageState.HELD, MessageState.REFUSED, MessageState.QUARANTINED, MessageState.ACKNOWLEDGED]
)
async def test_what_is_not_followed_is_never_overdue(ledger: Ledger, state: MessageState) -> None:
    """It may have come into the record between the question and the answer."""
    first = await brought_to(ledger, state, "first")
    assert not await ledger.overdue(first, "not read")
    assert not (await row(ledger, first)).overdue
