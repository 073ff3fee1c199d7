"""The state of the migration, for people and programs: JSON and CSV."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.ledger_desk import LedgerDesk, reach
from gateway.control.refusals import Code, Refusal
from gateway.ledger.decisions import LastSeen, last_seen
from gateway.ledger.verdicts import Summary, summary
from gateway.moments import when
from gateway.people.access import Action
from gateway.reporting.report import Row, holding_back, rows
from gateway.routing.table import RouteTable

_MONTH = 30 * 86_400.0
COLUMNS = (
    *("municipality", "epj", "vendor", "system", "information", "mode", "standing"),
    *("rehearsed", "clean_share", "messages", "last_seen", "holds_back"),
)


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
        found = await self._rows(request)
        wanted = request.query.get("format", "json")
        if wanted == "csv":
            headers = {"Content-Disposition": 'attachment; filename="migration.csv"'}
            text = _csv([_document(row) for row in found])
            return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)
        if wanted != "json" or set(request.query) - {"format"}:
            raise Refusal(Code.BAD_REQUEST, "only format=json or format=csv")
        back = {name: dict(counter.most_common()) for name, counter in holding_back(found).items()}
        return web.json_response({"cells": [_document(row) for row in found], "holding_back": back})

    async def _rows(self, request: web.Request) -> list[Row]:
        table, places = self._table(), reach(person(request), Action.VIEW)
        if table is None:
            raise Refusal(Code.NO_LEDGER)
        now = self._desk.now()

        def work(connection: Connection) -> tuple[list[LastSeen], list[Summary]]:
            return last_seen(connection, now - _MONTH), summary(connection, since=now - _MONTH)

        seen, rehearsals = await self._desk.read(work)
        found = rows(self._desk.config, table, seen, rehearsals, datetime.fromtimestamp(now, UTC))
        return [row for row in found if places is None or row.municipality in places]


def _document(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS}
    return {**values, "standing": row.standing.value, "last_seen": when(row.last_seen) if row.last_seen else None}


def _csv(found: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in found)
    return text.getvalue()
