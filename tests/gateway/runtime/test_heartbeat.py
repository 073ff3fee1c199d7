"""What a process says of itself and of what it depends on, for the page *Helse* and for the other nodes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Grant
from gateway.config.model import Role
from gateway.ledger import nodes
from gateway.upstreams.circuit_breaker import CircuitBreaker
from tests.gateway.world import message

if TYPE_CHECKING:
    from typing import Any

    from tests.gateway.world import World


def viewer(*municipalities: str) -> Principal:
    """Return somebody who may view some municipalities, or all."""
    within = frozenset(municipalities) or None
    return Principal(LoginMethod.HELSEID, ("vera",), "s", (Grant(Role.VIEWER, within),))


async def health(world: World, *municipalities: str) -> dict[str, Any]:
    """Return what the admin port tells."""
    await world.gateway._heartbeat.beat()
    return await world.gateway._admin.health.document(viewer(*municipalities))


async def test_process_tells_how_it_and_its_upstreams_stand(world: World) -> None:
    """Upstreams with their breakers, our tokens and keys with their ages, HelseID, and the node itself."""
    await world.post("bundle", message("alarm-follow-up"))
    found = await health(world)
    upstreams = {one["name"]: one["breaker"] for one in found["upstreams"]}
    assert upstreams == {"vkp": None, "jft": "closed"}
    assert [(one["municipality"], one["client"]) for one in found["tokens"]] == [("havnes", "helseid")]
    assert all(one["age"] >= 0 and one["left"] > 0 for one in found["tokens"])
    assert {one["name"] for one in found["keys"]} >= {"payload", "lookup", "canary", "helseid"}
    assert all(one["age"] is None or one["age"] >= 0 for one in found["keys"])
    assert found["helseid"]["keys_age"] is not None
    (node,) = found["nodes"]
    assert (node["is_this"], node["is_gone"], node["ahead_of_database"]) == (True, False, 0.0)
    assert abs(node["ahead_of_helseid"]) < 2
    assert found["trouble"] == []
    assert not any("secret" in text or "eyJ" in text for text in map(str, (found["tokens"], found["keys"])))


async def test_breaker_that_is_open_is_told_with_when_it_is_tried_again(world: World) -> None:
    """And is what somebody should look at."""
    clients = world.gateway._running.clients  # type: ignore[union-attr] # it runs
    breaker = clients.parts.breakers.known("jft")
    assert isinstance(breaker, CircuitBreaker)
    breaker.hold_off(asyncio.get_running_loop().time(), 60)
    found = await health(world)
    (jft,) = [one for one in found["upstreams"] if one["name"] == "jft"]
    assert (jft["breaker"], 0 < jft["wait"] <= 60) == ("open", True)
    assert [(one["upstream"], one["kind"]) for one in found["away"]] == [("jft", "jft")]
    assert "upstream-away" in found["trouble"]
    store = world.gateway._ledger.outbox.ledger.store  # type: ignore[union-attr] # there is one
    (own,) = await store.read(nodes.seen)
    assert abs(own.beat.away[0].since - world.gateway._clock()) < 2


async def test_what_does_not_answer_another_node_is_told_while_that_node_runs(world: World) -> None:
    """Since the earliest of what the nodes say: this process may have asked nothing yet."""
    store = world.gateway._ledger.outbox.ledger.store  # type: ignore[union-attr] # there is one
    now, health_of = world.gateway._clock(), world.gateway._admin.health
    told = {"other": nodes.Away("jft", "jft", now - 90), "third": nodes.Away("jft", "jft", now - 40)}
    for name, away in told.items():
        beat = nodes.Beat(since=now, generation=1, version="other", layers=0, away=(away,))
        await store.write(partial(nodes.put, node=name, now=now, beat=beat))
    seen = await store.read(nodes.seen)
    assert health_of.away(seen) == [told["other"]]
    assert "upstream-away" in (await health(world))["trouble"]
    assert health_of.away([structs.replace(one, at=now - 61) for one in seen]) == []


async def test_helseid_that_does_not_answer_is_told_though_its_keys_are_known(world: World) -> None:
    """Its keys are good for a day, and our tokens for minutes."""
    await world.post("bundle", message("alarm-follow-up"))
    assert (await health(world))["away"] == []
    await world.helseid.stop()
    issuer = world.gateway._running.clients.parts.issuer  # type: ignore[union-attr] # it runs
    assert issuer is not None
    for _ in range(2):
        with pytest.raises(HelseIdUnavailable):
            await issuer.http.get(f"{issuer.url}/.well-known/openid-configuration")
    found = await health(world)
    assert ([one["kind"] for one in found["away"]], found["trouble"]) == (["helseid"], ["helseid-away"])
    await world.helseid.start()
    await issuer.http.get(f"{issuer.url}/.well-known/openid-configuration")
    assert (await health(world))["away"] == []


async def test_reader_of_another_municipality_sees_no_token_of_this_one(world: World) -> None:
    """What is a municipality's is for those who may view it."""
    await world.post("bundle", message("alarm-follow-up"))
    assert (await health(world, "nordfjell"))["tokens"] == []
    assert (await health(world, "havnes"))["tokens"] != []


@pytest.mark.parametrize("says_bye", [True, False])
async def test_node_that_stops_says_so_and_one_that_dies_is_gone(world: World, *, says_bye: bool) -> None:
    """One that stops is told of no more, one that died until an hour has passed."""
    store = world.gateway._ledger.outbox.ledger.store  # type: ignore[union-attr] # there is one
    now = world.gateway._clock()
    other = nodes.Beat(since=now - 500, generation=3, version="other", layers=0)
    await store.write(lambda each: nodes.put(each, "other:1:a", now - 100, other))
    if says_bye:
        await store.write(lambda each: nodes.leave(each, "other:1:a"))
    found = await health(world)
    gone = [one["name"] for one in found["nodes"] if one["is_gone"]]
    assert gone == ([] if says_bye else ["other:1:a"])
    assert ("node-gone" in found["trouble"]) == (not says_bye)
    await store.write(lambda each: nodes.put(each, "third", now + 4000, other))
    assert {one.name for one in await store.read(nodes.seen)} == {"third"}


async def test_nodes_that_run_something_else_are_told(world: World) -> None:
    """Another file, or others rules over it, or a clock that is wrong."""
    store = world.gateway._ledger.outbox.ledger.store  # type: ignore[union-attr] # there is one
    now = world.gateway._clock()
    other = nodes.Beat(since=now, generation=1, version="other", layers=0, ahead_of_helseid=-7.0)
    await store.write(lambda each: nodes.put(each, "other:1:a", now, other))
    assert {"nodes-differ", "clock-differs"} <= set((await health(world))["trouble"])
