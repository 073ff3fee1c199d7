"""Connections to an upstream: how many, how long, for whom; on a loop whose clock the test turns."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from gateway.config.upstreams import Connections
from gateway.proxy.pool import PATIENCE, PAUSE, Pool, Unreachable, UpstreamConnection
from gateway.proxy.resolver import Resolver
from tests.gateway.proxy.fuzzing import Response, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = Connections(most=2, idle=4.0, age=300.0, connect=5.0, first_byte=80.0, silence=60.0)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Line(Wire):
    """A connection that goes nowhere, and is lost when it is cut."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol

    def abort(self) -> None:
        """Cut, once."""
        if not self.aborted:
            self.aborted = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)


@dataclass
class Net:
    """An upstream without a network, and the loop's clock."""

    now: float = 1_000.0
    names: list[str | None] = field(default_factory=list)
    """Those that connections were tried for."""
    error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def create_connection(
        self, factory: Callable[[], UpstreamConnection], *_address: object, **options: Any
    ) -> tuple[Line, UpstreamConnection]:
        """Connect, or fail with `error`, once the gate is open."""
        self.names.append(options["server_hostname"])
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        connection = factory()
        line = Line(connection)
        connection.connection_made(line)
        return line, connection


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    """Put the loop's connections and clock into the test's hands."""
    made = Net()
    made.gate.set()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "create_connection", made.create_connection)
    monkeypatch.setattr(Resolver, "addresses", AsyncMock(return_value=["192.0.2.1"]))
    monkeypatch.setattr(loop, "time", lambda: made.now)
    return made


@pytest.fixture
def pool(net: Net) -> Pool:
    """Make a pool of two connections that are not encrypted."""
    del net
    return Pool("http://vkp:8080", LIMITS, None)


async def refused(pool: Pool, name: str | None = None) -> str:
    """Return why no connection was got."""
    with pytest.raises(Unreachable) as refusal:
        await pool.connect(name)
    return str(refusal.value)


class Carrier(Response):
    """Remembers what it is told beside a response."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Counter[str] = Counter()

    def response_failed(self, reason: str) -> None:
        """Count."""
        assert reason
        self.told["failed"] += 1

    def response_flushed(self) -> None:
        """Count."""
        self.told["flushed"] += 1

    def upstream_congested(self, *, congested: bool) -> None:
        """Count."""
        self.told[f"congested {congested}"] += 1


async def test_idle_connection_is_used_again(pool: Pool, net: Net) -> None:
    """The one that was used last comes first, so that the other grows old; none is given out twice."""
    first, second = await pool.connect(None), await pool.connect(None)
    pool.give_back(first)
    net.now += 1
    pool.give_back(second)
    assert [pool.take(None), pool.take(None), pool.take(None)] == [second, first, None]


async def test_no_more_than_most_are_open(pool: Pool, net: Net) -> None:
    """Who finds no room waits, in turn, for a connection that is given back or goes away."""
    first, second = await pool.connect(None), await pool.connect(None)
    async with asyncio.TaskGroup() as tasks:
        third = tasks.create_task(pool.connect(None))
        fourth = tasks.create_task(pool.connect(None))
        await settle()
        assert len(net.names) == 2
        pool.give_back(first)
        await settle()
        assert (third.done(), fourth.done()) == (True, False)
        assert third.result() is first
        second.abandon()
        await settle()
        assert fourth.done()
    assert fourth.result() not in (first, second)
    assert len(net.names) == 3


async def test_attempts_count_as_connections(pool: Pool, net: Net) -> None:
    """Connections that are being opened take room, so that a burst does not open more than `most`."""
    net.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        attempts = [tasks.create_task(pool.connect(None)) for _ in range(5)]
        await settle()
        assert len(net.names) == 2
        net.gate.set()
        await settle()
        assert sum(attempt.done() for attempt in attempts) == 2
        for _ in range(3):
            pool.give_back(next(attempt.result() for attempt in attempts if attempt.done()))
            await settle()
    assert len(net.names) == 2


async def test_failed_attempt_makes_room_for_who_waits(net: Net) -> None:
    """Who waits does not wait for nothing when the attempt before fails."""
    pool = Pool("http://vkp", Connections(1, 4.0, 300.0, 5.0, 80.0, 60.0), None)
    net.gate.clear()
    net.error = ConnectionRefusedError()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(refused(pool))
        await settle()
        second = tasks.create_task(refused(pool))
        await settle()
        net.gate.set()
    assert (first.result(), second.result()) == ("ConnectionRefusedError", "ConnectionRefusedError")


async def test_waiting_for_room_ends(pool: Pool, net: Net) -> None:
    """After `connect` seconds the request fails; that others use all connections does not mean that VKP is down."""
    connections = [await pool.connect(None), await pool.connect(None)]
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(refused(pool)) for _ in range(PATIENCE + 1)]
        await settle()
        net.now += LIMITS.connect + 0.1
        await settle()
        assert all(wait.done() for wait in waits)
    assert {wait.result() for wait in waits} == {"TimeoutError"}
    connections[0].abandon()
    await settle()
    assert await pool.connect(None) is not connections[0]


async def test_who_stops_waiting_passes_its_turn_on(pool: Pool, net: Net) -> None:
    """A request that is cancelled at the moment its turn comes leaves the connection to the next."""
    del net
    first, _ = await pool.connect(None), await pool.connect(None)
    async with asyncio.TaskGroup() as tasks:
        leaves = tasks.create_task(pool.connect(None))
        stays = tasks.create_task(pool.connect(None))
        await settle()
        pool.give_back(first)
        leaves.cancel()
        await settle()
        assert leaves.cancelled()
        assert stays.done()
    assert stays.result() is first


async def test_unused_connection_is_not_kept_long(pool: Pool, net: Net) -> None:
    """After `idle` it is not given out any more, and the sweep closes it."""
    first, second = await pool.connect(None), await pool.connect(None)
    pool.give_back(first)
    net.now += LIMITS.idle
    pool.sweep(net.now)
    assert first.is_open
    pool.give_back(second)
    net.now += 0.1
    pool.sweep(net.now)
    assert (first.is_open, second.is_open) == (False, True)
    net.now += LIMITS.idle
    assert pool.take(None) is None
    assert not second.is_open


async def test_old_connection_is_not_used_again(pool: Pool, net: Net) -> None:
    """One that is older than `age` is closed when its request is done, so that a changed address is found."""
    connection = await pool.connect(None)
    net.now += LIMITS.age
    pool.give_back(connection)
    assert pool.take(None) is connection
    net.now += 0.1
    pool.give_back(connection)
    assert not connection.is_open
    assert pool.take(None) is None


async def test_connection_that_the_upstream_closed_is_not_given_out(pool: Pool, net: Net) -> None:
    """An idle connection that is gone makes room."""
    del net
    connection = await pool.connect(None)
    pool.give_back(connection)
    connection.eof_received()
    assert connection.transport is not None
    connection.transport.abort()
    assert pool.take(None) is None
    await settle()
    assert [await pool.connect(None), await pool.connect(None)]


async def test_drained_pool_finishes_what_is_under_way(pool: Pool, net: Net) -> None:
    """Idle connections are closed at once, the others when their request is done."""
    del net
    idle, used = await pool.connect(None), await pool.connect(None)
    pool.give_back(idle)
    pool.drain()
    assert (idle.is_open, used.is_open) == (False, True)
    pool.give_back(used)
    assert not used.is_open


async def test_upstream_that_refuses_counts_as_down_for_a_moment(pool: Pool, net: Net) -> None:
    """After some failures requests fail at once; then it is tried again, and one success clears it."""
    net.error = ConnectionRefusedError()
    for _ in range(PATIENCE):
        assert await refused(pool) == "ConnectionRefusedError"
    assert await refused(pool) == "not reached a moment ago"
    assert len(net.names) == PATIENCE
    net.now += PAUSE
    assert await refused(pool) == "ConnectionRefusedError"
    assert await refused(pool) == "not reached a moment ago"
    net.now += PAUSE
    net.error = None
    pool.give_back(await pool.connect(None))
    assert pool.take(None) is not None
    net.error = ConnectionRefusedError()
    assert [await refused(pool) for _ in range(PATIENCE)] == ["ConnectionRefusedError"] * PATIENCE


async def test_upstream_that_does_not_answer_counts_as_down(pool: Pool, net: Net) -> None:
    """Attempts that take longer than `connect` are failures too."""
    net.gate.clear()
    for _ in range(PATIENCE):
        async with asyncio.TaskGroup() as tasks:
            attempt = tasks.create_task(refused(pool))
            await settle()
            net.now += LIMITS.connect + 0.1
        assert attempt.result() == "TimeoutError"
    assert await refused(pool) == "not reached a moment ago"


async def test_idle_connections_are_used_while_the_upstream_counts_as_down(pool: Pool, net: Net) -> None:
    """What is open works, whatever new connections do."""
    connection = await pool.connect(None)
    pool.give_back(connection)
    net.error = ConnectionRefusedError()
    pool._failures, pool._down_until = PATIENCE, net.now + PAUSE
    assert pool.take(None) is connection


@pytest.mark.parametrize("error", [ssl.SSLCertVerificationError("wrong name"), ValueError("no name"), UnicodeError()])
async def test_wrong_name_does_not_shut_others_out(net: Net, error: Exception) -> None:
    """A sender chooses Host, and so the name: that it is wrong says nothing of the upstream."""
    pool = Pool("https://vkp", LIMITS, SimpleNamespace(what="vkp", context=ssl.create_default_context()))
    net.error = error
    for _ in range(PATIENCE + 1):
        assert await refused(pool, "wrong") == type(error).__name__
    net.error = None
    assert (await pool.connect("right")).name == "right"


async def test_connection_serves_the_name_it_was_checked_for(net: Net) -> None:
    """Requests for one name never go on a connection whose certificate was checked for another."""
    pool = Pool("https://vkp", LIMITS, SimpleNamespace(what="vkp", context=ssl.create_default_context()))
    first, second = await pool.connect("a"), await pool.connect(None)
    pool.give_back(first)
    pool.give_back(second)
    assert net.names == ["a", "vkp"]
    assert pool.take("b") is None
    assert (pool.take("a"), pool.take(None)) == (first, second)


async def test_connection_for_another_name_makes_room(net: Net) -> None:
    """Names do not lift the bound: an idle connection for another name is closed in favour of a new one."""
    del net
    pool = Pool("https://vkp", LIMITS, SimpleNamespace(what="vkp", context=ssl.create_default_context()))
    for name in ("a", "b", "c", "d", "e"):
        pool.give_back(await pool.connect(name))
        await settle()
        assert len(pool._open) <= LIMITS.most
    assert pool.take("e") is not None


async def test_plain_connections_have_no_name(pool: Pool, net: Net) -> None:
    """Where nothing is encrypted nothing is checked."""
    await pool.connect(None)
    assert net.names == [None]
    assert not pool.uses_tls


async def test_every_connection_can_be_cut(pool: Pool, net: Net) -> None:
    """`abort` leaves nothing open."""
    del net
    first, second = await pool.connect(None), await pool.connect(None)
    pool.give_back(first)
    pool.abort()
    await settle()
    assert (first.is_open, second.is_open, len(pool._open)) == (False, False, 0)


@pytest.mark.parametrize(
    ("answer", "sent", "kept"),
    [
        (ANSWER, True, True),
        (ANSWER, False, False),
        (ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), True, False),
    ],
    ids=["whole", "answered before the request was whole", "said to be closed"],
)
async def test_connection_is_kept_only_after_a_whole_exchange(
    pool: Pool, net: Net, answer: bytes, *, sent: bool, kept: bool
) -> None:
    """A connection that may hold anything else than the next answer is closed."""
    del net
    connection = await pool.connect(None)

    class Ending(Carrier):
        def response_ended(self, trailers: Any) -> None:
            super().response_ended(trailers)
            connection.ended()

    connection.begin(Ending(), to_head=False)
    connection.request_sent = sent
    connection.data_received(answer)
    assert (pool.take(None) is connection) is kept
    assert connection.is_open is kept


@pytest.mark.parametrize("how", ["eof", "lost", "nonsense"])
async def test_lost_connection_is_told_once(pool: Pool, net: Net, how: str) -> None:
    """Whoever waits for an answer hears once that none will come."""
    del net
    connection, carrier = await pool.connect(None), Carrier()
    connection.begin(carrier, to_head=False)
    connection.data_received(ANSWER[:20])
    if how == "eof":
        connection.eof_received()
    elif how == "nonsense":
        connection.data_received(b"\x00\r\n\r\n")
    else:
        assert connection.transport is not None
        connection.transport.abort()
    await settle()
    assert carrier.told["failed"] == 1


async def test_idle_connection_that_speaks_is_closed(pool: Pool, net: Net) -> None:
    """An answer that nobody asked for must not become the next request's."""
    del net
    connection = await pool.connect(None)
    pool.give_back(connection)
    connection.data_received(ANSWER)
    assert pool.take(None) is None
