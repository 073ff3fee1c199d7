"""Stand-ins for a gateway, wrong in ways that the suite must see: a bare pipe, pipes that change bytes, and worse."""

import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import pytest

from gateway.cli.doctor.harness import ANSWER
from gateway.cli.doctor.stage import Stage, StageMaker, bound

Change = Callable[[bytes], bytes]
Handle = Callable[[socket.socket, tuple[str, int]], None]


def unchanged(data: bytes) -> bytes:
    """Change nothing."""
    return data


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, handle: Handle, upstream: tuple[str, int]) -> None:
        self._handle = handle
        self._upstream = upstream
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        del client_address
        with suppress(OSError):
            self._handle(request, self._upstream)


def standing_in(handle: Handle) -> StageMaker:
    """Make a stage whose gateway is `handle`, called in a thread for each sender's connection."""

    @contextmanager
    def make() -> Iterator[Stage]:
        with bound() as upstream, _Server(handle, upstream.getsockname()) as server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield Stage(server.server_address, upstream, lambda: None)
            finally:
                server.shutdown()
                thread.join()

    return make


def pipe(up: Change = unchanged, down: Change = unchanged) -> StageMaker:
    """Make a stage whose gateway joins each sender to a connection of its own, and may change what passes."""

    def handle(sender: socket.socket, address: tuple[str, int]) -> None:
        with socket.create_connection(address) as upstream:
            answers = Thread(target=_pump, args=(upstream, sender, down), daemon=True)
            answers.start()
            _pump(sender, upstream, up)
            answers.join()

    return standing_in(handle)


def _pump(source: socket.socket, target: socket.socket, change: Change) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 20):
            target.sendall(change(data))
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _closes(sender: socket.socket, upstream: tuple[str, int]) -> None:
    del upstream
    sender.recv(1 << 20)


def _says_yes(sender: socket.socket, upstream: tuple[str, int]) -> None:
    del upstream
    while sender.recv(1 << 20):
        sender.sendall(ANSWER)


@pytest.fixture(params=[_closes, _says_yes], ids=["closes", "says yes"])
def hopeless(request: pytest.FixtureRequest) -> StageMaker:
    """Make a stage whose gateway sends nothing on."""
    return standing_in(request.param)
