"""The state of a migration: each cell's mode, what its rehearsals showed, when it was seen last; pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.config.model import Config
from gateway.ledger.comparisons import ComparisonSummary
from gateway.ledger.decision_log import LastSeen
from gateway.ledger.rehearsals import Summary
from gateway.model import JOURNALING, Envelope, Information, Mode
from gateway.routing.table import RouteTable

UNREAD = "-"
"""In place of a type: messages whose bodies were not read, because it did not matter."""
_ENOUGH = 0.995
"""The share of clean messages from which a cell counts as rehearsed clean."""
_FEWEST = 20
"""Rehearsed messages without which that says nothing."""


class CellStatus(StrEnum):
    """How far a cell has come."""

    LEGACY = "legacy"
    REHEARSING = "rehearsing"
    REHEARSED = "rehearsed clean"
    COMPARING = "comparing"
    COMPARED = "compared clean"
    CANARY = "canary"
    MOVED = "moved"
    EPJ = "epj"
    """The municipality's own record system answers."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class CellRow:
    """One cell."""

    municipality: str
    epj: str
    vendor: str
    system: str
    information: str
    mode: str
    standing: CellStatus
    rehearsed: int
    clean_share: float | None
    messages: int
    """Seen within the time that is looked back over."""
    last_seen: float | None
    """Seconds since the epoch."""

    @property
    def holds_back(self) -> bool:
        """Whether VKP is still needed for it: messages come, and go there."""
        return self.messages > 0 and self.standing not in (CellStatus.MOVED, CellStatus.EPJ, CellStatus.CLOSED)


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of a cell, and in which mode the last of it."""

    messages: int = 0
    last: float | None = None
    mode: str | None = None

    def with_more(self, one: LastSeen) -> "_Came":
        is_later = self.last is None or one.last > self.last
        last, mode = (one.last, one.mode) if is_later else (self.last, self.mode)
        return _Came(self.messages + one.messages, last, mode)


def rows(
    config: Config,
    table: RouteTable,
    seen: Iterable[LastSeen],
    tried: Iterable[Summary | ComparisonSummary],
    now: datetime,
) -> list[CellRow]:
    """Return every cell that a registered sender may use, and what was seen beside them; in the order of the file.

    `tried` are rehearsals of journaling and comparisons of retrieval.
    """
    came: dict[tuple[str | None, ...], _Came] = {}
    for one in seen:
        cell = (one.municipality, one.vendor, one.system, one.information)
        came[cell] = came.get(cell, _Came()).with_more(one)
    shown = {(one.municipality, one.vendor, one.system, one.information): one for one in tried}
    found: list[CellRow] = []
    for municipality, vendor, system in _places(config):
        for information in (*Information, None):
            cell = (municipality, vendor, system, information.value if information else None)
            row = _row(config, table, cell, came.get(cell, _Came()), shown.get(_named(cell)), now)
            # Of retrieval only what somebody asks for, or has begun to move.
            if information in JOURNALING or cell in came or (information and row.standing is not CellStatus.LEGACY):
                found.append(row)
    return found


def holding_back(found: Iterable[CellRow]) -> dict[str, Counter[str]]:
    """Return who still needs VKP: messages seen, by vendor, record system and municipality."""
    by = {name: Counter[str]() for name in ("vendor", "epj", "municipality")}
    for row in found:
        if row.holds_back:
            for name, counter in by.items():
                counter[getattr(row, name)] += row.messages
    return by


def _places(config: Config) -> Iterator[tuple[str, str, str]]:
    """Return municipality, vendor and system of every registered sender, each once."""
    known: dict[tuple[str, str, str], None] = {}
    for name in config.municipalities:
        for sender in config.senders:
            if sender.serves(name):
                known[name, sender.vendor, sender.system] = None
    return iter(known)


def _named(cell: tuple[str, str, str, str | None]) -> tuple[str, str, str, str]:
    return (*cell[:3], cell[3] or "")


def _row(  # noqa: PLR0913, PLR0917 - what is known of a cell
    config: Config,
    table: RouteTable,
    cell: tuple[str, str, str, str | None],
    came: _Came,
    tried: Summary | ComparisonSummary | None,
    now: datetime,
) -> CellRow:
    municipality, vendor, system, information = cell
    kind = Information(information) if information else None
    decided = table.decide(Envelope("any", municipality, None, vendor, system, kind), now)
    mode = decided.route.mode if decided.route else None
    if kind is None and came.mode in tuple(Mode):
        # Which route decides is not known of what was not read: where the last of it went, is.
        mode = Mode(came.mode)
    rehearsed = 0 if tried is None else tried.tried if isinstance(tried, ComparisonSummary) else tried.rehearsed
    share = tried.clean_share if tried is not None else None
    return CellRow(
        municipality=municipality,
        epj=config.municipalities[municipality].epj.system,
        vendor=vendor,
        system=system,
        information=information or UNREAD,
        mode=mode.value if mode else "",
        standing=_standing(mode, rehearsed, share),
        rehearsed=rehearsed,
        clean_share=share,
        messages=came.messages,
        last_seen=came.last,
    )


def _standing(mode: Mode | None, rehearsed: int, share: float | None) -> CellStatus:
    is_clean = rehearsed >= _FEWEST and share is not None and share >= _ENOUGH
    match mode:
        case Mode.NEW:
            return CellStatus.MOVED
        case Mode.CANARY:
            return CellStatus.CANARY
        case Mode.CLOSED:
            return CellStatus.CLOSED
        case Mode.EPJ:
            return CellStatus.EPJ
        case Mode.REHEARSE:
            return CellStatus.REHEARSED if is_clean else CellStatus.REHEARSING
        case Mode.COMPARE:
            return CellStatus.COMPARED if is_clean else CellStatus.COMPARING
    return CellStatus.LEGACY
