"""Writes down what is known of a delivery, however long the ledger cannot be written."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.records import PassedNote
from gateway.model import Account
from gateway.tasks import Intervals, finish
from gateway.times import Clock
from gateway.upstreams.jft_answers import Submitted

T = TypeVar("T")
log = structlog.get_logger()

_MOST_NOTES = 10_000
"""Notes of what VKP took that may wait for the ledger; beyond these a copy is not known."""


class Recorder:
    """What it could not write it tries again until it is stopped: what is known of a delivery is never guessed later."""

    def __init__(self, ledger: Ledger, clock: Clock, intervals: Intervals) -> None:
        self._ledger = ledger
        self._clock = clock
        self._intervals = intervals
        self._writing: set[asyncio.Task[Any]] = set()
        self._notes: list[PassedNote] = []
        self._flush: asyncio.TimerHandle | None = None
        self._late = 0
        """Changes that wait for the ledger."""

    async def delivered(self, message: int, reference: str, submitted: Submitted, first_poll: float) -> None:
        """Write down that a message was accepted; `first_poll` is in how many seconds to ask what became of it."""
        next_poll = self._clock() + first_poll

        async def write() -> bool:
            is_news = await self._ledger.delivered(message, submitted.event_id, submitted.kind, next_poll=next_poll)
            if not is_news:
                log.error("ledger.delivered_twice", reference=reference, event_id=submitted.event_id)
            return is_news

        try:
            await write()
        except LedgerUnavailable:
            log.error("ledger.delivered_not_written", reference=reference, event_id=submitted.event_id)  # noqa: TRY400 - told by the store
            self.later(reference, write)

    async def surely(self, reference: str, write: Callable[[], Awaitable[bool]]) -> None:
        """Make a change of the ledger now, or as soon as it can be written."""
        try:
            await write()
        except LedgerUnavailable:
            self.later(reference, write)

    def later(self, reference: str, write: Callable[[], Awaitable[bool]]) -> None:
        """Make a change of the ledger as soon as it can be written."""
        self._spawn(self._until_written(reference, write))

    def note_passed(self, account: Account, hashes: tuple[str, str], status: int) -> None:
        """Write down by what a message that VKP took is known again, soon and with others; where that fails, a copy is not known."""
        if len(self._notes) >= _MOST_NOTES:
            return
        if not self._notes:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(self._intervals.notes, lambda: self._spawn(self._write_notes()))
        self._notes.append(PassedNote(account, hashes, status, self._clock()))

    async def brought_to_end(self, work: Coroutine[None, None, T]) -> T:
        """Return what `work` does, which goes on when nobody waits for it any more."""
        task = asyncio.get_running_loop().create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever waited

    @property
    def is_busy(self) -> bool:
        """Whether something is known that is not written yet."""
        return bool(self._late)

    async def stop(self) -> None:
        """Let what is being written be written; what cannot be is unclear at the next start."""
        if self._notes and self._flush is not None:
            self._flush.cancel()
            self._spawn(self._write_notes())
        await finish(self._writing, self._intervals.last_writes)

    async def _write_notes(self) -> None:
        notes, self._notes = self._notes, []
        with contextlib.suppress(LedgerUnavailable):
            await self._ledger.note_passed(notes)

    async def _until_written(self, reference: str, write: Callable[[], Awaitable[bool]]) -> None:
        self._late += 1
        try:
            while True:
                await asyncio.sleep(self._intervals.rewrite)
                with contextlib.suppress(LedgerUnavailable):
                    await write()
                    log.info("ledger.written_late", reference=reference)
                    return
        finally:
            self._late -= 1

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._ended_alone)

    def _ended_alone(self, task: "asyncio.Task[None]") -> None:
        self._writing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("recorder.defect", exc_info=task.exception())
