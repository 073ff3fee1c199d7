"""Making, listing and revoking API tokens, as the API and the pages both do it."""

from typing import Any

import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.api_tokens import ApiToken, TokenRequest, TokensUnusable, grants_of, problem_of
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Action, Where, covers, may
from gateway.control.asked import is_number_in
from gateway.control.endpoints import person, visitor
from gateway.control.refusals import Code, Refusal
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
            raise Refusal(Code.BAD_REQUEST, problem)
        if is_number_in(wanted.name):
            raise Refusal(Code.BAD_REQUEST, "name: without national identity numbers")
        if not covers(who.grants, grants_of(wanted)):
            raise Refusal(Code.FORBIDDEN, "a token cannot have more than you have")
        try:
            token, secret = await doors.tokens.make(wanted, who.known_as, in_dev=who.via is LoginMethod.DEV_LOGIN)
        except TokensUnusable as error:
            log.error("people.token.not_stored", error=str(error))  # noqa: TRY400 - its text says all
            raise Refusal(Code.STORE) from None
        log.info("people.token.made", id=token.id, by=who.known_as, subject=who.subject, roles=token.roles,
                 municipalities=token.municipalities, expires=when(token.expires_at))  # fmt: skip
        return token, secret

    async def revoke(self, request: web.Request, token_id: str) -> None:
        """End a token for good."""
        kept, who = visitor(request).doors.tokens, person(request)
        token = kept.get(token_id)
        if token is None or not _is_theirs(who, token):
            raise Refusal(Code.NOT_FOUND)
        try:
            await kept.revoke(token)
        except TokensUnusable as error:
            log.error("people.token.not_stored", error=str(error))  # noqa: TRY400 - its text says all
            raise Refusal(Code.STORE) from None
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
