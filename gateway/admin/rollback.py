"""Going back to VKP, for people: what the new side got since a time, and sending back what nobody has read."""

from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.bounds import USUAL_BOUNDS
from gateway.admin.context import LedgerContext, from_ledger, short_name, tell
from gateway.admin.endpoints import UNAVAILABLE, Endpoint, Needs, Once, csv_file, person
from gateway.admin.params import Moment, Word, cursor_after, is_number_in, of_body, reason_of, row_of
from gateway.admin.problems import Code, Problem, as_problem
from gateway.admin.rollback_documents import csv_of, item_document, job_document, selection_document
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, may
from gateway.ledger import overrides
from gateway.ledger.returns import ReturnItem, Returns, ReturnStatus, Selection
from gateway.migration import panics
from gateway.migration.schedule import moment
from gateway.model import JOURNALING
from gateway.outbox.return_jobs import FASTEST, RATE, SLOWEST, Busy, Job, ReturnOutcome, may_be_sent_alone
from gateway.outbox.returns import Returner
from gateway.routing.layers import Layer

CONFIRMATION = "epj-stopped-reading-jft"
"""What a person confirms: the record system reads nothing from JFT any more, so that nothing comes into the record twice."""
NOT_HERE = "this process sends nothing: what the new side got can be listed and exported"
_BUSY = "messages of the municipality are being sent back already"
_ROOT = "/api/v1/rollback"
_CURSOR = "return:"
_JOB = "id selection rate progress why began ended counts not_returned not_returned_truncated"
_AT_ONCE = 500
_NARROWER = "ask for a vendor or a type alone, or for the list, which comes in parts"
_Types = Annotated[list[str], msgspec.Meta(max_length=len(JOURNALING))]


class Selected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of which messages is spoken: of a municipality since a time, or of what a panic has turned back."""

    municipality: Word | None = None
    """Short name or orgnr; may be left out for a panic of one municipality."""
    since: Moment | None = None
    """May be left out for a panic: the earliest moment at which any of its cells went new."""
    panic: Word | None = None
    """Its id."""
    vendor: Word | None = None
    system: Word | None = None
    information: _Types = []


class Listed(Selected, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Likewise, and which part of the list."""

    group: ReturnStatus | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=_AT_ONCE)] = 100
    cursor: Word | None = None


class Sending(Selected, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be sent back, why, and what the person who says so has seen to."""

    confirm: Literal["epj-stopped-reading-jft"]
    reason: str
    rate: Annotated[float, msgspec.Meta(ge=SLOWEST, le=FASTEST)] = RATE
    """Messages in a second."""


class SendingOne(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Likewise, of one message."""

    reference: Word
    confirm: Literal["epj-stopped-reading-jft"]
    reason: str


class Rollback:
    """The endpoints for going back; `use` gives them what sends, where this process sends."""

    def __init__(self, context: LedgerContext, most_exported: int = USUAL_BOUNDS.exported) -> None:
        self._context = context
        self._most_exported = most_exported
        self._sender: Returner | None = None

    def use(self, returning: Returner | None) -> None:
        """Take what sends, if anything does; whoever made it stops it."""
        self._sender = returning

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs; whoever made an API token answers for what is confirmed with it."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
        return [
            Endpoint(
                *("POST", f"{_ROOT}/list", self._list, view),
                summary="What the new side got since a time",
                answer="selection sending vkp_success groups items next",
                body=Listed,
            ),
            Endpoint(
                *("POST", f"{_ROOT}/export", self._export, view),
                summary="Likewise, all of it as CSV",
                body=Selected,
                csv=True,
                also=(409, UNAVAILABLE),
            ),
            Endpoint(
                *("POST", f"{_ROOT}/send", self._send, operate),
                summary="Send back to VKP what nobody has read",
                answer=_JOB,
                status=202,
                body=Sending,
                gives=("Location",),
                once=Once.LEDGER,
            ),
            Endpoint(
                *("POST", f"{_ROOT}/send-one", self._send_one, operate),
                summary="Send one message back",
                answer="reference outcome reason",
                body=SendingOne,
                once=Once.LEDGER,
            ),
            Endpoint(
                *("GET", f"{_ROOT}/jobs/{{id}}", self._job, view),
                summary="How far sending back has come",
                answer=_JOB,
                also=(409,),
            ),
            Endpoint(
                *("POST", f"{_ROOT}/jobs/{{id}}/stop", self._stop, operate),
                summary="Send no further messages back",
                answer=_JOB,
                status=202,
                also=(409, UNAVAILABLE),
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        wanted = await of_body(request, Listed)
        selection = await self.selection(person(request), Action.VIEW, wanted)
        after = row_of(_CURSOR, wanted.cursor) or 0
        groups = () if wanted.group is None else (wanted.group,)
        items = await from_ledger(self._returns.items(selection, wanted.limit + 1, after=after, standings=groups))
        more = cursor_after(_CURSOR, items[wanted.limit - 1].id) if len(items) > wanted.limit else None
        document = {
            **await self.summary(selection),
            "items": [item_document(item) for item in items[: wanted.limit]],
            "next": more,
        }
        return web.json_response(document)

    async def summary(self, selection: Selection) -> dict[str, Any]:
        """Return how much there is of a selection, by how it stands, and what keeps it from being sent; raises `Problem`."""
        counts = await from_ledger(self._returns.counts(selection))
        obstacles = self._obstacles(selection)
        return {
            "selection": selection_document(selection),
            "sending": {
                "possible": not obstacles,
                "obstacles": obstacles,
                "without_client": self._sender.without_client(selection) if self._sender is not None else [],
                "confirm": CONFIRMATION,
            },
            "vkp_success": self._context.config.vkp_success,
            "groups": {one.standing.value: {"messages": one.messages, "sendable": one.sendable} for one in counts},
        }

    async def _export(self, request: web.Request) -> web.Response:
        selection = await self.selection(person(request), Action.VIEW, await of_body(request, Selected))
        # As text at once: rows as they are would take ten times as much memory.
        parts, count, after = [csv_of(())], 0, 0
        while items := await from_ledger(self._returns.items(selection, _AT_ONCE, after=after)):
            parts.append(csv_of([item_document(item) for item in items], heading=False))
            count, after = count + len(items), items[-1].id
            if count > self._most_exported:
                raise Problem(Code.CONFLICT, f"more than {self._most_exported} messages: {_NARROWER}")
        return csv_file("rollback.csv", "".join(parts).encode())

    async def _send(self, request: web.Request) -> web.Response:
        job = await self.begin(person(request), await of_body(request, Sending))
        location = f"{_ROOT}/jobs/{job.id}"
        return web.json_response(job_document(job), status=202, headers={"Location": location})

    async def begin(self, who: Principal, wanted: Sending) -> Job:
        """Begin to send back what nobody has read; raises `Problem`."""
        selection, reason = await self.selection(who, Action.OPERATE, wanted), reason_of(wanted.reason)
        if obstacles := self._obstacles(selection):
            raise Problem(Code.CONFLICT, "; ".join(obstacles))
        if self._sending.is_busy(selection.municipality):
            raise Problem(Code.CONFLICT, _BUSY)
        detail = msgspec.json.encode({**selection_document(selection), "rate": wanted.rate, "confirm": wanted.confirm})
        await self._note(who, "rollback.send", selection.municipality, reason, detail.decode())
        try:
            return self._sending.begin(selection, wanted.rate)
        except Busy:
            raise Problem(Code.CONFLICT, _BUSY) from None

    async def _send_one(self, request: web.Request) -> web.Response:
        wanted, who = await of_body(request, SendingOne), person(request)
        reason, item = reason_of(wanted.reason), await from_ledger(self._returns.one(wanted.reference))
        if item is None or not may(who.grants, Action.OPERATE, item.municipality):
            raise Problem(Code.NOT_FOUND, "no such message where you operate")
        obstacles = self._obstacles(_only(item))
        if why := may_be_sent_alone(item):
            obstacles.append(why)
        if obstacles:
            raise Problem(Code.CONFLICT, "; ".join(obstacles))
        await self._note(
            who, "rollback.send-one", item.reference, reason, f"was {item.state}, confirm {wanted.confirm}"
        )
        done = await from_ledger(self._sending.send_one(item))
        document = {"reference": done.reference, "outcome": done.outcome.value, "reason": done.reason}
        if done.outcome is not ReturnOutcome.RETURNED:
            # Returned, not raised: VKP may have it, so the same again is told this and does nothing.
            return as_problem(Problem(Code.CONFLICT, f"{done.outcome.value}: {done.reason}"))
        return web.json_response(document)

    async def _job(self, request: web.Request) -> web.Response:
        return web.json_response(job_document(self.job(request, Action.VIEW)))

    async def _stop(self, request: web.Request) -> web.Response:
        return web.json_response(job_document(await self.stop(request)), status=202)

    async def stop(self, request: web.Request) -> Job:
        """Let the job of a path send nothing more; raises `Problem`."""
        job, who = self.job(request, Action.OPERATE), person(request)
        # Stopping does no harm, and must not wait for a ledger that cannot be written.
        job.stopping.set()
        await self._note(who, "rollback.stop", job.selection.municipality, None, job.id)
        return job

    def job(self, request: web.Request, action: Action) -> Job:
        """Return the job of a path, where someone may do this; raises `Problem`."""
        job = self._sending.job(request.match_info["id"])
        if job is None or not may(person(request).grants, action, job.selection.municipality):
            raise Problem(Code.NOT_FOUND, "no such job of this process; what is left can be asked for again")
        return job

    async def selection(self, who: Principal, action: Action, asked: Selected) -> Selection:
        """Return what is spoken of; raises `Problem` where someone may not do this."""
        wanted = asked if asked.panic is None else await self._of_panic(who, action, asked, asked.panic)
        if wanted.municipality is None or wanted.since is None:
            raise Problem(Code.BAD_REQUEST, "expected: municipality and since, or panic")
        found = short_name(self._context.config, wanted.municipality)
        if found not in self._context.config.municipalities or not may(who.grants, action, found):
            raise Problem(Code.FORBIDDEN, f"{action} there")
        for name in ("vendor", "system"):
            if is_number_in(getattr(wanted, name) or ""):
                raise Problem(Code.BAD_REQUEST, f"{name}: without national identity numbers")
        if strange := set(wanted.information) - {each.value for each in JOURNALING}:
            raise Problem(Code.BAD_REQUEST, f"information: {len(strange)} of them is no journaling type")
        return Selection(found, wanted.since.timestamp(), wanted.vendor, wanted.system, frozenset(wanted.information))

    async def _of_panic(self, who: Principal, action: Action, asked: Selected, name: str) -> Selected:
        """Return what is asked for with what a panic says of it; raises `Problem`."""
        together = await self._context.read(lambda each: overrides.named(each, Layer.PANIC, name))
        scope = panics.scope_of(one.route for one in together) if together else None
        if scope is None:
            raise Problem(Code.NOT_FOUND, "no such panic")
        moments = await self._context.read(lambda each: panics.since_when(each, scope, self._context.config))
        allowed = [each for each in moments if may(who.grants, action, each)]
        if not allowed:
            raise Problem(Code.NOT_FOUND, f"no such panic of journaling where you {action}")
        place = short_name(self._context.config, asked.municipality) or (allowed[0] if len(allowed) == 1 else None)
        if place is None:
            raise Problem(Code.BAD_REQUEST, f"municipality: the panic is of {', '.join(allowed)}; name one of them")
        if place not in allowed:
            raise Problem(Code.FORBIDDEN, f"{action} there, or the panic is not of it")
        if scope.vendor is not None and asked.vendor not in (None, scope.vendor):
            raise Problem(Code.BAD_REQUEST, "vendor: the panic is of another")
        if scope.information is not None and set(asked.information) - {scope.information}:
            raise Problem(Code.BAD_REQUEST, "information: the panic is of another type")
        first = moments[place] or together[0].made_at
        return msgspec.structs.replace(
            asked,
            municipality=place,
            since=asked.since or moment(first),
            vendor=asked.vendor or scope.vendor,
            information=asked.information or ([scope.information] if scope.information else []),
        )

    def _obstacles(self, selection: Selection) -> list[str]:
        """Return why nothing of a selection can be sent now."""
        if self._sender is None:
            return [NOT_HERE]
        why, cells = self._sender.obstacle(selection), self._sender.still_new(selection)
        new = (
            f"cells that still have mode new or canary: {len(cells)}, first: {cells[0]}: roll the routes back first"
            if cells
            else None
        )
        return [each for each in (why, new) if each is not None]

    @property
    def _returns(self) -> Returns:
        return Returns(self._context.ledger, self._context.clock)

    @property
    def _sending(self) -> Returner:
        if self._sender is None:
            raise Problem(Code.CONFLICT, NOT_HERE)
        return self._sender

    async def _note(self, who: Principal, action: str, target: str, reason: str | None, detail: str) -> None:
        note = self._context.note(who, action, target, reason, detail)
        await self._context.write_note(note)
        tell(note)


def _only(item: ReturnItem) -> Selection:
    types = frozenset() if item.information is None else frozenset({item.information})
    return Selection(item.municipality, item.received_at, item.vendor, item.system, types)
