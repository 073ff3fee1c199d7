"""An answer's body comes to the sender as it is, framed as the upstream framed it."""

import gzip

from gateway.cli.doctor.harness import Group, answer_passes, chunked, exchange, get, has_status, head
from gateway.cli.doctor.lane import HOST, Lane
from gateway.cli.doctor.wire import require, same

GROUP = Group("answer bodies", "RFC 9112 sections 6.3 and 7.1, RFC 9110 sections 9.3.2, 15.3.5 and 15.4.5")


@GROUP.check("Every byte value, and line ends that look like framing.")
def _a_body_with_a_length_passes(lane: Lane) -> None:
    content = bytes(range(256)) + b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    answer_passes(lane, head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(content)) + content)


@GROUP.check("And the connection stays usable.")
def _a_length_of_zero_passes(lane: Lane) -> None:
    sender = answer_passes(lane, head(b"HTTP/1.1 202 Accepted", b"Content-Length: 0"))
    exchange(lane, sender, b"/second")


@GROUP.check("Also when the sender did not say that it accepts that.")
def _a_compressed_body_stays_compressed(lane: Lane) -> None:
    content = gzip.compress(b"<Bundle/>" * 100, mtime=0)
    fields = (b"Content-Encoding: gzip", b"Content-Length: %d" % len(content))
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *fields) + content)


@GROUP.check("It gets no length.")
def _a_body_in_chunks_stays_in_chunks_with_trailers(lane: Lane) -> None:
    arrived, sender = get(lane)
    trailers = (b"X-Sum: abc", b"x-name: S\xf8r")
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", b"X-A: 1"))
    arrived.wire.write(chunked(b"first", b"\r\n0\r\n\r\n", trailers=trailers))
    answer = sender.answer()
    require(answer.trailers is not None, f"not in chunks: {answer.head.fields}")
    require(not answer.head.values(b"content-length"), "a Content-Length came beside Transfer-Encoding")
    same("the body", b"first\r\n0\r\n\r\n", answer.content)
    same("the trailers", b"\r\n".join(trailers), b"\r\n".join(answer.trailers or []))
    exchange(lane, sender, b"/second")


@GROUP.check("The sender learns its end the same way.")
def _a_body_up_to_the_end_of_the_connection_passes(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"X-A: 1") + b"until the end")
    arrived.wire.close()
    answer = sender.head()
    require(not answer.values(b"transfer-encoding"), "it was cut into chunks")
    require(not answer.values(b"content-length"), "it was given a length")
    same("the body", b"until the end", sender.rest())
    require(not sender.was_reset, "the sender's connection was reset after a whole answer")


@GROUP.check("And the connection stays usable.")
def _an_answer_to_head_keeps_its_length_and_has_no_body(lane: Lane) -> None:
    answer = head(b"HTTP/1.1 200 OK", b"Content-Length: 1234", b"Content-Type: a/b")
    sender = answer_passes(lane, answer, method=b"HEAD")
    exchange(lane, sender, b"/second")


@GROUP.check("And gets no length; the connection stays usable.")
def _status_204_has_no_body(lane: Lane) -> None:
    sender = answer_passes(lane, head(b"HTTP/1.1 204 No Content", b"X-A: 1"))
    exchange(lane, sender, b"/second")


@GROUP.check("The length is that of what was not sent.")
def _status_304_keeps_its_length_and_has_no_body(lane: Lane) -> None:
    fields = (b'ETag: "a"', b"Content-Length: 4321")
    sender = answer_passes(lane, head(b"HTTP/1.1 304 Not Modified", *fields))
    exchange(lane, sender, b"/second")


@GROUP.check("Its connection ends with it; the sender's need not.")
def _an_answer_of_http_1_0_passes(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.0 200 Old", b"X-A: 1", b"Content-Length: 3") + b"old")
    answer = sender.answer()
    has_status(answer.head, 200)
    same("the version", b"HTTP/1.1 ", answer.head.line[:9])
    same("the field", b"1", b", ".join(answer.head.values(b"x-a")))
    same("the body", b"old", answer.content)


@GROUP.check("It would not know them (RFC 9112 section 7.1): the end of the connection ends the body.")
def _a_sender_of_http_1_0_gets_no_chunks(lane: Lane) -> None:
    sender = lane.send(head(lane.line(version=b"HTTP/1.0"), HOST))
    arrived = lane.arrives(sender)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"first ", b"last"))
    answer = sender.head()
    require(not answer.values(b"transfer-encoding"), "it was sent in chunks")
    same("the body", b"first last", sender.rest())
