"""The key that a proof brings along (RFC 9449 section 4.2): public, strong enough, and the one that the token is bound to."""

import hashlib
import json
import re
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, import_key

from gateway.auth.helseid.jws import JsonObject, Key, Unreadable, decoded, encoded
from gateway.times import Clock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}
"""What a key consists of, in the order of RFC 7638; whatever else a sender writes is not looked at."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES = frozenset({"P-256", "P-384", "P-521"})
_LONGEST = {"n": 1366, "e": 8, "x": 88, "y": 88}
"""Characters: 8,192 bits for an RSA modulus, since checking a signature takes the longer the larger it is."""
_FEWEST_BITS = 2048
_ES256 = ECDSA(SHA256())


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


class DpopProver:
    """Makes proofs with a key that lives as long as the process; tokens fetched with it are bound to it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = ECKey.generate_key("P-256")
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._key.as_dict(private=False)}
        self._header = encoded(msgspec.json.encode(header))
        self._private = cast("EllipticCurvePrivateKey", self._key.private_key)  # it was generated with one

    @property
    def thumbprint(self) -> str:
        """What a code or token is bound to (RFC 7638)."""
        return self._key.thumbprint()

    def proof(self, method: str, url: str, *, token: str | None = None, nonce: str | None = None) -> str:
        """Return a proof for one request; `token` is the access token that goes with it, if any."""
        claims: dict[str, object] = {
            "jti": secrets.token_hex(16),
            "htm": method,
            "htu": _without_query(url),
            "iat": int(self._clock()),
        }
        if token is not None:
            claims["ath"] = _digest(token)
        if nonce is not None:
            claims["nonce"] = nonce
        return self._signed(claims)

    def _signed(self, claims: dict[str, object]) -> str:
        """As `signed` does, with what stays the same made once: every call to a service has a proof."""
        text = f"{self._header}.{encoded(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self._private.sign(text.encode("ascii"), _ES256))
        # As JWS wants it (RFC 7518 section 3.4): both numbers in 32 bytes each.
        return f"{text}.{encoded(r.to_bytes(32) + s.to_bytes(32))}"


def signed(header: dict[str, object], claims: dict[str, object], key: Key) -> str:
    """Return the claims as a signed JSON Web Token in compact form (RFC 7515 section 7.1)."""
    return jws.serialize_compact(header, json.dumps(claims), key, algorithms=[str(header["alg"])])


@lru_cache(maxsize=64)
def _digest(token: str) -> str:
    """Return what binds a proof to its token (RFC 9449 section 4.2); the calls of some minutes have the same."""
    return encoded(hashlib.sha256(token.encode("ascii")).digest())


@lru_cache(maxsize=1024)
def _without_query(url: str) -> str:
    """`htu` is scheme, host and path only (RFC 9449 section 4.2); NHN's library refuses a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


_PLAIN = re.compile(r"[!-~]{1,4096}")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile("[A-Za-z0-9._~-]")
_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=1024)
def normalised(url: str) -> str | None:
    """Return an absolute HTTP address in its one form; None for any other text, and for one with a query or fragment."""
    if not _PLAIN.fullmatch(url) or "?" in url or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{where}{_without_dots(_ESCAPE.sub(_unescaped, parts.path))}"


def _unescaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else found[0].upper()


def _without_dots(path: str) -> str:
    """Return a path without the segments `.` and `..` (RFC 3986 section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
