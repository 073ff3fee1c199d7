"""Verdicts are counted by the hour, added to by every node, and summed up for each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.ledger.rehearsals import CountedVerdict, RehearsalVerdict, add, hour_of, purge, summary
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from gateway.ledger.database import Database

HOUR = hour_of(NOW)


def counted(verdict: RehearsalVerdict, reason: str = "", **changed: Any) -> CountedVerdict:
    """Return what a message is counted by."""
    named = {"municipality": "nordfjell", "vendor": "evondos", "system": "e300", "information": "notat", "hour": HOUR}
    return CountedVerdict(**{**named, **changed}, verdict=verdict.value, reason=reason)


async def test_counts_of_several_writes_are_added(store: Database) -> None:
    """Whoever wrote them."""
    for _ in range(2):
        await store.write(
            lambda each: add(
                each, {counted(RehearsalVerdict.CLEAN): 3, counted(RehearsalVerdict.REFUSED, "loss: x"): 1}
            )
        )
    await store.write(lambda each: add(each, {}))
    (found,) = await store.read(lambda each: summary(each, since=NOW))
    assert found.counts == {"clean": 6, "refused": 2}
    assert (found.rehearsed, found.passed, found.clean_share, found.last_hour) == (8, 6, 0.75, HOUR)


async def test_only_what_was_rehearsed_makes_the_share(store: Database) -> None:
    """A repaired message passes, a defect of ours does not, and what was skipped or refused by VKP says nothing."""
    numbers = zip(RehearsalVerdict, (1, 2, 3, 4, 5, 6), strict=True)
    await store.write(lambda each: add(each, {counted(verdict): number for verdict, number in numbers}))
    (found,) = await store.read(lambda each: summary(each, since=NOW))
    assert (found.passed, found.rehearsed, found.clean_share) == (3, 10, 0.3)


async def test_no_rehearsal_is_no_share(store: Database) -> None:
    """No data never passes for clean."""
    await store.write(lambda each: add(each, {counted(RehearsalVerdict.SKIPPED, "unreadable"): 1}))
    (found,) = await store.read(lambda each: summary(each, since=NOW))
    assert found.clean_share is None
    assert await store.read(lambda each: summary(each, municipality="havnes", since=NOW)) == []


async def test_summary_is_narrowed_by_cell_and_time(store: Database) -> None:
    """Whole hours are counted: that of `since` too, and none before."""
    rows = {
        counted(RehearsalVerdict.CLEAN): 1,
        counted(RehearsalVerdict.CLEAN, hour=HOUR - 1): 1,
        counted(
            RehearsalVerdict.CLEAN, municipality="sorvik", vendor="dignio", system="prevent", information="varsel"
        ): 1,
    }
    await store.write(lambda each: add(each, rows))

    async def cells(since: float = NOW, **narrowed: str) -> list[tuple[str, int]]:
        found = await store.read(lambda each: summary(each, since=since, **narrowed))
        return [(one.municipality, one.counts["clean"]) for one in found]

    assert await cells() == [("nordfjell", 1), ("sorvik", 1)]
    assert await cells(since=NOW - 3600) == [("nordfjell", 2), ("sorvik", 1)]
    assert await cells(since=NOW + 3600) == []
    for narrowed in (
        {"municipality": "sorvik"},
        {"vendor": "dignio"},
        {"system": "prevent"},
        {"information": "varsel"},
    ):
        assert await cells(**narrowed) == [("sorvik", 1)]


async def test_most_frequent_reasons_come_first(store: Database) -> None:
    """At most ten of them, over all hours together."""
    rows = {
        counted(RehearsalVerdict.REFUSED, f"loss: {number}", hour=HOUR + number % 2): number + 1 for number in range(15)
    }
    await store.write(
        lambda each: add(each, {**rows, counted(RehearsalVerdict.REFUSED, "loss: 0", hour=HOUR + 1): 100})
    )
    (found,) = await store.read(lambda each: summary(each, since=NOW))
    assert [(one.reason, one.messages) for one in found.reasons[:2]] == [("loss: 0", 101), ("loss: 14", 15)]
    assert len(found.reasons) == 10


async def test_old_hours_are_purged(store: Database) -> None:
    """Those that ended before a moment."""
    await store.write(
        lambda each: add(each, {counted(RehearsalVerdict.CLEAN, hour=HOUR - 2): 1, counted(RehearsalVerdict.CLEAN): 1})
    )
    assert await store.write(lambda each: purge(each, NOW)) == 1
    (found,) = await store.read(lambda each: summary(each, since=0))
    assert found.counts == {"clean": 1}
