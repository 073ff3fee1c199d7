"""What an API of NHN checks before it looks at a request: access token and DPoP proof.

HelseID, "Validering av access token", and RFC 9449 section 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service_stubs.issuer_keys import IssuerKeys
from service_stubs.proofs import REMEMBER_SECONDS, SKEW_SECONDS, Call, Proof, ProofError, check_proof
from service_stubs.single_use import Nonces, SingleUse
from service_stubs.tokens import SIGNING_ALGORITHMS, Token, UnreadableTokenError, read_token

PARENT_CLAIM = "helseid://claims/client/claims/orgnr_parent"
CLIENT_NAME_CLAIM = "helseid://claims/client/client_name"

_TYPES = ("at+jwt", "JWT")


class AccessError(Exception):
    """The caller may not pass: HTTP status, error code of RFC 6750 or RFC 9449, and a nonce if one is asked for."""

    def __init__(self, status: int, error: str, description: str, nonce: str | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description
        self.nonce = nonce

    def fields(self) -> dict[str, str]:
        """Return WWW-Authenticate (RFC 9449 section 7.1), and the nonce that is asked for (section 9)."""
        algorithms = " ".join(SIGNING_ALGORITHMS)
        challenge = f'DPoP error="{self.error}", error_description="{self.description}", algs="{algorithms}"'
        return {"WWW-Authenticate": challenge, **({"DPoP-Nonce": self.nonce} if self.nonce else {})}


@dataclass(frozen=True)
class Caller:
    """Who calls, and for which municipality."""

    orgnr_parent: str
    client_id: str
    client_name: str | None


@dataclass(frozen=True)
class Credentials:
    """The headers that a caller is judged by."""

    authorizations: Sequence[str]
    proofs: Sequence[str]


class ApiAccess:
    """Lets callers of one API pass."""

    def __init__(self, keys: IssuerKeys, audience: str, scope: str) -> None:
        self._keys = keys
        self._audience = audience
        self._scope = scope
        self._proof_ids = SingleUse()
        self._nonces = Nonces()

    async def admit(self, credentials: Credentials, call: Call, *, ask_for_nonce: bool) -> Caller:
        """Return the caller or raise AccessError; the token is judged before the proof."""
        token = self._token(credentials.authorizations)
        await self._check_signature(token)
        self._check_claims(token, call.now)
        self._check_proof(token, credentials.proofs, call, ask_for_nonce=ask_for_nonce)
        return self._caller(token)

    def _token(self, authorizations: Sequence[str]) -> Token:
        if len(authorizations) != 1:
            raise _invalid_token("exactly one Authorization header is needed")
        scheme, _, text = authorizations[0].partition(" ")
        if scheme != "DPoP":
            raise _invalid_token("the Authorization scheme must be DPoP")
        try:
            return read_token(text)
        except UnreadableTokenError as error:
            raise _invalid_token("the access token is unreadable") from error

    async def _check_signature(self, token: Token) -> None:
        if token.header.get("typ") not in _TYPES:
            raise _invalid_token("typ must be at+jwt or JWT")
        if token.claims.get("iss") != self._keys.issuer:
            raise _invalid_token("the access token is of another issuer")
        if not await self._keys.have_signed(token):
            raise _invalid_token("the signature of the access token is wrong")

    def _check_claims(self, token: Token, now: float) -> None:
        if token.claims.get("aud") not in (self._audience, [self._audience]):
            raise _invalid_token(f"aud must be {self._audience} alone")
        expires, not_before = token.time_claim("exp"), token.time_claim("nbf")
        if expires is None or expires + SKEW_SECONDS < now:
            raise _invalid_token("the access token has expired")
        if not_before is not None and not_before - SKEW_SECONDS > now:
            raise _invalid_token("the access token is not valid yet")

    def _check_proof(self, token: Token, proofs: Sequence[str], call: Call, *, ask_for_nonce: bool) -> None:
        bound_call = Call(call.method, call.url, call.now, token.text)
        try:
            proof = check_proof(proofs, bound_call)
        except ProofError as error:
            raise AccessError(401, "invalid_dpop_proof", str(error)) from error
        confirmation = token.claims.get("cnf")
        if not isinstance(confirmation, dict) or confirmation.get("jkt") != proof.thumbprint:
            raise _invalid_token("the access token is not bound to the key of the proof")
        if not self._proof_ids.use(proof.jti, call.now, REMEMBER_SECONDS):
            raise AccessError(401, "invalid_dpop_proof", "the proof has been used before")
        self._check_nonce(proof, call.now, ask_for_nonce=ask_for_nonce)

    def _check_nonce(self, proof: Proof, now: float, *, ask_for_nonce: bool) -> None:
        if ask_for_nonce or (proof.nonce and not self._nonces.accepts(proof.nonce, now)):
            nonce = self._nonces.issue(now)
            raise AccessError(401, "use_dpop_nonce", "the proof needs the nonce of the DPoP-Nonce header", nonce)

    def _caller(self, token: Token) -> Caller:
        if self._scope not in token.scopes():
            raise AccessError(403, "insufficient_scope", f"the scope {self._scope} is missing")
        parent = token.text_claim(PARENT_CLAIM)
        if not parent:
            raise AccessError(403, "insufficient_scope", "the claim orgnr_parent is missing")
        return Caller(parent, token.text_claim("client_id"), token.text_claim(CLIENT_NAME_CLAIM) or None)


def _invalid_token(description: str) -> AccessError:
    return AccessError(401, "invalid_token", description)
