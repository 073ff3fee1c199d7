"""A gateway that is started on a database which was restored from a copy sends nothing again by itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner

from gateway.cli.ledger import ledger
from tests.gateway.outbox.conftest import alarm, alarms_of, assert_success, delivery_of, rows, until_states
from tests.postgres import binaries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World


BODIES = [alarm(number) for number in range(4)]


class File:
    """SQLite's file of a gateway that is stopped, and its copy."""

    store = None

    def __init__(self, folder: Path) -> None:
        self._copy = folder / "copy.db"

    def copy(self, world: World) -> None:
        """Make the copy."""
        shutil.copyfile(self._of(world), self._copy)

    def restore(self, world: World) -> None:
        """Put the copy in the file's place."""
        shutil.copyfile(self._copy, self._of(world))

    @staticmethod
    def _of(world: World) -> Path:
        (found,) = world.folder.rglob("gateway.db")
        return found


class Dump:
    """A database of PostgreSQL, and what `pg_dump` makes of it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.store = url
        self._copy = folder / "copy.dump"

    def copy(self, world: World) -> None:  # noqa: ARG002 - as for a file
        """Make the copy."""
        subprocess.run((binaries() / "pg_dump", "--format=custom", f"--file={self._copy}", self.store), check=True)

    def restore(self, world: World) -> None:  # noqa: ARG002 - as for a file
        """Have the copy in a database that was made empty."""
        with psycopg.connect(self.store, autocommit=True) as somebody:
            somebody.execute("DROP SCHEMA public CASCADE")
            somebody.execute("CREATE SCHEMA public")
        words = ("--exit-on-error", "--no-owner", f"--dbname={self.store}", self._copy)
        subprocess.run((binaries() / "pg_restore", *words), check=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> File | Dump:
    """Make what copies the database and puts the copy in its place."""
    return File(tmp_path) if request.param == "sqlite" else Dump(request.getfixturevalue("postgres"), tmp_path)


async def lost(begin: Callable[..., Awaitable[World]], clock: Clock, backup: File | Dump) -> World:
    """Have three messages held, copied, delivered, and a fourth delivered after them; then the copy is all that is left."""
    world = await begin(**{} if backup.store is None else {"top": f'store: "{backup.store}"'})
    await world.jft.stop()
    assert_success(*[await world.post("bundle", BODIES[number]) for number in range(3)])
    await delivery_of(world)._upkeep.keep_position()
    await world.stop()
    backup.copy(world)
    await world.jft.start()
    await world.serve()
    clock.now += 100
    await until_states(world, *["delivered"] * 3)
    assert_success(await world.post("bundle", BODIES[3]))
    await delivery_of(world)._upkeep.keep_position()
    await world.stop()
    backup.restore(world)
    return world


async def test_start_notices_that_its_database_is_older_than_it_knows(
    begin: Callable[..., Awaitable[World]], clock: Clock, backup: File | Dump
) -> None:
    """What it has as held waits for a person, what comes again is marked, and the log says what may be missing."""
    world = await lost(begin, clock, backup)
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


async def test_start_notices_that_its_file_is_gone(begin: Callable[..., Awaitable[World]]) -> None:
    """What was in it is lost, and nobody else would say so; what comes again may have been there, and is marked."""
    world = await begin()
    assert_success(await world.post("bundle", BODIES[0]))
    await delivery_of(world)._upkeep.keep_position()
    await world.stop()
    for file in world.folder.rglob("gateway.db*"):
        file.unlink()
    await world.serve()
    (told,) = world.logged.named("ledger.restored")
    assert told["quarantined"] == 0
    assert_success(await world.post("bundle", BODIES[0]))
    assert world.named_messages("accepted")[-1]["marks"] == ("possible-duplicate",)


async def test_person_says_that_a_database_was_restored(
    begin: Callable[..., Awaitable[World]], clock: Clock, backup: File | Dump
) -> None:
    """Before the start, where this machine knows of no later position; the start finds nothing more to do."""
    world = await lost(begin, clock, backup)
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
