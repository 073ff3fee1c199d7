"""No connection that was opened is lost when the gateway stops: it is served, or waits for the next process (uvloop, as `serve`)."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from gateway.config.model import Address
from gateway.model import Account, Envelope, Handled, Reply
from gateway.proxy.server import Lane, Server
from tests.gateway.authority import Authority
from tests.gateway.proxy.tls_senders import NAME

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

ENVELOPE = Envelope("vkp-r4", None, None, None, None, None)
ACCOUNT = Account("correlation", ENVELOPE, None, None, None, "accepted")
REQUEST = b"GET / HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
CLIENTS = 5
TURNS = pytest.mark.parametrize("turns", range(8))


class Answering:
    """Answers every request."""

    def begin(self, _: Any) -> Handled:
        """Answer at once."""
        return Handled(Reply(200, (), b""), ACCOUNT)


def server() -> Server:
    """Return a server that answers everything itself."""
    lane = Lane({}, lambda status, _: (Reply(status, (), b""), ACCOUNT))
    return Server(lambda: (Answering(), lane), lambda *_: None)


async def stopped_after(turns: int, tls: Callable[[], Any] | None, client: ssl.SSLContext | None) -> list[bytes]:
    """Stop a server so many turns of the loop after it began to listen, start the next; return what the senders were told."""
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listening:
        listening.setblocking(False)
        where = listening.getsockname()
        clients = [socket.create_connection(where) for _ in range(CLIENTS)]
        asked = [asyncio.get_running_loop().create_task(ask(each, client)) for each in clients]
        await asyncio.sleep(0)
        for waits in (turns, None):
            running = server()
            await running.start(Address(*where), sockets=[listening.dup()], tls=tls)
            if waits is None:
                answers = await asyncio.gather(*asked)
            for _ in range(waits or 0):
                await asyncio.sleep(0)
            await running.stop()
    return answers


async def ask(client: socket.socket, context: ssl.SSLContext | None) -> bytes:
    """Send a request on a connection that is open; return the first line of the answer."""
    options = {} if context is None else {"ssl": context, "server_hostname": NAME}
    async with asyncio.timeout(120):
        reader, writer = await asyncio.open_connection(sock=client, **options)
        writer.write(REQUEST)
        line = await reader.readline()
        writer.transport.abort()
    return line


@TURNS
def test_connection_is_served_whenever_the_stop_comes(turns: int) -> None:
    """Also one that the system has handed over at that moment, of which the server does not know yet."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert set(runner.run(stopped_after(turns, None, None))) == {b"HTTP/1.1 200 OK\r\n"}


@TURNS
def test_handshake_that_has_begun_is_finished(turns: int, tmp_path: Path) -> None:
    """Over TLS too: a sender whose handshake goes on when the stop comes is served."""
    authority = Authority(tmp_path)
    authority.issue("server", NAME)
    served = SimpleNamespace(context=authority.context(NAME))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(stopped_after(turns, lambda: served, authority.trusting()))
    assert set(told) == {b"HTTP/1.1 200 OK\r\n"}
