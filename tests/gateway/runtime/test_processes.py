"""Several `serve` on one machine, and one that restarts: real processes that share a port, or a socket that outlives them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.wire import read_message
from tests.gateway.world import NORDFJELL, message
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

pytestmark = pytest.mark.slow
PATH = f"/epj/r4/{NORDFJELL}/composition"
LEGACY = "  - {mode: legacy}\n"
CLOSED = '  - {mode: closed, text: "Stengt."}\n'
PATIENCE = 120.0
"""Seconds after which a test gives up."""
_LAUNCH = """\
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
for number, descriptor in enumerate(map(int, os.environ.pop("GIVEN").split())):
    os.dup2(descriptor, 3 + number)
os.execv(sys.executable, [sys.executable, "-m", "gateway", *sys.argv[1:]])
"""
"""Starts a gateway as systemd does: with sockets from descriptor 3 on, and its own process id."""


def write(world: World, **changes: Any) -> None:
    """Write routes.yaml with record systems that VKP reaches, and a port that is shared if `shared` says so."""
    shared = changes.pop("shared", None)
    world.write(**changes)
    text = world.config.read_text(encoding="utf-8").replace("generation: new", "generation: legacy")
    if shared:
        text = re.sub(r"^listen: \{", "listen: {reuse_port: true, ", text, flags=re.MULTILINE)
        assert "reuse_port" in text
    world.config.write_text(text, encoding="utf-8")


def without_keys(world: World) -> None:
    """Take the keys of a ledger away: then none is opened as long as VKP answers everything."""
    shutil.rmtree(world.folder / "var")


class Served:
    """A running `serve`, and what it wrote to standard error."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = asyncio.Event()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())
            self._more.set()
        self._more.set()

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name so far."""
        events = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    async def until(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an event was logged `count` times."""
        async with asyncio.timeout(PATIENCE):
            while len(self.named(name)) < count:
                assert not self._reading.done(), self.lines
                self._more.clear()
                await self._more.wait()
        return self.named(name)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            await self._reading
        return code


@asynccontextmanager
async def serve(
    world: World,
    *options: str,
    sockets: dict[str, socket.socket] | None = None,
    ready: bool = True,
    file: Path | None = None,
) -> AsyncIterator[Served]:
    """Run `serve`, with sockets by name if some are handed over, until the block is left."""
    asked = ["serve", "--config", str(file or world.config), *options]
    command, environment, given = [sys.executable, "-m", "gateway", *asked], dict(os.environ), ()
    if sockets:
        given = tuple(one.fileno() for one in sockets.values())
        told = {"LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": ":".join(sockets), "GIVEN": " ".join(map(str, given))}
        command, environment = [sys.executable, "-c", _LAUNCH, *asked], {**environment, **told}
    process = await asyncio.create_subprocess_exec(*command, stderr=PIPE, env=environment, pass_fds=given)
    served = Served(process)
    try:
        if ready:
            await served.until("gateway.started")
        yield served
    finally:
        await served.end()


def listening() -> socket.socket:
    """Open a socket as systemd does for a socket unit."""
    opened = socket.create_server(("127.0.0.1", 0), backlog=128)
    opened.set_inheritable(True)
    return opened


async def passed(port: int) -> float:
    """Return how many messages the admin port at `port` says have passed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port)
    answer = await read_message(reader, answer=True)
    writer.close()
    assert answer is not None
    found = re.findall(rb'^vkp_gateway_messages_total\{.*outcome="passed".*\} (\S+)$', answer.body, re.MULTILINE)
    return sum(map(float, found))


async def post(world: World, port: int) -> int:
    """Send a note on a connection of its own; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(world.request(PATH, message("note")))
    answer = await asyncio.wait_for(world.read_answer(reader), PATIENCE)
    writer.close()
    assert answer is not None, "the connection was lost"
    return answer.status


async def test_two_processes_share_a_port_and_each_has_its_own_metrics(start: Start) -> None:
    """`listen.reuse_port`: the system spreads connections; each admin port tells of its own process alone."""
    world = await start(serve=False)
    (other,) = free_ports(1)
    write(world, routes=LEGACY, shared=True)
    without_keys(world)
    async with serve(world), serve(world, "--admin-port", str(other)):
        for _ in range(40):
            assert await post(world, world.data_port) == 200
        counts = [await passed(world.admin_port), await passed(other)]
        async with asyncio.timeout(PATIENCE):
            while sum(counts) < 40:
                counts = [await passed(world.admin_port), await passed(other)]
    assert sum(counts) == 40
    assert all(count > 3 for count in counts), counts


async def test_reload_is_refused_that_others_on_the_file_would_have_to_know_of(start: Start) -> None:
    """A mode other than legacy on SQLite: the reason says which process is there too; when that has gone, it is taken."""
    world = await start(serve=False)
    data, admin = free_ports(2)
    without_keys(world)
    write(world, routes=LEGACY)
    beside = world.config.with_name("beside.yaml")
    text = world.config.read_text(encoding="utf-8")
    beside.write_text(text.replace(str(world.data_port), str(data)), encoding="utf-8")
    async with serve(world) as first:
        async with serve(world, "--admin-port", str(admin), file=beside) as second:
            write(world, routes=CLOSED)
            first.process.send_signal(signal.SIGHUP)
            (refused,) = await first.until("reload.refused")
            told = f"store: another process uses gateway.db: process {second.process.pid} since 20"
            assert refused["problems"][0].startswith(told)
            assert await post(world, world.data_port) == await post(world, data) == 200
        first.process.send_signal(signal.SIGHUP)
        await first.until("reload.taken")
        assert await post(world, world.data_port) == 400


async def test_connections_wait_while_the_process_restarts(start: Start) -> None:
    """With a socket that is handed over, none is lost or refused: not those between two processes, nor those at the change."""
    world = await start(serve=False)
    write(world, routes=LEGACY)
    with listening() as data, listening() as admin:
        port, sockets = data.getsockname()[1], {"data": data, "admin": admin}
        async with serve(world, sockets=sockets) as first:
            (started,) = first.named("gateway.started")
            assert (started["data"], started["admin"]) == tuple(
                f"127.0.0.1:{one.getsockname()[1]}" for one in (data, admin)
            )
            assert await post(world, port) == 200
            assert await passed(admin.getsockname()[1]) == 1
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", world.data_port)
            assert await first.end() == 0
        waiting = [asyncio.get_running_loop().create_task(post(world, port)) for _ in range(20)]
        async with serve(world, sockets=sockets) as second:
            assert await asyncio.gather(*waiting) == [200] * 20
            async with serve(world, sockets={"data": data, "admin": admin}, ready=False) as third:
                sending = [asyncio.get_running_loop().create_task(senders(world, port)) for _ in range(4)]
                assert await second.end() == 0
                await third.until("gateway.started")
                statuses = [await each for each in sending]
    assert {status for each in statuses for status in each} == {200}


async def senders(world: World, port: int) -> list[int]:
    """Send messages one after the other, each on its own connection."""
    return [await post(world, port) for _ in range(25)]
