"""The admin port's own bounds: what only opens connections there takes no descriptors from senders."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import aiohttp

from gateway.admin import connections
from gateway.admin.connections import BoundedConnections
from tests.waiting import HANGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gateway.world import World


async def test_silent_connections_are_bounded_and_leave_room(world: World) -> None:
    """However many are opened, so many stay, the newest; and whoever asks something is answered."""
    opened = [await asyncio.open_connection("127.0.0.1", world.admin_port) for _ in range(connections.MOST + 20)]
    oldest, _ = opened[0]
    assert await asyncio.wait_for(oldest.read(), HANGS) == b""
    url = f"http://127.0.0.1:{world.admin_port}/livez"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
    assert sum(not reader.at_eof() for reader, _ in opened) <= connections.MOST
    for _, writer in opened:
        writer.close()


class Connection(asyncio.Protocol):
    """Counts as open from its beginning to its end."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None


class Times:
    """An event loop's clock and timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_later(self, delay: float, work: Callable[..., None], *given: object) -> None:
        """Keep a timer."""
        self.timers.append((delay, work, given))


async def test_a_connection_on_which_nothing_is_asked_ends() -> None:
    """In time for its first head; what was asked something stays, and what is being answered never makes room."""
    bounded, times = BoundedConnections(Connection, most=2), Times()
    bounded._loop = cast("asyncio.AbstractEventLoop", times)
    silent, asked = bounded(), bounded()
    times.now = 1.0
    async with bounded.answering(asked):
        for delay, work, given in times.timers:
            assert delay == connections.FIRST_REQUEST
            work(*given)
        assert set(bounded._asked) == set()
        third = bounded()
        assert set(bounded._asked) == {third}
        fourth = bounded()
        assert set(bounded._asked) == {fourth}
        async with bounded.answering(fourth):
            assert not isinstance(bounded(), Connection)
    assert silent not in bounded._asked
