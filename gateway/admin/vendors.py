"""One vendor: what was found in its messages, and what remains before its cells can move; without anything of a patient."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from msgspec import Struct

from gateway.admin.context import LedgerContext, reach
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.overview import Overview
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.model import Vendor
from gateway.ledger import findings, traffic
from gateway.migration.findings import FindingGroup, grouped
from gateway.migration.overview import LedgerFacts
from gateway.migration.standing import Cell, Standings, Step, alphabetical, next_step
from gateway.model import JOURNALING, Mode
from gateway.times import when

_DAYS = 30


class Remaining(Struct, frozen=True):
    """How far a vendor has come in one municipality: its journaling cells by mode, and what comes next for those that are left."""

    municipality: str
    modes: Mapping[str, int]
    steps: Mapping[str, tuple[str, ...]]
    """By step, the types that wait for it; what is done is left out."""
    rehearsed: int
    """Messages, within four weeks."""
    clean: int
    messages: int
    """Of thirty days."""


class VendorView(Struct, frozen=True):
    """A vendor for whoever looks: of the municipalities that they may view."""

    at: float
    since: float
    vendor: Vendor
    found: tuple[FindingGroup, ...]
    remaining: tuple[Remaining, ...]


class VendorLine(Struct, frozen=True):
    """A vendor in the list of them."""

    vendor: Vendor
    municipalities: int
    cells: int
    """For journaling."""
    moved: int
    faults: int
    """Messages of thirty days that were, or would be, refused for what they say."""


class Vendors:
    """Its methods raise `Problem`."""

    def __init__(self, context: LedgerContext, board: Overview) -> None:
        self._context = context
        self._board = board

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view = Needs.role(Action.VIEW)
        return [
            Endpoint(
                *("GET", "/api/v1/vendors", self._list, view),
                summary="The vendors whose systems send for municipalities that you may view",
                answer="vendors",
            ),
            Endpoint(
                *("GET", "/api/v1/vendors/{vendor}", self._show, view),
                summary="What was found in a vendor's messages of thirty days, and what remains before its cells can move",
                answer="key name since findings remaining",
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"vendors": [_line(one) for one in await self.listed(person(request))]})

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(_document(await self.seen_by(person(request), request.match_info["vendor"])))

    async def listed(self, who: Principal) -> list[VendorLine]:
        """Return the vendors of the municipalities that someone may view, by their names."""
        standings, within = self._board.standings(), reach(who, Action.VIEW)
        cells = _cells(standings, within)
        faults: Counter[str] = Counter()
        if self._context.is_there:
            since = traffic.days_ago(self._context.now(), _DAYS - 1)
            for one, times in await self._context.read(lambda each: findings.found(each, since, within=within)):
                faults[one.vendor] += times.messages if one.kind == "fault" else 0
        lines = []
        for vendor in standings.config.vendors.values():
            own = cells.get(vendor.key, [])
            if own:
                places, moved = {cell.municipality for cell in own}, sum(cell.mode is Mode.NEW for cell in own)
                lines.append(VendorLine(vendor, len(places), len(own), moved, faults[vendor.key]))
        return sorted(lines, key=lambda line: alphabetical(line.vendor.name))

    async def seen_by(self, who: Principal, key: str) -> VendorView:
        """Return a vendor, for someone who may view a municipality that it sends for."""
        standings, within, now = self._board.standings(), reach(who, Action.VIEW), self._context.now()
        vendor, cells = standings.config.vendors.get(key), _cells(standings, within).get(key, [])
        if vendor is None or not cells:
            raise Problem(Code.NOT_FOUND, "no such vendor where you may view it")
        since, facts = float(traffic.days_ago(now, _DAYS - 1)), await self._board.facts()
        found: list[tuple[findings.CountedFinding, findings.Times]] = []
        came: list[traffic.CellTraffic] = []
        if facts is not None:
            found = await self._context.read(lambda each: findings.found(each, since, vendor=key, within=within))
            came = await self._context.read(lambda each: traffic.cells(each, since, vendor=key))
        messages = Counter[str]()
        for one in came:
            messages[one.municipality] += one.numbers.messages
        remaining = tuple(_remaining(standings, cells, messages, facts))
        return VendorView(now, since, vendor, tuple(grouped(found)), remaining)


def _cells(standings: Standings, within: Iterable[str] | None) -> dict[str, list[Cell]]:
    """Return the journaling cells of each vendor."""
    found: dict[str, list[Cell]] = {}
    for one in standings.within(within).values():
        for cell in one.cells:
            if cell.information in JOURNALING:
                found.setdefault(cell.vendor, []).append(cell)
    return found


def _remaining(
    standings: Standings, cells: Iterable[Cell], messages: Mapping[str, int], facts: LedgerFacts | None
) -> Iterable[Remaining]:
    rehearsed = facts.rehearsed if facts is not None else {}
    together: dict[str, list[Cell]] = {}
    for cell in cells:
        together.setdefault(cell.municipality, []).append(cell)
    # In the order of their names, as everywhere.
    for key in (each for each in standings.all if each in together):
        steps: dict[str, list[str]] = {}
        tried = traffic.Numbers()
        for cell in together[key]:
            numbers = rehearsed.get((key, cell.vendor, cell.system, cell.information.value), traffic.Numbers())
            tried.add(numbers)
            if (step := next_step(standings.config, cell, numbers)) is not Step.DONE:
                steps.setdefault(step.value, []).append(cell.information.value)
        modes = Counter(cell.mode.value for cell in together[key] if cell.mode)
        named = {step: tuple(dict.fromkeys(types)) for step, types in steps.items()}
        yield Remaining(key, modes, named, tried.rehearsed, tried.clean, messages.get(key, 0))


def _line(line: VendorLine) -> dict[str, Any]:
    numbers = {name: getattr(line, name) for name in ("municipalities", "cells", "moved", "faults")}
    return {"key": line.vendor.key, "name": line.vendor.name, **numbers}


def _document(view: VendorView) -> dict[str, Any]:
    names = ("municipality", "modes", "steps", "rehearsed", "clean", "messages")
    return {
        "key": view.vendor.key,
        "name": view.vendor.name,
        "since": when(view.since),
        "findings": [one.document() for one in view.found],
        "remaining": [{name: getattr(one, name) for name in names} for one in view.remaining],
    }
