"""Fetches the gateway's own access tokens: client credentials with private_key_jwt and DPoP (NHN: token-endepunktet)."""

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import aiohttp
import structlog

from gateway.helseid.client_key import algorithm
from gateway.helseid.issuer import Clock, HelseIdUnavailable, Issuer
from gateway.helseid.proof import Key, Prover, signed
from gateway.responses import UnusableAnswer, json_object, read_bounded

log = structlog.get_logger()

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFETIME = 30
"""Seconds; HelseID accepts at most 60."""
_REFRESH_AT = 0.8
"""Share of a token's lifetime after which a new one is fetched."""
_RETRY = 10.0
"""Seconds between tries to renew a token that is still good."""
_ANSWER_LIMIT = 64 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Which HelseID client the gateway is."""

    client_id: str
    key: Key
    multi_tenant: bool
    assertion_field: str


@dataclass(frozen=True, slots=True)
class _Held:
    token: str
    refresh_at: float
    expires_at: float


class TokenSource:
    """Keeps one token for each municipality and scope; all who need the same one wait for the same fetch."""

    def __init__(
        self, issuer: Issuer, identity: ClientIdentity, prover: Prover, session: aiohttp.ClientSession, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._identity = identity
        self._prover = prover
        self._session = session
        self._clock = clock
        self._nonce: str | None = None
        self._held: dict[tuple[str, str], _Held] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._failed_at: dict[tuple[str, str], float] = {}

    async def token(self, orgnr: str, scope: str) -> str:
        """Return an access token for acting on behalf of the municipality; raises `HelseIdUnavailable`."""
        wanted = (orgnr, scope)
        held = self._usable(wanted)
        if held is None:
            loop = asyncio.get_running_loop()
            asked_at = loop.time()
            async with self._locks.setdefault(wanted, asyncio.Lock()):
                held = self._usable(wanted)
                if held is None and self._failed_at.get(wanted, asked_at) > asked_at:
                    raise HelseIdUnavailable("the fetch that was waited for has failed")
                held = held or await self._renewed(wanted)
                self._held[wanted] = held
        return held.token

    def forget(self, orgnr: str, scope: str, token: str) -> None:
        """Drop a token that a service refused, so that the next request fetches another."""
        held = self._held.get((orgnr, scope))
        if held is not None and held.token == token:
            del self._held[(orgnr, scope)]

    def _usable(self, wanted: tuple[str, str]) -> _Held | None:
        held = self._held.get(wanted)
        return held if held is not None and self._clock() < held.refresh_at else None

    async def _renewed(self, wanted: tuple[str, str]) -> _Held:
        """Return a new token; while none can be had, the old one serves on until shortly before it expires."""
        try:
            return await self._fetch(*wanted)
        except HelseIdUnavailable:
            old, now = self._held.get(wanted), self._clock()
            if old is None or now + _RETRY >= old.expires_at:
                self._failed_at[wanted] = asyncio.get_running_loop().time()
                raise
            return replace(old, refresh_at=now + _RETRY)

    async def _fetch(self, orgnr: str, scope: str) -> _Held:
        endpoint = (await self._issuer.discovery()).token_endpoint
        asked_at = self._clock()
        status, answer = await self._ask(endpoint, orgnr, scope)
        if status == 400 and answer.get("error") == "use_dpop_nonce":
            # Assertions are used once, so the repeat carries a new one as well as a new proof (RFC 9449 section 8).
            status, answer = await self._ask(endpoint, orgnr, scope)
        if status != 200:
            log.error("helseid.token.refused", orgnr=orgnr, scope=scope, status=status, error=_error_code(answer))
            raise HelseIdUnavailable(f"token refused: {_error_code(answer)}")
        token, lifetime = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(lifetime, int) or lifetime <= 0:
            raise HelseIdUnavailable("a token answer without token or lifetime")
        if scope not in str(answer.get("scope", scope)).split():
            # With status 200: the municipality has not accepted the terms of use (NHN: token_requests, rejected_scope).
            log.error("helseid.token.scope_rejected", orgnr=orgnr, scope=scope)
            raise HelseIdUnavailable("the scope was rejected for this municipality")
        return _Held(token, asked_at + lifetime * _REFRESH_AT, asked_at + lifetime)

    async def _ask(self, endpoint: str, orgnr: str, scope: str) -> tuple[int, dict[str, Any]]:
        form = {
            "client_id": self._identity.client_id,
            "scope": scope,
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._assertion(orgnr),
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "DPoP": self._prover.proof("POST", endpoint, nonce=self._nonce),
        }
        try:
            async with self._session.post(
                endpoint, data=urlencode(form).encode(), headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                self._nonce = response.headers.get("DPoP-Nonce", self._nonce)
                return response.status, json_object(await read_bounded(response, _ANSWER_LIMIT))
        except (aiohttp.ClientError, TimeoutError, UnusableAnswer) as error:
            raise HelseIdUnavailable(type(error).__name__) from None

    def _assertion(self, orgnr: str) -> str:
        identity, now = self._identity, int(self._clock())
        claims: dict[str, object] = {
            "iss": identity.client_id,
            "sub": identity.client_id,
            "aud": self._issuer.url,
            "iat": now,
            "nbf": now,
            "exp": now + _ASSERTION_LIFETIME,
            "jti": str(uuid.uuid4()),
        }
        if identity.multi_tenant:
            claims[identity.assertion_field] = _organisation(orgnr)
        header: dict[str, object] = {"typ": "client-authentication+jwt", "alg": algorithm(identity.key)}
        if identity.key.kid:
            header["kid"] = identity.key.kid
        return signed(header, claims, identity.key)


def _organisation(orgnr: str) -> dict[str, object]:
    """Return the organisation structure for a multi-tenant client (NHN: organisasjonsnumre); no child organisation."""
    identifier = {"system": "urn:oid:1.0.6523", "type": "ENH", "value": f"NO:ORGNR:{orgnr}:"}
    return {"type": "helseid_authorization", "practitioner_role": {"organization": {"identifier": identifier}}}


def _error_code(answer: dict[str, Any]) -> str:
    """Return the `error` of an OAuth answer when it is one of the short codes (RFC 6749 section 5.2), not free text."""
    code = answer.get("error")
    return code if isinstance(code, str) and len(code) <= 64 and code.replace("_", "").isalnum() else "unknown"
