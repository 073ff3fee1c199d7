"""What the running configuration is, and what became of the last reload; for the admin port to tell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.admin.endpoints import Endpoint, Needs
from gateway.config.model import Config


@dataclass(frozen=True, slots=True)
class Reload:
    """The last time the file was read again."""

    at: float
    taken: bool
    problems: tuple[str, ...]
    """Why it was refused; warnings where it was taken."""
    generation: int | None = None
    """The number of the table that was taken."""


@dataclass(frozen=True, slots=True)
class Status:
    """What runs now."""

    file: str
    version: str
    """What tells this content of the file from others; `sha256sum` begins with it."""
    environment: str
    since: float
    reload: Reload | None = None


class StatusBoard:
    """Holds the status; written by whoever loads configurations, read by pages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.status: Status | None = None

    def started(self, config: Config) -> None:
        """Say which configuration the process began with."""
        self.status = Status(config.file, config.version, config.environment.value, self._clock())

    def taken(self, config: Config, problems: Sequence[str], generation: int | None = None) -> Reload:
        """Say that another configuration runs now; `problems` are its warnings."""
        reload = Reload(self._clock(), True, tuple(problems), generation)
        self.status = Status(config.file, config.version, config.environment.value, reload.at, reload)
        return reload

    def refused(self, problems: Sequence[str]) -> Reload:
        """Say that the running configuration stays, and why."""
        reload = Reload(self._clock(), False, tuple(problems))
        if self.status is not None:
            self.status = replace(self.status, reload=reload)
        return reload


def endpoints(registry: CollectorRegistry) -> list[Endpoint]:
    """Return what tools ask for that look after the process."""

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        Endpoint("GET", "/livez", livez, Needs.nothing()),
        Endpoint("GET", "/metrics", metrics, Needs.view_from_afar()),
    ]
