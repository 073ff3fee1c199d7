"""Tokens of legacy VKP's senders, good ones and deliberately bad ones; for demonstrations and tests."""

from typing import Annotated, Any
from uuid import uuid4

import msgspec
from joserfc.jwk import RSAKey

from service_stubs.signing import Signing, sign

_RESOURCES_TO_WRITE = ("bundle", "composition", "medicationdispense", "encounter", "communication")
_RESOURCES_TO_READ = (
    "patient",
    "episodeofcare",
    "careplan",
    "composition",
    "condition",
    "allergyintolerance",
    "medicationstatement",
)
ALL_SCOPES = (
    *(f"nhn:vkp/api/user/{resource}.write" for resource in _RESOURCES_TO_WRITE),
    *(f"nhn:vkp/api/user/{resource}.read" for resource in _RESOURCES_TO_READ),
)


class SenderToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sender's token shall say; `claims` and `header` override, and a null removes.

    `bound_to` is the thumbprint of the key that a DPoP token is for, `repeated` what it says twice, and `padding` how many
    bytes it is longer than it need be.
    """

    vkp_id: str | None = None
    her_id: str | None = None
    scopes: list[str] = msgspec.field(default_factory=lambda: list(ALL_SCOPES))
    audience: str = "nhn:vkp"
    lifetime: Annotated[float, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 600
    client_id: str = "stub-sender"
    claims: dict[str, Any] = {}
    header: dict[str, Any] = {}
    signing: Signing = "right"
    bound_to: str | None = None
    repeated: dict[str, Any] = {}
    padding: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0


def minted(wanted: SenderToken, key: RSAKey, issuer: str, now: float) -> str:
    """Make the token."""
    return sign(key, claims_for(wanted, issuer, now), wanted.header, wanted.signing, wanted.repeated)


def claims_for(wanted: SenderToken, issuer: str, now: float) -> dict[str, Any]:
    """Make the claims of a token as HelseID gives them to a client of VKP."""
    claims = {
        "iss": issuer,
        "aud": wanted.audience,
        "nbf": int(now),
        "iat": int(now),
        "exp": int(now + wanted.lifetime),
        "jti": str(uuid4()),
        "scope": wanted.scopes,
        "client_id": wanted.client_id,
        "client_amr": "private_key_jwt",
        "helseid://claims/client/client_name": wanted.client_id,
        "nhn:vkp/client/claims/vkp-id": wanted.vkp_id,
        "e-helse/claims/her_id": wanted.her_id,
        "cnf": {"jkt": wanted.bound_to} if wanted.bound_to else None,
        "padding": "x" * wanted.padding or None,
        **wanted.claims,
    }
    return {name: value for name, value in claims.items() if value is not None}
