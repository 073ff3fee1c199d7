"""Held messages that JFT does not take: tried again with growing pauses, set aside in the end, never in others' way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gateway.cli.keys import keys
from gateway.config.model import KeyFiles
from gateway.errors import StartupError
from gateway.ledger.key_files import make_missing
from gateway.observability.metrics import QUARANTINED
from gateway.outbox.dispatcher import MOST_ATTEMPTS
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    alarm,
    alarms_of,
    assert_success,
    counted,
    jft_of,
    means_of,
    rows,
    until_states,
    until_written,
    visit,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

FAILING = b"Alarm 0."


def failed(times: int) -> Callable[[list[Any]], bool]:
    """Return what tells whether the first message has failed so often, and is with nobody."""
    return lambda found: found[0].attempts == times and found[0].state == "held"


async def test_poison_message_ends_in_quarantine_and_holds_up_nobody(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Each pause is about twice the one before; another patient's messages pass by; its own patient's follow at last."""
    world = await begin()
    jft_of(world).poison.add(FAILING)
    before = counted(QUARANTINED, municipality="havnes")
    assert_success(await world.post("bundle", alarm(0)), await world.post("bundle", alarm(1)))
    for attempts in range(1, MOST_ATTEMPTS):
        found = await until_written(world, failed(attempts))
        whole = min(2.0 ** (attempts - 1), 600.0)
        assert whole / 2 <= found[0].due - clock.now <= whole
        # Another patient's message in between says that it is not JFT that fails.
        assert_success(await world.post("bundle", visit()))
        clock.now = found[0].due
    found = await until_written(world, lambda found: all(row.state in {"delivered", "quarantined"} for row in found))
    assert [row.state for row in found].count("quarantined") == 1
    assert found[0].reason == f"failed {MOST_ATTEMPTS} times, at last: JFT answered 500"
    assert found[0].payload is not None
    assert alarms_of(world.delivered) == [1]
    assert len(world.delivered) == MOST_ATTEMPTS
    assert counted(QUARANTINED, municipality="havnes") == before + 1
    assert [one["reference"] for one in world.logged.named("delivery.quarantined")] == [found[0].reference]
    world.assert_discreet()


async def test_message_that_jft_finds_invalid_at_once_is_told_to_its_sender(
    begin: Callable[..., Awaitable[World]],
) -> None:
    """It was not promised yet, so the sender hears of it, and nothing is held."""
    world = await begin()
    world.jft.behave(Behaviour(status=400))
    world.assert_refused(await world.post("bundle", alarm()), 400, "2.4")
    (row,) = await rows(world)
    assert (row.state, row.told, row.payload) == ("refused", False, None)


@pytest.mark.parametrize("status", [400, 413])
async def test_held_message_that_jft_finds_invalid_is_set_aside_at_once(
    begin: Callable[..., Awaitable[World]], clock: Clock, status: int
) -> None:
    """Its sender was told of success and cannot be told otherwise: a person decides, and the next one goes on."""
    world = await begin()
    await world.jft.stop()
    body = alarm(0)
    assert_success(await world.post("bundle", body), await world.post("bundle", alarm(1)))
    await world.jft.start()
    world.jft.behave(Behaviour(status=status))
    clock.now += 2
    found = await until_states(world, "quarantined", "delivered")
    assert f"({status})" in found[0].reason
    assert alarms_of(world.delivered) == [1]
    assert_success(await world.post("bundle", body))
    assert len(world.delivered) == 1


async def test_failures_of_an_outage_never_lead_to_quarantine(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """While nothing reaches JFT no attempt counts, however many there were."""
    world = await begin(jft=", breaker: {failures: 1000, pause: 10ms, longest: 10ms}")
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()))
    for _ in range(MOST_ATTEMPTS + 1):
        (row,) = await rows(world)
        clock.now += 700
        lines = row.history.count("\n")
        await until_written(world, lambda found: found[0].history.count("\n") == lines + 2)  # noqa: B023 - awaited here
    (row,) = await rows(world)
    assert (row.state, row.attempts) == ("held", 0)
    await world.jft.start()
    clock.now += 700
    world.gateway._running.delivery.service._write._caller._pool._down_until = 0.0  # type: ignore[union-attr] # it runs
    await until_states(world, "delivered")


@pytest.mark.parametrize("failing", ["helseid", "token"])
async def test_pauses_grow_also_where_no_attempt_counts(
    begin: Callable[..., Awaitable[World]], clock: Clock, failing: str
) -> None:
    """Without a token, or with one that JFT does not accept, nobody is asked each second, and the history stays short."""
    world = await begin()
    if failing == "helseid":
        token = world.token(lifetime=3600)
        assert_success(await world.post("bundle", visit(), token=token))
        clock.now += 700
        await world.helseid.stop()
    else:
        token = world.token(lifetime=3600)
        world.jft.behave(Behaviour(status=403, times=-1))
    assert_success(await world.post("bundle", alarm(), token=token))
    for _ in range(8):
        found = await until_written(world, lambda found: found[-1].state == "held")
        lines, clock.now = found[-1].history.count("\n"), found[-1].due
        await until_written(world, lambda found: found[-1].history.count("\n") >= lines + 2)  # noqa: B023 - awaited here
    found = await until_written(world, lambda found: found[-1].state == "held")
    assert found[-1].due - clock.now > 30


async def test_payload_that_cannot_be_opened_is_set_aside(begin: Callable[..., Awaitable[World]], clock: Clock) -> None:
    """Where its key is lost, which a person has to say, nothing can be sent: a person hears of it, and nothing is tried for ever."""
    world = await begin()
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()))
    await world.stop()
    await world.jft.start()
    folder = world.folder / "var"
    kept = (folder / "payload.keys").read_bytes()
    (folder / "payload.keys").unlink()
    make_missing(KeyFiles(), world.folder, 1_790_000_000)
    assert (folder / "payload.keys").read_bytes() != kept
    with pytest.raises(StartupError, match=r"keys\.payload: lacks key"):
        await world.serve()
    words = ("--reason", "Tapt", "--config", str(world.config))
    accepted = await asyncio.to_thread(CliRunner().invoke, keys, ["accept-lost", *words])
    assert accepted.exit_code == 0, accepted.output
    clock.now += 2
    await world.serve()
    (row,) = await until_states(world, "quarantined")
    assert "cannot be read" in row.reason
    assert not world.delivered


async def test_held_message_of_a_municipality_that_is_gone_is_set_aside(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Nobody knows for whom to deliver it any more."""
    world = await begin()
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()))
    await world.jft.start()
    current = means_of(world)
    current.config.municipalities.pop("havnes")  # type: ignore[attr-defined] # a dict behind the mapping
    clock.now += 2
    (row,) = await until_states(world, "quarantined")
    assert "not configured" in row.reason


async def test_message_is_not_given_up_because_the_service_has_no_time_for_any(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """However often it was answered 429: how much a service is asked is nothing that a message can be the cause of."""
    world = await begin(jft=", breaker: {failures: 1000, pause: 10ms, longest: 10ms}")
    world.jft.behave(Behaviour(status=429, times=-1))
    assert_success(await world.post("bundle", alarm()))
    for _ in range(MOST_ATTEMPTS + 1):
        (row,) = await rows(world)
        clock.now += 700
        lines = row.history.count("\n")
        await until_written(world, lambda found: found[0].history.count("\n") == lines + 2)  # noqa: B023 - awaited here
    (row,) = await rows(world)
    assert (row.state, row.attempts) == ("held", 0)
    world.jft.behave(Behaviour())
    clock.now += 700
    await until_states(world, "delivered")
