"""Which bytes are the response to a request; each case also split at every byte."""

import pytest

from gateway.proxy.headers import MAX_FIELDS, MAX_HEAD, Framing
from gateway.proxy.response_parser import BadResponse, ResponseParser
from tests.gateway.proxy.fuzzing import Response, response_verdict
from tests.gateway.proxy.test_requests import splits

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "to_head"),
    [
        pytest.param(b"", False, id="nothing"),
        pytest.param(OK + b"X: y\r\n", False, id="half a head"),
        pytest.param(OK + b"Content-Length: 3\r\n\r\nab", False, id="half a body"),
        pytest.param(CHUNKED + b"2\r\nab\r\n", False, id="chunks without an end"),
        pytest.param(CHUNKED + b"2\r\nab\r\n0\r\n", False, id="end without its last line"),
        pytest.param(CHUNKED + b"ZZ\r\n", False, id="chunk size is no number"),
        pytest.param(CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", False, id="chunk longer than said"),
        pytest.param(CHUNKED + b"2\nab\n0\n\n", False, id="chunks with bare line feeds"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\nabc", False, id="more than the length"),
        pytest.param(
            OK + b"Content-Length: 2\r\n\r\nab" + OK + b"Content-Length: 0\r\n\r\n", False, id="two responses"
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\nab", False, id="204 with a body"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nab", False, id="304 with a body"),
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", False, id="two lengths"),
        pytest.param(OK + b"Content-Length: 2, 2\r\n\r\nab", False, id="list of lengths"),
        pytest.param(OK + b"Content-Length: -2\r\n\r\nab", False, id="negative length"),
        pytest.param(OK + b"Content-Length: 99999999999999999999\r\n\r\n", False, id="length beyond 64 bits"),
        pytest.param(
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False, id="both framings"
        ),
        pytest.param(OK + b"Transfer-Encoding: gzip\r\n\r\nab", False, id="not chunked"),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", False, id="compressed and chunked"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", False, id="chunked twice"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", False, id="101"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", False, id="only an informational answer"),
        pytest.param(b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n", False, id="status below 100"),
        pytest.param(b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n", False, id="status above 599"),
        pytest.param(b"HTTP/1.1 20 Short\r\nContent-Length: 0\r\n\r\n", False, id="status of two digits"),
        pytest.param(b"HTTP/1.1 2000 Long\r\nContent-Length: 0\r\n\r\n", False, id="status of four digits"),
        pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", False, id="HTTP/2.0"),
        pytest.param(b"ICY 200 OK\r\n\r\n", False, id="another protocol"),
        pytest.param(b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False, id="a protocol that llhttp knows"),
        pytest.param(OK + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", False, id="tab after chunked"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x16", False, id="TLS"),
        pytest.param(b"<html>no</html>", False, id="a page without a head"),
        pytest.param(OK + b"X y\r\n\r\n", False, id="no colon"),
        pytest.param(OK + b"X : y\r\n\r\n", False, id="space before the colon"),
        pytest.param(OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", False, id="folded line"),
        pytest.param(OK + b"X: a\x00\r\nContent-Length: 0\r\n\r\n", False, id="null in a value"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", False, id="bare line feeds"),
        pytest.param(OK + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n", False, id="many fields"),
        pytest.param(OK + b"X: " + b"y" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n", False, id="large field"),
        pytest.param(OK + (b"X: " + b"y" * 1_000 + b"\r\n") * 70 + b"\r\n", False, id="large head"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n", False, id="many trailers"),
        pytest.param(CHUNKED + b"0\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n", False, id="large trailer"),
    ],
)
def test_is_refused_however_it_is_split(data: bytes, *, to_head: bool) -> None:
    """What is not one whole response is refused; nothing that was refused was said to have ended, unless more followed."""
    for parts in ([data], *splits(data)):
        assert response_verdict(parts, to_head=to_head)[2], parts


@pytest.mark.parametrize(
    ("data", "to_head", "framing", "body"),
    [
        pytest.param(OK + b"Content-Length: 2\r\n\r\nab", False, Framing.LENGTH, b"ab", id="length"),
        pytest.param(OK + b"content-length:2\r\n\r\nab", False, Framing.LENGTH, b"ab", id="small letters, no space"),
        pytest.param(OK + b"Content-Length: 0\r\n\r\n", False, Framing.LENGTH, b"", id="length 0"),
        pytest.param(CHUNKED + b"1;x=y\r\na\r\n01\r\nb\r\n0\r\n\r\n", False, Framing.CHUNKED, b"ab", id="chunks"),
        pytest.param(CHUNKED + b"0\r\n\r\n", False, Framing.CHUNKED, b"", id="no chunk"),
        pytest.param(OK + b"\r\nab", False, Framing.UNTIL_CLOSE, b"ab", id="to the end of the connection"),
        pytest.param(OK + b"\r\n", False, Framing.UNTIL_CLOSE, b"", id="nothing to the end"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nab", False, Framing.UNTIL_CLOSE, b"ab", id="1.0"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", False, Framing.LENGTH, b"", id="no reason"),
        pytest.param(b"HTTP/1.1 200 \xe5\r\nContent-Length: 0\r\n\r\n", False, Framing.LENGTH, b"", id="odd reason"),
        pytest.param(b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", False, Framing.NONE, b"", id="204"),
        pytest.param(b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n", False, Framing.NONE, b"", id="304 with a length"),
        pytest.param(OK + b"Content-Length: 9\r\n\r\n", True, Framing.NONE, b"", id="HEAD with a length"),
        pytest.param(CHUNKED, True, Framing.NONE, b"", id="HEAD with a coding"),
        pytest.param(OK + b"Content-Length: 0\r\n\r\n\r\n", False, Framing.LENGTH, b"", id="empty line after"),
        pytest.param(
            OK + b"X: y\r\n" * (MAX_FIELDS - 1) + b"Content-Length: 0\r\n\r\n", False, Framing.LENGTH, b"", id="fields"
        ),
        pytest.param(
            OK + b"X: " + b"y" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n", False, Framing.LENGTH, b"", id="large field"
        ),
        pytest.param(
            OK + b"Content-Length: 70000\r\n\r\n" + b"y" * 70_000, False, Framing.LENGTH, b"y" * 70_000, id="large body"
        ),
    ],
)
def test_is_read_however_it_is_split(data: bytes, framing: Framing, body: bytes, *, to_head: bool) -> None:
    """Odd but right responses are read whole."""
    whole = response_verdict([data], to_head=to_head)
    seen, read, refused = whole
    assert not refused
    assert [each[0] for each in seen] == ["started", "ended"]
    assert (seen[0][4], read) == (framing, body)
    for parts in splits(data):
        assert response_verdict(parts, to_head=to_head) == whole, parts


def feed_all(parser: ResponseParser, parts: list[bytes]) -> None:
    """Feed one part after the other."""
    for part in parts:
        parser.feed(part)


@pytest.mark.parametrize("start", [OK + b"X: ", OK, CHUNKED + b"0\r\nX: ", CHUNKED + b"1;"], ids=str)
@pytest.mark.parametrize("size", [1, 1_000, 60_000])
def test_what_never_ends_is_cut(start: bytes, size: int) -> None:
    """Of a head, of trailers and of what is said of a chunk no more is taken than a head may have."""
    parser = ResponseParser()
    parser.expect(Response(), to_head=False)
    parser.feed(start)
    with pytest.raises(BadResponse):
        feed_all(parser, [b"y" * size] * (2 * MAX_HEAD // size + 1))


@pytest.mark.parametrize(
    ("field", "body", "framed"),
    [
        (b"Content-Length: 0002\t", b"ok", (b"Content-Length", b"2")),
        (b"Transfer-Encoding: CHUNKED ", b"0\r\n\r\n", (b"Transfer-Encoding", b"chunked")),
    ],
    ids=str,
)
def test_what_frames_a_body_is_told_in_its_usual_form(field: bytes, body: bytes, framed: tuple[bytes, bytes]) -> None:
    """A sender cannot read another length or coding out of it."""
    seen, _, refused = response_verdict([OK + field + b"\r\n\r\n" + body], to_head=False)
    assert (seen[0][3], refused) == ((framed,), False)


def test_head_is_kept_as_it_was_written() -> None:
    """Status, reason, names, values, order and repetitions are the upstream's own."""
    data = b"HTTP/1.1 299 Nesten \xe5\r\nsEt: a\r\nX:\r\nSet: b \xe5\r\nContent-Length: 0\r\n\r\n"
    (_, status, reason, headers, _), _ = response_verdict([data], to_head=False)[0]
    assert (status, reason) == (299, b"Nesten \xe5")
    assert headers == ((b"sEt", b"a"), (b"X", b""), (b"Set", b"b \xe5"), (b"Content-Length", b"0"))


def test_informational_answers_come_before_the_answer() -> None:
    """Any number of them, each with its fields; none is taken for the answer."""
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + CHUNKED + b"1\r\na\r\n0\r\nT: 1\r\n\r\n"
    )
    for parts in ([data], *splits(data)):
        seen, body, refused = response_verdict(parts, to_head=False)
        assert seen[:2] == [("informed", 100, b"Continue", ()), ("informed", 103, b"Early", ((b"Link", b"x"),))]
        assert (seen[2][0], seen[3], body, refused) == ("started", ("ended", ((b"T", b"1"),)), b"a", False)


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", True),
        (OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", True),
        (CHUNKED + b"0\r\n\r\n", True),
        (b"HTTP/1.1 204 N\r\n\r\n", True),
        (b"HTTP/1.1 204 N\r\nConnection: close\r\n\r\n", False),
    ],
)
def test_connection_goes_on_as_the_upstream_wants(data: bytes, *, kept: bool) -> None:
    """Another request is sent only on a connection whose answer left it open."""
    parser, events = ResponseParser(), Response()
    parser.expect(events, to_head=False)
    parser.feed(data)
    assert (events.seen[-1], parser.keeps_alive) == (("ended", ()), kept)


@pytest.mark.parametrize("to_head", [False, True])
@pytest.mark.parametrize("first", [OK + b"Content-Length: 0\r\n\r\n", b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n"])
def test_next_response_is_read_after_the_one_before(first: bytes, *, to_head: bool) -> None:
    """What was said of one request's body says nothing of the next one's."""
    parser = ResponseParser()
    parser.expect(Response(), to_head=to_head)
    parser.feed(first)
    second = Response()
    parser.expect(second, to_head=False)
    parser.feed(OK + b"Content-Length: 2\r\n\r\nab")
    assert (second.seen[0][1], second.body, second.seen[-1]) == (200, b"ab", ("ended", ()))


def test_bytes_that_nobody_asked_for_spoil_the_connection() -> None:
    """An answer before its request would be taken for the answer to the next one; empty lines are nothing."""
    parser = ResponseParser()
    parser.feed(b"\r\n")
    with pytest.raises(BadResponse):
        parser.feed(OK)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(OK + b"Content-Length: 2\r\n\r\nab", id="body"),
        pytest.param(CHUNKED + b"2\r\nab\r\n0\r\n\r\n", id="chunks"),
        pytest.param(CHUNKED + b"\r\nx", id="blank line and more"),
    ],
)
def test_what_follows_an_answer_to_head_ends_the_connection_and_nothing_else(data: bytes) -> None:
    """The answer was complete; the connection is not used again, however the bytes are split."""
    for parts in ([data], *splits(data)):
        events, parser = Response(), ResponseParser()
        parser.expect(events, to_head=True)
        for part in parts:
            parser.feed(part)
        assert events.seen[-1] == ("ended", ())
        assert not events.body
        assert not parser.keeps_alive, parts
