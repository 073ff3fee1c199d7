"""What the HelseID stub offers beside the token endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from service_stubs.behaviour import Behaviour
from service_stubs.helseid import HelseIdStub
from service_stubs.listening import running
from service_stubs.sender_tokens import SenderToken
from service_stubs.tokens import read_token

if TYPE_CHECKING:
    from tests.service_stubs.conftest import Clock, Sender


async def get(session: aiohttp.ClientSession, url: str) -> Any:
    """Fetch JSON."""
    async with session.get(url, raise_for_status=True) as response:
        return await response.json()


async def post(session: aiohttp.ClientSession, url: str, body: Any) -> tuple[int, Any]:
    """Post JSON; status and JSON of the answer."""
    async with session.post(url, json=body) as response:
        return response.status, await response.json() if response.content_type == "application/json" else None


async def test_discovery_stays_on_the_issuers_origin(session: aiohttp.ClientSession, helseid: HelseIdStub) -> None:
    """Every endpoint is on the issuer's own address."""
    metadata = await get(session, f"{helseid.url}/.well-known/openid-configuration")
    assert metadata["issuer"] == helseid.url
    for name in ("token_endpoint", "jwks_uri", "authorization_endpoint"):
        assert metadata[name].startswith(f"{helseid.url}/")
    assert "ES256" in metadata["dpop_signing_alg_values_supported"]


async def test_issuer_name_can_differ_from_the_address() -> None:
    """Callers in other containers know the stub by another name."""
    async with (
        running(HelseIdStub(issuer_override="http://helseid.example")) as stub,
        aiohttp.ClientSession() as session,
    ):
        metadata = await get(session, f"{stub.url}/.well-known/openid-configuration")
    assert metadata["issuer"] == "http://helseid.example"
    assert metadata["token_endpoint"] == "http://helseid.example/connect/token"


async def test_published_keys_verify_tokens_and_hold_nothing_private(
    session: aiohttp.ClientSession, helseid: HelseIdStub
) -> None:
    """The key set is public, and its key id is in the token."""
    (key,) = (await get(session, f"{helseid.url}/.well-known/openid-configuration/jwks"))["keys"]
    assert key.keys() == {"kty", "n", "e", "kid", "use", "alg"}
    assert read_token(helseid.sender_token(SenderToken())).header["kid"] == key["kid"]


async def test_sender_token_is_as_vkp_expects_it(
    session: aiohttp.ClientSession, helseid: HelseIdStub, clock: Clock
) -> None:
    """A minted token is an unbound Bearer token with VKP's claim."""
    wanted = {"vkp_id": "vendor-test", "scopes": ["nhn:vkp/api/user/bundle.write"], "lifetime": 60}
    status, body = await post(session, f"{helseid.url}/stub/token", wanted)
    claims = read_token(body["access_token"]).claims
    assert status == 200
    assert claims["nhn:vkp/client/claims/vkp-id"] == "vendor-test"
    assert claims["client_amr"] == "private_key_jwt"
    assert (claims["aud"], claims["exp"]) == ("nhn:vkp", int(clock.now) + 60)
    assert not {"cnf", "e-helse/claims/her_id"} & claims.keys()


def test_sender_token_can_be_changed_in_every_part(clock: Clock) -> None:
    """Overrides replace and null removes, in claims and header."""
    stub = HelseIdStub(clock=clock, issuer_override="http://issuer.example")
    wanted = SenderToken(her_id="8000001", claims={"client_amr": None, "extra": 1}, header={"typ": "x", "kid": None})
    token = read_token(stub.sender_token(wanted))
    assert token.header == {"alg": "RS256", "typ": "x"}
    assert "client_amr" not in token.claims
    assert (token.claims["extra"], token.claims["e-helse/claims/her_id"]) == (1, "8000001")


@pytest.mark.parametrize(
    ("signing", "algorithm", "verifies"),
    [("right", "RS256", True), ("other-key", "RS256", False), ("none", "none", False), ("hs256", "HS256", False)],
)
def test_sender_token_can_be_signed_wrongly(clock: Clock, signing: Any, algorithm: str, verifies: bool) -> None:
    """Bad signatures of three kinds are there to be refused."""
    stub = HelseIdStub(clock=clock, issuer_override="http://issuer.example")
    token = read_token(stub.sender_token(SenderToken(signing=signing)))
    key = stub.signing_keys.current
    assert token.header["alg"] == algorithm
    assert token.header["kid"] == key.thumbprint()
    assert token.is_signed_by(key) is verifies


@pytest.mark.parametrize("path", ["token", "rotate-key", "behaviour"])
async def test_unknown_wish_is_refused(session: aiohttp.ClientSession, helseid: HelseIdStub, path: str) -> None:
    """A misspelt option does not pass in silence."""
    assert (await post(session, f"{helseid.url}/stub/{path}", {"tpyo": 1}))[0] == 400


@pytest.mark.parametrize(("keep_old", "published"), [(False, 1), (True, 2)])
async def test_key_rotation_keeps_or_drops_the_old_key(
    session: aiohttp.ClientSession, helseid: HelseIdStub, keep_old: bool, published: int
) -> None:
    """New tokens are signed by the new key at once."""
    status, body = await post(session, f"{helseid.url}/stub/rotate-key", {"keep_old": keep_old})
    keys = (await get(session, f"{helseid.url}/.well-known/openid-configuration/jwks"))["keys"]
    assert (status, len(keys)) == (200, published)
    assert keys[0]["kid"] == body["kid"]


async def test_token_endpoint_fails_as_told_and_recovers(sender: Sender, helseid: HelseIdStub) -> None:
    """`times` answers fail, the next is ordinary."""
    status, _ = await post(sender.session, f"{helseid.url}/stub/behaviour", {"status": 503, "times": 2, "delay": 0.01})
    assert status == 204
    statuses = [(await sender.ask(helseid.url, {"a": "b"}))[0] for _ in range(3)]
    assert statuses == [503, 503, 400]


async def test_token_endpoint_can_drop_the_connection(sender: Sender, helseid: HelseIdStub) -> None:
    """The caller sees the connection end without an answer."""
    helseid.behave(Behaviour(status="drop"))
    with pytest.raises(aiohttp.ClientError):
        await sender.ask(helseid.url, {"a": "b"})
    assert len(helseid.log) == 0


async def test_log_is_read_and_cleared(sender: Sender, helseid: HelseIdStub) -> None:
    """The log is there for tests in other processes too."""
    await sender.ask(helseid.url, {"client_id": "x", "scope": "a b"}, "not a proof")
    (entry,) = await get(sender.session, f"{helseid.url}/stub/log")
    assert (entry["client_id"], entry["scopes"], entry["outcome"]) == ("x", ["a", "b"], "unsupported_grant_type")
    async with sender.session.delete(f"{helseid.url}/stub/log") as response:
        assert response.status == 204
    assert await get(sender.session, f"{helseid.url}/stub/log") == []


@pytest.mark.parametrize("path", ["", "connect/token", "connect/par", "connect/userinfo", "stub/unknown"])
async def test_unknown_address_is_not_found(session: aiohttp.ClientSession, helseid: HelseIdStub, path: str) -> None:
    """There is nothing else, and the token endpoint takes POST only."""
    async with session.get(f"{helseid.url}/{path}") as response:
        assert response.status == 404


async def test_stub_can_be_started_again_at_the_same_address(
    session: aiohttp.ClientSession, helseid: HelseIdStub
) -> None:
    """Tests can take HelseID down and bring it back."""
    url = helseid.url
    await helseid.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(session, f"{url}/stub/log")
    await helseid.start()
    assert helseid.url == url
    assert await get(session, f"{url}/stub/log") == []
