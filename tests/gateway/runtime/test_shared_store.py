"""Processes on one SQLite file: several only where VKP answers everything, and told so where that is not so."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from gateway.config.load import load, load_text
from gateway.errors import StartupError
from gateway.runtime.node import Node
from gateway.tasks import Intervals
from tests.gateway.world import ROUTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

LEGACY = "  - {mode: legacy}\n"
CLOSED = '  - {mode: closed, text: "Stengt."}\n'


@pytest.fixture
async def beside(start: Start) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    """Start gateways on one folder, each on ports that the system chooses; `keys` says whether those of a ledger are there."""
    world = await start(serve=False)
    running: list[Node] = []

    async def begun(routes: str, *, keys: bool) -> Node:
        if not keys:
            shutil.rmtree(world.folder / "var", ignore_errors=True)
        world.write(routes=routes, data=0, admin=0)
        text = world.config.read_text(encoding="utf-8").replace("generation: new", "generation: legacy")
        world.config.write_text(text, encoding="utf-8")
        loaded = load(str(world.config))
        assert loaded.config is not None, loaded.problems
        assert loaded.table is not None
        made = Node(str(world.config), loaded.config, loaded.table, intervals=Intervals(ledger_patience=0.0))
        await made.start()
        running.append(made)
        return made

    yield begun
    for each in running:
        await each.stop()


async def test_several_may_only_pass_messages_on(beside: Callable[..., Awaitable[Node]]) -> None:
    """No ledger is opened for it."""
    for _ in range(3):
        made = await beside(LEGACY, keys=False)
        assert made._ledger.outbox is None


@pytest.mark.parametrize(
    ("first", "first_has_keys", "second", "second_has_keys"),
    [
        (LEGACY, True, LEGACY, True),
        (CLOSED, True, CLOSED, True),
        (CLOSED, False, LEGACY, True),
        (LEGACY, True, ROUTES, True),
    ],
)
async def test_second_is_refused_where_they_would_have_to_share_something(
    beside: Callable[..., Awaitable[Node]], first: str, first_has_keys: bool, second: str, second_has_keys: bool
) -> None:
    """A mode that VKP does not answer, or a ledger with what people set; the reason says who has the file since when."""
    await beside(first, keys=first_has_keys)
    told = rf"store: another process uses gateway\.db: process {os.getpid()} since 20"
    with pytest.raises(StartupError, match=told):
        await beside(second, keys=second_has_keys)


def test_check_says_what_a_shared_port_needs() -> None:
    """Each mode that is not legacy, with its place; PostgreSQL takes them all."""
    text = (
        "version: 1\nlisten: {reuse_port: true}\n"
        'helseid: {issuer: "http://127.0.0.1:1", client_id: a, key_file: key.json}\n'
        'upstreams: {vkp: {kind: vkp, url: "http://127.0.0.1:1"}}\n'
        'municipalities: {nordfjell: {name: Nordfjell, orgnr: "312229544", epj: {system: Gerica, generation: legacy}}}\n'
        "routes:\n  - {mode: legacy}\n  - {municipality: nordfjell, mode: closed, text: Stengt.}\n"
    )
    found = [str(one) for one in load_text(text, "routes.yaml").problems if "reuse_port" in one.text]
    told = "needs a postgresql store: several processes cannot share a SQLite file"
    assert found == [f"routes.yaml:8:5: mode closed with listen.reuse_port {told}"]
    for alone in (text.replace("reuse_port: true", "reuse_port: false"), text + 'store: "postgresql://vkp@db/vkp"\n'):
        assert not [one for one in load_text(alone, "routes.yaml").problems if "reuse_port" in one.text]
