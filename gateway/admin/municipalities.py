"""One municipality: each cell with what is known of it and what comes next, its traffic, routes, senders and history."""

import asyncio
from collections.abc import Iterable, Sequence

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from msgspec import Struct
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, reach, short_name
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.municipality_view import (
    CellView,
    Happening,
    MunicipalityNow,
    MunicipalityView,
    RouteInForce,
    document,
)
from gateway.admin.overview import Overview
from gateway.admin.problems import Code, Problem
from gateway.admin.replica import Copies
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.model import Config
from gateway.ledger import comparisons, findings, message_queries, overrides, retention, traffic
from gateway.ledger import cutovers as store
from gateway.ledger.overrides import RuleFilter, SetRule
from gateway.ledger.traffic import CellTraffic, Interval, Numbers
from gateway.migration import overview
from gateway.migration.cutover import WAITING, Cutover
from gateway.migration.findings import grouped
from gateway.migration.standing import Cell, Standing, Step, next_step, why_not_new
from gateway.model import Mode
from gateway.routing.layers import Layer

_MONTH_DAYS = 30
_HOURS = 24
_MOST_EVENTS, _MOST_FOUND = 30, 10
_FRESH, _SLOWLY = 1.0, 15.0
"""Seconds for which all who look share what was read, and what four weeks have shown."""
_CellKey = tuple[str, str, str]


class _Month(Struct, frozen=True):
    """What four weeks have shown, which takes the longest to read."""

    rehearsed: list[CellTraffic]
    compared: list[comparisons.ComparisonSummary]


class _Now(Struct, frozen=True):
    week: list[CellTraffic]
    month: _Month
    counts: list[retention.BacklogCount]
    unclear: int


class _Rest(Struct, frozen=True):
    hours: list[Interval]
    days: list[Interval]
    senders: list[store.SeenSender]
    found: list[tuple[findings.CountedFinding, findings.Times]]
    rules: list[SetRule]


class Municipalities:
    """Its methods raise `Problem`."""

    def __init__(self, context: LedgerContext, board: Overview, copies: Copies) -> None:
        self._context = context
        self._copies = copies
        self._board = board
        self._known: dict[str, tuple[float, int, _Now]] = {}
        self._months: dict[str, tuple[float, _Month]] = {}
        self._reading = asyncio.Lock()

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoint for programs."""
        return [
            Endpoint(
                *("GET", "/api/v1/municipalities/{municipality}", self._show, Needs.role(Action.VIEW)),
                summary="One municipality: its cells and what comes next for them, traffic, routes, senders, findings, history",
                answer="key name cells hours days routes senders waiting copies findings history",
            )
        ]

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(document(await self.seen_by(person(request), request.match_info["municipality"])))

    async def seen_by(self, who: Principal, key: str) -> MunicipalityView:
        """Return a municipality, for someone who may view it."""
        view = await self.now_of(who, key)
        named, now = view.standing.key, view.at
        facts = await self._board.facts()
        rest = _NO_REST if facts is None else await self._context.read(lambda each: _rest(each, named, now))
        cutovers = [] if facts is None else [one for one in facts.cutovers if named in overview.places_of(one)]
        return MunicipalityView(
            **{name: getattr(view, name) for name in MunicipalityNow.__struct_fields__},
            hours=tuple(rest.hours),
            days=tuple(rest.days),
            routes=tuple(_routes(view.standing)),
            senders=tuple(rest.senders),
            found=tuple(grouped(rest.found)[:_MOST_FOUND]),
            history=tuple(_history(cutovers, rest.rules, named)),
        )

    async def now_of(self, who: Principal, key: str) -> MunicipalityNow:
        """Return what is another by the second, for someone who may view it; all who look at once share what was read."""
        standings, within = self._board.standings(), reach(who, Action.VIEW)
        named = short_name(standings.config, key) or ""
        if named not in standings.all or (within is not None and named not in within):
            raise Problem(Code.NOT_FOUND, "no such municipality where you may view it")
        facts = await self._board.facts()
        known = _NOTHING if facts is None else await self._now(named)
        standing, row = standings.all[named], self._board.row(facts, named)
        cutovers = [] if facts is None else [one for one in facts.cutovers if named in overview.places_of(one)]
        return MunicipalityNow(
            at=self._context.now(),
            standing=standing,
            row=row,
            cells=tuple(_cells(standings.config, standing, known, cutovers)),
            untyped=_untyped(known.week),
            waiting=_waiting(known),
            copies=() if facts is None else tuple(await self._copies.listed(who, named)),
        )

    async def _now(self, key: str) -> _Now:
        async with self._reading:
            passed, now, changes = self._context.clock.monotonic(), self._context.now(), self._context.changes
            known = self._known.get(key)
            # Whoever changes something here sees it at once.
            if known is not None and known[1] == changes and 0 <= passed - known[0] < _FRESH:
                return known[2]
            month = self._months.get(key)
            if month is None or not 0 <= passed - month[0] < _SLOWLY:
                month = (passed, await self._context.read(lambda each: _month(each, key, now)))
            read = await self._context.read(lambda each: _read(each, key, now, month[1]))
            # What nobody has looked at for a while is not kept.
            self._known = {each: one for each, one in self._known.items() if passed - one[0] < _SLOWLY}
            self._months = {each: one for each, one in self._months.items() if passed - one[0] < _SLOWLY}
            self._known[key], self._months[key] = (passed, changes, read), month
            return read


_NOTHING = _Now([], _Month([], []), [], 0)
_NO_REST = _Rest([], [], [], [], [])


def _month(connection: Connection, key: str, now: float) -> _Month:
    since = traffic.days_ago(now, overview.REHEARSED_WITHIN - 1)
    return _Month(
        traffic.cells(connection, since, municipality=key, mode=Mode.REHEARSE.value),
        comparisons.summary(connection, since=since, municipality=key),
    )


def _read(connection: Connection, key: str, now: float, month: _Month) -> _Now:
    return _Now(
        traffic.cells(connection, traffic.days_ago(now, overview.WEEK - 1), municipality=key),
        month,
        [one for one in retention.counts(connection) if one.municipality == key],
        message_queries.unclear(connection).get(key, 0),
    )


def _rest(connection: Connection, key: str, now: float) -> _Rest:
    month = traffic.days_ago(now, _MONTH_DAYS - 1)
    rules = [
        one
        for layer in (Layer.PANIC, Layer.OVERRIDE)
        for one in overrides.listed(connection, RuleFilter(layer, [key], None, _MOST_EVENTS))
    ]
    return _Rest(
        traffic.intervals(connection, key, traffic.HOUR, (now // 3600 - _HOURS + 1) * 3600),
        traffic.intervals(connection, key, traffic.DAY, month),
        store.senders(connection, key, traffic.days_ago(now, overview.WEEK - 1)),
        findings.found(connection, month, municipality=key),
        rules,
    )


def _cells(config: Config, standing: Standing, known: _Now, cutovers: Iterable[Cutover]) -> Iterable[CellView]:
    week, rehearsed = _by_cell(known.week), _by_cell(known.month.rehearsed)
    for one in known.month.compared:
        tried = Numbers(rehearsed=one.tried, clean=one.clean)
        rehearsed.setdefault((one.vendor, one.system, one.information), Numbers()).add(tried)
    planned = [one for one in cutovers if one.ended_at is None and (one.state in WAITING or one.is_executed)]
    of = [(one, one.cells) for one in sorted(planned, key=lambda one: one.at)]
    for cell in standing.cells:
        key = (cell.vendor, cell.system, cell.information.value)
        came, tried = week.get(key, Numbers()), rehearsed.get(key, Numbers())
        about = next(
            (one for one, cells in of if cells.route(cell.municipality, *key) is not None and _is_open(one)), None
        )
        step = next_step(config, cell, tried)
        if step is Step.QUIET and came.messages:
            step = Step.REHEARSE_ON  # it came before the rehearsal began
        weekly = max(came.messages, came.rehearsed, tried.rehearsed / 4)
        yield CellView(
            cell=cell,
            messages=max(came.messages, came.rehearsed),
            failed=came.failed,
            rehearsed=tried.rehearsed,
            clean=tried.clean,
            last=came.last or None,
            step=overview.PLANNED.get(about.state, step) if about else step,
            lacks=None
            if step in (Step.DONE, Step.CLOSED)
            else why_not_new(config, config.municipalities[cell.municipality], cell.information),
            cutover=about.name if about else None,
            switches=overview.time_of(about) if about else None,
            weekly=weekly,
        )


def _is_open(record: Cutover) -> bool:
    """Tell whether there is something to wait for: a cutover that is done says no more than its route."""
    return record.state in overview.PLANNED


def _by_cell(found: Iterable[CellTraffic]) -> dict[_CellKey, Numbers]:
    sums: dict[_CellKey, Numbers] = {}
    for one in found:
        sums.setdefault((one.vendor, one.system, one.information), Numbers()).add(one.numbers)
    return sums


def _untyped(week: Iterable[CellTraffic]) -> dict[tuple[str, str], Numbers]:
    sums: dict[tuple[str, str], Numbers] = {}
    for one in week:
        if not one.information:
            sums.setdefault((one.vendor, one.system), Numbers()).add(one.numbers)
    return sums


def _routes(standing: Standing) -> Iterable[RouteInForce]:
    together: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in standing.cells:
        key = (cell.place, cell.layer.value, cell.rule or "", cell.mode.value if cell.mode else "")
        together.setdefault(key, []).append(cell)
    for (place, layer, rule, mode), cells in together.items():
        senders = tuple(dict.fromkeys((one.vendor, one.system) for one in cells))
        types = tuple(dict.fromkeys(one.information.value for one in cells))
        yield RouteInForce(mode or None, layer, rule or None, place, senders, types)


def _waiting(known: _Now) -> dict[str, tuple[int, float]]:
    found = {one.state: (one.messages, one.oldest) for one in known.counts}
    if known.unclear:
        found["unclear"] = (known.unclear, found.get("quarantined", (0, 0.0))[1])
    return found


def _history(cutovers: Iterable[Cutover], rules: Sequence[SetRule], key: str) -> list[Happening]:
    found = [
        Happening(event.at, "cutover", one.name, event.what, event.by, event.reason)
        for one in cutovers
        for event in one.history
    ]
    for one in {(rule.layer, rule.name): rule for rule in rules if rule.route.municipality in (None, key)}.values():
        found.append(Happening(one.made_at, one.layer.value, one.name, "set", one.made_by, one.reason))
        if one.ended_at is not None:
            found.append(Happening(one.ended_at, one.layer.value, one.name, "ended", one.ended_by, one.ended_why))
    return sorted(found, key=lambda each: each.at, reverse=True)[:_MOST_EVENTS]
