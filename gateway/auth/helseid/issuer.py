"""The issuer's own documents: discovery (OpenID Connect Discovery 1.0) and the keys it signs with (RFC 7517)."""

import asyncio
import contextlib
import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from gateway.auth.helseid.http import HelseIdHttp, HelseIdUnavailable, origin
from gateway.auth.helseid.jws import Key
from gateway.times import Clock, ahead_of

log = structlog.get_logger()

_DISCOVERED_AGAIN = 43_200.0
"""Seconds after which the issuer's addresses are asked for again."""
_OLDEST_DISCOVERY = 86_400.0
"""Seconds after which they are used no more (HelseID: FK2)."""
_RETRY = 1.0
"""Seconds between tries while no keys were ever fetched."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The addresses that the issuer publishes; all of them on the issuer's own origin."""

    token_endpoint: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    par_endpoint: str | None = None
    """Where requests for a login are pushed to (RFC 9126)."""
    names_itself: bool = False
    """Whether its answers to a login say who they are from (RFC 9207)."""


class Issuer:
    """Fetches and keeps what the issuer publishes.

    Keys are fetched again after `keep` seconds, and at once, though not more often than every `pause` seconds, when a token
    names a key that is not known; with the addresses, in case they have moved. While HelseID cannot be reached, keys once
    fetched stay in use for another `grace` seconds.
    """

    def __init__(  # noqa: PLR0913 - three bounds, which tests shorten
        self,
        url: str,
        http: HelseIdHttp,
        clock: Clock,
        *,
        keep: float = 3600,
        pause: float = 10,
        grace: float = 86_400,
    ) -> None:
        self.url = url
        self.http = http
        self._clock = clock
        self._keep = keep
        self._pause = pause
        self._grace = grace
        self._discovery: Discovery | None = None
        self._keys: dict[str | None, Key] | None = None
        self._discovered_at = self._known_at = clock.monotonic()
        self._fetched_at = self._tried_at = -math.inf
        self._failed_at: float | None = None
        """When the keys could not be fetched, first of the times since they could, in the event loop's seconds."""
        self.ahead: float | None = None
        """Seconds that our clock is ahead of HelseID's, as far as its last answer says; None before the first."""
        self._fetching = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None

    async def discovery(self) -> Discovery:
        """Return the issuer's addresses; raises `HelseIdUnavailable`."""
        if self._discovery is None or self._clock.monotonic() - self._discovered_at >= _DISCOVERED_AGAIN:
            return await self._discover()
        return self._discovery

    def mislaid(self) -> None:
        """Take note that an address is not there any more: discovery is asked again for the next need, if it is not news itself."""
        if self._clock.monotonic() - self._known_at >= self._pause:
            self._discovered_at = -math.inf

    async def _discover(self) -> Discovery:
        """Ask for the addresses; those that are known serve on while they cannot be had, until they are a day old."""
        known, now = self._discovery, self._clock.monotonic()
        self._discovered_at = now
        try:
            document = await self._get(f"{self.url.rstrip('/')}/.well-known/openid-configuration")
            self._discovery, self._known_at = self._checked(document), now
        except HelseIdUnavailable as error:
            if known is None or now - self._known_at >= _OLDEST_DISCOVERY:
                self._discovery = None
                raise
            self._discovered_at += self._pause - _DISCOVERED_AGAIN
            log.warning("helseid.discovery.unavailable", reason=str(error))
            return known
        return self._discovery

    @property
    def keys_age(self) -> float | None:
        """Seconds since the keys were fetched; None where there are none."""
        return None if self._keys is None else self._clock.monotonic() - self._fetched_at

    @property
    def is_failing(self) -> bool:
        """Whether it did not answer the last time, for keys or for a token, or with keys that are none."""
        return self.failing_since is not None

    @property
    def failing_since(self) -> float | None:
        """Since when, in the event loop's seconds."""
        return min((one for one in (self._failed_at, self.http.failing_since) if one is not None), default=None)

    @property
    def has_keys(self) -> bool:
        """Whether there are keys, so that a token of one that is not among them is a stranger's, or hardly older than its key."""
        return self._keys is not None

    async def key(self, kid: str | None) -> Key | None:
        """Return the key that a token names, the only key when it names none, or None when the issuer has no such key.

        Raises `HelseIdUnavailable` when that cannot be known: there are no keys, or they cannot be fetched anew, or not yet.
        """
        now = self._clock.monotonic()
        age = now - self._fetched_at
        if self._keys is not None and age >= self._keep + self._grace:
            self._keys = None
        found = self._find(kid)
        is_fresh = age < self._keep
        if found is not None and is_fresh:
            return found
        is_due = now - self._tried_at >= (self._pause if self._keys else _RETRY)
        if found is not None:
            if is_due and not self._fetching.locked():
                # An old key is good while HelseID cannot be reached, so nobody waits for newer ones.
                self._renewing()
            return found
        if is_due or self._fetching.locked():
            # In a task of its own: a request that is given up must not take away what others wait for.
            await asyncio.shield(self._renewing(is_unknown=self._keys is not None))
        if self._keys is None:
            raise HelseIdUnavailable("no keys yet")
        found = self._find(kid)
        if found is None and (self._failed_at is not None or (kid is not None and self._tried_at < now)):
            # What was fetched before this token came says nothing of a key that is newer.
            raise HelseIdUnavailable("whether there is such a key cannot be asked yet")
        return found

    def _find(self, kid: str | None) -> Key | None:
        keys = self._keys or {}
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    def _renewing(self, *, is_unknown: bool = False) -> asyncio.Task[None]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._refresh(is_unknown=is_unknown))
        return self._renewal

    async def _refresh(self, *, is_unknown: bool) -> None:
        """Fetch the keys; the addresses as well where a key is not known, or where they did not lead to keys the last time."""
        if self._fetching.locked():
            async with self._fetching:
                return  # what another message fetched is all there is
        async with self._fetching:
            self._tried_at = self._clock.monotonic()
            try:
                found = await (self._discover() if is_unknown or self._failed_at is not None else self.discovery())
                self._keys = _signing_keys(await self._get(found.jwks_uri))
                self._fetched_at = self._clock.monotonic()
                self._failed_at = None
            except (HelseIdUnavailable, JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
                self._failed_at = asyncio.get_running_loop().time() if self._failed_at is None else self._failed_at
                # Of the others the text may quote what HelseID answered.
                reason = str(error) if isinstance(error, HelseIdUnavailable) else type(error).__name__
                log.warning("helseid.keys.unavailable", reason=reason, keeps=self._keys is not None)

    def _checked(self, document: dict[str, Any]) -> Discovery:
        if document.get("issuer") != self.url:
            raise HelseIdUnavailable("discovery names another issuer")
        endpoints = [document.get("token_endpoint"), document.get("jwks_uri")]
        for endpoint in endpoints:
            if not isinstance(endpoint, str) or origin(endpoint) != origin(self.url):
                raise HelseIdUnavailable("discovery names an address outside the issuer's origin")
        token, keys = map(str, endpoints)
        names = ("authorization_endpoint", "pushed_authorization_request_endpoint")
        for_people = [self._own(document.get(name)) for name in names]
        names_itself = document.get("authorization_response_iss_parameter_supported") is True
        return Discovery(token, keys, for_people[0], for_people[1], names_itself)

    def _own(self, endpoint: object) -> str | None:
        """Return an address on the issuer's origin; logins cannot be without it, and messages can."""
        return endpoint if isinstance(endpoint, str) and origin(endpoint) == origin(self.url) else None

    async def _get(self, url: str) -> dict[str, Any]:
        before = self._clock()
        answer = await self.http.get(url)
        self._compare(before, answer.date)
        if answer.status != 200:
            raise HelseIdUnavailable(f"status {answer.status}")
        return answer.document

    def _compare(self, before: float, date: str) -> None:
        """Take note of what HelseID's clock says."""
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            self.ahead = ahead_of(before, self._clock(), parsedate_to_datetime(date).timestamp())


def _signing_keys(document: dict[str, Any]) -> dict[str | None, Key]:
    """Return the keys that may sign; one that cannot be read, or that is for something else, is no reason to have none."""
    keys: dict[str | None, Key] = {}
    for described in document["keys"]:
        if not isinstance(described, dict) or described.get("use", "sig") != "sig":
            continue
        if described.get("kty") not in ("RSA", "EC"):
            continue
        with contextlib.suppress(JoseError, ValueError, TypeError, KeyError):
            key = import_key(described)
            if isinstance(key, Key):
                keys.setdefault(key.kid, key)
    if not keys:
        raise ValueError("no key of use")
    return keys
