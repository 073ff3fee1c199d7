"""A sender that leaves stops nothing: what was begun comes to a definite end, and a copy is answered as the first was."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gateway.observability.metrics import UNCLEAR
from gateway.proxy.bounds import Bounds
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    assert_success,
    counted,
    delivery_of,
    jft_of,
    rows,
    until_states,
)
from tests.gateway.world import HAVNES
from tests.waiting import HANGS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ledger.records import Arrival
    from tests.gateway.world import World

REFUSE = "on_outage: refuse"
WAYS = ["hangs up", "is given up"]


@pytest.fixture
def bounds() -> Bounds:
    """Have a stop wait for no answers: requests that are given up by hand have none."""
    return Bounds(grace=0.01)


async def leave(world: World, body: bytes, way: str, begun: Callable[[], bool]) -> None:
    """Send a message, wait until something has begun, and leave; or have the gateway give the request up."""
    _, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(world.request(f"/epj/r4/{HAVNES}/bundle", body))
    await until(begun)
    writer.close()
    await writer.wait_closed()
    if way == "is given up":
        handling = list(world.gateway._server._tasks)
        for task in handling:
            task.cancel()
        await asyncio.gather(*handling, return_exceptions=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("policies", [REFUSE, HOLD])
async def test_delivery_goes_on_and_is_written_when_its_sender_leaves(
    begin: Callable[..., Awaitable[World]], policies: str, way: str
) -> None:
    """JFT has it, and nobody waits for the answer: it is recorded, and the copy gets the first one's receipt."""
    world = await begin(policies)
    jft, body = jft_of(world), alarm()
    jft.open.clear()
    await leave(world, body, way, lambda: jft.asked == 1)
    jft.open.set()
    (row,) = await until_states(world, "delivered")
    assert row.event_id == world.delivered[0].id
    copies = [await world.post("bundle", body) for _ in range(2)]
    assert_success(*copies)
    assert copies[0].body == copies[1].body
    assert row.reference in copies[0].json["issue"][0]["diagnostics"]
    assert jft.asked == 1


@pytest.mark.parametrize(
    ("policies", "status", "state"),
    [
        (REFUSE, 500, "refused"),
        (HOLD, 500, "held"),
        (REFUSE, "202-then-drop", "refused"),
        (HOLD, "202-then-drop", "quarantined"),
        (f"{HOLD}, unclear: resend", "202-then-drop", "held"),
    ],
)
async def test_failure_is_written_when_its_sender_has_left(
    begin: Callable[..., Awaitable[World]], policies: str, status: Any, state: str
) -> None:
    """As its route says; nothing is left with nobody, to be unclear later."""
    world = await begin(policies)
    unclear = counted(UNCLEAR, municipality="havnes")
    jft = jft_of(world)
    jft.open.clear()
    jft.behave(Behaviour(status=status))
    await leave(world, alarm(), "is given up", lambda: jft.asked == 1)
    jft.open.set()
    (row,) = await until_states(world, state)
    assert row.told is (state != "refused")
    assert (row.payload is not None) is (state != "refused")
    assert counted(UNCLEAR, municipality="havnes") == unclear + (state == "quarantined")


async def test_message_is_delivered_once_when_its_sender_leaves_before_it_is_written(
    begin: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender repeats it at once: both wait for the disk, one is delivered, and the copy gets its receipt."""
    world = await begin()
    ledger, gate, body, arrived = delivery_of(world).ledger, threading.Event(), alarm(), []
    arrive = ledger.arrive

    async def slow(arrival: Arrival, *more: Any, **others: Any) -> Any:
        arrived.append(arrival.reference)
        ledger.store.submit(lambda _: gate.wait(HANGS))
        return await arrive(arrival, *more, **others)

    monkeypatch.setattr(ledger, "arrive", slow)
    await leave(world, body, "is given up", lambda: len(arrived) == 1)
    copying = asyncio.get_running_loop().create_task(world.post("bundle", body))
    await until(lambda: len(arrived) == 2)
    gate.set()
    copy = await copying
    assert_success(copy)
    assert arrived[0] in copy.json["issue"][0]["diagnostics"]
    (row,) = await rows(world)
    assert (row.state, row.reference, jft_of(world).asked) == ("delivered", arrived[0], 1)
