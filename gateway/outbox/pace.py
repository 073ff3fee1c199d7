"""How much is delivered at once of what is held, so that a backlog drains as fast as the service takes it and no faster."""

import math
from collections import deque

_FULL_STRENGTH = 128
"""Deliveries under way at once at most: 300 a second where the service takes 0.4 seconds for each."""
_GROWS_EVERY = 8.0
"""Seconds after which one more in ten, at least one, may be under way, once the service has said that it is too much."""
_GROWS_BY = 0.1
_SHRINKS_TO = 0.9
_SETTLES = 0.5
"""Seconds for which more of the same complaints are about what was under way already."""
_LOOKED_BACK = 1.0
"""Seconds of what was begun that say how fast that was."""
_TELLING = 16
"""Deliveries that must have been begun in that time: fewer say nothing of a speed that was too much."""
_SLOWER = 1.25
_SLOWEST = 0.02
"""Seconds between two deliveries at most: a service that takes fewer is found by how many are under way."""
_QUICKEST = 0.0005
_TOGETHER = 0.05
"""Seconds of what may be begun that are begun at once."""


class Pace:
    """Begins with one, and adds one for each that goes well, until the service complains; from then on it changes slowly.

    Most services that bound their callers do so by calls a second, with a Retry-After of a second or so: a pace that halves and
    doubles, as for lost packets, would spend most of its time far below that. `now` is a clock that never goes back, in seconds.
    """

    def __init__(self, most: int = _FULL_STRENGTH) -> None:
        self._most = most
        self._room = 1.0
        self._is_probing = True
        self._changed = 0.0
        self._gap = 0.0
        """Seconds between two deliveries; 0 as long as the service has not said that it is too fast."""
        self._slowed = 0.0
        self._next = -math.inf
        self._begun: deque[tuple[float, int]] = deque()

    @property
    def room(self) -> int:
        """How many deliveries may be under way at once."""
        return int(self._room)

    def allowed(self, now: float, under_way: int) -> int:
        """Return how many deliveries may be begun now."""
        room = self.room - under_way
        if not self._gap or room <= 0:
            return max(room, 0)
        return min(room, int((now - max(self._next, now - _TOGETHER)) / self._gap) + 1) if now >= self._next else 0

    def wait(self, now: float) -> float:
        """Return seconds until more may be begun, as far as speed says so."""
        return max(self._next - now, 0.0) if self._gap else 0.0

    def begun(self, now: float, number: int) -> None:
        """Take note that so many were begun."""
        self._next = max(self._next, now - _TOGETHER) + number * self._gap
        self._begun.append((now, number))
        while self._begun[0][0] < now - _LOOKED_BACK:
            self._begun.popleft()

    def went_well(self, now: float, under_way: int) -> None:
        """Take note that the service took a message while so many were under way; what is not used up is not widened."""
        if self._gap and now - self._slowed >= _GROWS_EVERY:
            faster = self._gap * _SHRINKS_TO
            self._gap, self._slowed = (faster if faster >= _QUICKEST else 0.0), now
        if under_way < self.room:
            return
        if self._is_probing or now - self._changed >= _GROWS_EVERY:
            self._room = min(self._room + max(1.0, self._room * _GROWS_BY), self._most)
            self._changed = now

    def was_too_much(self, now: float) -> None:
        """Take note that the service did not take one because of how it is, and not because of the message."""
        if now - self._slowed >= _SETTLES or not self._gap:
            self._slow_down(now)
        if self._is_probing:
            self._room, self._is_probing = max(self._room / 2, 1.0), False
        elif now - self._changed >= _SETTLES:
            self._room = max(self._room * _SHRINKS_TO, 1.0)
        else:
            return
        self._changed = now

    def _slow_down(self, now: float) -> None:
        """Begin more slowly than what was too fast: a service that answers at once is asked too often by one at a time."""
        recent = [(at, number) for at, number in self._begun if at >= now - _LOOKED_BACK]
        count = sum(number for _, number in recent)
        if count >= _TELLING:
            took = max(now - recent[0][0], _TOGETHER)
            self._gap = min(max(self._gap, took / count) * _SLOWER, _SLOWEST)
            self._slowed = now
