"""The pages for cutovers: what is planned and waits for whom, one cutover from its plan to its end, and what failed of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.bounds import USUAL_BOUNDS
from gateway.admin.context import LedgerContext
from gateway.admin.cutover_access import By, Submitted, may_everywhere, offers
from gateway.admin.cutover_facts import CutoverFacts, narrowed
from gateway.admin.cutovers import Cutovers, CutoversQuery, Postponing
from gateway.admin.endpoints import Endpoint, Handler, Needs, person
from gateway.admin.pages import live
from gateway.admin.pages.changes import stored
from gateway.admin.pages.cutover_refusals import TOLD_HERE, RefusedStep, why_not
from gateway.admin.pages.cutover_view import (
    changes,
    confirm_name,
    effects_view,
    failed_view,
    is_confirmed,
    list_item,
    parts_view,
    shown_cutover,
    stages,
    watched,
)
from gateway.admin.pages.forms import Form, field, form_of, iso_of, kept, see_other, version_of
from gateway.admin.pages.plan_words import fault
from gateway.admin.pages.render import fragment, page, words
from gateway.admin.pages.send_back import SendBackPages, selections
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.migration.cells import Cells
from gateway.migration.cutover import CHANGEABLE, Cutover, CutoverState
from gateway.migration.cutover_plan import is_name

_MOST = 50
_AHEAD = CHANGEABLE - {CutoverState.CANCELLED}
"""States of which a preflight says something."""
_MOVING = (
    CutoverState.SUBMITTED,
    CutoverState.APPROVED,
    CutoverState.DRAINING,
    CutoverState.SWITCHED,
    CutoverState.WATCHING,
    # What may be sent back shows once the routes are the old ones everywhere.
    CutoverState.ROLLED_BACK,
)
"""States that somebody may be looking at while they change."""
_REGIONS = ("progress", "tense", "conditions", "preflight", "offered", "actions", "back", "history")
"""Parts of the page that are kept up to date."""
_NOW_AND_THEN = 5.0
"""Seconds for which it stays said how much the new side has got."""
_TYPED = ("reason", "comment", "at")
_ONE = "/cutovers/{name}"
_LIST_LIVE = "/inbox/live"
"""Not below the list, where a cutover may have any name."""
_LIST_REGIONS = ("inbox", "count", "all", "waiting")
"""Parts of the list that are kept up to date."""


class CutoverPages:
    """The list, and a page for each; whoever plans, and whoever operates, may steer."""

    def __init__(
        self,
        cutovers: Cutovers,
        facts: CutoverFacts,
        back: SendBackPages,
        context: LedgerContext,
        patience: float = USUAL_BOUNDS.tokens,
    ) -> None:
        """`patience` is the seconds that the tokens of a preflight may keep a page waiting."""
        self._patience = patience
        self._cutovers = cutovers
        self._facts = facts
        self._back = back
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view, plan = Needs.role(Action.VIEW, person=True), Needs.role(Action.PLAN, person=True)
        approve = Needs.role(Action.APPROVE, person=True)
        return [
            Endpoint("GET", "/cutovers", self._list, view),
            Endpoint("GET", _LIST_LIVE, self._list_live, view, is_live=True),
            Endpoint("POST", "/cutovers", self._submit, plan),
            Endpoint("GET", _ONE, self._show, view),
            Endpoint("GET", f"{_ONE}/live", self._live, view, is_live=True),
            Endpoint("GET", f"{_ONE}/failed", self._failed, view),
            *(Endpoint("POST", f"{_ONE}/{name}", self._step(name), approve) for name in ("approve", "reject")),
            *(Endpoint("POST", f"{_ONE}/{name}", self._step(name), view) for name in ("start", "cancel", "rollback")),
            Endpoint("POST", f"{_ONE}/postpone", self._step("postpone"), plan),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return await self._list_page(request, _listing(request))

    async def _list_page(
        self, request: web.Request, wanted: CutoversQuery, refused: str = "", status: int = 200
    ) -> web.Response:
        """Return the list as it is now, with why a plan of the file was not submitted."""
        asked = {"cursor": wanted.cursor or "", "state": wanted.state or ""}
        return page(
            request,
            "cutovers.html",
            status=status,
            address="/cutovers" if refused else "",
            refused=refused,
            live=f"{_LIST_LIVE}?{urlencode({name: value for name, value in asked.items() if value})}",
            states=[each.value for each in CutoverState],
            **await self._listed(request, wanted),
        )

    async def _listed(self, request: web.Request, wanted: CutoversQuery) -> dict[str, Any]:
        """Return what the list is kept up to date with."""
        who, now, w = person(request), self._context.now(), words(request)
        records, more = await self._cutovers.listed(who, wanted)
        return {
            "cutovers": [list_item(w, one, now) for one in records],
            "inbox": [list_item(w, one, now) for one in await self._facts.inbox(By.of(request))],
            "more": more,
            "state": wanted.state or "",
            "waiting": await self._waiting(request, who),
            "may_plan": may(who.grants, Action.PLAN, Where.SOMEWHERE),
        }

    async def _list_live(self, request: web.Request) -> web.StreamResponse:
        wanted = _listing(request)

        async def regions() -> Mapping[str, str]:
            found = await self._listed(request, wanted)
            return {each: fragment(request, f"cutovers_{each}.html", **found) for each in _LIST_REGIONS}

        return await live.stream(request, regions)

    async def _waiting(self, request: web.Request, who: Principal) -> list[dict[str, Any]]:
        """Return the plans of the file that nobody has submitted, as the list has them."""
        return [
            {
                "name": plan.name,
                "at": plan.at,
                "changes": changes(words(request), plan),
                "may_submit": may_everywhere(who, Cells(plan.routes), Action.PLAN),
            }
            for plan in await self._cutovers.waiting(who)
        ]

    async def _submit(self, request: web.Request) -> web.Response:
        """Submit a plan that is written in the file."""
        name, w = field(await form_of(request), "from_file"), words(request)
        try:
            record, _ = await self._cutovers.submit(By.of(request), Submitted(from_file=name or "-"))
        except Problem as problem:
            if problem.code not in (Code.BAD_REQUEST, Code.CONFLICT):
                raise
            if "there is a cutover of that name" in problem.detail:
                why = w.text("wrong_name_taken")
            else:
                why = " ".join(fault(w, each).text for each in problem.detail.split("; "))
            return await self._list_page(request, CutoversQuery(_MOST), f"{name}: {why}", problem.status)
        return see_other(f"/cutovers/{record.name}")

    async def _show(self, request: web.Request) -> web.Response:
        return await self._page(request)

    async def _page(
        self, request: web.Request, form: Form | None = None, refused: tuple[str, Problem] | None = None
    ) -> web.Response:
        """Return the page of a cutover as it is now, with why what a form asked for was refused."""
        record = await self._cutovers.shown(person(request), request.match_info["name"])
        typed = {each: kept(form or {}, each) for each in _TYPED}
        values = {**await self._standing(request, record), **await self._sent(request, record)}
        values |= {**await self._going(request, record), "is_moving": record.state in _MOVING}
        values["written"] = stored(words(request), record.plan)
        values |= {"typed": typed, "address": f"/cutovers/{record.name}"}
        if refused is None:
            return page(request, "cutover.html", **values)
        action, problem = refused
        stops = [one["text"] for one in (values["parts"] or {}).get("stops", ())]
        step = RefusedStep(action, problem, record, stops, field(form or {}, "hash"))
        wrong = why_not(words(request), step)
        return page(request, "cutover.html", status=problem.status, **{**values, "wrong": wrong})

    async def _standing(self, request: web.Request, record: Cutover) -> dict[str, Any]:
        """Return what the page needs that is another only when the cutover is: what it does, may be done, and has found."""
        who, w, found = person(request), words(request), None
        if record.state in _AHEAD:
            record, findings = await self._cutovers.preflight(who, record.name, self._patience)
            found = await asyncio.to_thread(parts_view, w, findings)
        return {
            "parts": found,
            "changes": changes(w, record.plan),
            "may_change": record.state in CHANGEABLE and may_everywhere(who, record.cells, Action.PLAN),
            "typed": dict.fromkeys(_TYPED, ""),
            "wrong": {},
            "is_another": False,
            **effects_view(w, await self._facts.effects(who, record)),
        }

    async def _sent(self, request: web.Request, record: Cutover) -> dict[str, Any]:
        """Return what the new side has got of a cutover, to be told before and after it is rolled back."""
        is_back = record.state is CutoverState.ROLLED_BACK
        found = []
        if is_back or record.is_executed:
            found = await self._back.offered(person(request), selections(record))
        return {"sent_back": found if is_back else [], "undo": found if record.is_executed else []}

    async def _going(self, request: web.Request, record: Cutover) -> dict[str, Any]:
        """Return what the page needs that is another by the second."""
        now, w = self._context.now(), words(request)
        one = await self._facts.progress(record)
        return {
            "cutover": shown_cutover(w, record, offers(By.of(request), record), now),
            "stages": stages(w, one),
            "watched": watched(w, one),
        }

    async def _live(self, request: web.Request) -> web.StreamResponse:
        who, name, seen = person(request), request.match_info["name"], request.query.get("hash", "")
        await self._cutovers.shown(who, name)
        clock, standing, sent = self._context.clock, _Kept(), _Kept()

        async def regions() -> Mapping[str, str]:
            record = await self._cutovers.shown(who, name)
            values = await self._going(request, record)
            # What somebody does is for the plan that they have read.
            values |= {"is_another": record.hash != seen}
            values = {**await standing.of(record.version, lambda: self._standing(request, record)), **values}
            moment = (record.version, clock.monotonic() // _NOW_AND_THEN)
            values |= await sent.of(moment, lambda: self._sent(request, record))
            return {each: fragment(request, f"cutover_{each}.html", **values) for each in _REGIONS}

        return await live.stream(request, regions, every=1.0)

    async def _failed(self, request: web.Request) -> web.Response:
        who, w = person(request), words(request)
        record = await self._cutovers.shown(who, request.match_info["name"])
        found = narrowed(who, await self._facts.failed(record))
        return page(request, "cutover_failed.html", name=record.name, messages=failed_view(w, found))

    def _step(self, action: str) -> Handler:
        """Return what takes a cutover one step on, or back, as a form asks; what is refused is told on the page."""

        async def taken(request: web.Request) -> web.Response:
            form = await form_of(request)
            try:
                record = await self._taken(request, action, form)
            except Problem as problem:
                if problem.code not in TOLD_HERE:
                    raise
                return await self._page(request, form, (action, problem))
            return see_other(f"/cutovers/{record.name}")

        return taken

    async def _taken(self, request: web.Request, action: str, form: Form) -> Cutover:
        by, name, reason = By.of(request), request.match_info["name"], field(form, "reason")
        match action:
            case "approve":
                return await self._cutovers.approve(by, name, field(form, "hash"), field(form, "comment"))
            case "reject":
                return await self._cutovers.reject(by, name, field(form, "hash"), reason)
            case "postpone":
                return await self._cutovers.postpone(
                    by, name, Postponing(iso_of(field(form, "at")), reason), version_of(form)
                )
            case "rollback":
                record = await self._cutovers.shown(by.person, name)
                if record.is_executed and not is_confirmed(
                    field(form, "typed"), confirm_name(words(request), record.plan)
                ):
                    raise Problem(Code.BAD_REQUEST, "typed: not the name")
                # Of no version: the gateway itself takes it from step to step meanwhile, and none of them changes what is meant.
                return await self._cutovers.roll_back(by, name, reason)
            case "start":
                return await self._cutovers.start(by, name, reason, version_of(form))
            case _:
                return await self._cutovers.cancel(by, name, reason, version_of(form))


class _Kept:
    """Values that stay as they are while something else does."""

    def __init__(self) -> None:
        self._known: tuple[object, dict[str, Any]] | None = None

    async def of(self, key: object, read: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Return them, read anew for another key."""
        if self._known is None or self._known[0] != key:
            self._known = (key, await read())
        return self._known[1]


def _listing(request: web.Request) -> CutoversQuery:
    """Return which part of the list is asked for; raises `Problem`."""
    cursor, state = request.query.get("cursor", ""), request.query.get("state", "")
    if (cursor and not is_name(cursor)) or state not in ("", *CutoverState):
        raise Problem(Code.BAD_REQUEST, "cursor, state")
    return CutoversQuery(_MOST, cursor or None, CutoverState(state) if state else None)
