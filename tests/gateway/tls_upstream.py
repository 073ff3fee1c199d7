"""Servers behind TLS that keep what they are asked for, and who asks."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress

from tests.gateway.wire import RawUpstream


class TlsUpstream(RawUpstream):
    """A raw server behind TLS, which keeps what was asked for and presented."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.asked_for: list[str | None] = []
        self.presented: list[str] = []
        self._context = context
        context.sni_callback = lambda _socket, name, _context: self.asked_for.append(name)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert")
        self.presented += [value for part in (peer or {}).get("subject", ()) for _, value in part]
        await super()._connected(reader, writer)


class DemandingServer:
    """A server on OpenSSL's own blocking sockets, which tell a client by an alert why its certificate is not accepted."""

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self.presented: list[str] = []
        """Whose certificate each connection had that was accepted."""
        self.requests: list[bytes] = []
        self._context = context
        self._answer = answer
        self._listening = socket.socket()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    async def start(self) -> None:
        """Listen."""
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads[0].start()

    async def stop(self) -> None:
        """Stop listening, and end every connection."""
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in [*self._threads]:
            await asyncio.to_thread(thread.join)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(plain,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        """Answer each request of a connection."""
        encrypted = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._open.append(encrypted)
        try:
            encrypted.do_handshake()
        except (ssl.SSLError, ConnectionError):
            # What the client sent meanwhile is read: a connection that is closed on it would take the alert along.
            with suppress(OSError):
                socket.socket.shutdown(encrypted, socket.SHUT_WR)
                while socket.socket.recv(encrypted, 4096):
                    pass
            encrypted.close()
            return
        peer = encrypted.getpeercert() or {}
        self.presented += [str(value) for part in peer.get("subject", ()) for _, value in part]  # type: ignore[misc] # typeshed leaves the parts open
        with suppress(OSError):
            while data := encrypted.recv(65536):
                self.requests.append(data)
                encrypted.sendall(self._answer)
        encrypted.close()
