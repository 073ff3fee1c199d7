"""What is counted, and what is cleared away when its time has ended: nothing that waits for somebody, silently."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select

from gateway.ledger import audit
from gateway.ledger.records import Known, MessageState, Taken
from gateway.ledger.retention import (
    BacklogCount,
    Purged,
    RetentionTimes,
    ahead_of_database,
    counts,
    doubt,
    kept_longer,
    last_run,
    purge,
    ran,
)
from gateway.ledger.tables import MESSAGE
from gateway.times import DAY
from tests.gateway.ledger.conftest import (
    NOW,
    arrive,
    brought_to,
    history,
    kept_numbers,
    payload,
    put,
    row,
    taken,
    waiting,
)

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger

NEVER = 0.0
FOLLOWED = {MessageState.DELIVERED, MessageState.READ}
"""What stays until it is acknowledged, or overdue and told."""
UNFINISHED = {MessageState.HELD, MessageState.DELIVERING, MessageState.QUARANTINED, MessageState.RETURNING}


def times(**ended: float) -> RetentionTimes:
    """Return what has been kept long enough: nothing but what a test says."""
    return RetentionTimes(**{**dict.fromkeys(("payload", "receipt", "audit", "passed"), NEVER), **ended})


async def purged(ledger: Ledger, **ended: float) -> Purged:
    """Clear away at `NOW`."""
    told: list[tuple[str, str, str]] = []
    found = await purge(
        *(ledger.store, times(**ended), lambda state, why: ledger.line(NOW, state, why)),
        lambda *what: told.append(what),
    )
    # Whoever must hear of it has heard of it when it is done.
    assert told == [
        *(("retention.discarded", *one) for one in found.discarded),
        *(("retention.never_acknowledged", *one) for one in found.given_up),
    ]
    return found


async def in_state(ledger: Ledger, state: MessageState, reference: str = "first", **changed: Any) -> int:
    """Have a message with a payload in any state; its id."""
    message = await taken(ledger, reference, received_at=NOW - 10, **changed)
    await put(ledger, message, state=state.value, due=NOW - 5)
    return message


async def left(ledger: Ledger) -> int:
    """Return how many messages there are."""
    count = select(func.count()).select_from(MESSAGE)
    return await ledger.store.read(lambda connection: connection.execute(count).scalar_one())


async def test_counts_say_what_waits_for_something_and_since_when(ledger: Ledger) -> None:
    """By municipality and state; overdue events have that for a state, and what is done is not counted."""
    await waiting(ledger, "1", received_at=NOW - 3)
    await waiting(ledger, "2", received_at=NOW - 4)
    await waiting(ledger, "3", municipality="vikan")
    await taken(ledger, "4")
    await brought_to(ledger, MessageState.QUARANTINED, "5")
    for state in (MessageState.DELIVERED, MessageState.READ, MessageState.ACKNOWLEDGED, MessageState.REFUSED):
        await brought_to(ledger, state, state.value)
    assert await ledger.overdue(await brought_to(ledger, MessageState.DELIVERED, "6", received_at=NOW - 9), "not read")
    assert sorted(await ledger.store.read(counts), key=lambda count: (count.municipality, count.state)) == [
        BacklogCount("havnes", "delivering", 1, NOW),
        BacklogCount("havnes", "held", 2, NOW - 4),
        BacklogCount("havnes", "overdue", 1, NOW - 9),
        BacklogCount("havnes", "quarantined", 1, NOW),
        BacklogCount("vikan", "held", 1, NOW),
    ]


async def test_payload_is_forgotten_unless_somebody_waits_for_it(ledger: Ledger) -> None:
    """Once its time has ended, and not before; that there was a message stays."""
    messages = {state: await in_state(ledger, state, state.value) for state in MessageState}
    assert await purged(ledger, payload=NOW - 10) == Purged(0, 0, ())
    await purged(ledger, payload=NOW - 9)
    kept = {state for state, message in messages.items() if (await row(ledger, message)).payload is not None}
    assert kept == UNFINISHED
    assert await left(ledger) == len(MessageState)


async def test_receipt_is_deleted_unless_somebody_waits_for_it(ledger: Ledger) -> None:
    """However old a message is that is not done."""
    messages = {state: await in_state(ledger, state, state.value) for state in MessageState}
    assert (await purged(ledger, receipt=NOW - 10)).rows == 0
    assert (await purged(ledger, receipt=NOW)).rows == len(set(MessageState) - UNFINISHED - FOLLOWED)
    for state in UNFINISHED:
        assert (await row(ledger, messages[state])).payload == payload(state.value)
    assert await left(ledger) == len(UNFINISHED | FOLLOWED)


async def test_other_numbers_of_a_patient_are_deleted_with_the_receipt(ledger: Ledger) -> None:
    """And not before, nor those of a message that is kept."""
    await in_state(ledger, MessageState.ACKNOWLEDGED, "done", others=("of-the-done",))
    await in_state(ledger, MessageState.HELD, "held", others=("of-the-held",))
    await purged(ledger, receipt=NOW - 10)
    assert await kept_numbers(ledger) == ["of-the-done", "of-the-held"]
    await purged(ledger, receipt=NOW)
    assert await kept_numbers(ledger) == ["of-the-held"]


@pytest.mark.parametrize("state", [MessageState.HELD, MessageState.QUARANTINED])
async def test_what_was_promised_and_is_not_delivered_is_never_cleared_away(
    ledger: Ledger, state: MessageState
) -> None:
    """However long it waits: only a delivery, or a person, ends that; but it is told of."""
    first = await in_state(ledger, state, identity="identity", copy="copy")
    before = await row(ledger, first)
    ended = dict.fromkeys(("payload", "receipt", "audit", "passed"), NOW + 1)
    assert await purged(ledger, **ended) == Purged(0, 0, ())
    assert await row(ledger, first) == before
    assert await ledger.store.read(lambda each: kept_longer(each, NOW)) == (1, NOW - 10)
    assert await ledger.store.read(lambda each: kept_longer(each, NOW - 10)) == (0, None)


@pytest.mark.parametrize("changed", [{"event_id": "event"}, {"promised": False}])
async def test_what_is_delivered_or_was_not_promised_is_discarded_after_its_time_in_quarantine(
    ledger: Ledger, changed: dict[str, Any]
) -> None:
    """Its time begins when it came there; it is told, and still known to whoever repeats it."""
    first = await in_state(ledger, MessageState.QUARANTINED, identity="identity", copy="copy")
    await put(ledger, first, **changed)
    assert (await purged(ledger, payload=NOW - 5)).discarded == ()
    assert (await purged(ledger, payload=NOW - 4)).discarded == (("first", "havnes"),)
    written = await row(ledger, first)
    assert (written.state, written.reason, written.payload) == (MessageState.DISCARDED, "retention ended", None)
    assert (await history(ledger, first))[-1] == ("node-a", "discarded", "retention ended")
    assert isinstance(await arrive(ledger, "second", identity="identity", copy="copy"), Known)


async def test_what_is_being_sent_is_never_cleared_away(ledger: Ledger) -> None:
    """Whatever time has ended."""
    first = await taken(ledger, "first", received_at=NOW - 10)
    ended = dict.fromkeys(("payload", "receipt", "audit", "passed"), NOW + 1)
    assert await purged(ledger, **ended) == Purged(0, 0, ())
    assert (await row(ledger, first)).payload == payload("first")


async def test_what_vkp_had_is_kept_only_while_a_copy_is_known(ledger: Ledger) -> None:
    """It is there for nothing else."""
    await in_state(ledger, MessageState.PASSED)
    await in_state(ledger, MessageState.DELIVERED, "second")
    assert (await purged(ledger, passed=NOW - 10)).rows == 0
    assert (await purged(ledger, passed=NOW)).rows == 1
    assert await left(ledger) == 1


async def test_copy_of_what_was_deleted_is_new(ledger: Ledger) -> None:
    """Its window, which is never longer than receipts are kept, has ended."""
    await in_state(ledger, MessageState.ACKNOWLEDGED, identity="identity", copy="copy")
    await purged(ledger, receipt=NOW)
    assert isinstance(await arrive(ledger, "second", identity="identity", copy="copy"), Taken)


async def test_audit_is_kept_for_its_own_time(ledger: Ledger) -> None:
    """Newer entries stay, and so does the newest, so that no chain is ever empty."""
    for at in (NOW - 10, NOW, NOW):
        note = audit.Note(at, "node", "someone", "look", "x")
        await ledger.store.write(lambda connection, note=note: audit.write(connection, note))
    for before, left in ((NOW - 10, 3), (NOW, 2), (NOW + 1, 1), (NOW + 1, 1)):
        await purged(ledger, payload=NOW, receipt=NOW, passed=NOW, audit=before)
        assert len(await ledger.store.read(lambda connection: audit.entries(connection, 9))) == left
        assert await ledger.store.read(audit.verify) is None


async def doubted(ledger: Ledger, now: float, passed: float = 0.0) -> float | None:
    """Look at the clock; return until when it is doubted."""
    found = await ledger.store.write(lambda each: doubt(each, now, passed, "node"))
    return None if found is None else found.until


async def test_start_with_a_clock_that_is_ahead_waits_a_day(ledger: Ledger) -> None:
    """Counted from when that was noticed, over restarts; with the clock back all is well at once."""
    assert await doubted(ledger, NOW) is None
    ahead = NOW + 15 * DAY
    assert await doubted(ledger, ahead) == ahead + DAY
    assert await doubted(ledger, ahead + 3600) == ahead + DAY
    assert await doubted(ledger, NOW + 3600) is None
    assert await doubted(ledger, ahead) == ahead + DAY
    for hour in range(1, 24):
        assert await doubted(ledger, ahead + 3600 * hour, 3600) == ahead + DAY
    assert await doubted(ledger, ahead + DAY, 3600) is None


async def test_before_the_first_look_the_newest_message_says_how_late_it_is(ledger: Ledger) -> None:
    """An empty ledger says nothing, and has nothing to clear away."""
    await waiting(ledger, "first")
    assert await doubted(ledger, NOW + 15 * DAY) == NOW + 16 * DAY


async def test_time_that_has_passed_in_the_process_is_no_gap(ledger: Ledger) -> None:
    """Nor are two hours, since a gateway may be stopped."""
    assert await doubted(ledger, NOW) is None
    assert await doubted(ledger, NOW + 30 * DAY, 30 * DAY) is None
    assert await doubted(ledger, NOW + 30 * DAY + 7200) is None


async def test_clock_ahead_of_the_databases_own_is_doubted(ledger: Ledger) -> None:
    """For as long as they differ; SQLite has none of its own."""
    assert await ledger.store.write(lambda each: doubt(each, NOW, 0.0, "node", 60.0)) is None
    found = await ledger.store.write(lambda each: doubt(each, NOW, 0.0, "node", 61.0))
    assert found is not None
    assert found.until is None
    ahead = await ledger.store.read(lambda each: ahead_of_database(each, time.time() + 120))
    assert ahead == 0 if ledger.store.is_sqlite else 110 < ahead < 130


async def test_everything_is_cleared_away_however_much_it_is(ledger: Ledger) -> None:
    """In several transactions, so that no message waits long."""
    first = await in_state(ledger, MessageState.REFUSED)
    values = (await row(ledger, first))._asdict()
    del values["id"]
    rows = [{**values, "reference": f"copy-{number}"} for number in range(1100)]
    aside = {"state": MessageState.QUARANTINED.value, "promised": False}
    waits = [{**values, **aside, "reference": f"waits-{number}"} for number in range(600)]
    await ledger.store.write(lambda connection: connection.execute(insert(MESSAGE), rows + waits).rowcount)
    told = await purged(ledger, payload=NOW, receipt=NOW)
    assert (told.payloads, told.rows, len(told.discarded)) == (1101, 1701, 600)
    assert len(set(told.discarded)) == 600


async def test_last_run_of_each_job_is_known(ledger: Ledger, other: Ledger) -> None:
    """Of whichever node, so that one that no longer runs is noticed."""
    assert await last_run(ledger.store, "purge") is None
    await ran(ledger.store, "purge", NOW, "node-a", "nothing")
    await ran(ledger.store, "another", NOW + 5, "node-a", "nothing")
    await ran(other.store, "purge", NOW + 1, "node-b", "nothing")
    assert await last_run(ledger.store, "purge") == NOW + 1
    assert await last_run(ledger.store, "another") == NOW + 5


async def test_event_that_nobody_acknowledged_is_given_up_and_told(ledger: Ledger) -> None:
    """With its receipt goes the last that is known of it, so somebody hears of it; one that is not overdue yet stays."""
    first = await in_state(ledger, MessageState.DELIVERED, "first")
    await in_state(ledger, MessageState.DELIVERED, "second")
    assert await ledger.overdue(first, "not read")
    found = await purged(ledger, receipt=NOW)
    assert [reference for reference, _ in found.given_up] == ["first"]
    assert await left(ledger) == 1


@pytest.mark.parametrize("state", sorted(FOLLOWED))
async def test_event_that_nobody_followed_any_more_is_given_up_and_told(ledger: Ledger, state: MessageState) -> None:
    """Without a service nothing becomes overdue; what is known of its patient is kept no longer for that."""
    first = await in_state(ledger, state, "first")
    await put(ledger, first, overdue_at=NOW - 1)
    assert (await purged(ledger, receipt=NOW - 1)).given_up == ()
    assert (await purged(ledger, receipt=NOW)).given_up == (("first", "havnes"),)
    assert await left(ledger) == 0
