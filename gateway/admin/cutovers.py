"""Cutovers as the API and the pages both handle them: submitted, looked at, approved by other people, started, called off, rolled back."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any

import msgspec
from msgspec import structs
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, actor, log_action
from gateway.admin.cutover_access import (
    By,
    Submitted,
    check_everywhere,
    has_approved,
    has_written,
    may_see,
    may_steer,
    planned,
)
from gateway.admin.params import Word, reason_of
from gateway.admin.problems import LOST_RACE, Code, Problem, check_version
from gateway.admin.rule_service import text_of
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.model import Config
from gateway.ledger import cutovers
from gateway.ledger.layers import layers_of
from gateway.migration import cutover_repository
from gateway.migration.cells import Cells
from gateway.migration.cutover import (
    APPROVAL,
    CANCELLABLE,
    CHANGEABLE,
    CHANGED,
    POSTPONED,
    REJECTABLE,
    STARTABLE,
    SUBMITTED,
    Approval,
    Cutover,
    CutoverEvent,
    CutoverState,
    approved,
    begun,
    of_row,
    replanned,
)
from gateway.migration.cutover_plan import Plan, encoded, faults, hash_of, is_name, of_file
from gateway.migration.gathered import gathered, outcomes_since
from gateway.migration.preflight import Finding, Obtain, PreflightFacts, findings, obstacles, tried
from gateway.migration.schedule import TimeRefused, instant_of, shown, why_not
from gateway.migration.scheduler import counted_into, rolled_back, tell
from gateway.migration.stopped import said
from gateway.routing.index import Buckets
from gateway.routing.layers import Layers
from gateway.routing.table import RouteTable
from gateway.times import when_any

Versions = frozenset[int] | None
"""For which versions a change is meant; None: it was not said."""
Step = Callable[[By, str, str, Versions], Awaitable[Cutover]]
"""Takes a cutover one step: for somebody, by its name, with a reason, if it still is one of these versions."""
_UNDER_WAY = (CutoverState.DRAINING, CutoverState.SWITCHED, CutoverState.WATCHING, CutoverState.FINISHED)
_AWAITED = (CutoverState.SUBMITTED, CutoverState.APPROVED)


class CutoversQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the list, by names; of which state."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: Word | None = None
    state: CutoverState | None = None


class Postponing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another time for a cutover, and why."""

    at: Word
    """With its offset, or a wall time of Europe/Oslo without."""
    reason: str


class Cutovers:
    """Each method raises `Problem`; `use` gives it what a preflight asks beside the ledger."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context
        self._layers: Callable[[], Layers] | None = None
        self._token: Obtain | None = None
        self._compiled: tuple[Config, Buckets] | None = None

    def use(self, layers: Callable[[], Layers], token: Obtain | None) -> None:
        """Take what lies over the routes, and what fetches tokens, where this process knows them."""
        self._layers, self._token = layers, token

    async def listed(self, who: Principal, wanted: CutoversQuery) -> tuple[list[Cutover], str | None]:
        """Return a part of the cutovers that someone may see, and where the next part begins."""
        states = () if wanted.state is None else (wanted.state.value,)
        rows = await self._context.read(
            lambda each: cutovers.listed(each, wanted.limit + 1, wanted.cursor or "", states)
        )
        records = [of_row(row) for row in rows[: wanted.limit]]
        more = records[-1].name if len(rows) > wanted.limit else None
        return [one for one in records if may_see(who, one.cells)], more

    async def waiting(self, who: Principal) -> list[Plan]:
        """Return the plans of routes.yaml that someone may see and nobody has submitted."""
        written = [of_file(one) for one in self._context.config.cutovers.values()]
        known = await self._context.read(lambda each: {one.name for one in written if cutovers.one(each, one.name)})
        return [one for one in written if one.name not in known and may_see(who, Cells(one.routes))]

    async def shown(self, who: Principal, name: str) -> Cutover:
        """Return a cutover, for someone who may see it."""
        record = await self._context.read(lambda each: cutover_repository.one(each, name)) if is_name(name) else None
        if record is None or not may_see(who, record.cells):
            raise Problem(Code.NOT_FOUND, "no such cutover where you may see it")
        return record

    async def is_known(self, name: str) -> bool:
        """Tell whether there is a cutover of that name, wherever it is."""
        return await self._context.read(lambda each: cutovers.one(each, name)) is not None

    async def in_force(self) -> RouteTable:
        """Return which routes decide now, with what lies over them."""
        config, now = self._context.config, self._context.now()
        if self._compiled is None or self._compiled[0] is not config:
            self._compiled = (config, await asyncio.to_thread(Buckets, config.routes))
        if self._layers is not None:
            return RouteTable(config, self._compiled[1], self._layers())
        return RouteTable(config, self._compiled[1], await self._context.read(lambda each: layers_of(each, now)))

    async def submit(self, by: By, wanted: Submitted) -> tuple[Cutover, bool]:
        """Take a plan; return its cutover, and whether that is new."""
        plan = planned(wanted, self._context.config)
        check_everywhere(by.person, Cells(plan.routes), Action.PLAN)
        self._check_time(plan)
        record = begun(plan, self._event(by, SUBMITTED, plan_hash=hash_of(encoded(plan))))
        note = self._context.note(by.person, "cutover.submit", plan.name)

        def work(connection: Connection) -> Cutover | None:
            return (
                None
                if cutover_repository.add(connection, record, note)
                else cutover_repository.one(connection, plan.name)
            )

        known = await self._context.write(work)
        if known is None:
            log_action("cutover.submit", plan.name, actor(by.person))
            return record, True
        if known.hash != record.hash or known.state not in _AWAITED:
            raise Problem(Code.CONFLICT, f"there is a cutover of that name, which is {known.state}; change it with PUT")
        return known, False

    async def change(self, by: By, name: str, wanted: Submitted, versions: Versions) -> Cutover:
        """Put another plan in the place of the one that is there; it has no approvals."""
        plan, before = planned(wanted, self._context.config), await self.shown(by.person, name)
        if plan.name != before.name:
            raise Problem(Code.BAD_REQUEST, "name: another than that of the cutover")
        for each in (before.plan, plan):
            check_everywhere(by.person, Cells(each.routes), Action.PLAN)
        check_version(versions, before.version, needed=True)
        check_state(before, CHANGEABLE)
        if hash_of(encoded(plan)) == before.hash and before.state in _AWAITED:
            return before
        self._check_time(plan)
        event = self._event(by, CHANGED, plan_hash=hash_of(encoded(plan)))
        return await self._put(by, before, replanned(before, plan, event), "cutover.change")

    async def preflight(
        self, who: Principal, name: str, patience: float | None = None
    ) -> tuple[Cutover, list[Finding]]:
        """Look at everything that must hold, and change nothing; `patience` is seconds for all tokens together."""
        record, config, now = await self.shown(who, name), self._context.config, self._context.now()
        found = await self._context.read(lambda each: gathered(each, record, config, now))
        tokens = await self._tokens(record, config, patience)
        return record, findings(PreflightFacts(record, config, now, found, tokens))

    async def approve(self, by: By, name: str, plan_hash: str, comment: str = "") -> Cutover:
        """Give one person's word for exactly the plan with this hash, perhaps with a comment."""
        said, record = text_of("comment", comment.strip() or None), await self._judged(by, name, plan_hash)
        if has_written(by, record):
            raise Problem(Code.CONFLICT, "whoever wrote a plan does not approve it")
        if has_approved(by, record):
            return record
        check_state(record, (CutoverState.SUBMITTED,))
        event = self._event(by, APPROVAL, said, record.hash)
        after = approved(record, Approval(event.at, actor(by.person), by.known, record.hash, said), event)
        return await self._put(by, record, after, "cutover.approve", said)

    async def reject(self, by: By, name: str, plan_hash: str, because: str) -> Cutover:
        """Say no to exactly the plan with this hash, and why; whoever wrote it calls it off instead."""
        reason, record = reason_of(because), await self._judged(by, name, plan_hash)
        if has_written(by, record):
            raise Problem(Code.CONFLICT, "whoever wrote a plan does not reject it; cancel it instead")
        if record.state is CutoverState.REJECTED:
            return record
        check_state(record, REJECTABLE)
        event = self._event(by, CutoverState.REJECTED.value, reason, record.hash)
        after = record.moved(CutoverState.REJECTED, event, ended_at=event.at)
        return await self._put(by, record, after, "cutover.reject", reason)

    async def postpone(self, by: By, name: str, wanted: Postponing, versions: Versions = None) -> Cutover:
        """Give it another time; that is another plan, which nobody has approved."""
        reason, before = reason_of(wanted.reason), await self.shown(by.person, name)
        check_everywhere(by.person, before.cells, Action.PLAN)
        check_version(versions, before.version)
        try:
            plan = structs.replace(before.plan, at=instant_of(wanted.at))
        except TimeRefused as error:
            raise Problem(Code.BAD_REQUEST, f"at: {error}") from None
        check_state(before, CHANGEABLE)
        if plan == before.plan and before.state in _AWAITED:
            return before
        if wrong := faults(plan, self._context.config):
            raise Problem(Code.CONFLICT, "; ".join(wrong))
        self._check_time(plan)
        event = self._event(by, POSTPONED, reason, hash_of(encoded(plan)))
        return await self._put(by, before, replanned(before, plan, event), "cutover.postpone", reason)

    async def start(self, by: By, name: str, because: str, versions: Versions = None) -> Cutover:
        """Have it applied now, if everything holds that must."""
        reason, record = reason_of(because), await self._steered(by, name, versions)
        if record.state in _UNDER_WAY:
            return record
        check_state(record, STARTABLE)
        config, now = self._context.config, self._context.now()
        if why := await self._context.read(lambda each: obstacles(each, record, config, now)):
            raise Problem(Code.CONFLICT, said(why))
        event = self._event(by, CutoverState.DRAINING.value, reason)
        return await self._put(by, record, record.moved(CutoverState.DRAINING, event), "cutover.start", reason)

    async def cancel(self, by: By, name: str, because: str, versions: Versions = None) -> Cutover:
        """Call it off."""
        reason, record = reason_of(because), await self._steered(by, name, versions)
        if record.state is CutoverState.CANCELLED:
            return record
        check_state(record, CANCELLABLE)
        event = self._event(by, CutoverState.CANCELLED.value, reason)
        after = record.moved(CutoverState.CANCELLED, event, ended_at=event.at)
        return await self._put(by, record, after, "cutover.cancel", reason)

    async def roll_back(self, by: By, name: str, because: str, versions: Versions = None) -> Cutover:
        """Take its routes away again."""
        reason, record = reason_of(because), await self._steered(by, name, versions)
        if record.state is CutoverState.ROLLED_BACK:
            return record
        if not record.is_executed:
            is_in_file = record.state is CutoverState.FINISHED
            why = "routes.yaml says the same now: change it there" if is_in_file else f"the cutover is {record.state}"
            raise Problem(Code.CONFLICT, why)
        counted, outcomes = await self._context.read(lambda each: outcomes_since(each, record))
        report = counted_into(record.report, counted, outcomes)
        after = rolled_back(
            record, self._event(by, CutoverState.ROLLED_BACK.value, reason), self._context.config, report
        )
        return await self._put(by, record, after, "cutover.rollback", reason)

    async def _judged(self, by: By, name: str, plan_hash: str) -> Cutover:
        """Return a cutover with exactly this plan, for someone who approves wherever it changes something."""
        record = await self.shown(by.person, name)
        check_everywhere(by.person, record.cells, Action.APPROVE)
        if plan_hash != record.hash:
            raise Problem(Code.CONFLICT, f"the plan is another one now: {record.hash}")
        return record

    async def _steered(self, by: By, name: str, versions: Versions) -> Cutover:
        """Return a cutover, for someone who plans or operates wherever it changes something."""
        record = await self.shown(by.person, name)
        if not may_steer(by.person, record.cells):
            raise Problem(Code.FORBIDDEN, f"{Action.PLAN} or {Action.OPERATE} there")
        check_version(versions, record.version)
        return record

    async def _tokens(self, record: Cutover, config: Config, patience: float | None) -> dict[str, str | None] | None:
        service = config.jft
        if self._token is None or service is None:
            return None
        try:
            async with asyncio.timeout(patience):
                return await tried(self._token, service, record.cells.going_new(config))
        except TimeoutError:
            return {}

    def _check_time(self, plan: Plan) -> None:
        if why := why_not(plan.at, self._context.now(), self._context.config.freezes):
            raise Problem(Code.CONFLICT, "; ".join(why))

    async def _put(self, by: By, before: Cutover, after: Cutover, action: str, reason: str | None = None) -> Cutover:
        note = self._context.note(by.person, action, before.name, reason)
        written = await self._context.write(lambda connection: cutover_repository.put(connection, before, after, note))
        if written is None:
            raise Problem(Code.CHANGED_MEANWHILE, LOST_RACE)
        log_action(action, before.name, actor(by.person))
        tell(before, written)
        return written

    def _event(self, by: By, what: str, reason: str | None = None, plan_hash: str | None = None) -> CutoverEvent:
        node = self._context.ledger.node
        return CutoverEvent(self._context.now(), node, what, actor(by.person), reason, by.known, plan_hash)


def check_state(record: Cutover, among: Collection[CutoverState]) -> None:
    """Raise `Problem` where a cutover is in no state that a step is taken from."""
    if record.state not in among:
        raise Problem(Code.CONFLICT, f"the cutover is {record.state}")


def brief(record: Cutover) -> dict[str, Any]:
    """Return a cutover as a list has it."""
    return {
        "name": record.name,
        "state": record.state.value,
        "at": when_any(record.at),
        "at_oslo": shown(record.plan.at),
        "hash": record.hash,
        "submitted_by": record.submitted_by,
        "submitted_at": when_any(record.submitted_at),
        "approvals": [{"by": one.by, "at": when_any(one.at), "comment": one.comment} for one in record.approvals],
        "approvals_missing": record.lacking,
        "is_executed": record.is_executed,
        "switched_at": when_any(record.switched_at),
        "ended_at": when_any(record.ended_at),
        "version": record.version,
    }


def whole(record: Cutover) -> dict[str, Any]:
    """Return a cutover with its plan, what came of it, and its history."""
    report = None if record.report is None else msgspec.to_builtins(record.report)
    plan = msgspec.to_builtins(record.plan)
    return {
        **brief(record),
        "plan": plan,
        "report": report,
        "history": [_event_document(one) for one in record.history],
    }


def preflight_document(record: Cutover, findings: list[Finding]) -> dict[str, Any]:
    """Return what a preflight found."""
    return {
        "name": record.name,
        "hash": record.hash,
        "ready": all(one.ok for one in findings),
        "findings": [
            {"check": one.check, "ok": one.ok, "warns": one.warns, "part": one.part, "code": one.code, "text": one.text}
            for one in findings
        ],
    }


def _event_document(event: CutoverEvent) -> dict[str, Any]:
    names = ("node", "what", "by", "reason", "hash")
    return {"at": when_any(event.at), **{name: getattr(event, name) for name in names}}
