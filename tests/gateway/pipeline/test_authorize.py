"""Who gets in where VKP does not check; wrong tokens and proofs are in helseid/test_bad_tokens.py."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from gateway.observability import metrics
from tests.each import in_one_world
from tests.gateway.clocks import FakeClock
from tests.gateway.pipeline.record_system import search, started
from tests.gateway.world import HAVNES, NORDFJELL, VIKAN, another, message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.world import World

BODY = message("alarm-follow-up")
PREFIX = "nhn:vkp/api/user/"


# Scopes.


@pytest.mark.fact("vkp-scopes")
@in_one_world(
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


@pytest.mark.fact("vkp-scopes")
async def test_scope_for_everything_is_for_test_environments(start: Callable[..., Awaitable[World]]) -> None:
    """VKP has that scope in its test environment only."""
    world = await start(environment="production", everywhere="{vkp_id: Everywhere, municipality: havnes}")
    answer = await world.post("bundle", BODY, token=world.token(scopes=["nhn:vkp/api/*.*"]))
    world.assert_refused(answer, 403, "1.2")


@pytest.mark.fact("jft-numbers")
async def test_synthetic_number_is_refused_in_production(start: Callable[..., Awaitable[World]]) -> None:
    """Test data stays out of real records."""
    world = await start(environment="production", everywhere="{vkp_id: Everywhere, municipality: havnes}")
    world.assert_refused(await world.post("composition", message("note")), 400, "2.1")


@in_one_world("scopes", [{"a": 1}, 5, None, [1, None]])
async def test_scope_claim_of_another_form_gives_nothing(world: World, scopes: Any) -> None:
    """A claim that cannot be read grants nothing and breaks nothing."""
    answer = await world.post("bundle", BODY, token=world.token(claims={"scope": scopes}))
    world.assert_refused(answer, 403, "1.2")


PARENT = "helseid://claims/client/claims/orgnr_parent"


def of_other_organisations() -> float:
    """Return how many requests to Havnes were counted."""
    return (
        metrics.REGISTRY.get_sample_value("vkp_gateway_tokens_of_other_organisations_total", {"municipality": "havnes"})
        or 0.0
    )


@pytest.mark.fact("helseid-organisation")
@pytest.mark.parametrize(
    ("setting", "parent", "allowed", "counted"),
    [
        ("", NORDFJELL, True, 2),
        (", orgnr_claims: count", HAVNES, True, 0),
        (", orgnr_claims: count", None, True, 0),
        (", orgnr_claims: refuse", None, True, 0),
        (", orgnr_claims: refuse", HAVNES, True, 0),
        (", orgnr_claims: refuse", NORDFJELL, False, 0),
        (", orgnr_claims: off", NORDFJELL, True, 0),
    ],
)
async def test_organisation_of_a_token_is_compared_with_the_municipality(
    start: Callable[..., Awaitable[World]],
    setting: str,
    parent: str | None,
    allowed: bool,
    counted: int,
) -> None:
    """A claim that is absent says nothing; one that names somebody else is counted, refused, or not looked at."""
    world = await start(helseid=setting)
    before, token = of_other_organisations(), world.token(claims={PARENT: parent})
    for _ in range(2):
        answer = await world.post("bundle", another(BODY), token=token)
        if allowed:
            assert answer.status == 200
        else:
            world.assert_refused(answer, 403, "1.4")
    assert of_other_organisations() - before == counted


# The access register.


@pytest.mark.fact("vkp-access-register")
@in_one_world(
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


# Need: the ServiceCodes of a retrieval.

WITH_CODES = "{vkp_id: Everywhere, municipalities: all, service_codes: [RT, Ta]}"


@pytest.fixture
async def needing(start: Callable[..., Awaitable[World]]) -> AsyncIterator[tuple[World, Any]]:
    """Start a gateway whose sender has two codes, before a record system."""
    async with started(start, everywhere=WITH_CODES) as found:
        yield found


@pytest.mark.fact("vkp-service-codes")
@in_one_world(
    ("codes", "allowed"),
    [
        (["RT"], True),
        (["rt"], True),
        ([" rt , TA "], True),
        (["rt", "ta"], True),
        (["rt,,"], True),
        (["md"], False),
        (["rt,md"], False),
        (["rt", "md"], False),
        (["rt ta"], False),
        (["*"], False),
        (["RT\u00c6"], False),
        ([""], False),
        ([" , "], False),
        ([], False),
    ],
    ids=str,
)
async def test_retrieval_must_name_a_need_that_the_sender_has(
    needing: tuple[World, Any], codes: list[str], *, allowed: bool
) -> None:
    """400 with code 1.3, and nothing is fetched."""
    world, epj = needing
    world.forget()
    epj.received.clear()
    answer = await search(world, "patient", headers=tuple(("ServiceCodes", each) for each in codes))
    assert (answer.status, bool(list(epj.received))) == ((200, True) if allowed else (400, False))
    if not allowed:
        world.assert_refused(answer, 400, "1.3")


async def test_need_is_no_matter_of_journalings(start: Callable[..., Awaitable[World]]) -> None:
    """Senders write ServiceCodes on retrievals only."""
    world = await start(everywhere=WITH_CODES)
    assert (await world.post("bundle", another(BODY))).status == 200
    assert (await world.post("bundle", another(BODY), headers=(("ServiceCodes", "md"),))).status == 200


async def test_sender_without_service_codes_is_held_to_those_that_are_known(
    start: Callable[..., Awaitable[World]],
) -> None:
    """The register does not say yet what it may ask for."""
    async with started(start, nordfjell=", partner_profile: {KOMM: ['%.9']}") as (world, _):
        assert (await search(world, "patient", headers=(("ServiceCodes", "dho,komm"),))).status == 200
        answer = await search(world, "patient", headers=(("ServiceCodes", "dho,nobody"),))
        issue = world.assert_refused(answer, 400, "1.3")
        assert issue["diagnostics"].startswith("ServiceCodes names a service that nobody knows")


@pytest.mark.parametrize("legacy", ["read", "verify"])
async def test_need_is_vkps_own_matter_where_vkp_answers(start: Callable[..., Awaitable[World]], legacy: str) -> None:
    """In mode legacy what VKP would let pass, passes."""
    world = await start(everywhere=WITH_CODES, top=f"admit: {{legacy: {legacy}}}")
    headers = (("ServiceCodes", "md"),)
    await world.post(f"/epj/r4/{NORDFJELL}/patient/_search", b"identifier=12834010060", headers=headers)
    assert len(list(world.vkp.received)) == 1


async def test_subscription_key_is_not_looked_at(world: World) -> None:
    """Older portals of VKP asked for one: as a field or in the query, whatever it is."""
    headers = (("Ocp-Apim-Subscription-Key", "x"), ("ocp-apim-subscription-key", "y"))
    assert (await world.post("bundle?subscription-key=z", BODY, headers=headers)).status == 200


# Tokens, on every lane.


@pytest.fixture
async def verifying(start: Callable[..., Awaitable[World]]) -> World:
    """Start a gateway that holds every token to all that holds for any."""
    return await start(top="admit: {legacy: verify}", helseid=", bearer_with_cnf: refuse")


@pytest.mark.fact("vkp-private-key-jwt")
@pytest.mark.parametrize(
    "wanted",
    [
        {"bound_to": "of-another-key"},
        {"claims": {"client_amr": "client_secret_basic"}},
        {"claims": {"client_amr": None}},
    ],
    ids=["bound and sent as Bearer", "client secret", "no client_amr"],
)
@in_one_world(
    ("method", "target"),
    [
        ("POST", f"/epj/r4/{NORDFJELL}/composition"),
        ("POST", f"/epj/r4/{HAVNES}/composition"),
        ("POST", f"/epj/r4/{NORDFJELL}/patient/_search"),
        ("GET", f"/epj/r4/{NORDFJELL}/composition"),
        ("POST", "/ws/anything"),
        ("POST", f"/epj/other/{NORDFJELL}"),
    ],
)
async def test_a_token_is_as_good_on_one_lane_as_on_another(
    verifying: World, method: str, target: str, wanted: dict[str, Any]
) -> None:
    """What is refused where a surface knows the address is refused where none does."""
    answer = await verifying.post(target, message("note"), method=method, token=verifying.token(**wanted))
    verifying.assert_refused(answer, 401, "1.5")
    assert not verifying.vkp.received


# Rates.


async def test_sender_over_its_rate_waits(start: Callable[..., Awaitable[World]]) -> None:
    """429 with Retry-After when the bucket is empty; another sender is not affected."""
    clock = FakeClock(time.time())
    world = await start(clock=clock)
    world.helseid.clock = world.jft.clock = clock
    token = world.token(vkp_id="Slow_Havnes")
    for _ in range(2):
        assert (await world.post("bundle", another(BODY), token=token)).status == 200
    world.jft.received.clear()
    world.logged.forget()
    answer = await world.post("bundle", another(BODY), token=token)
    world.assert_refused(answer, 429, "3.1")
    assert answer.values("Retry-After") == ["30"]
    assert (await world.post("bundle", another(BODY))).status == 200
    clock.now += 30.0
    assert (await world.post("bundle", another(BODY), token=token)).status == 200


async def test_rate_survives_a_reload(start: Callable[..., Awaitable[World]]) -> None:
    """A new configuration does not hand out full buckets."""
    world = await start(clock=FakeClock(time.time()))
    token = world.token(vkp_id="Slow_Havnes")
    for _ in range(2):
        assert (await world.post("bundle", another(BODY), token=token)).status == 200
    await world.gateway.reload()
    assert (await world.post("bundle", another(BODY), token=token)).status == 429


async def test_refused_request_does_not_use_up_the_rate(world: World) -> None:
    """Whoever writes another's vkp-id into a bad token takes nothing from that sender."""
    for _ in range(5):
        await world.post("bundle", another(BODY), token=world.token(vkp_id="Slow_Havnes", signing="other-key"))
    assert (await world.post("bundle", another(BODY), token=world.token(vkp_id="Slow_Havnes"))).status == 200


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
    assert (await world.post("bundle", another(BODY))).status == 200
    second = world.token(vkp_id="Dignio_Havnes")
    await world.helseid.stop()
    assert (await world.post("bundle", another(BODY))).status == 200
    assert (await world.post("bundle", another(BODY), token=second)).status == 200
    assert len(world.delivered) == 3


async def test_municipality_without_our_token_waits_for_helseid(world: World) -> None:
    """Keys alone are not enough to deliver for a municipality that we hold no token for."""
    assert (await world.post("bundle", another(BODY))).status == 200
    await world.helseid.stop()
    world.jft.received.clear()
    world.logged.forget()
    world.assert_refused(await world.post(f"/epj/r4/{VIKAN}/bundle", another(BODY)), 503, "3.1")


async def test_first_messages_share_the_first_fetch_of_keys(world: World) -> None:
    """None of the messages that come while the keys are on their way is turned away."""
    answers = await asyncio.gather(*(world.post("bundle", another(BODY)) for _ in range(12)))
    assert [answer.status for answer in answers] == [200] * 12
    assert [one.outcome for one in world.helseid.log].count("ok") == 1


async def test_rotated_key_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of a new key are good without a restart, also when many come at once."""
    assert (await world.post("bundle", another(BODY))).status == 200
    world.helseid.rotate_key(keep_old=True)
    ((issuer, _),) = world.gateway._built_by().upstreams._used.trust.all
    monkeypatch.setattr(issuer, "_pause", 0.0)
    answers = await asyncio.gather(*(world.post("bundle", another(BODY)) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
