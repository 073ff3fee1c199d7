"""Makes pages from templates, in the reader's language; whatever is put into one is escaped."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from aiohttp.typedefs import Middleware
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.admin import guard
from gateway.admin.context import LedgerContext
from gateway.admin.endpoints import VISITOR, Endpoint, Handler, Needs, Visitor
from gateway.admin.pages.catalogue import LANGUAGES, TEXTS, language
from gateway.admin.pages.words import Names, Words
from gateway.admin.params import is_number_in
from gateway.admin.problems import Code, Problem
from gateway.admin.rule_service import may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.ledger import overrides
from gateway.migration import panics
from gateway.routing.layers import Layer
from gateway.times import Clock

_TEMPLATES = Environment(
    loader=PackageLoader("gateway.admin.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
_TAG = re.compile(r"<(/?)(table|tr|td|th)\b")


def labelled(rows: Markup, labels: Sequence[str]) -> Markup:
    """Return rows of a table whose cells have their columns' heads as labels, for windows too narrow for columns."""
    told, depth = [escape(label) for label in labels], 0
    names = iter(told)

    def tag(found: re.Match[str]) -> str:
        nonlocal depth, names
        ends, name = found[1], found[2]
        if name == "table":
            depth += -1 if ends else 1
        elif not ends and not depth:
            if name == "tr":
                names = iter(told)
            elif (label := next(names, "")) and name == "td":
                return f'<td data-label="{label}"'
        return found[0]

    return Markup(_TAG.sub(tag, rows))  # noqa: S704 - what templates have escaped


_TEMPLATES.filters["labelled"] = labelled
_NAVIGATION = (
    ("/", "nav_overview", ("/municipalities",)),
    ("/vendors", "nav_vendors", ()),
    ("/cutovers", "nav_cutovers", ()),
    ("/panics", "nav_panic", ()),
    ("/overrides", "nav_overrides", ()),
    ("/messages", "nav_messages", ("/quarantine",)),
    ("/try", "nav_try", ()),
    ("/report", "nav_report", ()),
    ("/audit", "nav_audit", ()),
    ("/health", "nav_health", ()),
    ("/tokens", "nav_tokens", ()),
)
"""Pages in the order of their links, with the text of each, and where else a reader is within it; those that are not there have none."""
_KINDS = {".css": "text/css", ".js": "text/javascript"}


@dataclass(slots=True)
class Site:
    """What every page of an admin port needs to know of it."""

    clock: Clock
    endpoints: Mapping[tuple[str, str], Endpoint]
    names: Names = field(default_factory=Names)


SITE = web.AppKey("site", Site)


class StaticFiles:
    """The style sheet and the scripts, to everyone who may see the login."""

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoint for browsers."""
        return [Endpoint("GET", "/static/{name}", self._file, Needs.no_login())]

    async def _file(self, request: web.Request) -> web.Response:
        text, kind = static_files().get(request.match_info["name"], ("", ""))
        if not kind:
            raise Problem(Code.NOT_FOUND)
        return web.Response(text=text, content_type=kind, charset="utf-8")


@cache
def static_files() -> Mapping[str, tuple[str, str]]:
    """Return each file by its name, with its content type."""
    folder = resources.files("gateway.admin.pages").joinpath("static")
    named = [(each, _KINDS.get(f".{each.name.rpartition('.')[2]}", "")) for each in folder.iterdir()]
    return {each.name: (each.read_text(encoding="utf-8"), kind) for each, kind in named if kind}


def page(
    request: web.Request,
    template: str,
    *,
    status: int = 200,
    address: str = "",
    kept_form: str = "",
    **values: object,
) -> web.Response:
    """Return a page for whoever asks.

    `address` is where it stands, when it answers a form that was sent elsewhere: from there it is loaded anew, and in another language.
    `kept_form`: what is written into its form `kept` goes along into the other language, by the button `stay`; this is the button
    that the Enter key presses.
    """
    address = address if request.method == "POST" else ""
    asked = [] if kept_form else _asked(request, status)
    link = f"{address}?{urlencode([*asked, ('lang', _other(request))])}"
    about = {"address": address, "in_other_language": link, "kept_form": kept_form}
    chosen, text = _rendered(request, template, {**about, **values})
    response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
    visitor = request.get(VISITOR)
    if visitor is not None and request.query.get("lang") in TEXTS:
        guard.give(response, guard.LANGUAGE, chosen, visitor.origin, max_age=365 * 86_400)
    return response


def fragment(request: web.Request, template: str, **values: object) -> str:
    """Return a part of a page, for `live.stream`; the template is one that the page includes."""
    return _rendered(request, template, values)[1]


def piece(says: Words, template: str, **values: object) -> Markup:
    """Return a small part of many pages, which knows nothing of who reads."""
    text = _TEMPLATES.get_template(template).render(w=says, t=TEXTS[says.language], **values)
    return Markup(text)  # noqa: S704 - a template that escapes


def refusal_page(request: web.Request, refusal: Problem, claims: dict[str, str] | None = None) -> web.Response:
    """Return a page that says why not."""
    text = TEXTS[_language(request, request.get(VISITOR))][refusal.code]
    values: dict[str, Any] = {"text": text, "detail": refusal.detail, "claims": claims or {}}
    # Whoever wrote for longer than a session lasts wants to know what became of it.
    values["was_sent"] = request.method == "POST" and refusal.code is Code.NOT_LOGGED_IN
    response = page(request, "refusal.html", status=refusal.status, back=_came_from(request), **values)
    response.headers.update(refusal.headers)
    return response


def _came_from(request: web.Request) -> str:
    """Return the page of ours whose form was refused; empty where that is not known."""
    came = urlsplit(request.headers.get("Referer", ""))
    if request.method != "POST" or came.netloc != request.host or not came.path.startswith("/"):
        return ""
    return "/" + came.path.lstrip("/") + (f"?{came.query}" if came.query else "")


def words(request: web.Request) -> Words:
    """Return how a page says things to whoever asks."""
    site = request.app[SITE]
    return Words(_language(request, request.get(VISITOR)), site.clock(), site.names)


def _rendered(request: web.Request, template: str, values: Mapping[str, object]) -> tuple[str, str]:
    visitor = request.get(VISITOR)
    chosen = _language(request, visitor)
    person = visitor.person if visitor else None
    text = _TEMPLATES.get_template(template).render(
        language=chosen,
        other_language=_other(request),
        t=TEXTS[chosen],
        w=words(request),
        person=person,
        session=visitor.session if visitor else None,
        dev_login=visitor is not None and visitor.auth.dev_login,
        above=request.get(ABOVE, Above()),
        nav=_navigation(request, person),
        can_operate=person is not None and may(person.grants, Action.OPERATE, Where.SOMEWHERE),
        **values,
    )
    return chosen, text


def _other(request: web.Request) -> str:
    """Return the language that a page is not in."""
    chosen = _language(request, request.get(VISITOR))
    return next(each for each in LANGUAGES if each != chosen)


def _asked(request: web.Request, status: int) -> list[tuple[str, str]]:
    """Return what a page was asked for beside its language: what was not taken, or may be a patient's number, is not repeated."""
    if request.method == "POST" or status >= 400:
        return []
    return [(name, value) for name, value in request.query.items() if name != "lang" and not is_number_in(value)]


def _navigation(request: web.Request, person: Principal | None) -> list[dict[str, Any]]:
    """Return the links to the pages that are there and that someone may see."""
    if person is None:
        return []
    known, here = request.app[SITE].endpoints, request.path
    links = []
    for path, text, within in _NAVIGATION:
        endpoint = known.get(("GET", path))
        if endpoint is None or not may(person.grants, endpoint.needs.action, endpoint.needs.where):
            continue
        below = tuple(f"{one}/" for one in (path, *within) if one != "/")
        is_exact = here == path
        links.append(
            {"path": path, "text": text, "is_exact": is_exact, "is_current": is_exact or here.startswith(below)}
        )
    return links


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


def counting(context: LedgerContext) -> Middleware:
    """Return a middleware, to stand behind the guard, that counts what holds before a page is made."""

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        visitor = request.get(VISITOR)
        if visitor is not None and visitor.person is not None and not request.path.startswith(_NO_PAGES):
            request[ABOVE] = await above(context, visitor.person)
        return await handler(request)

    return counted


async def above(context: LedgerContext, who: Principal) -> Above:
    """Return what holds now where someone may view, by the ledger and the file; nothing where there is no ledger."""
    if not context.is_there:
        return Above()
    of_file = sum(may_view(who, scope.municipality) for scope, _ in panics.of_file(context.config))
    now = context.now()
    try:
        holding = await context.read(lambda each: overrides.current(each, now))
    except Problem:
        return Above(of_file, is_unreadable=True)
    names = {(one.layer, one.name) for one in holding if may_view(who, one.route.municipality)}
    counts = Counter(layer for layer, _ in names)
    return Above(of_file + counts[Layer.PANIC], counts[Layer.OVERRIDE])
