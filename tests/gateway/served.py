"""`vkp-gateway serve` as a process, with its log."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.world import World


class Served:
    """A running `serve`."""

    def __init__(self, process: asyncio.subprocess.Process, world: World) -> None:
        self.process = process
        self.address = f"http://127.0.0.1:{world.admin_port}"
        self.lines: list[dict[str, Any]] = []

    async def until(self, event: str) -> dict[str, Any]:
        """Read the log up to an event."""
        assert self.process.stderr is not None
        async with asyncio.timeout(120):
            while line := await self.process.stderr.readline():
                self.lines.append(json.loads(line))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        raise AssertionError(f"ended before {event}: {self.lines}")


async def spawn(world: World, *options: str) -> asyncio.subprocess.Process:
    """Start `serve` with the world's configuration."""
    command = (sys.executable, "-m", "gateway", "serve", "--config", str(world.config), *options)
    return await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONWARNINGS": "error"}
    )


@asynccontextmanager
async def served(world: World, *options: str, ready: str = "gateway.started") -> AsyncIterator[Served]:
    """Run `serve` until the test is over."""
    process = await spawn(world, *options)
    running = Served(process, world)
    try:
        await running.until(ready)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), 120)
