"""DPoP proofs of senders (RFC 9449 section 4.3; NHN: validering av DPoP-bevis): each for one request, one token, one use."""

import hashlib
import math
from collections import Counter, OrderedDict
from collections.abc import Sequence

from msgspec import Struct

from gateway.auth.helseid import dpop
from gateway.auth.helseid.claims import Claims, Credentials
from gateway.auth.helseid.dpop import normalised
from gateway.auth.helseid.jws import Key, Signed, Unreadable, encoded, read, time_of
from gateway.times import Clock

LIFETIME, LEEWAY = 10.0, 5.0
"""Seconds that a proof is good after it was made, and that clocks may differ."""
_REMEMBERED = LIFETIME + 2 * LEEWAY + 1
"""Seconds: a proof that comes for the first time was made later than any that is forgotten."""
_LONGEST, _LONGEST_ID = 8_192, 256


class ProofRefused(Exception):  # noqa: N818 - an outcome, not a failure of the program
    """A proof that proves nothing; the text says why and holds nothing of it."""


class TooManyProofs(Exception):  # noqa: N818 - the condition
    """More proofs came in the last seconds than can be remembered."""


class ProvenRequest(Struct, frozen=True):
    """The request that a proof must be for."""

    method: str
    url: str
    """As senders call it; without a query."""
    proofs: Sequence[bytes]
    """Every value of the field DPoP."""


class _Used(Struct, frozen=True):
    until: float
    """By the monotonic clock."""
    made: float
    client: str


class DpopVerifier:
    """Checks proofs, and remembers for as long as they are good which were used.

    The memory is this process's own: a proof can be used once with each process.
    """

    def __init__(self, clock: Clock, *, most_remembered: int = 65_536, most_of_one: int = 8_192) -> None:
        """Remember some 3,000 requests a second, and 400 of one client, so that none takes the room of all.

        What comes beyond is told to wait, since forgetting a proof would let it be used again.
        """
        self._clock = clock
        self._most_remembered = most_remembered
        self._most_of_one = most_of_one
        self._used: OrderedDict[bytes, _Used] = OrderedDict()
        self._of_client: Counter[str] = Counter()
        self._newest_forgotten = -math.inf
        """When that proof was made: with the wall clock set back, what is as old could be one that was used."""

    def check(self, call: ProvenRequest, presented: Credentials, claims: Claims) -> None:
        """Raise `ProofRefused` unless the sender of a verified token proves that it has the token's key; use the proof up."""
        thumbprint = bound_key(claims)
        if thumbprint is None:
            raise ProofRefused("the access token is not bound to a key")
        proof = _proof(call.proofs)
        key = _key(proof, thumbprint)
        self._check_claims(proof.claims, call, presented)
        if not proof.is_signed_by(key):
            raise ProofRefused("its signature is wrong")
        self._use(thumbprint, proof.claims, str(claims.get("client_id")))

    def _check_claims(self, claims: Claims, call: ProvenRequest, presented: Credentials) -> None:
        identifier = claims.get("jti")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= _LONGEST_ID:
            raise ProofRefused("jti is missing or too long")
        if claims.get("htm") != call.method:
            raise ProofRefused("htm is not the method of the request")
        address = claims.get("htu")
        if not isinstance(address, str) or (named := normalised(address)) is None:
            raise ProofRefused("htu is not an address without query and fragment")
        if named != normalised(call.url):
            raise ProofRefused("htu is not the address of the request as senders know it (public_url)")
        if claims.get("ath") != encoded(presented.digest):
            raise ProofRefused("ath is not the hash of the access token")
        made = time_of(claims.get("iat"))
        if made is None or not -LEEWAY <= self._clock() - made <= LIFETIME + LEEWAY:
            raise ProofRefused("iat is missing, too old or in the future")

    def _use(self, thumbprint: str, claims: Claims, client: str) -> None:
        now, made = self._clock.monotonic(), float(claims["iat"])
        self._forget(now)
        used = hashlib.sha256(f"{thumbprint} {claims['jti']}".encode("utf-8", "surrogatepass")).digest()
        if used in self._used:
            raise ProofRefused("it was used before")
        if made <= self._newest_forgotten:
            raise ProofRefused("iat is that of proofs whose use is no longer remembered")
        if len(self._used) >= self._most_remembered or self._of_client[client] >= self._most_of_one:
            raise TooManyProofs
        self._used[used] = _Used(now + _REMEMBERED, made, client)
        self._of_client[client] += 1

    def _forget(self, now: float) -> None:
        """Forget the proofs that are no longer good anyway."""
        while self._used:
            oldest, used = next(iter(self._used.items()))
            if used.until >= now:
                return
            del self._used[oldest]
            self._newest_forgotten = max(self._newest_forgotten, used.made)
            self._of_client[used.client] -= 1
            if not self._of_client[used.client]:
                del self._of_client[used.client]


def bound_key(claims: Claims) -> str | None:
    """Return the thumbprint of the key that a token is bound to (RFC 9449 section 6.1)."""
    confirmation = claims.get("cnf")
    thumbprint = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    return thumbprint if isinstance(thumbprint, str) and thumbprint else None


def _proof(values: Sequence[bytes]) -> Signed:
    if len(values) != 1:
        raise ProofRefused("exactly one DPoP field is needed")
    if len(values[0]) > _LONGEST:
        raise ProofRefused("it is too long")
    try:
        proof = read(values[0].decode("latin-1").strip())
    except Unreadable as reason:
        raise ProofRefused(str(reason)) from None
    if proof.header.get("typ") != "dpop+jwt":
        raise ProofRefused("typ is not dpop+jwt")
    return proof


def _key(proof: Signed, thumbprint: str) -> Key:
    try:
        return dpop.key_of(proof.header.get("jwk"), thumbprint)
    except dpop.KeyRefused as reason:
        raise ProofRefused(str(reason)) from None
