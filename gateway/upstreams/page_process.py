"""Reads pages of PIT in a process of its own, so that fifty patients that are checked keep no sender waiting.

The process gets bodies and gives back what is read: it has no key, no token and no connection, and ends with whoever started it.
On both pipes each message is 4 bytes of length (big-endian) and then MessagePack.
"""

import asyncio
import gc
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from contextlib import suppress
from typing import BinaryIO, Final

import msgspec

from translators.contract import Reason, Refused
from translators.pit import PitPage, page_of

_LENGTH: Final = 4
_IDLE = 30.0
"""Seconds without a page after which the process ends: it is needed for first copies and readings of everything."""
_NICE: Final = 10
"""What senders wait for goes first on a core that both need."""
_ENVIRONMENT: Final = ("PYTHON", "LD_", "PATH")
"""What it needs of the environment, which may hold keys."""
_GARBAGE: Final = 200_000
"""Objects between two searches for circles, of which pages have none."""


class _Question(msgspec.Struct, array_like=True):
    body: bytes
    cursor: str | None


class _Answer(msgspec.Struct, array_like=True):
    page: PitPage | None = None
    refused: tuple[Reason, str, str | None] | None = None
    defect: str | None = None
    """The name of what was raised and is none of ours."""


class PageProcessLost(Exception):  # noqa: N818 - the condition
    """A page could not be read: the process ended, took too long, or failed; asked again, another one reads it."""


class PageProcess:
    """Starts the process with the first page, and again after it was lost; ends it when none has come for a while."""

    def __init__(self, idle: float = _IDLE) -> None:
        """`idle` is in seconds."""
        self._idle = idle
        self._process: Process | None = None
        self._waiting: deque[asyncio.Future[_Answer]] = deque()
        self._starting = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self._ending: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process; None where there is none now."""
        return None if self._process is None else self._process.pid

    async def read(self, body: bytes, cursor: str | None, timeout: float) -> PitPage:  # noqa: ASYNC109 - of the whole
        """Return `page_of(body, cursor)`; raises `Refused` as that does, and `PageProcessLost`. `timeout` is in seconds."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[_Answer] = loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                process = await self._started()
                self._waiting.append(waiting)
                _send(process, _Question(body, cursor))
                answer = await waiting
        except TimeoutError:
            self.end()
            raise PageProcessLost("it took too long") from None
        except OSError as error:
            raise PageProcessLost(f"no process could be started: {type(error).__name__}") from None
        if answer.refused is not None:
            raise Refused(*answer.refused)
        if answer.page is None:
            raise PageProcessLost(answer.defect or "it gave no page")
        return answer.page

    async def _started(self) -> Process:
        async with self._starting:
            if self._process is None:
                command = (sys.executable, "-P", "-m", "gateway.upstreams.page_process")
                own = {name: value for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)}
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True, env=own
                )
                self._process, self._waiting = process, deque()
                listening = self._listen(process, self._waiting)
                self._listening = asyncio.get_running_loop().create_task(listening)
            self._rest()
            return self._process

    def _rest(self) -> None:
        """Count from now on how long nothing has come."""
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(self._idle, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._rest() if self._waiting else self.end()

    async def _listen(self, process: Process, waiting: deque[asyncio.Future[_Answer]]) -> None:
        """Give each answer to who waits for it, in the order of the questions, until the process ends."""
        if (source := process.stdout) is None:
            raise TypeError("a process without a pipe")
        with suppress(asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
            while process.returncode is None or waiting:
                size = int.from_bytes(await source.readexactly(_LENGTH))
                answer = msgspec.msgpack.decode(await source.readexactly(size), type=_Answer)
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
                one.set_exception(PageProcessLost("its process has ended"))
        self._waiting = deque()

    async def close(self) -> None:
        """End the process, and return when it is gone."""
        self.end()
        if self._listening is not None:
            await self._listening


def _send(process: Process, question: _Question) -> None:
    # Nobody sends a page before PIT has sent it: a few wait at a time, and no more is kept than they are.
    written = msgspec.msgpack.encode(question)
    if process.stdin is None:
        raise TypeError("a process without a pipe")
    process.stdin.writelines((len(written).to_bytes(_LENGTH), written))


def _answer(question: bytes) -> _Answer:
    asked = msgspec.msgpack.decode(question, type=_Question)
    try:
        return _Answer(page_of(asked.body, asked.cursor))
    except Refused as error:
        return _Answer(refused=(error.reason, error.text, error.path))
    except Exception as error:  # noqa: BLE001 - its text may have something of a patient
        return _Answer(defect=type(error).__name__)


def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer each question in turn until there are no more."""
    while len(head := source.read(_LENGTH)) == _LENGTH:
        written = msgspec.msgpack.encode(_answer(source.read(int.from_bytes(head))))
        sink.write(len(written).to_bytes(_LENGTH))
        sink.write(written)
        sink.flush()


if __name__ == "__main__":
    os.nice(_NICE)
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    _serve(sys.stdin.buffer, sys.stdout.buffer)
