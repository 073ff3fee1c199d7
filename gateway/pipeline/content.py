"""What a journaling's body says: read for senders whose token verifies, within a budget, and large bodies where nobody waits for them."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from gateway.auth.helseid.claims import Claims
from gateway.config.model import Config
from gateway.errors import Failure, Fault
from gateway.limits import TokenBuckets, Turns
from gateway.model import Body
from gateway.pipeline import bodies
from gateway.pipeline.bodies import BodyAnswer, BodyQuestion
from gateway.pipeline.identify import Identified, Identifier
from gateway.surfaces.base import Content
from gateway.worker.main import Question
from gateway.worker.process import (
    ProcessDefect,
    ProcessLost,
    ProcessNotStarted,
    ProcessTooSlow,
    WorkerProcess,
)
from translators.contract import Settings, Translation
from translators.identity import Business
from translators.translate import translate

log = structlog.get_logger()

T = TypeVar("T")

LARGE = 100_000
"""Bytes of a body that is worked on apart, so that others need not wait for it."""
_MOST_WAITING = 64
"""Large bodies that wait; what comes then is told to come again."""
_MOST_OF_ONE = 48
"""Of them, those of one sender: others keep a place."""
_TOGETHER = 16
"""Small bodies that are worked on one after the other when nobody waits for it: with more, those that come meanwhile would notice."""
_SOON = 0.02
"""Seconds until they are, where fewer have come."""
_UNVERIFIED = "unverified"
"""By which all senders together are counted whose tokens nobody can verify now."""
_IDLE = 120.0
"""Seconds without a large body after which their process ends: to start it takes a second or two of CPU."""
_PATIENCE = 60.0
"""Seconds for one body, the start of the process with it: more than any takes, and longer than a sender waits."""
_RETRY_AFTER = 10


def large_bodies() -> WorkerProcess[BodyAnswer]:
    """Return the process that reads and translates large bodies, which starts with the first."""
    return WorkerProcess("gateway.pipeline.bodies", BodyAnswer, _IDLE)


class AnswersQuestions(Protocol):
    """Who answers questions about large bodies beside the event loop: a `WorkerProcess`."""

    async def ask(self, question: Question, timeout: float) -> BodyAnswer:  # noqa: ASYNC109 - of the whole
        """Return the answer; raises `ProcessLost`. `timeout` is in seconds."""
        ...

    def end(self) -> None:
        """Let it be started anew for the next question."""

    async def close(self) -> None:
        """End it for good."""


class Worker:
    """Where large bodies are worked on one after the other: in a process of its own, and in a thread what that does not take."""

    def __init__(self, process: AnswersQuestions | None = None, patience: float = _PATIENCE) -> None:
        """Without a process the thread answers questions too; `patience` is for one of them, in seconds."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="content")
        self._process = process
        self._patience = patience
        self._turns, self._turns_in_thread = Turns(), Turns()
        self._waiting = 0
        self._of_sender: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gathered: list[Callable[[], None]] = []
        self._due: asyncio.TimerHandle | None = None

    async def run(self, size: int, work: Callable[[], T], sender: str = "") -> T:
        """Do work on so many bytes of a sender's: at once where that is short, else in the thread; senders take turns.

        Raises `Failure` when too many wait, in all or of this sender.
        """
        if size <= LARGE:
            return work()
        with self._place(sender):
            async with self._turns_in_thread.turn(sender):
                return await self._in_thread(work)

    async def ask(self, question: BodyQuestion, sender: str) -> BodyAnswer:
        """Answer a question about a large body of a sender's; senders take turns.

        Raises `Failure` when too many wait, in all or of this sender, or when it cannot be answered now.
        """
        with self._place(sender):
            async with self._turns.turn(sender):
                return await self._asked(question)

    @contextmanager
    def _place(self, sender: str) -> Iterator[None]:
        """Count what waits; raises `Failure` where there is no place for it."""
        if self._of_sender[sender] >= _MOST_OF_ONE:
            raise Failure(Fault.TOO_MANY, "Too many large messages of the sender are being read", retry_after=1)
        if self.is_full:
            raise Failure(Fault.TOO_MANY, "Too many large messages are being read", retry_after=1)
        self._waiting += 1
        self._of_sender[sender] += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self._of_sender[sender] -= 1
            if not self._of_sender[sender]:
                del self._of_sender[sender]  # else every name that a token ever had would stay

    @property
    def is_full(self) -> bool:
        """Whether as many large bodies wait as may."""
        return self._waiting >= _MOST_WAITING

    async def _asked(self, question: BodyQuestion) -> BodyAnswer:
        """Ask the process, and once more where it was lost meanwhile: a body that ends it twice is not brought into this one."""
        if self._process is None:
            return await self._in_thread(partial(bodies.answered, question))
        for _ in range(2):
            try:
                return await self._process.ask(question, self._patience)
            except (ProcessNotStarted, ProcessDefect) as error:
                log.warning("content.not_in_process", reason=str(error))
                return await self._in_thread(partial(bodies.answered, question))
            except ProcessTooSlow as error:
                log.warning("content.process_lost", reason=str(error))
                break
            except ProcessLost as error:
                log.warning("content.process_lost", reason=str(error))
            except asyncio.CancelledError:
                # Its sender has waited as long as it may, and so the next one need not.
                self._process.end()
                raise
        raise Failure(Fault.UNAVAILABLE, "The message could not be read now", retry_after=_RETRY_AFTER)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def later(self, size: int, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do work that nobody waits for, and hand on what came of it.

        On small bodies it is done for several at a time: one after the other they take half the time that each takes between
        other work. On a large one it is done in the thread; where that is busy, at once.
        """
        if size <= LARGE:
            self._gather(lambda: done(work()))
        elif self.is_full:
            done(work())
        else:
            self.follow(self.run(size, work), done)

    def follow(self, work: Coroutine[Any, Any, T], done: Callable[[T], None]) -> None:
        """Let work that nobody waits for come to its end, and hand on what came of it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, done))

    def catch_up(self) -> None:
        """Do what was gathered."""
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
        gathered, self._gathered = self._gathered, []
        for each in gathered:
            try:
                each()
            except Exception:
                log.exception("pipeline.defect")

    def _gather(self, work: Callable[[], None]) -> None:
        self._gathered.append(work)
        if len(self._gathered) >= _TOGETHER:
            self.catch_up()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(_SOON, self.catch_up)

    def _finished(self, done: Callable[[T], None], task: "asyncio.Task[T]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            done(task.result())

    async def close(self) -> None:
        """Take nothing more, and end the process; what is under way in the thread ends by itself."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            await self._process.close()


class ContentReader:
    """Reads bodies for the messages of one configuration."""

    def __init__(self, config: Config, spent: TokenBuckets, worker: Worker, clock: Callable[[], float]) -> None:
        """`spent` is what senders have had read lately, in bytes; it outlives a configuration. `clock` is monotonic."""
        self._limits = config.limits
        self._histories = ((), *sorted({sender.code_history for sender in config.senders} - {()}))
        self._systems = tuple(sorted({each for one in config.municipalities.values() for each in one.resolvers}))
        self._spent = spent
        self._clock = clock
        self._worker = worker

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """Do work on a body of so many bytes; raises `Failure` when too many wait."""
        return await self._worker.run(size, work)

    async def read(self, body: Body, identified: Identified, claims: Claims | None) -> Content:
        """Read a journaling's body; what cannot be read says why. `claims` are a verified token's; None where nobody can verify it.

        Raises `Failure` when the sender has had as much read as it may, and when a large body cannot be read now.
        """
        data = await body.read(self._limits.body)
        if data is None:
            text = f"The body is larger than {self._limits.body} bytes"
            return Content(failure=Failure(Fault.TOO_LARGE, text))
        if wait := self._wait(claims, len(data)):
            text = "As much is read of the sender's messages, or without HelseID of everybody's, as may be"
            raise Failure(Fault.TOO_MANY, text, retry_after=math.ceil(wait))
        if len(data) <= LARGE:
            return Identifier.content(data, identified)
        # Whom a token names that nobody can verify now may be somebody else.
        sender = _UNVERIFIED if claims is None else _sender_of(identified)
        return await self._read_apart(data, identified, sender)

    def read_at_once(self, body: Body, identified: Identified, claims: Claims) -> Content | None:
        """Read a body that has come, is small, and is within the sender's budget; return None for every other."""
        data = body.whole(min(LARGE, self._limits.body))
        if data is None or self._wait(claims, len(data)):
            return None
        return Identifier.content(data, identified)

    async def with_tree(self, body: Body, identified: Identified, content: Content) -> Content:
        """Return the content of a body that was read apart with its tree, which is read in the thread."""
        data = body.whole(self._limits.body) if content.facts is not None else None
        if data is None:
            return content
        return await self._worker.run(len(data), lambda: Identifier.content(data, identified), _sender_of(identified))

    async def translated(
        self, body: Body, identified: Identified, content: Content, service: str, settings: Settings
    ) -> Translation:
        """Translate a message that was read; raises `Failure` when a large one cannot be translated now."""
        data = body.whole(self._limits.body) if content.facts is not None else None
        surface = identified.surface.NAME
        if data is None:
            work = partial(translate, content.tree, surface, service, settings, content.repairs)
            return await self._worker.run(content.size, work, _sender_of(identified))
        told = replace(settings, local_numbers=dict(settings.local_numbers))
        question = BodyQuestion(data, surface, identified.operation, service=service, settings=told)
        return bodies.translation_told(question, await self._worker.ask(question, _sender_of(identified)))

    def business_later(self, data: bytes, identified: Identified, done: Callable[[Business | None], None]) -> None:
        """Find out what a message is known again by, whose body may not have been read yet; nobody waits for it."""
        content = identified.content
        if content is not None:
            self._worker.later(content.size, partial(bodies.business, content), done)
        elif len(data) <= LARGE or self._worker.is_full:
            done(bodies.business(Identifier.content(data, identified)))
        else:
            self._worker.follow(self._business_apart(data, identified), done)

    async def _business_apart(self, data: bytes, identified: Identified) -> Business | None:
        return bodies.business(await self._read_apart(data, identified, _sender_of(identified)))

    async def _read_apart(self, data: bytes, identified: Identified, sender: str) -> Content:
        question = BodyQuestion(
            data, identified.surface.NAME, identified.operation, histories=self._histories, systems=self._systems
        )
        return bodies.content_told(question, await self._worker.ask(question, sender))

    def _wait(self, claims: Claims | None, size: int) -> float:
        """Count what is read; return 0 when it is within the budget, else the seconds until it is."""
        if claims is None:
            return self._spent.wait(_UNVERIFIED, self._limits.parsing_unverified, self._clock(), amount=size)
        client = f"client {claims.get('client_id')}"
        return self._spent.wait(client, self._limits.parsing_per_sender, self._clock(), amount=size)


def _sender_of(identified: Identified) -> str:
    return identified.envelope.sender or _UNVERIFIED
