"""A client of HelseID and JFT written for these tests, and running stubs to point it at."""

import base64
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from service_stubs import signing
from service_stubs.clients import Client
from service_stubs.helseid import HelseIdStub
from service_stubs.jft import JftStub
from service_stubs.listening import running
from service_stubs.national_numbers import number_for

ORGNR = "310000001"
NOW = 1_780_000_000.0
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def details(orgnr: str, child: str | None = "") -> dict[str, Any]:
    """Make the organisation structure of a multi-tenant client; `child` None leaves out the trailing colon."""
    value = f"NO:ORGNR:{orgnr}" if child is None else f"NO:ORGNR:{orgnr}:{child}"
    identifier = {"system": "urn:oid:1.0.6523", "type": "ENH", "value": value}
    return {"type": "helseid_authorization", "practitioner_role": {"organization": {"identifier": identifier}}}


def signed(key: Any, claims: dict[str, Any], header: dict[str, Any]) -> str:
    """Make a signed token; None in claims or header leaves a member out."""
    kept_header = {name: value for name, value in header.items() if value is not None}
    kept_claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept_header, kept_claims, key, algorithms=[header["alg"]])


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))  # type: ignore[return-value]


@dataclass
class Sender:
    """A system that gets tokens and calls APIs; every part can be overridden to make a mistake."""

    session: aiohttp.ClientSession
    clock: Callable[[], float]
    client_id: str = "gateway-under-test"
    orgnr: str = ORGNR
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    proof_key: Any = field(default_factory=lambda: ECKey.generate_key("P-256"))

    details = staticmethod(details)
    decoded = staticmethod(decoded)
    signed = staticmethod(signed)

    def registration(self, **changes: Any) -> Client:
        """Describe the client as HelseID knows it."""
        jwk = {**self.key.as_dict(private=False), "kid": self.key.thumbprint()}
        scopes = ["nhn:jft/api", "nhn:pit/api.read", "nhn:pit/api.write"]
        known = {"client_id": self.client_id, "name": "Gateway", "scopes": scopes, "jwks": {"keys": [jwk]}}
        return Client(**{**known, **changes})

    def assertion(self, issuer: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Make a client assertion."""
        now = int(self.clock())
        normal = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + 30,
            "jti": str(uuid4()),
            "assertion_details": details(ORGNR),
        }
        normal_header = {"alg": "ES256", "typ": "client-authentication+jwt", "kid": self.key.thumbprint()}
        return signed(self.key, {**normal, **claims}, {**normal_header, **(header or {})})

    def proof(self, method: str, url: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Make a DPoP proof; `token` becomes `ath`."""
        token = claims.pop("token", None)
        normal: dict[str, Any] = {"htm": method, "htu": url, "iat": int(self.clock()), "jti": str(uuid4())}
        if token is not None:
            digest = hashlib.sha256(token.encode()).digest()
            normal["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        normal_header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": self.proof_key.as_dict(private=False)}
        return signed(self.proof_key, {**normal, **claims}, {**normal_header, **(header or {})})

    def form(self, assertion: str, **changes: Any) -> dict[str, str]:
        """Make the form of a token request; None leaves a parameter out."""
        normal = {
            "client_id": self.client_id,
            "grant_type": "client_credentials",
            "scope": "nhn:jft/api",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        return {name: value for name, value in {**normal, **changes}.items() if value is not None}

    async def ask(self, url: str, form: dict[str, str], *proofs: str) -> tuple[int, dict[str, Any], str]:
        """Post a token request; status, body and nonce."""
        headers = [("DPoP", proof) for proof in proofs]
        async with self.session.post(f"{url}/connect/token", data=form, headers=headers) as response:
            return response.status, await response.json(), response.headers.get("DPoP-Nonce", "")

    async def nonce(self, url: str) -> str:
        """Obtain a nonce as a client does, by a first request without one."""
        status, body, nonce = await self.ask(
            url, self.form(self.assertion(url)), self.proof("POST", f"{url}/connect/token")
        )
        assert (status, body["error"]) == (400, "use_dpop_nonce")
        return nonce

    async def token_response(self, url: str, form: dict[str, Any] | None = None, **claims: Any) -> dict[str, Any]:
        """Obtain the token response to a request that is right."""
        nonce = await self.nonce(url)
        proof = self.proof("POST", f"{url}/connect/token", nonce=nonce)
        status, body, _ = await self.ask(url, self.form(self.assertion(url, **claims), **(form or {})), proof)
        assert status == 200, body
        return body

    async def token(self, url: str, **claims: Any) -> str:
        """Obtain an access token."""
        return str((await self.token_response(url, **claims))["access_token"])

    async def call(self, method: str, url: str, token: str, **options: Any) -> tuple[int, Any, str]:
        """Call an API; status, JSON or text of the answer, and Location."""
        proof = self.proof(method, url.partition("?")[0], token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof, **options.pop("headers", {})}
        async with self.session.request(method, url, headers=headers, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else "", response.headers.get("Location", "")


@pytest.fixture(scope="session")
def key_pool() -> list[RSAKey]:
    """Make a few RSA keys, since making one takes a tenth of a second."""
    return [RSAKey.generate_key(2048) for _ in range(3)]


@pytest.fixture(autouse=True)
def signing_keys(key_pool: list[RSAKey], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stubs take their keys from the pool."""
    keys = itertools.cycle(key_pool)
    monkeypatch.setattr(signing, "_new_key", lambda: next(keys))


@pytest.fixture
def clock() -> Clock:
    """Make a clock at a fixed time."""
    return Clock()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP client."""
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
def sender(session: aiohttp.ClientSession, clock: Clock) -> Sender:
    """Make the client that is registered with `helseid`."""
    return Sender(session, clock)


@pytest.fixture
async def helseid(sender: Sender, clock: Clock) -> AsyncIterator[HelseIdStub]:
    """Run a HelseID that knows the sender as a multi-tenant client."""
    async with running(HelseIdStub([sender.registration()], clock=clock)) as stub:
        yield stub


@pytest.fixture
async def jft(helseid: HelseIdStub, clock: Clock) -> AsyncIterator[JftStub]:
    """Run a JFT that trusts `helseid` and checks lightly."""
    code = uuid4().hex  # NHN names the tag's system alone: whoever knows its code knows too much
    async with running(JftStub(helseid.issuer, checks="light", clock=clock, acknowledged_code=code)) as stub:
        yield stub


@pytest.fixture
def patient_number() -> str:
    """Make a synthetic national number."""
    return number_for(date(1944, 5, 6), 500)


@pytest.fixture
def composition(patient_number: str) -> dict[str, Any]:
    """Make a note that JFT takes."""
    return {
        "resourceType": "Composition",
        "status": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]},
        "category": [
            {"coding": [{"system": "http://ehelse.no/fhir/CodeSystem/vkp-composition-category-v090", "code": "1"}]}
        ],
        "subject": {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": patient_number}},
        "date": "2026-05-04T08:15:00+02:00",
        "author": [{"display": "Ansatt Eksempel"}],
        "title": "Notat",
    }


@pytest.fixture
def document(composition: dict[str, Any]) -> dict[str, Any]:
    """Make a Bundle that JFT takes."""
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "http://vendor.example/bundle-identifier", "value": "urn:uuid:0b0e7f0e"},
        "timestamp": "2026-05-04T08:16:00+02:00",
        "entry": [{"fullUrl": "urn:uuid:6a1f0a55-3c52-4c5e-9d6c-0d9f3f1f5a01", "resource": composition}],
    }
