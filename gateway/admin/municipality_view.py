"""A municipality as whoever looks sees it, and as programs get it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from gateway.admin import replica
from gateway.ledger import cutovers as store
from gateway.ledger.traffic import Interval, Numbers
from gateway.migration import overview
from gateway.migration.findings import FindingGroup
from gateway.migration.gates import suggested_gate
from gateway.migration.standing import Cell, Standing, Step
from gateway.replica.status import CopyStatus
from gateway.times import when, when_any


class CellView(Struct, frozen=True):
    """One cell as the page of its municipality has it."""

    cell: Cell
    messages: int
    """Of the last seven days, today's among them."""
    failed: int
    rehearsed: int
    """Messages, or answers that were compared, within four weeks."""
    clean: int
    last: float | None
    step: Step
    lacks: Step | None
    """What of the configuration keeps it from an information service."""
    cutover: str | None
    """One that is planned for it, or has switched it and watches."""
    switches: float | None
    """When that is to switch, or was."""
    weekly: float
    """Messages of a week that a rehearsal would see, as far as it is known."""

    @property
    def wanted(self) -> int:
        """Rehearsed messages that a gate should ask for, by the traffic that is there."""
        return suggested_gate(self.weekly).rehearsed_at_least


class RouteInForce(Struct, frozen=True):
    """A route that decides about some cells."""

    mode: str | None
    layer: str
    rule: str | None
    place: str
    """`file:line:column`."""
    senders: tuple[tuple[str, str], ...]
    """Vendors and systems."""
    types: tuple[str, ...]


class Happening(Struct, frozen=True):
    """One line of a municipality's history."""

    at: float
    kind: str
    """`cutover`, `override` or `panic`."""
    name: str
    what: str
    by: str | None
    reason: str | None


class MunicipalityNow(Struct, frozen=True):
    """What of a municipality is another by the second."""

    at: float
    standing: Standing
    row: overview.MunicipalityRow
    cells: tuple[CellView, ...]
    untyped: Mapping[tuple[str, str], Numbers]
    """By vendor and system, messages of seven days whose type was not read, since it did not matter."""
    waiting: Mapping[str, tuple[int, float]]
    """By state, how many messages wait, and since when the oldest."""
    copies: tuple[CopyStatus, ...]
    """The local copies of its patients and services, with their ages."""


class MunicipalityView(MunicipalityNow, frozen=True):
    """A municipality for whoever looks."""

    hours: tuple[Interval, ...]
    days: tuple[Interval, ...]
    routes: tuple[RouteInForce, ...]
    senders: tuple[store.SeenSender, ...]
    found: tuple[FindingGroup, ...]
    """Faults, repairs and losses of thirty days, the most frequent first."""
    history: tuple[Happening, ...]


def document(view: MunicipalityView) -> dict[str, Any]:
    """Return a municipality for programs."""
    standing = view.standing
    return {
        "key": standing.key,
        "name": standing.name,
        "record_system": standing.record_system,
        "is_moved": standing.is_moved,
        "is_closed": standing.is_closed,
        "next_step": view.row.step.value,
        "troubles": [structs.asdict(one) for one in view.row.troubles],
        "cells": [_cell(one) for one in view.cells],
        "untyped": [
            {"vendor": vendor, "system": system, "messages": numbers.messages, "last": when_any(numbers.last or None)}
            for (vendor, system), numbers in view.untyped.items()
        ],
        "hours": [_interval(one) for one in view.hours],
        "days": [_interval(one) for one in view.days],
        "routes": [structs.asdict(one) for one in view.routes],
        "senders": [{**structs.asdict(one), "last": when(one.last)} for one in view.senders],
        "waiting": {
            state: {"messages": number, "oldest": when(oldest)} for state, (number, oldest) in view.waiting.items()
        },
        "copies": [replica.document(one) for one in view.copies],
        "findings": [one.document() for one in view.found],
        "history": [{**structs.asdict(one), "at": when(one.at)} for one in view.history],
    }


def _cell(one: CellView) -> dict[str, Any]:
    names = ("messages", "failed", "rehearsed", "clean", "cutover")
    cell = one.cell
    return {
        "vendor": cell.vendor,
        "system": cell.system,
        "information": cell.information.value,
        "mode": cell.mode.value if cell.mode else None,
        "layer": cell.layer.value,
        "rule": cell.rule,
        "route": cell.place or None,
        **{name: getattr(one, name) for name in names},
        "clean_share": one.clean / one.rehearsed if one.rehearsed else None,
        "last": when_any(one.last),
        "next_step": one.step.value,
        "lacks": one.lacks.value if one.lacks else None,
        "rehearsed_wanted": one.wanted,
    }


def _interval(one: Interval) -> dict[str, Any]:
    numbers = one.numbers
    return {
        "from": when(one.start),
        "mode": one.mode or None,
        "messages": numbers.messages,
        "failed": numbers.failed,
        "mean_seconds": numbers.seconds / numbers.messages if numbers.messages else None,
        "slowest_seconds": numbers.slowest if numbers.messages else None,
    }
