"""Checks a client assertion (RFC 7523, HelseID `private_key_jwt`) and finds the organisation it speaks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service_stubs.clients import Client
from service_stubs.tokens import SIGNING_ALGORITHMS, Token, UnreadableTokenError, read_token

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_LIFETIME_SECONDS = 60
SKEW_SECONDS = 5

_TYPE = "client-authentication+jwt"
_DETAILS, _OLD_DETAILS = "assertion_details", "authorization_details"
"""FK5: `assertion_details` shall be used; the other name is of older samples, and refused."""
_MULTI_TENANT_SYSTEM = "urn:oid:1.0.6523"
_MULTI_TENANT_VALUE = re.compile(r"NO:ORGNR:(?P<parent>\d{9})(?::(?P<child>\d{9})?)?")
_SINGLE_TENANT_SYSTEMS = ("urn:oid:2.16.578.1.12.4.1.4.101", "urn:oid:2.16.578.1.12.4.1.2.101")
_SINGLE_TENANT_VALUE = re.compile(r"(?P<child>\d{9})")


class TokenRequestError(Exception):
    """HelseID refuses a token request with an OAuth error code."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True)
class Organisation:
    """The organisation numbers that a token will carry."""

    parent: str | None
    child: str | None


def read_assertion(form: Mapping[str, str]) -> Token:
    """Take the assertion out of the token request."""
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise TokenRequestError("invalid_client", "client_assertion_type must be jwt-bearer")
    try:
        return read_token(form.get("client_assertion", ""))
    except UnreadableTokenError as error:
        raise TokenRequestError("invalid_client", f"unreadable client assertion: {error}") from error


def authenticate(assertion: Token, form: Mapping[str, str], clients: Mapping[str, Client]) -> Client:
    """Find the client that signed the assertion."""
    client_id = assertion.text_claim("sub")
    client = clients.get(client_id)
    if client is None or assertion.claims.get("iss") != client_id:
        raise TokenRequestError("invalid_client", "iss and sub must both be a registered client id")
    if form.get("client_id", client_id) != client_id:
        raise TokenRequestError("invalid_client", "client_id differs from the assertion's sub")
    if assertion.header.get("typ") != _TYPE or assertion.header.get("alg") not in SIGNING_ALGORITHMS:
        raise TokenRequestError("invalid_client", "typ or alg of the assertion is not allowed")
    kid = assertion.header.get("kid")
    if not isinstance(kid, str) or not any(assertion.is_signed_by(key) for key in client.keys(kid)):
        raise TokenRequestError("invalid_client", "no registered key has signed the assertion")
    return client


def check_times_and_audience(assertion: Token, issuer: str, now: float) -> None:
    """Check that the assertion is for this issuer and short-lived."""
    if assertion.claims.get("aud") not in (issuer, [issuer]):
        raise TokenRequestError("invalid_client", "aud must be the issuer alone")
    expires = assertion.time_claim("exp")
    if expires is None or not now <= expires <= now + MAX_LIFETIME_SECONDS + SKEW_SECONDS:
        raise TokenRequestError("invalid_client", f"exp must be within {MAX_LIFETIME_SECONDS} seconds")
    for name in ("nbf", "iat"):
        value = assertion.time_claim(name)
        if name in assertion.claims and (value is None or value > min(now + SKEW_SECONDS, expires)):
            raise TokenRequestError("invalid_client", f"{name} is not in the past")
    if not assertion.text_claim("jti"):
        raise TokenRequestError("invalid_client", "jti is missing")


def organisation_of(assertion: Token, client: Client) -> Organisation:
    """Read the organisation structure (HelseID, "Organisasjonsnumre")."""
    identifier = _identifier(assertion)
    if client.tenancy == "single":
        return Organisation(client.orgnr, _single_tenant_child(identifier))
    if identifier is None:
        raise TokenRequestError("invalid_request", "a multi-tenant client must name the organisation it represents")
    value = identifier["value"]
    match = _MULTI_TENANT_VALUE.fullmatch(value) if identifier["system"] == _MULTI_TENANT_SYSTEM else None
    if match is None:
        raise TokenRequestError("invalid_request", "the organisation must be NO:ORGNR:<parent>:<child>")
    return Organisation(match["parent"], match["child"])


def _single_tenant_child(identifier: Mapping[str, str] | None) -> str | None:
    if identifier is None:
        return None
    match = _SINGLE_TENANT_VALUE.fullmatch(identifier["value"])
    if match is None or identifier["system"] not in _SINGLE_TENANT_SYSTEMS:
        raise TokenRequestError("invalid_request", "a single-tenant client may name a child organisation only")
    return match["child"]


def _identifier(assertion: Token) -> dict[str, str] | None:
    if _OLD_DETAILS in assertion.claims:
        raise TokenRequestError("invalid_request", f"the organisation structure belongs in {_DETAILS}")
    if _DETAILS not in assertion.claims:
        return None
    details = assertion.claims[_DETAILS]
    elements = details if isinstance(details, list) else [details]
    if len(elements) != 1:
        raise TokenRequestError("invalid_request", "exactly one organisation structure may be given")
    identifier = _dig(elements[0], "practitioner_role", "organization", "identifier")
    if not isinstance(identifier, dict) or elements[0].get("type") != "helseid_authorization":
        raise TokenRequestError("invalid_request", f"{_DETAILS} is no helseid_authorization")
    texts = {name: value for name, value in identifier.items() if isinstance(value, str)}
    if texts.keys() != {"system", "type", "value"} or texts["type"] != "ENH":
        raise TokenRequestError("invalid_request", "the identifier needs system, type ENH and value")
    return texts


def _dig(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
