"""Many senders at once, some of them slow: what a `serve` process needs for them, and that it gives everything back.

By hand, with the figures printed:

    LOAD_IDLE=10000 LOAD_BUSY=1000 pytest -s tests/load
"""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import socket
import struct
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

pytestmark = pytest.mark.slow

BUSY = int(os.environ.get("LOAD_BUSY", "200"))
SLOW = 50
_SPARE = 2 * BUSY + 4 * SLOW + 200
_ALLOWED = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
_ROOM = _ALLOWED - _SPARE if _ALLOWED != resource.RLIM_INFINITY else sys.maxsize
IDLE = min(int(os.environ.get("LOAD_IDLE", "2000")), _ROOM)
"""As many as were asked for, or as the machine allows open files: every bound below goes by this number."""
"""Slow readers, and as many slow writers."""
REQUESTS = 5
"""Requests on each busy connection."""
REPETITIONS = 3
AT_A_TIME = 200
"""Connections that are opened at once."""
LARGE = 2_000_000
"""Bytes of the answers that slow readers ask for."""
BODY = b"x" * 400
"""What a slow writer sends, one byte at a time."""
PATIENCE = 120.0

IDLE_BYTES = 8_192
"""Memory for an idle connection, at most."""
BUSY_BYTES = 65_536
"""For a busy one, with its connection to VKP and the message under way."""
READER_BYTES = 1_000_000
"""For a slow reader: far less than the answers that wait for it."""
WRITER_BYTES = 65_536
SLACK = 4_000_000
"""Bytes that a process may need once, for whatever reason."""

ROUTES = """\
version: 1
environment: test
listen: {{data: "127.0.0.1:{data}", admin: "127.0.0.1:{admin}"}}
helseid: {{issuer: "http://127.0.0.1:9", client_id: none, key_file: none}}
upstreams:
  vkp: {{kind: vkp, url: "{vkp}", connections: {{most: {most}, idle: 500ms}}}}
municipalities:
  nordfjell: {{name: Nordfjell, orgnr: "312229544", epj: {{system: Gerica, generation: legacy}}}}
routes: [{{mode: legacy}}]
"""
HEAD = b"POST /epj/r4/312229544/bundle?%b HTTP/1.1\r\nHost: vkp\r\nContent-Length: %d\r\n\r\n"


class Vkp(asyncio.Protocol):
    """Answers each request with `ok`, or with a large body where the target says so."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of a request; the next comes only after the answer."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) == int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            size = LARGE if b"?large" in head else 2
            self._data = b""
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"o" * size)


class Sender(asyncio.Protocol):
    """One sender's connection."""

    def __init__(self) -> None:
        self._answered: asyncio.Future[bytes] | None = None
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, raw: bytes) -> asyncio.Future[bytes]:
        """Send a request, or its first bytes; return its status line when the answer is complete."""
        self._answered = asyncio.get_running_loop().create_future()
        self._head, self._missing = b"", 0
        self.transport.write(raw)
        return self._answered

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of an answer."""
        if not self._missing:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._missing = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
        else:
            self._missing -= len(data)
        if not self._missing and self._answered is not None:
            self._answered.set_result(self._head.partition(b"\r\n")[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("closed before the answer"))
            self._answered.exception()

    def reset(self) -> None:
        """Vanish, without a connection that lingers on this side."""
        link = self.transport.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


@dataclass
class Served:
    """A `serve` process."""

    pid: int
    port: int
    senders: list[Sender] = field(default_factory=list)

    @property
    def memory(self) -> int:
        """Its resident bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    @property
    def files(self) -> int:
        """How many files it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def connect(self, count: int) -> list[Sender]:
        """Open connections."""
        loop = asyncio.get_running_loop()
        made: list[Sender] = []
        while len(made) < count:
            some = min(AT_A_TIME, count - len(made))
            opening = (loop.create_connection(Sender, "127.0.0.1", self.port) for _ in range(some))
            made += [sender for _, sender in await asyncio.gather(*opening)]
        self.senders += made
        return made

    async def close_all(self, files: int) -> None:
        """Close every connection, and wait until as few files are open as at the start."""
        for number, sender in enumerate(self.senders):
            if number % 2:
                sender.transport.close()
            else:
                sender.reset()
        self.senders.clear()
        async with asyncio.timeout(PATIENCE):
            while self.files > files:  # noqa: ASYNC110 - nothing tells when another process closes a file
                await asyncio.sleep(0.01)


@pytest.fixture
def enough_files() -> Iterator[None]:
    """Allow as many open files as the connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = IDLE + _SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def served(tmp_path: Path, enough_files: None) -> AsyncIterator[Served]:
    """Start a gateway in front of a VKP that answers at once."""
    del enough_files
    vkp = await asyncio.get_running_loop().create_server(Vkp, "127.0.0.1", 0, backlog=1024)
    port, admin = free_ports(2)
    url = f"http://127.0.0.1:{vkp.sockets[0].getsockname()[1]}"
    config = tmp_path / "routes.yaml"
    config.write_text(ROUTES.format(data=port, admin=admin, vkp=url, most=BUSY + 3 * SLOW), encoding="utf-8")
    with (tmp_path / "log").open("wb") as log:
        command = (sys.executable, "-m", "gateway", "serve", "--config", str(config))
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=PIPE)
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        assert b"gateway.started" in await process.stderr.readline()
    reading = asyncio.get_running_loop().create_task(drop(process.stderr))
    made = Served(process.pid, port)
    yield made
    process.terminate()
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    await reading
    vkp.close()


async def drop(stream: asyncio.StreamReader) -> None:
    """Read a log to its end."""
    while await stream.read(1_000_000):
        pass


def request(what: bytes = b"small", body: bytes = b"{}") -> bytes:
    """Write a request."""
    return HEAD % (what, len(body)) + body


async def all_right(answers: Awaitable[list[bytes]]) -> None:
    """Check that every answer came and is 200."""
    async with asyncio.timeout(PATIENCE):
        assert set(await answers) == {b"HTTP/1.1 200 OK"}


async def busy(sender: Sender, trickle: Iterator[None]) -> list[bytes]:
    """Send requests one after the other; each answer lets slow writers go on."""
    seen = []
    for _ in range(REQUESTS):
        seen.append(await sender.ask(request()))
        next(trickle, None)
    return seen


def trickling(writers: list[Sender]) -> Iterator[None]:
    """Send a slow writer's next byte at each step, in turn; the last byte of each is kept back."""
    for byte in BODY[:-1]:
        for writer in writers:
            writer.transport.write(bytes([byte]))
            yield


@dataclass
class Figures:
    """Resident bytes of one repetition."""

    before: int
    idle: int = 0
    peak: int = 0
    after: int = 0

    def __str__(self) -> str:
        names = ("before", "idle", "peak", "after")
        return ", ".join(f"{name} {getattr(self, name) / 1e6:.1f} MB" for name in names)


async def repetition(served: Served, files: int) -> Figures:
    """Open everything, let the busy ones work beside the slow ones, and close everything."""
    figures = Figures(served.memory)
    idle = await served.connect(IDLE)
    for start in range(0, IDLE, AT_A_TIME):
        await all_right(asyncio.gather(*(sender.ask(request()) for sender in idle[start : start + AT_A_TIME])))
    figures.idle = served.memory

    readers, writers, workers = [await served.connect(count) for count in (SLOW, SLOW, BUSY)]
    large = []
    for reader in readers:
        reader.transport.pause_reading()
        large.append(reader.ask(request(b"large")))
    slow = [writer.ask(HEAD % (b"slow", len(BODY))) for writer in writers]
    trickle = trickling(writers)
    work = asyncio.gather(*(busy(sender, trickle) for sender in workers))
    async with asyncio.timeout(PATIENCE):
        answers = list(itertools.chain.from_iterable(await work))
    assert answers == [b"HTTP/1.1 200 OK"] * BUSY * REQUESTS
    figures.peak = served.memory
    assert not any(each.done() for each in (*large, *slow))

    for _ in trickle:
        pass
    for writer in writers:
        writer.transport.write(BODY[-1:])
    await all_right(asyncio.gather(*slow))
    for reader in readers[: SLOW // 2]:
        reader.transport.resume_reading()
    await all_right(asyncio.gather(*large[: SLOW // 2]))
    await served.close_all(files)
    figures.after = served.memory
    return figures


async def test_memory_and_files_are_bounded_and_given_back(served: Served) -> None:
    """Idle and slow senders cost little and hold up nobody; what they cost is not kept, however often they come."""
    files = served.files
    seen = []
    for _ in range(REPETITIONS):
        seen.append(await repetition(served, files))
        print(f"{IDLE} idle, {BUSY} busy, {2 * SLOW} slow: {seen[-1]}")  # noqa: T201 - shown with -s
    start = seen[0].before
    for figures in seen:
        assert figures.idle - start < IDLE * IDLE_BYTES + SLACK, str(figures)
        most = IDLE * IDLE_BYTES + BUSY * BUSY_BYTES + SLOW * (READER_BYTES + WRITER_BYTES) + SLACK
        assert figures.peak - start < most, str(figures)
    assert seen[-1].peak < seen[0].peak + SLACK, [str(figures) for figures in seen]
    assert served.files == files
