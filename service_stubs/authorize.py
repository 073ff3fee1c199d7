"""Logins at the HelseID stub: pushed requests (RFC 9126), the authorization endpoint, and codes for tokens with PKCE."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from service_stubs.assertions import (
    MAX_LIFETIME_SECONDS,
    SKEW_SECONDS,
    TokenRequestError,
    authenticate,
    check_times_and_audience,
    read_assertion,
)
from service_stubs.clients import Client
from service_stubs.logins import Asked, LoginSetting
from service_stubs.proofs import REMEMBER_SECONDS, Call, Proof, ProofError, check_proof
from service_stubs.single_use import Nonces, SingleUse
from service_stubs.tokens import base64url

REQUEST_SECONDS = 60
_CODE_SECONDS = 60.0
_MOST = 1_000
_MIN_ENTROPY = 16
"""Characters of state, nonce and the like; fewer could be guessed."""
_VERIFIER_LENGTHS = range(43, 129)
_PARAMETERS = frozenset({"response_type", "redirect_uri", "scope", "state", "nonce", "code_challenge"})
_REQUEST_URI = "urn:ietf:params:oauth:request_uri:"


@dataclass(frozen=True)
class _Kept:
    asked: Asked
    until: float


class LoginEndpoints:
    """Judges what clients ask for people who log in; every request and every code is good once."""

    def __init__(self, issuer: str, nonces: Nonces) -> None:
        self.setting = LoginSetting()
        self._issuer = issuer
        self._nonces = nonces
        self._assertion_ids = SingleUse()
        self._proof_ids = SingleUse()
        self._pushed: dict[str, _Kept] = {}
        self._codes: dict[str, _Kept] = {}
        self._used_codes: list[str] = []

    def push(self, form: Mapping[str, str], proofs: Sequence[str], clients: Mapping[str, Client], now: float) -> str:
        """Keep a request and return its name, or raise TokenRequestError."""
        client = self._authenticated(form, clients, now)
        proof = self._proven(proofs, f"{self._issuer}/connect/par", now)
        asked = _asked(form, client, proof)
        name = _REQUEST_URI + secrets.token_urlsafe(16)
        _keep(self._pushed, name, _Kept(asked, now + REQUEST_SECONDS), now)
        return name

    def authorize(self, query: Mapping[str, str], now: float) -> str:
        """Let the test person in and return where the browser must go, or raise TokenRequestError."""
        kept = self._pushed.pop(query.get("request_uri", ""), None)
        if kept is None or kept.until <= now or query.get("client_id") != kept.asked.client_id:
            raise TokenRequestError("invalid_request", "request_uri is unknown, used, expired or of another client")
        if len(query) != 2:
            raise TokenRequestError("invalid_request", "whatever else is asked for must be pushed")
        asked, fault = kept.asked, self.setting.fault
        answer = {"state": asked.state, "iss": self._issuer}
        if fault == "denied":
            answer |= {"error": "access_denied", "error_description": "the person did not want to"}
        elif fault != "no-code":
            answer["code"] = self._code(asked, now)
        if fault == "another-state":
            answer["state"] = secrets.token_urlsafe(32)
        if fault == "another-response-issuer":
            answer["iss"] = "https://helseid.example"
        if fault == "no-response-issuer":
            del answer["iss"]
        return f"{asked.redirect_uri}?{urlencode(answer)}"

    def redeem(
        self, form: Mapping[str, str], proofs: Sequence[str], clients: Mapping[str, Client], now: float
    ) -> tuple[Asked, str]:
        """Return what a code was given for, and the key that the tokens are bound to, or raise TokenRequestError."""
        client = self._authenticated(form, clients, now)
        proof = self._proven(proofs, f"{self._issuer}/connect/token", now)
        code = form.get("code", "")
        kept = self._codes.pop(code, None)
        if kept is None or kept.until <= now:
            raise TokenRequestError("invalid_grant", "the code is unknown, used or expired")
        self._used_codes.append(code)
        asked = kept.asked
        if asked.client_id != client.client_id or form.get("redirect_uri") != asked.redirect_uri:
            raise TokenRequestError("invalid_grant", "the code is for another client or redirect_uri")
        if asked.thumbprint is not None and asked.thumbprint != proof.thumbprint:
            raise TokenRequestError("invalid_grant", "the code is bound to another key")
        verifier = form.get("code_verifier", "")
        if len(verifier) not in _VERIFIER_LENGTHS or _challenge(verifier) != asked.challenge:
            raise TokenRequestError("invalid_grant", "code_verifier is not the one of this request")
        return asked, proof.thumbprint

    def _code(self, asked: Asked, now: float) -> str:
        if self.setting.fault == "used-code" and self._used_codes:
            return self._used_codes[-1]
        code = secrets.token_urlsafe(24)
        _keep(self._codes, code, _Kept(asked, now + _CODE_SECONDS), now)
        return code

    def _authenticated(self, form: Mapping[str, str], clients: Mapping[str, Client], now: float) -> Client:
        assertion = read_assertion(form)
        client = authenticate(assertion, form, clients)
        check_times_and_audience(assertion, self._issuer, now)
        lifetime = MAX_LIFETIME_SECONDS + 2 * SKEW_SECONDS
        if not self._assertion_ids.use(f"{client.client_id} {assertion.text_claim('jti')}", now, lifetime):
            raise TokenRequestError("invalid_client", "the client assertion has been used before")
        if not client.redirect_uris:
            raise TokenRequestError("unauthorized_client", "the client is not for people")
        return client

    def _proven(self, proofs: Sequence[str], url: str, now: float) -> Proof:
        try:
            proof = check_proof(proofs, Call("POST", url, now))
        except ProofError as error:
            raise TokenRequestError("invalid_dpop_proof", str(error)) from error
        if not self._proof_ids.use(proof.jti, now, REMEMBER_SECONDS):
            raise TokenRequestError("invalid_dpop_proof", "the proof has been used before")
        if not self._nonces.accepts(proof.nonce, now):
            raise TokenRequestError("use_dpop_nonce", "the proof needs the nonce of the DPoP-Nonce header")
        return proof


def _asked(form: Mapping[str, str], client: Client, proof: Proof) -> Asked:
    if missing := sorted(_PARAMETERS - form.keys()):
        raise TokenRequestError("invalid_request", f"missing: {', '.join(missing)}")
    if "request_uri" in form:
        raise TokenRequestError("invalid_request", "request_uri cannot be pushed")
    if form["response_type"] != "code" or form.get("code_challenge_method") != "S256":
        raise TokenRequestError("invalid_request", "response_type must be code, code_challenge_method S256")
    if form["redirect_uri"] not in client.redirect_uris:
        raise TokenRequestError("invalid_request", "redirect_uri is not registered")
    if len(form["code_challenge"]) != 43 or min(len(form["state"]), len(form["nonce"])) < _MIN_ENTROPY:
        raise TokenRequestError("invalid_request", "code_challenge, state or nonce is too short")
    scopes = tuple(form["scope"].split())
    if "openid" not in scopes or not set(scopes) <= set(client.scopes):
        raise TokenRequestError("invalid_scope", "openid is missing, or a scope is not registered")
    if form.get("dpop_jkt", proof.thumbprint) != proof.thumbprint:
        raise TokenRequestError("invalid_dpop_proof", "dpop_jkt is not the key of the proof")
    return Asked(
        client.client_id,
        form["redirect_uri"],
        scopes,
        form["state"],
        form["nonce"],
        form["code_challenge"],
        proof.thumbprint,
    )


def _challenge(verifier: str) -> str:
    return base64url(hashlib.sha256(verifier.encode()).digest())


def _keep(where: dict[str, _Kept], name: str, kept: _Kept, now: float) -> None:
    for old in [each for each, known in where.items() if known.until <= now]:
        del where[old]
    if len(where) >= _MOST:
        raise TokenRequestError("temporarily_unavailable", "too many logins at a time")
    where[name] = kept
