"""The pages for cutovers: what is planned and how far it has come; people submit, approve and steer there."""

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, reach
from gateway.admin.cutover_access import By, may_everywhere, offers
from gateway.admin.cutovers import Cutovers, Listing, Step
from gateway.admin.endpoints import Endpoint, Handler, Needs, person
from gateway.admin.pages.cutover_view import changes, list_item, shown_cutover, submitted_plan
from gateway.admin.pages.forms import field, form_of, see_other, version_of
from gateway.admin.pages.render import page
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.migration.cells import Cells
from gateway.migration.cutover import CHANGEABLE, Cutover, CutoverState
from gateway.migration.cutover_plan import is_name
from gateway.migration.schedule import shown
from gateway.model import JOURNALING, RETRIEVAL, Information, Mode

if TYPE_CHECKING:
    from gateway.migration.preflight import Finding

_MOST = 50
_PATIENCE = 10.0
"""Seconds that the tokens of a preflight may keep a page waiting."""
_AHEAD = CHANGEABLE - {CutoverState.CANCELLED}
"""States of which a preflight says something."""
_ONE = "/cutovers/{name}"


class CutoverPages:
    """The list with the form for a plan, and a page for each; whoever plans, and whoever operates, may steer."""

    def __init__(self, cutovers: Cutovers, context: LedgerContext) -> None:
        self._cutovers = cutovers
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view = Needs.role(Action.VIEW, person=True)
        return [
            Endpoint("GET", "/cutovers", self._list, view),
            Endpoint("POST", "/cutovers", self._submit, Needs.role(Action.PLAN, person=True)),
            Endpoint("GET", _ONE, self._show, view),
            Endpoint("POST", f"{_ONE}/approve", self._approve, Needs.role(Action.APPROVE, person=True)),
            Endpoint("POST", f"{_ONE}/start", _step(self._cutovers.start), view),
            Endpoint("POST", f"{_ONE}/cancel", _step(self._cutovers.cancel), view),
            Endpoint("POST", f"{_ONE}/rollback", _step(self._cutovers.roll_back), view),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        who, now = person(request), self._context.now()
        wanted = _listing(request)
        records, more = await self._cutovers.listed(who, wanted)
        return page(
            request,
            "cutovers.html",
            cutovers=[list_item(one, now) for one in records],
            more=more,
            state=wanted.state or "",
            states=[each.value for each in CutoverState],
            waiting=await self._waiting(who),
            may_plan=may(who.grants, Action.PLAN, Where.SOMEWHERE),
            choices=self._choices(who),
        )

    async def _show(self, request: web.Request) -> web.Response:
        who, name = person(request), request.match_info["name"]
        record = await self._cutovers.shown(who, name)
        findings: list[Finding] = []
        if record.state in _AHEAD:
            record, findings = await self._cutovers.preflight(who, name, _PATIENCE)
        now, table = self._context.now(), await self._cutovers.in_force()
        # Beside the messages: a large plan has thousands of cells.
        done = await asyncio.to_thread(changes, record.plan, table, self._context.config, now)
        return page(
            request,
            "cutover.html",
            cutover=shown_cutover(record, offers(By.of(request), record), now),
            changes=done,
            findings=findings,
        )

    async def _submit(self, request: web.Request) -> web.Response:
        record, _ = await self._cutovers.submit(By.of(request), submitted_plan(await form_of(request)))
        return _to(record)

    async def _approve(self, request: web.Request) -> web.Response:
        form = await form_of(request)
        return _to(await self._cutovers.approve(By.of(request), request.match_info["name"], field(form, "hash")))

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
        config, within = self._context.config, reach(who, Action.PLAN)
        return {
            "municipalities": [one for one in config.municipalities.values() if within is None or one.key in within],
            "vendors": list(config.vendors.values()),
            "journaling": [each.value for each in Information if each in JOURNALING],
            "retrieval": [each.value for each in Information if each in RETRIEVAL],
            "modes": [each.value for each in Mode],
        }


def _step(step: Step) -> Handler:
    """Return what takes a cutover one step on, or back, as a form asks."""

    async def taken(request: web.Request) -> web.Response:
        form = await form_of(request)
        reason, versions = field(form, "reason"), version_of(form)
        return _to(await step(By.of(request), request.match_info["name"], reason, versions))

    return taken


def _listing(request: web.Request) -> Listing:
    """Return which part of the list is asked for; raises `Problem`."""
    cursor, state = request.query.get("cursor", ""), request.query.get("state", "")
    if (cursor and not is_name(cursor)) or state not in ("", *CutoverState):
        raise Problem(Code.BAD_REQUEST, "cursor, state")
    return Listing(_MOST, cursor or None, CutoverState(state) if state else None)


def _to(record: Cutover) -> web.Response:
    return see_other(f"/cutovers/{record.name}")
