"""What the running configuration is, and what became of the last reload; for the admin port to tell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.config.definitions import Config


@dataclass(frozen=True, slots=True)
class Reload:
    """The last time the file was read again."""

    at: float
    taken: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """What runs now."""

    file: str
    version: str
    """What tells this content of the file from others; `sha256sum` begins with it."""
    environment: str
    since: float
    reload: Reload | None = None


class Board:
    """Holds the status; written by whoever loads configurations, read by pages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.status: Status | None = None

    def started(self, config: Config) -> None:
        """Say which configuration the process began with."""
        self.status = Status(config.file, config.version, config.environment.value, self._clock())

    def taken(self, config: Config, problems: Sequence[str]) -> None:
        """Say that another configuration runs now; `problems` are its warnings."""
        now = self._clock()
        reload = Reload(now, True, tuple(problems))
        self.status = Status(config.file, config.version, config.environment.value, now, reload)

    def refused(self, problems: Sequence[str]) -> None:
        """Say that the running configuration stays, and why."""
        if self.status is not None:
            self.status = replace(self.status, reload=Reload(self._clock(), False, tuple(problems)))
