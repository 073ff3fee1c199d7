"""The regular work on the ledger: what was with processes that are gone, counts, and what is kept no longer."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

import structlog

from gateway.config.model import Config
from gateway.ledger import (
    comparisons,
    decision_log,
    findings,
    idempotency,
    learnt_numbers,
    rehearsals,
    restore,
    retention,
    shares,
    traffic,
)
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.records import PENDING, MessageState
from gateway.ledger.restore import PositionFile
from gateway.ledger.retention import ahead_of_database
from gateway.observability.metrics import CLOCK_DOUBTED, CLOCK_STEPS, LEDGER_MESSAGES, LEDGER_OLDEST, LEDGER_RUNS
from gateway.outbox.context import UNCLEAR_REASON, Backlog, set_aside
from gateway.outbox.recorder import Recorder
from gateway.tasks import Intervals, Periodic
from gateway.times import Clock, when_any

log = structlog.get_logger()

_SHARE = 20.0
"""Counting takes a twentieth of the time at most: it is linear in what is held."""
_AGAIN = 60.0
"""Seconds until a purge that failed is tried again."""


class Maintenance:
    """Does the regular work of one node; that several nodes do it at once harms nothing."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        ledger: Ledger,
        recorder: Recorder,
        backlog: Backlog,
        current: Callable[[], Config],
        *,
        is_served: Callable[[], bool],
        clock: Clock,
        wake: Callable[[], None],
        intervals: Intervals,
        positions: PositionFile | None = None,
    ) -> None:
        self._ledger = ledger
        self._positions = positions
        self._told_submitted = -1
        """How much had been written when the position was kept last."""
        self._is_position_kept = True
        self._recorder = recorder
        self._backlog = backlog
        self._current = current
        self._is_served = is_served
        self._clock = clock
        self._wake = wake
        self._counting = 0.0
        """Seconds that the last count took."""
        self._shown: set[tuple[str, str]] = set()
        self._looked_at: float | None = None
        """When the clock was last looked at, by the monotonic one."""
        self._looked_through: tuple[int, int] = (0, 0)
        """The newest messages at the last look for followers of nothing, and at the one before: older ones were seen by both."""
        self._told_left: int | None = None
        """How much was held when it was last told that nothing delivers it; None while something does."""
        self.loops = (
            self._loop("count", self.count, lambda: max(intervals.count, _SHARE * self._counting)),
            self._loop("position", self.keep_position, intervals.count),
            self._loop("recover", self.recover, intervals.recover),
            self._loop("followers", self.release_followers, intervals.followers, after=intervals.settle),
            self._loop("tidy", ledger.store.tidy, intervals.tidy, after=intervals.settle),
            self._loop("purge", self.purge, intervals.purge, after=intervals.settle, again=_AGAIN),
        )

    def _loop(
        self,
        name: str,
        work: Callable[[], Coroutine[None, None, None]],
        every: float | Callable[[], float],
        *,
        after: float = 0.0,
        again: float | None = None,
    ) -> Periodic:
        async def whole() -> None:
            # To its end, also when we stop: whatever it has set aside is told.
            await self._recorder.brought_to_end(work())

        return Periodic(name, whole, every, after=after, again=again, passing=LedgerUnavailable)

    async def keep_position(self) -> None:
        """Note how far the ledger is, in it and beside the keys: so a start knows a database that was restored."""
        if (file := self._positions) is None:
            return
        store, now, node = self._ledger.store, self._clock(), self._ledger.node
        submitted = store.submitted
        if submitted != self._told_submitted:
            found = await store.write(lambda connection: restore.advance(connection, now, node), is_news=False)
        else:
            found = await store.read(restore.position)
        self._told_submitted = submitted
        try:
            if found is not None:
                await asyncio.to_thread(file.write, found)
            self._is_position_kept = True
        except OSError as error:
            if self._is_position_kept:
                log.warning("ledger.position_not_kept", reason=error.strerror)
            self._is_position_kept = False

    async def count(self) -> None:
        """Count what waits, for the metrics and for the bound of what is held."""
        began = self._clock.monotonic()
        found = await self._ledger.store.read(retention.counts)
        self._counting = self._clock.monotonic() - began
        held = {each.municipality: each.messages for each in found if each.state == MessageState.HELD}
        many = [name for name, messages in held.items() if messages >= self._current().limits.backlog_per_sender]
        self._backlog.counted(
            held, await self._ledger.store.read(partial(retention.held_of_senders, many)) if many else {}
        )
        CLOCK_STEPS.set(self._clock.steps)
        now, oldest = self._clock(), dict.fromkeys((*MessageState, "overdue"), 0.0)
        shown = set()
        for each in found:
            LEDGER_MESSAGES.labels(each.municipality, each.state).set(each.messages)
            shown.add((each.municipality, each.state))
            oldest[each.state] = max(oldest[each.state], now - each.oldest)
        for gone in self._shown - shown:
            LEDGER_MESSAGES.labels(*gone).set(0)
        self._shown |= shown
        for state in (MessageState.HELD, MessageState.QUARANTINED, "overdue"):
            LEDGER_OLDEST.labels(state).set(oldest[state])
        await self._tell_left(sum(each.messages for each in found if each.state in PENDING))

    async def _tell_left(self, held: int) -> None:
        """Tell of what is left in the ledger while nothing delivers or follows it: at first, and when more is held."""
        if self._is_served():
            self._told_left = None
            return
        if self._told_left is not None and held <= self._told_left:
            return
        followed = await self._ledger.store.read(retention.followed)
        if held or followed:
            log.error("delivery.without_service", held=held, followed=followed)
        self._told_left = held

    async def recover(self) -> None:
        """Take up what was with processes that are gone."""
        if self._recorder.is_busy:
            return  # what is known, and not written yet, must not be taken for unclear
        is_alone, lease = self._ledger.store.is_sqlite, self._ledger.lease
        longest = self._current().limits.request_timeout + 2 * lease
        if await self._ledger.is_ahead():
            log.error("clock.ahead_of_database")
            return
        for each in await self._ledger.recover(alone=is_alone, longest=longest):
            if each.state is MessageState.QUARANTINED:
                set_aside(each.reference, each.municipality, UNCLEAR_REASON)
            else:
                log.warning(
                    "delivery.unclear",
                    reference=each.reference,
                    municipality=each.municipality,
                    state=each.state.value,
                )
        self._wake()

    async def release_followers(self) -> None:
        """Have held messages delivered that follow none any more; a message's own transaction ends within a minute."""
        older, newer = self._looked_through
        released, newest = await self._ledger.release_followers(older)
        self._looked_through = (newer, newest)
        if released:
            log.warning("dispatch.followers_released", messages=released)
            self._wake()

    async def purge(self) -> None:
        """Clear away what has been kept long enough, and write down that it was done."""
        now, config = self._clock(), self._current()
        if (doubted := await self._doubt(now)) is not None:
            until = when_any(doubted.until)
            log.error("retention.waits", reason=doubted.reason, until=until)
            return
        keep = config.retention
        times = retention.RetentionTimes(
            now - keep.payload, now - keep.receipt, now - keep.audit, now - config.limits.duplicate_window
        )
        line = self._ledger.line
        purged = await retention.purge(self._ledger.store, times, lambda state, why: line(now, state, why), _tell)
        store, before = self._ledger.store, now - keep.decision
        await shares.clear(store, times.payload)
        while await store.write(lambda connection: decision_log.purge(connection, before)):
            pass
        await store.write(
            lambda connection: rehearsals.purge(connection, before) + learnt_numbers.purge(connection, now)
        )
        await store.write(
            lambda connection: traffic.purge(connection, before, now) + findings.purge(connection, before)
        )
        await store.write(lambda connection: comparisons.purge(connection, before))
        await store.write(lambda connection: idempotency.purge(connection, now - idempotency.KEPT))
        number, oldest = await store.read(lambda connection: retention.kept_longer(connection, times.payload))
        if number:
            log.error("retention.kept_longer", messages=number, oldest=when_any(oldest))
        outcome = f"{purged.payloads} payloads, {purged.rows} rows"
        await retention.ran(self._ledger.store, retention.PURGE, now, self._ledger.node, outcome)
        LEDGER_RUNS.labels(retention.PURGE).set(now)
        log.info("retention.purged", payloads=purged.payloads, rows=purged.rows)

    async def _doubt(self, now: float) -> retention.Doubt | None:
        """Say why nothing may be cleared away now; how much time has passed since the last look is this process's to know."""
        passed = self._clock.monotonic()
        since = 0.0 if self._looked_at is None else passed - self._looked_at
        node = self._ledger.node
        ahead = await self._ledger.store.read(lambda each: ahead_of_database(each, now))
        found = await self._ledger.store.write(lambda each: retention.doubt(each, now, since, node, ahead))
        if found is None or found.until is not None:
            self._looked_at = passed
        CLOCK_DOUBTED.set(found is not None)
        return found


def _tell(event: str, reference: str, municipality: str) -> None:
    """Tell of what a person must hear of."""
    log.error(event, reference=reference, municipality=municipality)
