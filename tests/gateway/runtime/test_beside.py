"""What a supervisor has beside its workers: the ledger they share, the routes in force, what sends back to VKP."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.admin.server import AdminPort
from gateway.config.load import load
from gateway.config.model import KeyFiles, Role
from gateway.ledger.database import LedgerUnusable
from gateway.ledger.key_files import KeyMissing, make_missing
from gateway.runtime import beside
from gateway.runtime.beside import Beside
from tests.gateway.asking import ask, let_in
from tests.gateway.conftest import NORDFJELL, ROUTES, message
from tests.gateway.runtime.test_supervisor import LEGACY, Served, serve, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.conftest import World

__all__ = ["serve"]
NOTE = f"/epj/r4/{NORDFJELL}/composition"
CLOSED = '  - {mode: closed, text: "Stengt."}\n'
WHY = {"reason": "Ny avtale med kommunen"}
OVERRIDE = {"municipality": "nordfjell", "mode": "closed", "text": "Stengt i dag.", "ticket": "S-1", **WHY}


class Scene:
    """One beside an admin port and nobody's workers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told = 0
        """How often workers were told to reload."""
        self.admin = AdminPort(CollectorRegistry())
        loaded = load(str(world.config))
        assert loaded.config is not None
        assert loaded.table is not None
        self.beside = Beside(self.admin, world.config, (loaded.config, loaded.table), self._tell)

    def _tell(self) -> None:
        self.told += 1

    async def dialect(self) -> str:
        """Return what kind of database people see."""
        return await self.admin.ledger.read(lambda each: each.dialect.name)


@pytest.fixture
async def scene(
    start: Callable[..., Awaitable[World]], postgres: str
) -> AsyncIterator[Callable[..., Awaitable[Scene]]]:
    """Make one, with a database unless `store` says otherwise, and close it at the end."""
    made: list[Scene] = []

    async def make(*, store: str = postgres, keys: bool = True, **changes: Any) -> Scene:
        world = await start(serve=False, routes=LEGACY, top=f'store: "{store}"')
        if not keys:
            shutil.rmtree(world.folder / "var")
        write(world, **changes)
        made.append(Scene(world))
        return made[-1]

    yield make
    for each in made:
        await each.beside.close()


async def test_shared_ledger_is_opened(scene: Callable[..., Awaitable[Scene]]) -> None:
    """Where there are keys; people see it, the number of the table, and the configuration's copy is kept."""
    made = await scene()
    await made.beside.start()
    assert await made.dialect() == "postgresql"
    assert (made.world.folder / "var" / "last-good-routes.yaml").read_bytes() == made.world.config.read_bytes()


async def test_file_for_one_process_is_not_opened(scene: Callable[..., Awaitable[Scene]]) -> None:
    """Several workers have no SQLite ledger, and nothing is made beside them, at the start or at a reload."""
    made = await scene(store="sqlite:///var/ledger.db")
    await made.beside.start()
    assert (await made.beside.reload()).taken
    assert not made.admin.ledger.is_there
    assert not list((made.world.folder / "var").glob("*.db"))


async def test_reload_tells_workers_after_it_was_taken_here(scene: Callable[..., Awaitable[Scene]]) -> None:
    """With the next number; a file with an error, of another store or for one process is told to nobody."""
    made = await scene()
    await made.beside.start()
    done = await made.beside.reload()
    assert (done.taken, done.generation, made.told) == (True, made.beside._in_force._generations.number, 1)
    write(made.world, routes="  - {mode: legcay}\n")
    assert not (await made.beside.reload()).taken
    write(made.world, routes=LEGACY, top="store: postgresql://other/x")
    assert "restart" in (await made.beside.reload()).problems[0]
    write(made.world, routes=ROUTES, top="store: sqlite:///var/ledger.db")
    assert "more than one worker" in (await made.beside.reload()).problems[0]
    assert made.told == 1


async def test_reload_without_the_keys_that_all_share_is_refused(scene: Callable[..., Awaitable[Scene]]) -> None:
    """With how to make them, and so is one with another canary key: patients would change sides. Nobody is told."""
    made = await scene()
    await made.beside.start()
    for file in dataclasses.astuple(KeyFiles()):
        (made.world.folder / file).unlink()
    assert "keys init" in (await made.beside.reload()).problems[0]
    make_missing(KeyFiles(), made.world.folder, 0)
    assert "not the key that this ledger's shares are dealt with" in (await made.beside.reload()).problems[0]
    assert made.told == 0


async def test_shared_ledger_needs_keys(scene: Callable[..., Awaitable[Scene]]) -> None:
    """A node without them would follow no panic; the reason says how to make them."""
    made = await scene(keys=False)
    with pytest.raises(KeyMissing, match="keys init"):
        await made.beside.start()


async def test_guarded_reload_is_refused_before_workers_hear_of_it(scene: Callable[..., Awaitable[Scene]]) -> None:
    """Otherwise some might take it and others not."""
    made = await scene()
    made.world.write(top=made.world.settings["top"] + "\nguard_reload: true")
    write(made.world)
    await made.beside.start()
    write(made.world, routes=CLOSED)
    done = await made.beside.reload()
    assert (done.taken, made.told) == (False, 0)
    assert done.problems[0].startswith("guard_reload: municipalities that the file does not know")


async def test_changed_file_is_taken_without_being_told(
    scene: Callable[..., Awaitable[Scene]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes the file need not send a signal."""
    monkeypatch.setattr(beside, "_LOOK", 0.01)
    made = await scene()
    await made.beside.start()
    watching = asyncio.get_running_loop().create_task(made.beside.watch())
    write(made.world, routes=CLOSED)
    async with asyncio.timeout(10):
        while not made.told:  # noqa: ASYNC110 - workers have nobody to tell
            await asyncio.sleep(0.01)
    watching.cancel()


async def test_store_that_is_not_there_is_told(scene: Callable[..., Awaitable[Scene]]) -> None:
    """At the start."""
    made = await scene(store="postgresql://vkp@127.0.0.1:1/none")
    with pytest.raises(LedgerUnusable, match="cannot be opened"):
        await made.beside.start()
    assert not made.admin.ledger.is_there


async def test_port_of_a_supervisor_is_that_of_its_workers(
    serve: Callable[..., Awaitable[Served]], postgres: str
) -> None:
    """`serve --workers 2` on PostgreSQL: an override set there holds at both workers, a reload asked there reaches both."""

    def prepare(world: World) -> None:
        world.write(routes=LEGACY)
        let_in(world, (Role.OPERATOR, Role.VIEWER), top=f'store: "{postgres}"\n')
        write(world)

    served = await serve(change=prepare)
    world = served.world
    assert (await ask(world, "GET", "/api/v1/ledger")).document["counts"] == []
    routes = (await ask(world, "GET", "/api/v1/routes")).document
    assert (routes["generation"], [one["layer"] for one in routes["routes"]]) == (1, ["routes"])
    until = datetime.fromtimestamp(int(time.time()) + 3600, UTC).isoformat()
    answer = await ask(world, "POST", "/api/v1/overrides", {**OVERRIDE, "until": until})
    assert answer.status == 201, answer
    async with asyncio.timeout(10):
        in_a_row = 0
        while in_a_row < 20:
            refused = (await world.post(NOTE, message("note"))).status == 400
            in_a_row = in_a_row + 1 if refused else 0
    async with asyncio.timeout(10):
        while (routes := (await ask(world, "GET", "/api/v1/routes")).document)["generation"] == 1:
            pass
    assert [one["layer"] for one in routes["routes"]] == ["override", "routes"]
    report = await ask(world, "GET", "/api/v1/report")
    assert {one["mode"] for one in report.document["cells"] if one["municipality"] == "nordfjell"} == {"closed"}
    write(world, environment="test")
    taken = await ask(world, "POST", "/api/v1/reload", WHY)
    assert (taken.status, taken.document["generation"]) == (200, 3)
    assert len(await served.until("reload.taken", 2)) == 2
    served.process.terminate()
    assert await served.end() == 0
