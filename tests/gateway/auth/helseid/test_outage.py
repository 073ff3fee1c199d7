"""HelseID away for a while, and its keys and ours changed: traffic goes on as long as it can, and by itself again."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import pytest
from joserfc.jwk import ECKey

from service_stubs.clients import Client
from tests.gateway.auth.helseid.conftest import Clock
from tests.gateway.auth.helseid.device import Device
from tests.gateway.world import VIKAN, another, message, registration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

BODY = message("alarm-follow-up")


@pytest.fixture
async def frozen(start: Callable[..., Awaitable[World]]) -> tuple[World, Clock]:
    """Start a gateway and doubles that all look at the same clock, which stands still.

    Nothing is followed: a poll that is under way when the clock is moved has an old proof, and loses the token.
    """
    clock = Clock()
    world = await start(lifetime=300, clock=clock, jft=", follow: {first: 10d, longest: 10d}")
    world.helseid.clock = world.jft.clock = clock
    return world, clock


async def fetched(world: World) -> None:
    """Wait for what is fetched beside messages."""
    parts = world.gateway._built_by().upstreams._used
    for own in parts.tokens.all:
        await asyncio.gather(*own._fetching.values(), return_exceptions=True)
    ((issuer, _),) = parts.trust.all
    renewal = issuer._renewal
    if renewal is not None:
        await renewal


async def test_why_helseid_has_no_keys_is_told(start: Callable[..., Awaitable[World]]) -> None:
    """Whoever reads the log looks at the network, and not at the configuration."""
    world = await start(serve=False)
    token = world.token()
    await world.helseid.stop()
    await world.serve()
    try:
        assert (await world.post("bundle", BODY, token=token)).status == 503
    finally:
        await world.stop()
    told = world.logged.named("helseid.keys.unavailable")[0]
    assert (told["reason"], told["keeps"]) == ("no connection: ConnectionRefusedError", False)


async def test_helseid_is_away_for_ten_minutes(frozen: tuple[World, Clock]) -> None:
    """Tokens at hand serve until they expire; then errors are temporary ones; and then all is well by itself."""
    world, clock = frozen
    warm, fresh = world.token(lifetime=900), world.token(vkp_id="Dignio_Havnes", lifetime=900)
    assert (await world.post("bundle", another(BODY), token=warm)).status == 200
    await world.helseid.stop()
    statuses = []
    for _ in range(20):
        clock.now += 30
        statuses.append((await world.post("bundle", another(BODY), token=warm)).status)
        await fetched(world)
    assert statuses == [200] * 9 + [503] * 11
    assert (await world.post("bundle", another(BODY), token=fresh)).status == 503
    unavailable = [one for one in world.logged.named("message") if one["outcome"] == "unavailable"]
    assert {one["diagnostics"].partition(":")[0] for one in unavailable} == {"no token from HelseID"}
    assert world.logged.named("helseid.token.unavailable")
    await world.helseid.start()
    for token in (warm, fresh):
        assert (await world.post("bundle", another(BODY), token=token)).status == 200
    clock.now += 330
    assert (await world.post("bundle", another(BODY), token=warm)).status == 401
    assert (await world.post("bundle", another(BODY), token=world.token())).status == 200
    world.assert_discreet()


async def test_senders_are_known_for_a_day_without_helseid(frozen: tuple[World, Clock]) -> None:
    """Keys once fetched are good for a day after they would have been fetched anew, and not for ever."""
    world, clock = frozen
    token, bound = world.token(lifetime=200_000), Device(world, clock=clock)
    bound.token = bound.bound(lifetime=200_000)
    refused = f"/epj/r4/{VIKAN}/composition"  # by what it says, once its sender is known
    assert (await world.post(refused, b"{}", token=token)).status == 400
    await world.helseid.stop()
    bound.target = refused
    clock.now += 89_999
    assert (await world.post(refused, b"{}", token=token)).status == 400
    assert (await bound.post([bound.proof()], body=b"{}")).status == 400
    await fetched(world)
    clock.now += 301
    assert (await world.post(refused, b"{}", token=token)).status == 503
    assert (await bound.post([bound.proof()], body=b"{}")).status == 503
    await world.helseid.start()
    clock.now += 1
    assert (await world.post(refused, b"{}", token=token)).status == 400


async def test_token_of_a_key_that_cannot_be_asked_for_is_no_wrong_token(frozen: tuple[World, Clock]) -> None:
    """While HelseID is away a new key may well be its own: the sender is told to try again, not that its token is bad."""
    world, clock = frozen
    assert (await world.post("bundle", another(BODY), token=world.token())).status == 200
    world.helseid.rotate_key(keep_old=True)
    token = world.token()
    await world.helseid.stop()
    clock.now += 11
    assert (await world.post("bundle", another(BODY), token=token)).status == 503
    await world.helseid.start()
    clock.now += 11
    assert (await world.post("bundle", another(BODY), token=token)).status == 200


async def test_token_of_a_withdrawn_key_is_not_trusted_for_long(frozen: tuple[World, Clock]) -> None:
    """A token that was verified is checked again every five minutes, with the keys there are then."""
    world, clock = frozen
    token = world.token(lifetime=90_000)
    assert (await world.post("bundle", another(BODY), token=token)).status == 200
    world.helseid.rotate_key()
    clock.now += 299
    assert (await world.post("bundle", another(BODY), token=token)).status == 200
    clock.now += 11
    assert (await world.post("bundle", another(BODY), token=world.token())).status == 200
    assert (await world.post("bundle", another(BODY), token=token)).status == 401


async def test_our_own_key_is_changed_without_a_restart(frozen: tuple[World, Clock], client_key: ECKey) -> None:
    """Within seconds assertions are signed with what the file holds then; nonsense in it changes nothing."""
    world, clock = frozen
    assert (await world.post("bundle", another(BODY), token=world.token())).status == 200
    old, new = registration(client_key), ECKey.generate_key("P-384", {"kid": "new-key"})
    both = {"keys": [*old.jwks["keys"], new.as_dict(private=False)]}
    world.helseid.register(_with(old, both))
    write(world, "nonsense")
    await world.gateway._look()
    clock.now += 400
    assert (await world.post("bundle", another(BODY), token=world.token())).status == 200
    assert world.logged.named("helseid.client_key.unusable")
    write(world, json.dumps(new.as_dict(private=True)))
    await world.gateway._look()
    world.helseid.register(_with(old, {"keys": both["keys"][1:]}))
    clock.now += 400
    assert (await world.post("bundle", another(BODY), token=world.token())).status == 200
    assert [one["kid"] for one in world.logged.named("helseid.client_key.changed")] == ["new-key"]
    assert str(new.as_dict(private=True)["d"]) not in world.logged.everything()


async def test_reload_keeps_our_own_tokens(frozen: tuple[World, Clock]) -> None:
    """A reload while HelseID is away leaves the gateway with what it holds."""
    world, _ = frozen
    token = world.token()
    assert (await world.post("bundle", another(BODY), token=token)).status == 200
    await world.helseid.stop()
    world.write(body="50kB")
    await world.gateway.reload()
    assert (await world.post("bundle", another(BODY), token=token)).status == 200


def _with(client: Client, jwks: dict[str, list[object]]) -> Client:
    return Client(client.client_id, client.name, client.scopes, jwks)


def write(world: World, text: str) -> None:
    """Put another key in the place of ours, as a deployment does: whole, by renaming."""
    path = world.folder / "key.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)  # noqa: PTH105 - the very call that deployments make
