"""Two whole gateways on one PostgreSQL: what people set at one holds at the other, within a second."""

from __future__ import annotations

import asyncio
import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.config.model import Role
from gateway.tasks import USUAL
from tests.gateway.asking import ask, let_in
from tests.gateway.world import NORDFJELL, World, message
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

NOTE = f"/epj/r4/{NORDFJELL}/composition"


@pytest.fixture
async def nodes(start: Callable[..., Awaitable[World]], postgres: str) -> AsyncIterator[tuple[World, World]]:
    """Start two gateways that share a database, each on ports of its own, with an operator's program at the first."""
    first = await start(serve=False)
    let_in(first, (Role.OPERATOR,), top=f'store: "{postgres}"\n')
    folder = first.folder / "second"
    shutil.copytree(first.folder / "var", folder / "var")
    shutil.copy(first.folder / "key.json", folder)
    data, admin = free_ports(2)
    second = World(folder, data, first.helseid, first.vkp, first.jft, first.logged, dict(first.settings), admin)
    second.write(data=data, admin=admin)
    await first.serve()
    await second.serve()
    yield first, second
    await asyncio.gather(first.stop(), second.stop())


async def until_told(world: World, status: int) -> None:
    """Send notes until they are answered with this status: 200 is VKP's, 400 of what is closed."""
    async with asyncio.timeout(120):
        while (await world.post(NOTE, message("note"))).status != status:
            pass


async def until_shown(world: World, *layers: str) -> None:
    """Ask a node for its routes until these lie over those of the file."""
    async with asyncio.timeout(120):
        while True:
            routes = (await ask(world, "GET", "/api/v1/routes")).document["routes"]
            if tuple(rule["layer"] for rule in routes if rule["layer"] != "routes") == layers:
                return


async def test_override_and_panic_hold_at_both_nodes(nodes: tuple[World, World]) -> None:
    """Set, changed and taken back at one; the other looks more often than once in a second."""
    assert USUAL.layers < 1
    one, other = nodes
    until = datetime.fromtimestamp(int(time.time()) + 3600, UTC).isoformat()
    wanted = {"municipality": "nordfjell", "mode": "closed", "text": "Stengt i dag.", "ticket": "S-1", "until": until}
    answer = await ask(one, "POST", "/api/v1/overrides", {**wanted, "reason": "Feil hos leverandøren"})
    assert answer.status == 201, answer
    await until_told(one, 400)
    await until_told(other, 400)
    panic = await ask(one, "POST", "/api/v1/panics", {"municipality": "nordfjell", "reason": "Journalen er nede"})
    assert panic.status == 201, panic
    before = len(one.vkp.received)
    await until_told(other, 200)
    assert len(one.vkp.received) > before, "VKP answers again, through the node that was not asked"
    for world in nodes:
        await until_shown(world, "panic", "override")
    assert (await ask(one, "DELETE", f"/api/v1/panics/{panic.document['id']}?reason=Over")).status == 200
    await until_told(other, 400)
