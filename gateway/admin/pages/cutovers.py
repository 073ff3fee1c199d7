"""The pages for cutovers: what is planned and how far it has come; people submit, approve and steer there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, reach
from gateway.admin.cutover_access import By, may_everywhere, offers
from gateway.admin.cutovers import Cutovers, Listing, Versions
from gateway.admin.cutovers_api import by, name_of
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.pages.cutover_view import changes, listed, submitted_of, text_of, told
from gateway.admin.pages.overview import texts_of_form
from gateway.admin.pages.render import page
from gateway.admin.problems import Code, PreconditionFailed, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.migration.cells import Cells
from gateway.migration.cutover import CHANGEABLE, Cutover, CutoverState
from gateway.migration.cutover_plan import POSSIBLE, is_name
from gateway.migration.schedule import shown
from gateway.model import JOURNALING, RETRIEVAL, Information

if TYPE_CHECKING:
    from gateway.migration.preflight import Finding

_MOST = 50
_PATIENCE = 10.0
"""Seconds that the tokens of a preflight may keep a page waiting."""
_AHEAD = CHANGEABLE - {CutoverState.CANCELLED}
"""States of which a preflight says something."""
_Steer = Callable[[By, str, str, Versions], Awaitable[Cutover]]


def endpoints(cutovers: Cutovers, desk: LedgerContext) -> list[Endpoint]:
    """Return the endpoints for people; whoever plans, and whoever operates, may start, cancel and roll back."""
    pages = _Pages(cutovers, desk)
    view = Needs.role(Action.VIEW, person=True)
    return [
        Endpoint("GET", "/cutovers", pages.all, view),
        Endpoint("POST", "/cutovers", pages.submit, Needs.role(Action.PLAN, person=True)),
        Endpoint("GET", "/cutovers/{name}", pages.one, view),
        Endpoint("POST", "/cutovers/{name}/approve", pages.approve, Needs.role(Action.APPROVE, person=True)),
        Endpoint("POST", "/cutovers/{name}/start", pages.start, view),
        Endpoint("POST", "/cutovers/{name}/cancel", pages.cancel, view),
        Endpoint("POST", "/cutovers/{name}/rollback", pages.roll_back, view),
    ]


class _Pages:
    def __init__(self, cutovers: Cutovers, desk: LedgerContext) -> None:
        self._cutovers = cutovers
        self._desk = desk

    async def all(self, request: web.Request) -> web.Response:
        who, now = person(request), self._desk.now()
        wanted = _listing(request)
        records, more = await self._cutovers.listed(who, wanted)
        return page(
            request,
            "cutovers.html",
            cutovers=[listed(one, now) for one in records],
            more=more,
            state=wanted.state or "",
            states=[each.value for each in CutoverState],
            waiting=await self._waiting(who),
            may_plan=may(who.grants, Action.PLAN, Where.SOMEWHERE),
            choices=self._choices(who),
        )

    async def one(self, request: web.Request) -> web.Response:
        who, name = person(request), name_of(request)
        record = await self._cutovers.shown(who, name)
        findings: list[Finding] = []
        if record.state in _AHEAD:
            record, findings = await self._cutovers.preflight(who, name, _PATIENCE)
        now, table = self._desk.now(), await self._cutovers.in_force()
        # Beside the messages: a large plan has thousands of cells.
        done = await asyncio.to_thread(changes, record.plan, table, self._desk.config, now)
        return page(
            request,
            "cutover.html",
            cutover=told(record, offers(by(request), record), now),
            changes=done,
            findings=findings,
        )

    async def submit(self, request: web.Request) -> web.Response:
        record, _ = await self._cutovers.submit(by(request), submitted_of(await texts_of_form(request)))
        return _to(record)

    async def approve(self, request: web.Request) -> web.Response:
        form = await texts_of_form(request)
        return _to(await self._cutovers.approve(by(request), name_of(request), text_of(form, "hash")))

    async def start(self, request: web.Request) -> web.Response:
        return await _steered(request, self._cutovers.start)

    async def cancel(self, request: web.Request) -> web.Response:
        return await _steered(request, self._cutovers.cancel)

    async def roll_back(self, request: web.Request) -> web.Response:
        return await _steered(request, self._cutovers.roll_back)

    async def _waiting(self, who: Principal) -> list[dict[str, Any]]:
        """Return the plans of the file that nobody has submitted, as the list has them."""
        return [
            {
                "name": plan.name,
                "at": shown(plan.at),
                "places": sorted({route.municipality or "" for route in plan.routes}),
                "may_submit": may_everywhere(who, Cells(plan.routes), Action.PLAN),
            }
            for plan in await self._cutovers.waiting(who)
        ]

    def _choices(self, who: Principal) -> dict[str, Any]:
        """Return what the form for a plan lets one choose from."""
        config, within = self._desk.config, reach(who, Action.PLAN)
        return {
            "municipalities": [one for one in config.municipalities.values() if within is None or one.key in within],
            "vendors": list(config.vendors.values()),
            "journaling": [each.value for each in Information if each in JOURNALING],
            "retrieval": [each.value for each in Information if each in RETRIEVAL],
            "modes": [each.value for each in POSSIBLE],
        }


async def _steered(request: web.Request, action: _Steer) -> web.Response:
    form = await texts_of_form(request)
    return _to(await action(by(request), name_of(request), text_of(form, "reason"), _seen(text_of(form, "version"))))


def _seen(text: str) -> Versions:
    """Return the version that a page showed; what is none is one that there never is; raises `PreconditionFailed` for nothing."""
    if not text:
        raise PreconditionFailed
    is_one = text.isascii() and text.isdecimal() and len(text) < 10
    return frozenset({int(text)} if is_one else ())


def _listing(request: web.Request) -> Listing:
    """Return which part of the list is asked for; raises `Problem`."""
    cursor, state = request.query.get("cursor", ""), request.query.get("state", "")
    if (cursor and not is_name(cursor)) or state not in ("", *CutoverState):
        raise Problem(Code.BAD_REQUEST, "cursor, state")
    return Listing(_MOST, cursor or None, CutoverState(state) if state else None)


def _to(record: Cutover) -> web.Response:
    return web.Response(status=303, headers={"Location": f"/cutovers/{record.name}"})
