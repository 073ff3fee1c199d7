"""Delivering what the ledger holds: whose turn it is, what came of it, and what was with a process that is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.messages import LEASE, Ledger
from gateway.ledger.records import MOST_ATTEMPTS, Due, MessageState, Recovered, before
from tests.gateway.ledger.conftest import (
    NOW,
    UNTIL,
    arrive,
    brought_to,
    history,
    next_due,
    payload,
    put,
    row,
    taken,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.ledger.conftest import Clock

OVER = UNTIL + LEASE + 1
"""When what was taken at first no longer stays with who took it."""
CHANGES: dict[MessageState, Callable[[Ledger, int], Awaitable[bool]]] = {
    MessageState.DELIVERED: lambda ledger, message: ledger.delivered(message, "event", "Task", next_poll=NOW),
    MessageState.HELD: lambda ledger, message: ledger.held(message, "away", next_try=NOW),
    MessageState.REFUSED: lambda ledger, message: ledger.refused(message, "away"),
    MessageState.QUARANTINED: lambda ledger, message: ledger.quarantined(message, "unclear"),
    MessageState.READ: lambda ledger, message: ledger.read(message, next_poll=NOW),
    MessageState.ACKNOWLEDGED: lambda ledger, message: ledger.acknowledged(message),
}
BY_ITS_OWNER = (MessageState.HELD, MessageState.REFUSED, MessageState.QUARANTINED)


async def claimed(ledger: Ledger, most: int = 32) -> list[int]:
    """Return the ids of what is claimed now."""
    return [due.id for due in await ledger.claim(most, until=UNTIL)]


async def test_claim_gives_what_delivering_needs(ledger: Ledger, other: Ledger) -> None:
    """And writes down whose it is, and until when."""
    first = await waiting(ledger, "first", resend_unclear=True)
    found = await other.claim(1, until=UNTIL + 5)
    assert found == [Due(first, "first", "havnes", 0, 0, resend_unclear=True, payload=payload("first"))]
    written = await row(ledger, first)
    assert (written.state, written.owner, written.lease) == (MessageState.DELIVERING, "node-b", UNTIL + 5 + LEASE)
    assert (await history(ledger, first))[-1] == ("node-b", "delivering", "")


async def test_each_patient_is_delivered_to_in_order(ledger: Ledger) -> None:
    """One message at a time, in the order in which they came; nobody else waits for them."""
    first, _, third, alone = [
        await waiting(ledger, f"message-{number}", patient=patient)
        for number, patient in enumerate(("anna", "anna", "berit", None))
    ]
    assert await claimed(ledger) == [first, third, alone]
    assert await claimed(ledger) == []


@pytest.mark.parametrize("outcome", [MessageState.DELIVERED, MessageState.QUARANTINED, MessageState.REFUSED])
async def test_the_next_has_its_turn_when_one_is_done_or_set_aside(ledger: Ledger, outcome: MessageState) -> None:
    """A message that cannot be delivered never blocks others."""
    first = await waiting(ledger, "first", patient="patient")
    second = await waiting(ledger, "second", patient="patient")
    assert await claimed(ledger) == [first]
    assert await CHANGES[outcome](ledger, first)
    assert await claimed(ledger) == [second]


async def test_the_next_waits_while_one_is_held_again(ledger: Ledger, clock: Clock) -> None:
    """Its pause is the pause of the patient's others, and of nobody else's."""
    first = await waiting(ledger, "first", patient="patient")
    second = await waiting(ledger, "second", patient="patient")
    elsewhere = await waiting(ledger, "elsewhere", patient="patient", municipality="vikan")
    assert await claimed(ledger) == [first, elsewhere]
    assert await ledger.held(first, "away", next_try=NOW + 10)
    assert (await claimed(ledger), await next_due(ledger)) == ([], NOW + 10)
    clock.now = NOW + 10
    assert await claimed(ledger) == [first]
    assert await CHANGES[MessageState.DELIVERED](ledger, first)
    assert await claimed(ledger) == [second]


async def test_claim_takes_what_is_due_longest_and_no_more_than_asked(ledger: Ledger, clock: Clock) -> None:
    """Nothing before its time."""
    late, later, latest = [await waiting(ledger, str(number)) for number in range(3)]
    for message, due in ((late, NOW + 3), (later, NOW + 2), (latest, NOW + 1)):
        await put(ledger, message, due=due)
    assert (await claimed(ledger), await next_due(ledger)) == ([], NOW + 1)
    clock.now = NOW + 3
    assert await claimed(ledger, 2) == [later, latest]
    assert await claimed(ledger) == [late]
    assert await next_due(ledger) is None


async def test_two_nodes_never_claim_the_same(ledger: Ledger, other: Ledger) -> None:
    """Each held message goes to one of them, however they meet."""
    messages = [await waiting(ledger, str(number), patient=f"patient-{number % 50}") for number in range(100)]

    async def drain(node: Ledger) -> list[int]:
        done: list[int] = []
        while some := await node.claim(7, until=UNTIL):
            assert len(some) <= 7
            for due in some:
                assert await node.delivered(due.id, f"event-{due.id}", "Task", next_poll=NOW)
            done += [due.id for due in some]
        return done

    by_each = await asyncio.gather(drain(ledger), drain(other))
    # What the one had when the other ended may have kept others waiting.
    done = [*by_each[0], *by_each[1], *await drain(ledger)]
    assert sorted(done) == messages
    owners = [len([node for node, what, _ in await history(ledger, each) if what == "delivering"]) for each in messages]
    assert owners == [1] * len(messages)


async def test_delivered_message_is_followed_from_then_on(ledger: Ledger, clock: Clock) -> None:
    """With its event, the time of the next look, and when it becomes overdue."""
    first = await taken(ledger, "first", acknowledge_within=100.0)
    clock.now = NOW + 7
    assert await ledger.delivered(first, "event", "Task", next_poll=NOW + 60)
    written = await row(ledger, first)
    assert (written.state, written.event_id, written.event_kind) == (MessageState.DELIVERED, "event", "Task")
    assert (written.delivered_at, written.due, written.overdue_at) == (NOW + 7, NOW + 60, NOW + 107)
    assert (written.owner, written.lease, written.reason) == (None, None, None)
    assert (await history(ledger, first))[-1] == ("node-a", "delivered", "")


@pytest.mark.parametrize("given_up", [MessageState.DELIVERING, MessageState.QUARANTINED, MessageState.REFUSED])
async def test_answer_that_comes_late_is_written_by_whoever_has_it(
    ledger: Ledger, other: Ledger, given_up: MessageState
) -> None:
    """Also after the message was given up: what is known to be delivered is no longer unclear."""
    first = await brought_to(ledger, given_up, "first", identity="identity", copy="copy")
    assert await other.delivered(first, "event", "Task", next_poll=NOW)
    assert (await row(ledger, first)).state == MessageState.DELIVERED
    assert not await ledger.delivered(first, "another", "Task", next_poll=NOW)
    assert (await row(ledger, first)).event_id == "event"


async def test_answer_that_comes_late_ends_the_wait_of_a_message_that_is_held_again(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    """A message that was recovered to be sent again is not, when its delivery becomes known before."""
    first = await taken(ledger, "first", resend_unclear=True)
    clock.now = OVER
    assert [each.state for each in await other.recover(alone=False)] == [MessageState.HELD]
    assert await ledger.delivered(first, "event", "Task", next_poll=NOW)
    assert await claimed(other) == []


@pytest.mark.parametrize("into", CHANGES)
async def test_change_that_may_not_follow_is_not_made(ledger: Ledger, into: MessageState) -> None:
    """Whatever a process believes, a state only changes as the table says; the history tells of no other change."""
    done = set()
    for state in MessageState:
        message = await taken(ledger, state.value)
        await put(ledger, message, state=state.value, owner="node-a")
        earlier = await row(ledger, message)
        if await CHANGES[into](ledger, message):
            done.add(state)
        else:
            assert await row(ledger, message) == earlier
    assert done
    # The others of the table are what arrivals, people and VKP do.
    assert done <= ({MessageState.DELIVERING} if into in BY_ITS_OWNER else set(before(into)))


@pytest.mark.parametrize("into", BY_ITS_OWNER)
async def test_only_its_owner_gives_a_message_back(ledger: Ledger, other: Ledger, into: MessageState) -> None:
    """What another process has taken since is that one's to decide."""
    first = await taken(ledger, "first")
    assert not await CHANGES[into](other, first)
    assert (await row(ledger, first)).owner == "node-a"
    assert await CHANGES[into](ledger, first)
    assert (await row(ledger, first)).owner is None
    assert not await CHANGES[into](ledger, first)


@pytest.mark.parametrize("unclear", [True, False])
async def test_held_again_counts_only_what_the_message_is_blamed_for(ledger: Ledger, unclear: bool) -> None:
    """An outage never uses up its attempts; that it may be there already is marked and stays so."""
    first = await taken(ledger, "first")
    seen = []
    for counted, is_unclear in ((True, unclear), (False, False), (True, False)):
        assert await ledger.held(first, "why", next_try=NOW, counted=counted, unclear=is_unclear)
        written = await row(ledger, first)
        seen.append((written.attempts, written.tries, written.possible_duplicate, written.told, written.reason))
        assert await claimed(ledger) == [first]
    assert seen == [(attempts, tries, unclear, True, "why") for attempts, tries in ((1, 1), (1, 2), (2, 3))]
    assert (await history(ledger, first))[2] == ("node-a", "held", "why")


async def test_claim_says_how_often_a_message_has_failed(ledger: Ledger) -> None:
    """By that its next pause is reckoned."""
    first = await taken(ledger, "first")
    assert await ledger.held(first, "JFT answered 500", next_try=NOW, counted=True)
    assert await claimed(ledger) == [first]
    assert await ledger.held(first, "away", next_try=NOW)
    found = await ledger.claim(1, until=UNTIL)
    assert [(due.id, due.attempts, due.tries) for due in found] == [(first, 1, 2)]


async def test_refused_message_is_forgotten_and_never_claimed(ledger: Ledger) -> None:
    """Its sender keeps it, and was not told of success."""
    first = await brought_to(ledger, MessageState.REFUSED, "first")
    written = await row(ledger, first)
    assert (written.payload, written.told, written.reason) == (None, False, "away")
    assert await claimed(ledger) == []
    assert (await history(ledger, first))[-1] == ("node-a", "refused", "away")


async def test_quarantined_message_keeps_what_it_holds_and_is_never_claimed(ledger: Ledger) -> None:
    """A person decides, who can see since when."""
    first = await brought_to(ledger, MessageState.QUARANTINED, "first")
    written = await row(ledger, first)
    assert (written.payload, written.told, written.reason) == (payload("first"), True, "unclear")
    assert written.due == NOW
    assert await claimed(ledger) == []
    assert (await history(ledger, first))[-1] == ("node-a", "quarantined", "unclear")


POLICIES: dict[MessageState, dict[str, Any]] = {
    MessageState.REFUSED: {"promised": False},
    MessageState.QUARANTINED: {"promised": True, "resend_unclear": False},
    MessageState.HELD: {"promised": True, "resend_unclear": True},
}


@pytest.mark.parametrize("into", POLICIES)
async def test_what_was_with_a_dead_process_becomes_what_its_route_says(
    ledger: Ledger, other: Ledger, into: MessageState
) -> None:
    """Nobody knows whether it was delivered; the sender of a promised one is answered with success from then on."""
    first = await taken(ledger, "first", identity="identity", copy="copy", **POLICIES[into])
    assert await other.recover(alone=True) == [Recovered(first, "first", "havnes", into)]
    written, promised = await row(ledger, first), into is not MessageState.REFUSED
    assert (written.state, written.reason, written.told) == (into, "unclear", promised)
    assert (written.owner, written.lease) == (None, None)
    assert written.payload == (payload("first") if promised else None)
    assert written.possible_duplicate == (into is MessageState.HELD)
    assert (await history(ledger, first))[-1] == ("node-b", into.value, "unclear")
    assert await claimed(other) == ([first] if into is MessageState.HELD else [])
    assert await other.recover(alone=True) == []


async def test_each_loss_of_a_process_counts_and_the_last_is_for_a_person(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    """A message that kills whoever sends it is not sent for ever: each try may have delivered it."""
    first = await taken(ledger, "first", resend_unclear=True)
    for attempts in range(1, MOST_ATTEMPTS):
        clock.now += 1
        assert [each.state for each in await other.recover(alone=True)] == [MessageState.HELD]
        assert (await row(ledger, first)).attempts == attempts
        assert await claimed(ledger) == [first]
    assert [each.state for each in await other.recover(alone=True)] == [MessageState.QUARANTINED]
    assert (await row(ledger, first)).attempts == MOST_ATTEMPTS
    assert await claimed(ledger) == []


async def test_losses_and_failures_count_together(ledger: Ledger, other: Ledger) -> None:
    """Whichever way a try ends that may have delivered the message."""
    first = await taken(ledger, "first", resend_unclear=True)
    for _ in range(MOST_ATTEMPTS - 2):
        assert await ledger.held(first, "no answer", next_try=NOW, counted=True, unclear=True)
        assert await claimed(ledger) == [first]
    assert [each.state for each in await other.recover(alone=True)] == [MessageState.HELD]
    assert await claimed(ledger) == [first]
    assert [each.state for each in await other.recover(alone=True)] == [MessageState.QUARANTINED]


async def test_process_that_is_alone_leaves_what_it_has_itself(ledger: Ledger, other: Ledger) -> None:
    """While its own time for it lasts."""
    await taken(ledger, "ours")
    theirs = await taken(other, "theirs")
    assert [each.id for each in await ledger.recover(alone=True)] == [theirs]


async def test_process_among_others_leaves_everything_until_its_lease_is_over(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    """Another one that is slow is not taken for dead."""
    ours, theirs = await taken(ledger, "ours"), await taken(other, "theirs")
    clock.now = OVER - 1
    assert await ledger.recover(alone=False) == []
    clock.now = OVER
    assert sorted(each.id for each in await ledger.recover(alone=False)) == [ours, theirs]


async def test_two_nodes_never_recover_the_same(ledger: Ledger, other: Ledger, clock: Clock) -> None:
    """Each is told of once."""
    messages = [await taken(ledger, str(number)) for number in range(50)]
    clock.now = OVER
    found = await asyncio.gather(*(node.recover(alone=False) for node in [ledger, other] * 3))
    assert sorted(each.id for some in found for each in some) == messages


async def test_nothing_but_what_is_being_sent_is_recovered(ledger: Ledger, other: Ledger, clock: Clock) -> None:
    """What is held, done or set aside is nobody's."""
    for state in (
        MessageState.HELD,
        MessageState.DELIVERED,
        MessageState.READ,
        MessageState.ACKNOWLEDGED,
        MessageState.REFUSED,
        MessageState.QUARANTINED,
    ):
        await brought_to(ledger, state, state.value)
    await waiting(ledger, "waiting")
    clock.now = OVER
    assert await other.recover(alone=True) == []


async def test_message_that_is_not_there_is_none(ledger: Ledger) -> None:
    """Nor can it be changed."""
    assert await ledger.one(4711) is None
    assert not any([await change(ledger, 4711) for change in CHANGES.values()])


async def test_history_has_the_time_of_each_line(ledger: Ledger, clock: Clock) -> None:
    """In UTC, to the millisecond; a message is received when it was received, and not when it was written."""
    clock.now = NOW + 0.25
    found = await arrive(ledger, "first", received_at=NOW)
    clock.now = NOW + 60
    assert await ledger.refused(found.id, "JFT answered 503")
    assert (await row(ledger, found.id)).history.splitlines() == [
        "2026-05-28T20:26:40.000+00:00 node-a received ",
        "2026-05-28T20:26:40.250+00:00 node-a delivering ",
        "2026-05-28T20:27:40.000+00:00 node-a refused JFT answered 503",
    ]
