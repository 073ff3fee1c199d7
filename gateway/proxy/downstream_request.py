"""One request from a sender, whose body may still be arriving, and who takes it."""

import asyncio
from typing import Protocol

from gateway.model import Headers, RequestHead, SenderLeft
from gateway.proxy.headers import CONTINUE, Framing

_PIECE = 1024
"""Bytes below which waiting pieces of a body are joined: of tiny chunks, the pieces would weigh more than the body."""


class BodySink(Protocol):
    """Who takes a request's body as it arrives."""

    def request_body(self, data: bytes) -> None:
        """Take a piece of the body."""

    def request_ended(self, trailers: Headers) -> None:
        """Take the end of the request."""

    def sender_gone(self) -> None:
        """Take note that nobody waits for the answer any more."""

    def sender_congested(self, *, congested: bool) -> None:
        """Take note that the sender reads slowly, or keeps up again."""

    def flush(self) -> None:
        """Send what was gathered: everything that had arrived was given."""


class Downstream(Protocol):
    """The connection that a request came on, for whoever answers the request."""

    @property
    def peer(self) -> str:
        """The sender's address."""

    @property
    def is_encrypted(self) -> bool:
        """Whether the sender came over TLS."""

    @property
    def is_blocked(self) -> bool:
        """Whether the sender does not take what it is sent."""

    @property
    def owes_body(self) -> bool:
        """Whether it is the sender that the rest of a body is waited for."""

    def awaits(self, incoming: "DownstreamRequest") -> bool:
        """Whether the answer to this request is the next to be sent."""

    def answer_head(
        self,
        incoming: "DownstreamRequest",
        status: int,
        reason: bytes,
        fields: list[tuple[bytes, bytes]],
        framing: Framing,
    ) -> bytes:
        """Return the head of the answer, with how the connection goes on."""

    def answer_piece(self, data: bytes) -> bytes:
        """Return a piece of the answer's body as it goes on this connection."""

    def answer_end(self, trailers: Headers) -> bytes:
        """Return what ends the answer's body on this connection."""

    def write(self, data: bytes) -> None:
        """Send bytes to the sender; nothing once it has gone."""

    def finish(self, incoming: "DownstreamRequest") -> None:
        """Go on to the next request after an answer, or close."""

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading, as whoever takes the body keeps up."""

    def regulate(self) -> None:
        """Read no further than what can be taken."""

    def abort(self) -> None:
        """Cut the connection."""


class DownstreamRequest:
    """One request, whose body may still be arriving."""

    def __init__(
        self, sender: Downstream, head: RequestHead, version: str, framing: Framing, *, keep_alive: bool
    ) -> None:
        self.sender = sender
        self.head = head
        self.version = version
        self.framing = framing
        self.keep_alive = keep_alive
        self.started_at = 0.0
        """When it began to be served, in the event loop's seconds."""
        self.pieces: list[bytes] = []
        self.trailers: Headers = ()
        self.complete = False
        self.left = False
        self.told_to_continue = False
        self._size = 0
        self._sink: BodySink | None = None
        self._changed: asyncio.Future[None] | None = None

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, or None as soon as it is known to be larger than `limit` bytes."""
        if self.framing is Framing.LENGTH and int(self.head.values(b"content-length")[0]) > limit:
            return None
        if not self.complete and not self.told_to_continue and self.expects_continue:
            self.told_to_continue = True
            self.sender.write(CONTINUE)
        while not self.complete and self._size <= limit:
            if self.left:
                raise SenderLeft
            self._changed = asyncio.get_running_loop().create_future()
            self.sender.regulate()
            await self._changed
        return self._joined() if self._size <= limit else None

    def whole(self, limit: int) -> bytes | None:
        """Return the body if all of it has come and it is not larger than `limit` bytes."""
        return self._joined() if self.complete and not self.left and self._size <= limit else None

    def _joined(self) -> bytes:
        if len(self.pieces) > 1:
            self.pieces = [b"".join(self.pieces)]
        return self.pieces[0] if self.pieces else b""

    @property
    def expects_continue(self) -> bool:
        """Whether the sender waits for leave to send the body (RFC 9110 section 10.1.1)."""
        return self.version == "1.1" and any(
            value.strip().lower() == b"100-continue" for value in self.head.values(b"expect")
        )

    @property
    def is_read(self) -> bool:
        """Whether somebody wants the body now, so that the sender is to be read on."""
        return self._sink is not None or (self._changed is not None and not self._changed.done())

    @property
    def waits(self) -> int:
        """Bytes that arrived and that nobody has taken yet."""
        return 0 if self._sink is not None else self._size

    def give_to(self, sink: BodySink) -> None:
        """Hand everything that comes from now on to `sink`; what came before is in `pieces`."""
        self._sink = sink
        self.sender.regulate()

    def let_go(self) -> None:
        """Forget who took the body: nothing more of it is wanted."""
        self._sink = _NOBODY

    def arrived(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(data)
        if self._sink is not None:
            self._sink.request_body(data)
        else:
            if self.pieces and len(self.pieces[-1]) < _PIECE:
                self.pieces[-1] += data
            else:
                self.pieces.append(data)
            self._notify()

    def ended(self, trailers: Headers) -> None:
        """Take note that the request is complete."""
        self.complete = True
        self.trailers = trailers
        if self._sink is not None:
            self._sink.request_ended(trailers)
        self._notify()

    def gone(self) -> None:
        """Tell whoever answers that the sender has left; a body that is not complete never will be."""
        self.left = True
        if self._sink is not None:
            self._sink.sender_gone()
        if self._changed is not None and not self._changed.done():
            self._changed.set_exception(SenderLeft)

    def congested(self, *, congested: bool) -> None:
        """Tell whoever answers that the sender reads slowly, or keeps up again."""
        if self._sink is not None:
            self._sink.sender_congested(congested=congested)

    def flush(self) -> None:
        """Tell whoever takes the body that nothing more has arrived for now."""
        if self._sink is not None:
            self._sink.flush()

    def _notify(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


class _Nobody:
    """Takes what is not wanted any more."""

    def request_body(self, data: bytes) -> None:
        """Drop it."""

    def request_ended(self, trailers: Headers) -> None:
        """Drop it."""

    def sender_gone(self) -> None:
        """Nobody minds."""

    def sender_congested(self, *, congested: bool) -> None:
        """Nobody minds."""

    def flush(self) -> None:
        """Nothing was gathered."""


_NOBODY = _Nobody()
