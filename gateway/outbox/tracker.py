"""Follows delivered events to the record: asks JFT how far each has come, and tells of those that nobody acknowledged."""

import asyncio
from contextlib import suppress

import structlog
from msgspec import structs

from gateway.config.upstreams import Follow
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.records import FollowedEvent, MessageState
from gateway.limits import TokenBuckets
from gateway.observability.metrics import OVERDUE_EVENTS, POLLS
from gateway.outbox.context import CurrentDelivery, DeliveryContext
from gateway.tasks import Intervals, Periodic
from gateway.times import DAY, Clock
from gateway.upstreams.jft_answers import EventStatus, StatusUnknown, Submitted

log = structlog.get_logger()

_MOST = 32
"""Polls at a time."""
_TIMEOUT = 15.0
_LEASE = 60.0
"""Seconds until another node may poll for what this one has taken."""
_UNASKED = DAY
"""Seconds after its time for which nobody hears of an event that could not be asked for: JFT may only be away."""
_LONGEST_OF_WAITING = 4.0
"""Seconds between polls while a sender waits, at most."""


def interval(polls: int, follow: Follow) -> float:
    """Return seconds from one poll to the next: doubled each time."""
    return float(min(follow.first * 2 ** min(polls, 32), follow.longest))


def next_poll(due: FollowedEvent, follow: Follow, now: float) -> float:
    """Return when to poll again: never later than when the event becomes overdue."""
    regular = now + interval(due.polls, follow)
    return min(regular, due.overdue_at) if now < due.overdue_at else regular


def _longest(follow: Follow) -> float:
    """Return for how many seconds no poll is ever put off."""
    return 2.0 * max(follow.first, follow.longest) + _LEASE


class Tracker:
    """Polls for what is due, within one budget for each municipality."""

    def __init__(self, ledger: Ledger, current: CurrentDelivery, clock: Clock, intervals: Intervals) -> None:
        self._ledger = ledger
        self._current = current
        self._clock = clock
        self._budgets = TokenBuckets()
        self._first_of_waiting = intervals.acknowledgement
        self.loop = Periodic("follow", self._polled, intervals.follow, passing=LedgerUnavailable)

    async def _polled(self) -> bool:
        """Poll, and tell whether more may be due."""
        return await self.poll() >= _MOST

    async def poll(self) -> int:
        """Poll for events whose time has come; return how many there were."""
        followed, now = self._current(), self._clock()
        if followed is None:
            return 0
        without = [name for name in followed.config.municipalities if self._wait(name, followed, count=False)]
        events = await self._ledger.due_for_poll(
            _MOST, until=now + _LEASE, without=without, longest=_longest(followed.follow)
        )
        await asyncio.gather(*(self._poll(due, followed) for due in events))
        return len(events)

    async def until_acknowledged(self, message: int, event: Submitted, municipality: str, until: float) -> bool:
        """Ask again and again until an event was acknowledged, or until a time of the event loop; return whether it was."""
        followed, loop, pause = self._current(), asyncio.get_running_loop(), self._first_of_waiting
        while followed is not None and loop.time() + pause < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_OF_WAITING)
            if self._wait(municipality, followed):
                continue
            with suppress(StatusUnknown):
                if (await self._asked(event, municipality, followed)).acknowledged is not None:
                    await self._ledger.acknowledged(message)
                    return True
        return False

    async def _poll(self, due: FollowedEvent, followed: DeliveryContext) -> None:
        now = self._clock()
        if wait := self._wait(due.municipality, followed):
            await self._ledger.poll_again(due.id, next_poll=now + wait, asked=False)
            return
        try:
            status = await self._asked(Submitted(due.event_id, due.event_kind), due.municipality, followed)
        except StatusUnknown as unknown:
            if unknown.is_temporary:
                await self._ledger.poll_again(due.id, next_poll=now + followed.follow.first, asked=False)
                if now >= due.overdue_at + _UNASKED and not due.overdue:
                    await self._tell_overdue(due, None)
                return
            status = None
        again = next_poll(structs.replace(due, polls=due.polls + 1), followed.follow, now)
        if status is not None and status.acknowledged is not None:
            await self._ledger.acknowledged(due.id)
        elif status is not None and status.read is not None and due.state is MessageState.DELIVERED:
            await self._ledger.read(due.id, next_poll=again)
        else:
            await self._ledger.poll_again(due.id, next_poll=again)
        if now >= due.overdue_at and not due.overdue and (status is None or status.acknowledged is None):
            await self._tell_overdue(due, status)

    async def _tell_overdue(self, due: FollowedEvent, status: EventStatus | None) -> None:
        reason = "its state cannot be asked" if status is None else "read" if status.read else "not read"
        if await self._ledger.overdue(due.id, reason):
            OVERDUE_EVENTS.labels(due.municipality).inc()
            log.error(
                "event.overdue",
                reference=due.reference,
                municipality=due.municipality,
                event_id=due.event_id,
                reason=reason,
            )

    async def _asked(self, event: Submitted, municipality: str, followed: DeliveryContext) -> EventStatus:
        """Return how far an event has come; raises `StatusUnknown`."""
        if (known := followed.config.municipalities.get(municipality)) is None:
            log.warning("event.state_unknown", municipality=municipality, reason="not configured any more")
            raise StatusUnknown("not configured any more")
        try:
            status = await followed.service.status(event, known.orgnr, _TIMEOUT)
        except StatusUnknown as unknown:
            POLLS.labels("unknown").inc()
            log.warning(
                "event.state_unknown", municipality=municipality, event_id=event.event_id, reason=unknown.reason
            )
            raise
        POLLS.labels("acknowledged" if status.acknowledged else "read" if status.read else "registered").inc()
        return status

    def _wait(self, municipality: str, followed: DeliveryContext, *, count: bool = True) -> float:
        """Return 0 when a municipality's budget has room for a poll, which is counted, else seconds until it has."""
        budget, now = followed.follow.budget, self._clock.monotonic()
        return (
            self._budgets.wait(municipality, budget, now) if count else self._budgets.short(municipality, budget, now)
        )
