"""Comparisons of VKP's answers with the new side's: counted by cell and day, and what differed by path and kind, never by a value."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct, structs
from sqlalchemy import Connection, delete, func, select

from gateway.ledger.tables import COMPARISON, DIFFERENCE
from gateway.ledger.upserts import add_up
from gateway.times import DAY

_C, _D = COMPARISON.c, DIFFERENCE.c
_Cell = tuple[str, str, str, str]
_CELL = ("municipality", "vendor", "system", "information")
MOST_DIFFERENCES = 200
"""Kept of a cell; what is found beyond them is counted as one of them."""
OTHER = "other"
"""The path of those."""


class ComparisonOutcome(StrEnum):
    """What a comparison of two answers has shown."""

    EQUAL = "equal"
    ACCEPTED = "accepted"
    """They differ only in what the route accepts."""
    DIFFERENT = "different"
    NEW_FAILED = "new-failed"
    """VKP answered, and the new side did not."""
    NEW_TIMED_OUT = "new-timed-out"
    VKP_FAILED = "vkp-failed"
    VKP_TIMED_OUT = "vkp-timed-out"
    UNREADABLE = "unreadable"
    """VKP's answer is no FHIR that can be read."""
    SKIPPED = "skipped"
    """Too many at once: it was not compared."""


_OF_NEW = (ComparisonOutcome.NEW_FAILED, ComparisonOutcome.NEW_TIMED_OUT)
_CLEAN = (ComparisonOutcome.EQUAL, ComparisonOutcome.ACCEPTED)


class Compared(Struct, frozen=True):
    """What comparisons are counted by; an empty text where a name is not known."""

    day: int
    """Since the epoch, in UTC."""
    municipality: str
    vendor: str
    system: str
    information: str
    outcome: str


class Differing(Struct, frozen=True):
    """What differences are gathered by."""

    municipality: str
    vendor: str
    system: str
    information: str
    path: str
    kind: str

    @property
    def fingerprint(self) -> str:
        """By which people name a path and a kind, wherever it was found."""
        return sha256(f"{self.information} {self.path} {self.kind}".encode()).hexdigest()[:12]


class Sighting(Struct):
    """How often a difference was found since it was written last."""

    answers: int
    places: int
    is_accepted: bool
    """Whether it was accepted when it was found last."""
    at: float
    """When that was, in seconds since the epoch."""
    correlation_id: str
    """Of the request that it was found in last."""


class KnownDifference(Struct, frozen=True):
    """A difference of one cell."""

    municipality: str
    vendor: str
    system: str
    information: str
    fingerprint: str
    path: str
    kind: str
    answers: int
    places: int
    is_accepted: bool
    first_seen: float
    last_seen: float
    correlation_id: str


class ComparisonSummary(Struct, frozen=True):
    """The comparisons of one cell."""

    municipality: str
    vendor: str
    system: str
    information: str
    counts: Mapping[str, int]
    """Answers by outcome; an outcome that there was none of is not there."""
    last_day: int

    def count(self, *outcomes: ComparisonOutcome) -> int:
        """Return how many answers had one of these outcomes."""
        return sum(self.counts.get(one, 0) for one in outcomes)

    @property
    def compared(self) -> int:
        """How many answers were held against each other."""
        return self.count(*_CLEAN, ComparisonOutcome.DIFFERENT)

    @property
    def clean(self) -> int:
        """How many of them were equal, but for what is accepted."""
        return self.count(*_CLEAN)

    @property
    def tried(self) -> int:
        """How many say something of the new side: those, and where it did not answer though VKP did."""
        return self.compared + self.count(*_OF_NEW)

    @property
    def clean_share(self) -> float | None:
        """The part of what says something that was clean, 0 to 1; None without any."""
        return self.clean / self.tried if self.tried else None


def day_of(moment: float) -> int:
    """Return the day that a moment is counted in."""
    return int(moment // DAY)


def add(connection: Connection, counts: Mapping[Compared, int], differences: Mapping[Differing, Sighting]) -> None:
    """Add to what is counted and found."""
    rows = [{**structs.asdict(one), "answers": number} for one, number in counts.items()]
    add_up(connection, COMPARISON, rows, added=("answers",))
    found = [_row(one, sighting) for one, sighting in _bounded(connection, differences).items()]
    replaced = ("last_seen", "correlation_id", "is_accepted")
    add_up(connection, DIFFERENCE, found, added=("answers", "places"), replaced=replaced)


def _row(one: Differing, sighting: Sighting) -> dict[str, object]:
    values = structs.asdict(sighting)
    at = values.pop("at")
    return {**structs.asdict(one), "fingerprint": one.fingerprint, **values, "first_seen": at, "last_seen": at}


def _bounded(connection: Connection, differences: Mapping[Differing, Sighting]) -> dict[Differing, Sighting]:
    """Return the differences with those that a cell has no room for counted as one."""
    found: dict[Differing, Sighting] = {}
    known: dict[tuple[str, ...], set[str]] = {}
    for one, sighting in differences.items():
        cell = (one.municipality, one.vendor, one.system, one.information)
        if cell not in known:
            wanted = (_D[name] == value for name, value in zip(_CELL, cell, strict=True))
            known[cell] = set(connection.execute(select(_D.fingerprint).where(*wanted)).scalars())
        if one.fingerprint not in known[cell] and len(known[cell]) >= MOST_DIFFERENCES:
            one = structs.replace(one, path=OTHER, kind="")  # noqa: PLW2901 - it is counted as that
        known[cell].add(one.fingerprint)
        merge(found, one, sighting)
    return found


def merge(found: dict[Differing, Sighting], one: Differing, sighting: Sighting) -> None:
    """Add a sighting of a difference to those that were gathered."""
    before = found.get(one)
    if before is None:
        found[one] = structs.replace(sighting)
        return
    later = max(before, sighting, key=lambda each: each.at)
    found[one] = structs.replace(
        later, answers=before.answers + sighting.answers, places=before.places + sighting.places
    )


def summary(connection: Connection, *, since: float, **cell: str | None) -> list[ComparisonSummary]:
    """Return the comparisons of each cell since a moment, from the beginning of its day; names that are None do not narrow."""
    names = [_C[name] for name in _CELL]
    wanted = (_C[name] == str(value) for name, value in cell.items() if value is not None)
    statement = (
        select(*names, _C.outcome, func.sum(_C.answers), func.max(_C.day))
        .where(_C.day >= day_of(since), *wanted)
        .group_by(*names, _C.outcome)
        .order_by(*names)
    )
    found: dict[_Cell, tuple[Counter[str], int]] = {}
    for *key, outcome, answers, day in connection.execute(statement):
        cell_of = (key[0], key[1], key[2], key[3])
        counts, last = found.get(cell_of, (Counter[str](), 0))
        found[cell_of] = (counts + Counter({outcome: int(answers)}), max(day, last))
    return [ComparisonSummary(*key, dict(counts), last) for key, (counts, last) in found.items()]


def known_differences(
    connection: Connection, *, since: float, fingerprint: str | None = None, **cell: str | None
) -> list[KnownDifference]:
    """Return what was found since a moment, of each cell the most frequent first; names that are None do not narrow."""
    named = {**cell, "fingerprint": fingerprint}
    wanted = (_D[name] == str(value) for name, value in named.items() if value is not None)
    columns = [_D[name] for name in KnownDifference.__struct_fields__]
    order = (*(_D[name] for name in _CELL), _D.answers.desc(), _D.fingerprint)
    statement = select(*columns).where(_D.last_seen >= since, *wanted).order_by(*order)
    return [KnownDifference(*row) for row in connection.execute(statement)]


def purge(connection: Connection, before: float) -> int:
    """Delete what was counted on days that ended before then, and what was not found since; return how many rows."""
    counted = connection.execute(delete(COMPARISON).where(_C.day < day_of(before))).rowcount
    return counted + connection.execute(delete(DIFFERENCE).where(_D.last_seen < before)).rowcount
