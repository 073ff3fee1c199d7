"""Connections stay open, and are closed, as both sides expect."""

from gateway.cli.doctor.harness import ANSWER, Group, exchange, finish, get, head, is_ok
from gateway.cli.doctor.lane import HOST, Lane
from gateway.cli.doctor.wire import Differs, Wire, require, same

GROUP = Group("connections", "RFC 9112 sections 2.2, 9.3, 9.6 and C.2.2")


@GROUP.check("The end of the connection is what it waits for.")
def _a_sender_of_http_1_0_is_answered_and_closed(lane: Lane) -> None:
    sender = lane.send(head(lane.line(version=b"HTTP/1.0"), HOST))
    _answer(lane, sender)
    sender.must_end()


@GROUP.check("Old client libraries do.")
def _a_sender_of_http_1_0_that_asks_for_it_keeps_its_connection(lane: Lane) -> None:
    request = head(lane.line(version=b"HTTP/1.0"), HOST, b"Connection: Keep-Alive")
    sender = lane.send(request)
    _answer(lane, sender)
    sender.write(request)
    _answer(lane, sender)


@GROUP.check("HTTP/1.1 stays open unless somebody says otherwise.")
def _two_requests_go_over_one_connection(lane: Lane) -> None:
    sender = lane.connect()
    exchange(lane, sender, b"/first")
    exchange(lane, sender, b"/second")


@GROUP.check("After the whole answer.")
def _a_connection_is_closed_when_the_sender_says_so(lane: Lane) -> None:
    sender = lane.send(head(lane.line(), HOST, b"Connection: close"))
    _answer(lane, sender)
    sender.must_end()


@GROUP.check("Three in one write (RFC 9112 section 9.3.2); the second has a body.")
def _requests_sent_without_waiting_are_answered_in_order(lane: Lane) -> None:
    second = head(lane.line(b"POST", b"/2"), HOST, b"Content-Length: 3") + b"abc"
    sender = lane.send(head(lane.line(rest=b"/1"), HOST) + second + head(lane.line(rest=b"/3"), HOST))
    for _ in range(3):
        arrived = lane.arrives()
        arrived.wire.body(arrived.head)
        number = arrived.head.line.split(b" ")[1][-1:]
        arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Content-Length: 1") + number)
    for number in (b"1", b"2", b"3"):
        same("the answer's body", number, sender.answer().content)


@GROUP.check("It has said everything, and still listens (RFC 9112 section 9.6).")
def _a_sender_that_has_closed_its_half_is_answered(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 3") + b"abc")
    sender.end_writing()
    arrived = lane.arrives(sender)
    same("the body", b"abc", arrived.wire.exactly(3))
    _another(lane)
    if arrived.wire.is_readable:
        raise Differs("the upstream's connection was closed before it had answered")
    arrived.wire.write(ANSWER)
    is_ok(sender.answer())


@GROUP.check("Old clients end a body with one (RFC 9112 section 2.2).")
def _an_empty_line_before_a_request_is_passed_over(lane: Lane) -> None:
    sender = lane.connect()
    for rest in (b"/first", b"/second"):
        sent = head(lane.line(rest=rest), HOST)
        sender.write(b"\r\n" + sent)
        arrived = lane.arrives(sender)
        same("the request's head", sent, arrived.head.raw)
        finish(arrived.wire, sender)


@GROUP.check("Each byte of the head comes by itself.")
def _a_request_in_small_pieces_passes(lane: Lane) -> None:
    sent = head(lane.line(), HOST, b"X-A: 1")
    sender = lane.connect()
    for byte in sent:
        sender.write(bytes([byte]))
    arrived = lane.arrives(sender)
    same("the request's head", sent, arrived.head.raw)
    finish(arrived.wire, sender)


@GROUP.check("Also by another sender.")
def _an_upstream_connection_is_used_again(lane: Lane) -> None:
    first = exchange(lane, lane.connect(), b"/first")
    second = exchange(lane, lane.connect(), b"/second")
    require(first.wire is second.wire, "the second request came on a connection of its own")


@GROUP.check("The upstream said `Connection: close`.")
def _an_upstream_connection_that_ends_with_its_answer_is_not_used_again(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(ANSWER.replace(b"Content", b"Connection: close\r\nContent", 1))
    is_ok(sender.answer())
    second = exchange(lane, lane.connect(), b"/second")
    require(arrived.wire is not second.wire, "the second request came on the connection that was to be closed")


@GROUP.check("The second sender is answered while the first waits.")
def _a_slow_answer_holds_no_other_sender_up(lane: Lane) -> None:
    arrived, sender = get(lane)
    _another(lane)
    finish(arrived.wire, sender)


@GROUP.check("What the upstream says unasked is not the next sender's answer.")
def _bytes_after_an_answer_answer_nobody_else(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(ANSWER + head(b"HTTP/1.1 200 Unasked", b"Content-Length: 5") + b"wrong")
    is_ok(sender.answer())
    _another(lane)


def _answer(lane: Lane, sender: Wire) -> None:
    finish(lane.arrives(sender).wire, sender)


def _another(lane: Lane) -> None:
    """Let another sender do one whole exchange, after which the gateway has seen all that came before."""
    exchange(lane, lane.connect(), b"/another")
