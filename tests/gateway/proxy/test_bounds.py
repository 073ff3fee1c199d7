"""Bounds on what senders may take: connections, places with VKP held by stalled bodies, and messages under way."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.load import load_text
from gateway.observability import metrics
from gateway.proxy.bounds import USUAL_BOUNDS
from gateway.proxy.connection_limits import ConnectionCounter, ConnectionLimits, origin_of
from tests.gateway.outbox.conftest import Jft, jft_of
from tests.gateway.proxy.test_leaving import connected, kept_alive
from tests.gateway.world import HAVNES, NORDFJELL, another, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.clocks import LoopClock
    from tests.gateway.wire import Answer, RawUpstream
    from tests.gateway.world import World

BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
NOTE = f"/epj/r4/{HAVNES}/composition"
SILENCE = USUAL_BOUNDS.silence


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", "2001:db8::1::"),
        ("2001:db8:0:1:9:8:7:6", "2001:db8::1::"),
        ("2001:0DB8:0000:0001::", "2001:db8::1::"),
        ("2001:db8::1", "2001:db8::::"),
        ("fe80::1%eth0", "fe80:::::"),
        ("::1", ":::::"),
        ("unknown", "unknown"),
    ],
)
def test_an_origin_is_what_one_sender_has(address: str, origin: str) -> None:
    """An IPv4 address, however it is written, or the /64 of an IPv6 address."""
    assert origin_of(address) == origin


def test_guests_are_counted_in_and_out() -> None:
    """Room for three, two of them from one address; what leaves makes room, and nothing is left behind."""
    guests, room = ConnectionCounter(), ConnectionLimits(3, 2)
    first = guests.enter("192.0.2.1", room)
    assert first == guests.enter("192.0.2.1", room) == "192.0.2.1"
    assert guests.enter("192.0.2.1", room) is None
    assert guests.enter("192.0.2.2", room) == "192.0.2.2"
    assert guests.enter("192.0.2.3", room) is None
    guests.leave("192.0.2.1")
    assert guests.enter("192.0.2.3", room) == "192.0.2.3"
    for origin in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        guests.leave(origin)
    assert (guests._count, guests._by_origin) == (0, {})


@pytest.mark.parametrize(("limit", "bound"), [("connections", "all"), ("connections_per_address", "address")])
async def test_connections_beyond_the_bound_are_closed(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, limit: str, bound: str
) -> None:
    """Who has one keeps it and is served; who comes beyond it is closed, until somebody leaves."""
    world = await start(vkp=raw_upstream, rate=f"1000/s, {limit}: 2")
    refused = metrics.CONNECTIONS_REFUSED.labels(bound)._value.get()
    kept = [await connected(world) for _ in range(2)]
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    assert await asyncio.wait_for(reader.read(), 120) == b""
    writer.close()
    assert metrics.CONNECTIONS_REFUSED.labels(bound)._value.get() == refused + 1
    for reader, writer, _ in kept:
        writer.write(kept_alive(world, BUNDLE, b"{}"))
        answer = await world.read_answer(reader)
        assert answer is not None
        assert answer.status == 200
    for _, writer, _ in kept:
        writer.close()
    await until(lambda: not world.gateway._server._senders)
    assert (await world.post(BUNDLE, b"{}")).status == 200


@pytest.mark.parametrize(
    ("tls", "limits", "bound"),
    [
        ("tls: {cert_file: a, key_file: b}", "{}", 1000),
        ("tls: {cert_file: a, key_file: b}", "{connections_per_address: 7}", 7),
        ("tls: null", "{}", None),
        ("listen: {proxy_protocol: true}", "{balancers: [192.0.2.80]}", 1000),
        ("listen: {proxy_protocol: true}", "{balancers: [192.0.2.80], connections_per_address: 7}", 7),
        ("", "{connections_per_address: 7}", 7),
    ],
)
def test_a_terminator_in_front_is_not_bounded_as_one_sender(tls: str, limits: str, bound: int | None) -> None:
    """Only where the gateway sees senders' own addresses, by TLS or from balancers, is each bounded by default."""
    text = f"""\
version: 1
{tls}
limits: {limits}
helseid: {{issuer: https://sts.example, client_id: gateway, key_file: key.json}}
upstreams:
  vkp: {{kind: vkp, url: https://vkp.example}}
municipalities:
  nordfjell: {{name: Nordfjell kommune, orgnr: "312229544", epj: {{system: Gerica, generation: legacy}}}}
routes:
  - {{mode: legacy}}
"""
    config = load_text(text, "routes.yaml").config
    assert config is not None
    assert config.limits.connections_per_address == bound


async def stall(world: World, body: bytes = b"x") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a journaling whose body does not come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(kept_alive(world, BUNDLE, length=False, headers=(("Content-Length", "60000"),)) + body)
    return reader, writer


async def full(start: Callable[..., Awaitable[World]], upstream: RawUpstream, count: int) -> World:
    """Start a gateway whose connections to VKP can be used up."""
    return await start(vkp=upstream, vkp_host=f", connections: {{most: {count}, connect: 8s}}", timeout="1h")


async def waiting_for_room(world: World) -> asyncio.Task[Answer]:
    """Send a message for which there is no connection to VKP."""
    posted = asyncio.get_running_loop().create_task(world.post(BUNDLE, b"{}"))
    await until(lambda: pool(world).waiting)
    return posted


async def test_the_longest_stalled_body_makes_room(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """When all connections to VKP are taken, one that waits for a body is cut for one that has its own: 408, and on."""
    world = await full(start, raw_upstream, 2)
    first = await stall(world)
    await until(lambda: len(pool(world)._open) == 1)
    await loop_clock.move(1.0)
    second = await stall(world)
    await until(lambda: len(pool(world)._open) == 2)
    posted = await waiting_for_room(world)
    await loop_clock.move(USUAL_BOUNDS.stalled + 0.5)
    assert (await posted).status == 200
    answer = await world.read_answer(first[0])
    assert answer is not None
    assert (answer.status, answer.code) == (408, "3.1")
    assert not second[0].at_eof()
    second[1].write(b"y" * 59_999)
    answer = await world.read_answer(second[0])
    assert answer is not None
    assert answer.status == 200
    for _, writer in (first, second):
        writer.close()
        await writer.wait_closed()
    (left,) = world.named_messages("sender-left")
    assert "stalled" in left["diagnostics"]
    bodies = [raw_upstream.seen.get_nowait() for _ in range(raw_upstream.seen.qsize())]
    assert sorted((each.complete, len(each.body)) for each in bodies) == [(False, 1), (True, 2), (True, 60_000)]


async def test_a_trickle_is_no_progress(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """A byte now and then does not hold a connection that others wait for."""
    world = await full(start, raw_upstream, 1)
    _, writer = await stall(world)
    await until(lambda: len(pool(world)._open) == 1)
    posted = await waiting_for_room(world)
    for _ in range(7):
        writer.write(b"x")
        await loop_clock.move(USUAL_BOUNDS.stalled / 6)
    assert (await posted).status == 200
    writer.close()


async def test_bodies_that_grow_and_answers_that_are_waited_for_are_not_cut(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """Who sends a kilobyte in time, and who waits for VKP, keeps its connection; the one that waits is told 503."""
    arrived, released = raw_upstream.hold()
    world = await full(start, raw_upstream, 2)
    waiting = asyncio.get_running_loop().create_task(world.post(BUNDLE, b"{}"))
    await arrived.wait()
    reader, writer = await stall(world)
    await until(lambda: len(pool(world)._open) == 2)
    (growing,) = (each for each in world.gateway._server._forwarders if not each._incoming.complete)
    posted = await waiting_for_room(world)
    for _ in range(5):
        await loop_clock.move(USUAL_BOUNDS.stalled - 1.0)
        before = growing.body_since
        writer.write(b"y" * 1200)
        await until(lambda before=before: growing.body_since > before)
    world.assert_refused(await posted, 503, "3.1")
    writer.write(b"z" * (60_000 - 1 - 5 * 1200))
    released.set()
    assert (await waiting).status == 200
    answer = await world.read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    writer.close()


async def test_stalled_bodies_stay_while_nobody_waits(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """A slow sender is nobody's trouble as long as there is room."""
    world = await full(start, raw_upstream, 2)
    reader, writer = await stall(world)
    await until(lambda: len(pool(world)._open) == 1)
    await loop_clock.move(4 * USUAL_BOUNDS.stalled)
    assert (await world.post(BUNDLE, b"{}")).status == 200
    writer.write(b"y" * 59_999)
    answer = await world.read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    writer.close()


def is_read(sender: Any) -> bool:
    """Tell whether somebody takes the body that a sender sends."""
    return bool(sender._queue) and sender._queue[0].is_read


def pool(world: World) -> Any:
    """Return the connections to VKP."""
    assert world.gateway._running is not None
    return world.gateway._running.lane.targets["vkp"].pool


async def test_a_sender_has_so_many_messages_under_way_at_a_time(start: Callable[..., Awaitable[World]]) -> None:
    """One more is told to come again in a second: 429; when one is done there is room; another sender is not touched."""
    world = await start(double=Jft, rate="1000/s, concurrent_per_sender: 2")
    jft, builder = jft_of(world), world.gateway._built_by()
    jft.open.clear()
    sending = [asyncio.get_running_loop().create_task(world.post(NOTE, another(message("note")))) for _ in range(2)]
    await until(lambda: jft.asked == 2)
    refused = await world.post(NOTE, message("note"))
    assert (refused.status, refused.code, refused.values("Retry-After")) == (429, "3.1", ["1"])
    token = world.token(vkp_id="Dignio_Havnes")
    other = asyncio.get_running_loop().create_task(world.post(NOTE, message("note"), token=token))
    await until(lambda: jft.asked == 3)
    jft.open.set()
    assert (await other).status == 200
    assert [(await each).status for each in sending] == [200, 200]
    assert (await world.post(NOTE, message("note"))).status == 200
    assert builder._rates._under_way["journaling Everywhere"] == 0


@pytest.mark.parametrize("verify", ["", "admit: {legacy: verify}"])
async def test_what_vkp_answers_is_never_refused_by_it(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream, verify: str
) -> None:
    """In mode legacy VKP's own bounds hold."""
    arrived, released = raw_upstream.hold()
    world = await start(vkp=raw_upstream, rate="1000/s, concurrent_per_sender: 1", top=verify)
    sending = [asyncio.get_running_loop().create_task(world.post(BUNDLE, b"{}")) for _ in range(5)]
    await arrived.wait()
    await until(lambda: raw_upstream.seen.qsize() == 5)
    released.set()
    assert [(await each).status for each in sending] == [200] * 5


async def test_a_body_that_trickles_ends_with_the_time_of_its_request(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """Bytes now and then excuse a silence and not a request that takes longer than any may."""
    world = await start(vkp=raw_upstream, timeout="100s")
    for path in (BUNDLE, NOTE):
        reader, writer, sender = await connected(world)
        writer.write(kept_alive(world, path, length=False, headers=(("Content-Length", "60000"),)))
        await until(lambda sender=sender: is_read(sender))
        for _ in range(2):
            await loop_clock.move(SILENCE - 15.0)
            before = sender._times.last_read
            writer.write(b"x")
            await until(lambda sender=sender, before=before: sender._times.last_read > before)
        await loop_clock.move(15.0)
        answer = await world.read_answer(reader)
        writer.close()
        await until(lambda: not world.gateway._server._senders)
        assert answer is not None
        assert answer.status == 504


@pytest.mark.parametrize(
    ("limit", "begin", "trickle"),
    [
        (USUAL_BOUNDS.idle, b"", b""),
        (USUAL_BOUNDS.head, b"POST /epj/r4/312229544/bundle HTTP/1.1\r\nHost: h\r\n", b"X: y\r\n"),
        (USUAL_BOUNDS.head, b"P", b""),
        (SILENCE, b"POST /epj/r4/312229544/bundle HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx", b""),
        (
            SILENCE,
            b"POST /epj/r4/315058384/bundle HTTP/1.1\r\nHost: h\r\nAuthorization: TOKEN\r\nContent-Length: 9\r\n\r\nx",
            b"",
        ),
        (SILENCE, b"POST /epj/r4/312229544/bundle HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1", b""),
    ],
    ids=["says nothing", "head trickles", "head stops", "body stops", "body that is read stops", "chunk stops"],
)
async def test_who_is_too_slow_is_cut(  # noqa: PLR0917 - fixtures and cases
    start: Callable[..., Awaitable[World]],
    loop_clock: LoopClock,
    raw_upstream: RawUpstream,
    limit: float,
    begin: bytes,
    trickle: bytes,
) -> None:
    """A connection that gives nothing, or a head a field at a time, ends; another sender is served all the while."""
    world = await start(vkp=raw_upstream, timeout="1h")
    reader, writer, sender = await connected(world)
    begin = begin.replace(b"TOKEN", b"Bearer " + world.token().encode())
    writer.write(begin)
    await until(lambda: not begin or sender._parser.in_head or is_read(sender))
    for _ in range(4):
        assert (await world.post(BUNDLE, b"{}")).status == 200
        assert not reader.at_eof()
        writer.write(trickle)
        await loop_clock.move(limit / 4 + 0.1)
    with suppress(ConnectionError):
        assert not (await reader.read()).startswith(b"HTTP/1.1 2")
    writer.close()
    await until(lambda: not world.gateway._server._senders)
    assert (await world.post(BUNDLE, b"{}")).status == 200


async def test_a_connection_without_a_descriptor_is_told_and_counted(world: World) -> None:
    """Whether or not the port speaks TLS; whoever waits is taken as soon as there is one again."""
    listener: Any = world.gateway._server._listener
    (listening,) = listener._sockets
    real = listening

    class Scarce:
        """A socket that has no connection to give."""

        def accept(self) -> Any:
            """Say so."""
            raise OSError(errno.EMFILE, "Too many open files")

        def fileno(self) -> int:
            """Return the real one's."""
            return int(real.fileno())

    before = metrics.NOT_ACCEPTED._value.get()
    listener._accept(Scarce())
    assert metrics.NOT_ACCEPTED._value.get() == before + 1
    assert [each["error"] for each in world.logged.named("proxy.cannot_accept")] == ["Too many open files"]
    listener._take(real)
    assert (await world.post(BUNDLE, b"{}")).status
