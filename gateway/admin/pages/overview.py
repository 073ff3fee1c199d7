"""The pages for people who are logged in; each has a twin in the API."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.pages.render import page, style
from gateway.admin.problems import Code, Problem
from gateway.admin.status import StatusBoard
from gateway.admin.tokens import Tokens, grants_document, status_document
from gateway.auth.people.api_tokens import TokenRequest
from gateway.auth.people.rbac import TOKEN_ROLES, Action

FORM = "application/x-www-form-urlencoded"


def endpoints(board: StatusBoard, tokens: Tokens) -> list[Endpoint]:
    """Return the endpoints for people."""

    async def overview(request: web.Request) -> web.Response:
        who = person(request)
        status = status_document(board, who)
        return page(request, "overview.html", grants=grants_document(who.grants), running=status)

    async def listed(request: web.Request) -> web.Response:
        return _tokens_page(request, tokens, "")

    async def make(request: web.Request) -> web.Response:
        _, secret = await tokens.make(request, await _wanted(request))
        return _tokens_page(request, tokens, secret)

    async def revoke(request: web.Request) -> web.Response:
        await tokens.revoke(request, request.match_info["id"])
        return web.Response(status=303, headers={"Location": "/tokens"})

    async def stylesheet(_request: web.Request) -> web.Response:
        return web.Response(text=style(), content_type="text/css", charset="utf-8")

    operate = Needs.role(Action.OPERATE, person=True)
    return [
        Endpoint("GET", "/", overview, Needs.role(Action.VIEW)),
        Endpoint("GET", "/tokens", listed, operate),
        Endpoint("POST", "/tokens", make, operate),
        Endpoint("POST", "/tokens/{id}/revoke", revoke, operate),
        Endpoint("GET", "/static/style.css", stylesheet, Needs.no_login()),
    ]


def _tokens_page(request: web.Request, tokens: Tokens, secret: str) -> web.Response:
    return page(request, "tokens.html", tokens=tokens.listed(request), secret=secret, token_roles=sorted(TOKEN_ROLES))


async def _wanted(request: web.Request) -> TokenRequest:
    form = await texts_of_form(request)
    days = form.get("days", [""])[0]
    places = form.get("municipalities", [""])[0].replace(",", " ").split()
    return TokenRequest(
        name=form.get("name", [""])[0],
        roles=form.get("roles", []),
        days=int(days) if days.isdecimal() and len(days) < 4 else 0,
        municipalities=places or None,
    )


async def texts_of_form(request: web.Request) -> dict[str, list[str]]:
    """Return the values of a form by their names."""
    if request.content_type != FORM:
        raise Problem(Code.BAD_REQUEST, f"Content-Type must be {FORM}")
    found: dict[str, list[str]] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found
