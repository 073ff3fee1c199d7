"""Connections to one upstream: kept while they are fresh, bounded in number, never used for two requests at once."""

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast
from urllib.parse import urlsplit

import structlog

from gateway.config.upstreams import Connections
from gateway.proxy.connection_limits import TOLD_AGAIN
from gateway.proxy.resolver import USUAL_FRESHNESS, Freshness, Lookup, Resolver, lookup
from gateway.proxy.response_parser import BadResponse, ResponseEvents, ResponseParser
from gateway.proxy.tls import ReloadingContext, failure_told, is_of_our_certificate

log = structlog.get_logger()

PATIENCE = 3
"""Failed connections in a row after which an upstream counts as down for a moment."""
PAUSE = 1.0
"""Seconds that an upstream counts as down: requests then fail at once instead of waiting for another refusal."""


class Unreachable(Exception):  # noqa: N818 - the condition
    """No connection could be made, or none was free in time; nothing was sent that the other side would read."""

    def __init__(self, reason: str, *, is_untrusted: bool = False) -> None:
        super().__init__(reason)
        self.is_untrusted = is_untrusted
        """Whether it is TLS that failed: one of both sides does not accept the other's certificate, or they have no way in common."""


class ResponseHandler(ResponseEvents, Protocol):
    """Who uses a connection for one request."""

    def response_failed(self, reason: str) -> None:
        """Take note that the connection is lost, or that what came is no answer; nothing more will come."""

    def response_flushed(self) -> None:
        """Send what was gathered: everything that had come was given."""

    def upstream_congested(self, *, congested: bool) -> None:
        """Take note that the connection's outgoing buffer is full, or has room again."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to the upstream."""

    def __init__(self, pool: "Pool", name: str | None, tls: ssl.SSLContext | None = None) -> None:
        self._pool = pool
        self._parser = ResponseParser()
        self._handler: ResponseHandler | None = None
        self._ended = False
        self.name = name
        """The name that the upstream's certificate was checked against."""
        self.tls = tls
        """What it was checked with."""
        self.idle_since = 0.0
        self.request_sent = False
        self.has_heard = False
        """Whether anything came since the request that it is used for."""
        self.refuses_certificate = False
        """Whether it is lost since the upstream does not accept our certificate, and has read no request over it."""
        self.made_at = pool.now()
        self._paused = False
        self.transport: asyncio.Transport | None = None

    def begin(self, handler: ResponseHandler, *, to_head: bool) -> None:
        """Take the connection for one request."""
        self._handler = handler
        self._ended = False
        self.request_sent = self.has_heard = False
        self._parser.expect(handler, to_head=to_head)

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        if self.transport is not None:
            self.transport.write(data)

    def read_paused(self, *, paused: bool) -> None:
        """Stop or go on reading the answer, as its reader keeps up."""
        if paused is self._paused or self.transport is None or self.transport.is_closing():
            return
        self._paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def abandon(self) -> None:
        """Cut the connection: what was under way is nobody's any more."""
        self._handler = None
        if self.transport is not None:
            self.transport.abort()

    def ended(self) -> None:
        """Take note that the answer is complete; the connection is given back when its last bytes have been read."""
        self._ended = True

    @property
    def has_served(self) -> bool:
        """Whether it was kept after an earlier request."""
        return self.idle_since > 0

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self.transport = cast("asyncio.Transport", transport)
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of an answer."""
        if self._handler is None:
            # Whatever comes while nothing was asked, a blank line too, could be taken for the next sender's answer.
            self._failed("bytes that nobody asked for")
            return
        self.has_heard = True
        try:
            self._parser.feed(data)
        except BadResponse as error:
            self._failed(str(error))
            return
        if self._ended:
            self._give_back()
        elif self._handler is not None:
            self._handler.response_flushed()

    def eof_received(self) -> None:
        """asyncio: the upstream sends no more."""
        try:
            self._parser.closed()
        except BadResponse as error:
            self._failed(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._pool.closed(self)
        self._parser.release()
        # With TLS 1.3 the server says only after the first request that it does not accept our certificate, and has not read that.
        self.refuses_certificate = is_of_our_certificate(exc) and not self.has_served and not self.has_heard
        if self.refuses_certificate and exc is not None:
            self._pool.tell_untrusted(exc)
        self._failed(failure_told(exc) if exc else "the upstream closed the connection")

    def pause_writing(self) -> None:
        """asyncio: the outgoing buffer is full."""
        if self._handler is not None:
            self._handler.upstream_congested(congested=True)

    def resume_writing(self) -> None:
        """asyncio: the outgoing buffer has room."""
        if self._handler is not None:
            self._handler.upstream_congested(congested=False)

    def _failed(self, reason: str) -> None:
        handler, self._handler = self._handler, None
        if self.transport is not None:
            self.transport.abort()
        if handler is not None and not self._ended:
            handler.response_failed(reason)

    def _give_back(self) -> None:
        self._handler = None
        self.read_paused(paused=False)
        if self.request_sent and self._parser.keeps_alive and self.is_open:
            self._pool.give_back(self)
        elif self.transport is not None:
            self.transport.abort()


class Pool:
    """The connections to one upstream."""

    def __init__(  # noqa: PLR0913 - where to, and what tests give otherwise
        self,
        url: str,
        limits: Connections,
        tls: ReloadingContext | None,
        lookup: Lookup = lookup,
        *,
        pause: float = PAUSE,
        freshness: Freshness = USUAL_FRESHNESS,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._resolver = Resolver(self._host, lookup, freshness)
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = tls
        """How its connections are encrypted and checked; None where they are not."""
        self._limits = limits
        self._idle: deque[UpstreamConnection] = deque()
        self._open: set[UpstreamConnection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pause = pause
        self._failures = 0
        self._down_until = 0.0
        self._told_at = -math.inf
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """Return the event loop's time; asking which loop runs would be a system call on Python 3.11, each time."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    @property
    def waiting(self) -> int:
        """How many requests wait for one of the connections to be free."""
        return sum(not waiter.done() for waiter in self._waiting)

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted, and so checked against a name."""
        return self.tls is not None

    def take(self, name: str | None) -> UpstreamConnection | None:
        """Return a fresh idle connection, if there is one; the newest first, so that the others grow old and go."""
        now = self.now()
        for _ in range(len(self._idle)):
            connection = self._idle.pop()
            if (
                not connection.is_open
                or now - connection.idle_since > self._limits.idle
                or self._is_outdated(connection)
            ):
                self._cut(connection)
            elif connection.name != name:
                self._idle.appendleft(connection)
            else:
                return connection
        return None

    async def connect(self, name: str | None) -> UpstreamConnection:
        """Open a connection, waiting for room if need be; raises `Unreachable`."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._down_until:
            raise Unreachable("not reached a moment ago")
        has_room = False
        try:
            async with asyncio.timeout(self._limits.connect):
                await self._room()
                has_room = True
                if (idle := self.take(name)) is not None:
                    return idle
                if self._is_full and self._idle:
                    self._cut(self._idle.popleft())  # it is for another name
                connection = await self._connected(name)
        except (ssl.SSLError, ValueError) as error:
            # The upstream was reached, or the name is none: senders who ask for a wrong one must not shut the others out.
            if isinstance(error, ssl.SSLError):
                self.tell_untrusted(error)
            raise Unreachable(failure_told(error), is_untrusted=isinstance(error, ssl.SSLError)) from None
        except OSError as error:
            if has_room:
                self._count_failure(loop.time())
            raise Unreachable(failure_told(error)) from None
        self._failures = 0
        return connection

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request."""
        now = self.now()
        if self._draining or now - connection.made_at > self._limits.age or self._is_outdated(connection):
            self._cut(connection)
            return
        connection.idle_since = now
        self._idle.append(connection)
        self._wake()

    def opened(self, connection: UpstreamConnection) -> None:
        """Count a connection."""
        self._open.add(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake()

    def tell_untrusted(self, error: Exception) -> None:
        """Log that one of both sides does not accept the other's certificate; once a minute, since each request meets it."""
        if self.tls is not None and self.now() - self._told_at >= TOLD_AGAIN:
            self._told_at = self.now()
            log.error("service.tls_refused", upstream=self.tls.what, reason=failure_told(error))

    def sweep(self, now: float) -> None:
        """Close what has been idle too long."""
        while self._idle and now - self._idle[0].idle_since > self._limits.idle:
            self._cut(self._idle.popleft())

    def drain(self) -> None:
        """Close what is idle now, and the rest as soon as it is done."""
        self._draining = True
        self.cut_idle()

    def cut_idle(self) -> None:
        """Close what is idle now."""
        while self._idle:
            self._cut(self._idle.popleft())

    def abort(self) -> None:
        """Cut every connection."""
        for connection in list(self._open):
            connection.abandon()

    async def _connected(self, name: str | None) -> UpstreamConnection:
        context = self.tls.context if self.tls else None
        server_hostname = (name or self._host) if context else None
        if context is not None:
            # Raises ValueError for what is no name: asyncio does so too late, with the socket open.
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=server_hostname)
        self._connecting += 1
        try:
            return await self._connected_to_one(
                lambda: UpstreamConnection(self, name, context), context, server_hostname
            )
        except BaseException:
            self._wake()  # the room is free again
            raise
        finally:
            self._connecting -= 1

    async def _connected_to_one(
        self, made: Callable[[], UpstreamConnection], context: ssl.SSLContext | None, name: str | None
    ) -> UpstreamConnection:
        """Connect to the first address that takes it; raises the `OSError` of the last."""
        loop, failure = asyncio.get_running_loop(), OSError("no address")
        for address in await self._resolver.addresses():
            try:
                connected = await loop.create_connection(made, address, self._port, ssl=context, server_hostname=name)
            except ssl.SSLError:
                raise
            except OSError as error:
                failure = error
            else:
                return connected[1]
        raise failure

    def _is_outdated(self, connection: UpstreamConnection) -> bool:
        """Whether certificates have changed since it was checked."""
        return self.tls is not None and connection.tls is not self.tls.context

    @property
    def _is_full(self) -> bool:
        return len(self._open) + self._connecting >= self._limits.most

    async def _room(self) -> None:
        while self._is_full and not self._idle:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # its turn had come: the next one's now
                raise
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _cut(self, connection: UpstreamConnection) -> None:
        if connection.transport is not None:
            connection.transport.abort()

    def _count_failure(self, now: float) -> None:
        self._failures += 1
        if self._failures >= PATIENCE:
            self._down_until = now + self._pause
