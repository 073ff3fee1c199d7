"""Tokens with one thing wrong, beside the right ones they are nearly alike: none of the wrong ones gets in."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth.helseid.claims import MAX_TOKEN_BYTES
from tests.gateway.auth.helseid.device import ALGORITHMS, BODY, Device, encoded, far, refused
from tests.gateway.world import another

if TYPE_CHECKING:
    from tests.gateway.world import World

VKP_ID = "nhn:vkp/client/claims/vkp-id"


class In(float):
    """A time so many seconds after the test begins."""


def now(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its times."""
    return {
        name: now(value) if isinstance(value, dict) else _time(value) if isinstance(value, In) else value
        for name, value in wanted.items()
    }


def _time(value: In) -> float:
    return time.time() + value if value % 1 else far(value)


# Tokens, presented as Bearer.

BAD_TOKENS: dict[str, dict[str, Any]] = {
    "signed by another key": {"signing": "other-key"},
    "signature cut": {"signing": "cut"},
    "alg none, no signature": {"signing": "none"},
    "alg none, right signature": {"header": {"alg": "none"}},
    "alg None in capitals": {"header": {"alg": "None"}},
    "HS256 with the public key": {"signing": "hs256"},
    "alg HS512": {"header": {"alg": "HS512"}},
    "alg EdDSA": {"header": {"alg": "EdDSA"}},
    "alg RS1": {"header": {"alg": "RS1"}},
    "alg of a curve": {"header": {"alg": "ES256"}},
    "alg that the key is not for": {"header": {"alg": "PS256"}},
    "alg another hash": {"header": {"alg": "RS512"}},
    "alg a number": {"header": {"alg": 256}},
    "alg a list": {"header": {"alg": ["RS256"]}},
    "no alg": {"header": {"alg": None}},
    "kid a number": {"header": {"kid": 1}},
    "kid a list": {"header": {"kid": ["a"]}},
    "expired": {"claims": {"exp": In(-60)}},
    "no exp": {"claims": {"exp": None}},
    "exp as text": {"claims": {"exp": "9999999999"}},
    "exp true": {"claims": {"exp": True}},
    "exp beyond all time": {"claims": {"exp": 10**18}},
    "exp before all time": {"claims": {"exp": -5}},
    "exp a list": {"claims": {"exp": [9_999_999_999]}},
    "not valid yet": {"claims": {"nbf": In(3_600)}},
    "nbf as text": {"claims": {"nbf": "1"}},
    "issued in the future": {"claims": {"iat": In(60)}},
    "iat as text": {"claims": {"iat": "now"}},
    "wrong aud": {"audience": "nhn:jft"},
    "no aud": {"claims": {"aud": None}},
    "aud as part of a text": {"audience": "nhn:vkp nhn:other"},
    "aud in other letters": {"audience": "NHN:VKP"},
    "aud with a slash": {"audience": "nhn:vkp/"},
    "aud an empty list": {"claims": {"aud": []}},
    "aud in a list": {"claims": {"aud": ["nhn:vkp", "nhn:other"]}},
    "aud an object": {"claims": {"aud": {"nhn:vkp": 1}}},
    "wrong iss": {"claims": {"iss": "https://helseid.example"}},
    "iss a list": {"claims": {"iss": ["https://helseid.example"]}},
    "no iss": {"claims": {"iss": None}},
    "typ of an id token": {"header": {"typ": "id+jwt"}},
    "no typ": {"header": {"typ": None}},
    "typ a list": {"header": {"typ": ["at+jwt"]}},
    "typ of a proof": {"header": {"typ": "dpop+jwt"}},
    "typ of an assertion": {"header": {"typ": "client-authentication+jwt"}},
    "client secret": {"claims": {"client_amr": "client_secret_basic"}},
    "no client_amr": {"claims": {"client_amr": None}},
    "unknown crit": {"header": {"crit": ["new"], "new": 1}},
    "known crit": {"header": {"crit": ["b64"], "b64": True}},
    "empty crit": {"header": {"crit": []}},
    "a claim twice": {"repeated": {VKP_ID: "Dignio_Havnes"}},
    "aud twice": {"repeated": {"aud": "nhn:vkp"}},
    "exp twice": {"repeated": {"exp": In(60)}},
    "a name twice, deep inside": {"repeated": {"exp": {}}, "claims": {"exp": None}},
}


UNKNOWN_KEYS: dict[str, dict[str, Any]] = {
    "unknown kid": {"kid": "nobody"},
    "empty kid": {"kid": ""},
    "key of its own": {"kid": "x", "jwk": {"kty": "RSA"}, "jku": "https://evil.example/jwks"},
}


@pytest.mark.parametrize("header", UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS.keys())
async def test_token_of_an_unknown_key_is_refused(world: World, header: dict[str, Any]) -> None:
    """Each by a gateway of its own, since HelseID is asked for new keys now and then only."""
    refused(world, await world.post("bundle", BODY, token=world.token(header=header)), 'Bearer error="invalid_token"')


@pytest.mark.parametrize("header", UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS.keys())
async def test_token_of_an_unknown_key_is_refused_with_a_good_proof_too(world: World, header: dict[str, Any]) -> None:
    """A proof makes no token better."""
    device = Device(world)
    device.token = device.bound(header=header)
    answer = await device.post([device.proof()], body=BODY)
    refused(world, answer, f'DPoP error="invalid_token", {ALGORITHMS}')


async def test_bad_tokens_are_refused(world: World, subtests: pytest.Subtests) -> None:
    """401 with code 1.5 and a challenge (RFC 6750 section 3)."""
    for name, wanted in BAD_TOKENS.items():
        with subtests.test(name):
            world.forget()
            answer = await world.post("bundle", BODY, token=world.token(**now(wanted)))
            refused(world, answer, 'Bearer error="invalid_token"')


async def test_bad_tokens_are_refused_with_a_good_proof_too(world: World, subtests: pytest.Subtests) -> None:
    """A proof makes no token better, and the challenge is DPoP's (RFC 9449 section 7.1)."""
    for name, wanted in BAD_TOKENS.items():
        with subtests.test(name):
            world.forget()
            device = Device(world)
            device.token = device.bound(**now(wanted))
            answer = await device.post([device.proof()], body=BODY)
            refused(world, answer, f'DPoP error="invalid_token", {ALGORITHMS}')


GOOD_TOKENS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "typ JWT": {"header": {"typ": "JWT"}},
    "typ in capitals": {"header": {"typ": "AT+JWT"}},
    "typ written out": {"header": {"typ": "application/at+jwt"}},
    "unknown header": {"header": {"x5t": "anything", "new": {"a": [1]}}},
    "no kid, and one key": {"header": {"kid": None}},
    "scopes as a text": {"claims": {"scope": "nhn:vkp/api/user/bundle.write nhn:vkp/api/user/patient.read"}},
    "no nbf, no iat": {"claims": {"nbf": None, "iat": None}},
    "times with fractions": {"claims": {"exp": In(600.5), "nbf": In(-0.5)}},
    "expired three seconds ago": {"claims": {"exp": In(-3)}},
    "valid in three seconds": {"claims": {"nbf": In(3), "iat": In(3)}},
    "blanks around the vkp-id": {"claims": {VKP_ID: " Everywhere "}},
    "a cnf of another kind": {"claims": {"cnf": {"x5t#S256": "x"}}},
    "long": {"padding": 8_000},
}


async def test_good_tokens_are_accepted(world: World, subtests: pytest.Subtests) -> None:
    """Forms that HelseID documents, and clocks that differ by a few seconds, are no reason to refuse."""
    for name, wanted in GOOD_TOKENS.items():
        with subtests.test(name):
            world.forget()
            assert (await world.post("bundle", another(BODY), token=world.token(**now(wanted)))).status == 200
            assert len(world.delivered) == 1


async def test_good_tokens_are_accepted_with_their_proofs(world: World, subtests: pytest.Subtests) -> None:
    """The same tokens, bound to a key."""
    for name, wanted in GOOD_TOKENS.items():
        if "cnf" in name:
            continue
        with subtests.test(name):
            world.forget()
            device = Device(world)
            device.token = device.bound(**now(wanted))
            assert (await device.post([device.proof()], body=another(BODY))).status == 200
            assert len(world.delivered) == 1


# Fields.

NOT_ONE_TOKEN: dict[str, list[str]] = {
    "none": [],
    "scheme alone": ["Bearer"],
    "scheme and blank": ["Bearer "],
    "token alone": ["{token}"],
    "Basic": ["Basic {token}"],
    "two fields": ["Bearer {token}", "Bearer {token}"],
    "two schemes": ["Bearer {token}", "DPoP {token}"],
    "an empty one beside": ["Bearer {token}", ""],
    "letters beyond ASCII": ["Bearer æ.ø.å"],
    "oversized": ["Bearer {token}" + "x" * MAX_TOKEN_BYTES],
}
NO_TOKEN: dict[str, list[str]] = {
    "two tokens": ["Bearer {token} x"],
    "two in one field": ["Bearer {token}, Bearer {token}"],
    "two parts": ["Bearer a.b"],
    "three empty parts": ["Bearer .."],
    "padded": ["Bearer {token}="],
    "a part more": ["Bearer {token}.x"],
    "five parts, encrypted": ["Bearer a.b.c.d.e"],
    "in quotation marks": ['Bearer "{token}"'],
    "header that is a list": [f"Bearer {encoded(b'[]')}.{encoded(b'{}')}.x"],
    "header that is deep": [f"Bearer {encoded(b'[' * 9_000)}.e30.x"],
    "header that is no text": ["Bearer " + encoded(b'{"alg":"RS256","x":"\xff"}') + ".e30.x"],
}


async def test_request_without_one_token_is_told_what_is_taken(world: World, subtests: pytest.Subtests) -> None:
    """Exactly one field is needed, and either scheme will do."""
    for name, fields in NOT_ONE_TOKEN.items():
        with subtests.test(name):
            world.forget()
            headers = tuple(("Authorization", field.format(token=world.token())) for field in fields)
            answer = await world.post("bundle", BODY, token="", headers=headers)
            refused(world, answer, "Bearer", f"DPoP {ALGORITHMS}")


async def test_what_is_no_token_is_refused(world: World, subtests: pytest.Subtests) -> None:
    """Text that only looks like a token is a wrong one."""
    for name, fields in NO_TOKEN.items():
        with subtests.test(name):
            world.forget()
            headers = tuple(("Authorization", field.replace("{token}", world.token())) for field in fields)
            answer = await world.post("bundle", BODY, token="", headers=headers)
            refused(world, answer, 'Bearer error="invalid_token"')


async def test_schemes_are_read_leniently(world: World, subtests: pytest.Subtests) -> None:
    """They are compared without regard to case (RFC 9110 section 11.1)."""
    for scheme in ("bearer", "BEARER", "Bearer ", "bEARER"):
        with subtests.test(scheme):
            headers = (("authorization", f"{scheme} {world.token()} "),)
            assert (await world.post("bundle", BODY, token="", headers=headers)).status == 200
    for scheme in ("dpop", "DPOP", "DPoP ", "dPoP"):
        with subtests.test(scheme):
            device = Device(world)
            assert (await device.post([device.proof()], body=BODY, scheme=scheme)).status == 200


async def test_changed_claim_breaks_the_signature(world: World) -> None:
    """Claims are believed only as they were signed."""
    header, claims, signature = world.token(vkp_id="Nobody").split(".")
    forged = claims.replace(claims[:8], encoded(b"{   "), 1)
    changed = json.dumps({"vkp": "Everywhere"}).encode()
    for payload in (forged, encoded(changed)):
        answer = await world.post("bundle", BODY, token=f"{header}.{payload}.{signature}")
        refused(world, answer, 'Bearer error="invalid_token"')
