"""Comparisons are counted by the day, added to by every node; what differed is kept by path and kind, in bounded number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.ledger.comparisons import (
    MOST_DIFFERENCES,
    OTHER,
    Compared,
    ComparisonOutcome,
    Differing,
    Sighting,
    add,
    day_of,
    known_differences,
    purge,
    summary,
)
from gateway.times import DAY
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.ledger.database import Database

TODAY = day_of(NOW)
CELL = {"municipality": "nordfjell", "vendor": "evondos", "system": "e300", "information": "pasientinfo"}


def compared(outcome: ComparisonOutcome, **changed: Any) -> Compared:
    """Return what an answer is counted by."""
    return Compared(**{"day": TODAY, **CELL, **changed}, outcome=outcome.value)


def differing(path: str, kind: str = "missing", **changed: str) -> Differing:
    """Return what a difference is gathered by."""
    return Differing(**{**CELL, **changed}, path=path, kind=kind)


def seen(at: float = NOW, *, accepted: bool = False, places: int = 1, reference: str = "r-1") -> Sighting:
    """Return one sighting of a difference."""
    return Sighting(1, places, accepted, at, reference)


async def written(store: Database, counts: Mapping[Compared, int], found: Mapping[Differing, Sighting]) -> None:
    """Add to the ledger."""
    await store.write(lambda each: add(each, counts, found))


async def test_counts_of_several_writes_are_added(store: Database) -> None:
    """What is accepted is clean; where the new side did not answer it is not; what VKP did not answer says nothing."""
    numbers = zip(ComparisonOutcome, (1, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)
    rows = {compared(outcome): number for outcome, number in numbers}
    await written(store, rows, {})
    await written(store, {compared(ComparisonOutcome.EQUAL): 1}, {})
    (found,) = await store.read(lambda each: summary(each, since=NOW))
    assert (found.compared, found.clean, found.tried) == (7, 4, 16)
    assert (found.clean_share, found.last_day) == (0.25, TODAY)


async def test_no_answer_is_no_share(store: Database) -> None:
    """No data never passes for clean."""
    await written(store, {compared(ComparisonOutcome.SKIPPED): 1, compared(ComparisonOutcome.VKP_FAILED): 1}, {})
    (found,) = await store.read(lambda each: summary(each, since=NOW))
    assert found.clean_share is None


async def test_summary_is_narrowed_by_cell_and_day(store: Database) -> None:
    """Whole days are counted: that of `since` too, and none before."""
    rows = {
        compared(ComparisonOutcome.EQUAL): 1,
        compared(ComparisonOutcome.EQUAL, day=TODAY - 1): 1,
        compared(ComparisonOutcome.EQUAL, municipality="sorvik"): 5,
    }
    await written(store, rows, {})

    async def numbers(since: float, **cell: str) -> list[int]:
        return [one.compared for one in await store.read(lambda each: summary(each, since=since, **cell))]

    assert await numbers(NOW) == [1, 5]
    assert await numbers(NOW - DAY) == [2, 5]
    assert await numbers(NOW, municipality="sorvik") == [5]
    assert await numbers(NOW + DAY) == []


async def test_a_difference_has_its_first_and_last_sighting(store: Database) -> None:
    """And the request that it was found in last, whoever found it."""
    one = differing("Patient.telecom")
    await written(store, {}, {one: seen(NOW - 60, accepted=True, places=3)})
    await written(store, {}, {one: seen(NOW, reference="r-2"), differing("Patient.name", "different"): seen()})
    found = await store.read(lambda each: known_differences(each, since=0))
    assert [(each.path, each.kind, each.answers, each.places) for each in found] == [
        ("Patient.telecom", "missing", 2, 4),
        ("Patient.name", "different", 1, 1),
    ]
    first = found[0]
    assert (first.first_seen, first.last_seen) == (NOW - 60, NOW)
    assert (first.correlation_id, first.is_accepted, first.fingerprint) == ("r-2", False, one.fingerprint)
    again = await store.read(lambda each: known_differences(each, since=0, fingerprint=one.fingerprint))
    assert again == [first]


async def test_no_answer_fills_the_ledger(store: Database) -> None:
    """Beyond a bound for each cell, whatever else is found is counted as one."""
    many = {differing(f"Patient.p{number}"): seen() for number in range(MOST_DIFFERENCES + 50)}
    await written(store, {}, many)
    await written(store, {}, {differing("Patient.again"): seen(), differing("Patient.p0"): seen()})
    found = await store.read(lambda each: known_differences(each, since=0))
    assert len(found) == MOST_DIFFERENCES + 1
    assert (found[0].path, found[0].answers) == (OTHER, 51)
    assert {one.answers for one in found if one.path == "Patient.p0"} == {2}


async def test_what_is_old_is_purged(store: Database) -> None:
    """Days that ended before a moment, and what was not found since."""
    old, new = compared(ComparisonOutcome.EQUAL, day=TODAY - 2), compared(ComparisonOutcome.EQUAL)
    found = {differing("Patient.name"): seen(NOW - 2 * DAY), differing("Patient.telecom"): seen()}
    await written(store, {old: 1, new: 1}, found)
    assert await store.write(lambda each: purge(each, NOW)) == 2
    assert [one.compared for one in await store.read(lambda each: summary(each, since=0))] == [1]
    left = await store.read(lambda each: known_differences(each, since=0))
    assert [one.path for one in left] == ["Patient.telecom"]
