"""The pages for messages: searched, one with its whole way, and what an operator decides about it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from markupsafe import Markup

from gateway.admin.endpoints import Endpoint, Handler, Needs, person
from gateway.admin.messages import RELEASE, Messages
from gateway.admin.pages.forms import Form, between, choices, field, form_of, going_on, kept, searched, see_other
from gateway.admin.pages.render import page, words
from gateway.admin.pages.words import MARKS, Words
from gateway.admin.params import ListQuery, reference_of
from gateway.admin.problems import Code, Problem
from gateway.admin.routes import Decisions
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, may
from gateway.ledger.records import BETWEEN, RECEIVED, MessageState
from gateway.ledger.shares import ShareState
from gateway.model import Information
from gateway.upstreams.epj import RECORD_SYSTEM

_ONE = "/messages/{reference}"
_SHARE = f"{_ONE}/shares/{{target}}"
_FIELDS = ("reference", "municipality", "state", "sender", "information", "mark", "since", "until")
_Decide = Callable[[web.Request, str], Awaitable[None]]
"""Decides about the message of a request, for a reason; raises `Problem`."""
_SHARE_KINDS = {
    ShareState.SHARED.value: "good",
    ShareState.SENDING.value: "info",
    **dict.fromkeys((ShareState.REFUSED.value, ShareState.UNCLEAR.value, ShareState.GIVEN_UP.value), "bad"),
}
"""How the tag of a share looks."""


class MessagePages:
    """The list and a page for each message; readers see all but what a message says."""

    def __init__(self, messages: Messages, decisions: Decisions) -> None:
        self._messages = messages
        self._decisions = decisions

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view, operate = Needs.role(Action.VIEW, person=True), Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint("GET", "/messages", self._list, view),
            Endpoint("GET", _ONE, self._show, view),
            Endpoint("POST", f"{_ONE}/payload", self._payload, operate),
            Endpoint("POST", "/quarantine/{reference}/release", self._decision("release", self._release), operate),
            Endpoint("POST", "/quarantine/{reference}/discard", self._decision("discard", self._discard), operate),
            Endpoint("POST", f"{_SHARE}/resend", self._decision("share-again", self._share_again, "shared"), operate),
            Endpoint("POST", f"{_SHARE}/discard", self._decision("share-end", self._share_end, "given-up"), operate),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        who, w = person(request), words(request)
        asked = searched(request, _FIELDS)
        errors: dict[str, str] = {}
        if reference := asked["reference"]:
            if await self._is_there(who, reference):
                return see_other(message_path(reference))
            errors["reference"] = w.text("msg_no_such")
        wanted = _wanted(asked, request.query.get("cursor", ""), errors, w)
        found = {"messages": [], "next": None} if errors else await self._messages.listed(who, wanted)
        return page(
            request,
            "messages.html",
            asked=asked,
            errors=errors,
            rows=[_row(one, w) for one in found["messages"]],
            next=going_on("/messages", asked, found["next"]),
            is_searched=any(asked.values()),
            overview=_overview((await self._messages.overview(who))["counts"]),
            places=choices(who, w),
            states=[(each.value, w.word("state", each)) for each in MessageState],
            types=[(each.value, w.type(each)) for each in Information],
            marks=[(each, w.word("mark", each)) for each in MARKS],
        )

    async def _show(self, request: web.Request) -> web.Response:
        return await self._page(request)

    async def _payload(self, request: web.Request) -> web.Response:
        form = await form_of(request)
        try:
            shown = await self._messages.payload(person(request), reference_of(request), field(form, "reason"))
        except Problem as problem:
            return await self._refused(request, "payload", form, problem)
        return await self._page(request, shown)

    async def _refused(self, request: web.Request, name: str, form: Form, problem: Problem) -> web.Response:
        """Return the page as the message is now, with why what the form of this name asked for was refused."""
        if problem.code not in (Code.BAD_REQUEST, Code.CONFLICT):
            raise problem
        w = words(request)
        is_decided = problem.detail.endswith((", not quarantined", ", not unclear"))
        wrong = {"all": Markup.escape(w.text("msg_decided_meanwhile")) if is_decided else w.told(problem.detail)}
        if problem.code is Code.BAD_REQUEST:
            wrong = {f"{name}-reason": Markup.escape(w.text("wrong_reason"))}
        refusal = {"wrong": wrong, "typed": kept(form, "reason"), "status": problem.status}
        return await self._page(request, refusal=refusal)

    def _decision(self, name: str, decide: _Decide, done: str = "") -> Handler:
        """Return what decides about a message, or a share of it, as the form of this name asks; its page then says what is done."""

        async def decided(request: web.Request) -> web.Response:
            form = await form_of(request)
            try:
                await decide(request, field(form, "reason"))
            except Problem as problem:
                target = request.match_info.get("target")
                return await self._refused(request, f"{name}-{target}" if target else name, form, problem)
            return see_other(f"{message_path(reference_of(request))}?done={done or name}")

        return decided

    async def _release(self, request: web.Request, reason: str) -> None:
        await self._messages.release(person(request), reference_of(request), reason, RELEASE)

    async def _discard(self, request: web.Request, reason: str) -> None:
        await self._messages.discard(person(request), reference_of(request), reason)

    async def _share_again(self, request: web.Request, reason: str) -> None:
        await self._decide_share(request, reason, ShareState.WAITING)

    async def _share_end(self, request: web.Request, reason: str) -> None:
        await self._decide_share(request, reason, ShareState.DISCARDED)

    async def _decide_share(self, request: web.Request, reason: str, into: ShareState) -> None:
        target = request.match_info["target"]
        await self._messages.decide_share(person(request), reference_of(request), target, reason, into)

    async def _page(
        self, request: web.Request, payload: dict[str, Any] | None = None, refusal: Mapping[str, Any] | None = None
    ) -> web.Response:
        who, reference, w = person(request), reference_of(request), words(request)
        message = await self._messages.known(who, reference)
        decision = await self._decisions.of(who, reference)
        if message is None and decision is None:
            raise Problem(Code.NOT_FOUND)
        municipality = str((message or decision or {})["municipality"])
        done = request.query.get("done", "")
        return page(
            request,
            "message.html",
            reference=reference,
            path=message_path(reference),
            quoted=quote(reference, safe=""),
            message=message,
            decision=decision and _decided(decision, w),
            head=_row(message, w) if message else None,
            steps=_steps(message, decision, w),
            operates=may(who.grants, Action.OPERATE, municipality),
            payload=payload,
            shares=[{**one, "kind": _SHARE_KINDS.get(one["state"], "")} for one in (message or {}).get("shares", ())],
            done=done if done in _done(message) else "",
            address=message_path(reference),
            **{"wrong": {}, "typed": "", **(refusal or {})},
        )

    async def _is_there(self, who: Principal, reference: str) -> bool:
        known = await self._messages.known(who, reference)
        return known is not None or await self._decisions.of(who, reference) is not None


def _done(message: dict[str, Any] | None) -> Iterator[str]:
    """Tell which decisions have been made about a message: a link that says so may be old."""
    if message is None:
        return
    if message["state"] != "quarantined" and any(
        (one["reason"] or "").startswith("released") for one in message["history"]
    ):
        yield "release"
    if message["state"] == "discarded":
        yield "discard"
    states = {one["state"] for one in message.get("shares", ())}
    if states & {ShareState.WAITING, ShareState.SENDING, ShareState.SHARED}:
        yield "shared"
    if ShareState.DISCARDED in states:
        yield "given-up"


def message_path(reference: str) -> str:
    """Return the path of a message's page."""
    return f"/messages/{quote(reference, safe='')}"


def _wanted(asked: Mapping[str, str], cursor: str, errors: dict[str, str], w: Words) -> ListQuery:
    """Return what is searched for, and say what is wrong at its field."""
    values: dict[str, object] = {name: asked[name] for name in ("municipality", "state", "sender", "information")}
    overdue = asked["mark"] == "overdue"
    values |= {**between(asked, w, errors), "mark": None if overdue else asked["mark"], "cursor": cursor}
    given = {name: value for name, value in values.items() if value}
    try:
        return msgspec.convert({**given, "overdue": overdue}, ListQuery)
    except msgspec.ValidationError:
        raise Problem(Code.BAD_REQUEST) from None


def _overview(counts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how many messages wait in each state, and since when the oldest does."""
    found: dict[str, dict[str, Any]] = {}
    for one in counts:
        known = found.setdefault(one["state"], {"messages": 0, "oldest": one["oldest"]})
        known["messages"] += one["messages"]
        known["oldest"] = min(known["oldest"], one["oldest"])
    return found


_KINDS = {
    **dict.fromkeys(("acknowledged", "returned"), "good"),
    **dict.fromkeys(("delivered", "read", "delivering", "returning"), "info"),
    **dict.fromkeys(("held",), "warn"),
    **dict.fromkeys(("quarantined", "refused", "overdue"), "bad"),
}
"""How the tag of a state looks."""


def _row(message: dict[str, Any], w: Words) -> dict[str, Any]:
    marks = [*message["marks"], *(["overdue"] if message["overdue"] else [])]
    return {
        **message,
        "path": message_path(message["reference"]),
        "kind": _KINDS.get(message["state"], ""),
        "marks": [w.word("mark", each) for each in marks],
        "why": message["reason"],
    }


def _steps(message: dict[str, Any] | None, decision: dict[str, Any] | None, w: Words) -> list[dict[str, Any]]:
    """Return what happened after the route was chosen in the order of time, the answer to the sender among it."""
    history = (message or {}).get("history", [])
    steps = [{**_step(one, w), "is_answer": False} for one in history if one["state"] != RECEIVED]
    if decision is not None:
        steps.append({"at": decision["at"], "is_answer": True})

    def ended(one: dict[str, Any]) -> datetime:
        # An answer is told by its whole second, and what led to it stands before it.
        return datetime.fromisoformat(one["at"]) + timedelta(seconds=one["is_answer"])

    return sorted(steps, key=ended)


def _step(step: dict[str, Any], w: Words) -> dict[str, Any]:
    what = step["state"]
    named = {
        RECEIVED: "msg_received",
        MessageState.DELIVERING: "msg_attempt",
        BETWEEN: "msg_tries",
        "overdue": "msg_overdue",
        "forgotten": "msg_forgotten",
    }
    text = w.text(named[what]) if what in named else w.word("state", what)
    return {**step, "what": text, "kind": _KINDS.get(what, ""), "why": step["reason"]}


def _decided(decision: dict[str, Any], w: Words) -> dict[str, Any]:
    """Return a decision with its code words as words."""
    outcome = decision["outcome"]
    told = w.word("outcome", outcome)
    is_theirs = (decision["diagnostics"] or "").startswith(RECORD_SYSTEM)
    rules = [{"name": each, "text": w.word("rule", each)} for each in (decision["repairs"] or "").split(", ") if each]
    return {
        **decision,
        "outcome": w.text("msg_record_system") if is_theirs else w.word("fault", outcome) if told == outcome else told,
        "is_refused": told == outcome,
        "route": (decision["route"] or "").rpartition("/")[2],
        "repairs": rules,
        "losses": [each for each in (decision["losses"] or "").split(", ") if each],
    }
