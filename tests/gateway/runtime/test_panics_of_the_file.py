"""A panic that stands in routes.yaml: the way back to VKP while the ledger cannot be written."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from gateway.times import when
from tests.gateway.asking import ask
from tests.gateway.ledger.read_only import read_only
from tests.gateway.runtime.test_reloads import NOTE, UNDER, WHY, begun, set_above
from tests.gateway.world import ROUTES, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

GUARDED = "guard_reload: true\n"


@pytest.fixture
async def closed(start: Start) -> World:
    """Start a guarded gateway in which an operator has closed what the file leaves to VKP."""
    world = await begun(start, top=GUARDED)
    until = when(time.time() + 3600)
    closed = {"mode": "closed", "text": "Stengt.", "ticket": "S-1", "until": until}
    await set_above(world, "overrides", **closed, municipality="nordfjell")
    return world


def panicking(world: World, panics: str) -> None:
    """Write the same file with these panics."""
    top = world.settings["top"].split("panics:", maxsplit=1)[0]
    world.write(top=f"{top}panics: [{panics}]\n")


async def test_file_takes_everything_back_while_the_ledger_cannot_be_written(closed: World) -> None:
    """Over what people have set, though nobody can set a panic and a guarded reload may change no cell; until it is gone."""
    ledger = closed.gateway._ledger.outbox
    assert ledger is not None
    try:
        assert (await closed.post(NOTE, message("note"))).code == "1.2"
        with read_only(ledger.ledger.store.engine):
            refused = await ask(closed, "POST", "/api/v1/panics", {**WHY, "municipality": "nordfjell"})
            assert refused.status == 503
            panicking(closed, "{municipality: nordfjell}")
            assert (await closed.gateway.reload()).taken
            assert (await closed.post(NOTE, message("note"))).status == 200
        panicking(closed, "")
        assert (await closed.gateway.reload()).taken
        assert (await closed.post(NOTE, message("note"))).code == "1.2"
    finally:
        await closed.stop()


async def test_panic_of_the_file_is_seen(closed: World) -> None:
    """Among the routes in force with its place, and in the line of each message."""
    try:
        panicking(closed, "{municipality: nordfjell}")
        assert (await closed.gateway.reload()).taken
        routes = await ask(closed, "GET", "/api/v1/routes?municipality=nordfjell")
        first = routes.document["routes"][0]
        assert (first["layer"], first["id"], first["mode"]) == ("panic", "routes.yaml", "legacy")
        assert first["place"].startswith(str(closed.config))
        closed.logged.forget()
        await closed.post(NOTE, message("note"))
        (line,) = closed.named_messages("passed")
        assert (line["layer"], line["rule"]) == ("panic", "routes.yaml")
    finally:
        await closed.stop()


async def test_panic_of_the_file_is_seen_also_after_people_have_set_something(closed: World) -> None:
    """It is in force, so that it is among the routes in force."""
    try:
        panicking(closed, "{municipality: nordfjell}")
        assert (await closed.gateway.reload()).taken
        before = (await ask(closed, "GET", "/api/v1/routes")).document["generation"]
        await ask(closed, "POST", "/api/v1/panics", {**WHY, "municipality": "sorvik"})
        async with asyncio.timeout(120):
            while (found := (await ask(closed, "GET", "/api/v1/routes")).document)["generation"] == before:
                pass
        assert "routes.yaml" in [one["id"] for one in found["routes"] if one["layer"] == "panic"]
    finally:
        await closed.stop()


async def test_panic_of_the_file_hides_no_change_beneath(start: Start) -> None:
    """What the guard refuses without it, it refuses with it: it is over one day."""
    world = await begun(start, top=GUARDED)
    try:
        panicking(world, "{municipality: sorvik}")
        assert (await world.gateway.reload()).taken
        world.write(routes=UNDER)
        refused = await world.gateway.reload()
        assert not refused.taken
        assert "guard_reload: sorvik" in str(refused.problems)
        world.write(routes=ROUTES)
        assert (await world.gateway.reload()).taken
    finally:
        await world.stop()
