"""What the admin port says when it does not do as it was asked: a problem for programs (RFC 9457), a page for people."""

from collections.abc import Iterable
from enum import StrEnum
from http import HTTPStatus

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.migration.override_rules import etag, versions_of

PROBLEM_TYPE = "application/problem+json"


class Code(StrEnum):
    """Why; also the name of the text that people read."""

    NOT_FOUND = "not-found"
    METHOD = "method-not-allowed"
    HOST = "unknown-host"
    NOT_LOGGED_IN = "not-logged-in"
    TOKEN = "token-refused"  # noqa: S105 - a word, not a secret
    TOO_MANY = "too-many"
    FORBIDDEN = "forbidden"
    PEOPLE_ONLY = "people-only"
    CSRF = "not-from-this-page"
    BAD_REQUEST = "bad-request"
    LOGIN = "login-refused"
    NO_ROLE = "no-role"
    HELSEID = "helseid-unavailable"
    STORE = "not-stored"
    NO_LEDGER = "no-ledger"
    LEDGER = "ledger-unavailable"
    CONFLICT = "conflict"
    CHANGED_MEANWHILE = "changed-meanwhile"
    UNCONDITIONAL = "condition-missing"
    FAILED = "failed"


STATUS = {
    Code.NOT_FOUND: 404,
    Code.METHOD: 405,
    Code.HOST: 421,
    Code.NOT_LOGGED_IN: 401,
    Code.TOKEN: 401,
    Code.TOO_MANY: 429,
    Code.FORBIDDEN: 403,
    Code.PEOPLE_ONLY: 403,
    Code.CSRF: 403,
    Code.BAD_REQUEST: 400,
    Code.LOGIN: 403,
    Code.NO_ROLE: 403,
    Code.HELSEID: 503,
    Code.STORE: 503,
    Code.NO_LEDGER: 503,
    Code.LEDGER: 503,
    Code.CONFLICT: 409,
    Code.CHANGED_MEANWHILE: 412,
    Code.UNCONDITIONAL: 428,
    Code.FAILED: 500,
}


class Problem(Exception):  # noqa: N818 - an answer, not a failure of the program
    """An answer other than what was asked for; `detail` holds nothing secret and nothing personal."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    @property
    def headers(self) -> dict[str, str]:
        """Fields that go with the status (RFC 9110)."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": "60"} if self.status in (429, 503) else {}


class NotThatMethod(Problem):
    """What a path names is there, and is asked for in another way (405)."""

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__(Code.METHOD)
        self._allowed = ", ".join(sorted(allowed))

    @property
    def headers(self) -> dict[str, str]:
        """The methods that there are, which RFC 9110 demands."""
        return {"Allow": self._allowed}


def of_http(error: web.HTTPException) -> Problem:
    """Return the refusal that says what aiohttp would."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return NotThatMethod(error.allowed_methods)
    if error.status == 404:
        return Problem(Code.NOT_FOUND)
    return Problem(Code.BAD_REQUEST if error.status < 500 else Code.FAILED)


def as_problem(refusal: Problem) -> web.Response:
    """Return a refusal for a program; `about:blank` says that the status is all there is to its type."""
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code.value,
    }
    body = msgspec.json.encode(problem)
    return web.Response(body=body, status=refusal.status, content_type=PROBLEM_TYPE, headers=refusal.headers)


LOST_RACE = "somebody else has changed it meanwhile"


class PreconditionFailed(Problem):
    """A change whose condition is missing (428), or does not hold (412, with the version that there is)."""

    def __init__(self, version: int | None = None) -> None:
        if version is None:
            super().__init__(Code.UNCONDITIONAL, "If-Match: the ETag of what you have seen is needed")
        else:
            super().__init__(Code.CHANGED_MEANWHILE, f"{LOST_RACE}: it is version {version} now")
        self.version = version

    @property
    def headers(self) -> dict[str, str]:
        """The version that there is."""
        return {} if self.version is None else {"ETag": etag(self.version)}


def asked_versions(request: web.Request) -> frozenset[int]:
    """Return which versions a change is meant for; raises `PreconditionFailed` where the request does not say."""
    if "If-Match" not in request.headers:
        raise PreconditionFailed
    return versions_of(",".join(request.headers.getall("If-Match")))


def versions_if_asked(request: web.Request) -> frozenset[int] | None:
    """Likewise, or None where the request does not say."""
    return asked_versions(request) if "If-Match" in request.headers else None


def check_version(versions: frozenset[int] | None, version: int, *, needed: bool = False) -> None:
    """Raise `PreconditionFailed` where a change is meant for other versions, or for none although it is `needed` to say."""
    if versions is None:
        if needed:
            raise PreconditionFailed
    elif version not in versions:
        raise PreconditionFailed(version)


def unchanged(request: web.Request, version: int) -> web.Response | None:
    """Return the answer for who has this version already (If-None-Match), or None."""
    given = ",".join(request.headers.getall("If-None-Match", []))
    if version in versions_of(given.replace("W/", "")):
        return web.Response(status=304, headers={"ETag": etag(version)})
    return None
