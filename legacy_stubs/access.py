"""Who may call legacy VKP: a Bearer token of HelseID with VKP's own claims (utviklerportal.nhn.no, VKP: HelseID)."""

from collections.abc import Sequence

from legacy_stubs.outcomes import RefusedError
from service_stubs.issuer_keys import IssuerKeys, IssuerUnavailableError
from service_stubs.tokens import Token, UnreadableTokenError, read_token

VKP_ID_CLAIM = "nhn:vkp/client/claims/vkp-id"
HER_ID_CLAIM = "e-helse/claims/her_id"
SCOPE_PREFIX = "nhn:vkp/api/user/"
EVERYTHING_SCOPE = "nhn:vkp/api/*.*"

_SKEW_SECONDS = 5


def bearer_token(authorizations: Sequence[str]) -> Token:
    """Read the token of the only Authorization header."""
    if len(authorizations) != 1:
        raise _unauthorized("exactly one Authorization header is needed")
    scheme, _, text = authorizations[0].strip().partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized("the Authorization scheme must be Bearer")
    try:
        return read_token(text.strip())
    except UnreadableTokenError as error:
        raise _unauthorized(f"unreadable token: {error}") from error


def check_claims(token: Token, now: float, sender_claim: str = VKP_ID_CLAIM, audience: str | None = "nhn:vkp") -> str:
    """Check what VKP demands of a token besides its signature, and return the sender, whom `sender_claim` names."""
    expires, not_before = token.time_claim("exp"), token.time_claim("nbf")
    if expires is None or expires + _SKEW_SECONDS < now:
        raise _unauthorized("the token has expired or has no exp")
    if not_before is not None and not_before - _SKEW_SECONDS > now:
        raise _unauthorized("the token is not valid yet")
    if token.text_claim("client_amr") != "private_key_jwt":
        raise _unauthorized("client_amr must be private_key_jwt")
    if not token.text_claim(sender_claim).strip():
        raise _unauthorized(f"the claim {sender_claim} is missing")
    found = token.claims.get("aud")
    if audience is not None and audience not in (found if isinstance(found, list) else [found]):
        raise _unauthorized(f"aud is not {audience}")
    return token.text_claim(sender_claim).strip()


async def check_signature(token: Token, keys: IssuerKeys) -> None:
    """Check that the issuer made the token."""
    if token.text_claim("iss") != keys.issuer:
        raise _unauthorized("the token is of another issuer")
    try:
        signed = await keys.have_signed(token)
    except IssuerUnavailableError as error:
        raise RefusedError(503, "3", "HelseID er ikke tilgjengelig.", str(error)) from error
    if not signed:
        raise _unauthorized("the token's signature is wrong")


def check_scope(token: Token, resource: str, right: str) -> None:
    """Check that the token opens `resource` for `right` (read or write); wildcards as in VKP's self-service."""
    accepted = {f"{SCOPE_PREFIX}{resource}.{right}", f"{SCOPE_PREFIX}{resource}.*", EVERYTHING_SCOPE}
    if accepted.isdisjoint(token.scopes()):
        needed = f"{SCOPE_PREFIX}{resource}.{right}"
        raise RefusedError(403, "1.2", "Klienten mangler tilgang til endepunktet.", f"the scope {needed} is missing")


def _unauthorized(reason: str) -> RefusedError:
    return RefusedError(401, "1.5", "Tilgangstokenet mangler eller er ugyldig.", reason)
