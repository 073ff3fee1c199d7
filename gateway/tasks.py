"""Work that comes round every so often, sooner when there is much of it, and a last time at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

_LAST = 5.0
"""Seconds that the last time may take."""


class Periodic:
    """Does its work every `every` seconds; never twice at once."""

    def __init__(self, work: Callable[[], Awaitable[None]], every: float) -> None:
        self._work = work
        self._every = every
        self._due = asyncio.Event()
        self._alone = asyncio.Lock()
        self._stopping = False

    def soon(self) -> None:
        """Do not wait for the time to come round."""
        self._due.set()

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._due.wait()
            self._due.clear()
            if not self._stopping:
                async with self._alone:
                    await self._work()

    async def stop(self) -> None:
        """Work a last time, and let `run` end; what takes too long is given up."""
        self._stopping = True
        self._due.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST), self._alone:
                await self._work()
