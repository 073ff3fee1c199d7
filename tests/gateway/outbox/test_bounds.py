"""A message that is never answered: each try counts, however it ends, and after twelve a person decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from gateway.ledger.records import MOST_ATTEMPTS
from gateway.ledger.tables import MESSAGE
from gateway.observability.metrics import QUARANTINED
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    alarms_of,
    assert_success,
    counted,
    delivery_of,
    jft_of,
    means_of,
    rows,
    until_states,
    until_written,
    visit,
)
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

RESEND = f"{HOLD}, unclear: resend"
LOST = Behaviour(status="202-then-drop", times=-1)
PROBES = ", breaker: {failures: 1, pause: 10ms, longest: 10ms}"
"""After the first failure every try is a probe, which blames no message."""


def failed(times: int) -> Callable[[list[Any]], bool]:
    """Return what tells whether the first message has failed so often, and is with nobody."""
    return lambda found: (found[0].attempts, found[0].state) == (times, "held")


@pytest.mark.slow
async def test_message_that_is_never_answered_is_sent_twelve_times_and_set_aside(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Also where JFT seems to be away: each try may have delivered it."""
    world = await begin(RESEND, jft=PROBES)
    before = counted(QUARANTINED, municipality="havnes")
    world.jft.behave(LOST)
    assert_success(await world.post("bundle", alarm()))
    for attempts in range(1, MOST_ATTEMPTS):
        found = await until_written(world, failed(attempts))
        clock.now = found[0].due
    (row,) = await until_states(world, "quarantined")
    assert row.reason.startswith(f"failed {MOST_ATTEMPTS} times, at last: ")
    assert (row.possible_duplicate, row.payload is None) == (True, False)
    assert counted(QUARANTINED, municipality="havnes") == before + 1
    clock.now += 3600
    assert_success(await world.post("bundle", visit()))
    await until_written(world, lambda found: found[-1].tries > 0)
    assert alarms_of(world.jft.received) == [0] * MOST_ATTEMPTS


async def test_first_try_that_is_not_answered_counts_though_it_was_a_probe(
    begin: Callable[..., Awaitable[World]],
) -> None:
    """While its sender waits as afterwards."""
    world = await begin(RESEND, jft=", breaker: {failures: 1, pause: 1h, longest: 1h}")
    world.jft.behave(Behaviour(status=500))
    assert_success(await world.post("bundle", visit()))
    means_of(world).service.breaker._opens_until = asyncio.get_running_loop().time()
    world.jft.behave(LOST)
    assert_success(await world.post("bundle", alarm()))
    found = await rows(world)
    assert [(row.state, row.attempts) for row in found] == [("held", 1), ("held", 1)]
    assert jft_of(world).asked == 2


async def test_message_whose_last_try_was_not_answered_is_marked(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Eleven were refused for certain; of the twelfth nobody knows, and whoever releases it is told so."""
    world = await begin(RESEND)
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()))
    almost = update(MESSAGE).values(attempts=MOST_ATTEMPTS - 1)
    await delivery_of(world).ledger.store.write(lambda connection: connection.execute(almost).rowcount)
    await world.jft.start()
    world.jft.behave(LOST)
    clock.now += 2
    (row,) = await until_states(world, "quarantined")
    assert (row.possible_duplicate, alarms_of(world.jft.received)) == (True, [0])


@pytest.mark.parametrize(("policies", "again"), [(f"{HOLD}, unclear: quarantine", "quarantined"), (RESEND, "held")])
async def test_repeat_of_what_was_refused_follows_the_route_of_now(
    begin: Callable[..., Awaitable[World]], policies: str, again: str
) -> None:
    """The route was changed between the two: what its sender was not promised then is treated as it is now."""
    other = RESEND if again == "quarantined" else HOLD
    world = await begin(other)
    body = alarm()
    world.jft.behave(Behaviour(status=400))
    world.assert_refused(await world.post("bundle", body), 400, "2.4")
    world.write(routes=world.settings["routes"].replace(other, policies))
    assert (await world.gateway.reload()).taken
    jft = jft_of(world)
    jft.open.clear()
    asked = jft.asked
    sending = asyncio.get_running_loop().create_task(world.post("bundle", body))
    await until(lambda: jft.asked == asked + 1)
    (row,) = await rows(world)
    assert row.resend_unclear is (again == "held")
    jft.behave(Behaviour(status="202-then-drop"))
    jft.open.set()
    assert_success(await sending)
    await until_states(world, again)
