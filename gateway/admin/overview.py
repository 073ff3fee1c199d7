"""The overview: where every municipality stands, what waits for whoever asks, what comes next; for the page and for programs."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from msgspec import Struct, structs

from gateway.admin.context import LedgerContext, reach
from gateway.admin.cutover_access import By, may_see, offers
from gateway.admin.endpoints import Endpoint, Needs
from gateway.admin.health import Health
from gateway.admin.params import Page, Word, of_query, part_of
from gateway.admin.problems import Problem
from gateway.admin.report import Report
from gateway.admin.rule_service import may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.model import Config
from gateway.ledger import traffic
from gateway.ledger.nodes import Away
from gateway.ledger.overrides import SetRule
from gateway.migration import overview
from gateway.migration.cutover import WAITING, Cutover, CutoverState
from gateway.migration.overview import Day, LedgerFacts, MunicipalityRow
from gateway.migration.standing import TYPES, Standings, Step
from gateway.model import Mode
from gateway.routing.layers import Layer
from gateway.routing.table import RouteTable
from gateway.times import when, when_any

_CURSOR = "municipality:"
_AHEAD = timedelta(days=7)
_FRESH = 1.0
"""Seconds for which all who look share what was read."""
_SLOWLY = 60.0
"""Seconds for which what rehearsals have shown in four weeks stays known."""
_PAST = 600.0
"""Seconds for which the traffic of earlier days stays known; a log that lags behind may still add to it."""
TroubleKind = Literal[
    "any", "panic", "rolled-back", "missed", "refused", "unclear", "quarantined", "overdue", "held", "failing", "silent"
]


class OverviewQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Which municipalities."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 500
    search: Word | None = None
    """A part of the name, or of the short name."""
    record_system: Word | None = None
    vendor: Word | None = None
    mode: Mode | None = None
    """That some type of it has."""
    trouble: TroubleKind | None = None


class WaitingItem(Struct, frozen=True):
    """Something that waits for whoever asks."""

    kind: str
    number: int
    cutover: str | None = None
    at: float | None = None


class Coming(Struct, frozen=True):
    """Something of the next seven days: a cutover, or a window in which nothing switches."""

    kind: Literal["cutover", "freeze"]
    name: str
    at: float
    until: float | None = None
    state: str | None = None
    municipalities: tuple[str, ...] = ()


class RuleAbove(Struct, frozen=True):
    """A panic or an override that holds."""

    layer: str
    name: str
    municipalities: tuple[str | None, ...]
    vendors: tuple[str | None, ...]
    modes: tuple[str, ...]
    reason: str
    made_by: str
    until: float | None


class Snapshot(Struct, frozen=True):
    """The overview of one person at one moment."""

    at: float
    has_ledger: bool
    is_unread: bool
    """Whether there is one, and it cannot be read now."""
    rows: tuple[MunicipalityRow, ...]
    """Of the municipalities that are wanted."""
    total: int
    """Municipalities that they may view; `moved`, `begun` and `closed` are of these."""
    moved: int
    begun: int
    """Moved, or on the way."""
    closed: int
    """Of which nothing goes to VKP any more, though some of it was closed in place of being moved."""
    curve: tuple[tuple[float, int], ...]
    deprecated: str | None
    ends: str | None
    waiting: tuple[WaitingItem, ...]
    coming: tuple[Coming, ...]
    above: tuple[RuleAbove, ...]
    away: tuple[Away, ...]
    """Services that do not answer."""
    held: int | None
    """Messages that wait to be delivered; None where that cannot be known."""


class Overview:
    """Reads for all who look at once, and narrows it to each of them; its methods raise `Problem`."""

    def __init__(self, context: LedgerContext, report: Report, health: Health) -> None:
        self._context = context
        self._report = report
        self._health = health
        self._config: Config | None = None
        self._compiled: tuple[Config, RouteTable] | None = None
        self._standings: Standings | None = None
        self._facts: tuple[float, int, LedgerFacts] | None = None
        self._past: tuple[float, int, Mapping[str, Mapping[int, Day]]] | None = None
        self._rehearsed: tuple[float, Mapping[tuple[str, str, str, str], traffic.Numbers]] | None = None
        self._ahead: tuple[Standings, object, Mapping[str, Step]] | None = None
        self._rows: overview.Before | None = None
        self._reading = asyncio.Lock()

    def use(self, config: Config) -> None:
        """Go on with a configuration."""
        self._config = config

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoint for programs."""
        return [
            Endpoint(
                *("GET", "/api/v1/overview", self._show, Needs.role(Action.VIEW)),
                summary="Where each municipality stands, what waits, what comes in seven days, what lies over the routes, and what is away",
                answer="moved begun closed total curve waiting coming above away held municipalities next",
                query=OverviewQuery,
            )
        ]

    async def _show(self, request: web.Request) -> web.Response:
        asked = of_query(request, OverviewQuery)
        found = await self.seen_by(By.of(request), asked)
        part, more = part_of(found.rows, asked, _CURSOR)
        return web.json_response({**_document(found), "municipalities": [_row(one) for one in part], "next": more})

    def standings(self) -> Standings:
        """Return where every municipality stands now."""
        now, config, table = self._context.now(), *self._in_force()
        if self._standings is None or not self._standings.holds(config, table, now):
            self._standings = Standings(config, table, now)
        return self._standings

    async def facts(self) -> LedgerFacts | None:
        """Return what the ledger knows now; None while there is none."""
        if not self._context.is_there:
            return None
        async with self._reading:
            passed = self._context.clock.monotonic()
            # Whoever changes something here sees it at once.
            changes = self._context.changes
            if self._facts is None or self._facts[1] != changes or not 0 <= passed - self._facts[0] < _FRESH:
                self._facts = (passed, changes, await self._read(passed))
            return self._facts[2]

    async def seen_by(self, by: By, asked: OverviewQuery, *, even_unread: bool = False) -> Snapshot:
        """Return what somebody may see of it, and has asked for; `even_unread`: without what a ledger knows that cannot be read now."""
        try:
            facts = await self.facts()
        except Problem:
            if not even_unread:
                raise
            facts = None
        standings = self.standings()
        every = self._all_rows(facts, standings)
        within = reach(by.person, Action.VIEW)
        visible = [row for row in every if within is None or row.key in within]
        sunset = standings.config.sunset
        return Snapshot(
            at=self._context.now(),
            has_ledger=facts is not None,
            is_unread=facts is None and self._context.is_there,
            rows=tuple(row for row in visible if _is_wanted(row, asked)),
            total=len(visible),
            moved=sum(row.is_moved for row in visible),
            begun=sum(row.is_begun and not row.is_closed for row in visible),
            closed=sum(row.is_closed for row in visible),
            curve=tuple(overview.curve(standings, facts.cutovers if facts else (), within)),
            deprecated=sunset.deprecated.isoformat() if sunset and sunset.deprecated else None,
            ends=sunset.ends.isoformat() if sunset and sunset.ends else None,
            waiting=tuple(_waiting(by, facts, visible)) if facts else (),
            coming=tuple(_coming(by.person, facts, standings.config)) if facts else (),
            above=tuple(_above(by.person, facts.rules)) if facts else (),
            away=tuple(self._health.away(facts.nodes if facts else ())),
            held=sum(facts.waiting.get(row.key, {}).get("held", 0) for row in visible) if facts else None,
        )

    def row(self, facts: LedgerFacts | None, key: str) -> MunicipalityRow:
        """Return the row of one municipality."""
        return next(row for row in self._all_rows(facts, self.standings()) if row.key == key)

    def _in_force(self) -> tuple[Config, RouteTable]:
        config = self._context.config if self._context.is_there else self._config
        if config is None:
            raise RuntimeError("an overview before there is a configuration")
        table = self._report.table()
        if table is not None:
            return config, table
        # Nothing runs by it, as in a process that only looks.
        if self._compiled is None or self._compiled[0] is not config:
            self._compiled = (config, RouteTable.compile(config))
        return self._compiled

    async def _read(self, passed: float) -> LedgerFacts:
        now = self._context.now()
        first = traffic.days_ago(now, overview.DAYS - 1)
        past = self._past[2] if self._past and self._past[1] == first and passed - self._past[0] < _PAST else None
        facts = await self._context.read(lambda each: overview.read(each, now, past))
        if past is None:
            self._past = (passed, first, facts.traffic)
        if self._rehearsed is None or passed - self._rehearsed[0] >= _SLOWLY:
            self._rehearsed = (passed, await self._context.read(lambda each: overview.read_rehearsed(each, now)))
        return structs.replace(facts, rehearsed=self._rehearsed[1])

    def _all_rows(self, facts: LedgerFacts | None, standings: Standings) -> tuple[MunicipalityRow, ...]:
        facts = facts or LedgerFacts(self._context.now(), (0,) * overview.DAYS, {}, {}, (), {}, ())
        if self._rows is None or self._rows.facts is not facts or self._rows.standings is not standings:
            if self._ahead is None or self._ahead[0] is not standings or self._ahead[1] is not facts.rehearsed:
                self._ahead = (standings, facts.rehearsed, overview.steps(standings, facts))
            ahead = self._ahead[2]
            made = tuple(overview.rows(standings, facts, ahead, self._rows))
            self._rows = overview.Before(facts, standings, ahead, made)
        return self._rows.rows


def _is_wanted(row: MunicipalityRow, asked: OverviewQuery) -> bool:
    part = (asked.search or "").strip().casefold()
    return (
        (part in row.name.casefold() or part in row.key)
        and asked.record_system in (None, row.record_system)
        and (asked.vendor is None or asked.vendor in row.vendors)
        and (asked.mode is None or asked.mode.value in row.modes)
        and (asked.trouble is None or _has(row, asked.trouble))
    )


def _has(row: MunicipalityRow, trouble: str) -> bool:
    return bool(row.troubles) if trouble == "any" else any(one.kind == trouble for one in row.troubles)


def _waiting(by: By, facts: LedgerFacts, visible: Iterable[MunicipalityRow]) -> Iterator[WaitingItem]:
    seen = [one for one in facts.cutovers if one.state is not CutoverState.CANCELLED and _may_see(by.person, one)]
    for record in seen:
        if record.state is CutoverState.SUBMITTED and offers(by, record).approve:
            yield WaitingItem("approve", 1, record.name, record.at)
    for record in seen:
        if (kind := overview.went_wrong(record, facts.at)) is not None:
            yield WaitingItem(kind, 1, record.name, record.ended_at or record.at)
    keys = {row.key for row in visible}
    found = [of for key, of in facts.waiting.items() if key in keys]
    for kind in ("unclear", "quarantined", "overdue"):
        number = sum(of.get(kind, 0) - (of.get("unclear", 0) if kind == "quarantined" else 0) for of in found)
        if number:
            yield WaitingItem(kind, number)


def _may_see(who: Principal, record: Cutover) -> bool:
    within = reach(who, Action.VIEW)
    return within is None or bool(within & overview.places_of(record)) or may_see(who, record.cells)


def _coming(who: Principal, facts: LedgerFacts, config: Config) -> list[Coming]:
    now = datetime.fromtimestamp(facts.at, UTC)
    end = now + _AHEAD
    cutovers = [
        Coming("cutover", one.name, one.at, None, one.state.value, tuple(sorted(overview.places_of(one))))
        for one in facts.cutovers
        if one.state in WAITING and facts.at <= one.at <= end.timestamp() and _may_see(who, one)
    ]
    freezes = [
        Coming("freeze", one.reason, one.begins.timestamp(), one.ends.timestamp())
        for one in config.freezes
        if one.begins <= end and one.ends > now
    ]
    return sorted([*cutovers, *freezes], key=lambda one: one.at)


def _above(who: Principal, rules: Iterable[SetRule]) -> Iterator[RuleAbove]:
    together: dict[tuple[Layer, str], list[SetRule]] = {}
    for one in rules:
        if may_view(who, one.route.municipality):
            together.setdefault((one.layer, one.name), []).append(one)
    for (layer, name), set_ in sorted(together.items(), key=lambda item: (item[0][0] is not Layer.PANIC, item[0][1])):
        first = set_[0]
        places, vendors, modes = (
            tuple(dict.fromkeys(getattr(one.route, field) for one in set_))
            for field in ("municipality", "vendor", "mode")
        )
        yield RuleAbove(
            layer.value, name, places, vendors, tuple(map(str, modes)), first.reason, first.made_by, first.until
        )


def _document(found: Snapshot) -> dict[str, Any]:
    return {
        "at": when(found.at),
        "total": found.total,
        "moved": found.moved,
        "begun": found.begun,
        "closed": found.closed,
        "curve": [{"from": when(at) if at else None, "moved": number} for at, number in found.curve],
        "vkp_ends": found.ends,
        "waiting": [{**structs.asdict(one), "at": when_any(one.at)} for one in found.waiting],
        "coming": [{**structs.asdict(one), "at": when(one.at), "until": when_any(one.until)} for one in found.coming],
        "above": [{**structs.asdict(one), "until": when_any(one.until)} for one in found.above],
        "away": [{**structs.asdict(one), "since": when(one.since)} for one in found.away],
        "held": found.held,
    }


def _row(row: MunicipalityRow) -> dict[str, Any]:
    modes = {kind.value: mode or None for kind, mode in zip(TYPES, row.modes, strict=True)}
    values = {name: getattr(row, name) for name in ("key", "name", "record_system", "vendors", "messages", "failed")}
    return {
        **values,
        "is_moved": row.is_moved,
        "is_closed": row.is_closed,
        "modes": modes,
        "messages_by_day": row.traffic,
        "next_step": {"step": row.step.value, "cutover": row.cutover, "at": when_any(row.at)},
        "troubles": [structs.asdict(one) for one in row.troubles],
    }
