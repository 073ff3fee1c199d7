"""The page for messages that need a person: what is in quarantine, and what nobody has acknowledged."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.messages import RELEASE, Messages
from gateway.admin.pages.overview import texts_of_form
from gateway.admin.pages.render import page
from gateway.admin.params import ListQuery, reference_of
from gateway.auth.people.rbac import Action
from gateway.ledger.records import MessageState

_MOST = 100


def endpoints(messages: Messages) -> list[Endpoint]:
    """Return the endpoints for people."""

    async def listed(request: web.Request) -> web.Response:
        who, operate = person(request), Action.OPERATE
        return page(
            request,
            "messages.html",
            ledger=await messages.overview(who, operate),
            quarantine=await messages.listed(who, ListQuery(limit=_MOST, state=MessageState.QUARANTINED), operate),
            overdue=await messages.listed(who, ListQuery(limit=_MOST, overdue=True), operate),
        )

    async def release(request: web.Request) -> web.Response:
        await messages.release(person(request), reference_of(request), await _reason(request), RELEASE)
        return web.Response(status=303, headers={"Location": "/messages"})

    async def discard(request: web.Request) -> web.Response:
        await messages.discard(person(request), reference_of(request), await _reason(request))
        return web.Response(status=303, headers={"Location": "/messages"})

    operate = Needs.role(Action.OPERATE, person=True)
    return [
        Endpoint("GET", "/messages", listed, operate),
        Endpoint("POST", "/quarantine/{reference}/release", release, operate),
        Endpoint("POST", "/quarantine/{reference}/discard", discard, operate),
    ]


async def _reason(request: web.Request) -> str:
    return (await texts_of_form(request)).get("reason", [""])[0]
