"""An answer comes to the sender as the upstream wrote it: status, reason and fields, and its body, framed as it was."""

import gzip

from gateway.cli.doctor.harness import (
    ANSWER,
    Act,
    Group,
    answer_passes,
    chunked,
    exchange,
    get,
    has_status,
    head,
    is_ok,
)
from gateway.cli.doctor.lane import HOST, Lane
from gateway.cli.doctor.wire import Differs, require, same

HEADS = Group("answer heads", "RFC 9112 section 4, RFC 9110 sections 5, 6.6.1 and 15")

_LENGTH = b"Content-Length: 2"


def _passes(line: bytes, *fields: bytes) -> Act:
    def act(lane: Lane) -> None:
        answer_passes(lane, head(line, *fields, _LENGTH) + b"ok")

    return act


for _status in (b"299 Nearly", b"418 I'm a teapot", b"500 Internal Server Error", b"599 Beyond"):
    HEADS.add(f"status {_status[:3].decode()} passes", _passes(b"HTTP/1.1 " + _status))


@HEADS.check("What VKP writes there is read by people.")
def _a_reason_of_several_words_passes(lane: Lane) -> None:
    answer_passes(lane, head(b"HTTP/1.1 200 It  went well, (really)!", _LENGTH) + b"ok")


@HEADS.check("The blank before it stays (RFC 9112 section 4).")
def _an_empty_reason_passes(lane: Lane) -> None:
    answer_passes(lane, head(b"HTTP/1.1 200 ", _LENGTH) + b"ok")


@HEADS.check("Opaque data, as in values.")
def _latin_1_bytes_in_a_reason_pass(lane: Lane) -> None:
    answer_passes(lane, head(b"HTTP/1.1 404 Ikke p\xe5 plass", _LENGTH) + b"ok")


@HEADS.check("Some senders compare them with it.")
def _names_keep_their_letter_case(lane: Lane) -> None:
    answer_passes(
        lane, head(b"HTTP/1.1 200 OK", b"ETAG: x", b"content-type: a/b", b"WWW-authenticate: DPoP", _LENGTH) + b"ok"
    )


@HEADS.check("Also the length among others.")
def _fields_keep_their_order(lane: Lane) -> None:
    lines = (b"X-C: 1", _LENGTH, b"X-A: 2", b"Content-Type: text/plain", b"X-B: 3")
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *lines) + b"ok")


@HEADS.check("Set-Cookie cannot be joined (RFC 9110 section 5.3).")
def _cookies_stay_apart_and_in_order(lane: Lane) -> None:
    cookies = (b"Set-Cookie: a=1; Path=/", b"X-Between: 1", b"set-cookie: b=2", b"Set-Cookie: a=1; Path=/")
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *cookies, _LENGTH) + b"ok")


@HEADS.check("Latin-1 and UTF-8 alike.")
def _bytes_outside_ascii_in_a_value_pass(lane: Lane) -> None:
    fields = (b"X-Latin: S\xf8r\xe5s\xff", b"X-Utf: \xc3\xa5\xe2\x82\xac", _LENGTH)
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *fields) + b"ok")


@HEADS.check("An empty value is not a missing field.")
def _an_empty_value_passes(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"X-Empty:", b"X-After: 1", _LENGTH) + b"ok")
    seen = sender.answer().head.fields[:3]
    expected = [(b"X-Empty", b""), (b"X-After", b"1"), (b"Content-Length", b"2")]
    if seen != expected:
        raise Differs(f"the answer's fields: expected {expected}, saw {seen}")


def _gets_nothing_added(answer: bytes) -> Act:
    def act(lane: Lane) -> None:
        arrived, sender = get(lane)
        arrived.wire.write(answer)
        same("the answer's head", answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", sender.head().raw)

    return act


for _kind, _answer in (
    ("bare", head(b"HTTP/1.1 200 OK", _LENGTH) + b"ok"),
    ("bare 204", head(b"HTTP/1.1 204 No Content")),
    ("bare chunked", head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"ok")),
):
    HEADS.add(f"a {_kind} answer gets no Date, Server, Content-Type or Via", _gets_nothing_added(_answer))


@HEADS.check("However old they look.")
def _the_date_and_server_of_the_upstream_stay(lane: Lane) -> None:
    fields = (b"Date: Thu, 01 Jan 1998 00:00:00 GMT", b"Server: Microsoft-IIS/10.0", b"Via: 1.0 old", b"Age: 7")
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *fields, _LENGTH) + b"ok")


@HEADS.check("The sender gets it as it is, and the upstream no second request.")
def _a_redirect_is_not_followed(lane: Lane) -> None:
    location = b"Location: http://127.0.0.1:9/elsewhere?a=%2f"
    answer_passes(lane, head(b"HTTP/1.1 302 Found", location, b"Content-Length: 0"))
    lane.nothing_arrived()


@HEADS.check("1xx is told on, not kept (RFC 9110 section 15.2).")
def _an_early_hint_passes_before_the_answer(lane: Lane) -> None:
    arrived, sender = get(lane)
    hint = head(b"HTTP/1.1 103 Early Hints", b"Link: </a>; rel=preload", b"X-A: 1")
    arrived.wire.write(hint)
    same("the informational answer", hint, sender.head().raw)
    arrived.wire.write(ANSWER)
    is_ok(sender.answer())


@HEADS.check("All at once with the answer itself.")
def _several_informational_answers_pass_in_order(lane: Lane) -> None:
    hints = head(b"HTTP/1.1 102 Processing") + head(b"HTTP/1.1 103 Early Hints", b"X-A: 1")
    arrived, sender = get(lane)
    arrived.wire.write(hints + ANSWER)
    same("the informational answers", hints, sender.head().raw + sender.head().raw)
    is_ok(sender.answer())


BODIES = Group("answer bodies", "RFC 9112 sections 6.3 and 7.1, RFC 9110 sections 9.3.2, 15.3.5 and 15.4.5")


@BODIES.check("Every byte value, and line ends that look like framing.")
def _a_body_with_a_length_passes(lane: Lane) -> None:
    content = bytes(range(256)) + b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    answer_passes(lane, head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(content)) + content)


@BODIES.check("And the connection stays usable.")
def _a_length_of_zero_passes(lane: Lane) -> None:
    sender = answer_passes(lane, head(b"HTTP/1.1 202 Accepted", b"Content-Length: 0"))
    exchange(lane, sender, b"/second")


@BODIES.check("Also when the sender did not say that it accepts that.")
def _a_compressed_body_stays_compressed(lane: Lane) -> None:
    content = gzip.compress(b"<Bundle/>" * 100, mtime=0)
    fields = (b"Content-Encoding: gzip", b"Content-Length: %d" % len(content))
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *fields) + content)


@BODIES.check("It gets no length.")
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


@BODIES.check("The sender learns its end the same way.")
def _a_body_up_to_the_end_of_the_connection_passes(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"X-A: 1") + b"until the end")
    arrived.wire.close()
    answer = sender.head()
    require(not answer.values(b"transfer-encoding"), "it was cut into chunks")
    require(not answer.values(b"content-length"), "it was given a length")
    same("the body", b"until the end", sender.rest())
    require(not sender.was_reset, "the sender's connection was reset after a whole answer")


@BODIES.check("And the connection stays usable.")
def _an_answer_to_head_keeps_its_length_and_has_no_body(lane: Lane) -> None:
    answer = head(b"HTTP/1.1 200 OK", b"Content-Length: 1234", b"Content-Type: a/b")
    sender = answer_passes(lane, answer, method=b"HEAD")
    exchange(lane, sender, b"/second")


@BODIES.check("And gets no length; the connection stays usable.")
def _status_204_has_no_body(lane: Lane) -> None:
    sender = answer_passes(lane, head(b"HTTP/1.1 204 No Content", b"X-A: 1"))
    exchange(lane, sender, b"/second")


@BODIES.check("The length is that of what was not sent.")
def _status_304_keeps_its_length_and_has_no_body(lane: Lane) -> None:
    fields = (b'ETag: "a"', b"Content-Length: 4321")
    sender = answer_passes(lane, head(b"HTTP/1.1 304 Not Modified", *fields))
    exchange(lane, sender, b"/second")


@BODIES.check("Its connection ends with it; the sender's need not.")
def _an_answer_of_http_1_0_passes(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(head(b"HTTP/1.0 200 Old", b"X-A: 1", b"Content-Length: 3") + b"old")
    answer = sender.answer()
    has_status(answer.head, 200)
    same("the version", b"HTTP/1.1 ", answer.head.line[:9])
    same("the field", b"1", b", ".join(answer.head.values(b"x-a")))
    same("the body", b"old", answer.content)


@BODIES.check("It would not know them (RFC 9112 section 7.1): the end of the connection ends the body.")
def _a_sender_of_http_1_0_gets_no_chunks(lane: Lane) -> None:
    sender = lane.send(head(lane.line(version=b"HTTP/1.0"), HOST))
    arrived = lane.arrives(sender)
    arrived.wire.write(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"first ", b"last"))
    answer = sender.head()
    require(not answer.values(b"transfer-encoding"), "it was sent in chunks")
    same("the body", b"first last", sender.rest())
