"""Which configuration runs, what became of the last reload, whether the process is alive, and who asks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.admin.endpoints import Endpoint, Needs, person, visitor
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Grant, Where, may
from gateway.config.model import Config
from gateway.times import Clock, when


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

    def __init__(self, clock: Clock) -> None:
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


class StatusApi:
    """What looks after the process asks for, and who asks."""

    def __init__(self, board: StatusBoard, registry: CollectorRegistry) -> None:
        self._board = board
        self._registry = registry

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view = Needs.role(Action.VIEW)
        return [
            Endpoint("GET", "/livez", self._livez, Needs.nothing()),
            Endpoint("GET", "/metrics", self._metrics, Needs.view_from_afar()),
            Endpoint(
                *("GET", "/api/me", self._me, view),
                summary="Who asks, and what they may",
                answer="name known_as via grants dev_login csrf",
                also=(),
            ),
            Endpoint(
                *("GET", "/api/status", self._status, view),
                summary="The configuration that runs, and what became of the last reload",
                answer="file version environment since reload",
                also=(),
            ),
        ]

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _me(self, request: web.Request) -> web.Response:
        return web.json_response(me_document(request))

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(status_document(self._board, person(request)))


def me_document(request: web.Request) -> dict[str, Any]:
    """Say who asks; the CSRF token is there for a page's own requests, and other origins cannot read it."""
    who, seen = person(request), visitor(request)
    return {
        "name": who.name,
        "known_as": list(who.known_as),
        "via": who.via.value,
        "grants": grants_document(who.grants),
        "dev_login": seen.auth.dev_login,
        "csrf": seen.session.csrf if seen.session else None,
    }


def grants_document(grants: tuple[Grant, ...]) -> list[dict[str, Any]]:
    """Return grants as JSON has them; null municipalities are all."""
    return [
        {
            "role": grant.role.value,
            "municipalities": None if grant.municipalities is None else sorted(grant.municipalities),
        }
        for grant in grants
    ]


def status_document(board: StatusBoard, who: Principal) -> dict[str, Any]:
    """Say what runs; problems may name any municipality, so they are for those who may view all."""
    status = board.status
    if status is None:
        raise Problem(Code.FAILED)
    document = {**asdict(status), "since": when(status.since)}
    if status.reload is not None:
        everything = may(who.grants, Action.VIEW, Where.EVERYWHERE)
        problems = list(status.reload.problems) if everything else []
        document["reload"] = {"at": when(status.reload.at), "taken": status.reload.taken, "problems": problems}
    return document
