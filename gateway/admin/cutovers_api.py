"""The API for cutovers; commands use it."""

from typing import Annotated, Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin import cutovers as documents
from gateway.admin.cutover_access import By, Submitted
from gateway.admin.cutovers import Cutovers, Listing
from gateway.admin.endpoints import Endpoint, Needs, person, visitor
from gateway.admin.params import ReasonBody, of_body, of_query
from gateway.admin.problems import unchanged, versions_if_asked
from gateway.auth.people.principal import LoginMethod
from gateway.auth.people.rbac import Action
from gateway.migration.cutover import Cutover
from gateway.migration.override_rules import etag

_ROOT = "/api/v1/cutovers"
_ONE = f"{_ROOT}/{{name}}"
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Approving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of exactly which plan somebody approves."""

    hash: _Word


def endpoints(cutovers: Cutovers) -> list[Endpoint]:
    """Return the endpoints for programs; whoever plans, and whoever operates, may start, cancel and roll back."""
    view, plan = Needs.role(Action.VIEW), Needs.role(Action.PLAN)
    handlers = _Handlers(cutovers)
    return [
        Endpoint("GET", _ROOT, handlers.listed, view),
        Endpoint("POST", _ROOT, handlers.submit, plan),
        Endpoint("GET", _ONE, handlers.shown, view),
        Endpoint("PUT", _ONE, handlers.change, plan),
        Endpoint("POST", f"{_ONE}/preflight", handlers.preflight, view),
        Endpoint("POST", f"{_ONE}/approve", handlers.approve, Needs.role(Action.APPROVE, person=True)),
        Endpoint("POST", f"{_ONE}/start", handlers.start, view),
        Endpoint("POST", f"{_ONE}/cancel", handlers.cancel, view),
        Endpoint("POST", f"{_ONE}/rollback", handlers.roll_back, view),
    ]


def by(request: web.Request) -> By:
    """Return who asks, and by what the same person is known again."""
    who = person(request)
    token = visitor(request).doors.tokens.get(who.known_as[0]) if who.via is LoginMethod.API_TOKEN else None
    return By(who, (who.subject, *who.known_as, *(token.made_by if token else ())))


def name_of(request: web.Request) -> str:
    """Return the name in a path."""
    return request.match_info["name"]


class _Handlers:
    def __init__(self, cutovers: Cutovers) -> None:
        self._cutovers = cutovers

    async def listed(self, request: web.Request) -> web.Response:
        records, more = await self._cutovers.listed(person(request), of_query(request, Listing))
        return web.json_response({"cutovers": [documents.brief(one) for one in records], "next": more})

    async def shown(self, request: web.Request) -> web.Response:
        record = await self._cutovers.shown(person(request), name_of(request))
        return unchanged(request, record.version) or _answer(record)

    async def submit(self, request: web.Request) -> web.Response:
        record, is_new = await self._cutovers.submit(by(request), await of_body(request, Submitted))
        return _answer(record, 201 if is_new else 200)

    async def change(self, request: web.Request) -> web.Response:
        wanted = await of_body(request, Submitted)
        return _answer(await self._cutovers.change(by(request), name_of(request), wanted, versions_if_asked(request)))

    async def preflight(self, request: web.Request) -> web.Response:
        record, found = await self._cutovers.preflight(person(request), name_of(request))
        return web.json_response(documents.looked_at(record, found))

    async def approve(self, request: web.Request) -> web.Response:
        wanted = await of_body(request, Approving)
        return _answer(await self._cutovers.approve(by(request), name_of(request), wanted.hash))

    async def start(self, request: web.Request) -> web.Response:
        because, versions = (await of_body(request, ReasonBody)).reason, versions_if_asked(request)
        return _answer(await self._cutovers.start(by(request), name_of(request), because, versions))

    async def cancel(self, request: web.Request) -> web.Response:
        because, versions = (await of_body(request, ReasonBody)).reason, versions_if_asked(request)
        return _answer(await self._cutovers.cancel(by(request), name_of(request), because, versions))

    async def roll_back(self, request: web.Request) -> web.Response:
        because, versions = (await of_body(request, ReasonBody)).reason, versions_if_asked(request)
        return _answer(await self._cutovers.roll_back(by(request), name_of(request), because, versions))


def _answer(record: Cutover, status: int = 200) -> web.Response:
    headers = {"ETag": etag(record.version)} | ({"Location": f"{_ROOT}/{record.name}"} if status == 201 else {})
    document: dict[str, Any] = documents.whole(record)
    return web.json_response(document, status=status, headers=headers)
