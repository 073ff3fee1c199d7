"""Verifies the ID token of a login (OpenID Connect Core section 3.1.3.7; RFC 8725)."""

import hmac
from dataclasses import dataclass

from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.jws import JsonObject, Signed, Unreadable, read, time_of
from gateway.auth.people.principal import SUBJECT
from gateway.config.model import SECURITY_LEVEL
from gateway.times import Clock

_LEEWAY = 5.0
"""Seconds that clocks may differ."""
_OLDEST = 300.0
"""Seconds since an ID token was made: it comes straight from HelseID."""
_TYPES = frozenset({"", "jwt", "application/jwt"})


class LoginRefused(Exception):  # noqa: N818 - an outcome, not a failure of the program
    """Nobody is logged in; the text says why and holds nothing of the answer."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token must say."""

    client_id: str
    nonce: str
    security_level: int


async def verified(token: str, issuer: Issuer, expected: Expected, clock: Clock) -> JsonObject:
    """Return the claims; raises `LoginRefused`, or `HelseIdUnavailable` when no keys can be had."""
    signed = await _signed(token, issuer)
    claims = signed.claims
    _check_parties(claims, issuer.url, expected)
    _check_times(claims, clock())
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode("utf-8", "replace"), expected.nonce.encode()):
        raise LoginRefused("the ID token is for another login")
    if _level(claims) < expected.security_level:
        raise LoginRefused("the security level is too low")
    return claims


async def _signed(token: str, issuer: Issuer) -> Signed:
    try:
        signed = read(token)
    except Unreadable as reason:
        raise LoginRefused(f"the ID token: {reason}") from None
    if str(signed.header.get("typ", "")).lower() not in _TYPES:
        raise LoginRefused("not an ID token by its type")
    kid = signed.header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise LoginRefused("the key id of the ID token is not a text")
    key = await issuer.key(kid)
    if key is None or not signed.is_signed_by(key):
        raise LoginRefused("the signature of the ID token is wrong")
    return signed


def _check_parties(claims: JsonObject, issuer: str, expected: Expected) -> None:
    if claims.get("iss") != issuer:
        raise LoginRefused("the ID token is from another issuer")
    if claims.get("aud") not in (expected.client_id, [expected.client_id]):
        raise LoginRefused("the ID token is for another client")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise LoginRefused("the ID token was made for another client")
    subject = claims.get(SUBJECT)
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise LoginRefused("the ID token names nobody")


def _check_times(claims: JsonObject, now: float) -> None:
    issued, expires = time_of(claims.get("iat")), time_of(claims.get("exp"))
    begins = time_of(claims.get("nbf", 0))
    if issued is None or expires is None or begins is None:
        raise LoginRefused("the ID token is without usable times")
    if now >= expires + _LEEWAY or now - issued >= _OLDEST:
        raise LoginRefused("the ID token has expired")
    if max(issued, begins) > now + _LEEWAY:
        raise LoginRefused("the ID token is not valid yet")


def _level(claims: JsonObject) -> int:
    """Return the security level: HelseID writes it as text; without one it is none."""
    stated = str(claims.get(SECURITY_LEVEL, ""))
    return int(stated) if stated in {"1", "2", "3", "4"} else 0
