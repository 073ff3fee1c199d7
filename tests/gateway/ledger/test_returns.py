"""Going back to VKP, in the ledger: who stands where, and each message is taken once by one process."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from gateway.ledger.messages import LEASE, Ledger
from gateway.ledger.records import MessageState, PassedNote
from gateway.ledger.returns import UNCLEAR_AT_VKP, Going, Lost, ReturnCount, Returns, ReturnStatus, Selection
from gateway.outbox.returns import Returner
from tests.gateway.ledger.conftest import (
    NOW,
    UNTIL,
    Clock,
    brought_to,
    history,
    payload,
    put,
    row,
    waiting,
)
from tests.gateway.ledger.test_arrivals import account

ALL = Selection("havnes", NOW)
R4 = {"surface": "vkp-r4"}
OVER = UNTIL + LEASE + 1


@pytest.fixture
def returns(ledger: Ledger, clock: Clock) -> Returns:
    """Make what one node goes back with."""
    return Returns(ledger, clock)


@pytest.fixture
def others(other: Ledger, clock: Clock) -> Returns:
    """Make what another node goes back with."""
    return Returns(other, clock)


async def one_of_each(ledger: Ledger, returns: Returns) -> dict[MessageState, int]:
    """Have a message in every state that there is."""
    found = {}
    for state in MessageState:
        if state in (MessageState.RETURNING, MessageState.RETURNED):
            message = await brought_to(ledger, MessageState.DELIVERED, state.value, **R4)
            assert await returns.take(message, MessageState.DELIVERED, until=UNTIL)
            assert state is MessageState.RETURNING or await returns.returned(message, 200)
        elif state in (MessageState.DISCARDED, MessageState.PASSED):
            message = await brought_to(ledger, MessageState.QUARANTINED, state.value, **R4)
            await put(ledger, message, state=state.value)
        else:
            message = await brought_to(ledger, state, state.value, **R4)
        found[state] = message
    return found


async def test_every_message_of_the_new_side_stands_somewhere(ledger: Ledger, returns: Returns) -> None:
    """In the order of arrival; what was refused and what VKP had are not among them."""
    await one_of_each(ledger, returns)
    found = {item.state: item.standing for item in await returns.items(ALL, 99)}
    assert found == {
        MessageState.HELD: ReturnStatus.PENDING,
        MessageState.DELIVERING: ReturnStatus.PENDING,
        MessageState.DELIVERED: ReturnStatus.UNREAD,
        MessageState.READ: ReturnStatus.POSSIBLE_DUPLICATE,
        MessageState.ACKNOWLEDGED: ReturnStatus.ACKNOWLEDGED,
        MessageState.QUARANTINED: ReturnStatus.QUARANTINED,
        MessageState.DISCARDED: ReturnStatus.DISCARDED,
        MessageState.RETURNING: ReturnStatus.RETURNING,
        MessageState.RETURNED: ReturnStatus.RETURNED,
    }
    ids = [item.id for item in await returns.items(ALL, 99)]
    assert ids == sorted(ids)


async def test_counts_say_how_many_are_sent_in_bulk(ledger: Ledger, returns: Returns) -> None:
    """Exactly those that the list says so of."""
    await one_of_each(ledger, returns)
    await waiting(ledger, "may be in JFT", **R4)
    await put(ledger, (await _item(returns, "may be in JFT")).id, possible_duplicate=True)
    await put(ledger, await brought_to(ledger, MessageState.DELIVERED, "too old", **R4), payload=None)
    await brought_to(ledger, MessageState.DELIVERED, "another interface", surface="jft")
    counts = {one.standing: one for one in await returns.counts(ALL)}
    assert list(counts) == list(ReturnStatus)
    assert counts[ReturnStatus.UNREAD] == ReturnCount(ReturnStatus.UNREAD, 3, 1)
    assert counts[ReturnStatus.PENDING] == ReturnCount(ReturnStatus.PENDING, 3, 1)
    assert counts[ReturnStatus.POSSIBLE_DUPLICATE] == ReturnCount(ReturnStatus.POSSIBLE_DUPLICATE, 1, 0)
    items = await returns.items(ALL, 99)
    assert sum(item.not_in_bulk is None for item in items) == sum(one.sendable for one in counts.values())


@pytest.mark.parametrize(
    "changed",
    [
        {"municipality": "sorvik"},
        {"vendor": "another"},
        {"system": "another"},
        {"information": "notat"},
        {"information": None},
        {"received_at": NOW - 0.1},
    ],
    ids=str,
)
async def test_a_selection_has_nothing_else(ledger: Ledger, returns: Returns, changed: dict[str, Any]) -> None:
    """Whatever differs is not in it."""
    await brought_to(ledger, MessageState.DELIVERED, "right", **R4)
    await brought_to(ledger, MessageState.DELIVERED, "wrong", **{**R4, **changed})
    narrow = Selection("havnes", NOW, "vendor", "system", frozenset({"varsel", "tilsyn"}))
    assert [item.reference for item in await returns.items(narrow, 9)] == ["right"]
    assert sum(one.messages for one in await returns.counts(narrow)) == 1


async def test_a_list_goes_on_where_it_ended(ledger: Ledger, returns: Returns) -> None:
    """And may be of some standings only."""
    for number in range(5):
        await brought_to(ledger, MessageState.DELIVERED if number % 2 else MessageState.READ, str(number), **R4)
    first = await returns.items(ALL, 2)
    rest = await returns.items(ALL, 9, after=first[-1].id)
    assert [item.reference for item in (*first, *rest)] == list("01234")
    read = await returns.items(ALL, 9, standings=(ReturnStatus.POSSIBLE_DUPLICATE,))
    assert [item.reference for item in read] == ["0", "2", "4"]


async def test_one_is_found_by_its_reference(ledger: Ledger, returns: Returns) -> None:
    """Unless it is not with the new side."""
    await brought_to(ledger, MessageState.DELIVERED, "there", **R4)
    await brought_to(ledger, MessageState.REFUSED, "refused", **R4)
    assert (await _item(returns, "there")).state is MessageState.DELIVERED
    assert await returns.one("refused") is None
    assert await returns.one("nowhere") is None


async def test_only_one_process_takes_a_message(ledger: Ledger, returns: Returns, others: Returns) -> None:
    """Whoever comes second gets nothing, also at the same time."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", **R4)
    both = await asyncio.gather(
        returns.take(message, MessageState.DELIVERED, until=UNTIL),
        others.take(message, MessageState.DELIVERED, until=UNTIL),
    )
    assert [one for one in both if one is not None] == [Going(message, "m", payload("m"))]
    assert await others.take(message, MessageState.DELIVERED, until=UNTIL) is None


@pytest.mark.parametrize("state", [state for state in MessageState if state is not MessageState.DELIVERED])
async def test_what_is_elsewhere_is_not_taken(ledger: Ledger, returns: Returns, state: MessageState) -> None:
    """It has come further, or to another end, since it was listed."""
    message = (await one_of_each(ledger, returns))[state]
    assert await returns.take(message, MessageState.DELIVERED, until=UNTIL) is None
    assert (await row(ledger, message)).state == state.value


async def test_what_is_with_a_deliverer_is_not_taken(ledger: Ledger, returns: Returns) -> None:
    """And what is being returned is not delivered."""
    message = await waiting(ledger, "m", **R4)
    (due,) = await ledger.claim(9, until=UNTIL)
    assert await returns.take(message, MessageState.HELD, until=UNTIL) is None
    await ledger.held(due.id, "away", next_try=NOW)
    assert await returns.take(message, MessageState.HELD, until=UNTIL)
    assert await ledger.claim(9, until=UNTIL) == []


async def test_what_the_service_may_have_is_a_persons(ledger: Ledger, returns: Returns) -> None:
    """A held message that was sent once is not taken in bulk."""
    message = await waiting(ledger, "m", **R4)
    await put(ledger, message, possible_duplicate=True)
    assert await returns.take(message, MessageState.HELD, until=UNTIL) is None
    assert await returns.take(message, MessageState.HELD, until=UNTIL, by_person=True)


@pytest.mark.parametrize("state", [MessageState.READ, MessageState.QUARANTINED])
async def test_what_a_person_decides_about_is_not_taken_in_bulk(
    ledger: Ledger, returns: Returns, state: MessageState
) -> None:
    """Whoever asks for it: the ledger itself does not give it."""
    message = await brought_to(ledger, state, "m", **R4)
    assert await returns.take(message, state, until=UNTIL) is None
    assert await returns.take(message, state, until=UNTIL, by_person=True)


@pytest.mark.parametrize("changed", [{"payload": None}, {"surface": "jft"}], ids=str)
async def test_what_cannot_be_sent_is_not_taken(ledger: Ledger, returns: Returns, changed: dict[str, Any]) -> None:
    """Nothing is kept of it, or VKP has no such interface; a person cannot send it either."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", **R4)
    await put(ledger, message, **changed)
    assert await returns.take(message, MessageState.DELIVERED, until=UNTIL, by_person=True) is None
    item = await _item(returns, "m")
    assert item.not_in_bulk == item.cannot_be_sent is not None


async def test_returned_is_the_end(ledger: Ledger, returns: Returns) -> None:
    """Nothing is kept, nothing is due, nothing is overdue; its sender's copies are still answered with success."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", copy="c", **R4)
    await ledger.overdue(message, "not read")
    await returns.take(message, MessageState.DELIVERED, until=UNTIL)
    assert await returns.returned(message, 201)
    written = await row(ledger, message)
    assert (written.state, written.status, written.payload, written.due) == ("returned", 201, None, None)
    assert (written.overdue, written.owner, written.lease) == (False, None, None)
    known = await ledger.one(message)
    assert known is not None
    assert known.is_success
    assert await ledger.due_for_poll(9, until=UNTIL, without=[]) == []
    assert (await history(ledger, message))[-2:] == [("node-a", "returning", "to VKP"), ("node-a", "returned", "")]


@pytest.mark.parametrize(
    "state", [MessageState.DELIVERED, MessageState.READ, MessageState.HELD, MessageState.QUARANTINED]
)
async def test_what_vkp_did_not_take_is_where_it_was(ledger: Ledger, returns: Returns, state: MessageState) -> None:
    """With the reason, and still sealed."""
    message = await brought_to(ledger, state, "m", **R4)
    await returns.take(message, state, until=UNTIL, by_person=True)
    assert await returns.not_returned(message, state, "VKP answered 503", due=NOW + 60)
    written = await row(ledger, message)
    assert (written.state, written.reason, written.due) == (state.value, "VKP answered 503", NOW + 60)
    assert (written.payload, written.owner) == (payload("m"), None)
    assert await returns.take(message, state, until=UNTIL, by_person=True)


async def test_unclear_is_for_a_person(ledger: Ledger, returns: Returns) -> None:
    """It is kept, and in no bulk."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", **R4)
    await returns.take(message, MessageState.DELIVERED, until=UNTIL)
    assert await returns.unclear(message)
    written = await row(ledger, message)
    assert (written.state, written.reason, written.payload) == ("quarantined", UNCLEAR_AT_VKP, payload("m"))
    assert written.possible_duplicate
    assert (await _item(returns, "m")).not_in_bulk == "quarantined"
    assert await returns.take(message, MessageState.QUARANTINED, until=UNTIL, by_person=True) is None


async def test_later_messages_about_the_patient_are_not_delivered_meanwhile(ledger: Ledger, returns: Returns) -> None:
    """If VKP does not take the first, it is still the first."""
    first = await waiting(ledger, "first", patient="patient", **R4)
    second = await waiting(ledger, "second", patient="patient", **R4)
    assert await returns.take(first, MessageState.HELD, until=UNTIL)
    assert await ledger.claim(9, until=UNTIL) == []
    assert await returns.not_returned(first, MessageState.HELD, "VKP answered 503", due=NOW)
    assert [due.id for due in await ledger.claim(9, until=UNTIL)] == [first]
    assert await ledger.held(first, "away", next_try=NOW)
    assert await returns.take(first, MessageState.HELD, until=UNTIL)
    assert await returns.returned(first, 200)
    assert [due.id for due in await ledger.claim(9, until=UNTIL)] == [second]


async def test_nobody_else_says_what_became_of_it(ledger: Ledger, returns: Returns, others: Returns) -> None:
    """Only who has taken it knows."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", **R4)
    await returns.take(message, MessageState.DELIVERED, until=UNTIL)
    assert not await others.returned(message, 200)
    assert not await others.not_returned(message, MessageState.DELIVERED, "", due=NOW)
    assert not await others.unclear(message)
    assert await returns.returned(message, 200)


async def test_what_was_with_a_process_that_is_gone_is_unclear(
    ledger: Ledger, returns: Returns, others: Returns, clock: Clock
) -> None:
    """Alone at once, beside others when its time is over."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", **R4)
    await returns.take(message, MessageState.DELIVERED, until=UNTIL)
    assert await others.recover(alone=False) == []
    assert await returns.recover(alone=True) == []
    clock.now = OVER
    assert await others.recover(alone=False) == [Lost("m", "havnes")]
    assert (await row(ledger, message)).reason == UNCLEAR_AT_VKP
    clock.now = NOW
    second = await brought_to(ledger, MessageState.DELIVERED, "n", **R4)
    await returns.take(second, MessageState.DELIVERED, until=UNTIL)
    assert await others.recover(alone=True) == [Lost("n", "havnes")]


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
async def test_node_whose_clock_is_ahead_takes_nothing_for_lost(ledger: Ledger, other: Ledger) -> None:
    """Another node is sending it at this moment; by the clock of the one that looks its time is long over."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", **R4)
    right, ahead = Clock(time.time()), Clock(time.time() + 3600)
    sender = Returns(Ledger(ledger.store, "sender", right), right)
    assert await sender.take(message, MessageState.DELIVERED, until=right() + 30)
    await Returner(Ledger(other.store, "ahead", ahead), lambda: None, ahead).recover()
    assert (await row(ledger, message)).state == "returning"


async def test_what_vkp_is_known_to_have_is_known_late(ledger: Ledger, returns: Returns, clock: Clock) -> None:
    """The ledger could not be written for so long that it was set aside; a message that was never sent is not meant."""
    message = await brought_to(ledger, MessageState.DELIVERED, "m", **R4)
    await returns.take(message, MessageState.DELIVERED, until=UNTIL)
    clock.now = OVER
    await returns.recover(alone=False)
    assert await returns.returned(message, 200)
    other = await brought_to(ledger, MessageState.QUARANTINED, "n", **R4)
    assert not await returns.returned(other, 200)


@pytest.mark.parametrize("is_unclear", [False, True])
async def test_what_vkp_took_while_it_was_being_delivered_is_not_held_again(ledger: Ledger, is_unclear: bool) -> None:
    """JFT has not got it, and VKP has; where JFT may have it too, a person sees that it is held."""
    message = await brought_to(ledger, MessageState.DELIVERING, "first", identity="identity", copy="copy", **R4)
    await ledger.note_passed([PassedNote(account("repeat"), ("identity", "copy"), 200, NOW)])
    await ledger.held(message, "JFT answered 503", next_try=NOW, unclear=is_unclear)
    written = await row(ledger, message)
    assert written.state == (MessageState.HELD if is_unclear else MessageState.RETURNED)
    assert (written.payload is None, written.due is None) == (not is_unclear, not is_unclear)


async def _item(returns: Returns, reference: str) -> Any:
    found = await returns.one(reference)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "state", [MessageState.DELIVERED, MessageState.READ, MessageState.QUARANTINED, MessageState.DELIVERING]
)
async def test_what_vkp_took_from_its_sender_is_not_sent_to_vkp_as_well(
    ledger: Ledger, returns: Returns, state: MessageState
) -> None:
    """Its sender had no answer and sent it once more after the route had gone back; what the service has stays followed."""
    message = await brought_to(ledger, state, "first", identity="identity", copy="copy", **R4)
    before = await row(ledger, message)
    note = PassedNote(account("repeat"), ("identity", "copy"), 200, NOW)
    await ledger.note_passed([note, note])
    written = await row(ledger, message)
    assert (written.state, written.payload, written.due) == (before.state, before.payload, before.due)
    assert written.reason == before.reason
    assert (await history(ledger, message)).count(("node-a", "passed", "200")) == 1
    if state is MessageState.DELIVERING:
        assert await ledger.delivered(message, "event", "Bundle", next_poll=NOW)
        state = MessageState.DELIVERED
    item = await _item(returns, "first")
    assert item.cannot_be_sent == "VKP has it from its sender"
    assert item.not_in_bulk is not None
    for by_person in (False, True):
        assert await returns.take(message, state, until=UNTIL, by_person=by_person) is None
    assert all(not one.sendable for one in await returns.counts(ALL))
