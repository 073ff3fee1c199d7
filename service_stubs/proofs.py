"""Checks a DPoP proof as RFC 9449 section 4.3 and HelseID's security profile demand."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from joserfc import jwk
from joserfc.errors import JoseError
from joserfc.jwk import Key

from service_stubs.tokens import SIGNING_ALGORITHMS, Token, UnreadableTokenError, base64url, read_token

MAX_AGE_SECONDS = 10
SKEW_SECONDS = 5
REMEMBER_SECONDS = MAX_AGE_SECONDS + 2 * SKEW_SECONDS

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MIN_RSA_MODULUS = 342  # characters of base64url for 2048 bits (RFC 7518 section 3.3)


class ProofError(Exception):
    """The proof is missing or wrong."""


@dataclass(frozen=True)
class Proof:
    """A proof that passed every check that needs no memory."""

    thumbprint: str
    jti: str
    nonce: str


@dataclass(frozen=True)
class Call:
    """The HTTP request that a proof must be for; `url` has no query."""

    method: str
    url: str
    now: float
    access_token: str | None = None


def check_proof(headers: Sequence[str], call: Call) -> Proof:
    """Check the only `DPoP` header against the call; replay and nonce are left to the caller."""
    if len(headers) != 1:
        raise ProofError("exactly one DPoP header is needed")
    try:
        token = read_token(headers[0].strip())
    except UnreadableTokenError as error:
        raise ProofError(f"unreadable proof: {error}") from error
    key = _public_key(token)
    if not token.is_signed_by(key):
        raise ProofError("the proof's signature is wrong")
    _check_claims(token, call)
    return Proof(key.thumbprint(), token.text_claim("jti"), token.text_claim("nonce"))


def access_token_hash(access_token: str) -> str:
    """Return the `ath` of a token (RFC 9449 section 4.2)."""
    return base64url(hashlib.sha256(access_token.encode("ascii", "replace")).digest())


def public_key_fault(value: dict[str, Any]) -> str | None:
    """Say what is wrong with a public JWK, None if nothing is."""
    if value.get("kty") not in {"RSA", "EC"}:
        return "jwk must be an RSA or EC key"
    if not _PRIVATE_MEMBERS.isdisjoint(value):
        return "jwk contains a private key"
    if value["kty"] == "RSA" and len(str(value.get("n"))) < _MIN_RSA_MODULUS:
        return "jwk is an RSA key that is too short"
    return None


def _public_key(token: Token) -> Key:
    if token.header.get("typ") != "dpop+jwt":
        raise ProofError("typ must be dpop+jwt")
    if token.header.get("alg") not in SIGNING_ALGORITHMS:
        raise ProofError("alg is not allowed")
    value = token.header.get("jwk")
    if not isinstance(value, dict):
        raise ProofError("jwk is missing")
    if fault := public_key_fault(value):
        raise ProofError(fault)
    try:
        return _imported(msgspec.json.encode(value))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ProofError("jwk is no valid key") from error


@lru_cache(maxsize=1_000)
def _imported(value: bytes) -> Key:
    return jwk.import_key(msgspec.json.decode(value))


def _check_claims(token: Token, call: Call) -> None:
    if not token.text_claim("jti"):
        raise ProofError("jti is missing")
    if token.claims.get("htm") != call.method:
        raise ProofError("htm is not the method of the request")
    if token.claims.get("htu") != call.url:
        raise ProofError("htu is not the address of the request without its query")
    issued = token.time_claim("iat")
    if issued is None or not -SKEW_SECONDS <= call.now - issued <= MAX_AGE_SECONDS + SKEW_SECONDS:
        raise ProofError("iat is missing or outside the window")
    if call.access_token is not None and token.claims.get("ath") != access_token_hash(call.access_token):
        raise ProofError("ath is not the hash of the access token")
