"""What people may see of messages in the ledger and do to them, as the API and the pages both do it."""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, Reach, reach, short_name, tell
from gateway.admin.endpoints import UNAVAILABLE, Endpoint, Handler, Needs, Once, person
from gateway.admin.params import (
    Forget,
    ListQuery,
    ReasonBody,
    Search,
    cursor_after,
    number_of,
    of_body,
    of_query,
    reason_of,
    reference_of,
    timed_row_of,
)
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import audit, message_actions, message_queries, retention
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.message_actions import Done, NotDone
from gateway.ledger.records import MessageState
from gateway.ledger.shares import FAILED, NOT_SHARED, Share, ShareState
from gateway.outbox.order import StoredMessage, opened
from gateway.times import when, when_any

T = TypeVar("T")

_CURSOR = "message:"
_Change = Callable[[Connection, str, Reach, audit.Note, str], Done | NotDone | None]
_BY_A_PERSON = "by a person"
_AS_THEY_ARE = (
    *("surface", "municipality", "sender", "vendor", "system", "information", "state", "reason", "promised"),
    *("attempts", "upstream", "event_id", "overdue", "status", "has_payload"),
)


class Messages:
    """Each method raises `Problem`; what is shown or done is narrowed to the municipalities of the person's grants."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context

    async def listed(self, who: Principal, wanted: ListQuery, action: Action = Action.VIEW) -> dict[str, Any]:
        """Return messages where someone may do this, the newest first."""
        narrowed, after = self._filter(wanted, reach(who, action)), _place_of(wanted.cursor)
        return _page(
            await self._context.read(lambda each: message_queries.messages(each, narrowed, wanted.limit, after))
        )

    async def found(self, who: Principal, wanted: Search) -> dict[str, Any]:
        """Return messages of one patient; that somebody searched is written down, and not for whom."""
        patient = self._hash_of(wanted.patient)
        narrowed = self._filter(wanted, reach(who, Action.OPERATE), patient)
        note, after = self._context.note(who, "message.search", "a patient"), _place_of(wanted.cursor)

        def work(connection: Connection) -> message_queries.MessagesPage:
            audit.write(connection, note)
            return message_queries.messages(connection, narrowed, wanted.limit, after)

        found = await self._context.write(work)
        tell(note)
        return _page(found)

    async def shown(self, who: Principal, reference: str) -> dict[str, Any]:
        """Return one message with its history."""
        found = await self.known(who, reference)
        if found is None:
            raise Problem(Code.NOT_FOUND)
        return found

    async def known(self, who: Principal, reference: str) -> dict[str, Any] | None:
        """Likewise, or None where the ledger has none where someone may view."""
        within = reach(who, Action.VIEW)
        found = await self._context.read(lambda each: message_queries.message(each, reference, within))
        if found is None:
            return None
        message, steps, shared = found
        history = [{"at": one.at, "node": one.node, "state": one.state, "reason": one.reason} for one in steps]
        described, kept = _described(message), [_share_document(one) for one in shared]
        if any(one.state in FAILED for one in shared):
            described["marks"] = [*described["marks"], NOT_SHARED]
        return {**described, "shares": kept, "history": history}

    async def payload(self, who: Principal, reference: str, reason: str) -> dict[str, Any]:
        """Return what a sender sent, and what is sent for it, once it is written down who saw it."""
        within, vault = reach(who, Action.OPERATE), self._context.keys.vault
        note = self._context.note(who, "message.payload", reference, reason_of(reason))
        found = _done(await self._context.write(lambda each: message_actions.payload(each, reference, within, note)))
        tell(note)
        try:
            return _payload_document(reference, opened(vault, reference, found.payload))
        except PayloadUnreadable as unreadable:
            raise Problem(Code.CONFLICT, f"the payload cannot be read: {unreadable}") from None

    async def release(self, who: Principal, reference: str, reason: str, action: str) -> dict[str, Any]:
        """Have a quarantined message delivered after all, or a held one tried now; `action` is what the audit calls it."""
        note = self._context.note(who, action, reference, reason_of(reason))
        work = message_actions.resend if action == RESEND else message_actions.release
        return await self._change(who, note, work, MessageState.HELD, f"released {_BY_A_PERSON}")

    async def discard(self, who: Principal, reference: str, reason: str) -> dict[str, Any]:
        """Give a quarantined message up for good."""
        note = self._context.note(who, "quarantine.discard", reference, reason_of(reason))
        return await self._change(who, note, message_actions.discard, MessageState.DISCARDED, _BY_A_PERSON)

    async def decide_share(
        self, who: Principal, reference: str, target: str, reason: str, into: ShareState
    ) -> dict[str, Any]:
        """Have what was perhaps shared of a message sent again, or give it up."""
        action = "share.resend" if into is ShareState.WAITING else "share.discard"
        note = self._context.note(who, action, reference, reason_of(reason), target)
        within = reach(who, Action.OPERATE)

        def work(connection: Connection) -> ShareState | NotDone | None:
            return message_actions.decide_share(connection, reference, target, within, note, into)

        state = _done(await self._context.write(work))
        tell(note)
        return {"reference": reference, "target": target, "state": state.value}

    async def forget(self, who: Principal, patient: str, reason: str) -> dict[str, Any]:
        """Forget a patient's messages that nothing waits for."""
        hashed, within = self._hash_of(patient), reach(who, Action.OPERATE)
        note = self._context.note(who, "patient.forget", "a patient", reason_of(reason))
        line = self._context.ledger.line(note.at, "forgotten", _BY_A_PERSON)
        done = await self._context.write(lambda each: message_actions.forget(each, hashed, within, note, line))
        tell(note)
        left = [
            {"reference": one.reference, "municipality": one.municipality, "state": one.state.value}
            for one in done.left
        ]
        return {"forgotten": done.messages, "not_shared": done.not_shared, "left": left}

    async def overview(self, who: Principal) -> dict[str, Any]:
        """Return how many messages wait for something, and when what is old was last cleared away."""
        ledger, within = self._context.ledger, reach(who, Action.VIEW)
        counts = await self._context.read(retention.counts)
        purged = await self._context.read(lambda each: message_queries.last_run(each, retention.PURGE))
        shown = [
            {
                "municipality": one.municipality,
                "state": one.state,
                "messages": one.messages,
                "oldest": when(one.oldest),
            }
            for one in sorted(counts, key=lambda one: (one.municipality, one.state))
            if within is None or one.municipality in within
        ]
        return {"node": ledger.node, "counts": shown, "last_purge": when_any(purged)}

    async def _change(
        self, who: Principal, note: audit.Note, change: _Change, into: MessageState, why: str
    ) -> dict[str, Any]:
        within, line = reach(who, Action.OPERATE), self._context.ledger.line(note.at, into, why)
        done = _done(await self._context.write(lambda each: change(each, note.target, within, note, line)))
        tell(note)
        return {"reference": done.reference, "municipality": done.municipality, "state": done.state.value}

    def _filter(self, wanted: ListQuery, within: Reach, patient: str | None = None) -> message_queries.MessageFilter:
        return message_queries.MessageFilter(
            within=within,
            municipality=short_name(self._context.config, wanted.municipality),
            state=wanted.state,
            sender=wanted.sender,
            information=wanted.information,
            patient=patient,
            overdue=wanted.overdue,
            mark=wanted.mark,
            since=wanted.since.timestamp() if wanted.since else None,
            until=wanted.until.timestamp() if wanted.until else None,
        )

    def _hash_of(self, patient: str) -> str:
        return self._context.keys.lookup.hash("patient", number_of(patient))


def _done(found: T | NotDone | None) -> T:
    """Return what was done; raises `Problem` where nothing was."""
    if found is None:
        raise Problem(Code.NOT_FOUND, "no such message where you operate")
    if isinstance(found, NotDone):
        raise Problem(Code.CONFLICT, found.reason)
    return found


def _page(found: message_queries.MessagesPage) -> dict[str, Any]:
    more = None if found.next is None else cursor_after(f"{_CURSOR}{found.next.received_at!r}:", found.next.id)
    return {"messages": [_described(one) for one in found.messages], "next": more}


def _place_of(cursor: str | None) -> message_queries.PagePlace | None:
    """Return where a list goes on; raises `Problem`."""
    if cursor is None:
        return None
    received_at, number = timed_row_of(_CURSOR, cursor)
    return message_queries.PagePlace(received_at, number)


def _described(message: message_queries.Shown) -> dict[str, Any]:
    """Return what may be shown of a message."""
    return {
        "reference": message.reference,
        "received_at": when(message.received_at),
        **{name: getattr(message, name) for name in _AS_THEY_ARE},
        **{name: when_any(getattr(message, name)) for name in ("due", "delivered_at", "overdue_at")},
        "marks": message.marks,
    }


def _share_document(one: Share) -> dict[str, Any]:
    """Return what may be shown of what is shared of a message."""
    plain = {name: getattr(one, name) for name in ("target", "reason", "left_out", "tries")}
    times = {name: when_any(getattr(one, name)) for name in ("created_at", "due", "ended_at")}
    return {**plain, "state": one.state.value, **times}


def _payload_document(reference: str, kept: StoredMessage) -> dict[str, Any]:
    call = kept.call
    return {
        "reference": reference,
        "request": {
            "method": kept.method,
            "target": kept.target,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in kept.headers],
            "body": _body(kept.body),
        },
        "call": None
        if call is None
        else {
            "service": call.service,
            "method": call.method,
            "path": call.path,
            "headers": [list(each) for each in call.headers],
            "body": _body(call.body),
        },
    }


def _body(content: bytes) -> dict[str, str]:
    """Return bytes as text where they are UTF-8, else in base64."""
    try:
        return {"text": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


RESEND, RELEASE = "message.resend", "quarantine.release"
"""One action under two words; the audit keeps the one that was used."""
_ROOT = "/api/v1"


class MessagesApi:
    """Messages, for programs."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
        return [
            Endpoint(
                *("GET", f"{_ROOT}/ledger", self._overview, view),
                summary="How many messages wait, by municipality and state",
                answer="node counts last_purge",
            ),
            Endpoint(
                *("GET", f"{_ROOT}/messages", self._list, view),
                summary="Messages, the newest first",
                answer="messages next",
                query=ListQuery,
            ),
            Endpoint(
                *("POST", f"{_ROOT}/messages/search", self._search, operate),
                summary="Messages of one patient",
                answer="messages next",
                body=Search,
            ),
            Endpoint(
                *("GET", f"{_ROOT}/messages/{{reference}}", self._show, view),
                summary="One message with its history",
                answer="reference state shares history",
            ),
            Endpoint(
                *("POST", f"{_ROOT}/messages/{{reference}}/payload", self._payload),
                Needs.role(Action.OPERATE, person=True),
                summary="What the sender sent, and what is sent for it",
                answer="reference request call",
                body=ReasonBody,
                also=(409, UNAVAILABLE),
            ),
            _decision(
                "messages/{reference}/resend",
                self._resend,
                "Deliver a quarantined message after all, or try a held one now",
            ),
            _decision("quarantine/{reference}/release", self._release, "Likewise"),
            _decision("quarantine/{reference}/discard", self._discard, "Give a quarantined message up for good"),
            _decision(
                "messages/{reference}/shares/{target}/resend",
                self._resend_share,
                "Send again what was perhaps shared of a message",
                "reference target state",
            ),
            _decision(
                "messages/{reference}/shares/{target}/discard",
                self._discard_share,
                "Give up what was perhaps shared of a message",
                "reference target state",
            ),
            Endpoint(
                *("POST", f"{_ROOT}/forget", self._forget, operate),
                summary="Forget a patient's messages that nothing waits for",
                answer="forgotten not_shared left",
                body=Forget,
            ),
        ]

    async def _overview(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.overview(person(request)))

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.listed(person(request), of_query(request, ListQuery)))

    async def _search(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.found(person(request), await of_body(request, Search)))

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(await self._messages.shown(person(request), reference_of(request)))

    async def _payload(self, request: web.Request) -> web.Response:
        reason = (await of_body(request, ReasonBody)).reason
        return web.json_response(await self._messages.payload(person(request), reference_of(request), reason))

    async def _resend(self, request: web.Request) -> web.Response:
        return await self._deliver(request, RESEND)

    async def _release(self, request: web.Request) -> web.Response:
        return await self._deliver(request, RELEASE)

    async def _deliver(self, request: web.Request, action: str) -> web.Response:
        reason = (await of_body(request, ReasonBody)).reason
        return web.json_response(await self._messages.release(person(request), reference_of(request), reason, action))

    async def _discard(self, request: web.Request) -> web.Response:
        reason = (await of_body(request, ReasonBody)).reason
        return web.json_response(await self._messages.discard(person(request), reference_of(request), reason))

    async def _resend_share(self, request: web.Request) -> web.Response:
        return await self._decide_share(request, ShareState.WAITING)

    async def _discard_share(self, request: web.Request) -> web.Response:
        return await self._decide_share(request, ShareState.DISCARDED)

    async def _decide_share(self, request: web.Request, into: ShareState) -> web.Response:
        who, reference, target = person(request), reference_of(request), request.match_info["target"]
        reason = (await of_body(request, ReasonBody)).reason
        return web.json_response(await self._messages.decide_share(who, reference, target, reason, into))

    async def _forget(self, request: web.Request) -> web.Response:
        wanted = await of_body(request, Forget)
        return web.json_response(await self._messages.forget(person(request), wanted.patient, wanted.reason))


def _decision(path: str, handler: Handler, summary: str, answer: str = "reference municipality state") -> Endpoint:
    """Return the endpoint for what an operator decides about a message in quarantine, or what is unclear of it."""
    return Endpoint(
        *("POST", f"{_ROOT}/{path}", handler, Needs.role(Action.OPERATE)),
        summary=summary,
        answer=answer,
        body=ReasonBody,
        also=(409, UNAVAILABLE),
        once=Once.LEDGER,
    )
