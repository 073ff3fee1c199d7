"""The load driver against a small server whose answers the tests hold in their hands."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bench.driver import Address, Result, at_rate, closed_loop, post
from tests.gateway.clocks import LoopClock
from tests.waiting import until

_GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
Answer = Callable[[int], Awaitable[bytes | None]]
"""From the number of a request to its answer; None closes the connection."""


class _Server:
    def __init__(self) -> None:
        self.answer: Answer = _good
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                answer = await self.answer(len(self.bodies))
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _good(_number: int) -> bytes | None:
    return _GOOD


@pytest.fixture
async def server() -> AsyncIterator[tuple[_Server, Address]]:
    """Start a server that counts what it gets."""
    own = _Server()
    listening = await asyncio.start_server(own.serve, "127.0.0.1", 0)
    yield own, listening.sockets[0].getsockname()
    listening.close()


def test_a_request_says_what_is_needed_and_no_more() -> None:
    """The head has the given fields and the body's length."""
    raw = post(("127.0.0.1", 80), "/a", b"body", (("Authorization", "Bearer x"),))
    assert raw == b"POST /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer x\r\nContent-Length: 4\r\n\r\nbody"


async def test_a_fixed_rate_offers_what_was_asked(server: tuple[_Server, Address]) -> None:
    """As many requests as rate and time make, each answered and counted once."""
    own, address = server
    result = await at_rate(address, itertools.repeat(post(address, "/", b"x")), rate=200, seconds=0.1, connections=4)
    assert (result.offered, result.answered, result.bad) == (20, 20, 0)
    assert own.bodies == [b"x"] * 20


async def test_latency_counts_from_when_a_request_was_due(server: tuple[_Server, Address]) -> None:
    """Requests that wait behind a slow answer are slow themselves: the one due first has waited longest."""
    own, address = server
    released = asyncio.Event()

    async def held(_number: int) -> bytes | None:
        await released.wait()
        return _GOOD

    own.answer = held
    run = asyncio.ensure_future(  # noqa: TID251 - kept and awaited below
        at_rate(address, itertools.repeat(post(address, "/", b"")), rate=50, seconds=0.1, connections=1)
    )
    with LoopClock() as clock:
        await until(lambda: own.bodies)
        for _ in range(10):
            await clock.move(0.02)
        released.set()
        result = await run
    assert result.answered == 5
    assert result.latencies == sorted(result.latencies, reverse=True)


async def test_a_closed_loop_sends_exactly_what_there_is(server: tuple[_Server, Address]) -> None:
    """Requests that differ are each sent once."""
    own, address = server
    requests = [post(address, "/", str(number).encode()) for number in range(25)]
    result = await closed_loop(address, iter(requests), connections=3, seconds=30)
    assert (result.offered, result.answered, result.bad) == (25, 25, 0)
    assert sorted(map(int, own.bodies)) == list(range(25))


async def test_a_closed_loop_ends_after_the_wanted_count(server: tuple[_Server, Address]) -> None:
    """Also when there would be more to send."""
    _, address = server
    requests = itertools.repeat(post(address, "/", b""))
    result = await closed_loop(address, requests, connections=8, seconds=30, count=5)
    assert (result.offered, result.answered) == (5, 5)


async def test_other_answers_and_lost_connections_are_bad(server: tuple[_Server, Address]) -> None:
    """A fast refusal is no success, and a connection that ends without an answer is not forgotten."""
    own, address = server
    answers = {2: _BUSY, 4: None}

    async def mixed(number: int) -> bytes | None:
        return answers.get(number, _GOOD)

    own.answer = mixed
    requests = itertools.repeat(post(address, "/", b""))
    result = await closed_loop(address, requests, connections=1, seconds=30, count=6)
    assert result.statuses == Counter({200: 2, 503: 1})
    assert (result.offered, result.bad) == (4, 2)


async def test_an_answer_that_is_no_http_is_bad(server: tuple[_Server, Address]) -> None:
    """The driver ends instead of waiting for the rest."""
    own, address = server

    async def nonsense(_number: int) -> bytes | None:
        return b"nonsense\r\n\r\n"

    own.answer = nonsense
    result = await closed_loop(address, iter([post(address, "/", b"")]), connections=1, seconds=30)
    assert (result.answered, result.bad) == (0, 1)


def test_a_result_of_nothing_has_no_rate() -> None:
    """It does not divide by zero."""
    assert Result().rate == 0.0
