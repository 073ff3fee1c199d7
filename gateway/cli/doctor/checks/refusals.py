"""How a request is checked that must be refused."""

from collections.abc import Callable

from gateway.cli.doctor.harness import Act, Group, finish, has_status, head
from gateway.cli.doctor.lane import HOST, Arrived, Lane
from gateway.cli.doctor.wire import Differs, require, shown

Request = Callable[[Lane], bytes]

_ANOTHER = b"/another"


def is_refused(request: Request, *statuses: int) -> Act:
    """Return a check: one of these answers, the connection closed, and nothing at the upstream."""

    def act(lane: Lane) -> None:
        sender = lane.send(request(lane))
        has_status(lane.own_answer(sender), *statuses)
        sender.rest()
        lane.nothing_arrived()

    return act


def is_not_completed(request: Request, *statuses: int) -> Act:
    """Return a check for a flaw behind the head: the head may have gone on already, but then it ends there."""

    def act(lane: Lane) -> None:
        sender = lane.send(request(lane))
        arrived = lane.arrives_unless_answered(sender)
        if arrived is not None:
            _is_cut(arrived)
        has_status(sender.head(), *statuses)
        require(b"HTTP/1.1 2" not in sender.rest(), "what followed it was answered")
        _nothing_is_left_open(lane)

    return act


def _nothing_is_left_open(lane: Lane) -> None:
    """Let another sender be answered, after which whatever was to come to the upstream has come."""
    another = lane.connect()
    another.write(head(lane.line(rest=_ANOTHER), HOST))
    arrived = lane.arrives(another)
    while _ANOTHER not in arrived.head.line:
        _is_cut(arrived)
        arrived = lane.arrives(another)
    finish(arrived.wire, another)


def _is_cut(arrived: Arrived) -> None:
    came = arrived.wire.rest()
    if came.endswith(b"0\r\n\r\n"):
        raise Differs(f"it came to the upstream as a whole request: {shown(came)}")


FRAMING = Group("refused framing", "RFC 9112 sections 6.1, 6.3, 7.1 and 11.2, RFC 9110 section 8.6")


def _framed(*fields: bytes, body: bytes = b"hello", version: bytes = b"HTTP/1.1") -> Request:
    """Return a POST that is followed by another request, which must not be found in it."""

    def request(lane: Lane) -> bytes:
        smuggled = head(lane.line(rest=b"/smuggled"), HOST)
        return head(lane.line(b"POST", version=version), HOST, *fields) + body + smuggled

    return request


_CHUNKED = b"Transfer-Encoding: chunked"
_LAST = b"0\r\n\r\n"
_HELLO = b"5\r\nhello\r\n" + _LAST

for _what, _sent, _answers in (
    ("a length beside chunks is refused", _framed(b"Content-Length: 5", _CHUNKED, body=_LAST), (400,)),
    ("chunks beside a length are refused", _framed(_CHUNKED, b"Content-Length: 5", body=_LAST), (400,)),
    ("two lengths that differ are refused", _framed(b"Content-Length: 5", b"Content-Length: 6"), (400,)),
    ("a length with a sign is refused", _framed(b"Content-Length: +5"), (400,)),
    ("a negative length is refused", _framed(b"Content-Length: -5"), (400,)),
    ("a list of lengths is refused", _framed(b"Content-Length: 5, 5"), (400,)),
    ("a length that is no decimal number is refused", _framed(b"Content-Length: 0x5"), (400,)),
    ("an empty length is refused", _framed(b"Content-Length:"), (400,)),
    ("a length beyond all bounds is refused", _framed(b"Content-Length: 99999999999999999999999"), (400, 413)),
    ("a coding other than chunked is refused", _framed(b"Transfer-Encoding: gzip"), (400, 501)),
    ("gzip before chunked is refused", _framed(b"Transfer-Encoding: gzip, chunked", body=_HELLO), (400, 501)),
    ("chunked twice is refused", _framed(b"Transfer-Encoding: chunked, chunked", body=_HELLO), (400, 501)),
    (
        "a second Transfer-Encoding is refused",
        _framed(_CHUNKED, b"Transfer-Encoding: identity", body=_HELLO),
        (400, 501),
    ),
    ("a disguised chunked is refused", _framed(b"Transfer-Encoding: \x0bchunked", body=_HELLO), (400, 501)),
    ("chunks in HTTP/1.0 are refused", _framed(_CHUNKED, body=_HELLO, version=b"HTTP/1.0"), (400,)),
):
    FRAMING.add(_what, is_refused(_sent, *_answers))

for _what, _body in (
    ("a chunk size that is no number is refused", b"xyz\r\nhello\r\n" + _LAST),
    ("a chunk size with a sign is refused", b"+5\r\nhello\r\n" + _LAST),
    ("a chunk size beyond all bounds is refused", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n" + _LAST),
    ("a chunk longer than its size is refused", b"5\r\nhello!\r\n" + _LAST),
    ("a chunk size line without CR is refused", b"5\nhello\r\n" + _LAST),
):
    FRAMING.add(_what, is_not_completed(_framed(_CHUNKED, body=_body), 400))

HEADS = Group("refused heads", "RFC 9112 sections 2.2, 3, 5.1 and 5.2, RFC 9110 sections 5.5 and 7.2, RFC 6585")


def _fields(*fields: bytes) -> Request:
    return lambda lane: head(lane.line(), HOST, *fields)


def _line(method: bytes = b"GET", rest: bytes = b"", version: bytes = b"HTTP/1.1") -> Request:
    return lambda lane: head(lane.line(method, rest, version), HOST)


def _absolute(lane: Lane) -> bytes:
    return head(b"GET http://vkp.example%s HTTP/1.1" % lane.target(), HOST)


def _connect(lane: Lane) -> bytes:
    return head(b"CONNECT vkp.example:443 HTTP/1.1", b"Host: vkp.example:443", b"X-Check: " + lane.mark)


for _name, _request, _statuses in (
    ("a folded value is refused", _fields(b"X-Fold: a\r\n b"), (400,)),
    ("a folded first field is refused", lambda lane: head(lane.line(), b" X-A: 1", HOST), (400,)),
    ("a blank before the colon is refused", _fields(b"X-A : 1"), (400,)),
    ("line ends without CR are refused", lambda lane: _fields(b"X-A: 1")(lane).replace(b"\r\n", b"\n"), (400,)),
    ("one line end without CR is refused", _fields(b"X-A: 1\nX-B: 2"), (400,)),
    ("a CR alone in a value is refused", _fields(b"X-A: 1\rX-B: 2"), (400,)),
    ("a control byte in a value is refused", _fields(b"X-A: a\x01b"), (400,)),
    ("NUL in a value is refused", _fields(b"X-A: a\x00b"), (400,)),
    ("DEL in a value is refused", _fields(b"X-A: a\x7fb"), (400,)),
    ("a name with other than token letters is refused", _fields(b"X(A): 1"), (400,)),
    ("a name with a byte outside ASCII is refused", _fields(b"X-S\xf8r: 1"), (400,)),
    ("an empty name is refused", _fields(b": 1"), (400,)),
    ("a line without a colon is refused", _fields(b"X-A"), (400,)),
    ("two Hosts are refused", _fields(b"Host: other.example"), (400,)),
    ("no Host is refused", lambda lane: head(lane.line(), b"X-A: 1"), (400,)),
    ("a method with other than token letters is refused", _line(b"GE{T"), (400, 501)),
    ("a method with a control byte is refused", _line(b"G\x01T"), (400, 501)),
    ("a target with a blank is refused", _line(rest=b"/a b"), (400, 505)),
    ("a target with a control byte is refused", _line(rest=b"/a\x01b"), (400,)),
    ("a target in absolute form is refused", _absolute, (400,)),
    ("CONNECT is refused", _connect, (400, 405, 501)),
    ("HTTP/2.0 is refused", _line(version=b"HTTP/2.0"), (400, 505)),
    ("a version that is none is refused", _line(version=b"HTTP/1.1x"), (400, 505)),
    ("a target beyond 16 kB is refused", _line(rest=b"/" + b"a" * 17_000), (414,)),
    ("a head beyond 64 kB is refused", _fields(b"X-A: " + b"a" * 66_000), (431,)),
    ("more than 200 fields are refused", _fields(*(b"X-%d: 1" % number for number in range(210))), (431,)),
):
    HEADS.add(_name, is_refused(_request, *_statuses))
