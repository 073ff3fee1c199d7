"""`grant: token_exchange`: each sender's token becomes one of ours, and none of ours outlives the sender's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth.helseid.access_tokens import Subject, TokenEndpoint, TokenSource
from gateway.auth.helseid.claims import Credentials
from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.config.load import load
from gateway.runtime.node import Node
from service_stubs.sender_tokens import SenderToken
from tests.gateway.auth.helseid.device import Device
from tests.gateway.world import HAVNES, VIKAN, another, message, registration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from joserfc.jwk import ECKey

    from service_stubs.helseid import HelseIdStub
    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import Logged, World

SCOPE = "nhn:jft/api"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
BODY = message("alarm-follow-up")


@pytest.fixture(autouse=True)
def _may_exchange(request: pytest.FixtureRequest, client_key: ECKey) -> None:
    """Let the gateway's client exchange tokens, where a HelseID runs for the test alone."""
    if "endpoint" in request.fixturenames:
        request.getfixturevalue("helseid").register(registration(client_key, may_exchange=True))


def subject(helseid: HelseIdStub, **wanted: Any) -> Subject:
    """Make a sender's token."""
    lifetime = wanted.get("lifetime", 600)
    token = helseid.sender_token(SenderToken(vkp_id="x", **wanted))
    return Subject(token, Credentials("bearer", token).digest, helseid.clock() + lifetime)


def exchanges(helseid: HelseIdStub) -> int:
    """Return how many tokens were exchanged."""
    return sum(one.outcome == "ok" and one.grant_type == EXCHANGE for one in helseid.log)


async def test_senders_do_not_share_a_token(tokens: TokenSource, helseid: HelseIdStub) -> None:
    """One for each sender's token and municipality, and one request for all who need it at once."""
    one, two = subject(helseid), subject(helseid)
    found = await asyncio.gather(*(tokens.token(HAVNES, SCOPE, each) for each in (one, two, one, two)))
    assert found[:2] == found[2:]
    assert found[0] != found[1]
    assert await tokens.token(VIKAN, SCOPE, one) not in found
    assert await tokens.token(HAVNES, SCOPE) not in found
    assert exchanges(helseid) == 3


@pytest.mark.fact("helseid-exchange")
async def test_token_does_not_outlive_the_senders(tokens: TokenSource, helseid: HelseIdStub, clock: Clock) -> None:
    """HelseID gave it for ten minutes, and the sender's had one left."""
    brief = subject(helseid, lifetime=60)
    first = await tokens.token(HAVNES, SCOPE, brief)
    clock.now += 59
    assert await tokens.token(HAVNES, SCOPE, brief) == first
    clock.now += 1
    with pytest.raises(HelseIdUnavailable, match="invalid_grant"):
        await tokens.token(HAVNES, SCOPE, brief)
    assert exchanges(helseid) == 1


async def test_memory_of_exchanged_tokens_is_bounded(
    endpoint: TokenEndpoint, helseid: HelseIdStub, clock: Clock
) -> None:
    """However many senders there are."""
    tokens = TokenSource(endpoint, clock, most_held=2)
    for _ in range(4):
        await tokens.token(HAVNES, SCOPE, subject(helseid))
    assert len(tokens._held) == 2


async def test_senders_tokens_take_no_room_from_the_gateways_own(
    endpoint: TokenEndpoint, helseid: HelseIdStub, clock: Clock
) -> None:
    """However many one sender brings: HelseID gives no new one to all others' messages for that."""
    tokens = TokenSource(endpoint, clock, most_held=2)
    own = await tokens.token(HAVNES, SCOPE)
    for _ in range(4):
        await tokens.token(HAVNES, SCOPE, subject(helseid))
    asked = len(helseid.log)
    assert await tokens.token(HAVNES, SCOPE) == own
    assert (len(helseid.log), len(tokens._held)) == (asked, 2)


async def test_neither_token_is_shown(tokens: TokenSource, helseid: HelseIdStub) -> None:
    """Not even where someone prints what holds them."""
    given = subject(helseid)
    await tokens.token(HAVNES, SCOPE, given)
    assert "eyJ" not in repr((given, tokens._held))


async def test_client_that_may_not_exchange_hears_of_it(
    tokens: TokenSource, helseid: HelseIdStub, client_key: ECKey, logged: Logged
) -> None:
    """The operator is told why in HelseID's words; nothing of the token is."""
    helseid.register(registration(client_key))
    with pytest.raises(HelseIdUnavailable, match="unauthorized_client"):
        await tokens.token(HAVNES, SCOPE, subject(helseid))
    assert logged.named("helseid.token.refused")[0]["description"] == "the client may not exchange tokens"
    assert "eyJ" not in logged.everything()


# Through the gateway.


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]]) -> World:
    """Start a gateway that exchanges tokens for JFT."""
    world = await start(serve=False, client={"may_exchange": True})
    world.settings["read"] += '", grant: "token_exchange'
    return world


async def serve(world: World) -> None:
    """Start the gateway of a world."""
    world.write()
    loaded = load(str(world.config))
    assert loaded.config is not None, loaded.problems
    assert loaded.table is not None
    world.gateway = Node(str(world.config), loaded.config, loaded.table)
    await world.gateway.start()


async def test_each_senders_message_goes_with_a_token_of_its_own(world: World) -> None:
    """JFT gets our token, bound to our key, made of the sender's; Bearer and DPoP alike."""
    await serve(world)
    try:
        first, device = world.token(), Device(world)
        for _ in range(2):
            assert (await world.post("bundle", another(BODY), token=first)).status == 200
            assert (await device.post([device.proof()], body=another(BODY))).status == 200
        assert exchanges(world.helseid) == 2
        assert len(world.delivered) == 4
        assert {one.orgnr_parent for one in world.delivered} == {HAVNES}
        world.assert_discreet()
    finally:
        await world.gateway.stop()


async def test_token_that_helseid_does_not_exchange_is_a_temporary_error(world: World, client_key: ECKey) -> None:
    """The sender cannot know why and can only try again: 503."""
    await serve(world)
    try:
        world.helseid.register(registration(client_key))
        world.assert_refused(await world.post("bundle", BODY), 503, "3.1")
        assert not world.jft.received
    finally:
        await world.gateway.stop()
