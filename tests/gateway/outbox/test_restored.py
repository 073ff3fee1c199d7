"""A gateway that is started on a database which was restored from a copy sends nothing again by itself."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

from click.testing import CliRunner

from gateway.cli.ledger import ledger
from tests.gateway.outbox.conftest import alarm, alarms_of, assert_success, delivery_of, rows, until_states

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World


BODIES = [alarm(number) for number in range(4)]


def copied(world: World, wanted: Path) -> None:
    """Copy the database of a gateway that is stopped."""
    shutil.copyfile(database(world), wanted)


def database(world: World) -> Path:
    """Return the file."""
    (found,) = world.folder.rglob("gateway.db")
    return found


async def lost(begin: Callable[..., Awaitable[World]], clock: Clock, tmp_path: Path) -> World:
    """Have three messages held, copied, delivered, and a fourth delivered after them; then the copy is all that is left."""
    world = await begin()
    await world.jft.stop()
    assert_success(*[await world.post("bundle", BODIES[number]) for number in range(3)])
    await delivery_of(world)._upkeep.keep_position()
    await world.stop()
    copied(world, tmp_path / "copy.db")
    await world.jft.start()
    await world.serve()
    clock.now += 100
    await until_states(world, *["delivered"] * 3)
    assert_success(await world.post("bundle", BODIES[3]))
    await delivery_of(world)._upkeep.keep_position()
    await world.stop()
    shutil.copyfile(tmp_path / "copy.db", database(world))
    return world


async def test_start_notices_that_its_database_is_older_than_it_knows(
    begin: Callable[..., Awaitable[World]], clock: Clock, tmp_path: Path
) -> None:
    """What it has as held waits for a person, what comes again is marked, and the log says what may be missing."""
    world = await lost(begin, clock, tmp_path)
    await world.serve()
    await delivery_of(world)._dispatch.dispatch()
    again = [await world.post("bundle", BODIES[number]) for number in (0, 3)]
    assert_success(*again)
    assert sorted(alarms_of(world.delivered)) == [0, 1, 2, 3, 3]
    assert world.named_messages("accepted")[-1]["marks"] == ("possible-duplicate",)
    found = {(row.state, row.possible_duplicate) for row in await rows(world)}
    assert found == {("quarantined", True), ("delivered", True)}
    (told,) = world.logged.named("ledger.restored")
    assert (told["quarantined"], told["audit_missing"], told["overrides"]) == (3, 0, [])
    await world.stop()
    await world.serve()
    assert len(world.logged.named("ledger.restored")) == 1


async def test_person_says_that_a_database_was_restored(
    begin: Callable[..., Awaitable[World]], clock: Clock, tmp_path: Path
) -> None:
    """Before the start, where this machine knows of no later position; the start finds nothing more to do."""
    world = await lost(begin, clock, tmp_path)
    for file in world.folder.rglob("ledger-position.json"):
        file.unlink()
    config = str(world.folder / "routes.yaml")
    words = ["restored", "--since", "2026-05-28T22:00+02:00", "--reason", "Disken røk", "--config", config]
    result = await asyncio.to_thread(CliRunner().invoke, ledger, [*words, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert (told["ok"], told["quarantined"], told["since"], told["audit_missing"]) == (
        True,
        3,
        "2026-05-28T20:00:00Z",
        None,
    )
    again = await asyncio.to_thread(CliRunner().invoke, ledger, words)
    assert again.output.startswith("0 messages set aside, ")
    await world.serve()
    await delivery_of(world)._dispatch.dispatch()
    assert sorted(alarms_of(world.delivered)) == [0, 1, 2, 3]
    assert not world.logged.named("ledger.restored")
    result = await asyncio.to_thread(CliRunner().invoke, ledger, words)
    assert result.exit_code == 1
    assert "stop every gateway first" in result.output
