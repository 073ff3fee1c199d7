"""Slows down those who fail again and again."""

from collections import OrderedDict
from collections.abc import Callable

_MOST = 1000


class Throttle:
    """Counts events by who caused them; more than `most` within `seconds` are too many."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def is_too_many(self, who: str) -> bool:
        """Count one event, and tell whether it is one too many."""
        now = self._clock()
        since, count = self._windows.pop(who, (now, 0))
        if now - since >= self._seconds:
            since, count = now, 0
        self._windows[who] = (since, count + 1)
        if len(self._windows) > _MOST:
            self._windows.popitem(last=False)
        return count >= self._most
