"""Filling a copy from PIT: nobody is missed, nothing is told before it is whole, and every step can be the last before a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from gateway.ledger.tables import REPLICA_IDENTIFIER, REPLICA_PATIENT
from gateway.replica import feeds
from gateway.replica import patients as rows
from gateway.replica.feeds import LeaseLost
from gateway.replica.sync import Shrinks
from gateway.upstreams.pit import CursorLost
from gateway.upstreams.service_caller import AnswerRefused, ServiceUnavailable
from service_stubs.people import LOCAL, number_of, person
from tests.gateway.clocks import NOW
from tests.gateway.replica.conftest import KEY, Copy, FakePit, seal_with
from translators.patient import BIRTH_NUMBER
from translators.pit import patient_of

if TYPE_CHECKING:
    from tests.gateway.clocks import FakeClock


def _ids(*indexes: int) -> list[str]:
    return sorted(f"id-{index}" for index in indexes)


def _fill(pit: FakePit, clock: FakeClock, count: int) -> None:
    """Have so many patients, one a second."""
    for index in range(count):
        clock.now += 1
        pit.put(index)


async def test_everybody_is_read_before_anybody_is_told_of(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """A list of some patients would be read as all of them."""
    _fill(pit, clock, 10)
    await copy.fill(most=4)
    assert await copy.serving() is None
    await copy.fill()
    assert await copy.ids() == _ids(*range(10))
    serving = await copy.serving()
    assert serving is not None
    assert (serving.entries, serving.pages) == (10, 4)


async def test_restart_goes_on_where_it_was(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """After each page, on another node too; no page is read twice."""
    _fill(pit, clock, 10)
    for turn in range(6):
        await copy.store.write(lambda each: feeds.release(each, copy.node))
        copy.restart(node=f"node-{turn}")
        await copy.fill(most=1)
    assert await copy.ids() == _ids(*range(10))
    assert len([cursor for _, cursor in pit.asked if cursor is not None]) == len({c for _, c in pit.asked if c}) == 3


async def test_steady_poll_reads_what_changed_alone(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """One page a minute, from a little before the last window began; what is read twice changes nothing."""
    _fill(pit, clock, 10)
    await copy.fill()
    clock.now += 3600
    await copy.fill()
    pit.asked.clear()
    pit.put(4, gender="other")
    await copy.pass_time(60)
    assert [cursor for _, cursor in pit.asked] == [None]
    before = await copy.store.read(lambda each: each.execute(select(func.max(REPLICA_PATIENT.c.id))).scalar_one())
    await copy.pass_time(60)
    assert len(pit.asked) == 2
    after = await copy.store.read(lambda each: each.execute(select(func.max(REPLICA_PATIENT.c.id))).scalar_one())
    assert before == after
    assert await copy.ids() == _ids(*range(10))


async def test_patient_who_changes_under_paging_is_read_again(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """It stands on two pages of one window; the later one counts."""
    _fill(pit, clock, 8)

    def change(page: int) -> None:
        clock.now += 1
        if page == 2:
            pit.put(0, name=[{"family": "Ny"}])
            pit.put(8)

    pit.before = change
    await copy.fill()
    assert await copy.ids() == _ids(*range(9))
    row = await copy.found(number_of(0))
    assert row == ["id-0"]


async def test_patient_whom_a_page_passed_over_is_found_by_the_next_reading_of_everything(
    copy: Copy, pit: FakePit, clock: FakeClock
) -> None:
    """Where PIT's cursor counts, a change moves others to a page that was read; before they would be gone they are asked for."""
    _fill(pit, clock, 8)
    await copy.fill()
    pit.counts = True

    def change(page: int) -> None:
        clock.now += 0.01
        if page == 2:
            pit.put(0)

    clock.now += copy.whole
    pit.asked.clear()
    await copy.fill(most=1)
    pit.asked.clear()
    pit.before = change
    await copy.fill()
    assert await copy.ids() == _ids(*range(8))


@pytest.mark.parametrize("at", [2, 3])
async def test_lost_cursor_goes_on_from_the_last_change_that_was_read(
    at: int, copy: Copy, pit: FakePit, clock: FakeClock
) -> None:
    """And not from the beginning."""
    _fill(pit, clock, 10)

    def lose(page: int) -> None:
        if page == at:
            pit.failures.append(CursorLost())

    pit.before = lose
    await copy.fill()
    clock.now += 1
    await copy.fill()
    assert await copy.ids() == _ids(*range(10))
    assert sum(since.startswith("1900") for since, _ in pit.asked) == at
    assert len(pit.asked) <= 7


@pytest.mark.parametrize(("changes", "size"), [(200, 20), pytest.param(5000, 50, marks=pytest.mark.slow)])
async def test_pit_that_was_away_for_an_hour_is_caught_up_with(
    changes: int, size: int, copy: Copy, pit: FakePit, clock: FakeClock
) -> None:
    """All changes come, page by page; until the last the copy is as old as it is."""
    pit.size = size
    _fill(pit, clock, 60)
    await copy.fill()
    known = await copy.serving()
    for _ in range(6):
        clock.now += 600
        pit.failures.append(ServiceUnavailable("pit cannot be asked"))
        with pytest.raises(ServiceUnavailable):
            await copy.fill()
    for index in range(changes):
        pit.put(index)
    clock.now += 1
    await copy.fill(most=5)
    during = await copy.serving()
    await copy.fill()
    after = await copy.serving()
    assert known is not None
    assert during is not None
    assert after is not None
    assert during.fresh_at == known.fresh_at
    assert (after.entries, after.fresh_at) == (changes, clock.now)


async def test_refused_answer_writes_nothing(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """The copy stays as it was, and grows old."""
    _fill(pit, clock, 4)
    await copy.fill()
    before = await copy.serving()
    pit.failures.append(AnswerRefused("Bundle.entry[0]: not an object"))
    pit.put(5)
    with pytest.raises(AnswerRefused):
        await copy.pass_time(60)
    assert await copy.serving() == before
    assert await copy.ids() == _ids(*range(4))


async def test_patient_who_is_gone_is_found_out_by_reading_everything(
    copy: Copy, pit: FakePit, clock: FakeClock
) -> None:
    """PIT does not tell; the rows of before are cleared away, and the copy answers all the while."""
    _fill(pit, clock, 6)
    await copy.fill()
    pit.remove(2)
    await copy.pass_time(3600)
    assert await copy.ids() == _ids(*range(6))
    clock.now += copy.whole
    await copy.claim()
    while (await copy.serving()).generation == 1:  # type: ignore[union-attr] # it answers all the while
        await copy.sync.step()
    assert await copy.ids() == _ids(0, 1, 3, 4, 5)
    await copy.pass_time(120)
    await copy.pass_time(60)
    for table in (REPLICA_PATIENT, REPLICA_IDENTIFIER):
        left = select(table.c.generation).distinct()
        assert await copy.store.read(lambda each, left=left: list(each.scalars(left))) == [2]


async def test_copy_is_polled_while_everything_is_read_anew(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """So that it does not grow old meanwhile."""
    _fill(pit, clock, 30)
    await copy.fill()
    await copy.pass_time(3600)
    clock.now += copy.whole
    await copy.fill(most=4)
    pit.put(30)
    clock.now += 61
    await copy.fill(most=2)
    serving = await copy.serving()
    assert serving is not None
    assert (serving.generation, serving.fresh_at) == (1, clock.now)
    assert "id-30" in await copy.ids()
    await copy.fill()
    assert await copy.ids() == _ids(*range(31))


async def test_many_who_would_be_gone_at_once_are_kept(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """It is more likely that PIT does not show them: somebody has to look, and the copy answers as before."""
    pit.size = 50
    _fill(pit, clock, 100)
    await copy.fill()
    pit.changed, pit.people = pit.changed[:40], {index: pit.people[index] for index in range(40)}
    clock.now += copy.whole
    with pytest.raises(Shrinks, match="60 of 100"):
        await copy.fill()
    await copy.fill()
    assert len(await copy.ids()) == 60
    serving = await copy.serving()
    assert serving is not None
    assert serving.generation == 1


async def test_patient_with_another_number_is_found_by_that_alone(copy: Copy, pit: FakePit) -> None:
    """The record is the same, by PIT's id for it."""
    pit.put(1)
    await copy.fill()
    pit.put(1, identifier=[{"system": BIRTH_NUMBER, "value": number_of(50)}])
    await copy.pass_time(60)
    assert await copy.found(number_of(1)) == []
    assert await copy.found(number_of(50)) == ["id-1"]
    assert await copy.found("100001", LOCAL) == []


@pytest.mark.parametrize("changes", [{"active": False}, {"link": [{"type": "replaced-by", "other": {"display": "x"}}]}])
async def test_record_that_is_no_longer_used_is_found_no_more(
    changes: dict[str, object], copy: Copy, pit: FakePit
) -> None:
    """Nor where it was never there."""
    pit.put(1)
    pit.put(2, **changes)
    await copy.fill()
    assert await copy.ids() == _ids(1)
    pit.put(1, **changes)
    await copy.pass_time(60)
    assert await copy.ids() == []
    serving = await copy.serving()
    assert serving is not None
    assert serving.entries == 0


async def test_two_records_with_one_number_are_both_there(copy: Copy, pit: FakePit) -> None:
    """Which of them answers is for whoever answers."""
    pit.put(1)
    pit.put(2, identifier=[{"system": BIRTH_NUMBER, "value": number_of(1)}])
    await copy.fill()
    assert await copy.found(number_of(1)) == _ids(1, 2)


async def test_of_a_record_that_was_read_twice_the_later_one_counts(copy: Copy) -> None:
    """Pages are written together, and PIT may not keep the order that it was asked for."""
    await copy.fill()
    later, earlier = (
        patient_of({**person(index), "id": "id-1", "meta": {"lastUpdated": f"2026-05-01T12:00:0{second}Z"}}, "x")
        for index, second in ((50, 2), (1, 1))
    )
    ready = seal_with().ready("havnes", [later, earlier])
    await copy.store.write(lambda each: rows.put_patients(each, seal_with(), "havnes", 1, ready))
    assert await copy.found(number_of(50)) == _ids(1)
    assert await copy.found(number_of(1)) == []


@pytest.mark.parametrize(("size", "most"), [(10, 60), (900_000, 6)], ids=["small", "large"])
async def test_pages_are_written_together_as_long_as_they_are_small(  # noqa: PLR0917 - fixtures
    copy: Copy, pit: FakePit, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, size: int, most: int
) -> None:
    """Twenty pages of a first copy at most, and some megabytes: PIT takes patients of 900 KB."""
    copy.at_once, sizes, put = 100, [], rows.put_patients

    def counted(*arguments: Any) -> int:
        sizes.append(len(arguments[-1]))
        return put(*arguments)

    monkeypatch.setattr(rows, "put_patients", counted)
    count = 63 if size == 10 else 12
    for index in range(count):
        clock.now += 1
        pit.put(index, name=[{"text": "x" * size}])
    await copy.fill()
    assert (max(sizes), sum(sizes)) == (most, count)


async def test_node_that_lost_its_lease_writes_nothing(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """It stood still for long; what it read then is old."""
    if copy.store.is_sqlite:
        pit.put(1)
    _fill(pit, clock, 8)
    await copy.fill(most=2)
    other = Copy(copy.store, pit, clock, node="node-2")
    await copy.store.write(
        lambda each: each.execute(feeds.REPLICA_FEED.update().values(owner="node-2", lease=NOW + 1e6)).rowcount
    )
    with pytest.raises(LeaseLost):
        await copy.sync.step()
    await other.fill()
    assert len(await copy.ids()) == 8


async def test_leases_are_taken_over_in_seconds(copy: Copy) -> None:
    """By the database's clock; on a file there is one process, which has them all."""
    assert await copy.claim()
    other = Copy(copy.store, copy.pit, copy.clock, node="node-2")
    assert await other.claim() is copy.store.is_sqlite
    await copy.store.write(lambda each: feeds.release(each, "node-1"))
    assert await other.claim()
    assert feeds.LEASE <= 10


async def test_copy_of_other_keys_is_made_anew(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """Its rows would be found by nobody, which must not be told as nobody being there."""
    _fill(pit, clock, 4)
    await copy.fill()
    copy.restart(seal=seal_with(b"m" * 32))
    assert await copy.found(number_of(1)) == []
    await copy.fill()
    assert await copy.ids() == _ids(*range(4))
    assert await copy.store.read(lambda each: [one.generation for one in feeds.generations(each, KEY)]) == [2]


async def test_next_page_is_asked_for_while_one_is_written(copy: Copy, pit: FakePit, clock: FakeClock) -> None:
    """One ahead and no more; what fails then loses nothing of what was written before."""
    _fill(pit, clock, 30)
    copy.restart(at_once=5)
    await copy.fill(most=1)

    def away(page: int) -> None:
        if page == 4:
            pit.failures.append(ServiceUnavailable("pit cannot be asked"))

    pit.before = away
    with pytest.raises(ServiceUnavailable):
        await copy.fill()
    (building,) = await copy.store.read(lambda each: feeds.generations(each, KEY))
    assert (building.pages, building.entries) == (3, 9)
    await copy.fill()
    assert await copy.ids() == _ids(*range(30))
    assert len({cursor for _, cursor in pit.asked}) == 10
    assert len(pit.asked) == 11
