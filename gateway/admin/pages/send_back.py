"""The pages for sending back to VKP: how much there is, a confirmation by name, and how far it has come."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.pages import live
from gateway.admin.pages.cutover_view import is_confirmed
from gateway.admin.pages.forms import field, form_of, kept, see_other
from gateway.admin.pages.render import fragment, page, words
from gateway.admin.problems import Code, Problem
from gateway.admin.rollback import CONFIRMATION, Rollback, Selected, Sending
from gateway.admin.rule_service import may_operate, may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger.returns import ReturnStatus
from gateway.migration.cutover import Cutover
from gateway.model import GOES_NEW, JOURNALING, Information
from gateway.outbox.return_jobs import Job, Progress
from gateway.times import when

_NEW, _JOB = "/returns/new", "/returns/{id}"
_NAMES = ("municipality", "since", "vendor", "system")
_GROUPS = (
    *(ReturnStatus.UNREAD, ReturnStatus.PENDING, ReturnStatus.POSSIBLE_DUPLICATE, ReturnStatus.QUARANTINED),
    *(ReturnStatus.RETURNING, ReturnStatus.RETURNED, ReturnStatus.ACKNOWLEDGED, ReturnStatus.DISCARDED),
)


class SendBackPages:
    """What the new side got of some cells, and the way to send it back."""

    def __init__(self, rollback: Rollback) -> None:
        self._rollback = rollback

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view, operate = Needs.role(Action.VIEW, person=True), Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint("GET", _NEW, self._ask, operate),
            Endpoint("POST", _NEW, self._send, operate),
            Endpoint("GET", _JOB, self._show, view),
            Endpoint("GET", f"{_JOB}/live", self._live, view, is_live=True),
            Endpoint("POST", f"{_JOB}/stop", self._stop, operate),
        ]

    async def offered(self, who: Principal, wanted: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return how much the new side has of each selection that someone may see, and where it is sent back."""
        found = []
        for one in wanted:
            if not may_view(who, one["municipality"]):
                continue
            selection = await self._rollback.selection(who, Action.VIEW, _selected(one))
            told = await self._rollback.summary(selection)
            may_send = may_operate(who, one["municipality"])
            found.append({**one, **_told(told), "link": f"{_NEW}?{_query(one)}" if may_send else ""})
        return found

    async def _ask(self, request: web.Request) -> web.Response:
        given = {name: request.query.get(name) for name in _NAMES} | {
            "information": request.query.getall("information", [])
        }
        return await self._page(request, given, {})

    async def _send(self, request: web.Request) -> web.Response:
        form, w = await form_of(request), words(request)
        given: dict[str, Any] = {name: field(form, name) for name in _NAMES}
        given["information"] = list(form.get("information", []))
        wrong = {}
        if field(form, "confirm") != CONFIRMATION:
            wrong["confirm"] = w.text("back_wrong_confirm")
        if not is_confirmed(field(form, "typed"), w.municipality(given["municipality"])):
            wrong["typed"] = w.text("wrong_typed")
        if not field(form, "reason"):
            wrong["reason"] = w.text("wrong_reason")
        if wrong:
            return await self._page(request, given, wrong, kept(form, "reason"))
        asked = _selected(given)
        values = {name: getattr(asked, name) for name in Selected.__struct_fields__}
        sending = Sending(**values, confirm="epj-stopped-reading-jft", reason=field(form, "reason"))
        try:
            job = await self._rollback.begin(person(request), sending)
        except Problem as problem:
            if problem.code is Code.BAD_REQUEST and problem.detail.startswith("reason"):
                return await self._page(request, given, {"reason": w.text("wrong_reason")})
            if problem.code is not Code.CONFLICT:
                raise
            return await self._page(request, given, {"reason": w.text("back_wrong_now")}, kept(form, "reason"))
        return see_other(f"/returns/{job.id}")

    async def _page(
        self, request: web.Request, given: Mapping[str, Any], wrong: Mapping[str, str], reason: str = ""
    ) -> web.Response:
        selection = await self._rollback.selection(person(request), Action.OPERATE, _selected(given))
        told = await self._rollback.summary(selection)
        return page(
            request,
            "send_back.html",
            status=400 if wrong else 200,
            wrong=wrong,
            given={**given, "reason": reason, "since": when(selection.since)},
            confirmation=CONFIRMATION,
            **_told(told),
        )

    async def _show(self, request: web.Request) -> web.Response:
        job = self._rollback.job(request, Action.VIEW)
        return page(request, "send_back_job.html", job=job, **_state(request, job))

    async def _live(self, request: web.Request) -> web.StreamResponse:
        async def regions() -> Mapping[str, str]:
            job = self._rollback.job(request, Action.VIEW)
            return {"job": fragment(request, "send_back_state.html", job=job, **_state(request, job))}

        return await live.stream(request, regions)

    async def _stop(self, request: web.Request) -> web.Response:
        job = await self._rollback.stop(request)
        return see_other(f"/returns/{job.id}")


def selections(record: Cutover) -> list[dict[str, Any]]:
    """Return what a cutover sent to the new side, a selection for each of its changes that journals there."""
    if record.switched_at is None:
        return []
    return [
        {
            "municipality": route.municipality,
            "since": when(record.switched_at),
            "vendor": route.vendor,
            "system": route.system,
            # In the order in which types are shown everywhere.
            "information": [
                each.value for each in Information if each in JOURNALING & (route.information or frozenset())
            ],
        }
        for route in record.plan.routes
        if route.mode in GOES_NEW and (route.information is None or route.information & JOURNALING)
    ]


def _state(request: web.Request, job: Job) -> dict[str, Any]:
    w = words(request)
    counts = [(w.word("return", outcome.value), number) for outcome, number in job.counts.items() if number]
    ended = job.progress is not Progress.RUNNING
    may_stop = not ended and may_operate(person(request), job.selection.municipality)
    return {"counts": counts, "ended": ended, "may_stop": may_stop, "progress": w.word("job", job.progress.value)}


def _selected(given: Mapping[str, Any]) -> Selected:
    values = {name: given.get(name) or None for name in _NAMES} | {"information": list(given.get("information") or ())}
    try:
        return msgspec.convert(values, Selected)
    except msgspec.ValidationError:
        raise Problem(Code.BAD_REQUEST, "municipality, since: not as expected") from None


def _told(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the groups that have something, and how much of it is sent."""
    groups: Mapping[str, Mapping[str, int]] = summary["groups"]
    shown: Sequence[tuple[str, int]] = [
        (each.value, groups[each.value]["messages"]) for each in _GROUPS if groups.get(each.value, {}).get("messages")
    ]
    sendable = sum(one["sendable"] for one in groups.values())
    sending = summary["sending"]
    blocked = "" if sending["possible"] else "not-here" if "this process" in sending["obstacles"][0] else "not-yet"
    return {"groups": shown, "sendable": sendable, "blocked": blocked, "without": sending["without_client"]}


def _query(one: Mapping[str, Any]) -> str:
    pairs = [(name, one[name]) for name in _NAMES if one.get(name)]
    return urlencode([*pairs, *(("information", each) for each in one["information"])])
