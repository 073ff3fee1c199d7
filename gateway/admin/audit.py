"""What the audit tells: entries, and whether their chain is whole."""

from typing import Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext
from gateway.admin.endpoints import Endpoint, Needs
from gateway.admin.params import AuditQuery, cursor_after, of_body, of_query, row_of
from gateway.admin.problems import Code, Problem
from gateway.auth.people.rbac import Action, Where
from gateway.ledger import audit
from gateway.times import when

_CURSOR = "audit:"


class Audit:
    """For those who may view all municipalities: an entry may be of any."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        everything = Needs.role(Action.VIEW, Where.EVERYWHERE)
        return [
            Endpoint(
                *("GET", "/api/v1/audit", self._list, everything),
                summary="Who did what, when and why, the newest first",
                answer="entries next",
                query=AuditQuery,
            ),
            Endpoint(
                *("GET", "/api/v1/audit/head", self._head, everything),
                summary="The end of the audit's chain, signed, to be kept elsewhere",
                answer="id hash at signature",
                also=(404,),
            ),
            Endpoint(
                *("POST", "/api/v1/audit/verify", self._verify_head, everything),
                summary="Whether the chain is whole, and goes on from a head that was kept elsewhere",
                answer="ok broken_at newest head",
                body=audit.ExportedHead,
            ),
            Endpoint(
                *("GET", "/api/v1/audit/verify", self._verify, everything),
                summary="Whether the chain of the audit is whole",
                answer="ok broken_at newest",
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await self.listed(of_query(request, AuditQuery)))

    async def listed(self, wanted: AuditQuery) -> dict[str, Any]:
        """Return entries, the newest first; raises `Problem`."""
        before = row_of(_CURSOR, wanted.cursor)
        narrowed = audit.AuditFilter(
            actor=wanted.actor,
            action=wanted.action,
            target=wanted.target,
            since=wanted.since.timestamp() if wanted.since else None,
            until=wanted.until.timestamp() if wanted.until else None,
        )
        found = await self._context.read(lambda each: audit.entries(each, wanted.limit + 1, before, narrowed))
        more = cursor_after(_CURSOR, found[wanted.limit - 1].id) if len(found) > wanted.limit else None
        return {"entries": [_described(one) for one in found[: wanted.limit]], "next": more}

    async def _verify(self, _request: web.Request) -> web.Response:
        return web.json_response(await self.verified())

    async def verified(self) -> dict[str, Any]:
        """Tell whether the chain is whole; raises `Problem`."""

        def work(connection: Connection) -> tuple[tuple[int, str] | None, int | None]:
            return audit.head(connection), audit.verify(connection)

        newest, broken = await self._context.read(work)
        head = None if newest is None else {"id": newest[0], "hash": newest[1]}
        return {"ok": broken is None, "broken_at": broken, "newest": head}

    async def _head(self, _request: web.Request) -> web.Response:
        return web.json_response(await self.head())

    async def head(self) -> dict[str, Any]:
        """Return the end of the chain, signed; raises `Problem` where there is none."""
        newest = await self._context.read(audit.head)
        if newest is None:
            raise Problem(Code.NOT_FOUND, "the audit has no entries")
        signed = audit.ExportedHead.signed(*newest, when(self._context.now()), self._context.keys.lookup)
        found: dict[str, Any] = msgspec.to_builtins(signed)
        return found

    async def _verify_head(self, request: web.Request) -> web.Response:
        return web.json_response(await self.compared(await of_body(request, audit.ExportedHead)))

    async def compared(self, kept: audit.ExportedHead) -> dict[str, Any]:
        """Tell whether the chain is whole and goes on from a head that was kept elsewhere; raises `Problem`."""
        if not kept.is_signed(self._context.keys.lookup):
            why: str | None = "it was not signed with keys.lookup of this gateway, or was changed"
        else:
            why = await self._context.read(lambda each: audit.verify_head(each, kept))
        found = await self.verified()
        return {**found, "ok": found["ok"] and why is None, "head": why}


def _described(entry: audit.Entry) -> dict[str, Any]:
    note = entry.note
    return {
        "id": entry.id,
        "at": when(note.at),
        "node": note.node,
        "actor": note.actor,
        "action": note.action,
        "target": note.target,
        "reason": note.reason,
        "detail": note.detail,
        "hash": entry.hash,
    }
