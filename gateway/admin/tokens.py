"""Making, listing and revoking API tokens, as the API and the pages both do it."""

from typing import Any

import msgspec
import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import ANSWER_AGAIN, Endpoint, Needs, Once, person, visitor
from gateway.admin.params import Page, is_number_in, of_query, part_of
from gateway.admin.problems import Code, Problem
from gateway.auth.people.api_tokens import ApiToken, TokenRequest, grants_of, problem_of
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Action, Where, covers, may
from gateway.config.model import Role
from gateway.errors import StartupError
from gateway.times import when

log = structlog.get_logger()


class Tokens:
    """What an operator may do with API tokens: all within the municipalities where they operate."""

    def listed(self, request: web.Request) -> list[dict[str, Any]]:
        """Return the tokens that the operator may see."""
        kept, who = visitor(request).auth.tokens, person(request)
        return [
            described(token, "revoked" if token.revoked_at else "valid" if kept.holds(token) else "expired")
            for token in kept.all()
            if _is_theirs(who, token)
        ]

    async def make(self, request: web.Request, wanted: TokenRequest) -> tuple[ApiToken, str]:
        """Make a token within the operator's own roles; return it with its secret."""
        auth, who = visitor(request).auth, person(request)
        if problem := problem_of(wanted, auth.municipalities):
            raise Problem(Code.BAD_REQUEST, problem)
        if is_number_in(wanted.name):
            raise Problem(Code.BAD_REQUEST, "name: without national identity numbers")
        if not covers(who.grants, grants_of(wanted)):
            raise Problem(Code.FORBIDDEN, "a token cannot have more than you have")
        try:
            token, secret = await auth.tokens.make(wanted, who.known_as, in_dev=who.via is LoginMethod.DEV_LOGIN)
        except StartupError as error:
            log.error("people.token.not_stored", error=str(error))  # noqa: TRY400 - its text says all
            raise Problem(Code.STORE) from None
        log.info("people.token.made", id=token.id, by=who.known_as, subject=who.subject, roles=token.roles,
                 municipalities=token.municipalities, expires=when(token.expires_at))  # fmt: skip
        return token, secret

    async def revoke(self, request: web.Request, token_id: str) -> None:
        """End a token for good."""
        kept, who = visitor(request).auth.tokens, person(request)
        token = kept.get(token_id)
        if token is None or not _is_theirs(who, token):
            raise Problem(Code.NOT_FOUND)
        try:
            await kept.revoke(token)
        except StartupError as error:
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


_CURSOR = "token:"


class TokensApi:
    """API tokens, for programs that a person runs."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        operate = Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint(
                *("GET", "/api/tokens", self._list, operate),
                summary="API tokens, the newest first, without what they are",
                answer="tokens next",
                query=Page,
                also=(),
            ),
            Endpoint(
                *("POST", "/api/tokens", self._make, operate),
                summary="Make an API token; it is shown this once",
                answer="id name roles municipalities made_by made_at expires_at state token",
                status=201,
                body=TokenRequest,
                gives=("Location",),
                once=Once.OUTSIDE,
            ),
            Endpoint(
                *("DELETE", "/api/tokens/{id}", self._revoke, operate),
                summary="End an API token for good",
                status=204,
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        part, more = part_of(self._tokens.listed(request), of_query(request, Page), _CURSOR)
        return web.json_response({"tokens": part, "next": more})

    async def _make(self, request: web.Request) -> web.Response:
        token, secret = await self._tokens.make(request, await _wanted(request))
        document, headers = described(token, "valid"), {"Location": f"/api/tokens/{token.id}"}
        # What was lost with the first answer is lost: nobody keeps a token where it could be read again.
        request[ANSWER_AGAIN] = web.json_response({**document, "token": None}, status=201, headers=headers)
        return web.json_response({**document, "token": secret}, status=201, headers=headers)

    async def _revoke(self, request: web.Request) -> web.Response:
        await self._tokens.revoke(request, request.match_info["id"])
        return web.Response(status=204)


async def _wanted(request: web.Request) -> TokenRequest:
    if request.content_type != "application/json":
        raise Problem(Code.BAD_REQUEST, "Content-Type must be application/json")
    try:
        return msgspec.json.decode(await request.read(), type=TokenRequest)
    except (msgspec.DecodeError, RecursionError):
        fields = "name, roles, days, municipalities"
        roles = ", ".join(sorted(Role))
        raise Problem(Code.BAD_REQUEST, f"expected an object with {fields}; roles are of {roles}") from None
