"""Traffic counted by the hour and by the Norwegian day: what pages show of many messages, without reading each of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, delete, func, or_, select
from sqlalchemy.sql.dml import Insert

from gateway.errors import Fault
from gateway.ledger import prepared
from gateway.ledger.tables import TRAFFIC
from gateway.ledger.upserts import insert_into

HOUR, DAY = 3600, 86_400
"""What is counted together: an hour, or a day of Norwegian time, which is an hour longer or shorter twice a year."""
KEPT_BY_HOUR = 3 * 86_400.0
"""Seconds for which hours are kept; days are kept as long as decisions."""
FAILED = frozenset({*(each.value for each in Fault), "unclear"}) - {Fault.SENDER_LEFT.value, Fault.CLOSED.value}
"""Outcomes by which a sender was refused, or not answered; a route that is closed refuses as it is meant to."""
_OSLO = ZoneInfo("Europe/Oslo")
_T = TRAFFIC.c
_KEY = ("span", "start", "municipality", "vendor", "system", "information", "mode")


class Counted(Struct, frozen=True):
    """What is counted together, but for the time; an empty text where a name is not known."""

    municipality: str
    vendor: str
    system: str
    information: str
    mode: str


class Numbers(Struct):
    """What is known of messages that are counted together."""

    messages: int = 0
    failed: int = 0
    seconds: float = 0.0
    """That their answers took, together."""
    slowest: float = 0.0
    rehearsed: int = 0
    clean: int = 0
    """Of the rehearsed ones."""
    last: float = 0.0
    """When the last came, in seconds since the epoch."""

    def add(self, other: "Numbers") -> None:
        """Count others too."""
        for name in ("messages", "failed", "seconds", "rehearsed", "clean"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.slowest, self.last = max(self.slowest, other.slowest), max(self.last, other.last)


class CellTraffic(Counted, frozen=True):
    """The traffic of one cell that went one way."""

    numbers: Numbers


class Interval(Struct, frozen=True):
    """The traffic of one hour, or day, that went one way."""

    start: int
    """Seconds since the epoch."""
    mode: str
    numbers: Numbers


def day_of(at: float) -> int:
    """Return when the Norwegian day of a moment began, in seconds since the epoch."""
    return int(datetime.fromtimestamp(at, _OSLO).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


def days_ago(now: float, days: int) -> int:
    """Return when the Norwegian day began that is so many days before today; noon is on the same day in summer and winter."""
    return day_of(day_of(now) + DAY // 2 - days * DAY)


def add(connection: Connection, found: Iterable[tuple[float, Counted, Numbers]]) -> None:
    """Count messages, each with when it came, in its hour and in its day."""
    sums: dict[tuple[int, int, Counted], Numbers] = {}
    for at, counted, numbers in found:
        for span, start in ((HOUR, int(at // HOUR) * HOUR), (DAY, day_of(at))):
            sums.setdefault((span, start, counted), Numbers()).add(numbers)
    write(connection, sums)


def write(connection: Connection, sums: Mapping[tuple[int, int, Counted], Numbers]) -> None:
    """Add sums to what is counted."""
    if not sums:
        return
    # Always in the same order: two nodes that add the same rows never wait for each other in a circle.
    rows = sorted(sums.items(), key=lambda item: (item[0][0], item[0][1], structs.astuple(item[0][2])))
    values = [
        {"span": span, "start": start, **structs.asdict(counted), **structs.asdict(numbers)}
        for (span, start, counted), numbers in rows
    ]
    prepared.each(connection, _adding(connection.dialect.name), values)


@cache
def _adding(dialect: str) -> Insert:
    made = insert_into(TRAFFIC, dialect)
    new = made.excluded
    more: dict[str, ColumnElement[float]] = {
        name: _T[name] + new[name] for name in ("messages", "failed", "seconds", "rehearsed", "clean")
    }
    more |= {name: case((new[name] > _T[name], new[name]), else_=_T[name]) for name in ("slowest", "last")}
    given: dict[str, ColumnElement[Any]] = {column.name: bindparam(column.name) for column in _T}
    adding: Insert = made.values(given).on_conflict_do_update(index_elements=list(_KEY), set_=more)
    return adding


_SUMS = (
    *(func.sum(_T.messages), func.sum(_T.failed), func.sum(_T.seconds), func.max(_T.slowest)),
    *(func.sum(_T.rehearsed), func.sum(_T.clean), func.max(_T.last)),
)


def cells(
    connection: Connection,
    since: float,
    *,
    municipality: str | None = None,
    vendor: str | None = None,
    mode: str | None = None,
) -> list[CellTraffic]:
    """Return the traffic of each cell from the beginning of the day of `since`, by the way that it went; None does not narrow."""
    named = [_T[name] for name in Counted.__struct_fields__]
    wanted = select(*named, *_SUMS).where(_T.span == DAY, _T.start >= day_of(since)).group_by(*named)
    for name, value in (("municipality", municipality), ("vendor", vendor), ("mode", mode)):
        if value is not None:
            wanted = wanted.where(_T[name] == value)
    return [CellTraffic(*row[:5], Numbers(*row[5:])) for row in connection.execute(wanted)]


def days(connection: Connection, since: float) -> dict[str, dict[int, tuple[int, int]]]:
    """Return messages, and those that failed, by municipality and by the beginning of the day."""
    wanted = (
        select(_T.municipality, _T.start, func.sum(_T.messages), func.sum(_T.failed))
        .where(_T.span == DAY, _T.start >= day_of(since))
        .group_by(_T.municipality, _T.start)
    )
    found: dict[str, dict[int, tuple[int, int]]] = {}
    for municipality, start, messages, failed in connection.execute(wanted):
        found.setdefault(municipality, {})[start] = (int(messages), int(failed))
    return found


def intervals(connection: Connection, municipality: str, span: int, since: float) -> list[Interval]:
    """Return the hours or days of a municipality that began since then, each way for itself, the oldest first."""
    wanted = (
        select(_T.start, _T.mode, *_SUMS)
        .where(_T.municipality == municipality, _T.span == span, _T.start >= since)
        .group_by(_T.start, _T.mode)
        .order_by(_T.start, _T.mode)
    )
    return [Interval(start, mode, Numbers(*sums)) for start, mode, *sums in connection.execute(wanted)]


def purge(connection: Connection, before: float, now: float) -> int:
    """Delete days that ended before then, and hours that are kept no longer; return how many rows."""
    is_old = or_(and_(_T.span == DAY, _T.start < day_of(before)), and_(_T.span == HOUR, _T.start < now - KEPT_BY_HOUR))
    return connection.execute(delete(TRAFFIC).where(is_old)).rowcount


def total(found: Sequence[CellTraffic]) -> Numbers:
    """Return the sum of what cells had."""
    numbers = Numbers()
    for one in found:
        numbers.add(one.numbers)
    return numbers
