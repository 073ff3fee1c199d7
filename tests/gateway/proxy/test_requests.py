"""Which bytes are requests, and what they say; each case also split at every byte."""

import pytest

from gateway.proxy.headers import MAX_FIELDS, MAX_HEAD, MAX_TARGET, Framing
from gateway.proxy.request_parser import BadRequest, RequestParser
from tests.gateway.proxy.fuzzing import Requests, request_verdict

HOST = b"Host: v\r\n"
LARGE = 3_000
"""Bytes above which a case is split only into single bytes, not also into two pieces everywhere."""


def post(fields: bytes, body: bytes = b"", *, line: bytes = b"POST /a HTTP/1.1", host: bytes = HOST) -> bytes:
    """Write a request with these fields."""
    return line + b"\r\n" + host + fields + b"\r\n" + body


def splits(data: bytes) -> list[list[bytes]]:
    """Return the data as single bytes and, unless it is large, cut in two at every place."""
    places = range(1, len(data)) if len(data) < LARGE else ()
    return [[data[at : at + 1] for at in range(len(data))], *([data[:at], data[at:]] for at in places)]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(post(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"), 400, id="two lengths alike"),
        pytest.param(post(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"), 400, id="two lengths"),
        pytest.param(post(b"Content-Length: 2, 2\r\n", b"{}"), 400, id="list of lengths"),
        pytest.param(post(b"Content-Length: -1\r\n"), 400, id="negative length"),
        pytest.param(post(b"Content-Length: +2\r\n", b"{}"), 400, id="length with a sign"),
        pytest.param(post(b"Content-Length: 0x2\r\n", b"{}"), 400, id="length in hexadecimal"),
        pytest.param(post(b"Content-Length: 2 2\r\n", b"{}"), 400, id="length with a space inside"),
        pytest.param(post(b"Content-Length:\r\n"), 400, id="empty length"),
        pytest.param(post(b"Content-Length: 99999999999999999999\r\n"), 400, id="length beyond 64 bits"),
        pytest.param(post(b"Content-Length : 2\r\n", b"{}"), 400, id="space before the colon"),
        pytest.param(
            post(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400, id="both framings"
        ),
        pytest.param(
            post(b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", b"0\r\n\r\n"), 400, id="both, turned"
        ),
        pytest.param(post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 400, id="compressed and chunked"),
        pytest.param(post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"), 400, id="chunked is not last"),
        pytest.param(post(b"Transfer-Encoding: gzip\r\n", b"x"), 400, id="not chunked"),
        pytest.param(post(b"Transfer-Encoding: identity\r\n", b"x"), 400, id="identity"),
        pytest.param(post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400, id="nearly chunked"),
        pytest.param(post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400, id="vertical tab"),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n"), 400, id="chunked twice"),
        pytest.param(
            post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", line=b"POST /a HTTP/1.0"), 400, id="chunked in 1.0"
        ),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"ZZ\r\n"), 400, id="chunk size is no number"),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"-1\r\n"), 400, id="chunk size is negative"),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"0x2\r\n{}\r\n"), 400, id="chunk size has 0x"),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"f" * 17 + b"\r\n"), 400, id="chunk beyond 64 bits"),
        pytest.param(
            post(b"Transfer-Encoding: chunked\r\n", b"0\r\nContent-Length: 9\r\n\r\n"), 400, id="length as a trailer"
        ),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}X\r\n"), 400, id="chunk longer than said"),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"2\n{}\n0\n\n"), 400, id="chunks with bare line feeds"),
        pytest.param(post(b"", host=b""), 400, id="no Host"),
        pytest.param(post(b"Host: w\r\n"), 400, id="two Hosts"),
        pytest.param(post(b"", host=b"Host: a/b\r\n"), 400, id="Host with a path"),
        pytest.param(post(b"", host=b"Host: a@b\r\n"), 400, id="Host with a user"),
        pytest.param(post(b"", host=b"Host: a, b\r\n"), 400, id="list of Hosts"),
        pytest.param(post(b"", host=b"Host: a\\b\r\n"), 400, id="Host with a backslash"),
        pytest.param(post(b"", line=b"GET http://v/a HTTP/1.1"), 400, id="absolute target"),
        pytest.param(post(b"", line=b"OPTIONS * HTTP/1.1"), 400, id="asterisk"),
        pytest.param(post(b"", line=b"CONNECT v:443 HTTP/1.1"), 501, id="CONNECT"),
        pytest.param(post(b"", line=b"TRACE /a HTTP/1.1"), 501, id="TRACE"),
        pytest.param(post(b"", line=b"BREW /a HTTP/1.1"), 501, id="method that llhttp does not know"),
        pytest.param(post(b"", line=b"post /a HTTP/1.1"), 501, id="method in small letters"),
        pytest.param(post(b"", line=b"GET /\xe5 HTTP/1.1"), 400, id="target is not ASCII"),
        pytest.param(post(b"", line=b"GET /a\x00b HTTP/1.1"), 400, id="null in the target"),
        pytest.param(post(b"", line=b"GET /a b HTTP/1.1"), 400, id="space in the target"),
        pytest.param(post(b"", line=b"GET /a HTTP/2.0"), 505, id="HTTP/2.0 in a line"),
        pytest.param(post(b"", line=b"GET /a HTTP/0.9"), 505, id="HTTP/0.9 in a line"),
        pytest.param(post(b"", line=b"GET /a RTSP/1.0"), 505, id="RTSP/1.0 in a line"),
        pytest.param(post(b"", line=b"POST /a RTSP/1.1"), 505, id="RTSP/1.1 in a line"),
        pytest.param(post(b"", line=b"SOURCE /a ICE/1.0"), 501, id="ICE/1.0 in a line"),
        pytest.param(
            post(b"Content-Length: 2\r\n", b"{}" + post(b"", line=b"GET /b RTSP/1.0")), 505, id="RTSP/1.0 sent ahead"
        ),
        pytest.param(post(b"Transfer-Encoding: chunked\t\r\n", b"0\r\n\r\n"), 400, id="tab after chunked"),
        pytest.param(b"GET /a\r\n\r\n", 505, id="no version"),
        pytest.param(post(b"", line=b"GET /a HTTP/1.1 "), 400, id="space after the version"),
        pytest.param(post(b"X 1: a\r\n"), 400, id="space in a name"),
        pytest.param(post(b"X(: a\r\n"), 400, id="sign that no name has"),
        pytest.param(post(b": a\r\n"), 400, id="no name"),
        pytest.param(post(b"X\r\n"), 400, id="no colon"),
        pytest.param(post(b"X: a\r\n b\r\n"), 400, id="folded line"),
        pytest.param(post(b" X: a\r\n", host=b""), 400, id="first line is folded"),
        pytest.param(post(b"X: a\x00b\r\n"), 400, id="null in a value"),
        pytest.param(post(b"X: a\rb\r\n"), 400, id="carriage return in a value"),
        pytest.param(b"GET /a HTTP/1.1\nHost: v\n\n", 400, id="bare line feeds"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501, id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 with prior knowledge"),
        pytest.param(post(b"", line=b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1"), 414, id="long target"),
        pytest.param(post(b"X: y\r\n" * MAX_FIELDS), 431, id="many fields"),
        pytest.param(post(b"X: " + b"y" * MAX_HEAD + b"\r\n"), 431, id="large field"),
        pytest.param(post((b"X: " + b"y" * 1_000 + b"\r\n") * 70), 431, id="large head"),
        pytest.param(
            post(b"Transfer-Encoding: chunked\r\n", b"0\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n"),
            431,
            id="many trailers",
        ),
        pytest.param(
            post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n"),
            431,
            id="large trailer",
        ),
    ],
)
def test_is_refused_however_it_is_split(data: bytes, status: int) -> None:
    """What is not clearly one request, or too large, is refused, with this status and after the same events."""
    whole = request_verdict([data])
    assert whole[1] == status
    for parts in splits(data):
        assert request_verdict(parts) == whole, parts


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /a HTTP/1.1\r\nX: ", id="field"),
        pytest.param(b"GET /", id="target"),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: "), id="trailer"),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"1;"), id="chunk extension"),
    ],
)
@pytest.mark.parametrize("size", [1, 1_000, 60_000])
def test_what_never_ends_is_cut(data: bytes, size: int) -> None:
    """Nothing is gathered beyond the size of a head, however it arrives."""
    assert request_verdict([data, *[b"y" * size] * (2 * MAX_HEAD // size + 1)])[1] == 431


def test_long_body_in_chunks_is_not_taken_for_trailers() -> None:
    """Only what comes without any byte of a body is counted."""
    data = b"1;" + b"x" * 10_000 + b"\r\ny\r\n"
    seen, refused = request_verdict([post(b"Transfer-Encoding: chunked\r\n"), *[data] * 20, b"0\r\n\r\n"])
    assert (seen[0][4], refused) == (b"y" * 20, None)


@pytest.mark.parametrize(
    ("data", "framing", "body"),
    [
        pytest.param(post(b""), Framing.NONE, b"", id="POST without a body"),
        pytest.param(post(b"Content-Length: 0\r\n"), Framing.NONE, b"", id="length 0"),
        pytest.param(post(b"Content-Length: 002\r\n", b"{}"), Framing.LENGTH, b"{}", id="zeros before"),
        pytest.param(post(b"content-LENGTH:2 \r\n", b"{}"), Framing.LENGTH, b"{}", id="letter case and spaces"),
        pytest.param(post(b"Content-Length: 3\r\n", b"\r\n\x00"), Framing.LENGTH, b"\r\n\x00", id="any bytes"),
        pytest.param(post(b"Content-Length: 2\r\n", b"{}", line=b"GET /a HTTP/1.1"), Framing.LENGTH, b"{}", id="GET"),
        pytest.param(
            post(b"Transfer-Encoding: CHUNKED\r\n", b"1;a=b\r\n{\r\n01\r\n}\r\n000\r\n\r\n"),
            Framing.CHUNKED,
            b"{}",
            id="chunks with extension and zeros",
        ),
        pytest.param(post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), Framing.CHUNKED, b"", id="no chunk"),
        pytest.param(b"\r\n\r\n" + post(b""), Framing.NONE, b"", id="empty lines before"),
        pytest.param(post(b"", line=b"GET /a HTTP/1.0", host=b""), Framing.NONE, b"", id="1.0 without Host"),
        pytest.param(post(b"", host=b"Host:\r\n"), Framing.NONE, b"", id="empty Host"),
        pytest.param(post(b"", host=b"Host: [::1]:8080\r\n"), Framing.NONE, b"", id="IPv6 Host"),
        pytest.param(post(b"X:\r\nX: \r\nY: \xe5 \t b\r\n"), Framing.NONE, b"", id="odd values"),
        pytest.param(
            post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", b"{}"),
            Framing.LENGTH,
            b"{}",
            id="upgrade",
        ),
        pytest.param(
            post(
                b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"
            ),
            Framing.CHUNKED,
            b"{}",
            id="upgrade with chunks",
        ),
        pytest.param(post(b"X: y\r\n" * (MAX_FIELDS - 1)), Framing.NONE, b"", id="as many fields as may be"),
        pytest.param(post(b"X: " + b"y" * 60_000 + b"\r\n"), Framing.NONE, b"", id="large field"),
        pytest.param(
            post(b"", line=b"GET /" + b"a" * (MAX_TARGET - 1) + b" HTTP/1.1"), Framing.NONE, b"", id="longest target"
        ),
        pytest.param(post(b"Content-Length: 70000\r\n", b"y" * 70_000), Framing.LENGTH, b"y" * 70_000, id="large body"),
        pytest.param(
            post(b"Transfer-Encoding: chunked\r\n", b"1;x\r\ny\r\n" * 9_000 + b"0\r\n\r\n"),
            Framing.CHUNKED,
            b"y" * 9_000,
            id="many small chunks",
        ),
    ],
)
def test_is_read_however_it_is_split(data: bytes, framing: Framing, body: bytes) -> None:
    """Odd but right requests are read whole, and one after them as well."""
    whole = request_verdict([data])
    assert whole[1] is None
    (request,) = whole[0]
    assert (request[2], request[4], request[5]) == (framing, body, ())
    for parts in splits(data):
        assert request_verdict(parts) == whole, parts
    if request[3]:
        assert request_verdict([data + post(b"", line=b"GET /next HTTP/1.1")])[0][1][0].target == "/next"


def test_head_is_kept_as_it_was_written() -> None:
    """Target, names, values, order and repetitions are the sender's own."""
    seen, _ = request_verdict([b"PUT //a%2F?b#c HTTP/1.1\r\nhOsT: V:1\r\nX: b \xe5\r\nx:a\r\nX:\r\n\r\n"])
    head = seen[0][0]
    assert (head.method, head.target) == ("PUT", "//a%2F?b#c")
    assert head.headers == ((b"hOsT", b"V:1"), (b"X", b"b \xe5"), (b"x", b"a"), (b"X", b""))


@pytest.mark.parametrize(
    ("fields", "body", "framed"),
    [
        (b"content-LENGTH:\t0002 \t\r\n", b"{}", (b"content-LENGTH", b"2")),
        (b"Content-Length: 000\r\n", b"", (b"Content-Length", b"0")),
        (b"Transfer-Encoding:CHUNKED \r\n", b"0\r\n\r\n", (b"Transfer-Encoding", b"chunked")),
    ],
    ids=str,
)
def test_what_frames_a_body_is_told_in_its_usual_form(fields: bytes, body: bytes, framed: tuple[bytes, bytes]) -> None:
    """A server behind cannot read another length or coding out of it; other fields lose the blanks around them alone."""
    seen, refused = request_verdict([post(fields + b"X:  a \t b\t\r\n", body)])
    assert (seen[0][0].headers, refused) == (((b"Host", b"v"), framed, (b"X", b"a \t b")), None)


def test_another_protocol_may_be_named_in_a_message() -> None:
    """Only a request line is one."""
    fields = b"X: y\r\nVia: RTSP/1.0\r\nContent-Length: 14\r\n"
    data = post(fields, b"\n/a RTSP/1.0\r\n") + post(b"", line=b"GET /next HTTP/1.1")
    for parts in ([data], *splits(data)):
        seen, refused = request_verdict(parts)
        assert ([each[4] for each in seen], refused) == ([b"\n/a RTSP/1.0\r\n", b""], None), parts


def test_trailers_come_with_the_end_and_are_no_part_of_the_head() -> None:
    """A trailer that is named Host makes no second Host."""
    data = post(b"Transfer-Encoding: chunked\r\n", b"0\r\nHost: w\r\nT: 1\r\n\r\n")
    for parts in ([data], *splits(data)):
        ((head, _, framing, _, body, trailers),), refused = request_verdict(parts)
        assert (refused, framing, body, len(head.headers)) == (None, Framing.CHUNKED, b"", 2)
        assert trailers == ((b"Host", b"w"), (b"T", b"1"))


@pytest.mark.parametrize(
    ("line", "fields", "kept"),
    [
        (b"GET /a HTTP/1.1", b"", True),
        (b"GET /a HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET /a HTTP/1.1", b"Connection: X, Close\r\n", False),
        (b"GET /a HTTP/1.0", b"", False),
        (b"GET /a HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_connection_goes_on_as_the_sender_wants(line: bytes, fields: bytes, *, kept: bool) -> None:
    """HTTP/1.1 keeps its connection unless it says otherwise, HTTP/1.0 the other way round."""
    assert request_verdict([post(fields, line=line)])[0][0][3] is kept


def test_requests_sent_ahead_are_read_in_order() -> None:
    """Every request of a connection is read for itself, whatever the one before it was."""
    data = (
        post(b"Content-Length: 2\r\n", b"{}", line=b"POST /1 HTTP/1.1")
        + post(b"Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\nT: 1\r\n\r\n", line=b"POST /2 HTTP/1.1")
        + post(b"Connection: Upgrade\r\nUpgrade: x\r\n", line=b"GET /3 HTTP/1.1")
        + post(b"", line=b"GET /4 HTTP/1.1")
    )
    whole = request_verdict([data])
    assert [(each[0].target, each[4]) for each in whole[0]] == [("/1", b"{}"), ("/2", b"x"), ("/3", b""), ("/4", b"")]
    for parts in splits(data):
        assert request_verdict(parts) == whole, parts


def test_refusal_ends_the_stream_after_what_was_right() -> None:
    """A whole request before a broken one is read, and nothing after it."""
    seen, status = request_verdict([post(b"") + b"BROKEN\r\n\r\n" + post(b"")])
    assert (len(seen), status) == (1, 501)


def test_half_a_request_is_not_ended() -> None:
    """Without its last byte a request is not whole."""
    for data in (post(b"Content-Length: 2\r\n", b"{}"), post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n")):
        assert request_verdict([data[:-1]])[0][0][5] is None


def test_head_is_in_progress_from_its_first_byte_to_its_last() -> None:
    """Times that are allowed for a head begin and end with it."""
    parser = RequestParser(Requests())
    states = []
    for part in (b"\r\n", b"P", b"OST /a HTTP/1.1\r\n", HOST, b"Content-Length: 2\r\n\r", b"\n", b"{}", b"G"):
        parser.feed(part)
        states.append(parser.in_head)
    assert states[1:] == [True, True, True, True, False, False, True]


def test_refusal_tells_nothing_of_the_request() -> None:
    """The text is for logs and answers, where nothing of a sender's bytes may be."""
    parser = RequestParser(Requests())
    with pytest.raises(BadRequest) as refusal:
        parser.feed(post(b"X 12834010060: eyJhbGciOiJSUzI1NiJ9.a\r\n"))
    assert not any(each in refusal.value.text for each in ("1283", "eyJ", "/a"))
