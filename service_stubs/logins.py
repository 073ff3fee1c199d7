"""People who log in at the HelseID stub, and how an answer about them may go wrong."""

from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec

_IDENTITY = "helseid://claims/identity"


class TestPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever logs in next; there is no form, since no person sits there. The numbers are synthetic."""

    __test__ = False

    sub: str = "test-person"
    name: str = "Ola Testesen"
    pid_pseudonym: str = "pseudonym-of-test-person"
    security_level: str = "4"
    hpr_number: str | None = None
    pid: str | None = None
    claims: dict[str, Any] = {}


Fault = Literal[
    "none",
    # of the answer that the browser carries
    "denied",
    "another-state",
    "another-response-issuer",
    "no-response-issuer",
    "no-code",
    "used-code",
    # of the token endpoint's answer
    "no-id-token",
    "bearer",
    "redirect",
    # of the ID token
    "another-nonce",
    "no-nonce",
    "another-issuer",
    "another-audience",
    "two-audiences",
    "another-party",
    "expired",
    "old",
    "from-the-future",
    "without-times",
    "low-security-level",
    "no-security-level",
    "no-subject",
    "access-token",
    "other-key",
    "unsigned",
    "hs256",
    # of the pushed request's answer
    "par-redirect",
    "par-nameless",
    # of discovery
    "authorize-elsewhere",
    "par-elsewhere",
]


class LoginSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who logs in, and what goes wrong until another setting is made."""

    person: TestPerson = TestPerson()
    fault: Fault = "none"
    lifetime: Annotated[int, msgspec.Meta(ge=1)] = 300


class Asked(msgspec.Struct, frozen=True):
    """What a client asked for when it pushed its request."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    nonce: str
    challenge: str
    thumbprint: str | None


def id_token_claims(setting: LoginSetting, asked: Asked, issuer: str, now: float) -> dict[str, Any]:
    """Make the claims of an ID token as HelseID does, for the scopes that were asked for; then spoil them."""
    person = setting.person
    by_scope: dict[str, dict[str, Any]] = {
        "profile": {"name": person.name},
        "helseid://scopes/identity/security_level": {f"{_IDENTITY}/security_level": person.security_level},
        "helseid://scopes/identity/pid_pseudonym": {f"{_IDENTITY}/pid_pseudonym": person.pid_pseudonym},
        "helseid://scopes/identity/pid": {f"{_IDENTITY}/pid": person.pid},
        "helseid://scopes/hpr/hpr_number": {"helseid://claims/hpr/hpr_number": person.hpr_number},
    }
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": asked.client_id,
        "sub": person.sub,
        "nonce": asked.nonce,
        "iat": int(now),
        "nbf": int(now),
        "auth_time": int(now),
        "exp": int(now) + setting.lifetime,
        "jti": str(uuid4()),
        "idp": "testidp-oidc",
    }
    for scope in asked.scopes:
        claims.update(by_scope.get(scope, {}))
    claims.update(person.claims)
    claims.update(_spoilt(setting, asked, now))
    return {name: value for name, value in claims.items() if value is not None}


def _spoilt(setting: LoginSetting, asked: Asked, now: float) -> dict[str, Any]:
    level, moment = f"{_IDENTITY}/security_level", int(now)
    spoilt: dict[str, dict[str, Any]] = {
        "another-nonce": {"nonce": "of-another-login"},
        "no-nonce": {"nonce": None},
        "another-issuer": {"iss": "https://helseid.example"},
        "another-audience": {"aud": "another-client"},
        "two-audiences": {"aud": [asked.client_id, "another-client"]},
        "another-party": {"azp": "another-client"},
        "expired": {"exp": moment - 60},
        "old": {"iat": moment - 3600, "nbf": moment - 3600},
        "from-the-future": {"iat": moment + 600, "nbf": moment + 600, "exp": moment + 900},
        "without-times": {"exp": "soon"},
        "low-security-level": {level: "2"},
        "no-security-level": {level: None},
        "no-subject": {"sub": None},
    }
    return spoilt.get(setting.fault, {})
