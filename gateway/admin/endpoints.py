"""What an endpoint of the admin port is: where it is, what answers, and who may ask. There is none without the last."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.authenticator import AuthConfig
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where
from gateway.auth.people.sessions import Session

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(Enum):
    """How far someone must have come."""

    STREET = "street"
    """Nothing is asked, and it is there also while nobody can log in."""
    STREET_ON_LOOPBACK = "street-on-loopback"
    """Likewise for whoever calls from this machine by its own name; a role is needed otherwise."""
    PORCH = "porch"
    """For everyone, as soon as people can log in: the way to the login."""
    INSIDE = "inside"
    """For those whom a role allows it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Who may use an endpoint."""

    door: Access
    action: Action = Action.VIEW
    where: Where = Where.SOMEWHERE
    person: bool = False
    """Whether it is for people alone, and not for API tokens."""

    @classmethod
    def nothing(cls) -> "Needs":
        """Let everyone, always."""
        return cls(Access.STREET)

    @classmethod
    def view_from_afar(cls) -> "Needs":
        """Let this machine, and those who may view everything."""
        return cls(Access.STREET_ON_LOOPBACK, Action.VIEW, Where.EVERYWHERE)

    @classmethod
    def no_login(cls) -> "Needs":
        """Let everyone who wants to log in."""
        return cls(Access.PORCH)

    @classmethod
    def role(cls, action: Action, where: Where = Where.SOMEWHERE, *, person: bool = False) -> "Needs":
        """Let those whose roles allow the action."""
        return cls(Access.INSIDE, action, where, person)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    needs: Needs

    @property
    def is_api(self) -> bool:
        """Whether it is for programs, and answers them in JSON."""
        return self.path.startswith("/api/")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as it is known."""

    doors: AuthConfig
    origin: str
    """The origin that pages have under the name that was asked for."""
    person: Principal | None = None
    session: Session | None = None
    cookie: str = ""
    token_refused: bool = False


VISITOR = web.RequestKey("visitor", Visitor)


def visitor(request: web.Request) -> Visitor:
    """Return who asks."""
    return request[VISITOR]


def person(request: web.Request) -> Principal:
    """Return who asks, where the endpoint let nobody unknown come."""
    found = request[VISITOR].person
    if found is None:
        raise web.HTTPUnauthorized
    return found
