"""A reload that is refused, for whatever reason, leaves everything that is in use exactly as it was."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from gateway.config.model import KeyFiles
from gateway.errors import StartupError
from gateway.ledger.database import open_store
from gateway.ledger.key_files import make_missing
from tests.gateway.world import NORDFJELL, ROUTES, another, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.proxy.pool import Pool
    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

LEGACY = "  - {mode: legacy}\n"
NOTE = f"/epj/r4/{NORDFJELL}/composition"
PEOPLE = 'people: {url: "http://127.0.0.1:9", helseid: {client_id: people, key_file: gone.json}, persons: {}}\n'
"""A file without an error, of which the key of people's client is not there."""


def reaching(world: World) -> None:
    """Let VKP reach every record system of a configuration."""
    text = world.config.read_text(encoding="utf-8").replace("generation: new", "generation: legacy")
    world.config.write_text(text, encoding="utf-8")


def pools(world: World) -> list[Pool]:
    """Return every pool of connections that the running configuration uses."""
    running = world.gateway._running
    assert running is not None
    callers = running.clients.parts.callers.all
    return [*(target.pool for target in running.lane.targets.values()), *(caller._pool for caller in callers)]


@pytest.fixture
async def unled(start: Start) -> World:
    """Start a gateway that needs no ledger, and has no keys for one."""
    world = await start(serve=False, routes=LEGACY)
    shutil.rmtree(world.folder / "var")
    reaching(world)
    await world.serve()
    return world


async def test_refused_reload_opens_no_ledger_and_steers_no_cutover(unled: World) -> None:
    """Though its file is the first that needs a ledger, and only its people cannot be served."""
    try:
        make_missing(KeyFiles(), unled.folder, 0)
        unled.write(routes=ROUTES, top=PEOPLE)
        refused = await unled.gateway.reload()
        assert "gone.json" in refused.problems[0]
        gateway = unled.gateway
        assert gateway._ledger.outbox is None
        assert not gateway._admin.ledger.is_there
        assert gateway._routes._scheduler is gateway._routes._watcher is None
        assert gateway._database() is None
        assert not (unled.folder / "var" / "gateway.db").exists()
        assert (await unled.post(NOTE, message("note"))).status == 200
    finally:
        await unled.stop()


async def test_ledger_that_could_be_opened_is_closed_where_its_keys_are_refused(unled: World) -> None:
    """The canary key is another than the ledger's: the file is free for others again."""
    try:
        make_missing(KeyFiles(), unled.folder, 0)
        unled.write(routes=ROUTES)
        other = unled.folder / "other"
        other.mkdir()
        assert (await unled.gateway.reload()).taken
        await unled.stop()
        (unled.folder / KeyFiles().canary).unlink()
        make_missing(KeyFiles(), unled.folder, 0)
        keys = unled.folder / "var"
        aside = [one for one in keys.iterdir() if ".db" not in one.name]
        for one in aside:
            one.rename(other / one.name)
        unled.write(routes=LEGACY)
        reaching(unled)
        await unled.serve()
        for one in other.iterdir():
            one.rename(keys / one.name)
        unled.write(routes=ROUTES)
        refused = await unled.gateway.reload()
        assert "not the key that this ledger's canaries divide patients by" in refused.problems[0]
        assert unled.gateway._ledger.outbox is None
        assert (await unled.post(NOTE, message("note"))).status == 200
    finally:
        await unled.stop()
    store = await asyncio.to_thread(open_store, "sqlite:///var/gateway.db", unled.folder, patience=0)
    await store.close()


@pytest.mark.parametrize("spoiled", ["people", "store", "client key"])
async def test_refused_reload_drains_no_connection(world: World, start: Start, spoiled: str) -> None:
    """The file names other servers; those in use go on being used, with the connections to them that are open."""
    for number in range(2):
        assert (await world.post("composition", another(message("note")))).status == 200, number
        assert (await world.post(NOTE, message("note"))).status == 200
    before = [(pool, len(pool._open)) for pool in pools(world)]
    assert sum(count for _, count in before) >= 2
    other = await start(serve=False)
    top = {"people": PEOPLE, "store": "store: sqlite:///var/other.db"}.get(spoiled, "")
    if spoiled == "client key":
        (world.folder / "key.json").write_text("{}", encoding="utf-8")
    world.write(vkp=other.vkp.url, write=other.jft.write_url, read=other.jft.read_url, top=top)
    running = world.gateway._running
    assert not (await world.gateway.reload()).taken
    assert world.gateway._running is running
    assert [(pool, len(pool._open)) for pool in pools(world)] == before
    assert not any(pool._draining for pool, _ in before)
    assert (await world.post("composition", another(message("note")))).status == 200
    assert [len(pool._open) for pool in pools(world)] == [count for _, count in before]
    assert len(world.delivered) == 3


async def test_taken_reload_keeps_what_stays_the_same_and_drains_the_rest(world: World, start: Start) -> None:
    """Also after refusals in between: nothing of what those had made is left."""
    assert (await world.post("composition", another(message("note")))).status == 200
    assert (await world.post(NOTE, message("note"))).status == 200
    before = pools(world)
    other = await start(serve=False)
    world.write(top=PEOPLE, vkp=other.vkp.url, write=other.jft.write_url)
    assert not (await world.gateway.reload()).taken
    world.write(top="", vkp=world.vkp.url, write=world.jft.write_url)
    assert (await world.gateway.reload()).taken
    assert pools(world) == before
    world.write(vkp=other.vkp.url)
    assert (await world.gateway.reload()).taken
    assert [one in before for one in pools(world)] == [False, True, True]
    assert before[0]._draining


async def test_refused_reload_leaves_the_lock_as_it_was(unled: World) -> None:
    """Others that only pass messages on may still share the file, and nobody may have it alone."""
    try:
        unled.write(routes='  - {mode: closed, text: "Stengt."}\n', top=PEOPLE)
        reaching(unled)
        assert not (await unled.gateway.reload()).taken
        with pytest.raises(StartupError, match=r"another process uses gateway\.db"):
            await asyncio.to_thread(open_store, "sqlite:///var/gateway.db", unled.folder, patience=0)
    finally:
        await unled.stop()
