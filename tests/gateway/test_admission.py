"""Who gets in where VKP does not check."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.conftest import HAVNES, NORDFJELL, VIKAN, accepted_count, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.conftest import World

BODY = message("alarm-follow-up")
PREFIX = "nhn:vkp/api/user/"


def far(seconds: float) -> int:
    """Return a time this far from now, further than the leeway."""
    return int(time.time() + seconds)


BAD_TOKENS: dict[str, dict[str, Any]] = {
    "wrong signature": {"signing": "other-key"},
    "alg none": {"signing": "none"},
    "HS256 with the public key": {"signing": "hs256"},
    "expired": {"claims": {"exp": far(-60)}},
    "no exp": {"claims": {"exp": None}},
    "exp as text": {"claims": {"exp": "9999999999"}},
    "exp true": {"claims": {"exp": True}},
    "not valid yet": {"claims": {"nbf": far(3_600)}},
    "nbf as text": {"claims": {"nbf": "1"}},
    "wrong aud": {"audience": "nhn:jft"},
    "no aud": {"claims": {"aud": None}},
    "aud as part of a text": {"audience": "nhn:vkp nhn:other"},
    "wrong iss": {"claims": {"iss": "https://helseid.example"}},
    "no iss": {"claims": {"iss": None}},
    "typ of an id token": {"header": {"typ": "id+jwt"}},
    "no typ": {"header": {"typ": None}},
    "typ of a proof": {"header": {"typ": "dpop+jwt"}},
    "client secret": {"claims": {"client_amr": "client_secret_basic"}},
    "no client_amr": {"claims": {"client_amr": None}},
    "unknown kid": {"header": {"kid": "nobody"}},
    "crit": {"header": {"crit": ["new"], "new": 1}},
    "key of its own": {"header": {"kid": "x", "jwk": {"kty": "RSA"}, "jku": "https://evil.example/jwks"}},
}


@pytest.mark.parametrize("wanted", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_bad_token_is_refused(world: World, wanted: dict[str, Any]) -> None:
    """401 with code 1.5 and a challenge (RFC 6750 section 3); nothing is delivered or counted."""
    before = accepted_count()
    answer = await world.post("bundle", BODY, token=world.token(**wanted))
    world.assert_refused(answer, 401, "1.5")
    assert answer.values("WWW-Authenticate") == ['Bearer error="invalid_token"']
    assert not world.jft.received
    assert accepted_count() == before


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["Bearer"],
        ["Bearer "],
        ["{token}"],
        ["Basic {token}"],
        ["DPoP {token}"],
        ["Bearer {token} x"],
        ["Bearer {token}", "Bearer {token}"],
        ["Bearer {token}", ""],
        ["Bearer a.b"],
        ["Bearer ..", "x"],
        ["Bearer æ.ø.å"],
        ["Bearer {token}, Bearer {token}"],
    ],
    ids=str,
)
async def test_missing_or_odd_authorization_is_refused(world: World, fields: list[str]) -> None:
    """Exactly one field with one Bearer token is needed."""
    headers = tuple(("Authorization", field.format(token=world.token())) for field in fields)
    answer = await world.post("bundle", BODY, token="", headers=headers)
    world.assert_refused(answer, 401, "1.5")


async def test_changed_claim_breaks_the_signature(world: World) -> None:
    """Claims are believed only as they were signed."""
    header, claims, signature = world.token(vkp_id="Nobody").split(".")
    changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["nhn:vkp/client/claims/vkp-id"] = "Everywhere"
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    answer = await world.post("bundle", BODY, token=f"{header}.{forged}.{signature}")
    world.assert_refused(answer, 401, "1.5")


@pytest.mark.parametrize("algorithm", ["ES256", "HS512", "EdDSA", "RS1", 256, None])
async def test_algorithm_that_the_key_is_not_for_is_refused(world: World, algorithm: Any) -> None:
    """A kid that the issuer has does not make a signature of another kind good."""
    answer = await world.post("bundle", BODY, token=world.token(header={"alg": algorithm}))
    world.assert_refused(answer, 401, "1.5")


@pytest.mark.parametrize(
    "wanted",
    [
        {"audience": "nhn:vkp"},
        {"claims": {"aud": ["nhn:other", "nhn:vkp"]}},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "AT+JWT"}},
        {"header": {"x5t": "anything"}},
        {"claims": {"scope": f"{PREFIX}bundle.write {PREFIX}patient.read"}},
        {"claims": {"nbf": None}},
        {"claims": {"nhn:vkp/client/claims/vkp-id": " Everywhere "}},
    ],
    ids=str,
)
async def test_good_token_in_other_forms_is_accepted(world: World, wanted: dict[str, Any]) -> None:
    """Forms that HelseID documents, and clocks that differ by a few seconds, are no reason to refuse."""
    assert (await world.post("bundle", BODY, token=world.token(**wanted))).status == 200


async def test_clocks_may_differ_a_little(world: World) -> None:
    """A token that another clock calls expired, or not yet valid, by three seconds is good."""
    for claims in ({"exp": far(-3)}, {"nbf": far(3)}):
        assert (await world.post("bundle", BODY, token=world.token(claims=claims))).status == 200


@pytest.mark.parametrize("field", ["bearer {token}", "BEARER  {token} "])
async def test_scheme_is_read_leniently(world: World, field: str) -> None:
    """Schemes are compared without regard to case (RFC 9110 section 11.1)."""
    headers = (("Authorization", field.format(token=world.token())),)
    assert (await world.post("bundle", BODY, token="", headers=headers)).status == 200


async def test_bound_token_as_bearer_is_accepted_unless_refused(start: Callable[..., Awaitable[World]]) -> None:
    """`bearer_with_cnf: refuse` turns away a token bound to a DPoP key that came without a proof."""
    world = await start(helseid=", bearer_with_cnf: refuse")
    answer = await world.post("bundle", BODY, token=world.token(claims={"cnf": {"jkt": "x"}}))
    world.assert_refused(answer, 401, "1.5")


async def test_bound_token_as_bearer_is_accepted(world: World) -> None:
    """By default it passes, since VKP takes Bearer only and a client may have DPoP switched on."""
    assert (await world.post("bundle", BODY, token=world.token(claims={"cnf": {"jkt": "x"}}))).status == 200


# Scopes.


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ([f"{PREFIX}bundle.write"], True),
        ([f"{PREFIX}bundle.*"], True),
        (["nhn:vkp/api/*.*"], True),
        ([], False),
        ([f"{PREFIX}bundle.read"], False),
        ([f"{PREFIX}composition.write"], False),
        ([f"{PREFIX}composition.*"], False),
        ([f"{PREFIX}bundle.writer"], False),
        ([f"{PREFIX}Bundle.write"], False),
        ([f"{PREFIX}*.*"], False),
        (["nhn:vkp/api/user/"], False),
    ],
    ids=str,
)
async def test_scope_must_be_of_the_operation(world: World, scopes: list[str], *, allowed: bool) -> None:
    """The resource's own scope, or its wildcard, or in a test environment the one for everything."""
    answer = await world.post("bundle", BODY, token=world.token(scopes=scopes))
    if allowed:
        assert answer.status == 200
    else:
        world.assert_refused(answer, 403, "1.2")
        assert answer.values("WWW-Authenticate") == ['Bearer error="insufficient_scope"']


async def test_scope_for_everything_is_for_test_environments(start: Callable[..., Awaitable[World]]) -> None:
    """VKP has that scope in its test environment only."""
    world = await start(environment="production", everywhere="{vkp_id: Everywhere, municipality: havnes}")
    answer = await world.post("bundle", BODY, token=world.token(scopes=["nhn:vkp/api/*.*"]))
    world.assert_refused(answer, 403, "1.2")


async def test_synthetic_number_is_refused_in_production(start: Callable[..., Awaitable[World]]) -> None:
    """Test data stays out of real records."""
    world = await start(environment="production", everywhere="{vkp_id: Everywhere, municipality: havnes}")
    world.assert_refused(await world.post("composition", message("note")), 400, "2.1")


@pytest.mark.parametrize("scopes", [{"a": 1}, 5, None, [1, None]])
async def test_scope_claim_of_another_form_gives_nothing(world: World, scopes: Any) -> None:
    """A claim that cannot be read grants nothing and breaks nothing."""
    answer = await world.post("bundle", BODY, token=world.token(claims={"scope": scopes}))
    world.assert_refused(answer, 403, "1.2")


# The access register.


@pytest.mark.parametrize(
    ("wanted", "municipality"),
    [
        ({"vkp_id": "Nobody"}, HAVNES),
        ({"vkp_id": None}, HAVNES),
        ({"vkp_id": None, "her_id": "135233"}, HAVNES),
        ({"claims": {"nhn:vkp/client/claims/vkp-id": ["Everywhere"]}}, HAVNES),
        ({"vkp_id": "everywhere"}, HAVNES),
        ({"vkp_id": "Dignio_Havnes"}, VIKAN),
    ],
    ids=str,
)
async def test_sender_must_be_registered_for_the_municipality(
    world: World, wanted: dict[str, Any], municipality: str
) -> None:
    """403 with code 1.4: a good token alone gives no access."""
    answer = await world.post(f"/epj/r4/{municipality}/bundle", BODY, token=world.token(**wanted))
    world.assert_refused(answer, 403, "1.4")


async def test_sender_is_served_in_its_own_municipality(world: World) -> None:
    """The register's other side: what is registered works."""
    assert (await world.post("bundle", BODY, token=world.token(vkp_id="Dignio_Havnes"))).status == 200
    assert world.delivered[0].source_system == "Dignio Prevent"


async def test_unknown_municipality_is_refused_where_vkp_does_not_answer(
    start: Callable[..., Awaitable[World]],
) -> None:
    """A general route that is not legacy gives nobody access to a municipality that is not registered."""
    world = await start(routes='  - {mode: closed, text: "Stengt."}\n')
    world.assert_refused(await world.post("/epj/r4/999999999/bundle", BODY), 403, "1.4")


# Rates.


async def test_sender_over_its_rate_waits(world: World) -> None:
    """429 with Retry-After when the bucket is empty; another sender is not affected."""
    token = world.token(vkp_id="Slow_Havnes")
    for _ in range(2):
        assert (await world.post("bundle", BODY, token=token)).status == 200
    world.jft.received.clear()
    world.logged.forget()
    answer = await world.post("bundle", BODY, token=token)
    world.assert_refused(answer, 429, "3.1")
    assert 1 <= int(answer.values("Retry-After")[0]) <= 30
    assert (await world.post("bundle", BODY)).status == 200


async def test_rate_survives_a_reload(world: World) -> None:
    """A new configuration does not hand out full buckets."""
    token = world.token(vkp_id="Slow_Havnes")
    for _ in range(2):
        assert (await world.post("bundle", BODY, token=token)).status == 200
    world.gateway.reload()
    assert (await world.post("bundle", BODY, token=token)).status == 429


async def test_refused_request_does_not_use_up_the_rate(world: World) -> None:
    """Whoever writes another's vkp-id into a bad token takes nothing from that sender."""
    for _ in range(5):
        await world.post("bundle", BODY, token=world.token(vkp_id="Slow_Havnes", signing="other-key"))
    assert (await world.post("bundle", BODY, token=world.token(vkp_id="Slow_Havnes"))).status == 200


# HelseID away.


async def test_cold_gateway_without_helseid_says_try_again(start: Callable[..., Awaitable[World]]) -> None:
    """Without keys no token can be judged: 503, and good again when HelseID is."""
    world = await start()
    token = world.token()
    await world.helseid.stop()
    answer = await world.post("bundle", BODY, token=token)
    world.assert_refused(answer, 503, "3.1")
    assert int(answer.values("Retry-After")[0]) > 0
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", b"{}")).status in {400, 503}


async def test_warm_gateway_works_on_without_helseid(world: World) -> None:
    """With keys and a token of our own at hand, messages of known and new senders go on."""
    assert (await world.post("bundle", BODY)).status == 200
    second = world.token(vkp_id="Dignio_Havnes")
    await world.helseid.stop()
    assert (await world.post("bundle", BODY)).status == 200
    assert (await world.post("bundle", BODY, token=second)).status == 200
    assert len(world.delivered) == 3


async def test_municipality_without_our_token_waits_for_helseid(world: World) -> None:
    """Keys alone are not enough to deliver for a municipality that we hold no token for."""
    assert (await world.post("bundle", BODY)).status == 200
    await world.helseid.stop()
    world.jft.received.clear()
    world.logged.forget()
    world.assert_refused(await world.post(f"/epj/r4/{VIKAN}/bundle", BODY), 503, "3.1")


async def test_first_messages_share_the_first_fetch_of_keys(world: World) -> None:
    """None of the messages that come while the keys are on their way is turned away."""
    answers = await asyncio.gather(*(world.post("bundle", BODY) for _ in range(12)))
    assert [answer.status for answer in answers] == [200] * 12
    assert [one.outcome for one in world.helseid.log].count("ok") == 1


async def test_rotated_key_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of a new key are good without a restart, also when many come at once."""
    assert (await world.post("bundle", BODY)).status == 200
    world.helseid.rotate_key(keep_old=True)
    issuer = world.gateway._trusted[1]  # type: ignore[index]
    monkeypatch.setattr(issuer, "_pause", 0.0)
    answers = await asyncio.gather(*(world.post("bundle", BODY) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
