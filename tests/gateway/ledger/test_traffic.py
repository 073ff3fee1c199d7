"""Traffic is counted by the hour and the Norwegian day when decisions and rehearsals are written; findings by the day."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs
from sqlalchemy import text

from gateway.ledger import findings, rehearsals, traffic
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.decision_log import DecisionLog, PastDecision, write
from gateway.ledger.findings import FindingTally
from gateway.ledger.rehearsals import CountedVerdict, RehearsalVerdict, hour_of
from gateway.model import Account, Envelope, Finding, Information, Mode
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from gateway.ledger.database import Database
    from tests.gateway.ledger.conftest import Clock

ENVELOPE = Envelope("vkp-r4", "nordfjell", "S1", "evondos", "e300", Information.NOTAT)
OSLO = ZoneInfo("Europe/Oslo")


def decision(at: float, outcome: str = "accepted", seconds: float | None = 0.5, mode: str = "new") -> PastDecision:
    """Return a decision about a note of Nordfjell's."""
    named = ("vkp-r4", "nordfjell", "S1", "evondos", "e300", "notat", mode, "routes", None, "routes.yaml:1:1")
    return PastDecision(at, "r", *named, outcome, seconds=seconds)


async def test_each_message_is_counted_in_its_hour_and_its_day_with_its_failure_and_its_time(store: Database) -> None:
    """Whatever wrote it, and however often."""
    rows = [decision(NOW), decision(NOW + 1, "loss", 2.0), decision(NOW + 3600, seconds=None)]
    await store.write(lambda each: write(each, rows[:1]))
    await store.write(lambda each: write(each, rows[1:]))
    hours = await store.read(lambda each: traffic.intervals(each, "nordfjell", traffic.HOUR, NOW - 3600))
    assert [(one.mode, one.numbers.messages, one.numbers.failed) for one in hours] == [("new", 2, 1), ("new", 1, 0)]
    (day,) = await store.read(lambda each: traffic.intervals(each, "nordfjell", traffic.DAY, NOW - 86_400))
    assert structs.astuple(day.numbers) == (3, 1, 2.5, 2.0, 0, 0, NOW + 3600)
    assert await store.read(lambda each: traffic.days(each, NOW)) == {"nordfjell": {traffic.day_of(NOW): (3, 1)}}
    assert await store.read(lambda each: traffic.cells(each, NOW, municipality="havnes")) == []
    assert await store.read(lambda each: traffic.cells(each, NOW, vendor="dignio")) == []
    (cell,) = await store.read(lambda each: traffic.cells(each, NOW, municipality="nordfjell", vendor="evondos"))
    assert (cell.information, cell.numbers.messages) == ("notat", 3)


async def test_messages_that_are_written_together_are_counted_as_if_each_were_written_alone(store: Database) -> None:
    """Those of one hour that are alike are added as one: their sums, the slowest, the last, and apart by where they went."""
    rows = [
        decision(NOW + 5, seconds=3.0),
        decision(NOW, "loss"),
        decision(NOW + 1, seconds=None),
        decision(NOW + 2, mode="legacy"),
        decision(NOW + 3600),
    ]
    await store.write(lambda each: write(each, rows))
    hours = await store.read(lambda each: traffic.intervals(each, "nordfjell", traffic.HOUR, NOW - 3600))
    assert [(one.mode, structs.astuple(one.numbers)) for one in hours] == [
        ("legacy", (1, 0, 0.5, 0.5, 0, 0, NOW + 2)),
        ("new", (3, 1, 3.5, 3.0, 0, 0, NOW + 5)),
        ("new", (1, 0, 0.5, 0.5, 0, 0, NOW + 3600)),
    ]
    days = await store.read(lambda each: traffic.intervals(each, "nordfjell", traffic.DAY, NOW - 86_400))
    assert [(one.mode, structs.astuple(one.numbers)) for one in days] == [
        ("legacy", (1, 0, 0.5, 0.5, 0, 0, NOW + 2)),
        ("new", (4, 1, 4.0, 3.0, 0, 0, NOW + 3600)),
    ]


async def test_rehearsals_are_counted_by_what_they_say(store: Database) -> None:
    """A skipped one says nothing, a repaired one is clean; the messages themselves are counted by their decisions."""
    names = (hour_of(NOW), "nordfjell", "evondos", "e300", "notat")
    said = [(RehearsalVerdict.CLEAN, 5), (RehearsalVerdict.REPAIRED, 2), (RehearsalVerdict.REFUSED, 1)]
    counts = {CountedVerdict(*names, verdict, ""): number for verdict, number in [*said, (RehearsalVerdict.SKIPPED, 9)]}
    await store.write(lambda each: rehearsals.add(each, counts))
    (cell,) = await store.read(lambda each: traffic.cells(each, NOW))
    numbers = traffic.total([cell])
    assert (cell.mode, numbers.messages, numbers.rehearsed, numbers.clean) == ("rehearse", 0, 8, 7)


@pytest.mark.parametrize(("wall", "hours"), [("2026-03-29T12:00", 23), ("2026-10-25T12:00", 25), ("2026-06-01", 24)])
def test_a_day_is_the_norwegian_one_also_when_clocks_change(wall: str, hours: int) -> None:
    """From midnight to midnight there; a week ago is a midnight too."""
    at = datetime.fromisoformat(wall).replace(tzinfo=OSLO).timestamp()
    begins = traffic.day_of(at)
    assert datetime.fromtimestamp(begins, OSLO).isoformat()[11:16] == "00:00"
    assert traffic.day_of(begins + hours * 3600) == begins + hours * 3600
    assert traffic.day_of(begins + hours * 3600 - 1) == begins
    week_ago = datetime.fromtimestamp(traffic.days_ago(at, 7), OSLO)
    assert (week_ago.hour, (datetime.fromtimestamp(at, OSLO).date() - week_ago.date()).days) == (0, 7)


async def test_hours_are_cleared_away_before_days_and_findings(store: Database) -> None:
    """An hour is shown for a day only."""
    await store.write(lambda each: write(each, [decision(NOW - 4 * 86_400), decision(NOW)]))
    kinds = [
        findings.CountedFinding(traffic.day_of(NOW - 4 * 86_400), *"abcdefgh"),
        findings.CountedFinding(0, *"abcdefgh"),
    ]
    await store.write(lambda each: findings.add(each, {one: findings.Times(1, 0, 0, "r") for one in kinds}))
    before = NOW - 30 * 86_400
    assert await store.write(lambda each: traffic.purge(each, before, NOW)) == 1
    assert await store.write(lambda each: findings.purge(each, before)) == 1
    assert len(await store.read(lambda each: traffic.intervals(each, "nordfjell", traffic.DAY, 0))) == 2
    assert await store.write(lambda each: traffic.purge(each, NOW + 86_400, NOW)) == 2
    hours = await store.read(lambda each: traffic.intervals(each, "nordfjell", traffic.HOUR, 0))
    assert [one.numbers.last for one in hours] == [NOW]


async def test_what_was_found_in_a_message_is_counted_once_by_kind_with_its_last_reference(
    store: Database, clock: Clock
) -> None:
    """Places are told without indexes; two messages alike are one row of two."""
    tally = FindingTally(lambda: store, clock)
    lost = [Finding("loss", "loss", f"Bundle.entry[{number}].link", "element n 7") for number in range(3)]
    tally.note(ENVELOPE, "notat", lost, "first")
    clock.now += 60
    tally.note(ENVELOPE, "notat", [*lost, Finding("repair", "null-dropped", "Composition.title")], "second")
    tally.start()
    await tally.stop()
    found = await store.read(lambda each: findings.found(each, NOW, vendor="evondos"))
    assert [(one.kind, one.place, one.detail) for one, _ in found] == [
        ("loss", "Bundle.entry.link", "element n n"),
        ("repair", "Composition.title", ""),
    ]
    assert found[0][1] == findings.Times(2, NOW, NOW + 60, "second")
    assert await store.read(lambda each: findings.found(each, NOW, within=["havnes"])) == []
    assert len(await store.read(lambda each: findings.found(each, NOW, municipality="nordfjell"))) == 2


async def test_no_sender_fills_the_ledger_with_kinds(store: Database, clock: Clock) -> None:
    """Beyond a bound they are counted without their places; of one message only so many count."""
    tally = FindingTally(lambda: store, clock, most_kinds=3, most_of_one=4)
    tally.note(ENVELOPE, "notat", [Finding("loss", "loss", f"A.{name}") for name in "abcdefg"], "r")
    tally.note(ENVELOPE, "notat", [Finding("loss", "loss", f"B.{name}") for name in "abc"], "r")
    await tally._flush()
    found = await store.read(lambda each: findings.found(each, NOW))
    assert {one.place: times.messages for one, times in found} == {"": 4, "A.a": 1, "A.b": 1, "A.c": 1}


async def test_no_vendor_hides_what_is_found_of_another(store: Database, clock: Clock) -> None:
    """One has three quarters of the kinds: another's are counted with their places."""
    tally = FindingTally(lambda: store, clock, most_kinds=4)
    tally.note(ENVELOPE, "notat", [Finding("loss", "loss", f"A.{name}") for name in "abcdefg"], "r")
    tally.note(structs.replace(ENVELOPE, vendor="another"), "notat", [Finding("loss", "loss", "B.b")], "r")
    await tally._flush()
    found = await store.read(lambda each: findings.found(each, NOW))
    assert {one.place for one, _ in found if one.vendor == ENVELOPE.vendor} == {"A.a", "A.b", "A.c", ""}
    assert [one.place for one, _ in found if one.vendor == "another"] == ["B.b"]


async def test_findings_wait_for_a_ledger_that_cannot_be_written(
    store: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are counted together with what comes meanwhile."""
    tally = FindingTally(lambda: store, clock)

    async def fail(_work: object) -> None:
        tally.note(ENVELOPE, "notat", [Finding("fault", "loss")], "meanwhile")
        raise LedgerUnavailable("away")

    tally.note(ENVELOPE, "notat", [Finding("fault", "loss")], "first")
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", fail)
        await tally._flush()
    await tally._flush()
    ((_, times),) = await store.read(lambda each: findings.found(each, NOW))
    assert (times.messages, times.reference) == (2, "meanwhile")


async def test_the_log_counts_what_accounts_tell(store: Database, clock: Clock) -> None:
    """What a translation found, else the fault of the answer; a message that passed has neither."""
    log = DecisionLog(lambda: store, clock)
    made = Account(
        "r", ENVELOPE, Mode.NEW, None, None, "accepted", findings=(Finding("repair", "null-dropped", "A.b"),)
    )
    for one in (made, structs.replace(made, findings=(), outcome="token"), structs.replace(made, findings=())):
        log.record(one, 0.25)
    log.start()
    await log.stop()
    found = await store.read(lambda each: findings.found(each, NOW))
    assert {(one.kind, one.rule) for one, _ in found} == {("repair", "null-dropped"), ("fault", "token")}
    (cell,) = await store.read(lambda each: traffic.cells(each, NOW))
    assert (cell.numbers.messages, cell.numbers.failed, cell.numbers.seconds) == (3, 1, 0.75)


async def test_an_older_ledger_is_counted_when_it_is_brought_up_to_date(store: Database) -> None:
    """Its decisions and its rehearsals, by the day."""
    counted = CountedVerdict(hour_of(NOW), "nordfjell", "evondos", "e300", "notat", RehearsalVerdict.CLEAN, "")
    await store.write(lambda each: rehearsals.add(each, {counted: 4}))
    await store.write(lambda each: write(each, [decision(NOW, "loss", None), decision(NOW + 1, seconds=None)]))
    wanted = await store.read(lambda each: each.execute(text("SELECT * FROM traffic WHERE span = 86400")).all())
    from gateway.ledger.migrations.versions.v0009_traffic import _counted  # noqa: PLC0415 - a migration

    found = await store.read(lambda each: [tuple(row.values()) for row in _counted(each)])
    assert sorted(found) == sorted(map(tuple, wanted))
