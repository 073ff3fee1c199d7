"""The local copies of patients and services, for people and programs: how far each is, and how one is made anew."""

from typing import Any

import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, reach, short_name
from gateway.admin.endpoints import Endpoint, Needs, Once, person
from gateway.admin.params import Narrowed, ReasonBody, of_body, of_query, part_of, reason_of
from gateway.admin.problems import Code, Problem
from gateway.admin.rule_service import may_operate
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import audit
from gateway.replica.status import CopyStatus, copies, freshness_of
from gateway.replica.worker import rebuild
from gateway.times import when_any

log = structlog.get_logger()

_CURSOR = "copy:"


class RebuildBody(ReasonBody, frozen=True, forbid_unknown_fields=True):
    """Why a copy is made anew, and whether what there is may answer meanwhile."""

    from_nothing: bool = False
    """Let nothing be answered until the new one is whole, and compare it with nothing."""


class Copies:
    """Each method raises `Problem`; what is shown or done is narrowed to the municipalities of the person's grants."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        return [
            Endpoint(
                *("GET", "/api/v1/replica", self._list, Needs.role(Action.VIEW)),
                summary="The local copies of patients and services: how old each is, and how far the next one has come",
                answer="copies next",
                query=Narrowed,
            ),
            Endpoint(
                *("POST", "/api/v1/replica/{municipality}/rebuild", self._rebuild, Needs.role(Action.OPERATE)),
                summary="Read everything of a municipality's patients anew; what there is answers meanwhile",
                answer="municipality generation",
                body=RebuildBody,
                once=Once.LEDGER,
            ),
        ]

    async def listed(self, who: Principal, municipality: str | None = None) -> list[CopyStatus]:
        """Return the copies of the municipalities that someone may see."""
        within, named = reach(who, Action.VIEW), short_name(self._context.config, municipality)
        freshness, now = freshness_of(self._context.config), self._context.now()
        found = await self._context.read(lambda each: copies(each, freshness, now))
        return [
            one for one in found if (within is None or one.municipality in within) and named in (None, one.municipality)
        ]

    async def rebuild(self, who: Principal, municipality: str, asked: RebuildBody) -> dict[str, Any]:
        """Have a copy made anew, and return the number of the generation that is made."""
        name = short_name(self._context.config, municipality) or ""
        if not may_operate(who, name):
            raise Problem(Code.NOT_FOUND, "no such copy where you operate")
        keys, detail = self._context.keys, "from nothing" if asked.from_nothing else None
        note = self._context.note(who, "replica.rebuild", name, reason_of(asked.reason), detail)

        def work(connection: Connection) -> int | None:
            number = rebuild(connection, name, keys, note.at, from_nothing=asked.from_nothing)
            if number is not None:
                audit.write(connection, note)
            return number

        if (number := await self._context.write(work)) is None:
            raise Problem(Code.NOT_FOUND, "no such copy where you operate")
        log.info("replica.rebuild", municipality=name, generation=number, actor=note.actor)
        return {"municipality": name, "generation": number}

    async def _list(self, request: web.Request) -> web.Response:
        asked = of_query(request, Narrowed)
        part, more = part_of(await self.listed(person(request), asked.municipality), asked, _CURSOR)
        return web.json_response({"copies": [document(one) for one in part], "next": more})

    async def _rebuild(self, request: web.Request) -> web.Response:
        asked = await of_body(request, RebuildBody)
        return web.json_response(await self.rebuild(person(request), request.match_info["municipality"], asked))


def document(copy: CopyStatus) -> dict[str, Any]:
    """Return a copy as programs are told of it."""
    made = copy.making
    return {
        "municipality": copy.municipality,
        "source": copy.source,
        "state": copy.state,
        "patients": copy.patients,
        "fresh_at": when_any(copy.fresh_at),
        "age": None if copy.age is None else round(copy.age),
        "making": None
        if made is None
        else {
            "generation": made.generation,
            "began_at": when_any(made.began_at),
            "pages": made.pages,
            "patients": made.entries,
            "read_to": made.read_to or None,
        },
        "node": copy.node,
        "failures": copy.failures,
        "failure": copy.failure,
        "failed_at": when_any(copy.failed_at),
    }
