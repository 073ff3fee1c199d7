"""The API for messages in the ledger and for the audit; commands use it."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.rbac import Action, Where
from gateway.control.asked import Because, Forget, Page, Search, Wanted, of_body, of_query, reference_of
from gateway.control.audits import Audits
from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.messages import Messages
from gateway.control.once import Once

RESEND, RELEASE = "message.resend", "quarantine.release"
"""One action under two words; the audit keeps the one that was used."""
_ROOT = "/api/v1"


def endpoints(messages: Messages, audits: Audits) -> list[Endpoint]:
    """Return the endpoints for programs."""
    view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
    handlers, once = _Handlers(messages, audits), Once(messages.now)
    everything = Needs.role(Action.VIEW, Where.EVERYWHERE)
    return [
        Endpoint("GET", f"{_ROOT}/ledger", handlers.overview, view),
        Endpoint("GET", f"{_ROOT}/messages", handlers.listed, view),
        Endpoint("POST", f"{_ROOT}/messages/search", handlers.search, operate),
        Endpoint("GET", f"{_ROOT}/messages/{{reference}}", handlers.shown, view),
        Endpoint(
            "POST",
            f"{_ROOT}/messages/{{reference}}/payload",
            handlers.payload,
            Needs.role(Action.OPERATE, person=True),
        ),
        Endpoint("POST", f"{_ROOT}/messages/{{reference}}/resend", once.of(handlers.resend), operate),
        Endpoint("POST", f"{_ROOT}/quarantine/{{reference}}/release", once.of(handlers.release), operate),
        Endpoint("POST", f"{_ROOT}/quarantine/{{reference}}/discard", once.of(handlers.discard), operate),
        Endpoint("POST", f"{_ROOT}/forget", handlers.forget, operate),
        Endpoint("GET", f"{_ROOT}/audit", handlers.audit, everything),
        Endpoint("GET", f"{_ROOT}/audit/verify", handlers.verify, everything),
    ]


class _Handlers:
    def __init__(self, messages: Messages, audits: Audits) -> None:
        self._messages = messages
        self._audits = audits

    async def overview(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.overview(person(request)))

    async def listed(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.listed(person(request), of_query(request, Wanted)))

    async def search(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.found(person(request), await of_body(request, Search)))

    async def shown(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.shown(person(request), reference_of(request)))

    async def payload(self, request: web.Request) -> web.Response:
        reason = (await of_body(request, Because)).reason
        return web.json_response(await self._messages.payload(person(request), reference_of(request), reason))

    async def resend(self, request: web.Request) -> web.Response:
        return await self._released(request, RESEND)

    async def release(self, request: web.Request) -> web.Response:
        return await self._released(request, RELEASE)

    async def discard(self, request: web.Request) -> web.Response:
        reason = (await of_body(request, Because)).reason
        return web.json_response(await self._messages.discard(person(request), reference_of(request), reason))

    async def forget(self, request: web.Request) -> web.Response:
        wanted = await of_body(request, Forget)
        return web.json_response(await self._messages.forget(person(request), wanted.patient, wanted.reason))

    async def audit(self, request: web.Request) -> web.Response:
        return web.json_response(await self._audits.listed(of_query(request, Page)))

    async def verify(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._audits.verified())

    async def _released(self, request: web.Request, action: str) -> web.Response:
        reason = (await of_body(request, Because)).reason
        return web.json_response(await self._messages.release(person(request), reference_of(request), reason, action))
