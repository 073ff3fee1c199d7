"""Tokens of senders, at the edges of their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.auth.helseid.claims import Credentials
from gateway.auth.helseid.token_verifier import TokenRefused, TokenVerifier
from service_stubs.sender_tokens import SenderToken
from tests.gateway.auth.helseid.device import compact

if TYPE_CHECKING:
    from gateway.auth.helseid.issuer import Issuer
    from service_stubs.helseid import HelseIdStub
    from tests.gateway.auth.helseid.conftest import Clock


def presented(helseid: HelseIdStub, **wanted: Any) -> Credentials:
    """Present a token of a sender."""
    return Credentials("bearer", helseid.sender_token(SenderToken(**{"vkp_id": "x", **wanted})))


async def test_verified_token_expires_with_its_time(
    verifier: TokenVerifier, helseid: HelseIdStub, clock: Clock
) -> None:
    """What was verified once is still refused when its time and the leeway are over."""
    token = presented(helseid, lifetime=600)
    await verifier.verify(token)
    clock.now += 604.9
    await verifier.verify(token)
    clock.now += 0.1
    with pytest.raises(TokenRefused, match="expired"):
        await verifier.verify(token)


async def test_token_becomes_valid(verifier: TokenVerifier, helseid: HelseIdStub, clock: Clock) -> None:
    """A token that came too early is not remembered as bad."""
    token = presented(helseid, claims={"nbf": clock.now + 60})
    with pytest.raises(TokenRefused, match="yet"):
        await verifier.verify(token)
    clock.now += 55
    await verifier.verify(token)


async def test_verified_token_needs_no_issuer(verifier: TokenVerifier, helseid: HelseIdStub) -> None:
    """The same token is verified once, even when HelseID is gone."""
    token = presented(helseid)
    first = await verifier.verify(token)
    await helseid.stop()
    assert await verifier.verify(token) == first


async def test_refused_token_is_judged_again(verifier: TokenVerifier, helseid: HelseIdStub, clock: Clock) -> None:
    """A refusal is not remembered: a key that appears later makes the token good."""
    helseid.rotate_key(keep_old=True)
    new = presented(helseid)
    helseid.rotate_key()
    with pytest.raises(TokenRefused):
        await verifier.verify(new)
    helseid.rotate_key(keep_old=True)
    clock.now += 10
    await verifier.verify(presented(helseid))


async def test_memory_of_verified_tokens_is_bounded(issuer: Issuer, helseid: HelseIdStub, clock: Clock) -> None:
    """However many tokens there are, only so many are remembered."""
    verifier = TokenVerifier(issuer, "nhn:vkp", clock, most_remembered=3)
    for _ in range(6):
        await verifier.verify(presented(helseid))
    assert len(verifier._verified) == 3


async def test_refusal_says_nothing_of_the_token(verifier: TokenVerifier, helseid: HelseIdStub) -> None:
    """Neither text nor representation of what was presented holds the token."""
    token = presented(helseid, audience="nhn:other")
    with pytest.raises(TokenRefused) as refusal:
        await verifier.verify(token)
    assert "eyJ" not in f"{refusal.value} {token!r}"


@pytest.mark.fact("helseid-one-api")
async def test_audience_in_a_list_gives_access_where_the_setting_says_so(
    issuer: Issuer, helseid: HelseIdStub, clock: Clock
) -> None:
    """HelseID documents one API for each token, so whoever takes more says so."""
    lenient = TokenVerifier(issuer, "nhn:vkp", clock, takes_audience_list=True)
    await lenient.verify(presented(helseid, claims={"aud": ["nhn:other", "nhn:vkp"]}))
    with pytest.raises(TokenRefused, match="another audience"):
        await lenient.verify(presented(helseid, claims={"aud": ["nhn:other"]}))
    for listed in (["nhn:vkp"], ["nhn:other", "nhn:vkp"]):
        with pytest.raises(TokenRefused, match="a list"):
            await TokenVerifier(issuer, "nhn:vkp", clock).verify(presented(helseid, claims={"aud": listed}))


class Published:
    """An issuer with one key."""

    url = "https://sts.example"

    def __init__(self, key: ECKey | RSAKey) -> None:
        self._key = key

    async def key(self, _kid: str | None) -> ECKey | RSAKey:
        """Return the key."""
        return self._key


KINDS = [(f"{kind}{bits}", "RSA") for kind in ("RS", "PS") for bits in (256, 384, 512)]
KINDS += [("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521")]


@pytest.mark.parametrize(("named", "kind"), KINDS)
async def test_every_algorithm_of_helseid_verifies_with_its_own_kind_of_key_alone(
    key_pool: list[RSAKey], clock: Clock, named: str, kind: str
) -> None:
    """A header that names another algorithm than the one that signed makes the token wrong."""
    key = key_pool[0] if kind == "RSA" else ECKey.generate_key(kind)
    verifier = TokenVerifier(Published(key), "nhn:vkp", clock)  # type: ignore[arg-type] # as much of an issuer as is asked
    claims = {"iss": Published.url, "aud": "nhn:vkp", "exp": clock.now + 60}
    for stated, _ in [*KINDS, ("none", ""), ("HS256", ""), ("EdDSA", "")]:
        algorithm = JWSRegistry.algorithms[named]
        token = compact({"typ": "at+jwt", "alg": stated}, claims, lambda content, by=algorithm: by.sign(content, key))
        if stated == named:
            assert await verifier.verify(Credentials("bearer", token)) == claims
        else:
            with pytest.raises(TokenRefused):
                await verifier.verify(Credentials("bearer", token))


async def test_key_with_an_algorithm_of_its_own_takes_no_other(key_pool: list[RSAKey], clock: Clock) -> None:
    """HelseID publishes its keys with `alg`."""
    key = RSAKey.import_key({**key_pool[0].as_dict(private=True), "alg": "RS256"})
    verifier = TokenVerifier(Published(key), "nhn:vkp", clock)  # type: ignore[arg-type] # as above
    claims = {"iss": Published.url, "aud": "nhn:vkp", "exp": clock.now + 60}
    for stated in ("RS256", "PS256"):
        algorithm = JWSRegistry.algorithms[stated]
        token = compact(
            {"typ": "at+jwt", "alg": stated}, claims, lambda content, by=algorithm: by.sign(content, key_pool[0])
        )
        if stated == "RS256":
            await verifier.verify(Credentials("bearer", token))
        else:
            with pytest.raises(TokenRefused, match="signature"):
                await verifier.verify(Credentials("bearer", token))
