"""Calls to a service: one request, one whole answer, and never a word about what was not heard to the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.proxy.http_client import ANSWER_LIMIT, Answer, Caller, NoAnswer, Unreachable
from tests.gateway.wire import RawUpstream, read_message
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BODY = b'{"resourceType":"Bundle"}'
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nLocation: /v1/x\r\n\r\nok"


@pytest.fixture
async def upstream(raw_upstream: RawUpstream) -> AsyncIterator[RawUpstream]:
    """Run a server of raw bytes."""
    raw_upstream.answer = OK
    await raw_upstream.start()
    yield raw_upstream
    await raw_upstream.stop()


async def submit(caller: Caller, seconds: float = 5.0) -> Answer:
    """Send one request."""
    return await caller.call("POST", "/v1/Bundle", ((b"Content-Type", b"application/json"),), BODY, seconds)


async def test_a_request_is_written_as_given_and_its_answer_is_whole(upstream: RawUpstream) -> None:
    """Host and Content-Length are added; status, fields and body come back."""
    answer = await submit(Caller(f"{upstream.url}/base/", None))
    assert (answer.status, answer.value(b"location"), answer.value(b"dpop-nonce"), answer.body) == (
        202,
        "/v1/x",
        None,
        b"ok",
    )
    seen = upstream.seen.get_nowait()
    host = upstream.url.removeprefix("http://").encode()
    assert seen.line == b"POST /base/v1/Bundle HTTP/1.1"
    assert list(seen.headers) == [
        (b"Host", host),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"25"),
    ]
    assert seen.body == BODY


async def test_a_connection_is_used_again(upstream: RawUpstream) -> None:
    """Two calls, one after the other, need one connection."""
    opened = 0
    answering = upstream.play

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await answering(reader, writer)

    upstream.play = counting
    caller = Caller(upstream.url, None)
    for _ in range(3):
        assert (await submit(caller)).status == 202
    assert opened == 1
    caller.close()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nok", id="cut short"),
        pytest.param(b"SMTP ready\r\n\r\n", id="no HTTP"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 202 A\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", id="a chunk cut short"),
        pytest.param(
            b"HTTP/1.1 202 A\r\nContent-Length: %d\r\n\r\n" % (ANSWER_LIMIT + 1) + b"x" * (ANSWER_LIMIT + 1),
            id="too large",
        ),
    ],
)
async def test_an_answer_that_is_not_whole_is_no_answer(upstream: RawUpstream, answer: bytes) -> None:
    """The request may have been done all the same, so that is what is said, after one attempt."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream.seen.put_nowait(await read_message(reader, answer=False))
        writer.write(answer)
        await writer.drain()

    upstream.play = play
    with pytest.raises(NoAnswer):
        await submit(Caller(upstream.url, None))
    assert upstream.seen.qsize() == 1


async def test_a_server_that_is_not_there_got_nothing() -> None:
    """A refused connection is told apart from an answer that did not come."""
    (port,) = free_ports(1)
    with pytest.raises(Unreachable):
        await submit(Caller(f"http://127.0.0.1:{port}", None))


async def test_a_slow_answer_is_given_up_and_its_connection_never_used_again(upstream: RawUpstream) -> None:
    """What comes late must not be taken for the answer to the next request."""
    arrived, released = upstream.hold()
    caller = Caller(upstream.url, None)
    with pytest.raises(NoAnswer):
        await submit(caller, seconds=0.05)
    await arrived.wait()
    upstream.answer = OK.replace(b"/v1/x", b"/v1/y")
    released.set()
    assert (await submit(caller)).value(b"location") == "/v1/y"
    assert upstream.seen.qsize() == 2


async def test_a_caller_that_leaves_takes_its_connection_along(upstream: RawUpstream) -> None:
    """A cancelled call cuts the connection; the next call opens its own."""
    arrived, released = upstream.hold()
    caller = Caller(upstream.url, None)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(submit(caller))
        await arrived.wait()
        task.cancel()
    released.set()
    assert (await submit(caller)).status == 202


async def test_an_informational_answer_is_not_the_answer(upstream: RawUpstream) -> None:
    """1xx may come before it."""
    upstream.answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    assert (await submit(Caller(upstream.url, None))).status == 202


async def test_a_value_with_a_line_break_is_not_sent(upstream: RawUpstream) -> None:
    """A name from the configuration can never become a field of its own."""
    with pytest.raises(ValueError, match="line break"):
        await Caller(upstream.url, None).call("POST", "/", ((b"X", b"a\r\nB: c"),), b"", 1.0)
    assert upstream.seen.empty()
