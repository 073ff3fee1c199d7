"""Client assertions (RFC 7523; NHN: private_key_jwt): who the gateway is, and for which municipality it acts."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.helseid.client_key import algorithm
from gateway.helseid.jose import Key
from gateway.helseid.proof import signed

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME = 30
"""Seconds; HelseID accepts at most 60."""
_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Which HelseID client the gateway is."""

    client_id: str
    key: Callable[[], Key]
    """Returns the key to sign with now: it may be changed without a restart."""
    multi_tenant: bool
    assertion_field: str

    def assertion(self, audience: str, orgnr: str, now: float) -> dict[str, str]:
        """Return the fields of a form that say who asks, and for which municipality."""
        details = {self.assertion_field: _organisation(orgnr)} if self.multi_tenant else _NOTHING
        return client_assertion(self.client_id, self.key(), audience, now, details)


def client_assertion(
    client_id: str, key: Key, audience: str, now: float, details: Mapping[str, object] = _NOTHING
) -> dict[str, str]:
    """Return the fields of a form that say which client asks; the assertion in it is good for one request."""
    begins = int(now)
    claims: dict[str, object] = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": begins,
        "nbf": begins,
        "exp": begins + _LIFETIME,
        "jti": str(uuid.uuid4()),
        **details,
    }
    header: dict[str, object] = {"typ": "client-authentication+jwt", "alg": algorithm(key)}
    if key.kid:
        header["kid"] = key.kid
    return {
        "client_id": client_id,
        "client_assertion_type": _TYPE,
        "client_assertion": signed(header, claims, key),
    }


def _organisation(orgnr: str) -> dict[str, object]:
    """Return the organisation structure for a multi-tenant client (NHN: organisasjonsnumre); no child organisation."""
    identifier = {"system": "urn:oid:1.0.6523", "type": "ENH", "value": f"NO:ORGNR:{orgnr}:"}
    return {"type": "helseid_authorization", "practitioner_role": {"organization": {"identifier": identifier}}}
