"""The page for messages that need a person: what is in quarantine, and what nobody has acknowledged in time."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.messages import RELEASE, Messages
from gateway.admin.pages.forms import field, form_of, see_other
from gateway.admin.pages.render import page
from gateway.admin.params import ListQuery, reference_of
from gateway.auth.people.rbac import Action
from gateway.ledger.records import MessageState

_MOST = 100


class MessagePages:
    """The page and its two forms."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        operate = Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint("GET", "/messages", self._list, operate),
            Endpoint("POST", "/quarantine/{reference}/release", self._release, operate),
            Endpoint("POST", "/quarantine/{reference}/discard", self._discard, operate),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        who, operate = person(request), Action.OPERATE
        quarantined = ListQuery(limit=_MOST, state=MessageState.QUARANTINED)
        return page(
            request,
            "messages.html",
            ledger=await self._messages.overview(who, operate),
            quarantine=await self._messages.listed(who, quarantined, operate),
            overdue=await self._messages.listed(who, ListQuery(limit=_MOST, overdue=True), operate),
        )

    async def _release(self, request: web.Request) -> web.Response:
        reason = field(await form_of(request), "reason")
        await self._messages.release(person(request), reference_of(request), reason, RELEASE)
        return see_other("/messages")

    async def _discard(self, request: web.Request) -> web.Response:
        reason = field(await form_of(request), "reason")
        await self._messages.discard(person(request), reference_of(request), reason)
        return see_other("/messages")
