"""The claims of an access token, by the names that HelseID and VKP give them."""

import base64
import binascii
import hashlib
import json
from typing import Any

from msgspec import Struct

VKP_ID = "nhn:vkp/client/claims/vkp-id"
HER_ID = "e-helse/claims/her_id"
ORGNR_PARENT = "helseid://claims/client/claims/orgnr_parent"
MAX_TOKEN_BYTES = 16_384

Claims = dict[str, Any]

_MOST_CLAIMED = 4096
_LONGEST_ID = 256


class Credentials:
    """An Authorization field, taken apart; the token is never logged (RFC 9110 section 11.6.2)."""

    __slots__ = ("digest", "scheme", "token")

    def __init__(self, scheme: str, token: str) -> None:
        self.scheme = scheme
        """In lower case."""
        self.token = token
        self.digest = hashlib.sha256(token.encode()).digest()
        """What caches know the token by, since a token is never stored."""

    def __repr__(self) -> str:
        return f"Credentials({self.scheme!r}, token withheld)"


def credentials(authorization: bytes | None) -> Credentials | None:
    """Return scheme and token, or None when there is no usable field."""
    if authorization is None or len(authorization) > MAX_TOKEN_BYTES:
        return None
    scheme, _, token = authorization.decode("latin-1").strip().partition(" ")
    token = token.strip()
    if not token or not token.isascii():
        return None
    return Credentials(scheme.lower(), token)


class ClaimedIds(Struct, frozen=True):
    """Who a token says its sender is, without trust."""

    vkp_id: str | None = None
    her_id: str | None = None


def claimed_ids(presented: Credentials | None) -> ClaimedIds:
    """Return who a token says its sender is: that may choose a route, and never gives access."""
    if presented is None:
        return _NOBODY
    found = _CLAIMED.get(presented.digest)
    if found is None:
        claims = read_unverified(presented)
        found = ClaimedIds(text_claim(claims, VKP_ID), text_claim(claims, HER_ID))
        if len(_CLAIMED) >= _MOST_CLAIMED:
            _CLAIMED.clear()
        _CLAIMED[presented.digest] = found
    return found


def read_unverified(presented: Credentials | None) -> Claims:
    """Return what a token claims, without trust; empty when there is no token, or none that can be read."""
    parts = presented.token.split(".") if presented is not None else []
    return _payload(parts[1]) if len(parts) == 3 else {}


def _payload(encoded: str) -> Claims:
    try:
        claims = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def text_claim(claims: Claims, name: str) -> str | None:
    """Return a claim that is a text of reasonable length, without surrounding blanks."""
    value = claims.get(name)
    return value.strip() or None if isinstance(value, str) and len(value) <= _LONGEST_ID else None


def scopes(claims: Claims) -> frozenset[str]:
    """Return the granted scopes; an array in HelseID's tokens, one text in those of RFC 9068."""
    granted = claims.get("scope")
    if isinstance(granted, str):
        granted = granted.split()
    return frozenset(scope for scope in granted if isinstance(scope, str)) if isinstance(granted, list) else frozenset()


_NOBODY = ClaimedIds()
_CLAIMED: dict[bytes, ClaimedIds] = {}
