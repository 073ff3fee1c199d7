"""HelseID's token endpoint: client credentials and token exchange, with `private_key_jwt` and DPoP with a nonce."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from joserfc.jwk import Key

from service_stubs.assertions import (
    MAX_LIFETIME_SECONDS,
    SKEW_SECONDS,
    Organisation,
    TokenRequestError,
    authenticate,
    check_times_and_audience,
    organisation_of,
    read_assertion,
)
from service_stubs.clients import Client
from service_stubs.proofs import REMEMBER_SECONDS, Call, Proof, ProofError, check_proof
from service_stubs.single_use import Nonces, SingleUse
from service_stubs.token_exchange import TOKEN_EXCHANGE, Issued, subject_of
from service_stubs.tokens import Token


@dataclass(frozen=True)
class Grant:
    """What a token request obtained."""

    client: Client
    organisation: Organisation
    scopes: list[str]
    rejected: list[str]
    thumbprint: str
    subject: str | None = None
    """The client whose token was exchanged."""


class TokenEndpoint:
    """Judges token requests; remembers the ids and nonces that it has seen and given."""

    def __init__(self, issuer: str, url: str, nonce_seconds: float) -> None:
        self._issuer = issuer
        self._url = url
        self._assertion_ids = SingleUse()
        self._proof_ids = SingleUse()
        self.nonces = Nonces(nonce_seconds)

    def move(self, url: str) -> None:
        """Be at another address, which proofs are for from now on."""
        self._url = url

    def grant(
        self,
        form: Mapping[str, str],
        proofs: Sequence[str],
        clients: Mapping[str, Client],
        own_keys: Sequence[Key],
        now: float,
    ) -> Grant:
        """Grant a token or raise TokenRequestError; the assertion is spent even if the proof lacks a nonce."""
        if form.get("grant_type") not in ("client_credentials", TOKEN_EXCHANGE):
            raise TokenRequestError("unsupported_grant_type", "only client_credentials and token-exchange")
        assertion = read_assertion(form)
        client = self._authenticated(assertion, form, clients, now)
        proof = self._proven(proofs, now)
        organisation = organisation_of(assertion, client)
        subject = None
        if form["grant_type"] == TOKEN_EXCHANGE:
            subject = subject_of(form, client, Issued(self._issuer, own_keys), now)
        scopes = _requested_scopes(form, client)
        granted = client.tenancy == "single" or client.has_delegation(organisation.parent)
        given, rejected = (scopes, []) if granted else ([], scopes)
        return Grant(client, organisation, given, rejected, proof.thumbprint, subject)

    def _authenticated(
        self, assertion: Token, form: Mapping[str, str], clients: Mapping[str, Client], now: float
    ) -> Client:
        client = authenticate(assertion, form, clients)
        check_times_and_audience(assertion, self._issuer, now)
        lifetime = MAX_LIFETIME_SECONDS + 2 * SKEW_SECONDS
        if not self._assertion_ids.use(f"{client.client_id} {assertion.text_claim('jti')}", now, lifetime):
            raise TokenRequestError("invalid_client", "the client assertion has been used before")
        return client

    def _proven(self, proofs: Sequence[str], now: float) -> Proof:
        try:
            proof = check_proof(proofs, Call("POST", self._url, now))
        except ProofError as error:
            raise TokenRequestError("invalid_dpop_proof", str(error)) from error
        if not self._proof_ids.use(proof.jti, now, REMEMBER_SECONDS):
            raise TokenRequestError("invalid_dpop_proof", "the proof has been used before")
        if not self.nonces.accepts(proof.nonce, now):
            raise TokenRequestError("use_dpop_nonce", "the proof needs the nonce of the DPoP-Nonce header")
        return proof


def access_token_claims(grant: Grant, issuer: str, now: float, lifetime: int) -> dict[str, Any]:
    """Make the claims of an access token as HelseID does; one API per token, so `aud` is the scopes' API."""
    client, organisation = grant.client, grant.organisation
    audiences = sorted({scope.partition("/")[0] for scope in grant.scopes})
    claims = {
        "iss": issuer,
        "aud": audiences[0] if len(audiences) == 1 else audiences,
        "nbf": int(now),
        "iat": int(now),
        "exp": int(now) + lifetime,
        "jti": str(uuid4()),
        "scope": grant.scopes,
        "client_id": client.client_id,
        "client_amr": "private_key_jwt",
        "helseid://claims/client/client_name": client.name,
        "helseid://claims/client/client_tenancy": f"{client.tenancy}-tenant",
        "helseid://claims/client/claims/orgnr_parent": organisation.parent,
        "helseid://claims/client/claims/orgnr_child": organisation.child,
        "cnf": {"jkt": grant.thumbprint},
        "act": {"client_id": grant.subject} if grant.subject else None,
    }
    return {**client.claims, **{name: value for name, value in claims.items() if value is not None}}


def _requested_scopes(form: Mapping[str, str], client: Client) -> list[str]:
    """Return the requested scopes; without the parameter, all of the client's."""
    scopes = form["scope"].split() if "scope" in form else list(client.scopes)
    if not scopes or not set(scopes) <= set(client.scopes):
        raise TokenRequestError("invalid_scope", "a requested scope is not registered for the client")
    return scopes
