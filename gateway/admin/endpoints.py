"""What an endpoint of the admin port is: where it is, what answers, who may ask, and what it reads and answers with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.authenticator import AuthConfig
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where
from gateway.auth.people.sessions import Session

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(Enum):
    """Whom an endpoint lets in."""

    PUBLIC = "public"
    """Everyone, also while nobody can log in."""
    PUBLIC_BY_ADDRESS = "public-by-address"
    """Whoever calls `listen.metrics`, and everyone while nobody can log in; a role is needed otherwise."""
    LOGIN = "login"
    """Everyone, as soon as people can log in: the way to the login."""
    AUTHENTICATED = "authenticated"
    """Those whose role allows it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Who may use an endpoint."""

    access: Access
    action: Action = Action.VIEW
    where: Where = Where.SOMEWHERE
    person: bool = False
    """Whether it is for people alone, and not for API tokens."""

    @classmethod
    def nothing(cls) -> "Needs":
        """Let everyone, always."""
        return cls(Access.PUBLIC)

    @classmethod
    def view_from_afar(cls) -> "Needs":
        """Let those who call the address that is for it alone, and those who may view everything."""
        return cls(Access.PUBLIC_BY_ADDRESS, Action.VIEW, Where.EVERYWHERE)

    @classmethod
    def no_login(cls) -> "Needs":
        """Let everyone who wants to log in."""
        return cls(Access.LOGIN)

    @classmethod
    def role(cls, action: Action, where: Where = Where.SOMEWHERE, *, person: bool = False) -> "Needs":
        """Let those whose roles allow the action."""
        return cls(Access.AUTHENTICATED, action, where, person)


class Once(Enum):
    """Whether an Idempotency-Key is looked at, and where the work is done that must not be done twice."""

    NO = "no"
    LEDGER = "ledger"
    """In transactions of the ledger, or begun by one."""
    OUTSIDE = "outside"
    """Elsewhere, so that nobody can tell what was done when it was cut short."""


LARGEST_BODY = 64 * 1024
"""Bytes of a body where an endpoint says nothing."""
ALWAYS = (401, 403, 404, 421, 429, 500)
"""What every endpoint may answer: who asks is not known, may not, or asks for nothing that is there; and a defect."""
UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. What stands below `needs` describes endpoints for programs (openapi.py)."""

    method: str
    path: str
    handler: Handler
    needs: Needs
    summary: str = ""
    answer: str = ""
    """Names that the JSON of a success has, with blanks between."""
    status: int = 200
    """Of a success."""
    also: tuple[int, ...] = (UNAVAILABLE,)
    """Other statuses than `status`, `ALWAYS`, and those that what it reads brings."""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    may_lack_body: bool = False
    reads: tuple[str, ...] = ()
    """Fields of a request's head that it looks at, beside Idempotency-Key."""
    gives: tuple[str, ...] = ()
    """Fields of an answer's head; ETag is there too wherever a condition is looked at."""
    csv: bool = False
    """Whether an answer may be a table."""
    once: Once = Once.NO
    largest: int = LARGEST_BODY
    """Bytes of a body; one that takes more takes a form in parts too, as browsers send files (uploads.py)."""
    is_live: bool = False
    """Whether an open page asks for it by itself, which does not count as a use of the session."""

    @property
    def is_api(self) -> bool:
        """Whether it is for programs, and answers them in JSON."""
        return self.path.startswith("/api/")

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status that it may answer with."""
        reads = self.query or self.body or self.method != "GET"
        again = 200 if self.status == 201 else self.status
        by_key = (again, 409, UNAVAILABLE) if self.once is not Once.NO else ()
        return tuple(sorted({self.status, *self.also, *ALWAYS, *by_key, *((400,) if reads else ())}))


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as it is known."""

    auth: AuthConfig
    origin: str
    """The origin that pages have under the name that was asked for."""
    person: Principal | None = None
    session: Session | None = None
    cookie: str = ""
    token_refused: bool = False


VISITOR = web.RequestKey("visitor", Visitor)
ENDPOINT = web.RequestKey("endpoint", Endpoint)
ANSWER_AGAIN = web.RequestKey("answer-again", web.Response)
"""What the same request is answered again, where the first answer holds something that is told once."""


def visitor(request: web.Request) -> Visitor:
    """Return who asks."""
    return request[VISITOR]


def person(request: web.Request) -> Principal:
    """Return who asks, where the endpoint let nobody unknown come."""
    found = request[VISITOR].person
    if found is None:
        raise web.HTTPUnauthorized
    return found


def csv_file(name: str, table: bytes) -> web.Response:
    """Return a table as a file to be saved."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=table, content_type="text/csv", charset="utf-8", headers=headers)
