"""The data port: connections are counted before anything is done for them, handshakes of TLS too, and these are bounded."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from gateway.config.model import Address
from gateway.observability.metrics import HANDSHAKES_FAILED, NOT_ACCEPTED, PROXY_HEADERS_REFUSED
from gateway.proxy.bounds import Bounds
from gateway.proxy.certificate_files import SHAKING_HANDS
from gateway.proxy.downstream import DownstreamConnection
from gateway.proxy.proxy_protocol import ProxyHeaderError, bytes_missing, source_address
from gateway.proxy.tls import ReloadingContext

log = structlog.get_logger()

_GOODBYE = 2.0
"""Seconds that a sender gets to agree that the connection ends."""
_AT_ONCE = 128
"""Connections that are taken before anything else is done."""
_PAUSE = 1.0
"""Seconds before trying again when the system gives no connection, for want of file descriptors."""


class Listener(Protocol):
    """Who counts connections, and answers what comes over them."""

    bounds: Bounds

    def enter(self, address: str) -> str | None:
        """Count a connection; return what to give back when it ends, or None when there is no room for it."""

    def is_balancer(self, address: str) -> bool:
        """Tell whether connections from that address are a balancer's."""

    def refused(self, event: str, address: str, reason: str) -> None:
        """Tell of a connection that was refused before anything was asked."""

    def leave(self, origin: str) -> None:
        """Forget a connection that never became a sender's."""

    def handshake_ended(self) -> None:
        """Notice that a handshake has ended, one way or the other."""

    def sender(self, origin: str | None) -> DownstreamConnection:
        """Return what will read the connection."""


class ConnectionListener:
    """Listens, and does the handshakes, where there are any, with whatever certificate is current when each begins.

    It accepts connections itself: asyncio and uvloop tell nobody that there was no file descriptor for one.
    """

    def __init__(self, host: Listener, tls: Callable[[], ReloadingContext] | None, *, proxy_protocol: bool) -> None:
        self._proxy_protocol = proxy_protocol
        self._host = host
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._handshakes: dict[asyncio.Task[None], float] = {}
        """By when each began, the oldest first."""

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on sockets that listen."""
        self._sockets = list(sockets)
        for listening in sockets:
            self._take(listening)

    def close(self) -> None:
        """Stop listening; handshakes that have begun go on."""
        sockets, self._sockets = self._sockets, []
        for listening in sockets:
            self._loop.remove_reader(listening)
            listening.close()

    @property
    def shakes_hands(self) -> bool:
        """Whether a handshake goes on."""
        return bool(self._handshakes)

    def end_handshakes(self, begun_before: float) -> None:
        """Give up handshakes that began before that moment of the loop's clock."""
        for handshake, begun in list(self._handshakes.items()):
            if begun < begun_before:
                handshake.cancel()

    def _take(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                NOT_ACCEPTED.inc()
                log.error("proxy.cannot_accept", error=error.strerror)  # noqa: TRY400 - the place says nothing
                self._loop.remove_reader(listening)
                self._loop.call_later(_PAUSE, self._take, listening)
                return
            peer = str(address[0])
            origin = self._host.enter(peer)
            if origin is None:
                connection.close()
            else:
                self._begin(connection, origin, peer, has_header=self._proxy_protocol and self._host.is_balancer(peer))

    def _begin(self, connection: socket.socket, origin: str, peer: str, *, has_header: bool) -> None:
        if len(self._handshakes) >= self._host.bounds.handshakes:
            next(iter(self._handshakes)).cancel()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sender = self._host.sender(origin)
        task = self._loop.create_task(self._handshake(connection, sender, peer, has_header=has_header))
        self._handshakes[task] = self._loop.time()
        task.add_done_callback(partial(self._done, connection, sender, peer))

    async def _handshake(
        self, connection: socket.socket, sender: DownstreamConnection, peer: str, *, has_header: bool
    ) -> None:
        if has_header and not await self._is_introduced(connection, sender, peer):
            return
        if self._tls is None:
            await self._loop.connect_accepted_socket(lambda: sender, connection)
            return
        SHAKING_HANDS.set(connection)
        await self._loop.connect_accepted_socket(
            lambda: sender,
            connection,
            ssl=self._tls().context,
            ssl_handshake_timeout=self._host.bounds.handshake,
            ssl_shutdown_timeout=_GOODBYE,
        )

    async def _is_introduced(self, connection: socket.socket, sender: DownstreamConnection, peer: str) -> bool:
        """Read whose connection a balancer brings, and count it as that sender's; tell whether it may go on."""
        try:
            async with asyncio.timeout(self._host.bounds.handshake):
                header = await self._header(connection)
            sender.said_peer = source_address(header) if header else None
        except (ProxyHeaderError, TimeoutError) as error:
            PROXY_HEADERS_REFUSED.inc()
            reason = str(error) or "it did not come in time"
            self._host.refused("proxy.header_refused", peer, reason)
            return False
        if sender.said_peer is not None and sender.origin is not None:
            self._host.leave(sender.origin)
            sender.origin = self._host.enter(sender.said_peer)
        return bool(header) and sender.origin is not None

    async def _header(self, connection: socket.socket) -> bytes:
        """Read a header and not a byte more, or nothing where nothing came (a health check); raises `ProxyHeaderError`."""
        received = b""
        while missing := bytes_missing(received):
            if not (data := await self._loop.sock_recv(connection, missing)):
                if received:
                    raise ProxyHeaderError("it broke off")
                break
            received += data
        return received

    def _done(
        self, connection: socket.socket, sender: DownstreamConnection, peer: str, task: "asyncio.Task[None]"
    ) -> None:
        """Forget a connection that never became a sender's; not in the task itself, which may end before it begins."""
        del self._handshakes[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):
            log.error("proxy.defect", exc_info=error)
        if sender.transport is None:
            if self._tls is not None:
                HANDSHAKES_FAILED.inc()
                if (reason := _why(error)) is not None:
                    self._host.refused("tls.handshake_failed", sender.said_peer or peer, reason)
            if sender.origin is not None:
                self._host.leave(sender.origin)
            connection.close()
        self._host.handshake_ended()


def _why(error: BaseException | None) -> str | None:
    """Say why a handshake failed; None where the other side left, as whoever looks whether a port is open does."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no TLS").lower().replace("_", " ")
    return "it was not done in time" if isinstance(error, TimeoutError) else None


def bound(address: Address, backlog: int, *, reuse_port: bool) -> list[socket.socket]:
    """Return sockets that listen on an address; where its port is 0 the system chooses one. Raises `OSError`."""
    port, sockets = address.port, list[socket.socket]()
    try:
        for family, _, _, _, found in socket.getaddrinfo(
            address.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((found[0], port, *found[2:]))
            listening.listen(backlog)
            port = port or listening.getsockname()[1]
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets
