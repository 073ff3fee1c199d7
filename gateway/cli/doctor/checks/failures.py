"""What a sender is told when the upstream fails, and that half an answer never looks like a whole one."""

import json
from typing import Any

from gateway.cli.doctor.harness import Act, Group, exchange, get, has_status, head
from gateway.cli.doctor.lane import HOST, Lane
from gateway.cli.doctor.wire import Differs, Message, require, same, shown

GROUP = Group("failing upstreams", "RFC 9110 sections 9.2.2, 15.6.4 and 15.6.5, RFC 9112 section 8")


@GROUP.check("With VKP's code 3.1, which senders take as temporary.", unreachable=True)
def _an_upstream_that_refuses_connections_is_told_as_503(lane: Lane) -> None:
    sender = lane.send(head(lane.line(), HOST))
    _is_told(sender.answer(), 503)


@GROUP.check("It may have the message, so it is not 503.")
def _an_upstream_that_closes_without_an_answer_is_told_as_504(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 3") + b"abc")
    arrived = lane.arrives(sender)
    arrived.wire.exactly(3)
    arrived.wire.close()
    _is_told(sender.answer(), 504)


@GROUP.check("The same, less politely.")
def _an_upstream_that_resets_is_told_as_504(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 3") + b"abc")
    arrived = lane.arrives(sender)
    arrived.wire.exactly(3)
    arrived.wire.abort()
    _is_told(sender.answer(), 504)


def _no_answer(told: bytes, *, close: bool) -> Act:
    def act(lane: Lane) -> None:
        arrived, sender = get(lane, method=b"POST")
        arrived.wire.write(told)
        if close:
            arrived.wire.end_writing()
        _is_told(sender.answer(), 504)

    return act


GROUP.add("half a head is told as 504", _no_answer(b"HTTP/1.1 200 OK\r\nContent-", close=True))
GROUP.add("what is not HTTP is told as 504", _no_answer(b"SSH-2.0-OpenSSH_9.2\r\n", close=False))
GROUP.add(
    "an answer with two lengths is told as 504",
    _no_answer(head(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Content-Length: 3") + b"ok", close=False),
)


@GROUP.check("The sender sees that bytes are missing (RFC 9112 section 8).")
def _an_answer_cut_short_of_its_length_ends_the_connection(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Content-Length: 10") + b"half")
    has_status(sender.head(), 200)
    arrived.wire.close()
    came = sender.rest()
    require(b"half".startswith(came), f"something else came: {shown(came)}")


@GROUP.check("No last chunk is made up for it.")
def _an_answer_cut_between_chunks_ends_the_connection(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"4\r\nhalf\r\n")
    has_status(sender.head(), 200)
    arrived.wire.close()
    came = sender.rest()
    require(b"4\r\nhalf\r\n".startswith(came), f"something else came: {shown(came)}")


@GROUP.check("The next POST goes over a new one.")
def _an_idle_connection_that_the_upstream_closed_is_not_used(lane: Lane) -> None:
    sender = lane.connect()
    first = exchange(lane, sender, b"/first")
    first.wire.hang_up()
    lane.forget(first.wire)
    sender.write(head(lane.line(b"POST", b"/second"), HOST, b"Content-Length: 3") + b"abc")
    arrived = lane.arrives(sender)
    same("the body", b"abc", arrived.wire.exactly(3))
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Content-Length: 0"))
    has_status(sender.answer().head, 200)


def _is_sent_once(method: bytes) -> Act:
    def act(lane: Lane) -> None:
        sender = lane.connect()
        first = exchange(lane, sender, b"/first")
        sender.write(head(lane.line(method, b"/second"), HOST, b"Content-Length: 3") + b"abc")
        arrived = lane.arrives(sender)
        require(arrived.wire is first.wire, "the connection was not used again, so nothing was tried")
        arrived.wire.exactly(3)
        arrived.wire.close()
        lane.forget(arrived.wire)
        head_of_answer = lane.own_answer(sender)
        _is_told(sender.body(head_of_answer), 504)
        lane.nothing_arrived()

    return act


for _method in (b"POST", b"PUT", b"DELETE", b"PATCH"):
    GROUP.add(f"a {_method.decode()} that an idle connection may have taken is not sent again", _is_sent_once(_method))


@GROUP.check("It gets through on a new connection or fails; it is never there twice.")
def _a_post_that_meets_a_reset_is_sent_once_at_most(lane: Lane) -> None:
    sender = lane.connect()
    first = exchange(lane, sender, b"/first")
    first.wire.abort()
    lane.forget(first.wire)
    sender.write(head(lane.line(b"POST", b"/second"), HOST, b"Content-Length: 3") + b"abc")
    arrived = lane.arrives_unless_answered(sender)
    if arrived is None:
        has_status(sender.answer().head, 504, 503)
    else:
        same("the body", b"abc", arrived.wire.exactly(3))
        arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Content-Length: 0"))
        has_status(sender.answer().head, 200)
    lane.nothing_arrived()


def _is_told(answer: Message, status: int) -> None:
    """Require an OperationOutcome with VKP's code 3.1."""
    has_status(answer.head, status)
    try:
        outcome: Any = json.loads(answer.content)
        kind, code = outcome["resourceType"], outcome["issue"][0]["details"]["coding"][0]["code"]
    except (ValueError, LookupError, TypeError):
        raise Differs(f"no OperationOutcome: {shown(answer.content)}") from None
    require((kind, code) == ("OperationOutcome", "3.1"), f"expected code 3.1, saw {kind} with {code}")


LEAVING = Group("leaving senders", "RFC 9112 sections 8 and 9.5, RFC 9110 section 9.2.1")

_ANSWER = bytes(3_000_000)
"""Larger than the buffers between: it is gone only when it is read."""


@LEAVING.check("Nobody waits for the answer, and nothing was written.")
def _a_retrieval_ends_when_its_sender_leaves(lane: Lane) -> None:
    sender = lane.send(head(b"POST %s HTTP/1.1" % lane.retrieval(), HOST, b"Content-Length: 3") + b"a=b")
    arrived = lane.arrives(sender)
    same("the body", b"a=b", arrived.wire.exactly(3))
    sender.abort()
    arrived.wire.must_end()


@LEAVING.check("The record is being written: the upstream is left to finish, and its answer is read.")
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


@LEAVING.check("Fewer bytes than announced, then the end.")
def _a_body_that_its_sender_did_not_finish_does_not_look_whole(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 10") + b"half")
    arrived = lane.arrives(sender)
    same("the body's beginning", b"half", arrived.wire.exactly(4))
    sender.abort()
    arrived.wire.must_end()


@LEAVING.check("The sender closes its half only, but a body without its end is no request.")
def _chunks_that_their_sender_did_not_finish_get_no_end(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Transfer-Encoding: chunked") + b"4\r\nhalf\r\n")
    arrived = lane.arrives(sender)
    same("the body's beginning", b"4\r\nhalf\r\n", arrived.wire.exactly(9))
    sender.end_writing()
    came = arrived.wire.rest()
    if came:
        raise Differs(f"an end was made up: {shown(came)}")
