"""Whatever would be no valid FHIR R4 is refused before anything is promised; what JFT finds wrong itself is told by everyone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.outbox.conftest import alarm, assert_success, rows, until_states
from tests.gateway.world import message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

FAULT = "Bundle.entry[0].resource.subject.identifier: a synthetic number is not allowed in production"


def note(**changes: Any) -> bytes:
    """Return the note with other elements."""
    return json.dumps(json.loads(message("note")) | changes).encode()


async def test_a_message_of_faults_is_never_held(begin: Callable[..., Awaitable[World]]) -> None:
    """Its sender hears of all its faults by their places, and of none of its values, though JFT is away and the route holds."""
    world = await begin()
    await world.jft.stop()
    answer = await world.post("composition", note(date="03.11.2026 08:00", status="done"))
    world.assert_refused(answer, 400, "2.4")
    diagnostics = answer.json["issue"][0]["diagnostics"]
    assert "Composition.status: not one of the codes that FHIR R4 has here" in diagnostics
    assert "Composition.date: not a dateTime" in diagnostics
    assert not [value for value in ("03.11", "done") if value in diagnostics]
    assert await rows(world) == []


async def test_what_jft_finds_wrong_is_told_to_the_sender_the_log_and_the_ledger(
    begin: Callable[..., Awaitable[World]],
) -> None:
    """Here JFT takes only real numbers: the place and its text are told, the number nowhere."""
    world = await begin()
    world.jft.environment = "production"
    answer = await world.post("bundle", alarm())
    world.assert_refused(answer, 400, "2.4")
    (row,) = await rows(world)
    (logged,) = world.logged.named("message")
    for text in (answer.json["issue"][0]["diagnostics"], logged["diagnostics"], row.reason):
        assert FAULT in text
    world.assert_discreet()


async def test_what_jft_finds_wrong_with_a_held_message_is_told_to_who_decides(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """The one who looks into the quarantine reads what JFT said."""
    world = await begin()
    await world.jft.stop()
    assert_success(await world.post("bundle", alarm()))
    await world.jft.start()
    world.jft.environment = "production"
    clock.now += 2
    (row,) = await until_states(world, "quarantined")
    assert FAULT in row.reason
    assert [FAULT in one["reason"] for one in world.logged.named("delivery.quarantined")] == [True]


@pytest.mark.parametrize("answer", ["strict", "light"])
async def test_what_the_gateway_makes_is_taken_by_a_strict_double(
    begin: Callable[..., Awaitable[World]], answer: Any
) -> None:
    """A supervision of which only the day is known goes with an instant around it."""
    world = await begin()
    world.jft.checks = answer
    encounter = json.loads(message("encounter-alone"))
    body = json.dumps(encounter | {"period": {"start": "2026-11-03"}}).encode()
    assert_success(await world.post("encounter", body))
    assert len(world.delivered) == 1
