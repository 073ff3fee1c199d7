"""Bodies of any size go on while they arrive, and whoever is slow is waited for."""

import socket

from gateway.cli.doctor.harness import Group, chunked, finish, get, has_status, head
from gateway.cli.doctor.lane import HOST, Lane
from gateway.cli.doctor.wire import Differs, Wire, same

GROUP = Group("streaming", "RFC 9110 section 7.6, RFC 9112 section 6; back-pressure is TCP's own")

_LARGE = bytes(range(256)) * 20_000
"""Some 5 MB, far beyond `limits.body`."""
_PIECE = bytes(range(256)) * 1024
_MOST = 64_000_000
"""More than the buffers of any kernel hold on the way, and no gateway may."""
_BUFFER = 65_536
"""What our own ends may hold."""
_STALLED = 0.4
"""Seconds without progress after which a peer is taken not to read."""


@GROUP.check("`limits.body` bounds what is read to decide, not what passes.")
def _a_large_body_passes(lane: Lane) -> None:
    sender = lane.connect()
    sent = head(lane.line(b"POST"), HOST, b"Content-Length: %d" % len(_LARGE))
    with lane.meanwhile(lambda: sender.write(sent + _LARGE)):
        arrived = lane.arrives(sender)
        same("the body", _LARGE, arrived.wire.exactly(len(_LARGE)))
    finish(arrived.wire, sender)


@GROUP.check("The upstream has the first part before the sender writes the second.")
def _a_body_goes_on_before_it_is_complete(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 10") + b"first")
    arrived = lane.arrives(sender)
    same("the first part", b"first", arrived.wire.exactly(5))
    sender.write(b"later")
    same("the second part", b"later", arrived.wire.exactly(5))
    finish(arrived.wire, sender)


@GROUP.check("The same without a length.")
def _a_chunk_goes_on_before_the_next_is_there(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Transfer-Encoding: chunked") + b"5\r\nfirst\r\n")
    arrived = lane.arrives(sender)
    same("the first chunk", b"5\r\nfirst\r\n", arrived.wire.exactly(10))
    sender.write(chunked(b"later"))
    same("the second chunk", b"later", arrived.wire.in_chunks(arrived.head).content)
    finish(arrived.wire, sender)


@GROUP.check("A sender that is told 413 at once need not send the rest (RFC 9112 section 9.5).")
def _an_answer_before_the_end_of_the_request_passes(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 1000000") + b"first")
    arrived = lane.arrives(sender)
    arrived.wire.write(head(b"HTTP/1.1 413 Too Large", b"Content-Length: 3", b"Connection: close") + b"big")
    answer = sender.answer()
    has_status(answer.head, 413)
    same("the answer's body", b"big", answer.content)


@GROUP.check("5 MB, to the byte.")
def _a_large_answer_passes(lane: Lane) -> None:
    arrived, sender = get(lane)
    sent = head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(_LARGE))
    with lane.meanwhile(lambda: arrived.wire.write(sent + _LARGE)):
        has_status(sender.head(), 200)
        same("the body", _LARGE, sender.exactly(len(_LARGE)))
    sender.nothing_more()


@GROUP.check("The sender has the first part before the upstream writes the second.")
def _an_answer_goes_on_before_it_is_complete(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Content-Length: 10"))
    has_status(sender.head(), 200)
    arrived.wire.write(b"first")
    same("the first part", b"first", sender.exactly(5))
    arrived.wire.write(b"later")
    same("the second part", b"later", sender.exactly(5))


@GROUP.check("The gateway keeps a bounded part of the answer, and loses none of it.")
def _a_sender_that_does_not_read_holds_the_upstream_back(lane: Lane) -> None:
    sender = lane.connect(receive_buffer=_BUFFER)
    sender.write(head(lane.line(), HOST))
    arrived = lane.arrives(sender)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    pieces, rest = _write_until_held_back(arrived.wire)
    with lane.meanwhile(lambda: arrived.wire.write(rest)):
        same("the body", pieces * _PIECE, sender.answer().content)


@GROUP.check("The same for requests.")
def _an_upstream_that_does_not_read_holds_the_sender_back(lane: Lane) -> None:
    sender = lane.connect()
    sender.write(head(lane.line(b"POST"), HOST, b"Transfer-Encoding: chunked") + b"1\r\n:\r\n")
    arrived = lane.arrives(sender)
    arrived.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    pieces, rest = _write_until_held_back(sender)
    with lane.meanwhile(lambda: sender.write(rest)):
        same("the body", b":" + pieces * _PIECE, arrived.wire.in_chunks(arrived.head).content)
    finish(arrived.wire, sender)


def _write_until_held_back(wire: Wire) -> tuple[int, bytes]:
    """Write pieces until nothing is taken any more; return how many there are, and what of them is to be written."""
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    wire.sock.settimeout(_STALLED)
    piece, end = chunked(_PIECE).removesuffix(chunked()), chunked()
    for begun in range(1, _MOST // len(_PIECE)):
        left = memoryview(piece)
        try:
            while left:
                left = left[wire.sock.send(left) :]
        except TimeoutError:
            return begun, bytes(left) + end
    raise Differs(f"{_MOST} bytes were taken from the {wire.name} that nobody read")
