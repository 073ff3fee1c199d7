"""JFT lets nobody pass without a right token and a right proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from service_stubs.behaviour import Behaviour
from service_stubs.jft import JftStub
from service_stubs.listening import running
from service_stubs.sender_tokens import SenderToken

if TYPE_CHECKING:
    from service_stubs.helseid import HelseIdStub
    from tests.service_stubs.conftest import Clock, Sender

PARENT = "helseid://claims/client/claims/orgnr_parent"


def bound_token(sender: Sender, helseid: HelseIdStub, **changes: Any) -> str:
    """Mint a token that JFT takes, unless `claims`, `header` or `signing` spoil it."""
    claims = {"cnf": {"jkt": sender.proof_key.thumbprint()}, PARENT: sender.orgnr, **changes.pop("claims", {})}
    return helseid.sender_token(SenderToken(scopes=["nhn:jft/api"], audience="nhn:jft", claims=claims, **changes))


async def submit(
    sender: Sender,
    jft: JftStub,
    body: dict[str, Any],
    authorization: list[str],
    proofs: list[str],
) -> tuple[int, str]:
    """Submit a Composition with the given credentials; status and WWW-Authenticate."""
    headers = [("Authorization", value) for value in authorization] + [("DPoP", proof) for proof in proofs]
    async with sender.session.post(f"{jft.write_url}/v1/Composition", json=body, headers=headers) as response:
        return response.status, response.headers.get("WWW-Authenticate", "")


async def submit_with_token(sender: Sender, jft: JftStub, body: dict[str, Any], token: str) -> tuple[int, str]:
    """Submit with a right proof for `token`."""
    proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", token=token)
    return await submit(sender, jft, body, [f"DPoP {token}"], [proof])


async def test_token_of_helseid_opens_jft(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """The two stubs work together."""
    token = await sender.token(helseid.url)
    assert (await submit_with_token(sender, jft, composition, token))[0] == 202


@pytest.mark.parametrize("scheme", ["Bearer", "dpop", ""])
async def test_other_schemes_are_refused(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any], scheme: str
) -> None:
    """JFT takes DPoP tokens only."""
    token = bound_token(sender, helseid)
    proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", token=token)
    status, challenge = await submit(sender, jft, composition, [f"{scheme} {token}"], [proof])
    assert status == 401
    assert challenge.startswith('DPoP error="invalid_token"')


@pytest.mark.parametrize("copies", [0, 2])
async def test_exactly_one_authorization_and_one_proof_are_needed(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any], copies: int
) -> None:
    """Repeated credentials are refused as missing ones are."""
    token = bound_token(sender, helseid)
    proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", token=token)
    status, _ = await submit(sender, jft, composition, [f"DPoP {token}"] * copies, [proof])
    assert status == 401
    status, challenge = await submit(sender, jft, composition, [f"DPoP {token}"], [proof] * copies)
    assert status == 401
    assert "invalid_dpop_proof" in challenge


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"aud": "nhn:vkp"}, 401),
        ({"aud": ["nhn:jft", "nhn:pit"]}, 401),
        ({"aud": None}, 401),
        ({"iss": "http://elsewhere.example"}, 401),
        ({"exp": 1_780_000_000 - 6}, 401),
        ({"exp": None}, 401),
        ({"nbf": 1_780_000_000 + 6}, 401),
        ({"cnf": None}, 401),
        ({"cnf": {"jkt": "another-key"}}, 401),
        ({"scope": ["nhn:pit/api.read"]}, 403),
        ({"scope": []}, 403),
        ({"scope": None}, 403),
        ({PARENT: None}, 403),
        ({"aud": ["nhn:jft"]}, 202),
        ({"scope": "nhn:jft/api other"}, 202),
        ({"exp": 1_780_000_000 - 5, "nbf": 1_780_000_000 + 5}, 202),
    ],
    ids=str,
)
async def test_claims_of_the_token_are_checked(
    *,
    sender: Sender,
    helseid: HelseIdStub,
    jft: JftStub,
    composition: dict[str, Any],
    claims: dict[str, Any],
    status: int,
) -> None:
    """401 if the token is wrong, 403 if it does not give the right; a few seconds of leeway."""
    token = bound_token(sender, helseid, claims=claims)
    assert (await submit_with_token(sender, jft, composition, token))[0] == status


@pytest.mark.parametrize(
    "changes",
    [
        {"signing": "other-key"},
        {"signing": "none"},
        {"signing": "hs256"},
        {"header": {"typ": "dpop+jwt"}},
        {"header": {"typ": None}},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": None}},
    ],
    ids=str,
)
async def test_forged_tokens_are_refused(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Signature, type and key are checked."""
    token = bound_token(sender, helseid, **changes)
    assert (await submit_with_token(sender, jft, composition, token))[0] == 401


async def test_unreadable_token_is_refused(sender: Sender, jft: JftStub, composition: dict[str, Any]) -> None:
    """Text that is no token is refused."""
    assert (await submit_with_token(sender, jft, composition, "no-token"))[0] == 401


async def test_token_signed_by_a_new_key_passes(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """An unknown key id makes the stub fetch the keys again."""
    assert (await submit_with_token(sender, jft, composition, bound_token(sender, helseid)))[0] == 202
    helseid.rotate_key()
    assert (await submit_with_token(sender, jft, composition, bound_token(sender, helseid)))[0] == 202


async def test_jft_is_unavailable_while_its_issuer_is(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """Without keys no token can be judged."""
    token = bound_token(sender, helseid)
    await helseid.stop()
    assert (await submit_with_token(sender, jft, composition, token))[0] == 503


async def test_discovery_under_another_name_is_not_trusted(
    sender: Sender, helseid: HelseIdStub, clock: Clock, composition: dict[str, Any]
) -> None:
    """The discovery document must name the issuer that was asked."""
    helseid.issuer_override = "http://elsewhere.example"
    async with running(JftStub(helseid.url, clock=clock)) as jft:
        token = bound_token(sender, helseid, claims={"iss": helseid.url})
        assert (await submit_with_token(sender, jft, composition, token))[0] == 503


async def test_keys_on_another_origin_are_not_fetched(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that an answer contains chooses a server."""
    foreign = {"issuer": helseid.issuer, "jwks_uri": "http://elsewhere.example/jwks"}
    monkeypatch.setattr(helseid, "_metadata", lambda: foreign)
    assert (await submit_with_token(sender, jft, composition, bound_token(sender, helseid)))[0] == 503


@pytest.mark.parametrize(
    "claims",
    [
        {"htm": "GET"},
        {"htu": "http://127.0.0.1:1/v1/Composition"},
        {"ath": "wrong"},
        {"ath": None},
        {"iat": 1_780_000_000 - 16},
        {"iat": 1_780_000_000 + 6},
        {"iat": None},
        {"iat": True},
        {"jti": None},
    ],
    ids=str,
)
async def test_claims_of_the_proof_are_checked(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any], claims: dict[str, Any]
) -> None:
    """RFC 9449 section 4.3: method, address, token hash, age and id."""
    token = bound_token(sender, helseid)
    proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", token=token, **claims)
    status, challenge = await submit(sender, jft, composition, [f"DPoP {token}"], [proof])
    assert status == 401
    assert 'error="invalid_dpop_proof"' in challenge
    assert 'algs="RS256' in challenge


async def test_header_of_the_proof_is_checked(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """Type, algorithm and key: public, asymmetric, and the one that signed."""
    token = bound_token(sender, helseid)
    other_key = ECKey.generate_key("P-256").as_dict(private=False)
    headers: list[dict[str, Any]] = [
        {"typ": "JWT"},
        {"jwk": None},
        {"jwk": sender.proof_key.as_dict(private=True)},
        {"jwk": other_key},
        {"jwk": {**other_key, "x": "AA"}},
        {"jwk": {"kty": "EC"}},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
    ]
    for header in headers:
        proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", header, token=token)
        status, _ = await submit(sender, jft, composition, [f"DPoP {token}"], [proof])
        assert status == 401, header


async def test_algorithms_outside_the_security_profile_are_refused(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """A signature may be right and its algorithm not allowed."""
    sender.proof_key = ECKey.generate_key("secp256k1")
    token = bound_token(sender, helseid)
    proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", {"alg": "ES256K"}, token=token)
    assert (await submit(sender, jft, composition, [f"DPoP {token}"], [proof]))[0] == 401


async def test_short_rsa_keys_are_refused(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """RFC 7518 section 3.3 demands 2048 bits."""
    with pytest.warns(UserWarning, match="2048"):
        sender.proof_key = RSAKey.generate_key(1024)
    token = bound_token(sender, helseid)
    url = f"{jft.write_url}/v1/Composition"
    proof = sender.proof("POST", url, {"alg": "RS256"}, token=token)
    assert (await submit(sender, jft, composition, [f"DPoP {token}"], [proof]))[0] == 401


async def test_proof_is_taken_once(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """A replayed proof is refused."""
    token = bound_token(sender, helseid)
    proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", token=token)
    statuses = [(await submit(sender, jft, composition, [f"DPoP {token}"], [proof]))[0] for _ in range(2)]
    assert statuses == [202, 401]


async def test_nonce_can_be_asked_for(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """RFC 9449 section 9: 401 with a nonce, then a proof that carries it passes."""
    jft.behave(Behaviour(dpop_nonce=True))
    token = bound_token(sender, helseid)
    url = f"{jft.write_url}/v1/Composition"
    headers = {"Authorization": f"DPoP {token}", "DPoP": sender.proof("POST", url, token=token)}
    async with sender.session.post(url, json=composition, headers=headers) as response:
        assert response.status == 401
        assert 'error="use_dpop_nonce"' in response.headers["WWW-Authenticate"]
        nonce = response.headers["DPoP-Nonce"]
    proof = sender.proof("POST", url, token=token, nonce=nonce)
    assert (await submit(sender, jft, composition, [f"DPoP {token}"], [proof]))[0] == 202


async def test_nonce_of_another_server_is_sent_back(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]
) -> None:
    """Nonces are per server; HelseID's does not serve here."""
    token = bound_token(sender, helseid)
    proof = sender.proof("POST", f"{jft.write_url}/v1/Composition", token=token, nonce="of-helseid")
    status, challenge = await submit(sender, jft, composition, [f"DPoP {token}"], [proof])
    assert status == 401
    assert "use_dpop_nonce" in challenge
