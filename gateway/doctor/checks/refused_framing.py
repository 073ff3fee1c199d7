"""Bodies whose end two readers could find at different places are refused: that is how requests are smuggled."""

from gateway.doctor.checks.refusing import Request, is_not_completed, is_refused
from gateway.doctor.flow import head
from gateway.doctor.group import Group
from gateway.doctor.lane import HOST, Lane

GROUP = Group("refused framing", "RFC 9112 sections 6.1, 6.3, 7.1 and 11.2, RFC 9110 section 8.6")


def _framed(*fields: bytes, body: bytes = b"hello", version: bytes = b"HTTP/1.1") -> Request:
    """Return a POST that is followed by another request, which must not be found in it."""

    def request(lane: Lane) -> bytes:
        smuggled = head(lane.line(rest=b"/smuggled"), HOST)
        return head(lane.line(b"POST", version=version), HOST, *fields) + body + smuggled

    return request


_CHUNKED = b"Transfer-Encoding: chunked"
_LAST = b"0\r\n\r\n"
_HELLO = b"5\r\nhello\r\n" + _LAST

for _name, _request, _statuses in (
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
    GROUP.add(_name, is_refused(_request, *_statuses))

for _name, _body in (
    ("a chunk size that is no number is refused", b"xyz\r\nhello\r\n" + _LAST),
    ("a chunk size with a sign is refused", b"+5\r\nhello\r\n" + _LAST),
    ("a chunk size beyond all bounds is refused", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n" + _LAST),
    ("a chunk longer than its size is refused", b"5\r\nhello!\r\n" + _LAST),
    ("a chunk size line without CR is refused", b"5\nhello\r\n" + _LAST),
):
    GROUP.add(_name, is_not_completed(_framed(_CHUNKED, body=_body), 400))
