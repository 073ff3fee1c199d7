"""Verifies the access tokens of senders (NHN: validering av access token; RFC 9068; RFC 8725)."""

from collections import OrderedDict

from msgspec import Struct

from gateway.auth.helseid.claims import Claims, Credentials
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.jws import Signed, Unreadable, read, time_of
from gateway.times import Clock

LEEWAY = 5.0
"""Seconds that clocks may differ."""
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_CHECKED_AGAIN = 300.0
"""Seconds after which a signature is checked again, so that a key which HelseID withdraws is not trusted for long."""


class TokenRefused(Exception):  # noqa: N818 - an outcome, not a failure of the program
    """A token that gives no access; the text says why and holds nothing of the token."""


class _Verified(Struct, frozen=True):
    claims: Claims
    begins: float
    ends: float
    checked_again: float
    """By the monotonic clock."""


class TokenVerifier:
    """Checks signature, type, issuer, audience and times; remembers verified tokens by their hash until they expire."""

    def __init__(
        self,
        issuer: Issuer,
        audience: str,
        clock: Clock,
        *,
        takes_audience_list: bool = False,
        most_remembered: int = 4096,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._takes_audience_list = takes_audience_list
        self._most_remembered = most_remembered
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    @property
    def can_verify(self) -> bool:
        """Whether there are keys to verify with."""
        return self._issuer.has_keys

    async def verify(self, presented: Credentials) -> Claims:
        """Return the claims of a good token; raises `TokenRefused`, or `HelseIdUnavailable` when no keys can be had."""
        claims = self.verified(presented)
        if claims is None:
            claims = await self._check(presented)
            self._check_times(claims)
            self._remember(presented.digest, claims)
        return claims

    def verified(self, presented: Credentials) -> Claims | None:
        """Return the claims of a token that was verified before and is still valid, without waiting for anything."""
        known = self._verified.get(presented.digest)
        if known is None:
            return None
        now = self._clock()
        if known.begins <= now < known.ends and self._clock.monotonic() < known.checked_again:
            return known.claims
        del self._verified[presented.digest]
        return None

    async def _check(self, presented: Credentials) -> Claims:
        token = _read(presented)
        kid = token.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise TokenRefused("its key id is not a text")
        key = await self._issuer.key(kid)
        if key is None:
            raise TokenRefused("signed with a key that the issuer does not have")
        if not token.is_signed_by(key):
            raise TokenRefused("the signature is wrong")
        claims = token.claims
        if claims.get("iss") != self._issuer.url:
            raise TokenRefused("from another issuer")
        audiences = claims.get("aud")
        if isinstance(audiences, list) and not self._takes_audience_list:
            raise TokenRefused("its audience is a list, and HelseID documents one API for each token")
        if self._audience not in (audiences if isinstance(audiences, list) else [audiences]):
            raise TokenRefused("for another audience")
        return claims

    def _check_times(self, claims: Claims) -> None:
        now = self._clock()
        begins, ends = _span(claims)
        if now >= ends:
            raise TokenRefused("expired")
        if now < begins:
            raise TokenRefused("not valid yet")

    def _remember(self, digest: bytes, claims: Claims) -> None:
        begins, ends = _span(claims)
        self._verified[digest] = _Verified(claims, begins, ends, self._clock.monotonic() + _CHECKED_AGAIN)
        if len(self._verified) > self._most_remembered:
            self._verified.popitem(last=False)


def _read(presented: Credentials) -> Signed:
    try:
        token = read(presented.token)
    except Unreadable as reason:
        raise TokenRefused(str(reason)) from None
    if str(token.header.get("typ", "")).lower() not in _TYPES:
        raise TokenRefused("not an access token by its type")
    return token


def _span(claims: Claims) -> tuple[float, float]:
    """Return from when until when a token is valid, with the leeway at both ends."""
    ends = time_of(claims.get("exp"))
    begins = [time_of(claims.get(name, 0)) for name in ("nbf", "iat")]
    if ends is None or begins[0] is None or begins[1] is None:
        raise TokenRefused("without usable times")
    return max(begins[0], begins[1]) - LEEWAY, ends + LEEWAY
