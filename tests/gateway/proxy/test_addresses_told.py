"""Who it is that is refused before anybody is trusted: the log tells the address, as the socket or a balancer has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.proxy.connection_limits import RefusalLog
from tests.gateway.authority import Authority
from tests.gateway.proxy.test_proxy_protocol import binary, brought, ended, line
from tests.gateway.proxy.tls_senders import BUNDLE, NAME, TLS
from tests.gateway.world import HAVNES, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.wire import Answer, RawUpstream
    from tests.gateway.world import Logged, World

BALANCER = {"listen": ", proxy_protocol: true"}
LIMITS = ", balancers: [127.0.0.1]"
NOTE = f"/epj/r4/{HAVNES}/composition"
WAYS = pytest.mark.parametrize(
    ("header", "address"),
    [(b"", "127.0.0.1"), (line("192.0.2.7"), "192.0.2.7"), (binary("2001:db8::7"), "2001:db8::7")],
    ids=["socket", "v1", "v2"],
)


def behind(header: bytes) -> dict[str, str]:
    """Return the settings of a gateway whose balancer, if there is one, says whose connections it brings."""
    return {**BALANCER, "limits": LIMITS} if header else {}


async def ask(world: World, header: bytes, request: bytes) -> Answer:
    """Send bytes over a connection of their own."""
    async with brought(world, None, header) as (reader, writer):
        writer.write(request)
        answer = await world.read_answer(reader)
    assert answer is not None
    return answer


@WAYS
async def test_a_request_that_is_refused_before_trust_is_told_with_its_address(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, header: bytes, address: str
) -> None:
    """Bad framing, a head that is too large, no token and too many requests; others' lines are as ever."""
    world = await start(vkp=raw_upstream, rate="2/h", **behind(header))
    large = world.request(BUNDLE).replace(b"\r\n\r\n", b"\r\nX-Large: " + b"x" * 200_000 + b"\r\n\r\n")
    no_token = world.request(NOTE, message("note"), token="")
    good = world.request(NOTE, message("note"))
    framed_twice = world.request(BUNDLE, b"{}").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    for request in (framed_twice, large, no_token, good):
        await ask(world, header, request)
    for _ in range(3):
        last = await ask(world, header, good)
    assert last.status == 429
    lines = world.logged.named("message")
    assert {one["status"] for one in lines} == {400, 431, 401, 200, 429}
    for one in lines:
        assert one.get("address") == (None if one["status"] == 200 else address)
        assert ("address" in one) == (one["status"] != 200)


@WAYS
async def test_a_connection_that_there_is_no_room_for_is_told_with_its_address(
    start: Callable[..., Awaitable[World]], header: bytes, address: str
) -> None:
    """Once, however many there are."""
    settings = behind(header)
    settings["limits"] = settings.get("limits", "") + ", connections_per_address: 1"
    world = await start(**settings)
    async with brought(world, None, header):
        await until(lambda: bool(world.gateway._server._senders))
        for _ in range(3):
            async with brought(world, None, header) as (reader, _):
                assert await reader.read() == b""
    (told,) = world.logged.named("connections.refused")
    assert (told["address"], told["reason"], told["times"]) == (address, "too many connections", 1)


@WAYS
async def test_a_handshake_that_fails_is_told_with_its_address(
    start: Callable[..., Awaitable[World]], tmp_path: Path, header: bytes, address: str
) -> None:
    """And why; who only looks whether the port is open is not."""
    Authority(tmp_path).issue("server", NAME)
    world = await start(**behind(header), top=TLS)
    async with brought(world, None, header) as (reader, writer):
        writer.write_eof()
        await reader.read()
    async with brought(world, None, header) as (reader, writer):
        writer.write(world.request(BUNDLE))
        await reader.read()
    await until(lambda: bool(world.logged.named("tls.handshake_failed")))
    (told,) = world.logged.named("tls.handshake_failed")
    assert (told["address"], told["reason"]) == (address, "http request")


async def test_a_balancer_without_a_header_is_told_by_its_own_address(start: Callable[..., Awaitable[World]]) -> None:
    """It is the only one there is."""
    world = await start(**BALANCER, limits=LIMITS)
    assert await ended(world, b"GET / HTTP/1.1\r\n\r\n") == b""
    assert [one["address"] for one in world.logged.named("proxy.header_refused")] == ["127.0.0.1"]


def test_what_is_refused_again_and_again_is_told_once_in_a_while(logged: Logged) -> None:
    """With how often it was; and so many addresses at a time."""
    now = 0.0
    refusals = RefusalLog(lambda: now, most_told=3)
    for _ in range(5):
        refusals.tell("connections.refused", "192.0.2.1", "why")
    for last in range(2, 9):
        refusals.tell("connections.refused", f"192.0.2.{last}", "why")
    told = [(one["address"], one["times"]) for one in logged.named("connections.refused")]
    assert told == [("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 1)]
    now = 60.0
    refusals.tell("connections.refused", "192.0.2.1", "why")
    refusals.tell("connections.refused", "192.0.2.9", "why")
    told = [(one["address"], one["times"]) for one in logged.named("connections.refused")]
    assert told[3:] == [("192.0.2.1", 5), ("192.0.2.9", 1)]
