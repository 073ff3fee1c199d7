"""Verdicts of rehearsals, counted by the hour: for each cell how many messages the new side would have taken, and why not."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, structs
from sqlalchemy import Connection, delete, func, select

from gateway.ledger import traffic
from gateway.ledger.tables import VERDICT
from gateway.ledger.upserts import add_up
from gateway.model import Mode

_HOUR = 3600
_MOST_REASONS = 10
_V = VERDICT.c
_Cell = tuple[str, str, str, str]


class RehearsalVerdict(StrEnum):
    """What the new side would have made of a message."""

    CLEAN = "clean"
    REPAIRED = "repaired"
    """Clean, once it was corrected by named rules."""
    REFUSED = "refused"
    DEFECT = "defect"
    """What we made of it is not what the service takes: a fault of the gateway."""
    SKIPPED = "skipped"
    """It was not rehearsed."""
    NOT_ACCEPTED = "not-accepted"
    """VKP did not take it either, which says nothing of the new side."""


class CountedVerdict(Struct, frozen=True):
    """What messages are counted by; an empty text where a name is not known."""

    hour: int
    """Since the epoch."""
    municipality: str
    vendor: str
    system: str
    information: str
    verdict: str
    reason: str


class ReasonCount(Struct, frozen=True):
    """How many messages had one verdict for one reason."""

    verdict: str
    reason: str
    messages: int


class Summary(Struct, frozen=True):
    """The rehearsals of one cell."""

    municipality: str
    vendor: str
    system: str
    information: str
    counts: Mapping[str, int]
    """Messages by verdict; a verdict that there was none of is not there."""
    reasons: tuple[ReasonCount, ...]
    """Why messages were not clean, the most frequent first."""
    last_hour: int
    """The last one with a verdict, since the epoch."""

    @property
    def rehearsed(self) -> int:
        """How many messages have shown something: neither skipped nor refused by VKP."""
        return self.passed + self.counts.get(RehearsalVerdict.REFUSED, 0) + self.counts.get(RehearsalVerdict.DEFECT, 0)

    @property
    def passed(self) -> int:
        """How many the new side would have taken."""
        return self.counts.get(RehearsalVerdict.CLEAN, 0) + self.counts.get(RehearsalVerdict.REPAIRED, 0)

    @property
    def clean_share(self) -> float | None:
        """The part of the rehearsed messages that the new side would have taken, 0 to 1; None without any."""
        return self.passed / self.rehearsed if self.rehearsed else None


def hour_of(moment: float) -> int:
    """Return the hour that a moment is counted in."""
    return int(moment // _HOUR)


def add(connection: Connection, counts: Mapping[CountedVerdict, int]) -> None:
    """Add to what is counted."""
    rows = [{**structs.asdict(counted), "messages": number} for counted, number in counts.items()]
    add_up(connection, VERDICT, rows, added=("messages",))
    traffic.add(connection, (_rehearsed(*one) for one in counts.items() if one[0].verdict in _SAYING))


_PASSED = frozenset({RehearsalVerdict.CLEAN.value, RehearsalVerdict.REPAIRED.value})
_SAYING = _PASSED | {RehearsalVerdict.REFUSED.value, RehearsalVerdict.DEFECT.value}


def _rehearsed(counted: CountedVerdict, number: int) -> tuple[float, traffic.Counted, traffic.Numbers]:
    named = (counted.municipality, counted.vendor, counted.system, counted.information, Mode.REHEARSE.value)
    numbers = traffic.Numbers(rehearsed=number, clean=number if counted.verdict in _PASSED else 0)
    return counted.hour * float(_HOUR), traffic.Counted(*named), numbers


def summary(  # noqa: PLR0913 - what narrows it
    connection: Connection,
    *,
    municipality: str | None = None,
    vendor: str | None = None,
    system: str | None = None,
    information: str | None = None,
    since: float,
) -> list[Summary]:
    """Return the rehearsals of each cell since a moment, from the beginning of its hour; None does not narrow."""
    wanted = {"municipality": municipality, "vendor": vendor, "system": system, "information": information}
    cell = [_V[name] for name in wanted]
    statement = (
        select(*cell, _V.verdict, _V.reason, func.sum(_V.messages), func.max(_V.hour))
        .where(
            _V.hour >= hour_of(since), *(_V[name] == str(value) for name, value in wanted.items() if value is not None)
        )
        .group_by(*cell, _V.verdict, _V.reason)
        .order_by(*cell)
    )
    found: dict[_Cell, list[tuple[ReasonCount, int]]] = {}
    for *names, verdict, reason, messages, hour in connection.execute(statement):
        found.setdefault((names[0], names[1], names[2], names[3]), []).append(
            (ReasonCount(verdict, reason, int(messages)), hour)
        )
    return [_summary(names, counted) for names, counted in found.items()]


def purge(connection: Connection, before: float) -> int:
    """Delete what was counted in hours that ended before then; return how many rows."""
    return connection.execute(delete(VERDICT).where(_V.hour < hour_of(before))).rowcount


def _summary(names: _Cell, counted: list[tuple[ReasonCount, int]]) -> Summary:
    counts: Counter[str] = Counter()
    for one, _ in counted:
        counts[one.verdict] += one.messages
    told = sorted((one for one, _ in counted if one.reason), key=lambda one: (-one.messages, one.verdict, one.reason))
    return Summary(*names, dict(counts), tuple(told[:_MOST_REASONS]), max(hour for _, hour in counted))
