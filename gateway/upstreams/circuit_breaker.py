"""Leaves a service that keeps failing alone for a while, and then asks with one call whether it is back."""

from dataclasses import dataclass

from gateway.config.upstreams import Breaker

_LONGEST_HOLD_OFF = 300.0
"""Seconds that a service is left alone at most because it said so."""
_PROBE = 1.0
"""Seconds until another look while a probe is under way: nobody knows how long it takes."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that the breaker let go, to be given back with what became of it."""

    is_probe: bool
    """Whether it is the one call that asks whether the service is back."""
    period: int
    """How often the breaker had opened or closed when it began."""


class CircuitBreaker:
    """Closed: calls go. Open: none goes. After the pause one goes as a probe, which closes or opens it again.

    Pure: `now` is the value of a clock that never goes back, in seconds. What a call that began before the breaker last opened
    or closed tells is about another time, and changes nothing.
    """

    def __init__(self, settings: Breaker) -> None:
        self._settings = settings
        self._failures = 0
        self._pause = settings.pause
        self._opens_until: float | None = None
        self._failing_since: float | None = None
        self._probing = False
        self._period = 0

    @property
    def is_closed(self) -> bool:
        """Whether calls go as usual."""
        return self._opens_until is None

    @property
    def is_probing(self) -> bool:
        """Whether a probe is under way."""
        return self._probing

    @property
    def away_since(self) -> float | None:
        """When the first of the calls failed that have all failed since; None while calls go as usual."""
        return None if self.is_closed else self._failing_since

    def is_open(self, now: float) -> bool:
        """Whether no call may go now."""
        return self.wait(now) > 0

    def wait(self, now: float) -> float:
        """Return seconds until a call may go; 0 when one may go now."""
        if self._opens_until is None:
            return 0.0
        return max(self._opens_until - now, _PROBE if self._probing else 0.0)

    def may(self, now: float) -> Attempt | None:
        """Let a call go, or not; the attempt is to be given back to `succeeded`, `failed` or `gave_up`."""
        if self.is_open(now):
            return None
        self._probing = not self.is_closed
        return Attempt(self._probing, self._period)

    def is_current(self, attempt: Attempt) -> bool:
        """Whether the breaker has neither opened nor closed since the attempt began."""
        return attempt.period == self._period

    def succeeded(self, attempt: Attempt) -> None:
        """Take note that the service answered."""
        if not self.is_current(attempt):
            return
        self._failures = 0
        self._failing_since = None
        if attempt.is_probe:
            self._turn(None)
            self._pause = self._settings.pause

    def failed(self, attempt: Attempt, now: float) -> None:
        """Take note that the service is not there, or not well."""
        if not self.is_current(attempt):
            return
        self._failures += 1
        self._failing_since = now if self._failing_since is None else self._failing_since
        if attempt.is_probe:
            self._pause = min(2 * self._pause, max(self._settings.longest, self._settings.pause))
        if attempt.is_probe or self._failures >= self._settings.failures:
            self._turn(max(now + self._pause, self._opens_until or 0.0))

    def gave_up(self, attempt: Attempt) -> None:
        """Take note that a call ended without telling anything of the service; a probe may be taken anew."""
        if self.is_current(attempt) and attempt.is_probe:
            self._probing = False

    def hold_off(self, now: float, seconds: float) -> None:
        """Let nothing go for as long as the service asked for, five minutes at most."""
        until = now + min(seconds, _LONGEST_HOLD_OFF)
        if self._opens_until is not None:
            self._opens_until = max(self._opens_until, until)
        elif seconds > 0:
            self._failing_since = now if self._failing_since is None else self._failing_since
            self._turn(until)

    def _turn(self, until: float | None) -> None:
        self._opens_until = until
        self._failures = 0
        self._probing = False
        self._period += 1


_MOST_DOUBLINGS = 1000
"""A float holds this many; what is longer than the longest pause is cut anyway."""


def pause(attempt: int, chance: float, first: float = 1.0, longest: float = 600.0) -> float:
    """Return seconds to wait after the attempt with this number, from 1, has failed.

    The pause doubles from `first` to `longest`. What is returned lies between the half of it and the whole, by `chance` in
    [0, 1), so that many who failed together do not come back together.
    """
    doublings = min(max(attempt - 1, 0), _MOST_DOUBLINGS)
    whole = min(first * 2.0**doublings, longest)
    return whole * (1.0 + chance) / 2.0
