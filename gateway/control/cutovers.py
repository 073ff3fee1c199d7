"""Cutovers over the admin API: submitted, looked at, approved by other people, started, called off, rolled back."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.control.asked import Because, of_body, of_query, reason_of
from gateway.control.conditions import LOST_RACE, check_version, unchanged
from gateway.control.endpoints import Endpoint, Needs, person, visitor
from gateway.control.ledger_desk import LedgerDesk, actor, reach
from gateway.control.refusals import Code, Refusal
from gateway.cutovers import book, documents
from gateway.cutovers.cells import Cells
from gateway.cutovers.gathering import gathered, obstacles, outcomes_since
from gateway.cutovers.plan import GateAsked, Plan, RollBackAsked, Wanted, encoded, hash_of, of_file, of_wanted
from gateway.cutovers.preflight import Facts, findings, jft_of
from gateway.cutovers.record import (
    APPROVAL,
    CHANGED,
    SUBMITTED,
    Approval,
    Event,
    Record,
    Report,
    approved,
    begun,
    of_row,
    replanned,
)
from gateway.cutovers.runner import rolled_back, tell
from gateway.cutovers.schedule import TimeRefused, why_not
from gateway.cutovers.sound import faults, is_name
from gateway.cutovers.states import CANCELLABLE, CHANGEABLE, STARTABLE, State
from gateway.cutovers.tokens import Obtain, tried
from gateway.cutovers.watch import outcomes_of
from gateway.layering.naming import etag
from gateway.ledger import cutover_store as store
from gateway.people.access import Action, Where, may
from gateway.people.person import Person, Via
from gateway.routing.layers import Layers

log = structlog.get_logger()

_ROOT = "/api/v1/cutovers"
_ONE = f"{_ROOT}/{{name}}"
_UNDER_WAY = (State.DRAINING, State.SWITCHED, State.WATCHING, State.FINISHED)
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the list, by names; of which state."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: _Word | None = None
    state: State | None = None


class Submitted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A plan, or the name of one that is written in routes.yaml."""

    from_file: _Word | None = None
    name: _Word | None = None
    at: _Word | None = None
    set: tuple[store.Change, ...] | None = None
    gate: GateAsked | None = None
    roll_back_when: RollBackAsked | None = None
    approvals: Annotated[int, msgspec.Meta(ge=1)] = 1


class Approving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of exactly which plan somebody approves."""

    hash: _Word


class Cutovers:
    """The endpoints for cutovers; `use` gives them what a preflight asks beside the ledger."""

    def __init__(self, desk: LedgerDesk) -> None:
        self._desk = desk
        self._layers: Callable[[], Layers] | None = None
        self._token: Obtain | None = None

    def use(self, layers: Callable[[], Layers], token: Obtain | None) -> None:
        """Take what lies over the routes, and what fetches tokens, where this process knows them."""
        self._layers, self._token = layers, token

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs; whoever plans, and whoever operates, may start, cancel and roll back."""
        view, plan = Needs.role(Action.VIEW), Needs.role(Action.PLAN)
        return [
            Endpoint("GET", _ROOT, self._list, view),
            Endpoint("POST", _ROOT, self._submit, plan),
            Endpoint("GET", _ONE, self._show, view),
            Endpoint("PUT", _ONE, self._change, plan),
            Endpoint("POST", f"{_ONE}/preflight", self._preflight, view),
            Endpoint("POST", f"{_ONE}/approve", self._approve, Needs.role(Action.APPROVE, person=True)),
            Endpoint("POST", f"{_ONE}/start", self._start, view),
            Endpoint("POST", f"{_ONE}/cancel", self._cancel, view),
            Endpoint("POST", f"{_ONE}/rollback", self._roll_back, view),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        wanted, who = of_query(request, Listing), person(request)
        states = () if wanted.state is None else (wanted.state.value,)
        rows = await self._desk.read(lambda each: store.listed(each, wanted.limit + 1, wanted.cursor or "", states))
        records = [of_row(row) for row in rows[: wanted.limit]]
        more = records[-1].name if len(rows) > wanted.limit else None
        shown = [documents.brief(one) for one in records if _may_see(who, one)]
        return web.json_response({"cutovers": shown, "next": more})

    async def _show(self, request: web.Request) -> web.Response:
        record = await self._seen(request)
        return unchanged(request, record.version) or _answer(record)

    async def _submit(self, request: web.Request) -> web.Response:
        plan, who = self._planned(await of_body(request, Submitted)), person(request)
        self._check(who, plan)
        self._check_time(plan)
        record = begun(plan, self._event(request, SUBMITTED, plan_hash=hash_of(encoded(plan))))
        note = self._desk.note(who, "cutover.submit", plan.name)

        def work(connection: Connection) -> Record | None:
            return None if book.add(connection, record, note) else book.one(connection, plan.name)

        known = await self._desk.write(work)
        if known is None:
            _tell("cutover.submit", plan.name, who)
            return _answer(record, 201)
        if known.hash != record.hash or known.state not in (State.SUBMITTED, State.APPROVED):
            raise Refusal(Code.CONFLICT, f"there is a cutover of that name, which is {known.state}; change it with PUT")
        return _answer(known)

    async def _change(self, request: web.Request) -> web.Response:
        plan, before = self._planned(await of_body(request, Submitted)), await self._seen(request)
        if plan.name != before.name:
            raise Refusal(Code.BAD_REQUEST, "name: another than that of the cutover")
        for each in (before.plan, plan):
            self._check(person(request), each)
        check_version(request, before.version, needed=True)
        if before.state not in CHANGEABLE:
            raise Refusal(Code.CONFLICT, f"the cutover is {before.state}")
        if hash_of(encoded(plan)) == before.hash and before.state in (State.SUBMITTED, State.APPROVED):
            return _answer(before)
        self._check_time(plan)
        event = self._event(request, CHANGED, plan_hash=hash_of(encoded(plan)))
        return await self._put(request, before, replanned(before, plan, event), "cutover.change")

    async def _preflight(self, request: web.Request) -> web.Response:
        record, config, now = await self._seen(request), self._desk.config, self._desk.now()
        found = await self._desk.read(lambda each: gathered(each, record, now))
        jft, going_new = jft_of(config), record.cells.going_new(config)
        tokens = None if self._token is None or jft is None else await tried(self._token, jft, going_new)
        layers = None if self._layers is None else self._layers()
        facts = Facts(record, config, now, found, layers, tokens)
        return web.json_response(documents.looked_at(record, findings(facts)))

    async def _approve(self, request: web.Request) -> web.Response:
        wanted, record, who = await of_body(request, Approving), await self._seen(request), person(request)
        _check_everywhere(who, record.cells, Action.APPROVE)
        if wanted.hash != record.hash:
            raise Refusal(Code.CONFLICT, f"the plan is another one now: {record.hash}")
        known = _known(request, who)
        if record.writers & set(known):
            raise Refusal(Code.CONFLICT, "whoever wrote a plan does not approve it")
        if any(set(one.known) & set(known) for one in record.approvals):
            return _answer(record)
        if record.state is not State.SUBMITTED:
            raise Refusal(Code.CONFLICT, f"the cutover is {record.state}")
        event = self._event(request, APPROVAL, plan_hash=record.hash)
        after = approved(record, Approval(event.at, actor(who), known, record.hash), event)
        return await self._put(request, record, after, "cutover.approve")

    async def _start(self, request: web.Request) -> web.Response:
        reason, record = reason_of((await of_body(request, Because)).reason), await self._steered(request)
        if record.state in _UNDER_WAY:
            return _answer(record)
        if record.state not in STARTABLE:
            raise Refusal(Code.CONFLICT, f"the cutover is {record.state}")
        config, now = self._desk.config, self._desk.now()
        if why := await self._desk.read(lambda each: obstacles(each, record, config, now)):
            raise Refusal(Code.CONFLICT, "; ".join(why))
        event = self._event(request, State.DRAINING.value, reason)
        return await self._put(request, record, record.moved(State.DRAINING, event), "cutover.start", reason)

    async def _cancel(self, request: web.Request) -> web.Response:
        reason, record = reason_of((await of_body(request, Because)).reason), await self._steered(request)
        if record.state is State.CANCELLED:
            return _answer(record)
        if record.state not in CANCELLABLE:
            raise Refusal(Code.CONFLICT, f"the cutover is {record.state}")
        event = self._event(request, State.CANCELLED.value, reason)
        after = record.moved(State.CANCELLED, event, ended_at=event.at)
        return await self._put(request, record, after, "cutover.cancel", reason)

    async def _roll_back(self, request: web.Request) -> web.Response:
        reason, record = reason_of((await of_body(request, Because)).reason), await self._steered(request)
        if record.state is State.ROLLED_BACK:
            return _answer(record)
        if not record.is_executed:
            is_in_file = record.state is State.FINISHED
            why = "routes.yaml says the same now: change it there" if is_in_file else f"the cutover is {record.state}"
            raise Refusal(Code.CONFLICT, why)
        counted, quarantined = await self._desk.read(lambda each: outcomes_since(each, record))
        outcomes = outcomes_of(counted, quarantined)
        report = Report(outcomes.fine, outcomes.failed, {**counted, "quarantined": quarantined})
        event = self._event(request, State.ROLLED_BACK.value, reason)
        after = rolled_back(record, event, self._desk.config, report)
        return await self._put(request, record, after, "cutover.rollback", reason)

    def _planned(self, wanted: Submitted) -> Plan:
        """Return the plan that is meant; raises `Refusal`."""
        try:
            plan = self._of_file(wanted) if wanted.from_file is not None else _of_body(wanted)
        except TimeRefused as error:
            raise Refusal(Code.BAD_REQUEST, f"at: {error}") from None
        except ValueError:
            raise Refusal(Code.BAD_REQUEST, "set: an information type that nobody knows") from None
        if wrong := faults(plan, self._desk.config):
            raise Refusal(Code.BAD_REQUEST, "; ".join(wrong))
        return plan

    def _of_file(self, wanted: Submitted) -> Plan:
        if msgspec.structs.replace(wanted, from_file=None) != Submitted():
            raise Refusal(Code.BAD_REQUEST, "from_file stands alone")
        written = self._desk.config.cutovers.get(wanted.from_file or "")
        if written is None:
            raise Refusal(Code.NOT_FOUND, "routes.yaml has no cutover of that name")
        return of_file(written)

    def _check(self, who: Person, plan: Plan) -> None:
        _check_everywhere(who, Cells(plan.routes), Action.PLAN)

    def _check_time(self, plan: Plan) -> None:
        if why := why_not(plan.at, self._desk.now(), self._desk.config.freezes):
            raise Refusal(Code.CONFLICT, "; ".join(why))

    async def _seen(self, request: web.Request) -> Record:
        """Return the cutover of a path, for someone who may see it; raises `Refusal`."""
        name = request.match_info["name"]
        record = await self._desk.read(lambda each: book.one(each, name)) if is_name(name) else None
        if record is None or not _may_see(person(request), record):
            raise Refusal(Code.NOT_FOUND, "no such cutover where you may see it")
        return record

    async def _steered(self, request: web.Request) -> Record:
        """Likewise, for someone who plans or operates wherever it changes something."""
        record, who = await self._seen(request), person(request)
        if not any(_may_everywhere(who, record.cells, action) for action in (Action.PLAN, Action.OPERATE)):
            raise Refusal(Code.FORBIDDEN, f"{Action.PLAN} or {Action.OPERATE} there")
        check_version(request, record.version)
        return record

    async def _put(
        self, request: web.Request, before: Record, after: Record, action: str, reason: str | None = None
    ) -> web.Response:
        who = person(request)
        note = self._desk.note(who, action, before.name, reason)
        written = await self._desk.write(lambda connection: book.put(connection, before, after, note))
        if written is None:
            raise Refusal(Code.CHANGED_MEANWHILE, LOST_RACE)
        _tell(action, before.name, who)
        tell(before, written)
        return _answer(written)

    def _event(self, request: web.Request, what: str, reason: str | None = None, plan_hash: str | None = None) -> Event:
        who, node = person(request), self._desk.ledger.node
        return Event(self._desk.now(), node, what, actor(who), reason, _known(request, who), plan_hash)


def _of_body(wanted: Submitted) -> Plan:
    if wanted.name is None or wanted.at is None or wanted.set is None:
        raise Refusal(Code.BAD_REQUEST, "expected: name, at and set; or from_file")
    fields = {name: getattr(wanted, name) for name in Wanted.__struct_fields__}
    return of_wanted(Wanted(**fields))


def _known(request: web.Request, who: Person) -> tuple[str, ...]:
    """Return by what a person is known again; whoever made an API token is who uses it."""
    token = visitor(request).doors.tokens.get(who.known_as[0]) if who.via is Via.API_TOKEN else None
    return (who.subject, *who.known_as, *(token.made_by if token else ()))


def _may_see(who: Person, record: Record) -> bool:
    within, places = reach(who, Action.VIEW), record.cells.places
    return within is None or None in places or bool(within & set(places))


def _may_everywhere(who: Person, cells: Cells, action: Action) -> bool:
    return all(may(who.grants, action, Where.EVERYWHERE if place is None else place) for place in cells.places)


def _check_everywhere(who: Person, cells: Cells, action: Action) -> None:
    if not _may_everywhere(who, cells, action):
        raise Refusal(Code.FORBIDDEN, f"{action} in every municipality that it names")


def _answer(record: Record, status: int = 200) -> web.Response:
    headers = {"ETag": etag(record.version)} | ({"Location": f"{_ROOT}/{record.name}"} if status == 201 else {})
    document: dict[str, Any] = documents.whole(record)
    return web.json_response(document, status=status, headers=headers)


def _tell(action: str, name: str, who: Person) -> None:
    log.info("people.action", action=action, target=name, by=actor(who))
