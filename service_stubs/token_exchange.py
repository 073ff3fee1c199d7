"""Token exchange (RFC 8693): a token that this HelseID gave to another client becomes one for the client that asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from joserfc.jwk import Key

from service_stubs.assertions import SKEW_SECONDS, TokenRequestError
from service_stubs.clients import Client
from service_stubs.tokens import Token, UnreadableTokenError, read_token

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type


@dataclass(frozen=True)
class Issued:
    """How a token of this HelseID is known."""

    issuer: str
    keys: Sequence[Key]


def subject_of(form: Mapping[str, str], client: Client, issued: Issued, now: float) -> str:
    """Return the client whose token is exchanged, or raise TokenRequestError."""
    if not client.may_exchange:
        raise TokenRequestError("unauthorized_client", "the client may not exchange tokens")
    if form.get("subject_token_type") != ACCESS_TOKEN:
        raise TokenRequestError("invalid_request", "subject_token_type must be access_token")
    if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise TokenRequestError("invalid_request", "only access tokens are given")
    try:
        token = read_token(form.get("subject_token", ""))
    except UnreadableTokenError as error:
        raise TokenRequestError("invalid_grant", "the subject token is unreadable") from error
    if token.claims.get("iss") != issued.issuer or not any(token.is_signed_by(key) for key in issued.keys):
        raise TokenRequestError("invalid_grant", "the subject token is not of this issuer")
    if not _is_current(token, now):
        raise TokenRequestError("invalid_grant", "the subject token has expired")
    audience = token.claims.get("aud")
    if client.exchanges not in (audience if isinstance(audience, list) else [audience]):
        raise TokenRequestError("invalid_grant", "the subject token is not for the API of the client that exchanges it")
    return token.text_claim("client_id")


def _is_current(token: Token, now: float) -> bool:
    expires, begins = token.time_claim("exp"), token.time_claim("nbf")
    return expires is not None and now < expires and (begins is None or begins <= now + SKEW_SECONDS)
