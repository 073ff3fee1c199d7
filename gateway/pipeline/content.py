"""What a journaling's body says: read for senders whose token verifies, within a budget, and large bodies in a thread."""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from gateway.auth.helseid.claims import Claims
from gateway.config.model import Limits
from gateway.errors import Failure, Fault
from gateway.limits import TokenBuckets
from gateway.model import Body
from gateway.pipeline.identify import Identified, Identifier
from gateway.surfaces.base import Content

T = TypeVar("T")

LARGE = 100_000
"""Bytes of a body that is worked on in a thread, so that others need not wait for it."""
_MOST_WAITING = 64
"""Large bodies that wait for the thread; what comes then is told to come again."""
_UNVERIFIED = "unverified"
"""By which all senders together are counted whose tokens nobody can verify now."""


class Worker:
    """One thread of a process, in which large bodies are worked on one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="content")
        self._waiting = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """Do work on a body of so many bytes: at once where that is short, else in the thread; raises `Failure` when it is busy."""
        if size <= LARGE:
            return work()
        if self._waiting >= _MOST_WAITING:
            raise Failure(Fault.TOO_MANY, "Too many large messages are being read", retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def later(self, size: int, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do work that nobody waits for, and hand on what came of it; where the thread is busy, at once."""
        if size <= LARGE or self._waiting >= _MOST_WAITING:
            done(work())
            return
        task = asyncio.get_running_loop().create_task(self.run(size, work))
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, done))

    def _finished(self, done: Callable[[T], None], task: "asyncio.Task[T]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            done(task.result())

    def close(self) -> None:
        """Take nothing more; what is under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class ContentReader:
    """Reads bodies for the messages of one configuration."""

    def __init__(self, limits: Limits, spent: TokenBuckets, worker: Worker, clock: Callable[[], float]) -> None:
        """`spent` is what senders have had read lately, in bytes; it outlives a configuration. `clock` is monotonic."""
        self._limits = limits
        self._spent = spent
        self._clock = clock
        self._worker = worker

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """Do work on a body of so many bytes; raises `Failure` when too many wait."""
        return await self._worker.run(size, work)

    def later(self, size: int, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do work on a body that nobody waits for."""
        self._worker.later(size, work, done)

    async def read(self, body: Body, identified: Identified, claims: Claims | None) -> Content:
        """Read a journaling's body; what cannot be read says why. `claims` are a verified token's; None where nobody can verify it.

        Raises `Failure` when the sender has had as much read as it may.
        """
        data = await body.read(self._limits.body)
        if data is None:
            text = f"The body is larger than {self._limits.body} bytes"
            return Content(failure=Failure(Fault.TOO_LARGE, text))
        if wait := self._wait(claims, len(data)):
            text = "As much is read of the sender's messages, or without HelseID of everybody's, as may be"
            raise Failure(Fault.TOO_MANY, text, retry_after=math.ceil(wait))
        return await self.run(len(data), lambda: Identifier.content(data, identified))

    def read_at_once(self, body: Body, identified: Identified, claims: Claims) -> Content | None:
        """Read a body that has come, is small, and is within the sender's budget; return None for every other."""
        data = body.whole(min(LARGE, self._limits.body))
        if data is None or self._wait(claims, len(data)):
            return None
        return Identifier.content(data, identified)

    def _wait(self, claims: Claims | None, size: int) -> float:
        """Count what is read; return 0 when it is within the budget, else the seconds until it is."""
        if claims is None:
            return self._spent.wait(_UNVERIFIED, self._limits.parsing_unverified, self._clock(), amount=size)
        client = f"client {claims.get('client_id')}"
        return self._spent.wait(client, self._limits.parsing_per_sender, self._clock(), amount=size)
