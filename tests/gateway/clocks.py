"""Clocks that a test moves: the gateway's own, which it also sets wrong, and the event loop's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.times import Clock

if TYPE_CHECKING:
    from typing import Self

NOW = 1_780_000_000.0
_TURNS = 20
"""Of the event loop, in which everything has happened that a move of its clock leads to."""


class FakeClock(Clock):
    """Stands still until a test moves `now`, the true time; `ahead` is how many seconds the wall clock is wrong.

    It stands at whole microseconds, as a `datetime` does: what is due at a time of this clock is due at that time, and not a
    fraction of a microsecond later, when nothing moves it any more.
    """

    def __init__(self, now: float = NOW) -> None:
        self._now = now
        self.ahead = 0.0
        super().__init__(lambda: self.now + self.ahead, lambda: self.now - NOW + 1000.0)

    @property
    def now(self) -> float:
        """The true time, in seconds since the epoch."""
        return self._now

    @now.setter
    def now(self, seconds: float) -> None:
        """Move it to the first whole microsecond that is not before this time."""
        microseconds = round(seconds * 1e6)
        self._now = (microseconds if microseconds / 1e6 >= seconds else microseconds + 1) / 1e6


class LoopClock:
    """The clock of the running event loop, which stands still until a test moves it: however slow the machine, nothing is late.

    Timers and timeouts go by it, and those of a gateway and its doubles that run in this loop too. As a context it is taken, and
    goes by itself again at the end, from where it stands.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._real = self._loop.time
        self.now = self._real()
        """In the loop's seconds."""

    def __enter__(self) -> Self:
        self._loop.time = lambda: self.now  # type: ignore[method-assign] # while the test has it
        return self

    def __exit__(self, *_: object) -> None:
        ahead = self.now - self._real()
        self._loop.time = lambda: self._real() + ahead  # type: ignore[method-assign] # it never goes back

    async def move(self, seconds: float) -> None:
        """Have so many seconds pass at once, and everything happen that is due by then.

        What is under way at that moment, a connection that is being opened, has taken so long.
        """
        self.now += seconds
        await settle()


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
