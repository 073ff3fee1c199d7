"""`serve` as a process over TLS: new files, bounds, and answers that wait for slow readers."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.wire import RawUpstream, read_message
from tests.waiting import HANGS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.authority import Authority
    from tests.gateway.world import World
from tests.gateway.proxy.tls_senders import BUNDLE, NAME, connection, post, shown_by

pytestmark = pytest.mark.slow

LEGACY = """\
version: 1
environment: test
listen: {{data: "127.0.0.1:{data}", admin: "127.0.0.1:{admin}"}}
tls: {{cert_file: server.pem, key_file: server.key}}
helseid: {{issuer: "http://127.0.0.1:9", client_id: none, key_file: none}}
upstreams:
  vkp: {{kind: vkp, url: "{vkp}"}}
municipalities:
  nordfjell: {{name: Nordfjell, orgnr: "312229544", epj: {{system: Gerica, generation: legacy}}}}
routes:
  - {{mode: legacy}}
"""


@asynccontextmanager
async def process(world: World, text: str, *more: str) -> AsyncIterator[tuple[Any, Callable[[str, int], Any]]]:
    """Run `serve`; give the process, and how to wait until an event was logged so many times."""
    world.config.write_text(text, encoding="utf-8")
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", str(world.config), *more),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert running.stderr is not None
    stream = running.stderr

    async def logged(event: str, times: int) -> None:
        async with asyncio.timeout(120):
            while times:
                times -= json.loads(await stream.readline())["event"] == event

    try:
        yield running, logged
    finally:
        if running.returncode is None:
            running.terminate()
        assert await asyncio.wait_for(running.wait(), 120) == 0


async def test_process_serves_tls_and_takes_new_files(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream
) -> None:
    """With uvloop, as `serve` runs; SIGHUP takes the files at once."""
    world = await start(serve=False, vkp=raw_upstream)
    text = LEGACY.format(data=world.data_port, admin=world.admin_port, vkp=raw_upstream.url)
    trusting = authority.trusting()
    async with process(world, text) as (running, logged):
        await logged("gateway.started", 1)
        for _ in range(4):
            assert (await post(world, trusting)).status == 200
        async with connection(world, trusting) as (_, writer):
            before = shown_by(writer)
        authority.issue("server", NAME, life=dt.timedelta(days=2))
        running.send_signal(signal.SIGHUP)
        await logged("reload.taken", 1)
        for _ in range(4):
            async with connection(world, trusting) as (_, writer):
                assert shown_by(writer) != before
        reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port, ssl=trusting, server_hostname=NAME)
        writer.write(world.request(BUNDLE).replace(b"Connection: close\r\n", b""))
        assert await asyncio.wait_for(read_message(reader, answer=True), 120) is not None
        running.terminate()
        # Idle connections are ended; a sender that is told so agrees.
        assert await asyncio.wait_for(reader.read(), 120) == b""
        writer.close()


@pytest.mark.parametrize("encrypted_port", [True, False], ids=["TLS", "plain"])
async def test_a_process_reads_whom_a_balancer_names(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream, encrypted_port: bool
) -> None:
    """With uvloop too: a header that comes in two parts, then a handshake, then a request."""
    world = await start(serve=False, vkp=raw_upstream)
    text = LEGACY.format(data=world.data_port, admin=world.admin_port, vkp=raw_upstream.url)
    text = text.replace("helseid:", "limits: {balancers: [127.0.0.0/8]}\nhelseid:", 1)
    text = text.replace("listen: {", "listen: {proxy_protocol: true, ", 1)
    text = text.replace('"}\nmunicip', '", forwarded: x-forwarded}\nmunicip', 1)
    if not encrypted_port:
        text = text.replace("tls: {cert_file: server.pem, key_file: server.key}\n", "")
    async with process(world, text) as (_, logged), asyncio.timeout(120):
        await logged("gateway.started", 1)
        for source in (b"192.0.2.7", b"192.0.2.8"):
            reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
            writer.write(b"PROXY TCP4 ")
            await asyncio.sleep(0.05)
            writer.write(source + b" 192.0.2.80 56324 443\r\n")
            if encrypted_port:
                await writer.start_tls(authority.trusting(), server_hostname=NAME)
            writer.write(world.request(BUNDLE, b"{}"))
            assert await read_message(reader, answer=True) is not None
            assert raw_upstream.seen.get_nowait().values("x-forwarded-for") == [source]
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
        writer.write(world.request(BUNDLE))
        await logged("proxy.header_refused", 1)
        writer.close()


@pytest.mark.parametrize("encrypted_port", [True, False], ids=["TLS", "plain"])
async def test_a_process_bounds_connections_and_goes_on(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream, encrypted_port: bool
) -> None:
    """With uvloop too: what is beyond the bound is closed, before a handshake as well, and room comes back."""
    world = await start(serve=False, vkp=raw_upstream)
    text = LEGACY.format(data=world.data_port, admin=world.admin_port, vkp=raw_upstream.url)
    text = text.replace("helseid:", "limits: {connections_per_address: 3}\nhelseid:", 1)
    if not encrypted_port:
        text = text.replace("tls: {cert_file: server.pem, key_file: server.key}\n", "")
    async with process(world, text) as (_, logged):
        await logged("gateway.started", 1)
        for _ in range(3):
            opened = [await asyncio.open_connection("127.0.0.1", world.data_port) for _ in range(4)]
            # Which are too many depends on whether the last request's connection is forgotten yet.
            reads = [asyncio.get_running_loop().create_task(reader.read()) for reader, _ in opened]
            ended, _ = await asyncio.wait(reads, timeout=HANGS, return_when=asyncio.FIRST_COMPLETED)
            assert {one.result() for one in ended} == {b""}
            assert len(ended) <= 2, "the others are let in"
            for _, each in opened:
                each.close()
            await asyncio.gather(*reads)

            async def is_let_in() -> bool:
                with suppress(AssertionError, OSError):  # as long as those that were closed count
                    answer = post(world, authority.trusting()) if encrypted_port else world.post(BUNDLE, b"{}")
                    return (await answer).status == 200
                return False

            await until(is_let_in)


async def test_an_answer_over_tls_waits_for_a_slow_reader(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream
) -> None:
    """VKP is read no faster than the sender reads, and everything comes."""
    world = await start(serve=False, vkp=raw_upstream)
    sent = 0
    size = 80_000_000

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()

    raw_upstream.play = play
    text = LEGACY.format(data=world.data_port, admin=world.admin_port, vkp=raw_upstream.url)
    async with process(world, text) as (_, logged):
        await logged("gateway.started", 1)
        async with connection(world, authority.trusting()) as (reader, writer), asyncio.timeout(120):
            writer.write(world.request("/epj/r4/x", method="GET", length=False))
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1.5)
            assert sent < size - 5_000_000
            assert len(await reader.readexactly(size)) == size
