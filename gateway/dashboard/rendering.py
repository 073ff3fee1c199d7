"""Makes pages from templates, in the reader's language; whatever is put into one is escaped."""

from functools import cache
from importlib import resources

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.auth.people.rbac import Action, Where, may
from gateway.control import cookies
from gateway.control.endpoints import VISITOR, Visitor
from gateway.control.refusals import Refusal
from gateway.dashboard.banner import ABOVE, Above
from gateway.dashboard.texts import TEXTS, language

_TEMPLATES = Environment(
    loader=PackageLoader("gateway.dashboard"),
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
        cookies.give(response, cookies.LANGUAGE, chosen, visitor.origin, max_age=365 * 86_400)
    return response


def refusal_page(request: web.Request, refusal: Refusal, claims: dict[str, str] | None = None) -> web.Response:
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
    return resources.files("gateway.dashboard").joinpath("static", "style.css").read_text(encoding="utf-8")


def _language(request: web.Request, visitor: Visitor | None) -> str:
    remembered = cookies.read(request, cookies.LANGUAGE, visitor.origin) if visitor else ""
    return language(request.query.get("lang", ""), remembered, request.headers.get("Accept-Language", ""))
