"""Legacy VKP's checks of the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from legacy_stubs.vkp_r4 import LegacyVkp, running
from service_stubs.helseid import HelseIdStub
from service_stubs.sender_tokens import SenderToken

if TYPE_CHECKING:
    from tests.legacy_stubs.conftest import Sender

NOW = 1_780_000_000
NOTE = {"resourceType": "Composition", "subject": {"display": "Solveig Fiktiv"}}
VKP_ID = "nhn:vkp/client/claims/vkp-id"


@pytest.mark.fact("vkp-private-key-jwt")
@pytest.mark.parametrize(
    "wanted",
    [
        {"lifetime": -6},
        {"claims": {"exp": None}},
        {"claims": {"exp": "later"}},
        {"claims": {"nbf": NOW + 6}},
        {"claims": {"client_amr": "client_secret_basic"}},
        {"claims": {"client_amr": None}},
        {"vkp_id": None},
        {"vkp_id": " "},
        {"claims": {VKP_ID: ["vendor-test"]}},
    ],
    ids=str,
)
async def test_wrong_tokens_are_refused(sender: Sender, wanted: dict[str, Any]) -> None:
    """401 with code 1.5 and a challenge."""
    answer = await sender.post("composition", NOTE, token=sender.token(**wanted))
    assert (answer.status, answer.code) == (401, "1.5")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["", "text", "a.b.c", "e30.W10.x"])
async def test_unreadable_tokens_are_refused(sender: Sender, token: str) -> None:
    """401 with code 1.5, never a fault of the stub."""
    answer = await sender.post("composition", NOTE, token=token)
    assert (answer.status, answer.code) == (401, "1.5")


async def test_authorization_is_needed_once_and_as_bearer(sender: Sender) -> None:
    """None, two, or another scheme are refused; the scheme's letter case does not matter."""
    url = f"{sender.vkp.url}{sender.base}/composition"
    token = sender.token()
    wrong = ([], [f"Bearer {token}", f"Bearer {token}"], [f"DPoP {token}"])
    for values in (*wrong, [f"bearer {token}"]):
        headers = [("Authorization", value) for value in values]
        async with sender.session.post(url, json=NOTE, headers=headers) as response:
            assert response.status == (401 if values in wrong else 200)


@pytest.mark.fact("vkp-scopes")
@pytest.mark.parametrize(
    "scopes",
    [
        ["nhn:vkp/api/user/composition.write"],
        ["nhn:vkp/api/user/composition.*"],
        ["nhn:vkp/api/*.*"],
        ["other", "nhn:vkp/api/user/composition.write"],
    ],
    ids=str,
)
async def test_scope_of_the_endpoint_or_a_wildcard_opens_it(sender: Sender, scopes: list[str]) -> None:
    """As VKP's self-service lists them."""
    assert (await sender.post("composition", NOTE, token=sender.token(scopes=scopes))).status == 200


@pytest.mark.parametrize(
    "scopes",
    [[], ["nhn:vkp/api/user/composition.read"], ["nhn:vkp/api/user/bundle.*"], ["nhn:vkp/api/user/*.*"]],
    ids=str,
)
async def test_other_scopes_do_not(sender: Sender, scopes: list[str]) -> None:
    """403 with code 1.2."""
    answer = await sender.post("composition", NOTE, token=sender.token(scopes=scopes))
    assert (answer.status, answer.code) == (403, "1.2")


async def test_reading_needs_the_scope_for_reading(sender: Sender) -> None:
    """The right to write does not open the search."""
    token = sender.token(scopes=["nhn:vkp/api/user/composition.write"])
    answer = await sender.post("composition/_search", token=token, ServiceCodes="rt")
    assert (answer.status, answer.code) == (403, "1.2")


async def test_scopes_may_be_given_as_text(sender: Sender) -> None:
    """RFC 9068 writes the scopes as one text."""
    token = sender.token(claims={"scope": "openid nhn:vkp/api/user/composition.write"})
    assert (await sender.post("composition", NOTE, token=token)).status == 200


async def test_signatures_are_verified_where_an_issuer_is_given() -> None:
    """Only tokens that this issuer signed pass."""
    async with (
        running(HelseIdStub()) as helseid,
        running(LegacyVkp(issuer=helseid.issuer)) as vkp,
        aiohttp.ClientSession() as session,
    ):

        async def status(**wanted: Any) -> int:
            token = helseid.sender_token(SenderToken(vkp_id="vendor-test", **wanted))
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(f"{vkp.url}/epj/r4/310000001/composition", json=NOTE, headers=headers) as response:
                return response.status

        assert await status() == 200
        assert await status(signing="other-key") == 401
        assert await status(signing="none") == 401
        assert await status(signing="hs256") == 401
        assert await status(claims={"iss": "http://elsewhere.example"}) == 401
        assert await status(header={"kid": "unknown"}) == 401
        await helseid.stop()
        assert await status() == 200
        assert await status(header={"kid": "unknown"}) == 503
