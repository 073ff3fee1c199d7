"""How much is delivered at once of what is held, so that a backlog drains as fast as the service takes it and no faster."""

_FULL_STRENGTH = 128
"""Deliveries under way at once at most: 300 a second where the service takes 0.4 seconds for each."""
_GROWS_EVERY = 8.0
"""Seconds after which one more in ten, at least one, may be under way, once the service has said that it is too much."""
_GROWS_BY = 0.1
_SHRINKS_TO = 0.9
_SETTLES = 0.5
"""Seconds for which more of the same complaints are about what was under way already."""


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

    @property
    def room(self) -> int:
        """How many deliveries may be under way at once."""
        return int(self._room)

    def went_well(self, now: float, under_way: int) -> None:
        """Take note that the service took a message while so many were under way; what is not used up is not widened."""
        if under_way < self.room:
            return
        if self._is_probing or now - self._changed >= _GROWS_EVERY:
            self._room = min(self._room + max(1.0, self._room * _GROWS_BY), self._most)
            self._changed = now

    def was_too_much(self, now: float) -> None:
        """Take note that the service did not take one because of how it is, and not because of the message."""
        if self._is_probing:
            self._room, self._is_probing = max(self._room / 2, 1.0), False
        elif now - self._changed >= _SETTLES:
            self._room = max(self._room * _SHRINKS_TO, 1.0)
        else:
            return
        self._changed = now
