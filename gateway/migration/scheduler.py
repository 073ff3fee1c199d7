"""Applies cutovers at their time: one node for each, by a lease; every step is written down before the next."""

from collections.abc import Awaitable, Callable

import structlog
from msgspec import structs
from prometheus_client import Counter
from sqlalchemy import Connection

from gateway.config.model import Config
from gateway.ledger import cutovers as store
from gateway.ledger.audit import Note
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.migration import cutover_repository
from gateway.migration.cells import says_the_same, send_back
from gateway.migration.cutover import (
    RETIRED,
    Cutover,
    CutoverEvent,
    CutoverReport,
    CutoverState,
    Step,
    next_of,
    of_row,
    why_missed,
)
from gateway.migration.gates import GateDecision, Outcomes, judge_outcomes, why_back
from gateway.migration.gathered import changed_by, outcomes_since, still_delivering
from gateway.migration.preflight import Finding, conflicts, obstacles, wrong
from gateway.migration.schedule import moment
from gateway.migration.stopped import kept, said
from gateway.observability.metrics import REGISTRY
from gateway.routing.index import Buckets
from gateway.times import Clock

log = structlog.get_logger()

CUTOVERS = Counter(
    "vkp_gateway_cutovers", "Cutovers, by the states that they came to on this node.", ["state"], registry=REGISTRY
)
DRAIN = 60.0
"""Seconds that what is under way has; afterwards it ends as it began, beside what goes the new way."""
LEASE = 30.0
"""Seconds for which a cutover stays with a node that says nothing more."""
MOST_KEPT = 500
"""Changes of cells that are kept with a cutover."""
CALM = 300.0
"""Seconds for which the clock must have run evenly before anything begins, or is missed, by it: time to set it right, within `GRACE`."""
SETTLED = 600.0
"""Seconds for which the file must have said the same: other nodes may be reading it still."""


class Scheduler:
    """Looks after the cutovers of one ledger, as one of its nodes."""

    def __init__(
        self,
        ledger: Ledger,
        current: Callable[[], Config],
        clock: Clock,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._current = current
        self._clock = clock
        self._changed = changed
        self._verdicts: dict[str, GateDecision] = {}
        """What was said last of those that are watched: a rollback that could not be written is not forgotten."""
        self._same_since: dict[str, float] = {}
        self._waits: set[str] = set()
        """Those of which it was told that they wait for the clock."""
        self._compiled: tuple[Config, Buckets] | None = None
        self._steps: dict[Step, Callable[[Cutover], Awaitable[Cutover | None]]] = {
            Step.MISS: self._miss,
            Step.BEGIN: self._begin,
            Step.DRAIN: self._drain,
            Step.SETTLE: self._settle,
            Step.WATCH: self._watch,
            Step.RETIRE: self._retire,
        }

    async def look(self) -> None:
        """Do for each cutover what is to be done now, as far as that goes."""
        for row in await self._ledger.store.read(store.worked_on):
            try:
                await self._advance(of_row(row))
            except LedgerUnavailable:
                raise
            except Exception:
                # One that is broken must not keep the others from being rolled back.
                log.exception("cutover.defect", cutover=row.name)

    async def _advance(self, found: Cutover) -> None:
        record: Cutover | None = found
        while record is not None and (step := next_of(record, self._clock())) is not Step.WAIT:
            if step in (Step.BEGIN, Step.MISS) and self._clock.steady_for() < CALM:
                self._tell_wait(record.name)
                return
            if not await self._is_mine(record):
                return
            self._waits.discard(record.name)
            record = await self._steps[step](record)

    def _tell_wait(self, name: str) -> None:
        if name not in self._waits:
            self._waits.add(name)
            log.error("cutover.waits", cutover=name, reason="the clock was set a moment ago", seconds=CALM)

    async def _is_mine(self, record: Cutover) -> bool:
        now = self._clock()
        if record.owner == self._ledger.node and record.lease is not None and now < record.lease - LEASE / 2:
            return True
        lease = store.Lease(self._ledger.node, now, now + LEASE, alone=self._ledger.store.is_sqlite)
        return await self._ledger.store.write(lambda connection: store.claim(connection, record.name, lease))

    async def _miss(self, record: Cutover) -> Cutover | None:
        log.error("cutover.missed", cutover=record.name, reason=why_missed(record))
        return await self._put(
            record, record.moved(CutoverState.MISSED, self._event(CutoverState.MISSED, why_missed(record)))
        )

    async def _begin(self, record: Cutover) -> Cutover | None:
        now, config = self._clock(), self._current()
        why = await self._ledger.store.read(lambda each: obstacles(each, record, config, now))
        if not why:
            return await self._put(record, record.moved(CutoverState.DRAINING, self._event(CutoverState.DRAINING)))
        return await self._refuse(record, why)

    async def _refuse(self, record: Cutover, why: list[Finding]) -> Cutover | None:
        reason = said(why)
        log.error("cutover.refused", cutover=record.name, reason=reason)
        event = structs.replace(self._event(CutoverState.REFUSED, reason), found=kept(why))
        return await self._put(record, record.moved(CutoverState.REFUSED, event, ended_at=event.at))

    async def _drain(self, record: Cutover) -> Cutover | None:
        """Switch, if the configuration of now still allows it; None as long as that has to wait."""
        left = await self._ledger.store.read(lambda each: still_delivering(each, record))
        now = self._clock()
        if left and 0 <= now - record.since(CutoverState.DRAINING) < DRAIN:
            return None
        config = self._current()
        why, changed = await self._ledger.store.read(
            lambda each: (conflicts(each, record, config, now), changed_by(each, record, config, now))
        )
        if why := [*wrong(record.plan, config), *why]:
            return await self._refuse(record, why)
        event = self._event(CutoverState.SWITCHED, f"still under way from before: {left}" if left else None)
        report = CutoverReport(changed=changed[:MOST_KEPT])
        return await self._put(record, record.moved(CutoverState.SWITCHED, event, switched_at=now, report=report))

    async def _settle(self, record: Cutover) -> Cutover | None:
        state = CutoverState.FINISHED if record.plan.roll_back_when is None else CutoverState.WATCHING
        return await self._put(record, record.moved(state, self._event(state)))

    async def _watch(self, record: Cutover) -> Cutover | None:
        counted, outcomes = await self._ledger.store.read(lambda each: outcomes_since(each, record))
        now, rule = self._clock(), record.plan.watch_rule
        before = self._verdicts.get(record.name, GateDecision.GO_ON)
        verdict = judge_outcomes(rule, outcomes, record.switched_at or now, now, before)
        if verdict is GateDecision.GO_ON:
            return None
        self._verdicts[record.name] = verdict
        report = counted_into(record.report, counted, outcomes)
        if verdict is GateDecision.DONE:
            return await self._put(
                record, record.moved(CutoverState.FINISHED, self._event(CutoverState.FINISHED), report=report)
            )
        # Latched: it may be better by now.
        reason = (rule and why_back(rule, outcomes)) or "it was to be rolled back, and could not be for a while"
        return await self._put(
            record, rolled_back(record, self._event(CutoverState.ROLLED_BACK, reason), self._current(), report)
        )

    async def _retire(self, record: Cutover) -> Cutover | None:
        now, config = self._clock(), self._current()
        if not self._says_the_same(record, config):
            self._same_since.pop(record.name, None)
            return None
        passed = self._clock.monotonic()
        if passed < self._same_since.setdefault(record.name, passed) + SETTLED:
            return None
        event = CutoverEvent(now, self._ledger.node, RETIRED, reason="routes.yaml says the same")
        return await self._put(record, record.noted(event, ended_at=now))

    def _says_the_same(self, record: Cutover, config: Config) -> bool:
        if self._compiled is None or self._compiled[0] is not config:
            self._compiled = (config, Buckets(config.routes))
        return says_the_same(record.plan.routes, self._compiled[1], config)

    async def _put(self, before: Cutover, after: Cutover) -> Cutover | None:
        """Write a step; None where a person was quicker."""
        event, node = after.history[-1], self._ledger.node
        note = Note(event.at, node, f"gateway ({node})", f"cutover.{event.what}", before.name, event.reason)

        def work(connection: Connection) -> Cutover | None:
            return cutover_repository.put(connection, before, after, note)

        written = await self._ledger.store.write(work)
        if written is not None:
            tell(before, written)
            if not written.is_executed or written.state is CutoverState.FINISHED:
                self._verdicts.pop(written.name, None)
            if before.is_executed != written.is_executed:
                self._changed()
        return written

    def _event(self, state: CutoverState, reason: str | None = None) -> CutoverEvent:
        return CutoverEvent(self._clock(), self._ledger.node, state.value, reason=reason)


def rolled_back(record: Cutover, event: CutoverEvent, config: Config, report: CutoverReport) -> Cutover:
    """Return a cutover without its routes, and with what can be done about the messages that went new."""
    since = moment(record.switched_at or event.at).isoformat(timespec="seconds")
    commands = send_back(record.plan.routes, config, since)
    told = structs.replace(report, reason=event.reason, send_back=commands)
    return record.moved(CutoverState.ROLLED_BACK, event, ended_at=event.at, report=told)


def counted_into(report: CutoverReport | None, counted: dict[str, int], outcomes: Outcomes) -> CutoverReport:
    """Return a report with what has become of messages by now."""
    before = report or CutoverReport()
    return structs.replace(before, fine=outcomes.fine, failed=outcomes.failed, outcomes=counted)


def tell(before: Cutover, after: Cutover) -> None:
    """Log and count a change of state; a rollback is an alarm."""
    if before.state is after.state:
        return
    CUTOVERS.labels(after.state.value).inc()
    if after.state is CutoverState.ROLLED_BACK:
        report = after.report or CutoverReport()
        log.error(
            "cutover.rolled_back",
            cutover=after.name,
            failed=report.failed,
            fine=report.fine,
            reason=report.reason if after.history[-1].by is None else None,
            by=after.history[-1].by,
            next=report.send_back,
        )
    else:
        log.info("cutover.state", cutover=after.name, state=after.state.value)
