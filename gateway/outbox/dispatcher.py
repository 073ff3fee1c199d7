"""Delivers what is held: each municipality's patients in order, with pauses that grow, and never for ever."""

import asyncio
import random
from functools import partial

import structlog

from gateway.auth.helseid.access_tokens import Subject
from gateway.errors import Fault
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.records import LONGEST_PAUSE, MOST_ATTEMPTS, Due
from gateway.observability.metrics import DELIVERIES
from gateway.outbox.context import UNCLEAR_REASON, CurrentDelivery, DeliveryContext, set_aside
from gateway.outbox.order import opened
from gateway.outbox.pace import Pace
from gateway.outbox.recorder import Recorder
from gateway.tasks import Intervals, Periodic, finish
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import pause
from gateway.upstreams.jft_answers import NotDelivered
from translators.contract import Call

log = structlog.get_logger()


LONGEST_OUTAGE_PAUSE = 60.0
"""Seconds between two tries at most, where it is not the message that fails."""
NO_SUBJECT = Subject("", b"", 0.0)
"""A held message is never sent with a token that was exchanged for its sender's: `check` refuses such a route."""


class Dispatcher:
    """Claims held messages and delivers them."""

    def __init__(
        self, ledger: Ledger, recorder: Recorder, current: CurrentDelivery, clock: Clock, intervals: Intervals
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._current = current
        self._clock = clock
        self._every = intervals.dispatch
        self._timeout = intervals.delivery
        self.loop = Periodic("dispatch", self._dispatched, self._pause, passing=LedgerUnavailable)
        self._under_way: set[asyncio.Task[None]] = set()
        self._pace = Pace()

    def wake(self) -> None:
        """Say that something may be due."""
        self.loop.soon()

    async def finish(self, within: float) -> None:
        """Let what is under way end, for so many seconds; what does not is unclear at the next start."""
        await finish(self._under_way, within)

    async def dispatch(self) -> int:
        """Begin to deliver what is due and may be sent; return how many messages that were."""
        current = self._current()
        if current is None:
            return 0
        breaker = current.service.breaker
        if breaker.is_open(asyncio.get_running_loop().time()):
            return 0
        # One is enough to ask whether the service is back.
        under_way, begins = len(self._under_way), asyncio.get_running_loop().time()
        room = self._pace.allowed(begins, under_way) if breaker.is_closed else 1 - under_way
        if room <= 0:
            return 0
        # By both clocks before claiming: nothing is sent once another node may take it, however long the claim took.
        until = asyncio.get_running_loop().time() + self._timeout
        claim = self._ledger.claim(room, until=self._clock() + self._timeout)
        claiming = asyncio.get_running_loop().create_task(claim)
        try:
            due = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # What was claimed is ours, whoever stops us; `finish` waits for it.
            await asyncio.wait([claiming])
            if not claiming.cancelled() and claiming.exception() is None:
                self._begin(claiming.result(), current, until)
            raise
        self._begin(due, current, until)
        if due:
            self._pace.begun(begins, len(due))
        return len(due)

    def _begin(self, due: list[Due], current: DeliveryContext, until: float) -> None:
        for each in due:
            task = asyncio.get_running_loop().create_task(self._deliver(each, current, until))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    async def _dispatched(self) -> bool:
        return await self.dispatch() > 0

    def _pause(self) -> float:
        """Return seconds until the next look; sooner where the service may be asked again sooner."""
        current = self._current()
        now = asyncio.get_running_loop().time()
        wait = current.service.breaker.wait(now) if current is not None else 0.0
        return min(wait or self._pace.wait(now) or self._every, self._every)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self.loop.soon()
        if not task.cancelled() and task.exception() is not None:
            log.error("dispatch.defect", exc_info=task.exception())

    async def _deliver(self, due: Due, current: DeliveryContext, until: float) -> None:
        municipality = current.config.municipalities.get(due.municipality)
        if municipality is None:
            await self._quarantine(due, "the municipality is not configured any more")
            return
        try:
            call = opened(current.keys.vault, due.reference, due.payload).as_call()
        except PayloadUnreadable as unreadable:
            await self._quarantine(due, f"its payload cannot be read: {unreadable}")
            return
        if call is None:
            await self._quarantine(due, "nothing says how it is delivered")
            return
        await self._send(due, call, municipality.orgnr, current, until)

    async def _send(self, due: Due, call: Call, orgnr: str, current: DeliveryContext, until: float) -> None:
        remaining = until - asyncio.get_running_loop().time()
        try:
            submitted = await current.service.submit(call, orgnr, NO_SUBJECT, remaining)
        except NotDelivered as failure:
            DELIVERIES.labels(failure.fault.value).inc()
            if failure.blames_service:
                self._pace.was_too_much(asyncio.get_running_loop().time())
            await self._recorder.brought_to_end(self._not_delivered(due, failure))
            return
        DELIVERIES.labels("accepted").inc()
        self._pace.went_well(asyncio.get_running_loop().time(), len(self._under_way))
        written = self._recorder.delivered(due.id, due.reference, submitted, current.follow.first)
        await self._recorder.brought_to_end(written)
        log.info("delivery.accepted", reference=due.reference, event_id=submitted.event_id)

    async def _not_delivered(self, due: Due, failure: NotDelivered) -> None:
        # An attempt that is unclear counts whatever else is wrong: perhaps each of them has delivered the message.
        is_unclear = failure.fault is Fault.NO_ANSWER
        counts = failure.blames_message or is_unclear
        reason, attempts = failure.diagnostics, due.attempts + counts
        if is_unclear and not due.resend_unclear:
            await self._quarantine(due, UNCLEAR_REASON)
        elif failure.fault is Fault.REFUSED_BY_SERVICE:
            await self._quarantine(due, reason)
        elif attempts >= MOST_ATTEMPTS:
            await self._quarantine(due, f"failed {attempts} times, at last: {reason}", unclear=is_unclear)
        else:
            longest = LONGEST_PAUSE if failure.blames_message else LONGEST_OUTAGE_PAUSE
            own = pause(due.tries + 1, random.random(), longest=longest)  # noqa: S311 - no secret
            next_try = self._clock() + max(own, float(failure.hold_off))
            held = partial(self._ledger.held, due.id, reason, next_try=next_try, counted=counts)
            await self._recorder.surely(due.reference, partial(held, unclear=is_unclear))

    async def _quarantine(self, due: Due, reason: str, *, unclear: bool = False) -> None:
        set_aside(due.reference, due.municipality, reason)
        quarantined = partial(self._ledger.quarantined, due.id, reason, unclear=unclear)
        await self._recorder.surely(due.reference, quarantined)
