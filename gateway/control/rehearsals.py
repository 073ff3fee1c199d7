"""What rehearsals have shown, cell by cell."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.control.asked import Page, of_query, part_of
from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.ledger_desk import LedgerDesk, reach
from gateway.ledger import rehearsals
from gateway.model import Information
from gateway.times import when

_DEFAULT = 7 * 86_400.0
"""Seconds that are looked back over where nothing else is asked for."""
_HOUR = 3600
_CURSOR = "rehearsal:"
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Asked(Page, frozen=True, forbid_unknown_fields=True):
    """Which cells, and since when."""

    municipality: _Word | None = None
    """Short name or orgnr."""
    vendor: _Word | None = None
    system: _Word | None = None
    information: Information | None = None
    since: _Moment | None = None


class Rehearsals:
    """The endpoint for what rehearsals have shown, narrowed to the municipalities of the person's grants."""

    def __init__(self, desk: LedgerDesk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        return [Endpoint("GET", "/api/v1/rehearsals", self._list, Needs.role(Action.VIEW))]

    async def listed(self, who: Principal, asked: Asked) -> dict[str, Any]:
        """Return what the rehearsals of cells that someone may see have shown; raises `Refusal`."""
        within, known = reach(who, Action.VIEW), self._desk.config.municipalities.values()
        named = next((one.key for one in known if one.orgnr == asked.municipality), asked.municipality)
        since = self._desk.now() - _DEFAULT if asked.since is None else asked.since.timestamp()

        def work(connection: Connection) -> list[rehearsals.Summary]:
            return rehearsals.summary(
                connection,
                municipality=named,
                vendor=asked.vendor,
                system=asked.system,
                information=asked.information,
                since=since,
            )

        found = [one for one in await self._desk.read(work) if within is None or one.municipality in within]
        part, more = part_of(found, asked, _CURSOR)
        return {"since": when(since), "rehearsals": [_document(one) for one in part], "next": more}

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await self.listed(person(request), of_query(request, Asked)))


def _document(one: rehearsals.Summary) -> dict[str, Any]:
    """Return what a cell's rehearsals have shown; names that are not known are null."""
    names = {name: getattr(one, name) or None for name in ("municipality", "vendor", "system", "information")}
    return {
        **names,
        "rehearsed": one.rehearsed,
        "clean_share": one.clean_share,
        "counts": dict(one.counts),
        "reasons": msgspec.to_builtins(one.reasons),
        "last": when(one.last_hour * _HOUR),
    }
