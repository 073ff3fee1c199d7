"""What becomes of a message that arrives: taken, held, or known; and of its repeats."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.messages import LEASE, Ledger
from gateway.ledger.records import Known, MessageState, PassedNote, Taken, Waiting
from gateway.model import Account, Envelope, Information
from tests.gateway.ledger.conftest import (
    NOW,
    UNTIL,
    WINDOW,
    arrive,
    brought_to,
    history,
    payload,
    put,
    row,
    taken,
    waiting,
)

if TYPE_CHECKING:
    from tests.gateway.ledger.conftest import Clock

COPY: dict[str, Any] = {"identity": "identity", "copy": "copy"}
ENVELOPE = Envelope("r4", "havnes", "vkp-1", "vendor", "system", Information.VARSEL)


def account(reference: str) -> Account:
    """Return what is known of a message that has passed."""
    return Account(reference, ENVELOPE, None, "vkp", None, "passed")


async def test_new_message_is_taken_and_written_down_before_it_is_sent(ledger: Ledger) -> None:
    """With its payload, its owner, and how long it stays with that one; nobody was told of success."""
    found = await arrive(ledger, "one", **COPY)
    assert isinstance(found, Taken)
    assert found == Taken(found.id, "one")
    written = await row(ledger, found.id)
    assert (written.state, written.owner, written.lease) == (MessageState.DELIVERING, "node-a", UNTIL + LEASE)
    assert (written.payload, written.told, written.received_at) == (b"sealed one", False, NOW)
    assert await history(ledger, found.id) == [("node-a", "received", ""), ("node-a", "delivering", "")]


@pytest.mark.parametrize("promised", [True, False])
async def test_promised_message_that_is_told_to_wait_is_held(ledger: Ledger, promised: bool) -> None:
    """Its sender is told of success; one that is not promised is tried at once all the same."""
    found = await arrive(ledger, "one", wait=True, promised=promised)
    assert isinstance(found, Waiting if promised else Taken)
    written = await row(ledger, found.id)
    assert (written.state, written.told) == (
        (MessageState.HELD, True) if promised else (MessageState.DELIVERING, False)
    )
    assert (written.due, written.payload) == (NOW, b"sealed one")
    why = [("held", "the service is away")] if promised else [("delivering", "")]
    assert [(what, reason) for _, what, reason in await history(ledger, found.id)] == [("received", ""), *why]


@pytest.mark.parametrize("earlier", [MessageState.HELD, MessageState.DELIVERING])
async def test_promised_message_waits_for_an_earlier_one_about_the_patient(
    ledger: Ledger, earlier: MessageState
) -> None:
    """So that the patient's messages are delivered in order."""
    await brought_to(ledger, earlier, "first", patient="patient")
    found = await arrive(ledger, "second", patient="patient")
    assert isinstance(found, Waiting)
    assert (await row(ledger, found.id)).told
    assert (await history(ledger, found.id))[-1] == ("node-a", "held", "others about the patient come first")


@pytest.mark.parametrize(
    "second",
    [
        {"patient": "another"},
        {"patient": None},
        {"patient": "patient", "municipality": "vikan"},
        {"patient": "patient", "promised": False},
    ],
    ids=["another patient", "no patient", "another municipality", "not promised"],
)
async def test_message_waits_for_no_other(ledger: Ledger, second: dict[str, Any]) -> None:
    """Nobody is kept waiting whose order does not matter, or who is answered by what happens now."""
    await waiting(ledger, "first", patient="patient")
    await waiting(ledger, "another")
    assert isinstance(await arrive(ledger, "second", **second), Taken)


@pytest.mark.parametrize(
    "earlier",
    [
        MessageState.DELIVERED,
        MessageState.READ,
        MessageState.ACKNOWLEDGED,
        MessageState.REFUSED,
        MessageState.QUARANTINED,
    ],
)
async def test_message_waits_for_none_that_is_done_or_set_aside(ledger: Ledger, earlier: MessageState) -> None:
    """What a person looks at never keeps others."""
    await brought_to(ledger, earlier, "first", patient="patient")
    assert isinstance(await arrive(ledger, "second", patient="patient"), Taken)


async def test_copy_is_known_whatever_has_become_of_the_first(ledger: Ledger, other: Ledger) -> None:
    """On every node; it is answered as the first was, except while nobody knows how that will be."""
    first = await brought_to(ledger, MessageState.DELIVERED, "first", **COPY)
    for state in set(MessageState) - {MessageState.REFUSED}:
        await put(ledger, first, state=state.value)
        for node in (ledger, other):
            found = await arrive(node, "second", received_at=NOW + 1, **COPY)
            assert found == Known(first, "first", NOW, state, told=False, event_id="event-first", delivered_at=NOW)
            assert found.is_success == (state is not MessageState.DELIVERING)
        assert await ledger.one(first) == found


async def test_copy_of_a_promised_message_under_way_is_a_success(ledger: Ledger) -> None:
    """Its sender was told so when it was held; that it is being sent again changes nothing."""
    first = await waiting(ledger, "first", **COPY)
    assert [due.id for due in await ledger.claim(1, until=UNTIL)] == [first]
    found = await arrive(ledger, "second", **COPY)
    assert isinstance(found, Known)
    assert (found.state, found.told, found.is_success) == (MessageState.DELIVERING, True, True)


async def test_one_of_two_copies_at_once_is_taken(ledger: Ledger, other: Ledger) -> None:
    """Also on two nodes: the other ones know of it."""
    nodes = [ledger, other] * 10
    copies = [arrive(node, f"copy-{number}", **COPY) for number, node in enumerate(nodes)]
    found = await asyncio.gather(*copies)
    assert sorted(type(each).__name__ for each in found) == ["Known"] * 19 + ["Taken"]
    assert len({each.id for each in found}) == len({each.reference for each in found}) == 1


async def test_message_without_an_id_is_never_known_again(ledger: Ledger) -> None:
    """Two alike may be meant as two."""
    assert await taken(ledger, "first") != await taken(ledger, "second")


async def test_copy_older_than_the_window_is_no_copy(ledger: Ledger, clock: Clock) -> None:
    """From then on the second is the first; until then it is known."""
    first = await brought_to(ledger, MessageState.DELIVERED, "first", **COPY)
    clock.now = NOW + WINDOW
    assert isinstance(await arrive(ledger, "still known", received_at=clock.now, **COPY), Known)
    clock.now += 1
    second = await taken(ledger, "second", received_at=clock.now, until=clock.now, **COPY)
    assert second != first
    found = await arrive(ledger, "third", received_at=clock.now, **COPY)
    assert isinstance(found, Known)
    assert found.id == second
    assert (await row(ledger, first)).state == MessageState.DELIVERED


@pytest.mark.parametrize(
    "state", [MessageState.HELD, MessageState.DELIVERING, MessageState.QUARANTINED, MessageState.RETURNING]
)
async def test_message_that_is_not_done_is_known_for_longer_than_the_window(
    ledger: Ledger, clock: Clock, state: MessageState
) -> None:
    """It is still to be delivered, or a person may still have it delivered: a copy beside it would be delivered too."""
    first = await brought_to(ledger, MessageState.DELIVERING, "first", **COPY)
    await put(ledger, first, state=state.value)
    clock.now += WINDOW + 1
    found = await arrive(ledger, "again", received_at=clock.now, **COPY)
    assert isinstance(found, Known)
    assert (found.id, found.state) == (first, state)


async def test_window_begins_when_the_message_was_delivered(ledger: Ledger, clock: Clock) -> None:
    """Its sender repeated it for as long as nobody took it, and repeats it once more since the answer was lost."""
    first = await brought_to(ledger, MessageState.REFUSED, "first", **COPY)
    clock.now += WINDOW - 1
    assert await taken(ledger, "repeat", received_at=clock.now, until=clock.now + 30, **COPY) == first
    assert await ledger.delivered(first, "event", "Bundle", next_poll=clock.now)
    clock.now += 2
    found = await arrive(ledger, "once more", received_at=clock.now, **COPY)
    assert isinstance(found, Known)
    assert (found.id, found.is_success) == (first, True)


@pytest.mark.parametrize("reason", ["unclear", "JFT answered 503", "unclear to somebody else"])
async def test_repeat_of_what_was_refused_is_taken_again(ledger: Ledger, other: Ledger, reason: str) -> None:
    """Under the first one's reference; marked when nobody knows whether that was delivered, and not otherwise."""
    first = await taken(ledger, "first", promised=False, **COPY)
    assert await ledger.refused(first, reason)
    assert (await row(ledger, first)).payload is None
    is_unclear = reason == "unclear"
    found = await arrive(other, "second", promised=False, until=UNTIL + 5, **COPY)
    assert found == Taken(first, "first", possible_duplicate=is_unclear)
    written = await row(ledger, first)
    assert (written.state, written.owner, written.lease) == (MessageState.DELIVERING, "node-b", UNTIL + 5 + LEASE)
    assert (written.payload, written.reason, written.possible_duplicate) == (payload("first"), None, is_unclear)
    assert (await history(ledger, first))[-2:] == [
        ("node-a", "refused", reason),
        ("node-b", "delivering", "repeated by its sender"),
    ]


async def test_mark_of_a_possible_duplicate_stays(ledger: Ledger) -> None:
    """A later attempt that certainly failed does not make the first one certain."""
    first = await taken(ledger, "first", promised=False, **COPY)
    for reason in ("unclear", "JFT answered 503", "JFT answered 503"):
        assert await ledger.refused(first, reason)
        found = await arrive(ledger, "again", promised=False, **COPY)
        assert found == Taken(first, "first", possible_duplicate=True)


async def test_one_of_two_repeats_at_once_is_taken(ledger: Ledger, other: Ledger) -> None:
    """A sender that repeats twice has it delivered once."""
    await brought_to(ledger, MessageState.REFUSED, "first", promised=False, **COPY)
    found = await asyncio.gather(*(arrive(node, "again", promised=False, **COPY) for node in [ledger, other] * 5))
    assert sorted(type(each).__name__ for each in found) == ["Known"] * 9 + ["Taken"]


async def test_repeat_of_what_a_dead_process_had_is_taken_when_its_lease_is_over(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    """Nobody has to wait until it is recovered; that it may be there already is marked."""
    first = await taken(ledger, "first", promised=False, **COPY)
    clock.now = UNTIL + LEASE
    assert isinstance(await arrive(other, "too early", promised=False, **COPY), Known)
    clock.now += 0.5
    found = await arrive(other, "second", promised=False, until=clock.now + 30, **COPY)
    assert found == Taken(first, "first", possible_duplicate=True)
    assert (await row(ledger, first)).owner == "node-b"


async def test_repeat_of_a_promised_message_of_a_dead_process_is_not_taken(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    """What becomes of it the route's policy says, when it is recovered."""
    first = await taken(ledger, "first", **COPY)
    clock.now = UNTIL + LEASE + 1
    found = await arrive(other, "second", **COPY)
    assert isinstance(found, Known)
    assert (found.id, found.state, found.is_success) == (first, MessageState.DELIVERING, False)


async def test_repeat_waits_for_an_earlier_message_about_the_patient(ledger: Ledger) -> None:
    """A promised message that was refused before does not overtake one that is held since."""
    await brought_to(ledger, MessageState.REFUSED, "first", patient="patient", identity="1", copy="1")
    await brought_to(ledger, MessageState.REFUSED, "second", patient="patient", identity="2", copy="2")
    first = await taken(ledger, "again", patient="patient", identity="1", copy="1")
    assert await ledger.held(first, "away", next_try=NOW)
    found = await arrive(ledger, "again", patient="patient", identity="2", copy="2")
    assert isinstance(found, Waiting)
    assert (await row(ledger, found.id)).told


@pytest.mark.parametrize("promised", [True, False])
async def test_repeat_of_a_promised_message_is_held_while_the_service_is_away(ledger: Ledger, promised: bool) -> None:
    """As its first copy would be; it is due at once and marked as it was."""
    first = await taken(ledger, "first", promised=False, **COPY)
    assert await ledger.refused(first, "unclear")
    found = await arrive(ledger, "again", wait=True, promised=promised, **COPY)
    assert isinstance(found, Waiting if promised else Taken)
    written = await row(ledger, first)
    assert (found.id, written.told, written.payload) == (first, promised, payload("first"))
    assert (written.due, written.possible_duplicate) == (NOW, True)
    assert (await history(ledger, first))[-1] == (
        "node-a",
        "held" if promised else "delivering",
        "repeated by its sender",
    )


@pytest.mark.parametrize("wait", [True, False])
async def test_the_same_id_with_other_content_is_delivered_and_marked(ledger: Ledger, wait: bool) -> None:
    """Alarm ids are used again for what follows up."""
    await brought_to(ledger, MessageState.DELIVERED, "first", identity="identity", copy="copy")
    found = await arrive(ledger, "second", wait=wait, identity="identity", copy="another")
    assert isinstance(found, Waiting if wait else Taken)
    assert found.identifier_reused
    assert (await row(ledger, found.id)).identifier_reused


@pytest.mark.parametrize(
    "second", [{"identity": "another", "copy": "another"}, {}], ids=["another id", "no id of its own"]
)
async def test_other_id_is_not_marked(ledger: Ledger, second: dict[str, Any]) -> None:
    """Only the same id with other content is a reused one."""
    await brought_to(ledger, MessageState.DELIVERED, "first", **COPY)
    found = await arrive(ledger, "second", **second)
    assert isinstance(found, Taken)
    assert not found.identifier_reused


async def test_id_of_what_was_refused_is_not_reused(ledger: Ledger) -> None:
    """A sender that corrects what was refused sends it under the same id."""
    await brought_to(ledger, MessageState.REFUSED, "first", **COPY)
    found = await arrive(ledger, "second", identity="identity", copy="corrected")
    assert isinstance(found, Taken)
    assert not found.identifier_reused


async def test_what_vkp_took_is_known_when_the_route_has_changed_side(ledger: Ledger, other: Ledger) -> None:
    """The copy is answered with the first one's reference, and not delivered again."""
    known_by = ("identity", "copy")
    notes = [PassedNote(account("first"), known_by, 201, NOW), PassedNote(account("second"), known_by, 200, NOW)]
    await ledger.note_passed(notes)
    found = await arrive(other, "third", received_at=NOW + 1, **COPY)
    assert isinstance(found, Known)
    assert (found.reference, found.state, found.received_at, found.is_success) == (
        "first",
        MessageState.PASSED,
        NOW,
        True,
    )
    written = await row(ledger, found.id)
    assert (written.status, written.information, written.payload) == (201, Information.VARSEL.value, None)
    assert await history(ledger, found.id) == [("node-a", "passed", "201")]
    reused = await arrive(other, "fourth", identity="identity", copy="another")
    assert isinstance(reused, Taken)
    assert reused.identifier_reused


async def test_what_vkp_took_after_it_was_refused_is_known(ledger: Ledger) -> None:
    """Its repeat reached VKP while the route was there; when the route comes back it is not delivered once more."""
    first = await brought_to(ledger, MessageState.REFUSED, "first", promised=False, **COPY)
    await ledger.note_passed([PassedNote(account("second"), ("identity", "copy"), 200, NOW)])
    found = await arrive(ledger, "third", promised=False, **COPY)
    assert isinstance(found, Known)
    assert found.is_success
    assert (await row(ledger, first)).state != MessageState.DELIVERING


@pytest.mark.parametrize("is_uncertain", [False, True])
async def test_what_vkp_took_from_its_sender_is_not_held_any_more(ledger: Ledger, is_uncertain: bool) -> None:
    """It went neither to JFT nor back to VKP as well; what the service may have as well is left for a person to see."""
    first = await waiting(ledger, "first", patient="patient", **COPY)
    await put(ledger, first, possible_duplicate=is_uncertain)
    second = await waiting(ledger, "second", patient="patient")
    await ledger.note_passed([PassedNote(account("repeat"), ("identity", "copy"), 200, NOW)])
    written = await row(ledger, first)
    assert written.state == (MessageState.HELD if is_uncertain else MessageState.RETURNED)
    assert (written.payload is None) is not is_uncertain
    assert [due.id for due in await ledger.claim(1, until=UNTIL)] == [first if is_uncertain else second]
    if not is_uncertain:
        assert written.status == 200
        assert (await history(ledger, first))[-1] == ("node-a", "returned", "by its sender: 200")


@pytest.mark.parametrize("wait", [False, True])
async def test_arrival_that_is_written_twice_is_no_copy_of_itself(ledger: Ledger, wait: bool) -> None:
    """Nobody heard whether the commit was done, and the work was run again: it is still to be sent, or held."""
    first = await arrive(ledger, "first", wait=wait, **COPY)
    assert await arrive(ledger, "first", wait=wait, **COPY) == first
