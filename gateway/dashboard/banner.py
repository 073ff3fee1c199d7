"""What every page says at its top while panics or overrides hold: how many there are where its reader may look."""

from collections import Counter
from dataclasses import dataclass

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from aiohttp.typedefs import Middleware

from gateway.auth.people.principal import Principal
from gateway.control.endpoints import VISITOR, Handler
from gateway.control.ledger_desk import LedgerDesk
from gateway.control.refusals import Refusal
from gateway.control.set_rules import may_view
from gateway.ledger import overrides as rules
from gateway.routing.layers import Layer

_NO_PAGES = ("/api/", "/static/", "/metrics", "/livez")


@dataclass(frozen=True, slots=True)
class Above:
    """What lies over the routes of the municipalities that someone may view."""

    panics: int = 0
    overrides: int = 0
    is_unreadable: bool = False
    """Whether nobody can tell now."""


ABOVE = web.RequestKey("above", Above)


def counting(desk: LedgerDesk) -> Middleware:
    """Return a middleware, to stand behind the guard, that counts what holds before a page is made."""

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        visitor = request.get(VISITOR)
        if visitor is not None and visitor.person is not None and not request.path.startswith(_NO_PAGES):
            request[ABOVE] = await above(desk, visitor.person)
        return await handler(request)

    return counted


async def above(desk: LedgerDesk, who: Principal) -> Above:
    """Return what holds now where someone may view, by the ledger; nothing where there is none."""
    if not desk.is_there:
        return Above()
    now = desk.now()
    try:
        holding = await desk.read(lambda each: rules.current(each, now))
    except Refusal:
        return Above(is_unreadable=True)
    names = {(one.layer, one.name) for one in holding if may_view(who, one.route.municipality)}
    counts = Counter(layer for layer, _ in names)
    return Above(counts[Layer.PANIC], counts[Layer.OVERRIDE])
