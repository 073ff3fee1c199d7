"""A small load driver: at a fixed rate with latency counted from the schedule, or as fast as answers come.

At a fixed rate a slow server does not slow the driver: a request that could not be sent in time has waited since it was due,
and its latency says so. From a command line: `python -m bench.driver --rate 200 --seconds 5 --body FILE URL`.
"""

import asyncio
import itertools
import selectors
from collections import Counter, deque
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import httptools

from bench.stats import percentile

_DRAIN = 5.0
"""Seconds to wait for answers after the last request was due."""
_CONNECT = 10.0
_T = TypeVar("_T")

Address = tuple[str, int]


@dataclass(slots=True)
class Result:
    """What a run saw."""

    offered: int = 0
    """Requests that were due."""
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from when a request was due to the end of its answer, for every answer."""
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """How many answers came."""
        return len(self.latencies)

    @property
    def bad(self) -> int:
        """How many requests got no answer, or none with a 2xx status."""
        return self.offered - sum(count for status, count in self.statuses.items() if 200 <= status <= 299)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Return a percentile of the latencies in seconds."""
        return percentile(self.latencies, share)


def post(address: Address, target: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the bytes of a POST that keeps its connection."""
    fields = [("Host", f"{address[0]}:{address[1]}"), *headers, ("Content-Length", str(len(body)))]
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
    return head.encode("ascii") + b"\r\n" + body


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a driver's coroutine on a loop whose timers are exact to microseconds; epoll's are to a millisecond only."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(work)


async def at_rate(
    address: Address, requests: Iterable[bytes], *, rate: float, seconds: float, connections: int = 32
) -> Result:
    """Send requests at a fixed rate; each takes an idle connection when it is due, or the first to become idle."""
    flow = _Flow(iter(requests), closed=False)
    await flow.connect(address, connections)
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(int(rate * seconds)):
        due = start + number / rate
        if (early := due - loop.time()) > 0:
            await asyncio.sleep(early)
        flow.offer(due)
    return await flow.finish(start, _DRAIN)


async def closed_loop(
    address: Address, requests: Iterable[bytes], *, connections: int, seconds: float, count: int | None = None
) -> Result:
    """Keep every connection busy for so many seconds, or until `count` requests or the requests themselves are used up."""
    flow = _Flow(itertools.islice(requests, count), closed=True)
    await flow.connect(address, connections)
    loop = asyncio.get_running_loop()
    start = loop.time()
    flow.deadline = start + seconds
    for _ in range(connections):
        flow.offer(start)
    return await flow.finish(start, seconds + _DRAIN)


class _Flow:
    """The connections of one run; one that is lost is not replaced, and its request counts as unanswered."""

    def __init__(self, requests: Iterator[bytes], *, closed: bool) -> None:
        self._requests = requests
        self._closed = closed
        self._idle: list[_Connection] = []
        self._all: list[_Connection] = []
        self._waiting: deque[float] = deque()
        self._busy = 0
        self._quiet = asyncio.Event()
        self.deadline = 0.0
        self.result = Result()

    async def connect(self, address: Address, connections: int) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT):
            for _ in range(connections):
                _, connection = await loop.create_connection(lambda: _Connection(self), *address)
                self._all.append(connection)
        self._idle = list(self._all)

    def offer(self, due: float) -> None:
        """Send the next request now, or as soon as a connection is idle."""
        if not self._idle:
            self.result.offered += 1
            self._waiting.append(due)
        elif (raw := next(self._requests, None)) is not None:
            self.result.offered += 1
            self._send(self._idle.pop(), raw, due)

    def _send(self, connection: "_Connection", raw: bytes, due: float) -> None:
        self._busy += 1
        self._quiet.clear()
        connection.send(raw, due)

    def answered(self, connection: "_Connection", status: int) -> None:
        now = asyncio.get_running_loop().time()
        self.result.latencies.append(now - connection.due)
        self.result.statuses[status] += 1
        self._busy -= 1
        if self._waiting and (raw := next(self._requests, None)) is not None:
            self._send(connection, raw, self._waiting.popleft())
            return
        self._idle.append(connection)
        if self._closed and now < self.deadline:
            self.offer(now)
        if not self._busy:
            self._quiet.set()

    def lost(self, connection: "_Connection", *, busy: bool) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        self._busy -= busy
        if not self._busy:
            self._quiet.set()

    async def finish(self, start: float, patience: float) -> Result:
        """Wait for the last answers, close, and return what was seen."""
        try:
            async with asyncio.timeout(patience):
                while self._busy:
                    await self._quiet.wait()
        except TimeoutError:
            pass
        self.result.seconds = asyncio.get_running_loop().time() - start
        for connection in self._all:
            connection.close()
        return self.result


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, flow: _Flow) -> None:
        self._flow = flow
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a TCP connection's transport writes

    def send(self, raw: bytes, due: float) -> None:
        self.due, self._busy = due, True
        if self._transport is not None:
            self._transport.write(raw)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_complete(self) -> None:
        self._busy = False
        self._flow.answered(self, self._parser.get_status_code())

    def connection_lost(self, _error: Exception | None) -> None:
        self._flow.lost(self, busy=self._busy)
        self._busy = False


@click.command()
@click.option("--rate", type=float, help="Requests per second; left out: as fast as answers come.")
@click.option("--seconds", default=5.0, show_default=True)
@click.option("--connections", default=32, show_default=True)
@click.option("--body", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File to POST.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE")
@click.argument("url")
def main(  # noqa: PLR0913 - the options of the command
    *, rate: float | None, seconds: float, connections: int, body: Path | None, headers: tuple[str, ...], url: str
) -> None:
    """POST to URL and print what became of it."""
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    fields = [(name, value.strip()) for name, _, value in (each.partition(":") for each in headers)]
    requests = itertools.repeat(post(address, parts.path or "/", body.read_bytes() if body else b"", fields))
    if rate is None:
        result = run(closed_loop(address, requests, connections=connections, seconds=seconds))
    else:
        result = run(at_rate(address, requests, rate=rate, seconds=seconds, connections=connections))
    shares = ", ".join(f"p{share * 100:g} {result.percentile(share) * 1000:.2f} ms" for share in (0.5, 0.99, 0.999))
    print(f"{result.answered} of {result.offered} answered, {result.rate:,.0f} per second, {result.bad} bad; {shares}")


if __name__ == "__main__":
    main()
