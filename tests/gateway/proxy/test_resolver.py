"""Names of upstreams are looked up one at a time each, and one whose server hangs keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from gateway.config.upstreams import Connections
from gateway.proxy.pool import Pool, Unreachable
from gateway.proxy.resolver import USUAL_FRESHNESS, Freshness, Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.gateway.world import Logged

LIMITS = Connections(4, 4.0, 300.0, 0.1, 80.0, 60.0)


class Names:
    """Answers look-ups as a test says; hangs until `go` is set."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Sequence[str] | OSError = ["127.0.0.1"]
        self.go = threading.Event()
        self.go.set()

    def __call__(self, host: str) -> Sequence[str]:
        assert host
        self.asked += 1
        assert self.go.wait(120)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.fixture
def names() -> Iterator[Names]:
    """Let no thread hang after a test."""
    made = Names()
    yield made
    made.go.set()


async def until_told(found: Resolver) -> None:
    """Wait for the look-up that is under way."""
    if (waited := found._under_way) is not None:
        await asyncio.wait([waited])


async def test_a_name_that_hangs_keeps_no_other_upstream_waiting(names: Names) -> None:
    """However many requests ask for it: one thread waits for it, and none of those that the event loop has."""
    names.go.clear()
    hung = Pool("http://vkp.example:1", LIMITS, None, names)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    other = Pool(f"http://jft.example:{port}", LIMITS, None, lambda _: ["127.0.0.1"])
    refused = await asyncio.gather(*(hung.connect(None) for _ in range(40)), return_exceptions=True)
    assert all(isinstance(each, Unreachable) for each in refused)
    assert names.asked == 1
    assert (await other.connect(None)).transport is not None
    other.abort()
    server.close()


async def test_the_last_known_addresses_are_used_while_look_ups_fail(names: Names, logged: Logged) -> None:
    """Also while they hang; it is told once, and once when the name is found again."""
    found = Resolver("vkp.example", names, Freshness(found=0.0, failed=0.0))
    assert await found.addresses() == ["127.0.0.1"]
    names.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    for _ in range(3):
        assert await found.addresses() == ["127.0.0.1"]
        await until_told(found)
    names.go.clear()
    assert await found.addresses() == ["127.0.0.1"]
    names.answer = ["127.0.0.2"]
    names.go.set()
    await until_told(found)
    assert await found.addresses() == ["127.0.0.2"]
    (failed,) = logged.named("resolver.failed")
    assert (failed["host"], failed["last_known_is_used"]) == ("vkp.example", True)
    assert len(logged.named("resolver.recovered")) == 1
    await until_told(found)


async def test_sender_and_log_are_told_of_a_name_that_is_none(names: Names) -> None:
    """In words, since whoever reads them looks at DNS then."""
    names.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(Unreachable, match=r"^its name cannot be resolved$"):
        await Pool("http://nowhere.example", LIMITS, None, names).connect(None)


async def test_a_name_that_was_never_found_is_an_error(names: Names) -> None:
    """For everybody who waits for it, and for nobody where all have gone: no raw exception in the log."""
    names.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    found = Resolver("nowhere.example", names)
    several = await asyncio.gather(*(found.addresses() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in several] == [socket.gaierror] * 3
    assert names.asked == 1
    broken = Resolver("a.example", lambda _: 1 / 0)  # type: ignore[arg-type, return-value] # a defect
    with pytest.raises(OSError, match="no name"):
        await broken.addresses()
    names.answer = []
    with pytest.raises(OSError, match="no address"):
        await found.addresses()


async def test_addresses_are_fresh_for_a_while(names: Names) -> None:
    """And an address is no name."""
    assert USUAL_FRESHNESS.found > 0
    found = Resolver("vkp.example", names)
    for _ in range(3):
        await found.addresses()
    assert names.asked == 1
    for literal in ("127.0.0.1", "::1"):
        assert await Resolver(literal, names).addresses() == (literal,)
    assert names.asked == 1


async def test_the_next_address_is_tried_where_one_refuses(names: Names) -> None:
    """As names have several so that one may be away."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names.answer = ["127.0.0.2", "127.0.0.1"]
    pool = Pool(f"http://vkp.example:{port}", LIMITS, None, names)
    assert (await pool.connect(None)).transport is not None
    pool.abort()
    server.close()
