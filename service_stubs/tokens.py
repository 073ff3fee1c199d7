"""Reading and verifying signed tokens (RFC 7515, RFC 7519) without trusting what they say about themselves."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

SIGNING_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")


class UnreadableTokenError(ValueError):
    """The text is no compact JWS with JSON header and claims."""


@dataclass(frozen=True)
class Token:
    """A token as read; `verify` tells whether its signature is right."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    def is_signed_by(self, key: Key) -> bool:
        """Verify the signature, with asymmetric algorithms only."""
        try:
            jws.deserialize_compact(self.text, key, algorithms=list(SIGNING_ALGORITHMS))
        except (JoseError, ValueError, TypeError):
            return False
        return True

    def text_claim(self, name: str) -> str:
        """Return a claim that is non-empty text, else an empty string."""
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""

    def time_claim(self, name: str) -> float | None:
        """Return a NumericDate claim (RFC 7519 section 2), None if it is absent or no number."""
        value = self.claims.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def scopes(self) -> frozenset[str]:
        """Return the scopes, given as an array (HelseID) or as space-separated text (RFC 9068)."""
        value = self.claims.get("scope")
        if isinstance(value, str):
            return frozenset(value.split())
        return frozenset(item for item in value if isinstance(item, str)) if isinstance(value, list) else frozenset()


def read_token(text: str) -> Token:
    """Read header and claims without verifying the signature."""
    parts = text.split(".")
    if len(parts) != 3:
        raise UnreadableTokenError("a compact JWS has three parts")
    header = _json_object(parts[0], "header")
    if "crit" in header:
        raise UnreadableTokenError("the header needs an extension that is not supported")
    return Token(text, header, _json_object(parts[1], "claims"))


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def _json_object(part: str, name: str) -> dict[str, Any]:
    try:
        padded = part + "=" * (-len(part) % 4)
        value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True), object_pairs_hook=_unique)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise UnreadableTokenError(f"the {name} is not base64url of JSON") from error
    if not isinstance(value, dict):
        raise UnreadableTokenError(f"the {name} is no JSON object")
    return value
