"""The state of the migration, for people and programs: JSON and CSV."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.control.asked import Page, of_query, part_of
from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.ledger_desk import LedgerDesk, reach
from gateway.control.refusals import Code, Refusal
from gateway.csv_text import table_of
from gateway.ledger.decision_log import last_seen
from gateway.ledger.rehearsals import summary
from gateway.migration.report import Row, holding_back, rows
from gateway.routing.table import RouteTable
from gateway.times import when

_MONTH = 30 * 86_400.0
_CURSOR = "cell:"
_AT_ONCE = 2000
"""Cells of one answer; each takes the whole report to make, so there are more of them than of other lists."""
COLUMNS = (
    *("municipality", "epj", "vendor", "system", "information", "mode", "standing"),
    *("rehearsed", "clean_share", "messages", "last_seen", "holds_back"),
)


class Asked(Page, frozen=True, forbid_unknown_fields=True):
    """In which form the report is wanted, and which part of it; a table is always whole."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=_AT_ONCE)] = 500
    format: Literal["json", "csv"] = "json"


class Report:
    """The endpoint of the report; `use` tells it which routes are in force."""

    def __init__(self, desk: LedgerDesk) -> None:
        self._desk = desk
        self._table: Callable[[], RouteTable | None] = lambda: None

    def use(self, table: Callable[[], RouteTable | None]) -> None:
        """Take what returns the routes in force."""
        self._table = table

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        return [Endpoint("GET", "/api/v1/report", self._report, Needs.role(Action.VIEW))]

    async def _report(self, request: web.Request) -> web.Response:
        asked = of_query(request, Asked)
        found = await self.rows(person(request))
        if asked.format == "csv":
            headers = {"Content-Disposition": 'attachment; filename="migration.csv"'}
            text = table_of(COLUMNS, (_document(row) for row in found))
            return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)
        back = {name: dict(counter.most_common()) for name, counter in holding_back(found).items()}
        part, more = part_of(found, asked, _CURSOR)
        return web.json_response({"cells": [_document(row) for row in part], "holding_back": back, "next": more})

    async def rows(self, who: Principal) -> list[Row]:
        """Return every cell that someone may see; raises `Refusal`."""
        table, places = self._table(), reach(who, Action.VIEW)
        if table is None:
            raise Refusal(Code.NO_LEDGER)
        config, now = self._desk.config, self._desk.now()

        def work(connection: Connection) -> list[Row]:
            # All of it beside the messages: a large file has tens of thousands of cells.
            seen, rehearsals = last_seen(connection, now - _MONTH), summary(connection, since=now - _MONTH)
            return rows(config, table, seen, rehearsals, datetime.fromtimestamp(now, UTC))

        return [row for row in await self._desk.read(work) if places is None or row.municipality in places]


def _document(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS}
    return {**values, "standing": row.standing.value, "last_seen": when(row.last_seen) if row.last_seen else None}
