"""What the HelseID stub remembers of token requests, so that tests can see how a client behaved."""

from collections.abc import Mapping, Sequence

import msgspec

from service_stubs.assertions import TokenRequestError
from service_stubs.token_endpoint import Grant
from service_stubs.tokens import UnreadableTokenError, read_token

RECORD_BYTES = 500


class TokenRequest(msgspec.Struct, frozen=True):
    """A token request and its outcome: `ok` or an OAuth error code."""

    client_id: str | None
    scopes: list[str]
    orgnr: str | None
    outcome: str
    description: str | None
    assertion_jti: str | None
    proof_jti: str | None
    proof_nonce: str | None
    grant_type: str | None = None
    while_valid: bool = False
    """Whether the client had a token that was good for more than a minute yet, which HelseID's FK3 does not allow."""


def record_of(
    form: Mapping[str, str], proofs: Sequence[str], outcome: Grant | TokenRequestError, *, while_valid: bool = False
) -> TokenRequest:
    """Describe a token request; its assertion and proof are read, not believed."""
    assertion = _text_claims(form.get("client_assertion", ""))
    proof = _text_claims(proofs[0] if proofs else "")
    refusal = outcome if isinstance(outcome, TokenRequestError) else None
    return TokenRequest(
        client_id=form.get("client_id") or assertion.get("sub"),
        scopes=form.get("scope", "").split(),
        orgnr=outcome.organisation.parent if isinstance(outcome, Grant) else None,
        outcome=refusal.error if refusal else "ok",
        description=refusal.description if refusal else None,
        assertion_jti=assertion.get("jti"),
        proof_jti=proof.get("jti"),
        proof_nonce=proof.get("nonce"),
        grant_type=form.get("grant_type"),
        while_valid=while_valid,
    )


def _text_claims(text: str) -> dict[str, str]:
    try:
        claims = read_token(text).claims
    except UnreadableTokenError:
        return {}
    return {name: value for name, value in claims.items() if isinstance(value, str)}
