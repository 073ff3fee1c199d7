"""The API of the admin port: what the pages show, in JSON."""

from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.api_tokens import TokenRequest
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Grant, Where, may
from gateway.config.model import Role
from gateway.control.asked import Page, of_query, part_of
from gateway.control.endpoints import Endpoint, Needs, person, visitor
from gateway.control.refusals import Code, Refusal
from gateway.control.status import Board
from gateway.control.tokens import Tokens, described
from gateway.times import when

_TOKENS = "token:"
"""What their cursors begin with."""


def endpoints(board: Board, tokens: Tokens) -> list[Endpoint]:
    """Return the endpoints for programs."""

    async def me(request: web.Request) -> web.Response:
        return web.json_response(me_document(request))

    async def status(request: web.Request) -> web.Response:
        return web.json_response(status_document(board, person(request)))

    async def listed(request: web.Request) -> web.Response:
        part, more = part_of(tokens.listed(request), of_query(request, Page), _TOKENS)
        return web.json_response({"tokens": part, "next": more})

    async def make(request: web.Request) -> web.Response:
        token, secret = await tokens.make(request, await _wanted(request))
        headers = {"Location": f"/api/tokens/{token.id}"}
        return web.json_response({**described(token, "valid"), "token": secret}, status=201, headers=headers)

    async def revoke(request: web.Request) -> web.Response:
        await tokens.revoke(request, request.match_info["id"])
        return web.Response(status=204)

    operate = Needs.role(Action.OPERATE, person=True)
    return [
        Endpoint("GET", "/api/me", me, Needs.role(Action.VIEW)),
        Endpoint("GET", "/api/status", status, Needs.role(Action.VIEW)),
        Endpoint("GET", "/api/tokens", listed, operate),
        Endpoint("POST", "/api/tokens", make, operate),
        Endpoint("DELETE", "/api/tokens/{id}", revoke, operate),
    ]


def me_document(request: web.Request) -> dict[str, Any]:
    """Say who asks; the CSRF token is there for a page's own requests, and other origins cannot read it."""
    who, seen = person(request), visitor(request)
    return {
        "name": who.name,
        "known_as": list(who.known_as),
        "via": who.via.value,
        "grants": grants_document(who.grants),
        "dev_login": seen.doors.dev_login,
        "csrf": seen.session.csrf if seen.session else None,
    }


def grants_document(grants: tuple[Grant, ...]) -> list[dict[str, Any]]:
    """Return grants as JSON has them; null municipalities are all."""
    return [
        {
            "role": grant.role.value,
            "municipalities": None if grant.municipalities is None else sorted(grant.municipalities),
        }
        for grant in grants
    ]


def status_document(board: Board, who: Principal) -> dict[str, Any]:
    """Say what runs; problems may name any municipality, so they are for those who may view all."""
    status = board.status
    if status is None:
        raise Refusal(Code.FAILED)
    document = {**asdict(status), "since": when(status.since)}
    if status.reload is not None:
        everything = may(who.grants, Action.VIEW, Where.EVERYWHERE)
        problems = list(status.reload.problems) if everything else []
        document["reload"] = {"at": when(status.reload.at), "taken": status.reload.taken, "problems": problems}
    return document


async def _wanted(request: web.Request) -> TokenRequest:
    if request.content_type != "application/json":
        raise Refusal(Code.BAD_REQUEST, "Content-Type must be application/json")
    try:
        return msgspec.json.decode(await request.read(), type=TokenRequest)
    except (msgspec.DecodeError, RecursionError):
        fields = "name, roles, days, municipalities"
        roles = ", ".join(sorted(Role))
        raise Refusal(Code.BAD_REQUEST, f"expected an object with {fields}; roles are of {roles}") from None
