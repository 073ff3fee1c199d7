"""Makes pages from templates, in the reader's language; whatever is put into one is escaped."""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib import resources

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from aiohttp.typedefs import Middleware
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.admin import guard
from gateway.admin.context import LedgerContext
from gateway.admin.endpoints import VISITOR, Handler, Visitor
from gateway.admin.pages.catalogue import TEXTS, language
from gateway.admin.problems import Problem
from gateway.admin.rule_service import may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.ledger import overrides
from gateway.routing.layers import Layer

_TEMPLATES = Environment(
    loader=PackageLoader("gateway.admin.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def page(request: web.Request, template: str, *, status: int = 200, **values: object) -> web.Response:
    """Return a page for whoever asks."""
    visitor = request.get(VISITOR)
    chosen = _language(request, visitor)
    person = visitor.person if visitor else None
    text = _TEMPLATES.get_template(template).render(
        language=chosen,
        t=TEXTS[chosen],
        person=person,
        session=visitor.session if visitor else None,
        dev_login=visitor is not None and visitor.doors.dev_login,
        above=request.get(ABOVE, Above()),
        can_operate=person is not None and may(person.grants, Action.OPERATE, Where.SOMEWHERE),
        **values,
    )
    response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
    if visitor is not None and request.query.get("lang") in TEXTS:
        guard.give(response, guard.LANGUAGE, chosen, visitor.origin, max_age=365 * 86_400)
    return response


def refusal_page(request: web.Request, refusal: Problem, claims: dict[str, str] | None = None) -> web.Response:
    """Return a page that says why not."""
    text = TEXTS[_language(request, request.get(VISITOR))][refusal.code]
    response = page(
        request, "refusal.html", status=refusal.status, text=text, detail=refusal.detail, claims=claims or {}
    )
    response.headers.update(refusal.headers)
    return response


@cache
def style() -> str:
    """Return the style sheet."""
    return resources.files("gateway.admin.pages").joinpath("static", "style.css").read_text(encoding="utf-8")


def _language(request: web.Request, visitor: Visitor | None) -> str:
    remembered = guard.read(request, guard.LANGUAGE, visitor.origin) if visitor else ""
    return language(request.query.get("lang", ""), remembered, request.headers.get("Accept-Language", ""))


_NO_PAGES = ("/api/", "/static/", "/metrics", "/livez")


@dataclass(frozen=True, slots=True)
class Above:
    """What lies over the routes of the municipalities that someone may view."""

    panics: int = 0
    overrides: int = 0
    is_unreadable: bool = False
    """Whether nobody can tell now."""


ABOVE = web.RequestKey("above", Above)


def counting(desk: LedgerContext) -> Middleware:
    """Return a middleware, to stand behind the guard, that counts what holds before a page is made."""

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        visitor = request.get(VISITOR)
        if visitor is not None and visitor.person is not None and not request.path.startswith(_NO_PAGES):
            request[ABOVE] = await above(desk, visitor.person)
        return await handler(request)

    return counted


async def above(desk: LedgerContext, who: Principal) -> Above:
    """Return what holds now where someone may view, by the ledger; nothing where there is none."""
    if not desk.is_there:
        return Above()
    now = desk.now()
    try:
        holding = await desk.read(lambda each: overrides.current(each, now))
    except Problem:
        return Above(is_unreadable=True)
    names = {(one.layer, one.name) for one in holding if may_view(who, one.route.municipality)}
    counts = Counter(layer for layer, _ in names)
    return Above(counts[Layer.PANIC], counts[Layer.OVERRIDE])
