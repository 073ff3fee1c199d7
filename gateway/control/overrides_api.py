"""Overrides and panics over the admin API: what people set over the routes, for programs."""

from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.rbac import Action
from gateway.control.asked import Because, idempotency_key, of_body, of_query
from gateway.control.conditions import asked_versions
from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.overrides import Override, Overrides
from gateway.control.panics import Panic, Panics
from gateway.control.set_rules import Listed
from gateway.migration.override_rules import etag

_ROOT = "/api/v1"


def endpoints(overrides: Overrides, panics: Panics) -> list[Endpoint]:
    """Return the endpoints for programs."""
    view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
    handlers = _Handlers(overrides, panics)
    return [
        Endpoint("GET", f"{_ROOT}/overrides", handlers.listed, view),
        Endpoint("POST", f"{_ROOT}/overrides", handlers.set, operate),
        Endpoint("GET", f"{_ROOT}/overrides/{{id}}", handlers.shown, view),
        Endpoint("PUT", f"{_ROOT}/overrides/{{id}}", handlers.change, operate),
        Endpoint("DELETE", f"{_ROOT}/overrides/{{id}}", handlers.end, operate),
        Endpoint("GET", f"{_ROOT}/panics", handlers.listed_panics, view),
        Endpoint("POST", f"{_ROOT}/panics", handlers.panic, operate),
        Endpoint("DELETE", f"{_ROOT}/panics/{{id}}", handlers.end_panic, operate),
    ]


class _Handlers:
    def __init__(self, overrides: Overrides, panics: Panics) -> None:
        self._overrides = overrides
        self._panics = panics

    async def listed(self, request: web.Request) -> web.Response:
        return web.json_response(await self._overrides.listed(person(request), of_query(request, Listed)))

    async def shown(self, request: web.Request) -> web.Response:
        found = await self._overrides.one(person(request), request.match_info["id"], Action.VIEW)
        return _answer(self._overrides.document(found))

    async def set(self, request: web.Request) -> web.Response:
        asked = await of_body(request, Override)
        document, is_new = await self._overrides.set(person(request), asked, idempotency_key(request))
        location = {"Location": f"{_ROOT}/overrides/{document['id']}"}
        return _answer(document, 201 if is_new else 200, location)

    async def change(self, request: web.Request) -> web.Response:
        who = person(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        versions = asked_versions(request)
        return _answer(await self._overrides.change(who, before, await of_body(request, Override), versions))

    async def end(self, request: web.Request) -> web.Response:
        who = person(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        versions = asked_versions(request)
        return _answer(await self._overrides.end(who, before, await _reason(request), versions))

    async def listed_panics(self, request: web.Request) -> web.Response:
        return web.json_response(await self._panics.listed(person(request), of_query(request, Listed)))

    async def panic(self, request: web.Request) -> web.Response:
        asked = await of_body(request, Panic)
        document, is_new = await self._panics.set(person(request), asked, idempotency_key(request))
        return web.json_response(document, status=201 if is_new else 200)

    async def end_panic(self, request: web.Request) -> web.Response:
        who = person(request)
        before = await self._panics.one(who, request.match_info["id"], Action.OPERATE)
        return web.json_response(await self._panics.end(who, before, await _reason(request)))


def _answer(document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    found = {"ETag": etag(document["version"]), **(headers or {})}
    return web.json_response(document, status=status, headers=found)


async def _reason(request: web.Request) -> str:
    """Return why something is ended: in the body, or as a parameter, since not everybody sends bodies with DELETE."""
    asked = await of_body(request, Because) if request.can_read_body else of_query(request, Because)
    return asked.reason
