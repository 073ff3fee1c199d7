"""Looking at whether connections take too long: a few at a time, so that thousands of idle ones keep nobody waiting."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gateway.proxy import server
from gateway.proxy.server import Lane, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.model import Handled, RequestHead


class Connection:
    """A sender's connection that is looked at."""

    def __init__(self, looks: Counter[int], number: int) -> None:
        self._looks, self._number = looks, number

    def sweep(self, _now: float) -> None:
        """Count a look."""
        self._looks[self._number] += 1


class Swept(Server):
    """A server whose looks are counted, and come when a test says so."""

    def __init__(self, senders: int) -> None:
        lane = Lane({}, lambda _status, text: pytest.fail(text))
        super().__init__(lambda: (self, lane), lambda *_: None)
        self.looks: Counter[int] = Counter()
        self.waits: list[float] = []
        self._senders = {Connection(self.looks, number) for number in range(senders)}  # type: ignore[misc]
        self._loop = self  # type: ignore[assignment]

    def time(self) -> float:
        """Return the loop's time, which stands still."""
        return 0.0

    def call_later(self, wait: float, _what: Callable[[], None]) -> None:
        """Note when the next look is to come."""
        self.waits.append(wait)

    def begin(self, head: RequestHead) -> Handled:
        """Serve nothing."""
        raise AssertionError(head)

    def look(self) -> int:
        """Look once; return at how many connections."""
        before = self.looks.total()
        self._sweep()
        return self.looks.total() - before

    def leave(self, *_origin: str) -> None:
        """Have all but one connection end."""
        while len(self._senders) > 1:
            self._senders.pop()


async def test_thousands_of_connections_are_looked_at_in_small_parts_each_once_a_round() -> None:
    """None is forgotten, and none is looked at twice before all the others were."""
    swept = Swept(1010)
    parts = [swept.look() for _ in range(6)]
    assert parts == [server._SLICE] * 5 + [10]
    assert set(swept.looks.values()) == {1}
    assert swept.look() == server._SLICE


async def test_a_round_over_a_few_connections_is_as_long_as_ever_and_parts_follow_at_a_distance() -> None:
    """With many, a part comes after a fiftieth of a second at the soonest."""
    few, many = Swept(10), Swept(15_000)
    assert [each.look() for each in (few, many)] == [10, server._SLICE]
    assert (few.waits, many.waits) == ([server._SWEEP], [server._BETWEEN])


async def test_connections_that_have_ended_are_not_looked_at_any_more() -> None:
    """Those that end in the middle of a round are gone from it."""
    swept = Swept(500)
    swept.look()
    swept.leave()
    assert swept.look() + swept.look() <= 1
