"""The key that a proof brings along (RFC 9449 section 4.2): public, strong enough, and the one that the token is bound to."""

import hashlib
import json
from functools import lru_cache

from joserfc.errors import JoseError
from joserfc.jwk import import_key

from gateway.helseid.jose import JsonObject, Key, Unreadable, decoded, encoded

_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}
"""What a key consists of, in the order of RFC 7638; whatever else a sender writes is not looked at."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES = frozenset({"P-256", "P-384", "P-521"})
_LONGEST = {"n": 1366, "e": 8, "x": 88, "y": 88}
"""Characters: 8,192 bits for an RSA modulus, since checking a signature takes the longer the larger it is."""
_FEWEST_BITS = 2048


class KeyRefused(Exception):  # noqa: N818 - an outcome, not a failure of the program
    """No key that a proof may be made with."""


def key_of(jwk: object, thumbprint: str) -> Key:
    """Return the key when it is the one with this thumbprint; raises `KeyRefused` for every other."""
    text = _canonical(jwk)
    if encoded(hashlib.sha256(text.encode()).digest()) != thumbprint:
        raise KeyRefused("jwk is not the key that the access token is bound to")
    try:
        return _imported(text)
    except (JoseError, Unreadable, ValueError, TypeError, KeyError):
        raise KeyRefused("jwk is not a key") from None


def _canonical(jwk: object) -> str:
    """Return the members that make the key, as its thumbprint is taken of them (RFC 7638 section 3)."""
    if not isinstance(jwk, dict):
        raise KeyRefused("jwk is missing")
    if not _PRIVATE.isdisjoint(jwk):
        raise KeyRefused("jwk has a private key in it")
    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise KeyRefused("jwk is not an RSA or EC key")
    members = {name: jwk.get(name) for name in _MEMBERS[kind]}
    for name, value in members.items():
        if not isinstance(value, str) or not value.isascii() or len(value) > _LONGEST.get(name, 8):
            raise KeyRefused("jwk is not a key")
    if kind == "EC" and members["crv"] not in _CURVES:
        raise KeyRefused("the curve of jwk is not allowed")
    return json.dumps(members, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _imported(text: str) -> Key:
    members: JsonObject = json.loads(text)
    if members["kty"] == "RSA" and int.from_bytes(decoded(members["n"])).bit_length() < _FEWEST_BITS:
        raise KeyRefused("jwk is an RSA key that is too short")
    key = import_key(members)
    if not isinstance(key, Key):
        raise KeyRefused("jwk is not an RSA or EC key")
    return key
