"""The time: one clock for a whole process, and times as answers tell them.

Seconds since the epoch inside, RFC 3339 in UTC outside. What passes within a process - ages, pauses, rates, how long since -
goes by `Clock.monotonic`, which no correction of the wall clock changes. The wall clock is for what others are told.
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

HOUR, DAY = 3600.0, 86_400.0
"""Seconds."""
_STEP = 2.0
"""Seconds that the wall clock may move against the monotonic one between two looks: more is a step, and no drift."""


class Clock:
    """What time it is, for one process; called, it returns the wall clock's seconds since the epoch."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()
        self._stepped_at = -math.inf
        self.steps = 0
        """How often the wall clock was set while this process ran."""

    def __call__(self) -> float:
        """Return the wall clock's time, and notice when somebody has set it."""
        before = self._monotonic()
        wall = self._wall()
        after = self._monotonic()
        if after - before < _STEP / 2:  # else this very thread was stopped in between
            moved = wall - after - self._offset
            self._offset += moved
            if abs(moved) > _STEP:
                self._stepped_at = after
                self.steps += 1
                import structlog  # noqa: PLC0415 - commands that log nothing begin without it

                structlog.get_logger().error("clock.stepped", seconds=round(moved, 3))
        return wall

    def monotonic(self) -> float:
        """Return seconds since some moment, never fewer than before."""
        return self._monotonic()

    def steady_for(self) -> float:
        """Return for how many seconds the wall clock has run evenly; without end where nobody set it in this process."""
        self()
        return self._monotonic() - self._stepped_at


def ahead_of(before: float, after: float, said: float) -> float:
    """Return by how many seconds our clock is certainly ahead of one that said `said`, whole seconds, in between."""
    if before > said + 1:
        return before - (said + 1)
    return min(0.0, after - said)


def when(seconds: float) -> str:
    """Return a time as people and programs can both read it, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def when_any(seconds: float | None) -> str | None:
    """Likewise, or nothing where there is no such time."""
    return None if seconds is None else when(seconds)


@lru_cache(1024)
def end_of_day(day: str) -> float:
    """Return when a day, as 2026-12-31, ends in Norway, in seconds since the epoch."""
    after = date.fromisoformat(day) + timedelta(days=1)
    return datetime(after.year, after.month, after.day, tzinfo=ZoneInfo("Europe/Oslo")).timestamp()


def day_of(seconds: float) -> str:
    """Return the day in Norway, as 2026-12-31."""
    return datetime.fromtimestamp(seconds, ZoneInfo("Europe/Oslo")).date().isoformat()
