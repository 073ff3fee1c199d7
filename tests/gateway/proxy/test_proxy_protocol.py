"""Balancers that say whose connections they bring: their header, what follows it, and who is not believed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.observability import metrics
from gateway.proxy.bounds import USUAL_BOUNDS
from gateway.proxy.connection_limits import ConnectionCounter, ConnectionLimits
from gateway.proxy.proxy_protocol import ProxyHeaderError, bytes_missing, source_address
from tests.gateway.authority import Authority
from tests.gateway.proxy.tls_senders import BUNDLE, NAME, TLS
from tests.waiting import until

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    from tests.gateway.clocks import LoopClock
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
FOLLOWING = [b"", b"POST / HTTP/1.1\r\n\r\n", bytes.fromhex("16030100f8010000f4"), b"PROXY TCP4 "]


def line(source: str) -> bytes:
    """Write a header of version 1."""
    family, own = ("TCP6", "2001:db8::80") if ":" in source else ("TCP4", "192.0.2.80")
    return f"PROXY {family} {source} {own} 56324 443\r\n".encode()


def block(kind: int, addresses: bytes, additions: bytes = b"", *, command: int = 0x21) -> bytes:
    """Write a header of version 2."""
    length = len(addresses) + len(additions)
    return SIGNATURE + bytes([command, kind]) + length.to_bytes(2, "big") + addresses + additions


def binary(source: str, additions: bytes = b"") -> bytes:
    """Write a header of version 2 for a stream of IPv4 or IPv6."""
    address = ip_address(source)
    kind = 0x11 if address.version == 4 else 0x21
    return block(kind, address.packed * 2 + bytes.fromhex("dc0401bb"), additions)


def read(stream: bytes, pieces: Iterable[int]) -> tuple[bytes, bytes]:
    """Read a header as it comes in pieces of these sizes, as the data port does; return it and what was left."""
    header, sizes = b"", iter(pieces)
    while missing := bytes_missing(header):
        taken = stream[len(header) :][: min(missing, next(sizes, missing))]
        if not taken:
            raise ProxyHeaderError("it broke off")
        header += taken
    return header, stream[len(header) :]


SOURCES = st.one_of(
    st.builds(IPv4Address, st.integers(0, 2**32 - 1)), st.builds(IPv6Address, st.integers(0, 2**128 - 1))
)
PIECES = st.lists(st.integers(1, 60), max_size=120)


@given(SOURCES, st.sampled_from([line, binary]), PIECES, st.sampled_from(FOLLOWING))
def test_a_header_is_read_however_it_is_split_and_nothing_after_it(
    source: IPv4Address | IPv6Address, written: Callable[[str], bytes], pieces: list[int], following: bytes
) -> None:
    """Versions 1 and 2, IPv4 and IPv6; a request or a ClientHello after it stays for whoever reads next."""
    header, rest = read(written(str(source)) + following, pieces)
    assert rest == following
    named = source_address(header)
    assert named is not None
    mapped = source.ipv4_mapped if isinstance(source, IPv6Address) else None
    assert ip_address(named) == (mapped or source)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 ::FFFF:192.0.2.7 2001:db8::80 0 1\r\n", "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN " + b"ffff:" * 15 + b"ffff 65535 65\r\n", None),
        (binary("192.0.2.7", b"\x04\x0f\xa0" + bytes(4000)), "192.0.2.7"),
        (block(0x11, b"", command=0x20), None),
        (block(0x00, b"", b"\x01\x00\x02h2"), None),
        (block(0x31, bytes(216)), None),
    ],
)
def test_what_a_header_names_is_the_sender(header: bytes, source: str | None) -> None:
    """Additions are passed over; who has no IP address, or is the balancer itself, is not named."""
    assert read(header + b"GET", ()) == (header, b"GET")
    assert source_address(header) == source


BAD = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n",
    bytes.fromhex("16030100f8010000f4"),
    b"PROXY TCP4 192.0.2.7",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY " + b"x" * 1000,
    b"PROXY UNKNOWN\rGET / HTTP/1.1\r\n",
    b"PROXY \r\n",
    b"proxy TCP4 192.0.2.7 192.0.2.8 1 2\r\n",
    b"PROXY TCP5 192.0.2.7 192.0.2.8 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n",
    b"PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n",
    b"PROXY TCP4 192.0.2.256 192.0.2.8 1 2\r\n",
    b"PROXY TCP4 192.0.2.07 192.0.2.8 1 2\r\n",
    b"PROXY TCP4 2001:db8::7 192.0.2.8 1 2\r\n",
    b"PROXY TCP6 192.0.2.7 2001:db8::8 1 2\r\n",
    b"PROXY TCP6 fe80::7%eth0 2001:db8::8 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 01 2\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 -1 2\r\n",
    b"PROXY TCP4 \xd9\xa1.0.2.7 192.0.2.8 1 2\r\n",
    SIGNATURE[:-1] + b"\r" + bytes(20),
    block(0x11, bytes(12), command=0x11),
    block(0x11, bytes(12), command=0x22),
    block(0x11, bytes(11)),
    block(0x21, bytes(35)),
    block(0x12, bytes(12)),
    block(0x41, bytes(12)),
    block(0x11, bytes(12), bytes(5000)),
    binary("192.0.2.7")[:-1],
]


@pytest.mark.parametrize("stream", BAD)
@pytest.mark.parametrize("piece", [1, 1000])
def test_what_is_no_header_is_refused(stream: bytes, piece: int) -> None:
    """Whatever comes instead, broken off, of another version, or longer than any may be."""
    with pytest.raises(ProxyHeaderError):
        source_address(read(stream, [piece] * 5000)[0])


@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\x00"]), st.binary(), PIECES)
@example(SIGNATURE, b"\x21\x11\xff\xff", [])
def test_whatever_comes_is_read_within_bounds(begin: bytes, rest: bytes, pieces: list[int]) -> None:
    """A header or `ProxyHeaderError`, the same however it is split, and never more than 4 kB of addresses and additions."""

    def outcome(pieces: Iterable[int]) -> str | None:
        try:
            header, _ = read(begin + rest, pieces)
            assert len(header) <= (107 if header.startswith(b"PROXY") else 16 + 4096)
            return source_address(header)
        except ProxyHeaderError:
            return "refused"

    assert outcome(pieces) == outcome([1] * 5000)


def test_balancers_have_no_bound_of_their_own() -> None:
    """However an address is written; who is none is bounded, and all together are."""
    balancers = (ip_network("192.0.2.0/30"), ip_network("2001:db8::7"))
    guests, room = ConnectionCounter(), ConnectionLimits(8, 1, balancers)
    for address in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::7"):
        assert all(guests.enter(address, room) for _ in range(2)), address
    for address in ("192.0.2.4", "2001:db8::8"):
        assert room.is_balancer(address) is False
    assert guests.enter("192.0.2.4", room)
    assert guests.enter("192.0.2.4", room) is None
    assert guests.enter("192.0.2.1", room)
    assert guests.enter("192.0.2.1", room) is None
    assert not room.is_balancer("unknown")


@pytest.fixture(params=["plain", "tls"])
def trusting(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext | None:
    """Return how senders speak TLS, or None where they do not."""
    if request.param == "plain":
        return None
    authority = Authority(tmp_path)
    authority.issue("server", NAME)
    return authority.trusting()


@pytest.fixture
def behind(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, trusting: ssl.SSLContext | None
) -> Callable[..., Awaitable[World]]:
    """Start a gateway that believes its balancer, this machine unless another is named."""

    async def started(balancer: str = "127.0.0.1", limits: str = "") -> World:
        return await start(
            vkp=raw_upstream,
            vkp_host=", forwarded: x-forwarded",
            listen=", proxy_protocol: true",
            limits=f", balancers: [{balancer}]{limits}",
            top=TLS if trusting is not None else "",
        )

    return started


@asynccontextmanager
async def brought(
    world: World, trusting: ssl.SSLContext | None, header: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Bring a sender's connection as a balancer does."""
    async with asyncio.timeout(120):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
        try:
            writer.write(header)
            if trusting is not None:
                await writer.start_tls(trusting, server_hostname=NAME)
            yield reader, writer
        finally:
            writer.transport.abort()


async def told_of(
    world: World, upstream: RawUpstream, trusting: ssl.SSLContext | None, header: bytes
) -> tuple[int, list[bytes]]:
    """Send a request behind a header; return the answer's status, and the addresses that VKP was told."""
    async with brought(world, trusting, header) as (reader, writer):
        writer.write(world.request(BUNDLE, b"{}"))
        answer = await world.read_answer(reader)
    assert answer is not None
    return answer.status, upstream.seen.get_nowait().values("x-forwarded-for")


async def test_the_sender_is_whom_the_balancer_names(
    behind: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, trusting: ssl.SSLContext | None
) -> None:
    """With TLS and without; a balancer's own connection, to look whether all is well, is its own."""
    world = await behind()
    for address in ("192.0.2.7", "2001:db8::7"):
        for written in (line, binary):
            assert await told_of(world, raw_upstream, trusting, written(address)) == (200, [address.encode()])
    for own in (b"PROXY UNKNOWN\r\n", block(0x00, b"", command=0x20)):
        assert await told_of(world, raw_upstream, trusting, own) == (200, [b"127.0.0.1"])
    await until(lambda: not world.gateway._server._counter._by_origin)


async def test_a_header_may_come_a_byte_at_a_time(
    behind: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, trusting: ssl.SSLContext | None
) -> None:
    """And others are served in between."""
    world = await behind()
    for written in (line, binary):
        header = written("192.0.2.7")
        async with brought(world, None, header[:1]) as (reader, writer):
            for place in range(1, len(header)):
                writer.write(header[place : place + 1])
                for _ in range(4):
                    await asyncio.sleep(0)
            assert await told_of(world, raw_upstream, trusting, written("192.0.2.8")) == (200, [b"192.0.2.8"])
            if trusting is not None:
                await writer.start_tls(trusting, server_hostname=NAME)
            writer.write(world.request(BUNDLE, b"{}"))
            assert (await world.read_answer(reader)) is not None
        assert raw_upstream.seen.get_nowait().values("x-forwarded-for") == [b"192.0.2.7"]


async def test_a_balancers_connection_without_its_header_is_closed(
    behind: Callable[..., Awaitable[World]],
) -> None:
    """Nobody knows whose it is: a request, a ClientHello, or half a header."""
    world = await behind()
    before = metrics.PROXY_HEADERS_REFUSED._value.get()
    wrong = [world.request(BUNDLE), bytes.fromhex("16030100f8010000f4"), block(0x12, bytes(12)), b"PROXY TCP4 1"]
    for stream in wrong:
        assert await ended(world, stream, says_it_is_all=True) == b""
    assert metrics.PROXY_HEADERS_REFUSED._value.get() == before + len(wrong)
    assert {each["reason"] for each in world.logged.named("proxy.header_refused")} == {
        "it does not begin as one",
        "it is of another family or transport",
        "it broke off",
    }
    assert world.gateway._server._counter._count == 0


async def test_a_balancers_connection_whose_header_does_not_come_in_time_is_closed(
    behind: Callable[..., Awaitable[World]], loop_clock: LoopClock
) -> None:
    """Whether a part of it came, or nothing."""
    world = await behind()
    before = metrics.PROXY_HEADERS_REFUSED._value.get()
    for stream in (b"PROXY TCP4 1", b""):
        ending = asyncio.get_running_loop().create_task(ended(world, stream))
        await until(lambda: world.gateway._server._counter._count)
        await loop_clock.move(USUAL_BOUNDS.handshake - 1.0)
        assert not ending.done()
        await loop_clock.move(1.1)
        assert await ending == b""
    assert metrics.PROXY_HEADERS_REFUSED._value.get() == before + 2
    assert {each["reason"] for each in world.logged.named("proxy.header_refused")} == {"it did not come in time"}
    assert world.gateway._server._counter._count == 0


async def test_a_connection_that_only_looks_whether_the_port_is_open_is_no_fault(
    behind: Callable[..., Awaitable[World]],
) -> None:
    """Balancers do so every few seconds: neither told nor counted."""
    world = await behind()
    before = metrics.PROXY_HEADERS_REFUSED._value.get()
    assert await ended(world, b"", says_it_is_all=True) == b""
    assert metrics.PROXY_HEADERS_REFUSED._value.get() == before
    assert not world.logged.named("proxy.header_refused")
    assert world.gateway._server._counter._count == 0


async def ended(world: World, stream: bytes, *, says_it_is_all: bool = False) -> bytes:
    """Send bytes and return what comes until the connection is ended."""
    async with brought(world, None, stream) as (reader, writer):
        if says_it_is_all:
            writer.write_eof()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_who_is_no_balancer_is_not_believed(
    behind: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, trusting: ssl.SSLContext | None
) -> None:
    """Its header is a bad request, or no handshake; without one it is served as itself."""
    world = await behind(balancer="192.0.2.1")
    for written in (line, binary):
        answer = await ended(world, written("192.0.2.7") + world.request(BUNDLE))
        told = {b"HTTP/1.1 400", b"HTTP/1.1 501"} if trusting is None else {b"\x15\x03"}
        assert any(answer.startswith(each) for each in told), answer[:40]
    assert raw_upstream.seen.empty()
    assert await told_of(world, raw_upstream, trusting, b"") == (200, [b"127.0.0.1"])


async def test_each_sender_behind_a_balancer_has_its_own_bound(
    behind: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, trusting: ssl.SSLContext | None
) -> None:
    """One that has all it may have keeps no other out, nor the balancer itself; what it ends makes room."""
    world = await behind(limits=", connections_per_address: 2")
    guests = world.gateway._server._counter
    async with brought(world, trusting, line("192.0.2.7")), brought(world, trusting, binary("192.0.2.7")):
        await until(lambda: guests._by_origin == {"192.0.2.7": 2})
        refused = metrics.CONNECTIONS_REFUSED.labels("address")._value.get()
        assert await ended(world, line("192.0.2.7")) == b""
        assert metrics.CONNECTIONS_REFUSED.labels("address")._value.get() == refused + 1
        assert await told_of(world, raw_upstream, trusting, line("192.0.2.8")) == (200, [b"192.0.2.8"])
        waiting = [await asyncio.open_connection("127.0.0.1", world.data_port) for _ in range(4)]
        await until(lambda: guests._by_origin == {"192.0.2.7": 2, "127.0.0.1": 4})
        for _, writer in waiting:
            writer.close()
        await until(lambda: guests._by_origin == {"192.0.2.7": 2})
    await until(lambda: guests._count == 0)
    assert await told_of(world, raw_upstream, trusting, line("192.0.2.7")) == (200, [b"192.0.2.7"])
