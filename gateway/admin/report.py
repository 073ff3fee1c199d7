"""The state of the migration, for people and programs: JSON and CSV."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, reach, short_name
from gateway.admin.csv import table_of
from gateway.admin.endpoints import Endpoint, Needs, csv_file, person
from gateway.admin.params import Moment, Page, Word, of_query, part_of
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import comparisons, rehearsals, traffic
from gateway.ledger.decision_log import LastSeen
from gateway.ledger.rehearsals import summary
from gateway.migration.report import CellRow, holding_back, rows
from gateway.model import Information
from gateway.routing.table import RouteTable
from gateway.times import DAY, HOUR, when, when_any

_MONTH = 30 * DAY
_CURSOR = "cell:"
_AT_ONCE = 2000
"""Cells of one answer; each takes the whole report to make, so there are more of them than of other lists."""
COLUMNS = (
    *("municipality", "epj", "vendor", "system", "information", "mode", "standing"),
    *("rehearsed", "clean_share", "messages", "last_seen", "holds_back"),
)


class ReportQuery(Page, frozen=True, forbid_unknown_fields=True):
    """In which form the report is wanted, and which part of it; a table is always whole."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=_AT_ONCE)] = 500
    format: Literal["json", "csv"] = "json"


class Report:
    """The endpoint of the report; `use` tells it which routes are in force."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context
        self._table: Callable[[], RouteTable | None] = lambda: None

    def use(self, table: Callable[[], RouteTable | None]) -> None:
        """Take what returns the routes in force."""
        self._table = table

    def table(self) -> RouteTable | None:
        """Return which routes are in force; None where nobody has said."""
        return self._table()

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        return [
            Endpoint(
                *("GET", "/api/v1/report", self._report, Needs.role(Action.VIEW)),
                summary="How far each cell has migrated, and who still holds VKP back",
                answer="cells holding_back vkp_success next",
                query=ReportQuery,
                csv=True,
            )
        ]

    async def _report(self, request: web.Request) -> web.Response:
        asked = of_query(request, ReportQuery)
        found = await self.rows(person(request))
        if asked.format == "csv":
            return csv_file("migration.csv", table_of(COLUMNS, map(_document, found)).encode())
        back = {name: dict(counter.most_common()) for name, counter in holding_back(found).items()}
        part, more = part_of(found, asked, _CURSOR)
        success = self._context.config.vkp_success
        cells = [_document(row) for row in part]
        return web.json_response({"cells": cells, "holding_back": back, "vkp_success": success, "next": more})

    async def rows(self, who: Principal) -> list[CellRow]:
        """Return every cell that someone may see; raises `Problem`."""
        table, places = self._table(), reach(who, Action.VIEW)
        if table is None:
            raise Problem(Code.NO_LEDGER)
        config, now = self._context.config, self._context.now()

        def work(connection: Connection) -> list[CellRow]:
            # All of it beside the messages: a large file has tens of thousands of cells.
            seen, rehearsed = _seen(connection, now - _MONTH), summary(connection, since=now - _MONTH)
            tried: list[rehearsals.Summary | comparisons.ComparisonSummary] = [
                *rehearsed,
                *comparisons.summary(connection, since=now - _MONTH),
            ]
            return rows(config, table, seen, tried, datetime.fromtimestamp(now, UTC))

        return [row for row in await self._context.read(work) if places is None or row.municipality in places]


def _seen(connection: Connection, since: float) -> list[LastSeen]:
    """Return what came since the day of a moment, from what is counted by the day: the log has too many messages to be read."""
    return [
        LastSeen(
            one.municipality or None,
            one.vendor or None,
            one.system or None,
            one.information or None,
            one.mode or None,
            one.numbers.messages,
            one.numbers.last,
        )
        for one in traffic.cells(connection, since)
        if one.numbers.messages
    ]


def _document(row: CellRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS}
    return {**values, "standing": row.standing.value, "last_seen": when_any(row.last_seen)}


_DEFAULT = 7 * DAY
"""Seconds that are looked back over where nothing else is asked for."""
_REHEARSALS_CURSOR = "rehearsal:"


class RehearsalsQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Which cells, and since when."""

    municipality: Word | None = None
    """Short name or orgnr."""
    vendor: Word | None = None
    system: Word | None = None
    information: Information | None = None
    since: Moment | None = None

    def seconds(self, now: float) -> float:
        """Return since when, in seconds since the epoch."""
        return now - _DEFAULT if self.since is None else self.since.timestamp()


class Rehearsals:
    """The endpoint for what rehearsals have shown, narrowed to the municipalities of the person's grants."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        return [
            Endpoint(
                *("GET", "/api/v1/rehearsals", self._list, Needs.role(Action.VIEW)),
                summary="What rehearsals have shown, cell by cell; of seven days where nothing else is asked",
                answer="since rehearsals next",
                query=RehearsalsQuery,
            )
        ]

    async def listed(self, who: Principal, asked: RehearsalsQuery) -> dict[str, Any]:
        """Return what the rehearsals of cells that someone may see have shown; raises `Problem`."""
        within, named = reach(who, Action.VIEW), short_name(self._context.config, asked.municipality)
        since = asked.seconds(self._context.now())

        def work(connection: Connection) -> list[rehearsals.Summary]:
            return rehearsals.summary(
                connection,
                municipality=named,
                vendor=asked.vendor,
                system=asked.system,
                information=asked.information,
                since=since,
            )

        found = [one for one in await self._context.read(work) if within is None or one.municipality in within]
        part, more = part_of(found, asked, _REHEARSALS_CURSOR)
        return {"since": when(since), "rehearsals": [_rehearsals_document(one) for one in part], "next": more}

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await self.listed(person(request), of_query(request, RehearsalsQuery)))


def _rehearsals_document(one: rehearsals.Summary) -> dict[str, Any]:
    """Return what a cell's rehearsals have shown; names that are not known are null."""
    names = {name: getattr(one, name) or None for name in ("municipality", "vendor", "system", "information")}
    return {
        **names,
        "rehearsed": one.rehearsed,
        "clean_share": one.clean_share,
        "counts": dict(one.counts),
        "reasons": msgspec.to_builtins(one.reasons),
        "last": when(one.last_hour * HOUR),
    }
