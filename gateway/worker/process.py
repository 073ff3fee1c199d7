"""A process of its own for work that takes the CPU, so that no sender waits while it has the interpreter.

It gets questions and gives answers: it has no key, no token and no connection, and ends with whoever started it. `main` is
what it does, and what goes over its pipes.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.worker.main import LENGTH, Defect, Question, framed

_ENVIRONMENT: Final = ("PYTHON", "LD_", "PATH")
"""What it needs of the environment, which may hold keys."""
_READ_AHEAD: Final = 4 * 1024 * 1024
"""Bytes of answers that may have come before the pipe is read no further: more than any answer has."""

A = TypeVar("A")


class ProcessLost(Exception):  # noqa: N818 - the condition
    """A question was not answered: its process ended, took too long, or failed; asked again, another one answers it."""


class ProcessNotStarted(ProcessLost):
    """There is no process, and none could be started."""


class ProcessTooSlow(ProcessLost):
    """A question took too long, and its process was ended for that."""


class ProcessDefect(ProcessLost):
    """Something was raised that is none of the answers."""


class WorkerProcess(Generic[A]):
    """Starts the process with the first question, and again after it was lost; ends it when none has come for a while."""

    def __init__(self, module: str, answer: type[A], idle: float) -> None:
        """Run `module`, which calls `main.main`; `answer` is what it gives, a struct with a tag. `idle` is in seconds."""
        self._command = (sys.executable, "-P", "-m", module)
        self._decoder = msgspec.msgpack.Decoder[Any](answer | Defect)
        self._idle = idle
        self._process: Process | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._starting = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self._ending: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process; None where there is none now."""
        return None if self._process is None else self._process.pid

    async def ask(self, question: Question, timeout: float) -> A:  # noqa: ASYNC109 - of the whole
        """Return the answer to a question; raises `ProcessLost`. `timeout` is in seconds.

        Questions are answered one after the other. Nobody keeps more of them than wait here.
        """
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                process = await self._started()
                self._waiting.append(waiting)
                try:
                    _send(process, question)
                except (OSError, RuntimeError):
                    self.end()  # its pipe is closed, though nobody was told yet that it has ended
                answer = await waiting
        except TimeoutError:
            self.end()
            raise ProcessTooSlow("it took too long") from None
        except OSError as error:
            raise ProcessNotStarted(f"no process could be started: {type(error).__name__}") from None
        if isinstance(answer, Defect):
            raise ProcessDefect(answer.name)
        return answer  # type: ignore[no-any-return] # what the decoder was made for

    async def _started(self) -> Process:
        async with self._starting:
            if self._process is None:
                process = await self._start()
                self._process, self._waiting = process, deque()
                listening = self._listen(process, self._waiting)
                self._listening = asyncio.get_running_loop().create_task(listening)
            self._rest()
            return self._process

    async def _start(self) -> Process:
        own = {name: value for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)}
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=own,
            limit=_READ_AHEAD,
        )
        try:
            await _out_of(process).readexactly(LENGTH)
        except asyncio.IncompleteReadError:
            await process.wait()
            raise ProcessNotStarted(f"it ended at once, with {process.returncode}") from None
        except BaseException:
            process.kill()
            raise
        return process

    def _rest(self) -> None:
        """Count from now on how long nothing has come."""
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(self._idle, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._rest() if self._waiting else self.end()

    async def _listen(self, process: Process, waiting: deque[asyncio.Future[Any]]) -> None:
        """Give each answer to who waits for it, in the order of the questions, until the process ends."""
        source = _out_of(process)
        with suppress(asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
            while process.returncode is None or waiting:
                size = int.from_bytes(await source.readexactly(LENGTH))
                answer = self._decoder.decode(await source.readexactly(size))
                one = waiting.popleft()
                if not one.done():
                    one.set_result(answer)
        if process is self._process:
            self.end()
        await process.wait()

    def end(self) -> None:
        """End the process, if there is one; who waits for it is told that it was lost."""
        process, self._process = self._process, None
        if self._ending is not None:
            self._ending.cancel()
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
        for one in self._waiting:
            if not one.done():
                one.set_exception(ProcessLost("its process has ended"))
        self._waiting = deque()

    async def close(self) -> None:
        """End the process, and return when it is gone."""
        self.end()
        if self._listening is not None:
            await self._listening


def _out_of(process: Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise TypeError("a process without a pipe")
    return process.stdout


def _send(process: Process, question: Question) -> None:
    if process.stdin is None:
        raise TypeError("a process without a pipe")
    process.stdin.writelines(framed(question))
