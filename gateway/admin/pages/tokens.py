"""The page for API tokens."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs
from gateway.admin.pages.forms import Form, form_of, municipalities_of, see_other
from gateway.admin.pages.render import page, words
from gateway.admin.tokens import Tokens
from gateway.auth.people.api_tokens import TokenRequest
from gateway.auth.people.rbac import TOKEN_ROLES, Action


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
        _, secret = await self._tokens.make(request, _wanted(await form_of(request)))
        return self._page(request, secret)

    async def _revoke(self, request: web.Request) -> web.Response:
        await self._tokens.revoke(request, request.match_info["id"])
        return see_other("/tokens")

    def _page(self, request: web.Request, secret: str) -> web.Response:
        tokens = self._tokens.listed(request)
        roles = [(role, words(request).word("role", role)) for role in sorted(TOKEN_ROLES)]
        return page(request, "tokens.html", tokens=tokens, secret=secret, role_options=roles)


def _wanted(form: Form) -> TokenRequest:
    days = form.get("days", [""])[0]
    return TokenRequest(
        name=form.get("name", [""])[0],
        roles=list(form.get("roles", [])),
        days=int(days) if days.isdecimal() and len(days) < 4 else 0,
        municipalities=municipalities_of(form) or None,
    )
