"""What a process says of itself and of what it depends on, for the page *Helse* and for the other nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

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
    assert "upstream-away" in found["trouble"]


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
