"""Signed tokens in compact form (RFC 7515), read strictly: what two readers might read differently is refused."""

import base64
import json
import re
from typing import Any, NoReturn

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from msgspec import Struct

Key = ECKey | RSAKey
JsonObject = dict[str, Any]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Those that HelseID allows; none and the symmetric ones are never among them."""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_LAST_TIME = 10.0**12
"""Seconds since the epoch that no token is for; what is larger cannot be reckoned with safely."""


class Unreadable(Exception):  # noqa: N818 - an outcome, not a failure of the program
    """No signed token that is read here; the text says why and holds nothing of it."""


class Signed(Struct, frozen=True):
    """A token as it was read; nothing of it is to be believed before `is_signed_by` says so."""

    header: JsonObject
    claims: JsonObject
    signed: bytes
    signature: bytes

    def is_signed_by(self, key: Key) -> bool:
        """Tell whether the key has signed this, with the algorithm that the header names and the key is for."""
        algorithm = JWSRegistry.algorithms[self.header["alg"]]
        try:
            algorithm.check_key(key)
            return algorithm.verify(self.signed, self.signature, key)
        except (JoseError, ValueError, TypeError):
            return False


def read(token: str) -> Signed:
    """Return header and claims of a token; raises `Unreadable` for any other text."""
    parts = token.split(".")
    if len(parts) != 3:
        raise Unreadable("not a signed JSON Web Token")
    header, claims, signature = parts
    found = _object(header)
    if found.get("alg") not in ALGORITHMS:
        raise Unreadable("the algorithm is not allowed")
    if "crit" in found:
        # No extension is understood here, and one that must be understood is no less than that (RFC 7515 section 4.1.11).
        raise Unreadable("it needs an extension that is not supported")
    return Signed(found, _object(claims), f"{header}.{claims}".encode(), decoded(signature))


def encoded(data: bytes) -> str:
    """Return bytes in base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decoded(part: str) -> bytes:
    """Return the bytes that base64url stands for; raises `Unreadable` for any other text."""
    if not _BASE64URL.fullmatch(part) or len(part) % 4 == 1:
        raise Unreadable("not base64url")
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def time_of(value: object) -> float | None:
    """Return a NumericDate (RFC 7519 section 2), or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _LAST_TIME else None


def _object(part: str) -> JsonObject:
    try:
        found = json.loads(decoded(part).decode(), object_pairs_hook=_unique, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise Unreadable("not a JSON Web Token") from None
    if not isinstance(found, dict):
        raise Unreadable("not a JSON Web Token")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a name is in it twice")
    return found


def _refused(_constant: str) -> NoReturn:
    raise Unreadable("a number in it is none")
