"""Signing keys of the HelseID stub, and tokens signed rightly or deliberately wrongly."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

from service_stubs.tokens import base64url

Signing = Literal["right", "other-key", "none", "hs256", "cut"]

_KEY_BITS = 2048
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class SigningKeys:
    """The current signing key and the ones still published."""

    def __init__(self) -> None:
        self._keys = [_new_key()]

    @property
    def current(self) -> RSAKey:
        """The key that signs."""
        return self._keys[0]

    @property
    def published(self) -> Sequence[RSAKey]:
        """The keys whose signatures hold."""
        return self._keys

    def rotate(self, *, keep_old: bool) -> None:
        """Sign with a new key from now on."""
        self._keys = [_new_key(), *(self._keys if keep_old else [])]

    def public_set(self) -> dict[str, Any]:
        """Return the JWK set (RFC 7517 section 5)."""
        keys = [
            {**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig", "alg": "RS256"} for key in self._keys
        ]
        return {"keys": keys}


def sign(
    key: RSAKey,
    claims: Mapping[str, Any],
    header: Mapping[str, Any],
    signing: Signing = "right",
    repeated: Mapping[str, Any] = _NOTHING,
) -> str:
    """Make a compact JWS; its header starts from RS256, `at+jwt` (RFC 9068) and the key's id; a None in `header` removes.

    `none` leaves the signature out, `hs256` signs with the public key as if it were a shared secret (RFC 8725
    section 2.1), `other-key` with a key that nobody knows and `cut` ends too early; the header claims the right key all the
    same. What stands in `repeated` is written once more, in front of the claims.
    """
    algorithm = {"none": "none", "hs256": "HS256"}.get(signing, "RS256")
    full_header = {"alg": algorithm, "typ": "at+jwt", "kid": key.thumbprint(), **header}
    stated_header = {name: value for name, value in full_header.items() if value is not None}
    written = msgspec.json.encode(claims)
    if repeated:
        written = msgspec.json.encode(repeated)[:-1] + b"," + written[1:]
    content = f"{base64url(msgspec.json.encode(stated_header))}.{base64url(written)}"
    return f"{content}.{base64url(_signature(key, content.encode(), signing))}"


def _signature(key: RSAKey, content: bytes, signing: Signing) -> bytes:
    match signing:
        case "none":
            return b""
        case "hs256":
            return hmac.new(key.as_pem(private=False), content, hashlib.sha256).digest()
        case "other-key":
            return _rs256(_new_key(), content)
        case "cut":
            return _rs256(key, content)[:-8]
        case "right":
            return _rs256(key, content)


def _rs256(key: RSAKey, content: bytes) -> bytes:
    return JWSRegistry.algorithms["RS256"].sign(content, key)


def _new_key() -> RSAKey:
    return RSAKey.generate_key(_KEY_BITS)
