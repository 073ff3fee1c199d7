"""Connections to the admin port, bounded: whoever only opens them must leave descriptors to senders, and a place to others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.observability.metrics import CONNECTIONS_REFUSED

MOST = 64
"""At a time; one more ends the one on which nothing was asked for longest."""
FIRST_REQUEST = 15.0
"""Seconds from a connection's beginning to the end of its first request's head."""


class BoundedConnections:
    """Makes what reads each connection, of which there are so many."""

    def __init__(
        self, make: Callable[[], asyncio.Protocol], most: int = MOST, first_request: float = FIRST_REQUEST
    ) -> None:
        self._make = make
        self._most = most
        self._first_request = first_request
        self._loop = asyncio.get_running_loop()
        self._asked: dict[Any, float] = {}
        """By connection, when it began or was asked something last; without those that are being answered."""
        self._answered: set[Any] = set()
        self._opened: set[Any] = set()
        """Those of which it is known that they had begun: without a transport they have ended."""

    def __call__(self) -> asyncio.Protocol:
        """Return what reads a new connection, or closes it where all are being answered."""
        self._forget_closed()
        while len(self._asked) + len(self._answered) >= self._most:
            CONNECTIONS_REFUSED.labels("admin").inc()
            if not self._asked:
                return _Closing()
            self._end(min(self._asked, key=self._asked.__getitem__))
        connection = self._make()
        began = self._asked[connection] = self._loop.time()
        self._loop.call_later(self._first_request, self._end_silent, connection, began)
        return connection

    @asynccontextmanager
    async def answering(self, connection: Any) -> AsyncIterator[None]:
        """Leave a connection alone while it is being answered."""
        self._asked.pop(connection, None)
        self._answered.add(connection)
        try:
            yield
        finally:
            self._answered.discard(connection)
            self._asked[connection] = self._loop.time()

    def _end_silent(self, connection: Any, began: float) -> None:
        if self._asked.get(connection) == began:
            self._end(connection)

    def _end(self, connection: Any) -> None:
        del self._asked[connection]
        self._opened.discard(connection)
        if connection.transport is not None:
            connection.transport.abort()

    def _forget_closed(self) -> None:
        for connection in list(self._asked):
            if connection.transport is not None:
                self._opened.add(connection)
            elif connection in self._opened:
                self._end(connection)


class _Closing(asyncio.Protocol):
    """Closes a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        transport.close()
