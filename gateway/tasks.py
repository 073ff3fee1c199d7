"""Background work of a process: what comes round every so often, how often that is, and what becomes of its failures."""

import asyncio
import math
import random
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")
J = TypeVar("J")

_LAST = 5.0
"""Seconds that the last time may take."""
_JITTER = 0.1
"""Share of a pause that may be left out, by chance, so that several processes do not come together."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often the background work of a process comes round, and how patient it is; in seconds."""

    files: float = 2.0
    """Between two looks at whether the configuration or certificates have changed."""
    file_patience: float = 10.0
    """How long files may take to be read; a mount may hang for ever."""
    layers: float = 0.25
    """Between two looks at whether people have set something over the routes."""
    cutovers: float = 1.0
    dispatch: float = 1.0
    """When nothing says that there is news: another process may have held it."""
    follow: float = 1.0
    share: float = 1.0
    """Between two looks at what is to be shared with other services."""
    count: float = 1.0
    recover: float = 10.0
    followers: float = 60.0
    """Between two looks for held messages that follow none any more."""
    tidy: float = 60.0
    """Between two looks at whether SQLite's files have grown."""
    purge: float = 3600.0
    settle: float = 5.0
    """Until a process that has just started first clears away and tidies up: senders and what is held come first."""
    heartbeat: float = 10.0
    """Between two times that a node says that it is there."""
    decisions: float = 1.0
    """Between two writes of the decision log."""
    notes: float = 0.05
    """Until what VKP took is written, with all that it took since."""
    verdicts: float = 3.0
    """Between two writes of what rehearsals found."""
    rewrite: float = 1.0
    """Until what the ledger did not take is written again."""
    copies: float = 0.25
    """Between two looks at what another process does with the first copy of a message."""
    acknowledgement: float = 0.5
    """Until JFT is first polled while a sender waits for the record; doubled from poll to poll."""
    replica: float = 1.0
    """Between two looks at which copies no other node fills."""
    replica_count: float = 15.0
    """Between two looks at how old and how large copies are."""
    ledger_patience: float = 30.0
    """How long a start waits for another process to leave the ledger."""
    last_writes: float = 5.0
    """How long a stop waits for what is being written."""
    delivery: float = 30.0
    """How long one delivery of a held message may take."""
    lease: float = 30.0
    """How long a message stays with a process that was to deliver it, beyond the deadline."""
    comparing: float = 30.0
    """How long the new side may take over a search that VKP has answered."""


USUAL = Intervals()

Rest = Callable[[asyncio.Event, float], Awaitable[None]]
"""Returns when the event is set, or so many seconds have passed."""


async def rest(due: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or for so many seconds of the event loop's time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await due.wait()


async def finish(tasks: Collection[asyncio.Task[Any]], within: float) -> None:
    """Let tasks end, for so many seconds, and cancel those that have not."""
    if tasks:
        await asyncio.wait(tasks, timeout=within)
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Periodic:
    """Does its work again and again, with pauses; never twice at once.

    A failure is told as `task.defect`, and the work is done again after a pause. What is in `passing` was told where it was
    raised. Work that returns true has more to do and gets no pause.
    """

    def __init__(  # noqa: PLR0913 - what a loop may be told
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        every: float | Callable[[], float],
        *,
        at_once: bool = True,
        after: float = 0.0,
        again: float | None = None,
        passing: type[Exception] | tuple[type[Exception], ...] = (),
        rest: Rest = rest,
    ) -> None:
        """`every` is the pause in seconds, or says what it is now; `again` is the one after a failure, where that is another.

        `at_once` says whether it begins with the work, or with a pause; `after` is a pause of its own before the first time.
        """
        self._name = name
        self._work = work
        self._every = every
        self._at_once = at_once
        self._after = after
        self._again = again
        self._passing = passing
        self._rest = rest
        self._due = asyncio.Event()
        self._alone = asyncio.Lock()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def soon(self) -> None:
        """Do not wait for the time to come round."""
        self._due.set()

    async def stop(self) -> None:
        """End at once, also in the middle of the work."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def finish(self) -> None:
        """Work a last time, and end; what takes too long is given up."""
        self._stopping = True
        self._due.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST), self._alone:
                await self._try()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        if self._after or not self._at_once:
            await self._wait(self._after or self._pause())
        while not self._stopping:
            self._due.clear()
            async with self._alone:
                pause = await self._try()
            if pause is not None:
                await self._wait(pause)

    async def _wait(self, pause: float) -> None:
        await self._rest(self._due, pause * (1.0 - _JITTER * random.random()))  # noqa: S311 - no secret

    async def _try(self) -> float | None:
        """Work once; return the pause until the next time, None for none."""
        try:
            if await self._work() is True:
                await asyncio.sleep(0)
                return None
        except self._passing:
            failed = True
        except Exception:
            log.exception("task.defect", task=self._name)
            failed = True
        else:
            failed = False
        if failed and self._again is not None:
            return self._again
        return self._pause()

    def _pause(self) -> float:
        return self._every() if callable(self._every) else self._every


_SHARE = 0.75
"""Of a queue's room that one of those who bring jobs may take: others keep a place."""


class WorkQueue(Generic[J]):
    """A bounded queue of jobs that are worked off one at a time, beside whatever else there is to do; a job that fails is told of.

    Those who bring jobs take turns, and nobody has more than three quarters of the room: whatever one brings, others' is done too.
    """

    def __init__(self, name: str, work: Callable[[J], Awaitable[None]], *, most: int, most_bytes: int) -> None:
        """`most` jobs wait at a time, of no more than `most_bytes` together."""
        self._name = name
        self._work = work
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: OrderedDict[str, deque[tuple[J, int]]] = OrderedDict()
        """Of each who brings jobs; whose turn is next stands first."""
        self._jobs = 0
        self._bytes = 0
        self._come = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def offer(self, job: J, size: int, whose: str) -> bool:
        """Take a job of so many bytes, and tell whether there was room for it; returns at once."""
        if self._stopping or self._jobs >= self._most or self._bytes + size > self._most_bytes:
            return False
        own = self._waiting.get(whose)
        if own and (
            len(own) >= math.ceil(_SHARE * self._most)
            or sum(each for _, each in own) + size > _SHARE * self._most_bytes
        ):
            return False
        self._waiting.setdefault(whose, deque()).append((job, size))
        self._jobs += 1
        self._bytes += size
        self._done.clear()
        self._come.set()
        return True

    def start(self) -> None:
        """Begin; once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, within: float) -> list[J]:
        """Take nothing more, and finish what waits within so many seconds; return what was not begun."""
        self._stopping = True
        self._come.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._done.wait()
        left = [job for own in self._waiting.values() for job, _ in own]
        self._waiting.clear()
        if self._task is not None:
            await self._task
        return left

    def _next(self) -> tuple[J, int]:
        whose, own = self._waiting.popitem(last=False)
        found = own.popleft()
        if own:
            self._waiting[whose] = own
        self._jobs -= 1
        return found

    async def _run(self) -> None:
        while not self._stopping or self._waiting:
            await self._come.wait()
            while self._waiting:
                job, size = self._next()
                try:
                    await self._work(job)
                except Exception:
                    log.exception("task.defect", task=self._name)
                finally:
                    self._bytes -= size
                # Whatever has come for senders meanwhile goes first.
                await asyncio.sleep(0)
            self._done.set()
            if not self._stopping:
                self._come.clear()


class FileThread:
    """Does work with files in a thread that nobody waits for, not even the end of the process; one work at a time.

    A file system that does not answer leaves one thread behind, and whatever is asked for later fails until it does.
    """

    def __init__(self, patience: float, bound: Callable[[float], asyncio.Timeout] = asyncio.timeout) -> None:
        """`patience` is how many seconds a work may take, the wait for the one before included; `bound` ends it then."""
        self._patience = patience
        self._bound = bound
        self._free = asyncio.Lock()

    async def do(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, or raise what it raises; `TimeoutError` where it takes too long."""
        loop = asyncio.get_running_loop()
        async with self._bound(self._patience):
            await self._free.acquire()
            done: asyncio.Future[T] = loop.create_future()
            try:
                threading.Thread(target=self._run, args=(loop, work, done), name="files", daemon=True).start()
            except BaseException:  # the system has no thread left now
                self._free.release()
                raise
            return await done

    def _run(self, loop: asyncio.AbstractEventLoop, work: Callable[[], T], done: "asyncio.Future[T]") -> None:
        def tell(result: T | None, error: BaseException | None) -> None:
            self._free.release()
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type] # one of the two is there

        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            failure = error
        # The process may have ended its loop meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, result, failure)
