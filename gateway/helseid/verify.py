"""Verifies the access tokens of senders (NHN: validering av access token; RFC 9068; RFC 8725)."""

import math
from collections import OrderedDict
from typing import Any, TypeGuard

from joserfc import jws
from joserfc.errors import JoseError

from gateway.helseid.claims import Claims, Credentials, read_unverified
from gateway.helseid.issuer import Clock, Issuer

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LEEWAY = 5.0
"""Seconds that clocks may differ."""
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_CACHED = 4096
# A header parameter that nobody knows is to be ignored (RFC 7515 section 4); one that `crit` names is refused all the same.
_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)


class TokenRefused(Exception):  # noqa: N818 - an outcome, not a failure of the program
    """A token that gives no access; the text says why and holds nothing of the token."""


class Verifier:
    """Checks signature, type, issuer, audience and times; remembers verified tokens by their hash until they expire."""

    def __init__(self, issuer: Issuer, audience: str, clock: Clock) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()

    async def verify(self, presented: Credentials) -> Claims:
        """Return the claims of a good token; raises `TokenRefused`, or `HelseIdUnavailable` when no keys can be had."""
        claims = self._verified.get(presented.digest)
        if claims is None:
            claims = await self._check(presented)
            self._remember(presented.digest, claims)
        self._check_times(claims)
        return claims

    def verified(self, presented: Credentials) -> Claims | None:
        """Return the claims of a token that was verified before and is still valid, without waiting for anything."""
        claims = self._verified.get(presented.digest)
        if claims is None:
            return None
        try:
            self._check_times(claims)
        except TokenRefused:
            return None
        return claims

    async def _check(self, presented: Credentials) -> Claims:
        header = _header(presented.token)
        if header.get("alg") not in ALGORITHMS:
            raise TokenRefused("the algorithm is not allowed")
        if str(header.get("typ", "")).lower() not in _TYPES:
            raise TokenRefused("not an access token by its type")
        kid = header.get("kid")
        key = await self._issuer.key(kid if isinstance(kid, str) else None)
        if key is None:
            raise TokenRefused("signed with a key that the issuer does not have")
        try:
            jws.deserialize_compact(presented.token, key, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError):
            raise TokenRefused("the signature is wrong") from None
        claims = read_unverified(presented)
        if claims.get("iss") != self._issuer.url:
            raise TokenRefused("from another issuer")
        audiences = claims.get("aud")
        if self._audience not in (audiences if isinstance(audiences, list) else [audiences]):
            raise TokenRefused("for another audience")
        return claims

    def _check_times(self, claims: Claims) -> None:
        now = self._clock()
        expires, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not _is_time(expires) or not _is_time(not_before):
            raise TokenRefused("without usable times")
        if now >= expires + LEEWAY:
            raise TokenRefused("expired")
        if now < not_before - LEEWAY:
            raise TokenRefused("not valid yet")

    def _remember(self, digest: bytes, claims: Claims) -> None:
        self._verified[digest] = claims
        if len(self._verified) > _CACHED:
            self._verified.popitem(last=False)


def _header(token: str) -> dict[str, Any]:
    try:
        return dict(jws.extract_compact(token.encode(), registry=_REGISTRY).protected)
    except (JoseError, ValueError, TypeError):
        raise TokenRefused("not a JSON Web Token") from None


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
