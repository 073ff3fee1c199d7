"""Doubles and gateways as processes that can be killed, restarted and told to write no more to the disk."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

PATIENCE = 60.0
"""Seconds within which a process starts, or ends when it is told to."""
# A process of a test that was killed ends with it.
_LEASH = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


@dataclass
class Program:
    """A command that is run again and again; what it prints is kept."""

    arguments: tuple[str, ...]
    ready: bytes
    """What stands in the line that says that it serves."""
    output: bytearray = field(default_factory=bytearray)
    starts: int = 0
    _process: Process | None = None
    _reading: asyncio.Task[None] | None = None
    _serves: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, and do not wait until it serves."""
        command = (*_LEASH, sys.executable, "-m", *self.arguments)
        self._process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
        self._serves.clear()
        self._reading = asyncio.get_running_loop().create_task(self._read(self._process))
        self.starts += 1

    async def serving(self) -> None:
        """Return when it serves."""
        assert self._reading is not None
        waiting = asyncio.get_running_loop().create_task(self._serves.wait())
        await asyncio.wait({waiting, self._reading}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        assert self._serves.is_set(), f"{' '.join(self.arguments)} does not serve: {self.last_lines()}"

    async def kill(self) -> None:
        """Kill it: no farewell, nothing flushed."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        return await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        if self._process is None or self._reading is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(how)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._reading
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise

    def no_more_writing(self) -> None:
        """Make every write to a file fail, as on a full disk; the log is a pipe."""
        self._limit_files(0)

    def writing_again(self) -> None:
        """Let it write again."""
        self._limit_files(resource.prlimit(self.pid, resource.RLIMIT_FSIZE)[1])

    def _limit_files(self, size: int) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, hard))

    def last_lines(self) -> str:
        """Return the end of what it printed."""
        return self.output[-2_000:].decode(errors="replace")

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self.output += line
            if self.ready in line:
                self._serves.set()


async def run(*arguments: str) -> None:
    """Run a command of Python's to its end, which must be a good one."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, stdout=PIPE, stderr=STDOUT)
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == os.EX_OK, output.decode(errors="replace")


async def together(stack: AsyncExitStack, programs: list[Program]) -> None:
    """Start programs, wait until all serve, and have them killed in the end."""
    for program in programs:
        stack.push_async_callback(program.kill)
        await program.start()
    for program in programs:
        await program.serving()
