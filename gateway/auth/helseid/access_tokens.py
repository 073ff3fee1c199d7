"""Access tokens of our own: asked for at HelseID (private_key_jwt and DPoP; NHN: token-endepunktet), kept, and renewed in time."""

import asyncio
import math
import re
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from gateway.auth.helseid.client_assertion import ClientIdentity
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import ClientForms, HelseIdUnavailable
from gateway.auth.helseid.issuer import Issuer
from gateway.times import Clock

log = structlog.get_logger()

_EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
}
_LONGEST_LIFETIME = 86_400
_LONGEST_WORDS = 200
_LIKE_A_SECRET = re.compile(r"[A-Za-z0-9_+/=.~-]{40,}|\d{11,}")


@dataclass(frozen=True, slots=True)
class Granted:
    """A token that HelseID gave, and for how many seconds."""

    token: str
    lifetime: int


class TokenEndpoint:
    """Asks for tokens, each time with an assertion and a proof that are new."""

    def __init__(self, issuer: Issuer, identity: ClientIdentity, prover: DpopProver, clock: Clock) -> None:
        self._issuer = issuer
        self._identity = identity
        self._forms = ClientForms(issuer.http, prover)
        self._clock = clock

    async def ask(self, orgnr: str, scope: str, subject_token: str | None = None) -> Granted:
        """Return a token for acting on behalf of the municipality; raises `HelseIdUnavailable`, and tells the operator why.

        `scope` may be several, with blanks between them: a token that lacks one of them is none. With `subject_token`, that
        token is exchanged for it (RFC 8693).
        """
        wanted = {"scope": scope, "grant_type": "client_credentials"}
        if subject_token is not None:
            wanted = {"scope": scope, **_EXCHANGE, "subject_token": subject_token}
        try:
            endpoint = (await self._issuer.discovery()).token_endpoint
            answer = await self._forms.post(endpoint, wanted, lambda: self._client(orgnr))
            if answer.status in (404, 410):
                self._issuer.mislaid()
            document = answer.document
        except HelseIdUnavailable as error:
            log.warning("helseid.token.unavailable", orgnr=orgnr, scope=scope, reason=str(error))
            raise
        return _granted(answer.status, document, orgnr, scope)

    def _client(self, orgnr: str) -> dict[str, str]:
        return self._identity.assertion(self._issuer.url, orgnr, self._clock())


def _granted(status: int, answer: dict[str, Any], orgnr: str, scope: str) -> Granted:
    """Return the token of an answer, unless it is another than was asked for."""
    if status != 200:
        code, words = error_code(answer), _words(answer)
        log.error("helseid.token.refused", orgnr=orgnr, scope=scope, status=status, error=code, description=words)
        raise HelseIdUnavailable(f"token refused: {code}")
    # With status 200: the municipality has not accepted the terms of use (NHN: token_requests, rejected_scope).
    wanted = set(_scopes(scope))
    if wanted & set(_scopes(answer.get("rejected_scope"))) or wanted - set(_scopes(answer.get("scope", scope))):
        why = "HelseID gave a token without the scope: the municipality has not accepted the service's terms of use"
        log.error("helseid.token.scope_rejected", orgnr=orgnr, scope=scope, reason=why)
        raise HelseIdUnavailable("the scope was rejected for this municipality")
    token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise _strange(orgnr, scope, "without a token")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int) or lifetime <= 0:
        raise _strange(orgnr, scope, "without a lifetime")
    if str(answer.get("token_type")).lower() != "dpop":
        raise _strange(orgnr, scope, "without saying that the token is bound to our key (token_type DPoP)")
    return Granted(token, min(lifetime, _LONGEST_LIFETIME))


def _strange(orgnr: str, scope: str, what: str) -> HelseIdUnavailable:
    log.error("helseid.token.unusable", orgnr=orgnr, scope=scope, reason=f"HelseID's answer came {what}")
    return HelseIdUnavailable(f"an answer {what}")


def _scopes(value: object) -> list[str]:
    return value.split() if isinstance(value, str) else []


def error_code(answer: dict[str, Any]) -> str:
    """Return the `error` of an OAuth answer when it is one of the short codes (RFC 6749 section 5.2), not free text."""
    code = answer.get("error")
    return code if isinstance(code, str) and len(code) <= 64 and code.replace("_", "").isalnum() else "unknown"


def _words(answer: dict[str, Any]) -> str | None:
    """Return what HelseID says of an error, for the operator: a line of bounded length, without what may be a secret."""
    words = answer.get("error_description")
    if not isinstance(words, str):
        return None
    line = "".join(each if each.isprintable() else " " for each in words[: 10 * _LONGEST_WORDS])
    return _LIKE_A_SECRET.sub("(withheld)", line)[:_LONGEST_WORDS]


_RENEWAL, _LARGEST_RENEWAL = 0.2, 60.0
"""How long before its end a token is renewed: a share of its lifetime, and seconds at most. HelseID's FK3 allows no new token
while one is valid; the last minute is so that no message waits."""
_FORGOTTEN_AGAIN = 60.0
"""Seconds between two tokens that are dropped because a service refused them, for a municipality and API."""
_RETRY = 10.0
"""Seconds between tries to renew a token that is still good."""
_MARGIN, _LARGEST_MARGIN = 0.1, 5.0
"""How long before its end a token is not used any more: a share of its lifetime, and seconds at most."""


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
    """By the monotonic clock, as the other two."""
    ends_at: float
    asked_at: float


@dataclass(frozen=True, slots=True)
class HeldToken:
    """What may be told of a token; seconds."""

    orgnr: str
    scope: str
    age: float
    left: float
    """Until it is used no more; negative where it has ended."""


class TokenSource:
    """Hands out tokens.

    All who need the same one wait for the same request, and nobody waits for a new one while the old one is good. A token that
    was got in exchange for a sender's is never used longer than that is valid.
    """

    def __init__(self, endpoint: TokenEndpoint, clock: Clock, *, most_held: int = 4096) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._most_held = most_held
        self._held: OrderedDict[_Wanted, _Held] = OrderedDict()
        self._forgotten_at: dict[tuple[str, str], float] = {}
        self._fetching: dict[_Wanted, asyncio.Task[_Held]] = {}

    async def token(self, orgnr: str, scope: str, subject: Subject | None = None) -> str:
        """Return an access token for acting on behalf of the municipality; raises `HelseIdUnavailable`."""
        wanted = _wanted(orgnr, scope, subject)
        held, now = self._held.get(wanted), self._clock.monotonic()
        if held is not None and now < held.ends_at:
            if now >= held.refresh_at:
                self._begin(wanted, subject)
            return held.token
        # Shielded: one who gives up waiting takes nothing from the others.
        return (await asyncio.shield(self._begin(wanted, subject))).token

    def held(self) -> list[HeldToken]:
        """Return what may be told of the tokens that are kept for municipalities, the oldest first; not of those for a sender's own."""
        now = self._clock.monotonic()
        return [
            HeldToken(wanted.orgnr, wanted.scope, now - held.asked_at, held.ends_at - now)
            for wanted, held in self._held.items()
            if wanted.subject is None
        ]

    def forget(self, orgnr: str, scope: str, token: str, subject: Subject | None = None) -> None:
        """Drop a token that a service refused, so that the next request fetches another: once a minute at most.

        What refuses a token that has just come refuses the next one too, and HelseID is not asked for each message.
        """
        wanted, now = _wanted(orgnr, scope, subject), self._clock.monotonic()
        held, last = self._held.get(wanted), self._forgotten_at.get((orgnr, scope))
        if held is None or held.token != token or (last is not None and now - last < _FORGOTTEN_AGAIN):
            return
        self._forgotten_at[orgnr, scope] = now
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
        asked_at = self._clock.monotonic()
        try:
            granted = await self._endpoint.ask(wanted.orgnr, wanted.scope, subject.token if subject else None)
            held = _held(granted, asked_at, subject.until - self._clock() if subject else math.inf)
        except HelseIdUnavailable:
            old, now = self._held.get(wanted), self._clock.monotonic()
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
        if len(self._held) > self._most_held:
            # Senders may bring any number of tokens; ours for municipalities are as many as are configured.
            exchanged = (one for one in self._held if one.subject is not None)
            del self._held[next(exchanged, next(iter(self._held)))]


def _held(granted: Granted, asked_at: float, left: float) -> _Held:
    """Return how long a token is used that was asked for then; `left` are the seconds that the sender's own is still good."""
    margin = min(_LARGEST_MARGIN, granted.lifetime * _MARGIN)
    ends_at = asked_at + min(granted.lifetime - margin, left)
    renewal = min(_LARGEST_RENEWAL, granted.lifetime * _RENEWAL)
    return _Held(granted.token, asked_at + granted.lifetime - renewal, ends_at, asked_at)


def _wanted(orgnr: str, scope: str, subject: Subject | None) -> _Wanted:
    return _Wanted(orgnr, scope, subject.digest if subject else None)


def _heard(task: "asyncio.Task[_Held]") -> None:
    """Take note of how a fetch ended that perhaps nobody waited for; that HelseID is away was told already."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, HelseIdUnavailable):
        log.error("helseid.token.defect", error=type(error).__name__)
