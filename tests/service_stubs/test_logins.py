"""HelseID's double lets people log in for clients that ask rightly, and for nobody else."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from joserfc.jwk import ECKey

from service_stubs.clients import Client
from service_stubs.helseid import HelseIdStub
from service_stubs.listening import running
from service_stubs.logins import LoginSetting, TestPerson
from tests.service_stubs.conftest import ASSERTION_TYPE, NOW, Clock, decoded, signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BACK = "https://admin.example/login/callback"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPES = ["openid", "profile", "helseid://scopes/identity/security_level"]
REQUEST = {
    "response_type": "code",
    "redirect_uri": BACK,
    "scope": " ".join(SCOPES),
    "state": "s" * 32,
    "nonce": "n" * 32,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


class Party:
    """A client for people, which can be told to ask wrongly."""

    def __init__(self, stub: HelseIdStub, session: aiohttp.ClientSession, clock: Clock, client_id: str) -> None:
        self.stub, self.session, self.clock, self.client_id = stub, session, clock, client_id
        self.key = ECKey.generate_key("P-256", {"kid": "people"})
        self.proof_key = ECKey.generate_key("P-256")
        self.count = 0

    def registration(self, **changes: Any) -> Client:
        """Describe the client."""
        jwks = {"keys": [self.key.as_dict(private=False)]}
        known = {"client_id": self.client_id, "name": "People", "scopes": SCOPES, "jwks": jwks, "redirect_uris": [BACK]}
        return Client(**{**known, **changes})

    def _jti(self) -> str:
        self.count += 1
        return f"{self.client_id}-{self.count}"

    def assertion(self, **changes: Any) -> str:
        """Say who asks."""
        now = int(self.clock())
        claims = {
            "iss": self.client_id, "sub": self.client_id, "aud": self.stub.issuer, "iat": now, "exp": now + 30, "jti": self._jti(), **changes,
        }  # fmt: skip
        return signed(self.key, claims, {"alg": "ES256", "typ": "client-authentication+jwt", "kid": "people"})

    def proof(self, url: str, nonce: str | None, key: ECKey | None = None) -> str:
        """Prove possession of a key."""
        key = key or self.proof_key
        claims = {"jti": self._jti(), "htm": "POST", "htu": url, "iat": int(self.clock()), "nonce": nonce}
        return signed(key, claims, {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)})

    async def ask(self, path: str, form: dict[str, Any], **options: Any) -> tuple[int, dict[str, Any]]:
        """Send a form with a good assertion and proof, unless an option spoils them."""
        url = self.stub.issuer + path
        if "nonce" not in options:
            options["nonce"] = await self._nonce(url)
        client = {"client_id": self.client_id, "client_assertion_type": ASSERTION_TYPE}
        client["client_assertion"] = options.get("assertion") or self.assertion()
        body = {name: value for name, value in {**client, **form}.items() if value is not None}
        headers = {"DPoP": self.proof(options.get("htu", url), options["nonce"], options.get("key"))}
        headers = {} if options.get("proofless") else headers
        async with self.session.post(url, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def _nonce(self, url: str) -> str:
        form = {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(),
        }
        form |= {"grant_type": "authorization_code"}
        async with self.session.post(url, data=form, headers={"DPoP": self.proof(url, None)}) as response:
            return response.headers["DPoP-Nonce"]

    async def push(self, **changes: Any) -> str:
        """Push a request and return its name."""
        status, answer = await self.ask("/connect/par", {**REQUEST, **changes})
        assert status == 201, answer
        return str(answer["request_uri"])

    async def authorize(self, name: str, **changes: Any) -> tuple[int, str]:
        """Go where a browser would; return the status and where it is sent."""
        query = {"client_id": self.client_id, "request_uri": name, **changes}
        async with self.session.get(f"{self.stub.issuer}/connect/authorize?{urlencode(query)}", allow_redirects=False) as answer:  # fmt: skip
            return answer.status, answer.headers.get("Location", "")

    async def code(self) -> str:
        """Return a fresh code."""
        status, address = await self.authorize(await self.push())
        assert status == 302
        return parse_qs(urlsplit(address).query)["code"][0]

    async def redeem(
        self, code: str, changes: dict[str, Any] | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """Ask for the tokens of a code."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        return await self.ask("/connect/token", {**form, **(changes or {})}, **options)


@pytest.fixture
def still() -> Clock:
    """Make a clock that stands still."""
    return Clock()


@pytest.fixture
async def party(still: Clock) -> AsyncIterator[Party]:
    """Run the double with a client for people."""
    async with running(HelseIdStub(clock=still)) as stub, aiohttp.ClientSession() as session:
        party = Party(stub, session, still, "people")
        stub.register(party.registration())
        yield party


async def test_login_gives_an_id_token_for_the_scopes(party: Party) -> None:
    """Push, authorize, redeem: the ID token has what the scopes stand for, and is bound to the request by its nonce."""
    party.stub.log_in(LoginSetting(TestPerson(sub="kari", name="Kari", security_level="3", pid="13116900216")))
    status, address = await party.authorize(await party.push())
    answer = parse_qs(urlsplit(address).query)
    assert status == 302
    assert address.startswith(f"{BACK}?")
    assert (answer["state"], answer["iss"]) == (["s" * 32], [party.stub.issuer])
    status, tokens = await party.redeem(answer["code"][0])
    assert (status, tokens["token_type"]) == (200, "DPoP")
    header, claims = decoded(tokens["id_token"])
    assert header["typ"] == "JWT"
    assert (claims["sub"], claims["aud"], claims["nonce"], claims["name"]) == ("kari", "people", "n" * 32, "Kari")
    assert claims["helseid://claims/identity/security_level"] == "3"
    assert claims["exp"] == NOW + 300
    assert not [name for name in claims if "pid" in name or "hpr" in name]
    assert decoded(tokens["access_token"])[1]["cnf"] == {"jkt": party.proof_key.thumbprint()}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        *(({name: None}, "invalid_request") for name in REQUEST if name != "code_challenge_method"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"response_type": "id_token"}, "invalid_request"),
        ({"redirect_uri": "https://evil.example"}, "invalid_request"),
        ({"redirect_uri": f"{BACK}/"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"state": "short"}, "invalid_request"),
        ({"nonce": "short"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid nhn:jft/api"}, "invalid_scope"),
        ({"request_uri": "urn:x"}, "invalid_request"),
        ({"dpop_jkt": "another"}, "invalid_dpop_proof"),
        ({"client_assertion_type": None}, "invalid_client"),
        ({"client_id": "another"}, "invalid_client"),
    ],
    ids=str,
)
async def test_wrong_request_is_not_kept(party: Party, changes: dict[str, Any], error: str) -> None:
    """Whatever is missing or too weak is refused when it is pushed."""
    status, answer = await party.ask("/connect/par", {**REQUEST, **changes})
    assert (status, answer["error"]) == (400, error)


async def test_request_needs_a_good_assertion_and_proof(party: Party) -> None:
    """As at the token endpoint: once each, for this address, with a nonce."""
    used = party.assertion()
    assert (await party.ask("/connect/par", REQUEST, assertion=used))[0] == 201
    for options, error in (
        ({"assertion": used}, "invalid_client"),
        ({"assertion": party.assertion(aud="https://other.example")}, "invalid_client"),
        ({"proofless": True}, "invalid_dpop_proof"),
        ({"htu": f"{party.stub.issuer}/connect/token"}, "invalid_dpop_proof"),
        ({"nonce": None}, "use_dpop_nonce"),
    ):
        status, answer = await party.ask("/connect/par", REQUEST, **options)
        assert (status, answer["error"]) == (400, error), options


async def test_client_that_is_not_for_people_is_refused(party: Party) -> None:
    """Without a redirect URI there is nobody to send back."""
    party.stub.register(party.registration(redirect_uris=[]))
    status, answer = await party.ask("/connect/par", REQUEST, nonce="any")
    assert (status, answer["error"]) == (400, "unauthorized_client")


async def test_pushed_request_is_good_once_for_a_minute_and_one_client(party: Party, still: Clock) -> None:
    """And nothing may be added to it in the browser."""
    name = await party.push()
    assert (await party.authorize(name))[0] == 302
    assert (await party.authorize(name))[0] == 400
    assert (await party.authorize(await party.push(), scope="openid"))[0] == 400
    assert (await party.authorize(await party.push(), client_id="another"))[0] == 400
    late = await party.push()
    still.now += 60
    assert (await party.authorize(late))[0] == 400


@pytest.mark.parametrize(
    "changes",
    [{"code": "unknown"}, {"code_verifier": "w" * 64}, {"code_verifier": None}, {"code_verifier": "v" * 42}, {"redirect_uri": "https://x.example"}],
    ids=str,
)  # fmt: skip
async def test_code_needs_its_verifier_and_redirect_uri(party: Party, changes: dict[str, Any]) -> None:
    """PKCE (RFC 7636) and RFC 6749 section 4.1.3; a wrong try spends the code."""
    code = await party.code()
    status, answer = await party.redeem(code, changes)
    assert (status, answer["error"]) == (400, "invalid_grant")
    if "code" not in changes:
        assert (await party.redeem(code))[0] == 400


async def test_code_is_good_once_for_a_minute_and_one_key(party: Party, still: Clock) -> None:
    """A code that was seen by somebody else is worth nothing to them."""
    code = await party.code()
    assert (await party.redeem(code))[0] == 200
    assert (await party.redeem(code))[1]["error"] == "invalid_grant"
    stolen = await party.code()
    thief = ECKey.generate_key("P-256")
    assert (await party.redeem(stolen, key=thief))[1]["error"] == "invalid_grant"
    late = await party.code()
    still.now += 60
    assert (await party.redeem(late))[1]["error"] == "invalid_grant"


async def test_code_of_another_client_is_refused(party: Party, still: Clock) -> None:
    """Each client has its own."""
    other = Party(party.stub, party.session, still, "other")
    party.stub.register(other.registration())
    assert (await other.redeem(await party.code(), key=party.proof_key))[1]["error"] == "invalid_grant"


async def test_setting_is_made_over_http_too(party: Party) -> None:
    """For tests and demonstrations in other processes; a wrong one changes nothing."""
    url = f"{party.stub.url}/stub/login"
    async with party.session.post(url, json={"person": {"sub": "per"}, "fault": "denied"}) as response:
        assert response.status == 204
    assert "error=access_denied" in (await party.authorize(await party.push()))[1]
    async with party.session.post(url, json={"fault": "unknown"}) as response:
        assert response.status == 400
