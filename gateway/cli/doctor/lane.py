"""What one check sees of the world: senders that it makes, and the upstream's end of what the gateway makes of them."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from gateway.cli.doctor.wire import Differs, Head, Wire, require, shown

HOST = b"Host: vkp.example"
UNKNOWN_ORGNR = b"999999999"
"""A municipality that the stage's configuration does not name: it passes by the route that names none."""
SPLIT_ORGNR = b"312229544"
"""A municipality whose routes differ by information type, so that the body is read before it is passed."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as it came to the upstream; its body is still to be read."""

    wire: Wire
    head: Head


class Lane:
    """The gateway's two sides for one check; a mark in every target tells its requests from those of other checks."""

    def __init__(self, mark: str, gateway: tuple[str, int], listener: socket.socket, seconds: float) -> None:
        self.mark = mark.encode()
        self._gateway = gateway
        self._listener = listener
        self._deadline = time.monotonic() + seconds
        self._senders: list[Wire] = []
        self._upstreams: list[Wire] = []

    def target(self, rest: bytes = b"") -> bytes:
        """Return a request target that no surface recognises, and that passes."""
        return b"/epj/" + self.mark + rest

    def journaling(self, orgnr: bytes = UNKNOWN_ORGNR) -> bytes:
        """Return the target of a journaling."""
        return b"/epj/r4/%s/composition?%s" % (orgnr, self.mark)

    def retrieval(self) -> bytes:
        """Return the target of a retrieval."""
        return b"/epj/r4/%s/patient/_search?%s" % (UNKNOWN_ORGNR, self.mark)

    def line(self, method: bytes = b"GET", rest: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
        """Return a request line."""
        return b" ".join((method, self.target(rest), version))

    def connect(self, *, receive_buffer: int | None = None) -> Wire:
        """Connect a sender to the gateway."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        wire = Wire(sock, "sender", self._deadline)
        self._senders.append(wire)
        sock.settimeout(self._left())
        try:
            sock.connect(self._gateway)
        except OSError as error:
            raise Differs(f"the gateway takes no connection: {error}") from None
        return wire

    def send(self, data: bytes) -> Wire:
        """Connect a sender and let it send; a gateway that closes before it has everything is no difference yet."""
        wire = self.connect()
        wire.write(data, may_break=True)
        return wire

    def arrives(self, *senders: Wire) -> Arrived:
        """Wait for the next request at the upstream; ends early when one of the senders hears something instead."""
        arrived = self.arrives_unless_answered(*senders)
        if arrived is None:
            heard = b"".join(wire.first() for wire in senders if wire.is_readable)
            raise Differs(f"the gateway answered by itself: {shown(heard)}")
        return arrived

    def arrives_unless_answered(self, *senders: Wire) -> Arrived | None:
        """Wait for the next request at the upstream, or None when one of the senders hears something before it."""
        while True:
            wire = next((wire for wire in self._upstreams if wire.has_kept), None) or self._ready_upstream(senders)
            if wire is None:
                return None
            if wire.has_ended():
                self._leave(wire)
                continue
            head = wire.head()
            if self.mark in head.line:
                return Arrived(wire, head)
            self._leave(wire)

    def nothing_arrived(self) -> None:
        """Require that no byte of a request has come to the upstream that was not asked for."""
        self._accept_waiting()
        for wire in self._upstreams:
            if wire.has_kept or (wire.is_readable and not wire.has_ended()):
                head = wire.head()
                require(self.mark not in head.line, f"it came to the upstream: {shown(head.raw)}")

    def own_answer(self, sender: Wire) -> Head:
        """Return the head of the gateway's own answer; ends early when the request comes to the upstream instead."""
        arrived = self.arrives_unless_answered(sender)
        if arrived is not None:
            raise Differs(f"it came to the upstream: {shown(arrived.head.raw)}")
        return sender.head()

    def forget(self, upstream: Wire) -> None:
        """Take no notice any more of a connection that the check has closed."""
        self._upstreams.remove(upstream)

    @contextmanager
    def meanwhile(self, act: Callable[[], None]) -> Iterator[None]:
        """Do something in a thread beside the block; what it raises is raised at the block's end."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(act)
            yield
            future.result()

    def close(self) -> None:
        """Close everything, so that the gateway keeps no connection that the next check could meet."""
        for wire in self._senders:
            wire.close()
        with suppress(OSError):  # where nobody listens nobody can have connected
            self._accept_waiting()
        for wire in self._upstreams:
            wire.hang_up()

    def _accept_waiting(self) -> None:
        while select.select([self._listener], [], [], 0)[0]:
            self._accept()

    def _ready_upstream(self, senders: tuple[Wire, ...]) -> Wire | None:
        """Wait until there is something to read at an upstream's connection; None when only at a sender's."""
        while True:
            socks = [self._listener, *(wire.sock for wire in (*self._upstreams, *senders))]
            ready, _, _ = select.select(socks, [], [], self._left())
            require(bool(ready), "no request came to the upstream, and no answer to the sender")
            wire = next((wire for wire in self._upstreams if wire.sock in ready), None)
            if wire is not None or self._listener not in ready:
                return wire
            self._accept()

    def _leave(self, upstream: Wire) -> None:
        self._upstreams.remove(upstream)
        upstream.close()

    def _accept(self) -> Wire:
        self._listener.settimeout(self._left())
        sock, _ = self._listener.accept()
        wire = Wire(sock, "upstream", self._deadline)
        self._upstreams.append(wire)
        return wire

    def _left(self) -> float:
        return max(0.001, self._deadline - time.monotonic())
