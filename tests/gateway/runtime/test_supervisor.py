"""`serve --workers 2`: real processes, and the signals by which they are run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.runtime.supervisor import Supervisor, WorkerFailed, _Worker
from tests.gateway.conftest import HAVNES, NORDFJELL, ROUTES, message
from tests.gateway.wire import read_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.conftest import World
    from tests.gateway.wire import RawUpstream

pytestmark = pytest.mark.slow

PATH = f"/epj/r4/{NORDFJELL}/composition"
LEGACY = "  - {mode: legacy}\n"
PATIENCE = 30.0
"""Seconds after which a test gives up."""


def write(world: World, **changes: Any) -> None:
    """Write routes.yaml with other settings, and with record systems that VKP reaches."""
    world.write(**changes)
    text = world.config.read_text(encoding="utf-8").replace("generation: new", "generation: legacy")
    world.config.write_text(text, encoding="utf-8")


class Served:
    """A `serve --workers 2` and what it and its workers wrote to standard error."""

    def __init__(self, process: Process, world: World) -> None:
        self.process = process
        self.world = world
        self.lines: list[str] = []
        self.again = 0
        """How many connections had to be opened again."""
        self._more = asyncio.Event()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())
            self._more.set()

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name so far."""
        events = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    async def until(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an event was logged `count` times."""
        async with asyncio.timeout(PATIENCE):
            while len(self.named(name)) < count:
                self._more.clear()
                await self._more.wait()
        return self.named(name)

    @property
    def workers(self) -> list[int]:
        """Every worker that was ever started, by its process id."""
        return [event["pid"] for event in self.named("worker.started")]

    async def end(self) -> int:
        """Wait until it has ended, and every worker too; return its exit code."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            await self._reading
            for pid in self.workers:
                await ended(pid)
        return code

    async def request(self) -> bytes:
        """Send a request on a connection of its own; return the answer's body.

        A connection that is reset before the answer begins is opened again, as senders do: the kernel had given it to a
        worker at the moment it stopped listening.
        """
        for attempt in range(3):
            try:
                answer = await self.world.post(PATH, message("note"))
            except (ConnectionError, AssertionError):
                if attempt == 2:
                    raise
                self.again += 1
                continue
            assert answer.status == 200, answer.body
            return answer.body
        raise AssertionError

    async def counted(self) -> float:
        """Return how many messages the admin port says have passed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.world.admin_port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
        answer = await read_message(reader, answer=True)
        writer.close()
        assert answer is not None
        passed = re.findall(rb'^vkp_gateway_messages_total\{.*outcome="passed".*\} (\S+)$', answer.body, re.MULTILINE)
        return sum(map(float, passed))


async def ended(pid: int) -> None:
    """Wait until a process has ended, whoever's child it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


def connections(pid: int) -> int:
    """Return how many sockets a process has open."""
    links = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(each.readlink()))
    return sum(link.startswith("socket:") for link in links)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
async def serve(
    start: Callable[..., Awaitable[World]],
) -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """Start `serve --workers 2` with only legacy routes, and end it; `change` prepares its world."""
    all_served: list[Served] = []

    async def started(*, ready: bool = True, change: Callable[[World], None] | None = None) -> Served:
        world = await start(serve=False)
        write(world, routes=LEGACY)
        if change is not None:
            change(world)
        command = (sys.executable, "-m", "gateway", "serve", "--config", str(world.config), "--workers", "2")
        served = Served(await asyncio.create_subprocess_exec(*command, stderr=PIPE), world)
        all_served.append(served)
        if ready:
            await served.until("supervisor.started")
        return served

    yield started
    for served in all_served:
        if served.process.returncode is None:
            served.process.terminate()
        await served.end()


async def test_both_workers_serve_and_their_metrics_add_up(serve: Callable[..., Awaitable[Served]]) -> None:
    """The kernel spreads connections over the workers; what they counted is one sum on the supervisor's admin port."""
    served = await serve()
    before = {pid: connections(pid) for pid in served.workers}
    writers = []
    request = served.world.request(PATH, message("note")).replace(b"Connection: close\r\n", b"")
    for _ in range(40):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.world.data_port)
        writers.append(writer)
        writer.write(request)
        answer = await asyncio.wait_for(served.world.read_answer(reader), PATIENCE)
        assert answer is not None
        assert answer.status == 200
    more = {pid: connections(pid) - count for pid, count in before.items()}
    for writer in writers:
        writer.close()
    assert len(more) == 2
    assert all(count > 5 for count in more.values()), more
    async with asyncio.timeout(PATIENCE):
        while await served.counted() < 40:
            pass
    assert await served.counted() == 40


async def test_worker_that_dies_is_replaced_and_keeps_what_it_counted(serve: Callable[..., Awaitable[Served]]) -> None:
    """While one is away the other serves; then there are two again."""
    served = await serve()
    for _ in range(10):
        await served.request()
    os.kill(served.workers[0], signal.SIGKILL)
    (ended,) = await served.until("worker.ended")
    assert (ended["pid"], ended["code"]) == (served.workers[0], -signal.SIGKILL)
    for _ in range(10):
        await served.request()
    await served.until("worker.started", 3)
    for _ in range(10):
        await served.request()
    assert [is_alive(pid) for pid in served.workers] == [False, True, True]
    async with asyncio.timeout(PATIENCE):
        while await served.counted() < 30:
            pass


async def test_roll_replaces_both_without_a_failed_request(serve: Callable[..., Awaitable[Served]]) -> None:
    """SIGUSR2: senders that connect anew are answered all the time, and in the end by new processes alone.

    Where a new one cannot start, the roll stops and those that serve go on.
    """
    served = await serve()
    rolled = asyncio.Event()
    answered = 0

    async def send() -> None:
        nonlocal answered
        while not rolled.is_set():
            await served.request()
            answered += 1

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as senders:
        for _ in range(4):
            senders.create_task(send())
        served.process.send_signal(signal.SIGUSR2)
        await served.until("supervisor.rolled")
        rolled.set()
    assert answered > 20
    assert served.again <= 8, "four senders, two workers that stop: each can hit each once"
    assert [is_alive(pid) for pid in served.workers] == [False, False, True, True]
    assert not served.named("worker.ended")
    (served.world.folder / "key.json").write_text("{}", encoding="utf-8")
    served.process.send_signal(signal.SIGUSR2)
    await served.until("supervisor.roll_stopped")
    assert [is_alive(pid) for pid in served.workers] == [False, False, True, True]
    await served.request()


async def test_reload_reaches_every_worker_or_none(
    serve: Callable[..., Awaitable[Served]], raw_upstream: RawUpstream
) -> None:
    """SIGHUP: a good file is taken by all; one with an error, or that several workers may not serve, by none."""
    served = await serve()
    await raw_upstream.start()
    for count, routes in enumerate(("  - {mode: legcay}\n", ROUTES), start=1):
        write(served.world, routes=routes, vkp=raw_upstream.url)
        served.process.send_signal(signal.SIGHUP)
        refused = await served.until("reload.refused", count)
        assert str(served.world.config) in refused[-1]["problems"][0]
        assert {await served.request() for _ in range(20)} != {b"ok"}
    assert not served.named("reload.taken")
    write(served.world, routes=LEGACY)
    served.process.send_signal(signal.SIGHUP)
    await served.until("reload.taken", 2)
    assert {await served.request() for _ in range(20)} == {b"ok"}
    assert len(served.named("reload.refused")) == 2
    await raw_upstream.stop()


async def test_worker_that_starts_again_serves_by_what_was_taken(serve: Callable[..., Awaitable[Served]]) -> None:
    """Not by what has been refused since: half of the messages would go by another table than the other half."""
    served = await serve()
    write(served.world, routes="  - {mode: legcay}\n")
    served.process.send_signal(signal.SIGHUP)
    await served.until("reload.refused")
    os.kill(served.workers[0], signal.SIGKILL)
    await served.until("worker.started", 3)
    for _ in range(20):
        await served.request()
    assert [is_alive(pid) for pid in served.workers] == [False, True, True]


async def test_sigterm_ends_everything(serve: Callable[..., Awaitable[Served]]) -> None:
    """Exit 0, and no process left behind: not even one that a roll has just started, or the one it was to replace."""
    served = await serve()
    await served.request()
    served.process.send_signal(signal.SIGUSR2)
    await served.until("gateway.started", 3)
    served.process.terminate()
    assert await served.end() == 0


async def test_workers_end_with_a_supervisor_that_is_killed(serve: Callable[..., Awaitable[Served]]) -> None:
    """However the supervisor dies, nothing goes on serving that nobody can stop."""
    served = await serve()
    served.process.kill()
    assert await served.end() == -signal.SIGKILL
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", served.world.data_port)


@pytest.mark.parametrize(("problem", "message"), [("port", "cannot listen"), ("key", "helseid.key_file")])
async def test_workers_that_cannot_start_end_it(
    serve: Callable[..., Awaitable[Served]], problem: str, message: str
) -> None:
    """Exit 1, with the reason, and with nothing left running."""
    with socket.socket() as taken:

        def spoil(world: World) -> None:
            if problem == "port":
                taken.bind(("127.0.0.1", world.data_port))
                taken.listen()
            else:
                (world.folder / "key.json").write_text("{}", encoding="utf-8")

        served = await serve(ready=False, change=spoil)
        assert await served.end() == 1, served.lines
    errors = [line for line in served.lines if line.startswith("Error: ")]
    assert message in errors[0]
    assert "exit code 1" in errors[1]


async def test_what_workers_cannot_share_is_refused(serve: Callable[..., Awaitable[Served]]) -> None:
    """Exit 2, with the place of every route that is not legacy."""
    served = await serve(ready=False, change=lambda world: write(world, routes=ROUTES))
    assert await served.end() == 2
    moved = [line for line in served.world.config.read_text().splitlines() if "mode:" in line and "legacy}" not in line]
    assert len(served.lines) == len(moved)
    assert all(line.startswith(f"{served.world.config}:") and "more than one worker" in line for line in served.lines)
    assert HAVNES not in "".join(served.lines)


class _Process:
    """A worker's process that ends when it is told to, or has ended."""

    def __init__(self, pid: int, returncode: int | None) -> None:
        self.pid, self.returncode = pid, returncode
        self.ended = asyncio.Event()

    async def wait(self) -> int | None:
        if self.returncode is None:
            await self.ended.wait()
        return self.returncode


async def test_worker_that_cannot_start_again_is_tried_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause doubles up to half a minute, however long the worker had served before."""
    made: Any = Supervisor("routes.yaml", None, 1)  # type: ignore[arg-type]
    long_ago = asyncio.get_running_loop().time() - 100
    made._workers = [_Worker(_Process(1, 1), long_ago)]  # type: ignore[arg-type]
    pauses: list[float] = []
    back = asyncio.Event()

    async def start() -> _Worker:
        if len(pauses) < 9:
            raise WorkerFailed
        back.set()
        return _Worker(_Process(2, None), 0.0)  # type: ignore[arg-type]

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    made._start = start
    monkeypatch.setattr(asyncio, "sleep", pause)
    keeping = asyncio.get_running_loop().create_task(made._keep(0))
    await asyncio.wait_for(back.wait(), PATIENCE)
    keeping.cancel()
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


async def test_worker_that_a_roll_replaced_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ended just before a roll has one successor, not two."""
    made: Any = Supervisor("routes.yaml", None, 1)  # type: ignore[arg-type]
    made._workers = [_Worker(_Process(1, 1), 0.0)]  # type: ignore[arg-type]
    paused = asyncio.Event()
    started: list[_Worker] = []

    async def start() -> _Worker:
        started.append(_Worker(_Process(2, None), 0.0))  # type: ignore[arg-type]
        return started[-1]

    async def pause(_seconds: float) -> None:
        made._workers = [await start()]
        paused.set()

    made._start = start
    monkeypatch.setattr(asyncio, "sleep", pause)
    keeping = asyncio.get_running_loop().create_task(made._keep(0))
    await asyncio.wait_for(paused.wait(), PATIENCE)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    assert made._workers == started
    assert len(started) == 1
