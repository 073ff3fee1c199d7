"""DPoP proofs (RFC 9449 section 4.2; NHN: formatering av DPoP-bevis): a fresh one for every request."""

import hashlib
import json
import uuid
from urllib.parse import urlsplit, urlunsplit

from joserfc import jws
from joserfc.jwk import ECKey

from gateway.helseid.issuer import Clock
from gateway.helseid.jose import Key, encoded


class Prover:
    """Makes proofs with a key that lives as long as the process; tokens fetched with it are bound to it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = ECKey.generate_key("P-256")
        self._header: dict[str, object] = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._key.as_dict(private=False)}

    @property
    def thumbprint(self) -> str:
        """What a code or token is bound to (RFC 7638)."""
        return self._key.thumbprint()

    def proof(self, method: str, url: str, *, token: str | None = None, nonce: str | None = None) -> str:
        """Return a proof for one request; `token` is the access token that goes with it, if any."""
        claims: dict[str, object] = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": _without_query(url),
            "iat": int(self._clock()),
        }
        if token is not None:
            claims["ath"] = encoded(hashlib.sha256(token.encode("ascii")).digest())
        if nonce is not None:
            claims["nonce"] = nonce
        return signed(self._header, claims, self._key)


def signed(header: dict[str, object], claims: dict[str, object], key: Key) -> str:
    """Return the claims as a signed JSON Web Token in compact form (RFC 7515 section 7.1)."""
    return jws.serialize_compact(header, json.dumps(claims), key, algorithms=[str(header["alg"])])


def _without_query(url: str) -> str:
    """`htu` is scheme, host and path only (RFC 9449 section 4.2); NHN's library refuses a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
