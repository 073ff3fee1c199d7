"""What people set over the routes changes which table decides, and touches nothing else that is in use."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.model import Role
from gateway.pipeline import bodies
from gateway.routing.table import RouteTable
from tests.gateway.asking import ask, let_in
from tests.gateway.clocks import FakeClock
from tests.gateway.world import HAVNES, NORDFJELL, ROUTES, another, message
from translators import translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

NOTE = f"/epj/r4/{NORDFJELL}/composition"
CANARY = ROUTES + "  - {municipality: nordfjell, information: [journaling], mode: canary, share: 100%}\n"


async def test_panic_swaps_the_table_and_makes_nothing_anew(start: Start) -> None:
    """Pipeline, clients, pools and what waits for copies stay; the next message goes where the panic says."""
    world = await start(serve=False)
    let_in(world, (Role.OPERATOR,))
    await world.serve()
    try:
        assert (await world.post("composition", another(message("note")))).status == 200
        running, active = world.gateway._running, world.gateway._routes.active
        generation = active.table.generation
        made = await ask(world, "POST", "/api/v1/panics", {"reason": "Feil hos leverandør", "municipality": "havnes"})
        assert made.status == 201, made
        async with asyncio.timeout(120):
            while (await ask(world, "GET", "/api/v1/routes")).document["generation"] == generation:
                pass
        refused = await world.post(f"/epj/r4/{HAVNES}/composition", another(message("note")))
        assert refused.status == 400, "Havnes has a record system that VKP does not reach"
        assert len(world.delivered) == 1
        assert (world.gateway._running, world.gateway._routes.active) == (running, active)
        assert world.logged.named("message")[-1]["layer"] == "panic"
    finally:
        await world.stop()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count what is done for messages."""
    counts = dict.fromkeys(("decide", "information", "read"), 0)

    def counting(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def done(*given: Any, **named: Any) -> Any:
            counts[name] += 1
            return work(*given, **named)

        return done

    monkeypatch.setattr(RouteTable, "decide", counting("decide", RouteTable.decide))
    monkeypatch.setattr(bodies, "information_of", counting("information", bodies.information_of))
    readers = translate.READERS
    monkeypatch.setitem(readers, "vkp-r4", counting("read", readers["vkp-r4"]))
    return counts


@pytest.mark.parametrize(
    ("routes", "target", "done"),
    [
        (ROUTES, NOTE, {"decide": 1, "information": 0, "read": 0}),
        (ROUTES, f"/epj/r4/{HAVNES}/composition", {"decide": 1, "information": 1, "read": 1}),
        (CANARY, NOTE, {"decide": 1, "information": 1, "read": 1}),
        (CANARY.replace("100%", "0.01%"), NOTE, {"decide": 1, "information": 1, "read": 1}),
    ],
    ids=["passes", "new", "canary that takes over", "canary that leaves"],
)
async def test_each_message_is_decided_and_read_once(
    start: Start, counted: dict[str, int], routes: str, target: str, done: dict[str, int]
) -> None:
    """Whichever way it goes: one look-up in the table, one look for its information type, one reading into the inner language."""
    world = await start(routes=routes)
    for name in counted:
        counted[name] = 0
    assert (await world.post(target, another(message("note")))).status == 200
    assert counted == done


async def test_requests_alike_are_decided_once_until_the_table_changes(start: Start, counted: dict[str, int]) -> None:
    """The memo serves a second of one sender's requests, and not one of them by a table that was put aside."""
    clock = FakeClock(time.time())
    world = await start(clock=clock)
    token, body = world.token(), message("note")
    counted["decide"] = 0
    for _ in range(3):
        assert (await world.post(NOTE, body, token=token)).status == 200
    assert counted["decide"] == 1
    clock.now += 1.0
    assert (await world.post(NOTE, body, token=token)).status == 200
    assert counted["decide"] == 2
    active = world.gateway._routes.active
    active.table = active.table.with_layers(active.table.layers, active.table.generation + 1)
    assert (await world.post(NOTE, body, token=token)).status == 200
    assert world.logged.named("message")[-1]["generation"] == active.table.generation
