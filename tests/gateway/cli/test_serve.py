"""The gateway as a process: how it starts, reloads and ends, and what its admin port serves."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.gateway.served import served
from tests.gateway.world import NORDFJELL, ROUTES, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World


@pytest.mark.slow
async def test_process_serves_reloads_and_ends(start: Callable[..., Awaitable[World]]) -> None:
    """SIGHUP takes a good file and refuses a bad one whole; SIGTERM ends with exit 0; the admin port has two pages."""
    world = await start(serve=False)
    path, body = f"/epj/r4/{NORDFJELL}/composition", message("note")
    async with served(world) as gateway, aiohttp.ClientSession() as session:
        assert (await world.post(path, body)).status == 200

        world.write(routes=ROUTES.replace("  - {mode: legacy}\n", '  - {mode: closed, text: "Stengt i natt."}\n'))
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.until("reload.taken")
        world.assert_refused(await world.post(path, body), 400, "1.2")

        world.write(routes="  - {mode: legacy}\n  - {mode: legcay}\n")
        gateway.process.send_signal(signal.SIGHUP)
        refused = await gateway.until("reload.refused")
        assert any("legcay" in problem for problem in refused["problems"])
        world.assert_refused(await world.post(path, body), 400, "1.2")

        world.write(routes=ROUTES)
        (world.folder / "key.json").rename(world.folder / "away.json")
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.until("reload.refused")
        world.assert_refused(await world.post(path, body), 400, "1.2")

        admin = f"http://127.0.0.1:{world.admin_port}"
        async with session.get(f"{admin}/livez") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with session.get(f"{admin}/metrics") as answer:
            assert answer.status == 200
            metrics = await answer.text()
        assert 'vkp_gateway_reloads_total{result="refused"} 2.0' in metrics
        assert 'vkp_gateway_reloads_total{result="taken"} 1.0' in metrics
        for page in ("/", "/config", "/epj/r4/312229544/bundle", "/stub/received", "/livez/x"):
            async with session.get(f"{admin}{page}") as answer:
                assert answer.status == 404
        async with session.get(f"http://127.0.0.1:{world.data_port}/livez") as answer:
            assert answer.status == 404

        gateway.process.terminate()
        await gateway.until("gateway.stopping")
        assert await asyncio.wait_for(gateway.process.wait(), 120) == 0
    shown = json.dumps(gateway.lines)
    assert "01813210084" not in shown
    assert "eyJ" not in shown


@pytest.mark.slow
async def test_crash_would_write_no_memory_to_a_disk(start: Callable[..., Awaitable[World]]) -> None:
    """It has messages and keys in it; processes that it starts are held to the same."""
    world = await start(serve=False)
    async with served(world) as gateway:
        assert resource.prlimit(gateway.process.pid, resource.RLIMIT_CORE) == (0, 0)
        gateway.process.terminate()
        await gateway.process.wait()


@pytest.mark.slow
async def test_request_in_flight_is_finished_at_the_end(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """SIGTERM lets a message that is on its way come through."""
    world = await start(serve=False, vkp=raw_upstream)
    arrived, released = raw_upstream.hold()
    async with served(world) as gateway, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(world.post(f"/epj/r4/{NORDFJELL}/composition", message("note")))
        await asyncio.wait_for(arrived.wait(), 120)
        gateway.process.terminate()
        await gateway.until("gateway.stopping")
        released.set()
        assert (await sending).status == 200
        assert await asyncio.wait_for(gateway.process.wait(), 120) == 0


@pytest.mark.slow
async def test_garbage_shows_nothing_in_the_log(start: Callable[..., Awaitable[World]]) -> None:
    """Bytes that are no HTTP are refused without being repeated, neither to the sender nor in the log."""
    world = await start(serve=False)
    async with served(world) as gateway:
        for raw in (
            b"POST /epj/r4/312229544/bundle HTTP/1.1\r\nHost: h\r\nX 12834010060: eyJhbGciOiJSUzI1NiJ9.a.b\r\n\r\n",
            b"eyJhbGciOiJSUzI1NiJ9.a.b 12834010060\r\n\r\n",
            b"POST /epj/r4/312229544/bundle?12834010060=\xff HTTP/9.9\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
            writer.write(raw)
            answer = await asyncio.wait_for(reader.read(), 120)
            writer.close()
            assert b"12834010060" not in answer
            assert b"eyJ" not in answer
        gateway.process.terminate()
        assert gateway.process.stderr is not None
        rest = await asyncio.wait_for(gateway.process.stderr.read(), 120)
    assert b"12834010060" not in rest
    assert b"eyJ" not in rest


def serve(world: World) -> Awaitable[asyncio.subprocess.Process]:
    """Start a `serve` that is expected to end by itself."""
    return asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "--config", str(world.config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip


@pytest.mark.slow
async def test_bad_configuration_does_not_start(start: Callable[..., Awaitable[World]]) -> None:
    """Exit 2 with every problem at its place."""
    world = await start(serve=False, routes="  - {mode: legcay}\n", body="1XB")
    process = await serve(world)
    _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 2
    assert errors.decode().count(f"{world.config}:") == 2


@pytest.mark.slow
async def test_missing_key_does_not_start(start: Callable[..., Awaitable[World]]) -> None:
    """Exit 1 with the reason, before anyone is served."""
    world = await start(serve=False)
    (world.folder / "key.json").unlink()
    process = await serve(world)
    _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 1
    assert b"helseid.key_file: key.json: No such file or directory" in errors
    assert b"Traceback" not in errors


@pytest.mark.slow
async def test_missing_keys_of_the_ledger_do_not_start(start: Callable[..., Awaitable[World]]) -> None:
    """Where a service is to answer journalings, the ledger's keys are needed: exit 1 with the command that makes them."""
    world = await start(serve=False)
    (world.folder / "var" / "lookup.key").unlink()
    process = await serve(world)
    _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 1
    assert b"var/lookup.key: there is no such file" in errors
    assert b"vkp-gateway keys init" in errors
    assert b"Traceback" not in errors


@pytest.mark.slow
async def test_gateway_that_passes_everything_needs_no_keys_of_the_ledger(
    start: Callable[..., Awaitable[World]],
) -> None:
    """Where VKP answers everything nothing is written down: neither keys nor a database are needed, and none is made."""
    world = await start(serve=False, routes="  - {mode: legacy}\n")
    text = world.config.read_text(encoding="utf-8").replace("generation: new", "generation: legacy")
    world.config.write_text(text, encoding="utf-8")
    for path in (world.folder / "var").iterdir():
        path.unlink()
    async with served(world):
        assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))).status == 200
    left = {path.name for path in (world.folder / "var").iterdir()}
    assert left == {"gateway.db.lock", "last-good-routes.yaml"}


@pytest.mark.slow
@pytest.mark.parametrize("port", ["data", "admin"])
async def test_busy_port_does_not_start(start: Callable[..., Awaitable[World]], port: str) -> None:
    """Exit 1 with the reason; the other port is not left open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        world = await start(serve=False, **{port: taken.getsockname()[1]})
        process = await serve(world)
        _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 1
    assert b"cannot listen: " in errors
    assert b"Traceback" not in errors
