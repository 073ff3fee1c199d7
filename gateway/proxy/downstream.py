"""A sender's connection: its requests in order, and the answers to them in the same order."""

import asyncio
from collections import deque
from typing import Protocol, cast

from gateway.model import Headers, Reply, RequestHead
from gateway.proxy.bounds import Bounds
from gateway.proxy.connection_limits import Deadlines
from gateway.proxy.downstream_request import DownstreamRequest
from gateway.proxy.headers import Framing, chunk, last_chunk, reason_of, response_head
from gateway.proxy.request_parser import BadRequest, RequestParser

HIGH_WATER = 65_536
"""Bytes of a body that may wait before the sender is read no further."""
_MOST_AHEAD = 100
"""Requests that may be sent ahead of their answers: as objects they weigh far more than as bytes."""


class ConnectionOwner(Protocol):
    """Who answers the requests of all senders."""

    bounds: Bounds
    stopping: bool

    def opened(self, sender: "DownstreamConnection") -> None:
        """Take note that a sender has connected."""

    def closed(self, sender: "DownstreamConnection") -> None:
        """Take note that a sender has gone."""

    def serve(self, incoming: DownstreamRequest) -> None:
        """Answer a request: it is the next in its turn."""

    def refusal(self, error: BadRequest, sender: "DownstreamConnection") -> Reply:
        """Say how the sender of what is no request is told so."""


class DownstreamConnection(asyncio.Protocol):
    """One connection from a sender; requests that are sent ahead wait their turn."""

    def __init__(self, owner: ConnectionOwner, origin: str | None = None) -> None:
        self._owner = owner
        self.origin = origin
        """What its owner counts it by."""
        self.said_peer: str | None = None
        """The sender's address as a balancer that is believed has said it."""
        self._parser = RequestParser(self)
        self._queue: deque[DownstreamRequest] = deque()
        self._arriving: DownstreamRequest | None = None
        self._bad: BadRequest | None = None
        self._deaf = False
        self._half_closed = False
        self._keep = True
        self._chunked = False
        self._held = False
        self._feeding = False
        self._waiting_before = 0
        self._served: DownstreamRequest | None = None
        self._begun: DownstreamRequest | None = None
        self._reading_paused = False
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._is_new = True
        self._times = Deadlines(self._opened_at)
        self.transport: asyncio.Transport | None = None

    # From asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self.transport = cast("asyncio.Transport", transport)
        if self.is_encrypted:
            self.transport.set_write_buffer_limits(HIGH_WATER)  # as without TLS, where eight times as much is usual
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of requests."""
        self._times.read(self._loop.time(), in_head=self._parser.in_head)
        if self._deaf:
            return
        self._feeding = True
        try:
            self._parser.feed(data)
        except BadRequest as error:
            self._refuse(error)
        finally:
            self._feeding = False
        if self._queue:
            self._queue[0].flush()
        self.regulate()

    def eof_received(self) -> bool:
        """asyncio: the sender sends no more; what it has asked is still answered."""
        if self._arriving is not None:
            self.abort()
        self._half_closed = True
        # Over TLS neither asyncio nor uvloop can go on writing after the other end's last word.
        return bool(self._queue) and self.transport is not None and self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """asyncio: the connection is gone."""
        self._owner.closed(self)
        self._deaf = True
        waiting, self._queue = self._queue, deque()
        self._arriving = self._served = None
        self._parser.release()
        for incoming in waiting:
            incoming.gone()

    def pause_writing(self) -> None:
        """asyncio: the sender does not read as fast as it is answered."""
        self._times.blocked_since = self._loop.time()
        if self._queue:
            self._queue[0].congested(congested=True)

    def resume_writing(self) -> None:
        """asyncio: the sender keeps up again."""
        self._times.blocked_since = None
        if self._queue:
            self._queue[0].congested(congested=False)
            self._advance()

    # From the parser.

    def request_started(self, head: RequestHead, version: str, framing: Framing, *, keep_alive: bool) -> None:
        """Put a request in the queue; the first is served at once."""
        if len(self._queue) > _MOST_AHEAD:
            raise BadRequest(503, "too many requests were sent ahead")
        self._is_new = False
        incoming = DownstreamRequest(self, head, version, framing, keep_alive=keep_alive)
        self._arriving = incoming
        self._queue.append(incoming)
        if len(self._queue) == 1:
            self._advance()

    def request_body(self, data: bytes) -> None:
        """Take a piece of the newest request's body."""
        if self._arriving is not None:
            self._arriving.arrived(data)

    def request_ended(self, trailers: Headers) -> None:
        """Take note that the newest request is complete."""
        incoming, self._arriving = self._arriving, None
        if incoming is not None:
            incoming.ended(trailers)

    # From whoever answers.

    def write(self, data: bytes) -> None:
        """Send bytes to the sender; nothing once it has gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def answer_head(
        self,
        incoming: DownstreamRequest,
        status: int,
        reason: bytes,
        fields: list[tuple[bytes, bytes]],
        framing: Framing,
    ) -> bytes:
        """Return the head of the answer to `incoming`, with how this connection goes on, and remember both."""
        self._begun = incoming
        self._chunked = framing is Framing.CHUNKED and incoming.version == "1.1"
        if framing is Framing.CHUNKED and not self._chunked:
            fields = [field for field in fields if field[0].lower() != b"transfer-encoding"]
        ends_by_closing = framing is Framing.UNTIL_CLOSE or (framing is Framing.CHUNKED and not self._chunked)
        self._keep = incoming.keep_alive and not ends_by_closing and not self._owner.stopping
        if not self._keep:
            fields = [*fields, (b"Connection", b"close")]
        elif incoming.version == "1.0":
            fields = [*fields, (b"Connection", b"keep-alive")]
        return response_head(status, reason, fields)

    def answer_piece(self, data: bytes) -> bytes:
        """Return a piece of the answer's body as it goes on this connection."""
        return chunk(data) if self._chunked else data

    def answer_end(self, trailers: Headers) -> bytes:
        """Return what ends the answer's body on this connection."""
        return last_chunk(trailers) if self._chunked else b""

    def finish(self, incoming: DownstreamRequest) -> None:
        """Go on to the next request after an answer, or close."""
        if not self._queue or self._queue[0] is not incoming:
            return
        self._queue.popleft()
        self._served = self._begun = None
        self._times.answered(self._loop.time())
        if not incoming.complete:
            self._linger()
        elif not self._keep or (self._half_closed and not self._queue and self._bad is None):
            self.close()
        elif self._queue:
            self._loop.call_soon(self._advance)
        elif self._bad is not None:
            self._say_bad(self._bad)
        self.regulate()

    def awaits(self, incoming: DownstreamRequest) -> bool:
        """Whether the answer to this request is the next to be sent."""
        return bool(self._queue) and self._queue[0] is incoming

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading, as whoever takes the body keeps up."""
        if held is not self._held:
            self._held = held
            self.regulate()

    def close(self) -> None:
        """End the connection when its sender has taken what was sent."""
        self._deaf = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Cut the connection: an answer that cannot be completed must not look complete."""
        if self.transport is not None:
            self.transport.abort()

    def regulate(self) -> None:
        """Read no further than what can be taken: requests sent ahead wait in the network, not in memory."""
        first = self._queue[0] if self._queue else None
        full = first is not None and not first.is_read and first.waits > HIGH_WATER
        pause = not self._deaf and (self._held or full or len(self._queue) > 1)
        if pause == self._reading_paused or self.transport is None or self.transport.is_closing():
            return
        self._reading_paused = pause
        self._times.last_read = self._loop.time()
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def sweep(self, now: float) -> None:
        """Close the connection when its sender takes too long over something."""
        self._notice_progress(now)
        # Who waits for an answer may send the next head in its own time; it may even be us who do not read it.
        in_head = self._parser.in_head and not self._queue
        bounds, idle, waits_for_body = self._owner.bounds, not self._queue, self.owes_body
        if self._times.are_up(now, bounds, idle=idle, in_head=in_head, waits_for_body=waits_for_body):
            self.abort()

    def _notice_progress(self, now: float) -> None:
        """Take note that a slow sender has taken something: slow is not silent."""
        waiting = self.transport.get_write_buffer_size() if self.transport is not None and self.is_blocked else 0
        if waiting < self._waiting_before:
            self._times.blocked_since = now if self.is_blocked else None
        self._waiting_before = waiting

    @property
    def peer(self) -> str:
        """The sender's address."""
        if self.said_peer is not None:
            return self.said_peer
        name = self.transport.get_extra_info("peername") if self.transport else None
        return str(name[0]) if name else "unknown"

    @property
    def is_encrypted(self) -> bool:
        """Whether the sender came over TLS."""
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is not None

    @property
    def owes_body(self) -> bool:
        """Whether it is the sender that the rest of a body is waited for."""
        return self._arriving is not None and not self._reading_paused

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked and nothing is being answered."""
        return not self._queue and not self._parser.in_head

    @property
    def first_awaited_since(self) -> float | None:
        """When it was opened, in the event loop's seconds; None as soon as its first request has begun."""
        return self._opened_at if self._is_new else None

    @property
    def is_blocked(self) -> bool:
        """Whether the sender does not take what it is sent."""
        return self._times.blocked_since is not None

    def _advance(self) -> None:
        """Have the first request served, once, and not before its sender has taken the answers before it."""
        first = self._queue[0] if self._queue else None
        if first is not None and first is not self._served and not self.is_blocked:
            self._served = first
            first.started_at = self._loop.time()
            self._owner.serve(first)
            if not self._feeding:
                first.flush()

    def _refuse(self, error: BadRequest) -> None:
        """Answer what is no request, after the answers to the requests before it, and close."""
        self._deaf = True
        broken, self._arriving = self._arriving, None
        if broken is not None and self._queue and self._queue[0] is broken:
            # Its body broke off while it was being served: whatever was sent on is not a whole request.
            self._queue.popleft()
            broken.gone()
            if self._begun is broken:
                self.abort()  # a refusal in the middle of its answer would be taken for the rest of it
                return
        elif broken is not None:
            self._queue.remove(broken)
        if self._queue:
            self._bad = error
        else:
            self._say_bad(error)

    def _say_bad(self, error: BadRequest) -> None:
        reply = self._owner.refusal(error, self)
        fields = [*reply.headers, (b"Content-Length", b"%d" % len(reply.body)), (b"Connection", b"close")]
        self.write(response_head(reply.status, reason_of(reply.status), fields) + reply.body)
        self._linger()

    def _linger(self) -> None:
        """Send the answer out before closing: closing at once, with bytes unread, would reset it away."""
        self._deaf = True
        self._arriving = None
        self._times.lingers_since = self._loop.time()
        if self.transport is not None and not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.regulate()
