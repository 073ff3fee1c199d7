"""What passes to VKP and back is what was sent: seen by a raw socket on each side."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.each import in_one_world
from tests.gateway.wire import read_message
from tests.gateway.world import NORDFJELL, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.clocks import LoopClock
    from tests.gateway.wire import RawUpstream, Seen
    from tests.gateway.world import World

BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
ADDED = {b"date", b"server", b"content-length", b"connection", b"transfer-encoding"}
"""Fields that a proxy may add or change on an answer."""


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream) -> World:
    """Start a gateway whose VKP is a raw socket."""
    return await start(vkp=raw_upstream)


async def seen_by(upstream: RawUpstream) -> Seen:
    """Wait for the next request that the upstream got."""
    return await asyncio.wait_for(upstream.seen.get(), 120)


@in_one_world(
    "target",
    [
        BUNDLE,
        BUNDLE.upper(),
        f"//epj//r4/{NORDFJELL}/bundle///",
        f"/%65pj/r4/{NORDFJELL}/b%75ndle",
        f"{BUNDLE}?subscription-key=a%2fb&x=%C3%A6+y&&=",
        f"{BUNDLE}/",
        f"/epj/r4/{NORDFJELL}/patient/_search?x='(1)'|{{}}",
        f"{BUNDLE}#fragment",
    ],
)
async def test_target_passes_byte_for_byte(world: World, raw_upstream: RawUpstream, target: str) -> None:
    """Letter case, escapes, slashes and query are VKP's to judge, so they reach it as they were written."""
    assert (await world.post(target, b"{}")).status == 200
    assert (await seen_by(raw_upstream)).line == f"POST {target} HTTP/1.1".encode()


async def test_headers_pass_in_order_with_their_values(world: World, raw_upstream: RawUpstream) -> None:
    """Names as written, repeated fields, odd values, Host and the sender's token all arrive; connection fields do not."""
    token = world.token()
    fields = (
        ("x-lower", "a"),
        ("X-UPPER", "b,c"),
        ("X-Twice", "one"),
        ("ServiceCodes", "rt, TA"),
        ("X-Twice", "two"),
        ("Ocp-Apim-Subscription-Key", "0123456789abcdef"),
        ("X-Utf8", "blåbær"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
    )
    await world.post(BUNDLE, b"{}", token=token, headers=fields)
    seen = await seen_by(raw_upstream)
    expected = [(b"Host", b"api.vkp.example"), (b"Authorization", f"Bearer {token}".encode())]
    expected += [(name.encode(), value.encode()) for name, value in fields[:-2]]
    assert [field for field in seen.headers if field[0] != b"Content-Length"] == expected
    assert seen.values("content-length") == [b"2"]


async def test_bytes_of_another_encoding_pass(world: World, raw_upstream: RawUpstream) -> None:
    """A field's value in latin-1 is the same bytes on the other side, on the way there and on the way back."""
    raw_upstream.answer = b"HTTP/1.1 200 OK\r\nX-Back: bl\xe5b\xe6r\r\nContent-Length: 0\r\n\r\n"
    raw = world.request(BUNDLE, b"{}").replace(b"Connection:", b"X-There: \xe6\xf8\xe5\r\nConnection:")
    answer = await world.send(raw)
    assert (await seen_by(raw_upstream)).values("x-there") == [b"\xe6\xf8\xe5"]
    assert (b"X-Back", b"bl\xe5b\xe6r") in answer.headers


async def test_long_token_passes(world: World, raw_upstream: RawUpstream) -> None:
    """Tokens with many claims are longer than the usual line of a header."""
    await world.post(BUNDLE, b"{}", token="a" * 20_000)
    assert (await seen_by(raw_upstream)).values("authorization") == [b"Bearer " + b"a" * 20_000]


@in_one_world(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: +2\r\n\r\n{}",
        b"Content-Length : 2\r\n\r\n{}",
        b"X 12834010060: eyJhbGciOiJSUzI1NiJ9.a\r\n\r\n",
        b"Folded: a\r\n b\r\n\r\n",
    ],
)
async def test_ambiguous_framing_never_reaches_vkp(world: World, raw_upstream: RawUpstream, fields: bytes) -> None:
    """Where two servers could disagree about where a request ends, it is refused (RFC 9112 section 11.2)."""
    answer = await world.send(b"POST %b HTTP/1.1\r\nHost: h\r\n%b" % (BUNDLE.encode(), fields))
    assert 400 <= answer.status <= 499
    assert answer.code == "2.4"
    assert raw_upstream.seen.empty()
    world.assert_discreet(answer)


async def test_nothing_is_added_to_a_bare_answer(world: World, raw_upstream: RawUpstream) -> None:
    """An answer without Date, Server and Content-Type stays without."""
    assert {name for name, _ in (await world.post(BUNDLE, b"{}")).headers} <= {b"Content-Length", b"Connection"}
    assert raw_upstream.seen.qsize() == 1


async def test_field_that_connection_lists_stays_behind(world: World, raw_upstream: RawUpstream) -> None:
    """A field that belongs to the sender's connection is not sent on (RFC 9110 section 7.6.1)."""
    raw = world.request(BUNDLE, b"{}").replace(
        b"Connection: close", b"Connection: close, X-Mine\r\nX-Mine: 1\r\nX-Kept: 2"
    )
    await world.send(raw)
    seen = await seen_by(raw_upstream)
    assert (seen.values("x-mine"), seen.values("x-kept"), seen.values("connection")) == ([], [b"2"], [])


async def test_nothing_is_added_to_a_bare_request(world: World, raw_upstream: RawUpstream) -> None:
    """A search without body, Content-Type and Accept stays one, as NHN's sample client sends it."""
    await world.send(b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" % BUNDLE.encode())
    seen = await seen_by(raw_upstream)
    assert {name.lower() for name, _ in seen.headers} <= {b"host", b"content-length"}
    assert seen.body == b""


async def test_bodyless_get_passes_without_a_body(world: World, raw_upstream: RawUpstream) -> None:
    """A method that the surface does not know passes too, and gets neither length nor chunks."""
    await world.send(b"GET /epj/r4/metadata HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    seen = await seen_by(raw_upstream)
    assert seen.line == b"GET /epj/r4/metadata HTTP/1.1"
    assert (seen.headers, seen.body) == ([(b"Host", b"h")], b"")


@pytest.mark.parametrize("chunked", [False, True])
@in_one_world("size", [0, 1, 5_000, 3_000_000])
async def test_body_passes_byte_for_byte(world: World, raw_upstream: RawUpstream, size: int, *, chunked: bool) -> None:
    """Whatever bytes, also more of them than `limits.body`, since the gateway need not read them here."""
    body = bytes(index * 7 % 256 for index in range(1_000)) * (size // 1_000) + b"\xff" * (size % 1_000)
    if chunked:
        parts = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
        wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        raw = world.request(BUNDLE, wire, headers=(("Transfer-Encoding", "chunked"),), length=False)
    else:
        raw = world.request(BUNDLE, body)
    assert (await world.send(raw)).status == 200
    seen = await seen_by(raw_upstream)
    assert hashlib.sha256(seen.body).digest() == hashlib.sha256(body).digest()
    assert seen.complete


async def test_host_is_replaced_where_the_upstream_names_one(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """With `host` a fixed name is sent in place of the sender's."""
    world = await start(vkp=raw_upstream, vkp_host=", host: api.vkp.no")
    await world.post(BUNDLE, b"{}")
    assert (await seen_by(raw_upstream)).values("host") == [b"api.vkp.no"]


@in_one_world(
    ("status", "reason"),
    [(200, b"OK"), (201, b"Opprettet"), (202, b""), (400, b"Bad"), (418, b"I'm a teapot"), (503, b"x")],
)
async def test_status_and_reason_come_back(world: World, raw_upstream: RawUpstream, status: int, reason: bytes) -> None:
    """Every status is VKP's own, with its reason phrase."""
    raw_upstream.answer = b"HTTP/1.1 %d %b\r\nContent-Length: 3\r\n\r\nabc" % (status, reason)
    answer = await world.post(BUNDLE, b"{}")
    assert (answer.status, answer.body) == (status, b"abc")
    if reason:
        assert answer.reason == reason


async def test_answer_headers_come_back(world: World, raw_upstream: RawUpstream) -> None:
    """Names, order, repetitions and values of VKP's fields stay; redirects are not followed, cookies are not kept."""
    fields = [
        (b"X-VKP-Correlation-Id", b"AbC"),
        (b"Set-Cookie", b"a=1; Path=/"),
        (b"warning", b'299 vkp "one"'),
        (b"Warning", b'299 vkp "two"'),
        (b"Location", b"http://other.example/x"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Type", b"application/fhir+json"),
        (b"Set-Cookie", b"b=2"),
    ]
    head = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    raw_upstream.answer = b"HTTP/1.1 307 Elsewhere\r\n" + head + b"Content-Length: 9\r\n\r\nnot gzip!"
    answer = await world.post(BUNDLE, b"{}")
    assert [field for field in answer.headers if field[0].lower() not in ADDED] == fields
    assert (answer.status, answer.body) == (307, b"not gzip!")
    await world.post(BUNDLE, b"{}")
    assert [(await seen_by(raw_upstream)).values("cookie") for _ in range(2)] == [[], []]


@pytest.mark.parametrize(
    "framing",
    [b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", b"\r\nabcdefg"],
    ids=["chunks", "to the end"],
)
async def test_answer_of_unknown_length_comes_back(world: World, raw_upstream: RawUpstream, framing: bytes) -> None:
    """Chunks and an answer that ends with its connection both arrive whole."""
    raw_upstream.answer = b"HTTP/1.1 200 OK\r\n" + framing
    assert (await world.post(BUNDLE, b"{}")).body == b"abcdefg"


async def test_half_an_answer_does_not_look_like_a_whole_one(world: World, raw_upstream: RawUpstream) -> None:
    """When VKP's connection breaks inside the body, so does the sender's, and the message counts as unanswered."""
    raw_upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader, answer=False)
        writer.write(raw_upstream.answer)
        await writer.drain()

    raw_upstream.play = break_off
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(world.request(BUNDLE, b"{}"))
    try:
        assert await world.read_answer(reader) is None
    finally:
        writer.close()
    assert [one["outcome"] for one in world.logged.named("message")] == ["no-answer"]


async def test_vkp_that_hangs_up_is_no_answer(world: World, raw_upstream: RawUpstream) -> None:
    """A request whose bytes left and got no answer is told as unclear (504), and is not sent twice."""
    calls = []

    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        calls.append(await read_message(reader, answer=False))

    raw_upstream.play = hang_up
    answer = await world.post(BUNDLE, message("note"))
    world.assert_refused(answer, 504, "3.1")
    assert len(calls) == 1
    assert [one["outcome"] for one in world.logged.named("message")] == ["no-answer"]


async def test_vkp_that_is_away_is_unavailable(world: World, raw_upstream: RawUpstream) -> None:
    """Without a connection nothing was sent: 503 with Retry-After."""
    await raw_upstream.stop()
    answer = await world.post(BUNDLE, message("note"))
    world.assert_refused(answer, 503, "3.1")
    assert int(answer.values("Retry-After")[0]) > 0


async def test_silent_vkp_is_given_up(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, raw_upstream: RawUpstream
) -> None:
    """When `limits.request_timeout` has passed the sender is told so (504)."""
    world = await start(vkp=raw_upstream, timeout="20s")
    arrived, released = raw_upstream.hold()
    posted = asyncio.get_running_loop().create_task(world.post(BUNDLE, b"{}"))
    await arrived.wait()
    await loop_clock.move(19.0)
    assert not posted.done()
    await loop_clock.move(1.1)
    world.assert_refused(await posted, 504, "3.1")
    released.set()


async def test_sender_that_leaves_in_its_body_delivers_nothing_whole(world: World, raw_upstream: RawUpstream) -> None:
    """VKP sees a broken request or none, never a shorter one that looks whole; what happened is logged."""
    arrived, logged = asyncio.Event(), asyncio.Event()
    seen = []

    async def read_all(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        seen.append(await read_message(reader, answer=False))
        logged.set()

    raw_upstream.play = read_all
    _, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(world.request(BUNDLE, b"x" * 1_000)[:-500])
    await asyncio.wait_for(arrived.wait(), 120)
    writer.close()
    await asyncio.wait_for(logged.wait(), 120)
    assert seen[0] is None or not seen[0].complete
    raw_upstream.play = raw_upstream.answering
    assert (await world.post(BUNDLE, b"{}")).status == 200
    assert not world.named_messages("accepted")
    assert [one["outcome"] for one in world.logged.named("message")] == ["sender-left", "passed"]


async def test_sender_that_leaves_early_still_has_its_message_delivered(
    world: World, raw_upstream: RawUpstream
) -> None:
    """A journaling that came whole is finished though its sender left at once; VKP gets it once."""
    _, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(world.request(BUNDLE, message("note")))
    await writer.drain()
    writer.transport.abort()
    await asyncio.wait_for(world.logged.message.wait(), 120)
    seen = [raw_upstream.seen.get_nowait() for _ in range(raw_upstream.seen.qsize())]
    assert [each.body for each in seen] == [message("note")]
    assert len(world.logged.named("message")) == 1


async def send_expecting(world: World, token: str, resource: str, body: bytes) -> bytes:
    """Send a body only after 100 Continue; return the answer's body."""
    raw = world.request(
        f"/epj/r4/{NORDFJELL}/{resource}", headers=(("Expect", "100-continue"),), token=token, length=False
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(raw[:-2] + b"Content-Length: %d\r\n\r\n" % len(body))
    told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    answer = await asyncio.wait_for(world.read_answer(reader), 120)
    writer.close()
    assert answer is not None
    assert answer.status == 200
    return answer.body


async def test_sender_that_waits_for_continue_is_told_once(world: World, raw_upstream: RawUpstream) -> None:
    """Whether VKP or the gateway says 100 Continue, the sender gets one, and VKP the body."""

    async def expecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"expect:" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(len(message("note")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    raw_upstream.play = expecting
    assert await send_expecting(world, world.token(), "composition", message("note")) == message("note")


async def test_sender_is_told_to_continue_when_the_gateway_reads(world: World, raw_upstream: RawUpstream) -> None:
    """Where the body decides the gateway itself asks for it, and VKP is not asked again."""
    body = message("alarm-follow-up")
    assert await send_expecting(world, world.token(vkp_id="Evondos_Nordfjell"), "bundle", body) == b"ok"
    seen = await seen_by(raw_upstream)
    assert (seen.body, seen.values("expect")) == (body, [])


async def test_connection_is_kept_for_the_next_request(world: World, raw_upstream: RawUpstream) -> None:
    """Two requests on one connection get two answers, in order."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    for body in (b"first", b"second"):
        raw_upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        writer.write(world.request(BUNDLE, body).replace(b"Connection: close\r\n", b""))
        answer = await world.read_answer(reader)
        assert answer is not None
        assert answer.body == body
    writer.close()
