"""Heads that two readers could understand differently are refused before anything reaches the upstream."""

from gateway.doctor.checks.refusing import Request, is_refused
from gateway.doctor.flow import head
from gateway.doctor.group import Group
from gateway.doctor.lane import HOST, Lane

GROUP = Group("refused heads", "RFC 9112 sections 2.2, 3, 5.1 and 5.2, RFC 9110 sections 5.5 and 7.2, RFC 6585")


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
    GROUP.add(_name, is_refused(_request, *_statuses))
