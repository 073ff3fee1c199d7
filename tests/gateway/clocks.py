"""A clock that a test moves, and sets wrong."""

from __future__ import annotations

from gateway.times import Clock

NOW = 1_780_000_000.0


class FakeClock(Clock):
    """Stands still until a test moves `now`, the true time; `ahead` is how many seconds the wall clock is wrong."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.ahead = 0.0
        super().__init__(lambda: self.now + self.ahead, lambda: self.now - NOW + 1000.0)
