"""Making, listing and revoking API tokens, as the API and the pages both do it."""

from dataclasses import asdict
from typing import Any

import msgspec
import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person, visitor
from gateway.admin.params import Page, is_number_in, of_query, part_of
from gateway.admin.problems import Code, Problem
from gateway.admin.status import StatusBoard
from gateway.auth.people.api_tokens import ApiToken, TokenRequest, TokensUnusable, grants_of, problem_of
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Action, Grant, Where, covers, may
from gateway.config.model import Role
from gateway.times import when

log = structlog.get_logger()


class Tokens:
    """What an operator may do with API tokens: all within the municipalities where they operate."""

    def listed(self, request: web.Request) -> list[dict[str, Any]]:
        """Return the tokens that the operator may see."""
        kept, who = visitor(request).doors.tokens, person(request)
        return [
            described(token, "revoked" if token.revoked_at else "valid" if kept.holds(token) else "expired")
            for token in kept.all()
            if _is_theirs(who, token)
        ]

    async def make(self, request: web.Request, wanted: TokenRequest) -> tuple[ApiToken, str]:
        """Make a token within the operator's own roles; return it with its secret."""
        doors, who = visitor(request).doors, person(request)
        if problem := problem_of(wanted, doors.municipalities):
            raise Problem(Code.BAD_REQUEST, problem)
        if is_number_in(wanted.name):
            raise Problem(Code.BAD_REQUEST, "name: without national identity numbers")
        if not covers(who.grants, grants_of(wanted)):
            raise Problem(Code.FORBIDDEN, "a token cannot have more than you have")
        try:
            token, secret = await doors.tokens.make(wanted, who.known_as, in_dev=who.via is LoginMethod.DEV_LOGIN)
        except TokensUnusable as error:
            log.error("people.token.not_stored", error=str(error))  # noqa: TRY400 - its text says all
            raise Problem(Code.STORE) from None
        log.info("people.token.made", id=token.id, by=who.known_as, subject=who.subject, roles=token.roles,
                 municipalities=token.municipalities, expires=when(token.expires_at))  # fmt: skip
        return token, secret

    async def revoke(self, request: web.Request, token_id: str) -> None:
        """End a token for good."""
        kept, who = visitor(request).doors.tokens, person(request)
        token = kept.get(token_id)
        if token is None or not _is_theirs(who, token):
            raise Problem(Code.NOT_FOUND)
        try:
            await kept.revoke(token)
        except TokensUnusable as error:
            log.error("people.token.not_stored", error=str(error))  # noqa: TRY400 - its text says all
            raise Problem(Code.STORE) from None
        log.info("people.token.revoked", id=token.id, by=who.known_as, subject=who.subject)


def described(token: ApiToken, state: str) -> dict[str, Any]:
    """Return what may be shown of a token."""
    return {
        "id": token.id,
        "name": token.name,
        "roles": [role.value for role in token.roles],
        "municipalities": None if token.municipalities is None else list(token.municipalities),
        "made_by": list(token.made_by),
        "made_at": when(token.made_at),
        "expires_at": when(token.expires_at),
        "state": state,
    }


def _is_theirs(who: Principal, token: ApiToken) -> bool:
    """Tell whether someone operates wherever the token reaches."""
    reach = [None] if token.municipalities is None else list(token.municipalities)
    return all(may(who.grants, Action.OPERATE, Where.EVERYWHERE if place is None else place) for place in reach)


_TOKENS = "token:"
"""What their cursors begin with."""


def endpoints(board: StatusBoard, tokens: Tokens) -> list[Endpoint]:
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


def status_document(board: StatusBoard, who: Principal) -> dict[str, Any]:
    """Say what runs; problems may name any municipality, so they are for those who may view all."""
    status = board.status
    if status is None:
        raise Problem(Code.FAILED)
    document = {**asdict(status), "since": when(status.since)}
    if status.reload is not None:
        everything = may(who.grants, Action.VIEW, Where.EVERYWHERE)
        problems = list(status.reload.problems) if everything else []
        document["reload"] = {"at": when(status.reload.at), "taken": status.reload.taken, "problems": problems}
    return document


async def _wanted(request: web.Request) -> TokenRequest:
    if request.content_type != "application/json":
        raise Problem(Code.BAD_REQUEST, "Content-Type must be application/json")
    try:
        return msgspec.json.decode(await request.read(), type=TokenRequest)
    except (msgspec.DecodeError, RecursionError):
        fields = "name, roles, days, municipalities"
        roles = ", ".join(sorted(Role))
        raise Problem(Code.BAD_REQUEST, f"expected an object with {fields}; roles are of {roles}") from None
