"""Asks HelseID who someone is: authorization code flow with PKCE, PAR and DPoP (RFC 6749, 7636, 9126, 9449, 9207)."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from gateway.auth.helseid.access_tokens import error_code
from gateway.auth.helseid.client_assertion import client_assertion
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import ClientForms, HelseIdUnavailable
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.jws import JsonObject, Key, encoded
from gateway.auth.people.id_token import Expected, LoginRefused, verified
from gateway.auth.people.sessions import digest
from gateway.config.model import People
from gateway.times import Clock

CALLBACK = "/login/callback"
_LONGEST_PARAMETER = 4096


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only this login knows."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


def new_secrets() -> Secrets:
    """Make the values that tie the answers of HelseID to one login."""
    return Secrets(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))


class HelseIdLogin:
    """The way to HelseID and back, for the client of one configuration."""

    def __init__(self, issuer: Issuer, people: People, key: Callable[[], Key], clock: Clock) -> None:
        self.issuer = issuer
        self._people = people
        self._key = key
        self._clock = clock
        self._prover = DpopProver(clock)
        self._forms = ClientForms(issuer.http, self._prover)

    async def begin(self, known: Secrets) -> str:
        """Push the request for a login and return where the browser must go; raises `HelseIdUnavailable`."""
        addresses = await self.issuer.discovery()
        if addresses.par_endpoint is None or addresses.authorization_endpoint is None:
            raise HelseIdUnavailable("discovery names no addresses for logins")
        form = {
            "response_type": "code",
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._people.client.scopes),
            "state": known.state,
            "nonce": known.nonce,
            "code_challenge": encoded(hashlib.sha256(known.verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "dpop_jkt": self._prover.thumbprint,
        }
        answer = await self._post(addresses.par_endpoint, form, expected=201)
        request_uri = answer.get("request_uri")
        if not isinstance(request_uri, str) or not 0 < len(request_uri) <= _LONGEST_PARAMETER:
            raise HelseIdUnavailable("a pushed request without its name")
        query = urlencode({"client_id": self._people.client.client_id, "request_uri": request_uri})
        return f"{addresses.authorization_endpoint}?{query}"

    async def finish(self, known: Secrets, answer: Mapping[str, str]) -> JsonObject:
        """Return the claims about whoever logged in; raises `LoginRefused` or `HelseIdUnavailable`."""
        addresses = await self.issuer.discovery()
        named = answer.get("iss")
        if named != self.issuer.url and (named is not None or addresses.names_itself):
            raise LoginRefused("the answer is from another issuer")
        if "error" in answer:
            raise LoginRefused("HelseID let nobody in")
        code = answer.get("code", "")
        if not 0 < len(code) <= _LONGEST_PARAMETER:
            raise LoginRefused("an answer without a code")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": known.verifier,
        }
        tokens = await self._post(addresses.token_endpoint, form, expected=200)
        id_token = tokens.get("id_token")
        if str(tokens.get("token_type", "")).lower() != "dpop" or not isinstance(id_token, str):
            raise LoginRefused("no bound token, or no ID token")
        expected = Expected(self._people.client.client_id, known.nonce, self._people.security_level)
        return await verified(id_token, self.issuer, expected, self._clock)

    @property
    def _redirect_uri(self) -> str:
        return self._people.url + CALLBACK

    async def _post(self, url: str, form: Mapping[str, str], *, expected: int) -> JsonObject:
        answer = await self._forms.post(url, form, self._client)
        if answer.status == expected:
            return answer.document
        if answer.status == 400 and answer.document.get("error") == "invalid_grant":
            raise LoginRefused("HelseID does not take the code")
        raise HelseIdUnavailable(f"status {answer.status}: {error_code(answer.document)}")

    def _client(self) -> dict[str, str]:
        return client_assertion(self._people.client.client_id, self._key(), self.issuer.url, self._clock())


_MOST = 200
LIFETIME = 600
"""Seconds that someone has for logging in at HelseID."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A login under way."""

    known: Secrets
    login: HelseIdLogin
    """The one that began it: a code is bound to its key, also over a reload."""
    browser: str
    """Hash of what the browser has in a cookie."""
    until: float


class PendingLogins:
    """Finds a login again by the state that HelseID sends back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: dict[str, Begun] = {}

    def is_full(self) -> bool:
        """Tell whether so many have begun that another one must wait."""
        now = self._clock.monotonic()
        self._begun = {state: one for state, one in self._begun.items() if one.until > now}
        return len(self._begun) >= _MOST

    def begin(self, login: HelseIdLogin) -> tuple[Secrets, str]:
        """Remember a new login; return its secrets, and the one for the browser's cookie."""
        known, browser = new_secrets(), secrets.token_urlsafe(32)
        self._begun[digest(known.state)] = Begun(known, login, digest(browser), self._clock.monotonic() + LIFETIME)
        return known, browser

    def forget_all(self) -> None:
        """Let every login begin anew."""
        self._begun.clear()

    def take(self, state: str, browser: str) -> Begun | None:
        """Return the login of this state and browser, once; in another browser it stays where it is."""
        begun = self._begun.get(digest(state))
        if begun is None or begun.browser != digest(browser):
            return None
        del self._begun[digest(state)]
        return begun if self._clock.monotonic() < begun.until else None
