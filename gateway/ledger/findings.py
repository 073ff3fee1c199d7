"""What was found in messages - faults, repairs, losses - counted by the day, so that a vendor can be told; never a value of theirs."""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Generic, TypeVar

import structlog
from msgspec import Struct, structs
from sqlalchemy import Connection, delete, select

from gateway.ledger.database import Database, LedgerUnavailable
from gateway.ledger.tables import FINDING
from gateway.ledger.traffic import day_of
from gateway.ledger.upserts import add_up
from gateway.model import Envelope, Finding
from gateway.tasks import USUAL, Intervals, Periodic
from gateway.times import Clock

log = structlog.get_logger()
K = TypeVar("K")


LONGEST = 200
"""Characters of a place, and of a detail."""
_INDEX, _COUNT = re.compile(r"\[\d+\]"), re.compile(r"\b\d+\b")
_F = FINDING.c


class CountedFinding(Struct, frozen=True):
    """What is counted together on one day; an empty text where a name is not known."""

    day: int
    """When it began, in seconds since the epoch."""
    municipality: str
    vendor: str
    system: str
    information: str
    kind: str
    rule: str
    place: str
    detail: str


class Times(Struct):
    """How often, and when."""

    messages: int
    first: float
    last: float
    """Seconds since the epoch."""
    reference: str
    """One of the messages: the last."""


def add(connection: Connection, found: Mapping[CountedFinding, Times]) -> None:
    """Add to what is counted."""
    rows = [{**structs.asdict(one), **structs.asdict(times)} for one, times in found.items()]
    add_up(connection, FINDING, rows, added=("messages",), replaced=("last", "reference"))


def found(
    connection: Connection,
    since: float,
    *,
    vendor: str | None = None,
    municipality: str | None = None,
    within: Collection[str] | None = None,
) -> list[tuple[CountedFinding, Times]]:
    """Return what was found since the day of a moment, the oldest day first; None does not narrow."""
    names = (*CountedFinding.__struct_fields__, *Times.__struct_fields__)
    wanted = select(*(_F[name] for name in names)).where(_F.day >= day_of(since)).order_by(_F.day, _F.last)
    for name, value in (("vendor", vendor), ("municipality", municipality)):
        if value is not None:
            wanted = wanted.where(_F[name] == value)
    if within is not None:
        wanted = wanted.where(_F.municipality.in_(list(within)))
    split = len(CountedFinding.__struct_fields__)
    return [(CountedFinding(*row[:split]), Times(*row[split:])) for row in connection.execute(wanted)]


def purge(connection: Connection, before: float) -> int:
    """Delete what was found on days that ended before then; return how many rows."""
    return connection.execute(delete(FINDING).where(_F.day < day_of(before))).rowcount


def general(text: str) -> str:
    """Return a text without what differs from one message to the next: indexes and counts."""
    return _COUNT.sub("n", _INDEX.sub("", text))[:LONGEST]


_SHARE = 0.75
"""Of what is counted apart in an hour that one vendor's messages may bring: what is found in others' is told too."""


class HourlyKinds(Generic[K]):
    """Bounds how many different things are counted apart in one hour, so that no sender can fill the ledger, nor hide others' faults."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._hour = 0
        self._known: set[K] = set()
        self._of_vendor: Counter[str] = Counter()

    def has_room(self, one: K, vendor: str, now: float) -> bool:
        """Tell whether it is counted by itself: it has come in this hour already, or there is room for another kind of this vendor's."""
        if (hour := int(now // 3600)) != self._hour:
            self._hour, self._known, self._of_vendor = hour, set(), Counter()
        if one not in self._known:
            if len(self._known) >= self._most or self._of_vendor[vendor] >= math.ceil(_SHARE * self._most):
                return False
            self._known.add(one)
            self._of_vendor[vendor] += 1
        return True


class FindingTally:
    """Gathers findings of one process and writes them; `store` returns None as long as there is no ledger."""

    def __init__(
        self,
        store: Callable[[], Database | None],
        clock: Clock,
        intervals: Intervals = USUAL,
        *,
        most_kinds: int = 2_000,
        most_of_one: int = 50,
    ) -> None:
        """`most_kinds` bounds the different findings of an hour, `most_of_one` those of a message that are counted.

        Further ones of an hour are counted without their place and detail, so that no sender can fill the ledger.
        """
        self._store = store
        self._clock = clock
        self._most_of_one = most_of_one
        self._found: dict[CountedFinding, Times] = {}
        self._kinds = HourlyKinds[CountedFinding](most_kinds)
        self._regularly = Periodic("findings", self._flush, intervals.verdicts, at_once=False)

    def note(self, envelope: Envelope, information: str, findings: Iterable[Finding], reference: str) -> None:
        """Count what was found in one message, each kind once; never waits, and never raises."""
        now = self._clock()
        named = (envelope.municipality or "", envelope.vendor or "", envelope.system or "", information)
        kinds = dict.fromkeys((one.kind, one.rule, general(one.place), general(one.detail)) for one in findings)
        for kind in list(kinds)[: self._most_of_one]:
            one = CountedFinding(day_of(now), *named, *kind)
            if not self._kinds.has_room(one, one.vendor, now):
                one = structs.replace(one, place="", detail="")
            times = self._found.setdefault(one, Times(0, now, now, reference))
            times.messages, times.last, times.reference = times.messages + 1, now, reference

    def start(self) -> None:
        """Write what gathers, until `stop`."""
        self._regularly.start()

    async def stop(self) -> None:
        """Write what is left."""
        await self._regularly.finish()
        if self._found:
            log.error("findings.dropped", kinds=len(self._found))

    async def _flush(self) -> None:
        found, self._found = self._found, {}
        if not found or (store := self._store()) is None:
            return
        try:
            await store.write(partial(add, found=found))
        except LedgerUnavailable:
            # What came meanwhile is counted on top of what could not be written.
            for one, times in self._found.items():
                before = found.setdefault(one, Times(0, times.first, times.last, times.reference))
                before.messages, before.last, before.reference = (
                    before.messages + times.messages,
                    times.last,
                    times.reference,
                )
            self._found = found
