"""What becomes of a request whose sender leaves: by a reset, since a closed half alone means that it still listens."""

from gateway.doctor.difference import Differs, require, same, shown
from gateway.doctor.flow import exchange, head
from gateway.doctor.group import Group
from gateway.doctor.lane import HOST, Lane

GROUP = Group("leaving senders", "RFC 9112 sections 8 and 9.5, RFC 9110 section 9.2.1")

_ANSWER = bytes(3_000_000)
"""Larger than the buffers between: it is gone only when it is read."""


@GROUP.check("Nobody waits for the answer, and nothing was written.")
def _a_retrieval_ends_when_its_sender_leaves(lane: Lane) -> None:
    sender = lane.send(head(b"POST %s HTTP/1.1" % lane.retrieval(), HOST, b"Content-Length: 3") + b"a=b")
    arrived = lane.arrives(sender)
    same("the body", b"a=b", arrived.wire.exactly(3))
    sender.abort()
    arrived.wire.must_end()


@GROUP.check("The record is being written: the upstream is left to finish, and its answer is read.")
def _a_journaling_is_finished_though_its_sender_leaves(lane: Lane) -> None:
    sender = lane.send(head(b"POST %s HTTP/1.1" % lane.journaling(), HOST, b"Content-Length: 2") + b"{}")
    arrived = lane.arrives(sender)
    same("the body", b"{}", arrived.wire.exactly(2))
    sender.abort()
    exchange(lane, lane.connect(), b"/another")  # answered only after the gateway has seen the reset
    arrived.wire.nothing_more()
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(_ANSWER)) + _ANSWER)
    arrived.wire.end_writing()
    came = arrived.wire.rest()
    require(not came, f"more came to the upstream: {shown(came)}")
    require(not arrived.wire.was_reset, "the upstream's connection was reset")


@GROUP.check("Fewer bytes than announced, then the end.")
def _a_body_that_its_sender_did_not_finish_does_not_look_whole(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 10") + b"half")
    arrived = lane.arrives(sender)
    same("the body's beginning", b"half", arrived.wire.exactly(4))
    sender.abort()
    arrived.wire.must_end()


@GROUP.check("The sender closes its half only, but a body without its end is no request.")
def _chunks_that_their_sender_did_not_finish_get_no_end(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Transfer-Encoding: chunked") + b"4\r\nhalf\r\n")
    arrived = lane.arrives(sender)
    same("the body's beginning", b"4\r\nhalf\r\n", arrived.wire.exactly(9))
    sender.end_writing()
    came = arrived.wire.rest()
    if came:
        raise Differs(f"an end was made up: {shown(came)}")
