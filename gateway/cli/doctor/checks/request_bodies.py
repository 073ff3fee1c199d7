"""A request's body comes to the upstream as it is, framed as the sender framed it."""

import gzip

from gateway.cli.doctor.harness import ANSWER, Group, body_passes, chunked, finish, has_status, head, head_passes, is_ok
from gateway.cli.doctor.lane import HOST, SPLIT_ORGNR, Arrived, Lane
from gateway.cli.doctor.stage import BODY_LIMIT
from gateway.cli.doctor.wire import Differs, Head, Message, require, same

GROUP = Group("request bodies", "RFC 9112 sections 6 and 7, RFC 9110 sections 8.4, 8.6 and 10.1.1")

_IN_CHUNKS = b"Transfer-Encoding: chunked"


@GROUP.check("A message as a sender writes it, odd blanks and all.")
def _a_body_with_a_length_passes(lane: Lane) -> None:
    content = '{"resourceType" :\t"Composition",\r\n "title":"Sørås\\u00e5", "n": 81.30 }\n'.encode()
    body_passes(lane, content, b"Content-Type: text/plain; charset=utf-8")


@GROUP.check("A body is bytes, not text.")
def _every_byte_value_passes_in_a_body(lane: Lane) -> None:
    body_passes(lane, bytes(range(256)) * 4 + b"\r\n\r\n0\r\n\r\n")


@GROUP.check("Content-Encoding belongs to the message (RFC 9110 section 8.4).")
def _a_compressed_body_stays_compressed(lane: Lane) -> None:
    body_passes(lane, gzip.compress(b"x" * 1000, mtime=0), b"Content-Encoding: gzip")


@GROUP.check("It was said, so it is said again.")
def _a_length_of_zero_stays(lane: Lane) -> None:
    body_passes(lane, b"")


@GROUP.check("It was not said, so it is not said.")
def _a_post_without_body_and_length_gets_none(lane: Lane) -> None:
    head_passes(lane, lane.line(b"POST"), HOST, b"Content-Type: application/fhir+json")


@GROUP.check("It has no length, also when all of it is there at once.")
def _a_body_in_chunks_stays_in_chunks(lane: Lane) -> None:
    sent = [b"first ", b"\r\n0\r\n\r\n", b"last"]
    message = _chunked_passes(lane, chunked(*sent), X=b"1")
    same("the body", b"".join(sent), message.content)


@GROUP.check("Names with their case, values with their bytes, in order (RFC 9110 section 6.5).")
def _trailers_pass(lane: Lane) -> None:
    trailers = (b"X-Checksum: abc", b"x-name: S\xf8r", b"X-Checksum: def")
    message = _chunked_passes(lane, chunked(b"content", trailers=trailers))
    same("the body", b"content", message.content)
    same("the trailers", b"\r\n".join(trailers), b"\r\n".join(message.trailers or []))


@GROUP.check("Each is sent for itself; how they are cut further on is free.")
def _chunks_of_one_byte_pass(lane: Lane) -> None:
    content = b"one byte after another, " * 5
    sender = lane.send(head(lane.line(b"POST"), HOST, _IN_CHUNKS))
    for byte in content:
        sender.write(b"1\r\n%c\r\n" % byte)
    sender.write(b"0\r\n\r\n")
    arrived = lane.arrives(sender)
    same("the body", content, arrived.wire.in_chunks(_framed_in_chunks(arrived)).content)
    finish(arrived.wire, sender)


@GROUP.check("They belong to one connection (RFC 9112 section 7.1.1).")
def _chunk_extensions_do_not_come_into_the_content(lane: Lane) -> None:
    message = _chunked_passes(lane, b'5;a=b;c="d"\r\nhello\r\n0;last\r\n\r\n')
    same("the body", b"hello", message.content)


@GROUP.check("The sender hears the upstream's own 100 (RFC 9110 section 10.1.1).")
def _expect_is_asked_and_answered_by_the_upstream(lane: Lane) -> None:
    sent = head(lane.line(b"POST"), HOST, b"Expect: 100-continue", b"Content-Length: 4")
    sender = lane.send(sent)
    arrived = lane.arrives(sender)
    same("the request's head", sent, arrived.head.raw)
    arrived.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    same("the informational answer", b"HTTP/1.1 100 Continue\r\n\r\n", sender.head().raw)
    sender.write(b"body")
    same("the body", b"body", arrived.wire.exactly(4))
    finish(arrived.wire, sender)


@GROUP.check("The sender gets the answer, and no 100 before it.")
def _an_upstream_may_refuse_what_it_was_asked_to_expect(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Expect: 100-continue", b"Content-Length: 4"))
    arrived = lane.arrives(sender)
    arrived.wire.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
    answer = sender.answer()
    has_status(answer.head, 401)
    same("the answer's body", b"no", answer.content)


@GROUP.check("Reading it for its information type leaves no trace.")
def _a_body_that_was_read_to_decide_passes(lane: Lane) -> None:
    content = b'{"resourceType": "Composition",  "title" :"81.30"}\r\n'
    sent = head(_journaling(lane), HOST, b"X-A: 1", b"Content-Length: %d" % len(content))
    sender = lane.send(sent + content)
    arrived = lane.arrives(sender)
    same("the request's head", sent, arrived.head.raw)
    same("the body", content, arrived.wire.exactly(len(content)))
    finish(arrived.wire, sender)


@GROUP.check("The framing is not made anew from what was kept.")
def _chunks_that_were_read_to_decide_stay_chunks_with_trailers(lane: Lane) -> None:
    content = b'{"resourceType": "Composition"}'
    sender = lane.send(
        head(_journaling(lane), HOST, _IN_CHUNKS) + chunked(content[:9], content[9:], trailers=(b"X-Sum: 1",))
    )
    arrived = lane.arrives(sender)
    message = arrived.wire.in_chunks(_framed_in_chunks(arrived))
    same("the body", content, message.content)
    same("the trailers", b"X-Sum: 1", b"\r\n".join(message.trailers or []))
    finish(arrived.wire, sender)


@GROUP.check("What was read before the limit was met is sent first.")
def _a_body_too_large_to_decide_by_passes_whole(lane: Lane) -> None:
    content = b"0123456789" * (BODY_LIMIT // 5)
    sender = lane.connect()
    sent = head(_journaling(lane), HOST, _IN_CHUNKS) + chunked(content[:1000], content[1000:])
    with lane.meanwhile(lambda: sender.write(sent)):
        arrived = lane.arrives(sender)
        same("the body", content, arrived.wire.in_chunks(_framed_in_chunks(arrived)).content)
    arrived.wire.write(ANSWER)
    is_ok(sender.answer())


def _journaling(lane: Lane) -> bytes:
    return b"POST %s HTTP/1.1" % lane.journaling(SPLIT_ORGNR)


def _chunked_passes(lane: Lane, body: bytes, **fields: bytes) -> Message:
    """Send a POST with this framed body and return what came to the upstream."""
    lines = [b"%s: %s" % (name.encode(), value) for name, value in fields.items()]
    sender = lane.send(head(lane.line(b"POST"), HOST, *lines, _IN_CHUNKS) + body)
    arrived = lane.arrives(sender)
    expected = [HOST, *lines]
    seen = [b"%s: %s" % field for field in _framed_in_chunks(arrived).without(b"transfer-encoding", b"trailer")]
    same("the other fields", b"\r\n".join(expected), b"\r\n".join(seen))
    message = arrived.wire.in_chunks(arrived.head)
    finish(arrived.wire, sender)
    return message


def _framed_in_chunks(arrived: Arrived) -> Head:
    """Require one Transfer-Encoding and no length."""
    encodings = arrived.head.values(b"transfer-encoding")
    if [encoding.lower() for encoding in encodings] != [b"chunked"]:
        raise Differs(f"expected one Transfer-Encoding: chunked, saw {encodings}")
    require(not arrived.head.values(b"content-length"), "a Content-Length came beside Transfer-Encoding")
    return arrived.head
