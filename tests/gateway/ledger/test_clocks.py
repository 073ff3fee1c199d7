"""Wall clocks that are set strand nothing, and nothing that is under way is taken for lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.ledger import cutovers, idempotency, message_actions
from gateway.ledger.audit import Note
from gateway.ledger.messages import LEASE
from gateway.ledger.records import LONGEST_LEASE, Known, MessageState, Taken
from gateway.ledger.returns import Returns
from tests.gateway.ledger.conftest import NOW, WINDOW, arrive, brought_to, put, row, taken, waiting

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger
    from tests.gateway.clocks import FakeClock

HOUR = 3600.0


@pytest.mark.parametrize("hours", [1, 25])
async def test_held_message_is_tried_though_the_clock_was_ahead_when_it_was_put_off(
    ledger: Ledger, clock: FakeClock, hours: int
) -> None:
    """And what waits behind it: no longer than the longest pause."""
    message = await taken(ledger, "first", patient="p")
    behind = await waiting(ledger, "second", patient="p")
    clock.ahead = hours * HOUR
    assert await ledger.held(message, "away", next_try=clock() + 600)
    clock.ahead = 0
    assert [each.id for each in await ledger.claim(9, until=NOW + 30)] == [message]
    assert await ledger.delivered(message, "event", "Communication", next_poll=NOW + 60)
    assert [each.id for each in await ledger.claim(9, until=NOW + 30)] == [behind]


async def test_pause_that_may_be_is_kept(ledger: Ledger) -> None:
    """What is put off for the longest pause is not tried before."""
    message = await taken(ledger, "first")
    assert await ledger.held(message, "away", next_try=NOW + 600)
    assert await ledger.claim(9, until=NOW + 30) == []


async def test_person_has_a_held_message_tried_now(ledger: Ledger) -> None:
    """Without waiting for its pause; one that is tried now anyway is told so."""
    message = await taken(ledger, "first")
    assert await ledger.held(message, "away", next_try=NOW + 600)
    note = Note(NOW, "node-a", "olga", "message.resend", "first")
    line = ledger.line(NOW, MessageState.HELD, "released by a person")
    work = lambda each: message_actions.resend(each, "first", None, note, line)  # noqa: E731 - done twice
    assert await ledger.store.write(work) == message_actions.Done("first", "havnes", MessageState.HELD)
    assert await ledger.store.write(work) == message_actions.NotDone("the message is held, not quarantined")
    assert [each.id for each in await ledger.claim(9, until=NOW + 30)] == [message]


@pytest.mark.parametrize("hours", [1, -1])
async def test_clock_that_is_set_makes_nothing_unclear_that_is_under_way(
    ledger: Ledger, other: Ledger, clock: FakeClock, hours: int
) -> None:
    """Neither our own nor another node's; once nobody can be at it any more, it is lost as ever."""
    await taken(ledger, "ours")
    await taken(other, "theirs")
    clock.ahead = hours * HOUR
    for _ in range(10):
        assert await ledger.recover(alone=False) == []
        clock.now += LONGEST_LEASE / 10 - 0.01
    clock.now += 1
    assert len(await ledger.recover(alone=False)) == 2


async def test_lease_that_was_given_while_the_clock_was_ahead_ends(
    ledger: Ledger, other: Ledger, clock: FakeClock
) -> None:
    """As soon as it was seen for longer than any lease lasts, by whichever node."""
    clock.ahead = HOUR
    await taken(other, "first", until=clock() + 30)
    clock.ahead = 0
    assert await ledger.recover(alone=False) == []
    clock.now += LONGEST_LEASE - 1
    assert await ledger.recover(alone=False) == []
    clock.now += 1
    assert [each.reference for each in await ledger.recover(alone=False)] == ["first"]


async def test_node_that_lives_is_not_taken_for_dead_by_one_whose_clock_is_set(
    ledger: Ledger, other: Ledger, clock: FakeClock
) -> None:
    """A lease that is given anew begins anew."""
    message = await waiting(other, "first")
    for _ in range(5):
        assert await other.claim(9, until=clock() + 30)
        clock.ahead += HOUR
        assert await ledger.recover(alone=False) == []
        clock.now += 60
        assert await other.held(message, "away", next_try=clock() - 1)
    assert (await row(ledger, message)).possible_duplicate is False


async def test_copy_is_not_taken_from_a_node_that_lives(ledger: Ledger, other: Ledger, clock: FakeClock) -> None:
    """Though the clock is ahead of its lease for a moment."""
    await taken(other, "first", promised=False, identity="i", copy="c")
    clock.ahead = HOUR
    assert isinstance(await arrive(ledger, "second", promised=False, identity="i", copy="c"), Known)
    clock.now += LONGEST_LEASE
    assert isinstance(await arrive(ledger, "third", promised=False, identity="i", copy="c"), Taken)


async def test_copy_is_known_though_the_clock_is_ahead_of_its_window(ledger: Ledger, clock: FakeClock) -> None:
    """Until it has run evenly for an hour."""
    await brought_to(ledger, MessageState.DELIVERED, "first", identity="i", copy="c")
    clock.ahead = WINDOW + 1
    assert isinstance(await arrive(ledger, "second", identity="i", copy="c"), Known)
    clock.now += HOUR
    assert isinstance(await arrive(ledger, "third", identity="i", copy="c"), Taken)


async def test_event_is_followed_though_the_clock_was_ahead(ledger: Ledger, clock: FakeClock) -> None:
    """And overdue in its time."""
    message = await taken(ledger, "first")
    clock.ahead = 25 * HOUR
    assert await ledger.delivered(message, "event", "Communication", next_poll=clock() + 60)
    clock.ahead = 0
    (due,) = await ledger.due_for_poll(9, until=NOW + 60, without=(), longest=HOUR)
    assert (due.id, due.delivered_at, due.overdue_at) == (message, NOW, NOW + 100)


@pytest.mark.parametrize("hours", [1, -1])
async def test_clock_that_is_set_makes_no_return_unclear(ledger: Ledger, clock: FakeClock, hours: int) -> None:
    """What is being sent to VKP is ours until nobody can be at it any more."""
    message = await brought_to(ledger, MessageState.DELIVERED, "first")
    await put(ledger, message, state="returning", owner=ledger.node, lease=NOW + LEASE)
    returns = Returns(ledger, clock)
    clock.ahead = hours * HOUR
    assert await returns.recover(alone=False) == []
    clock.now += LONGEST_LEASE
    assert [each.reference for each in await returns.recover(alone=False)] == ["first"]


async def test_claims_from_a_clock_that_was_ahead_do_not_last(ledger: Ledger) -> None:
    """Of a cutover, and of a request with an Idempotency-Key."""

    def work(connection: object) -> bool:
        first = idempotency.Claim("key", "one")
        assert idempotency.claim(connection, first, "content", NOW + HOUR) is None  # type: ignore[arg-type]
        return idempotency.claim(connection, idempotency.Claim("key", "two"), "content", NOW) is None  # type: ignore[arg-type]

    assert await ledger.store.write(work)
    assert cutovers.latest_lease(cutovers.Lease("node", NOW, NOW + 30, alone=False)) < NOW + HOUR
