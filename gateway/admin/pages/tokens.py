"""The page for API tokens."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.pages.forms import Form, choices, form_of, kept, municipalities_of, see_other
from gateway.admin.pages.render import page, words
from gateway.admin.problems import Code, Problem
from gateway.admin.tokens import Tokens
from gateway.auth.people.api_tokens import TokenRequest
from gateway.auth.people.rbac import TOKEN_ROLES, Action

_FIELDS = {
    "name": "tok_wrong_name",
    "days": "tok_wrong_days",
    "roles": "tok_wrong_roles",
    "municipalities": "tok_wrong_municipalities",
}
"""What is said at each field where it is wrong."""


class TokenPages:
    """API tokens: made, shown once, listed and revoked."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        operate = Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint("GET", "/tokens", self._list, operate),
            Endpoint("POST", "/tokens", self._make, operate),
            Endpoint("POST", "/tokens/{id}/revoke", self._revoke, operate),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return self._page(request, "")

    async def _make(self, request: web.Request) -> web.Response:
        form, w = await form_of(request), words(request)
        try:
            _, secret = await self._tokens.make(request, _wanted(form))
        except Problem as problem:
            about = "roles" if problem.code is Code.FORBIDDEN else problem.detail.partition(":")[0]
            if about not in _FIELDS:
                raise
            text = "tok_wrong_more" if problem.code is Code.FORBIDDEN else _FIELDS[about]
            return self._page(request, "", form, {about: w.text(text)}, problem.status)
        return self._page(request, secret)

    async def _revoke(self, request: web.Request) -> web.Response:
        await self._tokens.revoke(request, request.match_info["id"])
        return see_other("/tokens")

    def _page(
        self,
        request: web.Request,
        secret: str,
        form: Form | None = None,
        wrong: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> web.Response:
        """Return the page, with a new token's secret once, or with what is wrong with the form for one."""
        tokens = self._tokens.listed(request)
        w = words(request)
        roles = [(role, w.word("role", role)) for role in sorted(TOKEN_ROLES)]
        typed: dict[str, Any] = {name: kept(form or {}, name) for name in _FIELDS}
        typed |= {"roles": (form or {}).get("roles", ()), "municipalities": municipalities_of(form or {})}
        told: dict[str, Any] = {"secret": secret, "role_options": roles, "typed": typed, "wrong": wrong or {}}
        told["places"] = choices(person(request), w, Action.OPERATE)
        return page(request, "tokens.html", status=status, address="/tokens", tokens=tokens, **told)


def _wanted(form: Form) -> TokenRequest:
    days = form.get("days", [""])[0]
    return TokenRequest(
        name=form.get("name", [""])[0],
        roles=list(form.get("roles", [])),
        days=int(days) if days.isdecimal() and len(days) < 4 else 0,
        municipalities=municipalities_of(form) or None,
    )
