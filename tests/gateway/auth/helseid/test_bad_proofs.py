"""Proofs with one thing wrong, beside the right ones they are nearly alike: none of the wrong ones gets in."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from gateway.auth.helseid.dpop_verifier import DpopVerifier
from gateway.observability.metrics import BOUND_AS_BEARER
from gateway.runtime import build
from tests.gateway.auth.helseid.device import ALGORITHMS, BODY, Device, compact, encoded, far, refused
from tests.gateway.world import another

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

OTHER = ECKey.generate_key("P-256")
CHALLENGE = f'DPoP error="invalid_dpop_proof", {ALGORITHMS}'


def changed(header: dict[str, Any] | None = None, **claims: Any) -> Callable[[Device], list[str]]:
    """Make a row: a proof with another header or other claims, signed rightly."""
    return lambda device: [device.proof(device.header(**(header or {})), device.claims(**claims))]


def with_jwk(**members: Any) -> Callable[[Device], list[str]]:
    """Make a row: a proof with other members in its key."""
    return lambda device: [device.proof(device.header(jwk={**device.key.as_dict(private=False), **members}))]


def other_key(device: Device) -> list[str]:
    """Make a proof with a key that the token is not for."""
    return [device.proof(device.header(jwk=OTHER.as_dict(private=False)), key=OTHER)]


def tampered(device: Device) -> list[str]:
    """Make a proof and change its claims afterwards."""
    header, _, signature = device.proof().split(".")
    return [f"{header}.{encoded(json.dumps(device.claims()).encode())}.{signature}"]


def twice(name: str) -> Callable[[Device], list[str]]:
    """Make a row: a claim that is written twice."""

    def row(device: Device) -> list[str]:
        claims = json.dumps(device.claims())
        return [device.proof(claims=f'{{"{name}":"x",{claims[1:]}'.encode())]

    return row


BAD_PROOFS: dict[str, Callable[[Device], list[str]]] = {
    "no field": lambda _: [],
    "two fields": lambda device: [device.proof(), device.proof()],
    "two in one field": lambda device: [f"{device.proof()}, {device.proof()}"],
    "an empty field": lambda _: [""],
    "no token": lambda _: ["proof"],
    "the access token": lambda device: [device.token],
    "oversized": lambda device: [device.proof(device.header(note="x" * 9_000))],
    "typ JWT": changed({"typ": "JWT"}),
    "typ of an access token": changed({"typ": "at+jwt"}),
    "typ in capitals": changed({"typ": "DPOP+JWT"}),
    "no typ": changed({"typ": None}),
    "alg none": lambda device: [compact(device.header(alg="none"), device.claims(), lambda _: b"")],
    "HS256 with the public key": lambda device: [
        device.proof(device.header(alg="HS256"), key=device.key.as_pem(private=False))
    ],
    "alg of another curve": changed({"alg": "ES384"}),
    "alg of another kind": changed({"alg": "RS256"}),
    "no alg": changed({"alg": None}),
    "unknown crit": changed({"crit": ["new"], "new": 1}),
    "no jwk": changed({"jwk": None}),
    "jwk a text": changed({"jwk": "key"}),
    "jwk empty": changed({"jwk": {}}),
    "jwk by reference only": changed({"jwk": None, "kid": "x", "jku": "https://evil.example/jwks"}),
    "private key in jwk": lambda device: [device.proof(device.header(jwk=device.key.as_dict(private=True)))],
    "part of an RSA key in jwk": with_jwk(dp="AQ"),
    "secret in jwk": with_jwk(k="c2VjcmV0"),
    "jwk of a secret": changed({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
    "jwk of another kind": with_jwk(kty="OKP"),
    "jwk kty a list": with_jwk(kty=["EC"]),
    "jwk of another curve": with_jwk(crv="secp256k1"),
    "jwk beside the curve": with_jwk(x="AAAA"),
    "jwk x a number": with_jwk(x=5),
    "jwk x without end": with_jwk(x="A" * 2_000),
    "made with another key": other_key,
    "signed by another key": lambda device: [device.proof(key=OTHER)],
    "tampered claims": tampered,
    "signature cut": lambda device: [device.proof()[:-8]],
    "no jti": changed(jti=None),
    "empty jti": changed(jti=""),
    "jti a number": changed(jti=5),
    "jti without end": changed(jti="x" * 300),
    "no htm": changed(htm=None),
    "another method": changed(htm="GET"),
    "method in small letters": changed(htm="post"),
    "no htu": changed(htu=None),
    "htu a list": changed(htu=["a"]),
    "another host": lambda device: [device.proof(claims=device.claims(htu=f"http://evil.example{device.target}"))],
    "another port": lambda device: [device.proof(claims=device.claims(htu=f"http://127.0.0.1:1{device.target}"))],
    "another scheme": lambda device: [
        device.proof(claims=device.claims(htu=device.url.replace("http", "https") + device.target))
    ],
    "another path": lambda device: [device.proof(claims=device.claims(htu=f"{device.url}/epj/r4/{'9' * 9}/bundle"))],
    "path in capitals": lambda device: [device.proof(claims=device.claims(htu=device.url + device.target.upper()))],
    "path alone": lambda device: [device.proof(claims=device.claims(htu=device.target))],
    "a query in htu": lambda device: [device.proof(claims=device.claims(htu=f"{device.url}{device.target}?a=b"))],
    "an empty query in htu": lambda device: [device.proof(claims=device.claims(htu=f"{device.url}{device.target}?"))],
    "a fragment in htu": lambda device: [device.proof(claims=device.claims(htu=f"{device.url}{device.target}#a"))],
    "a user in htu": lambda device: [
        device.proof(claims=device.claims(htu=device.url.replace("//", "//a@") + device.target))
    ],
    "blanks around htu": lambda device: [device.proof(claims=device.claims(htu=f" {device.url}{device.target}"))],
    "a slash more": lambda device: [device.proof(claims=device.claims(htu=f"{device.url}{device.target}/"))],
    "no ath": changed(ath=None),
    "ath of another token": changed(ath=encoded(b"x" * 32)),
    "ath padded": lambda device: [device.proof(claims=device.claims(ath=device.claims()["ath"] + "="))],
    "no iat": changed(iat=None),
    "iat as text": changed(iat="now"),
    "iat too old": lambda device: [device.proof(claims=device.claims(iat=far(-20)))],
    "iat in the future": lambda device: [device.proof(claims=device.claims(iat=far(20)))],
    "iat without end": changed(iat=10**400),
    "iat true": changed(iat=True),
    "claims that are a list": lambda device: [device.proof(claims=[1])],
    "claims with no number": lambda device: [device.proof(claims=device.claims(note=float("nan")))],
    "a claim twice": twice("htm"),
    "jti twice": twice("jti"),
}


async def test_bad_proofs_are_refused(world: World, subtests: pytest.Subtests) -> None:
    """401 with code 1.5 and DPoP's own challenge (RFC 9449 section 7.1)."""
    for name, row in BAD_PROOFS.items():
        with subtests.test(name):
            world.forget()
            device = Device(world)
            answer = await device.post(row(device), body=BODY)
            refused(world, answer, CHALLENGE)
            assert (await device.post([device.proof()], body=BODY)).status == 200


UNBOUND: dict[str, dict[str, Any]] = {
    "no cnf": {"bound_to": None},
    "cnf a text": {"claims": {"cnf": "x"}},
    "cnf of another kind": {"claims": {"cnf": {"x5t#S256": "x"}}},
    "empty jkt": {"claims": {"cnf": {"jkt": ""}}},
    "jkt a list": {"claims": {"cnf": {"jkt": ["x"]}}},
}


async def test_token_that_is_not_bound_is_no_dpop_token(world: World, subtests: pytest.Subtests) -> None:
    """Whoever stole a Bearer token could make a proof with any key."""
    for name, wanted in UNBOUND.items():
        with subtests.test(name):
            device = Device(world)
            device.token = device.bound(**wanted)
            answer = await device.post([device.proof()], body=BODY)
            refused(world, answer, f'DPoP error="invalid_token", {ALGORITHMS}')


async def test_proof_is_good_once(world: World) -> None:
    """The same proof a second time is somebody else's (RFC 9449 section 11.1)."""
    device = Device(world)
    proof = device.proof()
    assert (await device.post([proof], body=BODY)).status == 200
    world.jft.received.clear()
    world.logged.forget()
    refused(world, await device.post([proof], body=BODY), CHALLENGE)
    again = device.proof(claims=device.claims(jti=json.loads(_payload(proof))["jti"]))
    refused(world, await device.post([again], body=BODY), CHALLENGE)


async def test_proof_is_good_once_also_among_requests_at_once(world: World) -> None:
    """Of many that come together, one is the first."""
    device = Device(world)
    proof = device.proof()
    answers = await asyncio.gather(*(device.post([proof], body=BODY) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7
    assert len(world.delivered) == 1


async def test_only_bound_tokens_that_come_as_bearer_are_counted(world: World) -> None:
    """What an operator must know before `bearer_with_cnf: refuse` is who still sends them so."""

    def counted() -> float:
        return float(next(iter(BOUND_AS_BEARER.collect())).samples[0].value)

    before, device = counted(), Device(world)
    assert (await device.post([device.proof()], body=BODY)).status == 200
    assert (await world.post("bundle", BODY)).status == 200
    assert counted() == before
    assert (await device.post([], body=BODY, scheme="Bearer")).status == 200
    assert (await device.post(["any"], body=BODY, scheme="Bearer")).status == 200
    assert counted() == before + 2


async def test_full_memory_of_proofs_is_a_temporary_error(
    start: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After, for requests with a proof alone."""
    monkeypatch.setattr(build, "DpopVerifier", partial(DpopVerifier, most_remembered=0))
    world = await start()
    device = Device(world)
    answer = await device.post([device.proof()], body=BODY)
    world.assert_refused(answer, 503, "3.1")
    assert answer.values("Retry-After") == ["5"]
    assert (await world.post("bundle", BODY)).status == 200


async def test_proof_of_one_token_is_none_for_another(world: World) -> None:
    """A proof goes with one token, also when both are bound to the same key."""
    device = Device(world)
    proof = device.proof()
    device.token = device.bound()
    refused(world, await device.post([proof], body=BODY), CHALLENGE)


def _payload(token: str) -> bytes:
    return base64.urlsafe_b64decode(token.split(".")[1] + "==")


GOOD_PROOFS: dict[str, Callable[[Device], list[str]]] = {
    "as it comes": lambda device: [device.proof()],
    "a few seconds old": lambda device: [device.proof(claims=device.claims(iat=far(-9)))],
    "from a clock that is ahead": lambda device: [device.proof(claims=device.claims(iat=far(3)))],
    "iat with a fraction": lambda device: [device.proof(claims=device.claims(iat=time.time()))],
    "a nonce that nobody asked for": changed(nonce="n"),
    "claims of its own": changed(exp=far(5), note={"a": [1]}),
    "unknown header": changed({"kid": "mine", "new": 1}),
    "more members in jwk": with_jwk(use="sig", alg="ES256", kid="mine", key_ops=["verify"]),
    "scheme in capitals": lambda device: [
        device.proof(claims=device.claims(htu=device.url.replace("http", "HTTP") + device.target))
    ],
    "an escape that need not be": lambda device: [
        device.proof(claims=device.claims(htu=device.url + device.target.replace("bundle", "%62undl%65")))
    ],
    "a dot in the path": lambda device: [
        device.proof(claims=device.claims(htu=device.url + device.target.replace("/bundle", "/./x/../bundle")))
    ],
}


async def test_good_proofs_are_accepted(world: World, subtests: pytest.Subtests) -> None:
    """What RFC 9449 leaves to a sender is no reason to refuse."""
    for name, row in GOOD_PROOFS.items():
        with subtests.test(name):
            world.forget()
            device = Device(world)
            assert (await device.post(row(device), body=another(BODY))).status == 200
            assert len(world.delivered) == 1


CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


async def test_every_algorithm_of_helseid_is_taken(
    world: World, key_pool: list[RSAKey], subtests: pytest.Subtests
) -> None:
    """Those that HelseID lists, each with its key."""
    for algorithm in (*CURVES, *(f"{kind}{bits}" for kind in ("RS", "PS") for bits in (256, 384, 512))):
        with subtests.test(algorithm):
            key = ECKey.generate_key(CURVES[algorithm]) if algorithm in CURVES else key_pool[1]
            device = Device(world, key=key, algorithm=algorithm)
            assert (await device.post([device.proof()], body=BODY)).status == 200


async def test_large_rsa_key_is_taken_and_a_small_one_refused(world: World) -> None:
    """HelseID's own generator makes 4096 bits; 1024 are too few."""
    large = Device(world, key=RSAKey.generate_key(4096), algorithm="PS256")
    assert (await large.post([large.proof()], body=BODY)).status == 200
    world.jft.received.clear()
    world.logged.forget()
    with pytest.warns(SecurityWarning):
        small = Device(world, key=RSAKey.generate_key(1024), algorithm="PS256")
    refused(world, await small.post([small.proof()], body=BODY), CHALLENGE)


async def test_query_of_the_request_is_no_part_of_htu(world: World) -> None:
    """`htu` is the address without query (RFC 9449 section 4.2)."""
    device = Device(world)
    device.target += "?_format=json"
    assert (await device.post([device.proof()], body=BODY)).status == 200


@pytest.mark.parametrize(
    ("public", "said", "good"),
    [
        ("https://api.vkp.example", "https://api.vkp.example", True),
        ("https://api.vkp.example/", "https://API.vkp.example:443", True),
        ("https://api.vkp.example:8443/vkp", "https://api.vkp.example:8443/vkp", True),
        ("https://api.vkp.example", "http://api.vkp.example", False),
        ("https://api.vkp.example", "https://other.vkp.example", False),
        ("https://api.vkp.example", "https://api.vkp.example:8443", False),
    ],
)
async def test_proof_is_for_the_address_that_senders_know(
    start: Callable[..., Awaitable[World]], public: str, said: str, *, good: bool
) -> None:
    """Behind a terminator the request's own address says nothing: `public_url` does, whatever Host is."""
    world = await start(top=f"public_url: {public}")
    device = Device(world, url=said)
    answer = await device.post([device.proof()], body=BODY)
    if good:
        assert answer.status == 200
    else:
        refused(world, answer, CHALLENGE)


async def test_dpop_is_told_of_a_missing_scope_in_its_own_scheme(world: World) -> None:
    """403 as with Bearer, and the challenge names the scheme that was used."""
    device = Device(world)
    device.token = device.bound(scopes=[])
    answer = await device.post([device.proof()], body=BODY)
    world.assert_refused(answer, 403, "1.2")
    assert answer.values("WWW-Authenticate") == [f'DPoP error="insufficient_scope", {ALGORITHMS}']


async def test_bound_token_as_bearer_is_accepted_or_refused(start: Callable[..., Awaitable[World]]) -> None:
    """`bearer_with_cnf: refuse` turns away a bound token without a proof, and still takes one with its proof."""
    world = await start(helseid=", bearer_with_cnf: refuse")
    device = Device(world)
    answer = await device.post([], body=BODY, scheme="Bearer")
    refused(world, answer, 'Bearer error="invalid_token"')
    refused(world, await device.post([device.proof()], body=BODY, scheme="Bearer"), 'Bearer error="invalid_token"')
    assert (await device.post([device.proof()], body=BODY)).status == 200
