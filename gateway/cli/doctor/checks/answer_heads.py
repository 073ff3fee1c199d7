"""Status, reason and fields of an answer come to the sender as the upstream wrote them."""

from gateway.cli.doctor.harness import ANSWER, Act, Group, answer_passes, chunked, get, head, is_ok
from gateway.cli.doctor.lane import Lane
from gateway.cli.doctor.wire import Differs, same

GROUP = Group("answer heads", "RFC 9112 section 4, RFC 9110 sections 5, 6.6.1 and 15")

_LENGTH = b"Content-Length: 2"


def _passes(line: bytes, *fields: bytes) -> Act:
    def act(lane: Lane) -> None:
        answer_passes(lane, head(line, *fields, _LENGTH) + b"ok")

    return act


for _status in (b"299 Nearly", b"418 I'm a teapot", b"500 Internal Server Error", b"599 Beyond"):
    GROUP.add(f"status {_status[:3].decode()} passes", _passes(b"HTTP/1.1 " + _status))


@GROUP.check("What VKP writes there is read by people.")
def _a_reason_of_several_words_passes(lane: Lane) -> None:
    answer_passes(lane, head(b"HTTP/1.1 200 It  went well, (really)!", _LENGTH) + b"ok")


@GROUP.check("The blank before it stays (RFC 9112 section 4).")
def _an_empty_reason_passes(lane: Lane) -> None:
    answer_passes(lane, head(b"HTTP/1.1 200 ", _LENGTH) + b"ok")


@GROUP.check("Opaque data, as in values.")
def _latin_1_bytes_in_a_reason_pass(lane: Lane) -> None:
    answer_passes(lane, head(b"HTTP/1.1 404 Ikke p\xe5 plass", _LENGTH) + b"ok")


@GROUP.check("Some senders compare them with it.")
def _names_keep_their_letter_case(lane: Lane) -> None:
    answer_passes(
        lane, head(b"HTTP/1.1 200 OK", b"ETAG: x", b"content-type: a/b", b"WWW-authenticate: DPoP", _LENGTH) + b"ok"
    )


@GROUP.check("Also the length among others.")
def _fields_keep_their_order(lane: Lane) -> None:
    lines = (b"X-C: 1", _LENGTH, b"X-A: 2", b"Content-Type: text/plain", b"X-B: 3")
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *lines) + b"ok")


@GROUP.check("Set-Cookie cannot be joined (RFC 9110 section 5.3).")
def _cookies_stay_apart_and_in_order(lane: Lane) -> None:
    cookies = (b"Set-Cookie: a=1; Path=/", b"X-Between: 1", b"set-cookie: b=2", b"Set-Cookie: a=1; Path=/")
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *cookies, _LENGTH) + b"ok")


@GROUP.check("Latin-1 and UTF-8 alike.")
def _bytes_outside_ascii_in_a_value_pass(lane: Lane) -> None:
    fields = (b"X-Latin: S\xf8r\xe5s\xff", b"X-Utf: \xc3\xa5\xe2\x82\xac", _LENGTH)
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *fields) + b"ok")


@GROUP.check("An empty value is not a missing field.")
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
    GROUP.add(f"a {_kind} answer gets no Date, Server, Content-Type or Via", _gets_nothing_added(_answer))


@GROUP.check("However old they look.")
def _the_date_and_server_of_the_upstream_stay(lane: Lane) -> None:
    fields = (b"Date: Thu, 01 Jan 1998 00:00:00 GMT", b"Server: Microsoft-IIS/10.0", b"Via: 1.0 old", b"Age: 7")
    answer_passes(lane, head(b"HTTP/1.1 200 OK", *fields, _LENGTH) + b"ok")


@GROUP.check("The sender gets it as it is, and the upstream no second request.")
def _a_redirect_is_not_followed(lane: Lane) -> None:
    location = b"Location: http://127.0.0.1:9/elsewhere?a=%2f"
    answer_passes(lane, head(b"HTTP/1.1 302 Found", location, b"Content-Length: 0"))
    lane.nothing_arrived()


@GROUP.check("1xx is told on, not kept (RFC 9110 section 15.2).")
def _an_early_hint_passes_before_the_answer(lane: Lane) -> None:
    arrived, sender = get(lane)
    hint = head(b"HTTP/1.1 103 Early Hints", b"Link: </a>; rel=preload", b"X-A: 1")
    arrived.wire.write(hint)
    same("the informational answer", hint, sender.head().raw)
    arrived.wire.write(ANSWER)
    is_ok(sender.answer())


@GROUP.check("All at once with the answer itself.")
def _several_informational_answers_pass_in_order(lane: Lane) -> None:
    hints = head(b"HTTP/1.1 102 Processing") + head(b"HTTP/1.1 103 Early Hints", b"X-A: 1")
    arrived, sender = get(lane)
    arrived.wire.write(hints + ANSWER)
    same("the informational answers", hints, sender.head().raw + sender.head().raw)
    is_ok(sender.answer())
