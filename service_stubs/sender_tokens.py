"""Tokens of legacy VKP's senders, good ones and deliberately bad ones; for demonstrations and tests."""

from typing import Annotated, Any
from uuid import uuid4

import msgspec

from service_stubs.signing import Signing

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
    """What a sender's token shall say; `claims` and `header` override, and a null removes."""

    vkp_id: str | None = None
    her_id: str | None = None
    scopes: list[str] = msgspec.field(default_factory=lambda: list(ALL_SCOPES))
    audience: str = "nhn:vkp"
    lifetime: Annotated[float, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 600
    client_id: str = "stub-sender"
    claims: dict[str, Any] = {}
    header: dict[str, Any] = {}
    signing: Signing = "right"


def claims_for(wanted: SenderToken, issuer: str, now: float) -> dict[str, Any]:
    """Make the claims of a Bearer token as HelseID gives them to a client of VKP."""
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
        **wanted.claims,
    }
    return {name: value for name, value in claims.items() if value is not None}
