"""Who may call legacy VKP: a Bearer token of HelseID with VKP's own claims (utviklerportal.nhn.no, VKP: HelseID).

And VKP's own register: who may call for which municipality, and with which ServiceCodes (VKP's portal, P2 and C1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class AccessRegister:
    """What is registered; by default everybody may do everything, as in a test environment that is open."""

    receivers: Mapping[str, frozenset[str]] | None = None
    """By sender (vkp-id or HER-id), the municipalities (orgnr or HER-id) that it may call; None: all may call all."""
    inactive: frozenset[str] = frozenset()
    """Municipalities that have stopped submission and queries."""
    known: frozenset[str] | None = None
    """The municipalities that VKP knows; None: all."""
    services: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By sender, its ServiceCodes in lower case; a sender that is missing is not held to any."""

    def check_access(self, sender: str, receiver: str) -> None:
        """Raise RefusedError unless the sender may call for the receiver."""
        if self.known is not None and receiver not in self.known:
            raise RefusedError(400, "2.2", "Mottakeren er ukjent.", "the municipality of the address is not registered")
        if receiver in self.inactive:
            raise RefusedError(403, "1.1", "Mottakeren er ikke aktiv.", "the municipality has stopped its connection")
        if self.receivers is not None and receiver not in self.receivers.get(sender, frozenset()):
            text = "Avsenderen har ikke tilgang til mottakeren."
            raise RefusedError(403, "1.4", text, "the sender is not registered for the municipality")

    def check_services(self, sender: str, codes: frozenset[str]) -> None:
        """Raise RefusedError where a sender names services that it is not registered for."""
        if sender in self.services and not codes <= self.services[sender]:
            raise RefusedError(
                400, "1.3", "Tjenstlig behov er ikke oppfylt.", "a service that the sender does not have"
            )


def _unauthorized(reason: str) -> RefusedError:
    return RefusedError(401, "1.5", "Tilgangstokenet mangler eller er ugyldig.", reason)
