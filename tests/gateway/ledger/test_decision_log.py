"""The decision log: one row for each message, written beside its way, and read again by whoever plans a change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import structs

from gateway.ledger import decision_log
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.decision_log import (
    DecisionLog,
    LastSeen,
    PastDecision,
    by_reference,
    decision_of,
    last_seen,
    past,
    purge,
    write,
)
from gateway.model import Account, Envelope, Information, Mode
from gateway.observability import metrics
from gateway.tasks import Intervals
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    import pytest

    from gateway.ledger.database import Database
    from tests.gateway.ledger.conftest import Clock


def account(reference: str = "one", **changed: Any) -> Account:
    """Return the account of a message that an override sent to the new side."""
    envelope = Envelope("vkp-r4", "nordfjell", "S1", "evondos", "e300", Information.NOTAT)
    made = Account(reference, envelope, Mode.NEW, "jft", "routes.yaml:9:5", "accepted", layer="override", rule="ovr-1")
    return structs.replace(made, **changed)


def row(reference: str = "one", at: float = NOW, **changed: Any) -> PastDecision:
    """Return what is written of it."""
    return structs.replace(decision_of(account(reference), at), **changed)


async def everything(store: Database, since: float = 0.0, until: float | None = None) -> list[PastDecision]:
    """Return the log."""
    return await store.read(lambda each: list(past(each, since, until)))


async def test_row_comes_back_as_it_was_written(store: Database) -> None:
    """In plain words, also on a database that knows enumerations."""
    await store.write(lambda each: write(each, [row()]))
    found = await store.read(lambda each: by_reference(each, "one"))
    assert found == PastDecision(
        at=NOW,
        reference="one",
        surface="vkp-r4",
        municipality="nordfjell",
        sender="S1",
        vendor="evondos",
        system="e300",
        information="notat",
        mode="new",
        layer="override",
        rule="ovr-1",
        route="routes.yaml:9:5",
        outcome="accepted",
    )
    assert await store.read(lambda each: by_reference(each, "two")) is None


async def test_past_is_read_in_order_and_within_its_times(store: Database) -> None:
    """From a moment until before another, however many there are."""
    rows = [row(str(number), NOW + number) for number in range(1200)]
    await store.write(lambda each: write(each, rows[::-1]))
    assert await everything(store) == rows
    assert await everything(store, NOW + 10, NOW + 12) == rows[10:12]


async def test_last_seen_counts_by_cell_and_mode(store: Database) -> None:
    """A message whose information is not known is of a cell of its own."""
    rows = [row("a"), row("b", NOW + 5), row("c", information=None), row("d", NOW - 9)]
    await store.write(lambda each: write(each, rows))
    found = await store.read(lambda each: last_seen(each, NOW))
    cell = ("nordfjell", "evondos", "e300")
    assert set(found) == {LastSeen(*cell, "notat", "new", 2, NOW + 5), LastSeen(*cell, None, "new", 1, NOW)}


async def test_purge_deletes_what_is_older_a_part_at_a_time(store: Database) -> None:
    """Until nothing is."""
    await store.write(lambda each: write(each, [row(str(number), NOW + number) for number in range(5)]))
    numbers = [await store.write(lambda each: purge(each, NOW + 3, at_once=2)) for _ in range(3)]
    assert numbers == [2, 1, 0]
    assert [one.reference for one in await everything(store)] == ["3", "4"]


async def test_log_is_complete_when_it_stops(store: Database, clock: Clock) -> None:
    """With more rows than one write takes; what no surface recognised is not in it."""
    kept = DecisionLog(lambda: store, clock)
    kept.start()
    for number in range(1200):
        kept.record(account(str(number)))
    kept.record(account("odd", envelope=Envelope("unrecognised", None, None, None, None, None)))
    await kept.stop()
    assert [one.reference for one in await everything(store)] == [str(number) for number in range(1200)]


async def test_full_batch_is_written_without_waiting(
    store: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the next write is not waited for."""
    written = asyncio.Event()
    real = decision_log.write

    def told(connection: Any, rows: Any) -> None:
        real(connection, rows)
        loop.call_soon_threadsafe(written.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(decision_log, "write", told)
    kept = DecisionLog(lambda: store, clock, Intervals(decisions=3600.0))
    kept.start()
    for number in range(500):
        kept.record(account(str(number)))
    await asyncio.wait_for(written.wait(), 120)
    await kept.stop()


class Failing:
    """A ledger that cannot be written until it is told otherwise."""

    def __init__(self, store: Database) -> None:
        self.store = store
        self.fails = True
        self.tries = 0

    async def write(self, work: Any) -> Any:
        """Fail, or write."""
        self.tries += 1
        if self.fails:
            raise LedgerUnavailable("full")
        return await self.store.write(work)


async def test_what_comes_while_rows_are_written_waits_for_the_next_time(
    store: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load each write has many rows, and never the few that came during the one before."""
    kept = DecisionLog(lambda: store, clock)
    real = store.write

    async def slow(work: Any) -> Any:
        kept.record(account("later"))
        return await real(work)

    monkeypatch.setattr(store, "write", slow)
    kept.record(account("first"))
    await kept._flush()
    assert [one.reference for one in await everything(store)] == ["first"]
    monkeypatch.undo()
    await kept.stop()
    assert [one.reference for one in await everything(store)] == ["first", "later"]


async def test_rows_wait_while_the_ledger_cannot_be_written(store: Database, clock: Clock) -> None:
    """Up to a bound; what comes then is counted as missing, and no message fails."""
    failing, before = Failing(store), metrics.DECISIONS_DROPPED._value.get()
    kept = DecisionLog(lambda: failing, clock, most=3)  # type: ignore[arg-type, return-value] # as much of a store as is asked
    for number in range(5):
        kept.record(account(str(number)))
    await kept._flush()
    assert (len(kept._rows), failing.tries) == (3, 1)
    assert metrics.DECISIONS_DROPPED._value.get() == before + 2
    failing.fails = False
    await kept.stop()
    assert [one.reference for one in await everything(store)] == ["0", "1", "2"]


async def test_what_is_left_at_the_end_is_counted(store: Database, clock: Clock) -> None:
    """When the ledger stays away."""
    failing, before = Failing(store), metrics.DECISIONS_DROPPED._value.get()
    kept = DecisionLog(lambda: failing, clock)  # type: ignore[arg-type, return-value] # as much of a store as is asked
    kept.record(account())
    await kept.stop()
    assert metrics.DECISIONS_DROPPED._value.get() == before + 1


async def test_without_a_ledger_nothing_gathers(clock: Clock) -> None:
    """A gateway that needs none has no log."""
    kept = DecisionLog(lambda: None, clock)
    kept.record(account())
    await kept._flush()
    assert not kept._rows
