"""Mutated requests and responses, split anywhere.

The parsers' verdict must not depend on the splits, and the relay must neither raise, nor hang, nor keep anything, nor end half an
answer cleanly.

    python tests/gateway/proxy/fuzzing.py --seconds 3600
"""

import argparse
import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools

from gateway.config.upstreams import Connections, Forwarded, UpstreamTls, VkpUpstream
from gateway.model import Account, Envelope, Handled, Headers, Mode, Pass, Place, Reply, RequestHead
from gateway.proxy.downstream import DownstreamConnection
from gateway.proxy.forwarder import UpstreamTarget
from gateway.proxy.headers import Framing
from gateway.proxy.pool import Pool, UpstreamConnection
from gateway.proxy.request_parser import BadRequest, RequestParser
from gateway.proxy.response_parser import BadResponse, ResponseParser
from gateway.proxy.server import Lane, Server

REQUESTS = [
    b"POST /epj/r4/312229544/bundle HTTP/1.1\r\nHost: vkp\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: vkp\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n",
    b"GET /a?b=%C3%A5 HTTP/1.1\r\nhOsT: vkp:8080\r\nX: \xe5\xf8\r\nX:\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\n",
    b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: v\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\nHost: v\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: v\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nok",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    b"HTTP/1.0 299 \xe5\r\n\r\nuntil the end",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
]
TOKENS = [
    b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"\x00", b"\x7f", b"\xff", b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: +1\r\n", b"Host: other\r\n", b"HTTP/1.1", b"HTTP/2.0", b"Connection: close\r\n",
    b"ffffffffffffffff", b"-1", b"X" * 300, b"chunked, gzip", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"101", b"099",
]  # fmt: skip


def mutated(data: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    """Return a message with a few things changed, most of them where structure is."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + rng.choice(TOKENS) + data[at:]
            case 2:
                data = data[:at] + data[at + rng.randrange(1, 12) :]
            case 3:
                end = at + rng.randrange(40)
                data = data[:end] + data[at:end] + data[end:]
            case 4:
                other = rng.choice(seeds)
                data = data[:at] + other[rng.randrange(len(other)) :]
            case 5:
                data += rng.choice(seeds)
    return data


def pieces(data: bytes, rng: random.Random) -> list[bytes]:
    """Return the data cut at random places."""
    cuts = sorted({0, len(data), *(rng.randrange(len(data) + 1) for _ in range(rng.randrange(8)))})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


@dataclass
class Requests:
    """What a parser said of a stream of requests."""

    seen: list[list[Any]] = field(default_factory=list)

    def request_started(self, head: RequestHead, version: str, framing: Framing, *, keep_alive: bool) -> None:
        """Take a head."""
        self.seen.append([head, version, framing, keep_alive, b"", None])

    def request_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.seen[-1][4] += data

    def request_ended(self, trailers: Headers) -> None:
        """Take the end."""
        self.seen[-1][5] = trailers


def request_verdict(parts: list[bytes]) -> tuple[list[list[Any]], int | None]:
    """Return the requests that were read, and the status of the refusal, if any."""
    events = Requests()
    parser = RequestParser(events)
    try:
        for part in parts:
            parser.feed(part)
    except BadRequest as error:
        return events.seen, error.status
    return events.seen, None


@dataclass
class Response:
    """What a parser said of a response."""

    seen: list[Any] = field(default_factory=list)
    body: bytes = b""

    def response_informed(self, status: int, reason: bytes, headers: Headers) -> None:
        """Take an informational answer."""
        self.seen.append(("informed", status, reason, headers))

    def response_started(self, status: int, reason: bytes, headers: Headers, framing: Framing) -> None:
        """Take a head."""
        self.seen.append(("started", status, reason, headers, framing))

    def response_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.body += data

    def response_ended(self, trailers: Headers) -> None:
        """Take the end."""
        self.seen.append(("ended", trailers))


def response_verdict(parts: list[bytes], *, to_head: bool) -> tuple[list[Any], bytes, bool]:
    """Return what was read of a response, and whether it was refused."""
    events = Response()
    parser = ResponseParser()
    parser.expect(events, to_head=to_head)
    try:
        for part in parts:
            parser.feed(part)
        parser.closed()
    except BadResponse:
        return events.seen, events.body, True
    return events.seen, events.body, False


class Wire(asyncio.Transport):
    """A connection that goes nowhere and remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Remember."""
        self.written += data

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.ended or self.aborted

    def close(self) -> None:
        """Close after what was written."""
        self.ended = True

    def abort(self) -> None:
        """Cut."""
        self.aborted = True

    def can_write_eof(self) -> bool:
        """Say yes, as TCP does."""
        return True

    def write_eof(self) -> None:
        """End what is written."""

    def pause_reading(self) -> None:
        """Read no further."""

    def resume_reading(self) -> None:
        """Read on."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - asyncio's signature
        """Say that nothing is known."""
        return default


LIMITS = Connections(1000, 4.0, 300.0, 5.0, 80.0, 60.0)
VKP = VkpUpstream(
    "vkp", "http://vkp", None, None, UpstreamTls(None, None, None), LIMITS, Forwarded.NONE, False, Place("", 1, 1)
)


def _malformed(status: int, text: str) -> tuple[Reply, Account]:
    envelope = Envelope("unrecognised", None, None, None, None, None)
    return Reply(status, (), b"{}"), Account("r", envelope, None, None, None, "bad-request", text)


class Stage(Pool):
    """A front whose upstream is a wire of our own, and which passes everything on."""

    def __init__(self) -> None:
        super().__init__("http://vkp", LIMITS, None)
        self.given: list[tuple[UpstreamConnection, Wire]] = []
        self.outcomes: Counter[str] = Counter()
        way = UpstreamTarget(VKP, self, 90.0, lambda _head, _failure, _reference: Reply(503, (), b"{}"))
        lane = Lane({"vkp": way}, _malformed)
        self.front = Server(lambda: (self, lane), self._record)

    def begin(self, head: RequestHead) -> Handled:
        """Pass on, whatever it is."""
        envelope = Envelope("vkp-r4", None, None, None, None, None)
        account = Account("r", envelope, Mode.LEGACY, "vkp", None, "passed")
        return Handled(Pass("vkp", finishes_alone=head.method == "POST"), account)

    def take(self, name: str | None) -> UpstreamConnection:
        """Give an idle connection, or a new one at once."""
        connection = super().take(name)
        if connection is None:
            connection, wire = UpstreamConnection(self, name), Wire()
            connection.connection_made(wire)
            self.given.append((connection, wire))
        return connection

    def _record(self, account: Account, _status: int, _seconds: float) -> None:
        self.outcomes[account.outcome] += 1


async def play(stage: Stage, request: bytes, response: bytes, rng: random.Random) -> None:
    """Take one request and one response through the relay, in random pieces, and look at both ends."""
    sender, wire = DownstreamConnection(stage.front), Wire()
    stage.given.clear()
    sender.connection_made(wire)
    for part in pieces(request, rng):
        sender.data_received(part)
    answered: set[int] = set()
    for _ in range(20):
        waiting = [pair for pair in stage.given if id(pair[1]) not in answered and not pair[1].is_closing()]
        if not waiting:
            break
        for connection, upstream in waiting:
            answered.add(id(upstream))
            check_sent(upstream.written)
            answer(connection, upstream, response, rng)
        await asyncio.sleep(0)
    if not wire.aborted:
        check_answered(wire.written)
    sender.connection_lost(None)
    for connection, upstream in stage.given:
        if not upstream.aborted:
            upstream.abort()
            connection.connection_lost(None)
    stage.front._sweep()
    assert not stage.front._senders, "a sender is kept"
    assert not stage.front._forwarders, "a passage is kept"


def answer(connection: UpstreamConnection, upstream: Wire, response: bytes, rng: random.Random) -> None:
    """Give a connection its response in random pieces, and sometimes end it."""
    for part in pieces(response, rng):
        if not upstream.is_closing():
            connection.data_received(part)
    if rng.random() < 0.3 and not upstream.is_closing():
        connection.eof_received()
        upstream.abort()
    if upstream.is_closing():
        connection.connection_lost(None)


def check_sent(data: bytes) -> None:
    """Check that an upstream is sent what is requests by our own strict reading."""
    seen, refused = request_verdict([data])
    assert refused is None, (refused, data)
    assert seen, data


def check_answered(data: bytes) -> None:
    """Check that a sender gets, on a connection that is not cut, what is responses by llhttp's reading."""
    try:
        httptools.HttpResponseParser(Silent()).feed_data(data)
    except httptools.HttpParserUpgrade:
        raise AssertionError(data) from None
    except httptools.HttpParserError as error:
        if b"HEAD" not in data and "Data after" not in str(error) and "Expected HTTP/" not in str(error):
            raise


class Silent:
    """Takes what a parser says."""

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""


async def run(goes_on: Callable[[int], bool], seed: int) -> Counter[str]:
    """Fuzz while `goes_on`, which is asked with the rounds so far; raises at the first thing that is wrong.

    Returns what became of the requests.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    stage = Stage()
    stage.front._sweep()
    rounds = 0
    while goes_on(rounds):
        request, response = rng.choice(REQUESTS), rng.choice(RESPONSES)
        if rng.random() < 0.8:
            request = mutated(request, REQUESTS, rng)
        if rng.random() < 0.6:
            response = mutated(response, RESPONSES, rng)
        whole = request_verdict([request])
        assert request_verdict(pieces(request, rng)) == whole, request
        assert request_verdict([request[at : at + 1] for at in range(len(request))]) == whole, request
        to_head = rng.random() < 0.2
        read = response_verdict([response], to_head=to_head)
        assert response_verdict(pieces(response, rng), to_head=to_head) == read, response
        assert response_verdict([response[at : at + 1] for at in range(len(response))], to_head=to_head) == read, (
            response
        )
        await play(stage, request, response, rng)
        rounds += 1
    if stage.front._sweeper is not None:
        stage.front._sweeper.cancel()
    return stage.outcomes + Counter({"rounds": rounds})


def main() -> None:
    """Fuzz from the command line."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--seed", type=int, default=time.time_ns())
    given = arguments.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201 - the command's own output
    until = time.monotonic() + given.seconds
    print(dict(asyncio.run(run(lambda _: time.monotonic() < until, given.seed))))  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
