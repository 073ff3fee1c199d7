"""Where municipalities stand: the way of each cell, what keeps it with VKP, and what comes next for it; pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from gateway.config.cell_rules import is_enough
from gateway.config.model import Config, Municipality, Vendor
from gateway.config.upstreams import SERVICES
from gateway.ledger.traffic import Numbers
from gateway.migration.gates import GateNumbers, judge_gate, suggested_gate
from gateway.model import JOURNALING, Envelope, Information, Mode
from gateway.routing.layers import Layer
from gateway.routing.table import Decision, RouteTable

LEFT_VKP = frozenset({Mode.NEW, Mode.EPJ, Mode.CLOSED})
"""Modes in which nothing of a cell goes to VKP any more."""
_ORDER = (Mode.LEGACY, Mode.REHEARSE, Mode.COMPARE, Mode.CANARY, Mode.NEW, Mode.EPJ)
TYPES = tuple(Information)
"""The information types in the order in which they are shown: journaling first."""
_MOVED = LEFT_VKP - {Mode.CLOSED}
_SHOWS = {Mode.REHEARSE, Mode.COMPARE}
"""Modes in which VKP answers, and is compared with."""


class Step(StrEnum):
    """What comes next for a cell, from what must be mended to what is done."""

    WATCH = "watch"
    """A cutover has switched, and may still roll itself back."""
    APPROVE = "approve"
    """A cutover lacks approvals."""
    AWAIT = "await"
    """A cutover waits for its time."""
    PLAN = "plan"
    """Rehearsals have shown what the gate would ask for."""
    MEND = "mend"
    """Rehearsals have shown too many faults."""
    REHEARSE_ON = "rehearse-on"
    """Too few messages were rehearsed yet."""
    WIDEN = "widen"
    """A share has moved: now the rest."""
    REHEARSE = "rehearse"
    """A rehearsal can begin."""
    QUIET = "quiet"
    """Nothing of it came while it was rehearsed: it can move with what is ready."""
    COMPARE = "compare"
    """A comparison of the answers to searches can begin."""
    RECORD_SYSTEM = "record-system"
    """The record system does not read, or feed, the information service yet."""
    SERVICE = "service"
    """There is no information service for it, or not with enough status."""
    DIRECT = "direct"
    """NHN builds no VKP integration to a record system of the new generation: it can only be moved at once."""
    CLOSED = "closed"
    """Nobody answers it: nothing of it goes to VKP, and nothing of it was moved."""
    DONE = "done"
    """It was moved: nothing of it goes to VKP any more."""


class Cell(Struct, frozen=True):
    """One cell, and what decides about it."""

    municipality: str
    vendor: str
    system: str
    information: Information
    mode: Mode | None
    """Of the route; None where none covers it."""
    layer: Layer
    rule: str | None
    place: str
    """Of the deciding route, `file:line:column`; empty where there is none."""


class Standing(Struct, frozen=True):
    """One municipality."""

    key: str
    name: str
    record_system: str
    cells: tuple[Cell, ...]
    modes: tuple[str, ...]
    """One for each of `TYPES`, of all vendors together; empty where nobody is registered."""
    vendors: tuple[str, ...]
    is_moved: bool
    """Whether all journaling of it was moved away from VKP."""
    is_begun: bool
    """Whether some was, or a share of some."""
    is_closed: bool
    """Whether nothing of its journaling goes to VKP any more, though some of it was closed in place of being moved."""


class Standings:
    """Every municipality under one table, and until when that is so."""

    def __init__(self, config: Config, table: RouteTable, now: float) -> None:
        self.config, self.table = config, table
        self.until = table.layers.ends_next()
        """When a rule ends, in seconds since the epoch; None: none does."""
        at = datetime.fromtimestamp(now, UTC)
        pairs = pairs_of(config)
        known: dict[tuple[int, ...], tuple[Decision, ...]] = {}
        self.all: dict[str, Standing] = {
            one.key: _standing(one, _cells(table, one.key, pairs[one.key], at, known))
            for one in by_name(config.municipalities.values())
        }

    def within(self, places: Iterable[str] | None) -> dict[str, Standing]:
        """Return those of some municipalities; None is all."""
        return self.all if places is None else {key: self.all[key] for key in places if key in self.all}

    def holds(self, config: Config, table: RouteTable, now: float) -> bool:
        """Tell whether it is still so."""
        return self.config is config and self.table is table and (self.until is None or now < self.until)


def pairs_of(config: Config) -> dict[str, list[tuple[str, str]]]:
    """Return the vendors and systems that are registered for each municipality."""
    everywhere = {(one.vendor, one.system): None for one in config.senders if one.municipalities is None}
    found: dict[str, dict[tuple[str, str], None]] = {key: dict(everywhere) for key in config.municipalities}
    for sender in config.senders:
        for key in sender.municipalities or ():
            if key in found:
                found[key][sender.vendor, sender.system] = None
    return {key: sorted(pairs) for key, pairs in found.items()}


def _cells(
    table: RouteTable,
    key: str,
    pairs: Iterable[tuple[str, str]],
    at: datetime,
    known: dict[tuple[int, ...], tuple[Decision, ...]],
) -> Iterable[Cell]:
    for vendor, system in pairs:
        # Most municipalities are decided by the same rules: those are looked through once.
        same = table.deciding(key, vendor, system)
        if same not in known:
            known[same] = tuple(table.decide(Envelope("any", key, None, vendor, system, each), at) for each in TYPES)
        for information, decision in zip(TYPES, known[same], strict=True):
            route = decision.route
            place = str(route.place) if route else ""
            mode = route.mode if route else None
            yield Cell(key, vendor, system, information, mode, decision.layer, decision.rule, place)


def _standing(one: Municipality, cells: Iterable[Cell]) -> Standing:
    found = tuple(cells)
    by_type: dict[Information, set[Mode | None]] = {}
    for cell in found:
        by_type.setdefault(cell.information, set()).add(cell.mode)
    journaled = [by_type[each] for each in TYPES if each in JOURNALING and each in by_type]
    has_left = bool(journaled) and all(modes <= LEFT_VKP for modes in journaled)
    has_closed = any(Mode.CLOSED in modes for modes in journaled)
    return Standing(
        one.key,
        one.name,
        one.epj.system,
        found,
        tuple(together(by_type.get(each, ())) for each in TYPES),
        tuple(dict.fromkeys(cell.vendor for cell in found)),
        is_moved=has_left and not has_closed,
        is_begun=any(modes & {*_MOVED, Mode.CANARY} for modes in journaled),
        is_closed=has_left and has_closed,
    )


def together(modes: Iterable[Mode | None]) -> str:
    """Return the mode of several cells: the one that all have; some moved are moved in part; else what has come furthest."""
    found = {each for each in modes if each is not None}
    if len(found) < 2:
        return next((each.value for each in found), "")
    if found & {Mode.NEW, Mode.EPJ, Mode.CANARY}:
        return Mode.CANARY.value
    return max(found - {Mode.CLOSED}, key=_ORDER.index).value


def why_not_new(config: Config, municipality: Municipality, information: Information) -> Step | None:
    """Return what keeps a type from its information service; None where nothing of the configuration does."""
    kind = SERVICES.get(information)
    service = config.upstream_for(information)
    if kind is None:
        return Step.SERVICE
    if kind not in (municipality.epj.reads if information in JOURNALING else municipality.epj.feeds):
        return Step.RECORD_SYSTEM
    return None if service is not None and is_enough(service.status, config.environment) else Step.SERVICE


def next_step(config: Config, cell: Cell, numbers: Numbers) -> Step:
    """Return what comes next for a cell, by what its rehearsals, or comparisons, of four weeks have shown; what is planned goes before."""
    if cell.mode in LEFT_VKP:
        return Step.CLOSED if cell.mode is Mode.CLOSED else Step.DONE
    municipality = config.municipalities[cell.municipality]
    why = why_not_new(config, municipality, cell.information)
    if cell.mode is Mode.CANARY:
        return Step.WIDEN
    if municipality.epj.new_generation:
        return why or Step.DIRECT
    if cell.mode in _SHOWS:
        found = GateNumbers(numbers.rehearsed, numbers.clean)
        gate = suggested_gate(numbers.rehearsed / 4)
        if not numbers.rehearsed and not numbers.messages:
            return why or Step.QUIET
        if found.rehearsed < gate.rehearsed_at_least:
            return Step.REHEARSE_ON
        if not judge_gate(gate, found).ok:
            return Step.MEND
        return why or Step.PLAN
    return why or (Step.REHEARSE if cell.information in JOURNALING else Step.COMPARE)


def first_step(steps: Sequence[Step]) -> Step:
    """Return what to say of many cells: what is done only where all of them are."""
    return min(steps, key=_STEPS.index, default=Step.DONE)


_STEPS = tuple(Step)


def of_cells(cells: Iterable[Cell], numbers: Mapping[tuple[str, str, str, str], Numbers], config: Config) -> list[Step]:
    """Return the next step of each journaling cell."""
    nothing = Numbers()
    return [
        next_step(config, one, numbers.get((one.municipality, one.vendor, one.system, one.information.value), nothing))
        for one in cells
        if one.information in JOURNALING
    ]


Named = TypeVar("Named", Municipality, Vendor)
_LETTERS = str.maketrans({"å": "\uffff", "æ": "\ufffd", "ø": "\ufffe"})


def by_name(found: Iterable[Named]) -> list[Named]:
    """Return municipalities, or vendors, in the order of their names."""
    return sorted(found, key=lambda one: alphabetical(one.name))


def alphabetical(name: str) -> str:
    """Return what names are sorted by, so that they come as in Norwegian: æ, ø and å last."""
    return name.casefold().translate(_LETTERS)
