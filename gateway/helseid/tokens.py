"""Keeps the gateway's own access tokens: one for each municipality and API, renewed before they expire."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import structlog

from gateway.helseid.issuer import Clock, HelseIdUnavailable
from gateway.helseid.token_request import Granted, TokenEndpoint

log = structlog.get_logger()

_REFRESH_AT = 0.8
"""Share of a token's lifetime after which a new one is fetched."""
_RETRY = 10.0
"""Seconds between tries to renew a token that is still good."""
_MARGIN, _LARGEST_MARGIN = 0.1, 5.0
"""How long before its end a token is not used any more: a share of its lifetime, and seconds at most."""
_MOST_HELD = 4096


@dataclass(frozen=True, slots=True)
class Subject:
    """A sender's verified token, to be exchanged for one of the gateway's."""

    token: str = field(repr=False)
    digest: bytes
    until: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    orgnr: str
    scope: str
    subject: bytes | None


@dataclass(frozen=True, slots=True)
class _Held:
    token: str = field(repr=False)
    refresh_at: float
    ends_at: float


class TokenSource:
    """Hands out tokens.

    All who need the same one wait for the same request, and nobody waits for a new one while the old one is good. A token that
    was got in exchange for a sender's is never used longer than that is valid.
    """

    def __init__(self, endpoint: TokenEndpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._held: OrderedDict[_Wanted, _Held] = OrderedDict()
        self._fetching: dict[_Wanted, asyncio.Task[_Held]] = {}

    async def token(self, orgnr: str, scope: str, subject: Subject | None = None) -> str:
        """Return an access token for acting on behalf of the municipality; raises `HelseIdUnavailable`."""
        wanted = _wanted(orgnr, scope, subject)
        held, now = self._held.get(wanted), self._clock()
        if held is not None and now < held.ends_at:
            if now >= held.refresh_at:
                self._begin(wanted, subject)
            return held.token
        # Shielded: one who gives up waiting takes nothing from the others.
        return (await asyncio.shield(self._begin(wanted, subject))).token

    def forget(self, orgnr: str, scope: str, token: str, subject: Subject | None = None) -> None:
        """Drop a token that a service refused, so that the next request fetches another."""
        wanted = _wanted(orgnr, scope, subject)
        held = self._held.get(wanted)
        if held is not None and held.token == token:
            del self._held[wanted]

    def _begin(self, wanted: _Wanted, subject: Subject | None) -> "asyncio.Task[_Held]":
        task = self._fetching.get(wanted)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._renew(wanted, subject))
            self._fetching[wanted] = task
            task.add_done_callback(_heard)
        return task

    async def _renew(self, wanted: _Wanted, subject: Subject | None) -> _Held:
        """Fetch a new token and keep it; while none can be had, the old one serves on until shortly before it ends."""
        asked_at = self._clock()
        try:
            granted = await self._endpoint.ask(wanted.orgnr, wanted.scope, subject.token if subject else None)
            held = _held(granted, asked_at, subject)
        except HelseIdUnavailable:
            old, now = self._held.get(wanted), self._clock()
            if old is None or now >= old.ends_at:
                raise
            held = replace(old, refresh_at=now + _RETRY)
        finally:
            self._fetching.pop(wanted, None)
        self._keep(wanted, held)
        return held

    def _keep(self, wanted: _Wanted, held: _Held) -> None:
        self._held[wanted] = held
        self._held.move_to_end(wanted)
        if len(self._held) > _MOST_HELD:
            self._held.popitem(last=False)


def _held(granted: Granted, asked_at: float, subject: Subject | None) -> _Held:
    margin = min(_LARGEST_MARGIN, granted.lifetime * _MARGIN)
    ends_at = asked_at + granted.lifetime - margin
    if subject is not None:
        ends_at = min(ends_at, subject.until)
    return _Held(granted.token, asked_at + granted.lifetime * _REFRESH_AT, ends_at)


def _wanted(orgnr: str, scope: str, subject: Subject | None) -> _Wanted:
    return _Wanted(orgnr, scope, subject.digest if subject else None)


def _heard(task: "asyncio.Task[_Held]") -> None:
    """Take note of how a fetch ended that perhaps nobody waited for; that HelseID is away was told already."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, HelseIdUnavailable):
        log.error("helseid.token.defect", error=type(error).__name__)
