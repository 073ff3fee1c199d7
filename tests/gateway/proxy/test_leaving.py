"""What is kept, cut and told when senders break off, leave, lag behind or send ahead."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from gateway.proxy.bounds import USUAL_BOUNDS, Bounds
from gateway.proxy.request_parser import RequestParser
from tests.gateway.proxy.fuzzing import Requests
from tests.gateway.wire import read_message
from tests.gateway.world import HAVNES, NORDFJELL, VIKAN
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.clocks import LoopClock
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World

BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream) -> World:
    """Start a gateway whose VKP is a raw socket."""
    return await start(vkp=raw_upstream)


def kept_alive(world: World, target: str, body: bytes = b"", **options: Any) -> bytes:
    """Make a request that does not end its connection."""
    return world.request(target, body, **options).replace(b"Connection: close\r\n", b"")


def chunked(world: World, target: str) -> bytes:
    """Make the beginning of a chunked request."""
    return kept_alive(world, target, length=False, headers=(("Transfer-Encoding", "chunked"),)) + b"1\r\n{\r\n"


async def connected(world: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
    """Connect; return the gateway's end as well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    senders = world.gateway._server._senders
    await until(lambda: bool(senders))
    return reader, writer, next(iter(senders))


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave at once, so that the other end is told by a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_refusal_is_never_taken_for_the_rest_of_an_answer(world: World, raw_upstream: RawUpstream) -> None:
    """VKP answers early, then the request's body breaks: half of that answer must not be filled up with a refusal."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nhalf")
        await reader.read()

    raw_upstream.play = play
    reader, writer, _ = await connected(world)
    writer.write(chunked(world, BUNDLE))
    await reader.readuntil(b"half")
    writer.write(b"ZZ\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_body_that_breaks_while_it_is_read_is_answered_once(world: World) -> None:
    """The request that the gateway was reading is refused as bytes that are no request, and not once more."""
    reader, writer, _ = await connected(world)
    writer.write(chunked(world, f"/epj/r4/{HAVNES}/bundle"))
    await until(lambda: world.gateway._server._tasks)
    writer.write(b"ZZ\r\n")
    assert (await reader.read()).count(b"HTTP/1.1 400 ") == 1
    writer.close()
    await until(lambda: not world.gateway._server._tasks)
    assert not world.logged.named("proxy.defect")


async def test_head_sent_ahead_does_not_cut_the_answer_before_it(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """The time for a head does not run while its sender waits for VKP, or while the gateway itself reads no further."""
    world = await start(vkp=raw_upstream, timeout="1h")
    arrived, released = raw_upstream.hold()
    reader, writer, _ = await connected(world)
    raw = kept_alive(world, BUNDLE, b"{}")
    writer.write(raw + raw + raw[:40])
    await arrived.wait()
    await loop_clock.move(2 * USUAL_BOUNDS.head)
    released.set()
    answer = await world.read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    writer.close()


async def test_connection_is_not_idle_right_after_a_late_answer(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """The time between requests is counted from the answer, not from the request that it answers."""
    world = await start(vkp=raw_upstream, bounds=Bounds(idle=20.0), timeout="1h")
    arrived, released = raw_upstream.hold()
    reader, writer, _ = await connected(world)
    writer.write(kept_alive(world, BUNDLE, b"{}"))
    await arrived.wait()
    await loop_clock.move(25.0)
    released.set()
    assert await world.read_answer(reader) is not None
    await loop_clock.move(15.0)
    writer.write(kept_alive(world, BUNDLE, b"{}"))
    assert await world.read_answer(reader) is not None
    await loop_clock.move(21.0)
    assert await reader.read() == b""
    writer.close()


async def test_request_before_garbage_is_answered_after_a_half_close(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """What follows a whole request does not cost its sender the answer."""
    world = await start(vkp=raw_upstream)
    arrived, released = raw_upstream.hold()
    reader, writer, sender = await connected(world)
    writer.write(kept_alive(world, BUNDLE, b"{}") + b"garbage\r\n\r\n")
    writer.write_eof()
    await arrived.wait()
    await until(lambda: sender._half_closed)
    released.set()
    answer = await world.read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    assert await reader.readexactly(13) == b"HTTP/1.1 501 "
    await loop_clock.move(USUAL_BOUNDS.linger + 0.1)
    writer.close()


@pytest.mark.slow
async def test_stop_lets_a_slow_reader_have_its_answer(world: World, raw_upstream: RawUpstream) -> None:
    """An answer that was given but not yet taken is not thrown away."""
    size = 120_000
    raw_upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
    reader, writer, sender = await connected(world)
    writer.transport.pause_reading()
    for end in (sender.transport, writer):
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.write(kept_alive(world, BUNDLE, b"{}"))
    await until(lambda: bool(sender.transport.get_write_buffer_size()) and sender.is_idle)
    stopping = asyncio.get_running_loop().create_task(world.gateway._server.stop())
    await until(lambda: world.gateway._server._quiet is not None)
    writer.transport.resume_reading()
    answer = await world.read_answer(reader)
    assert answer is not None
    assert len(answer.body) == size
    writer.close()
    await stopping


async def test_body_is_forgotten_when_it_was_answered(world: World) -> None:
    """An idle connection keeps nothing of the message before."""
    reader, writer, sender = await connected(world)
    writer.write(kept_alive(world, f"/epj/r4/{HAVNES}/bundle", b"x" * 50_000))
    assert await world.read_answer(reader) is not None
    assert sender._served is None
    writer.close()


async def test_tiny_chunks_weigh_no_more_than_the_body(start: Callable[..., Awaitable[World]]) -> None:
    """A body in chunks of two bytes is not kept as so many objects."""
    world = await start()
    _, writer, sender = await connected(world)
    writer.write(chunked(world, f"/epj/r4/{HAVNES}/bundle") + b"2\r\nab\r\n" * 20_000)
    await until(lambda: bool(sender._queue) and sender._queue[0].waits > 40_000)
    assert len(sender._queue[0].pieces) < 100
    writer.close()


async def test_requests_sent_ahead_are_bounded(world: World, raw_upstream: RawUpstream) -> None:
    """Thousands of small requests in one packet would weigh megabytes; those within the bound are answered."""
    raw = kept_alive(world, "/epj/", method="GET")
    reader, writer, _ = await connected(world)
    writer.write(raw * 300)
    answered = await reader.read()
    assert answered.count(b"HTTP/1.1 200 ") == raw_upstream.seen.qsize() > 50
    assert answered.count(b"HTTP/1.1 503 ") == 1
    writer.close()


def test_requests_sent_ahead_in_large_reads_are_no_large_head() -> None:
    """A read that begins within one head and ends within another holds many requests, none with too large a head."""
    raw = b"POST /a HTTP/1.1\r\nHost: vkp\r\nContent-Length: 6000\r\n\r\n" + b"x" * 6000
    events = Requests()
    parser = RequestParser(events)
    parser.feed(raw[:20])
    parser.feed((raw * 20)[20:-6010])
    parser.feed((raw * 20)[-6010:])
    assert len(events.seen) == 20


async def test_journaling_is_finished_when_its_sender_stops_reading_and_leaves(
    world: World, raw_upstream: RawUpstream
) -> None:
    """A long answer that nobody takes any more is read to its end, and what VKP said is what is logged."""
    size = 20_000_000
    raw_upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
    _, writer, sender = await connected(world)
    writer.transport.pause_reading()
    writer.write(kept_alive(world, BUNDLE, b"{}"))
    await until(lambda: sender.is_blocked)
    reset(writer)
    await until(lambda: not world.gateway._server._forwarders)
    assert [one["outcome"] for one in world.logged.named("message")] == ["passed"]


@pytest.mark.parametrize("target", ["/ws/journal", BUNDLE])
async def test_whole_message_is_finished_without_its_sender(
    world: World, raw_upstream: RawUpstream, target: str
) -> None:
    """Also where no surface knows what it is: a SOAP message journals too."""
    arrived, released = raw_upstream.hold()
    _, writer, sender = await connected(world)
    writer.write(kept_alive(world, target, b"<x/>"))
    await arrived.wait()
    reset(writer)
    await until(lambda: sender not in world.gateway._server._senders)
    released.set()
    await until(lambda: not world.gateway._server._forwarders)
    assert [one["outcome"] for one in world.logged.named("message")] == ["passed"]


async def test_sender_that_left_is_noticed_when_its_body_is_read_later(world: World) -> None:
    """While HelseID's keys are awaited nobody reads the body: its end is no less the end."""
    ((_, verifier),), keys = world.gateway._built_by().upstreams._used.trust.all, asyncio.Event()
    check = verifier._check

    async def slow(presented: Any) -> Any:
        await keys.wait()
        return await check(presented)

    verifier._check = slow  # type: ignore[method-assign] # for this test
    _, writer, sender = await connected(world)
    writer.write(kept_alive(world, f"/epj/r4/{VIKAN}/bundle", b"{}").replace(b"Length: 2", b"Length: 3"))
    await until(lambda: bool(sender._queue))
    reset(writer)
    await until(lambda: sender not in world.gateway._server._senders)
    keys.set()
    await until(lambda: not world.gateway._server._tasks)
    assert [one["outcome"] for one in world.logged.named("message")] == ["sender-left"]


async def test_old_request_without_host_gets_the_one_that_the_upstream_names(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """HTTP/1.0 needs no Host, but goes on as HTTP/1.1, which does."""
    world = await start(vkp=raw_upstream, vkp_host=", host: vkp.example")
    reader, writer, _ = await connected(world)
    writer.write(b"POST %b HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}" % BUNDLE.encode())
    assert await read_message(reader, answer=True) is not None
    assert raw_upstream.seen.get_nowait().values("host") == [b"vkp.example"]
    writer.close()


async def test_failure_in_one_look_does_not_end_all_deadlines(world: World) -> None:
    """Times are looked at again, whatever went wrong the last time."""
    front = world.gateway._server
    looked: list[float] = []

    class Defect:
        def sweep(self, now: float) -> None:
            looked.append(now)
            raise RuntimeError

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    front._forwarders.add(Defect())  # type: ignore[arg-type] # all that is asked of it here
    await until(lambda: len(looked) > 1)
    front._forwarders.clear()


async def test_informational_answer_with_a_body_is_no_answer(world: World, raw_upstream: RawUpstream) -> None:
    """Bytes that no head has announced never reach a sender."""
    raw_upstream.answer = b"HTTP/1.1 104 Odd\r\nContent-Length: 5\r\n\r\nhello" + raw_upstream.answer
    reader, writer, _ = await connected(world)
    writer.write(kept_alive(world, BUNDLE, b"{}"))
    assert b"hello" not in await reader.readuntil(b"HTTP/1.1 504 ")
    writer.close()
