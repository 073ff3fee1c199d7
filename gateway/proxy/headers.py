"""Heads on the wire: which fields pass from one connection to the next, and how a head is written."""

from enum import Enum
from http import HTTPStatus

from gateway.config.upstreams import Forwarded, VkpUpstream
from gateway.model import Headers, RequestHead

MAX_HEAD = 65_536
"""Bytes of a head, request line included."""
MAX_TARGET = 16_384
"""Bytes of a request target."""
MAX_FIELDS = 200

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

# RFC 9110 section 7.6.1; Proxy-* are for the proxy that they were meant for, not for the one behind it.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
_HOP_BY_HOP_BUT_CODING = _HOP_BY_HOP - {b"transfer-encoding"}
_NEVER_LISTED = frozenset({b"host", b"content-length", b"transfer-encoding", b"authorization", b"date"})
"""Fields that Connection may not take away: framing, addressing, and what a sender cannot have meant."""
_USUAL = frozenset({b"keep-alive", b"Keep-Alive"})
"""What Connection says nearly always: it takes away nothing that would not be dropped without it."""


class Framing(Enum):
    """How the end of a body is known (RFC 9112 section 6.3)."""

    NONE = "no body"
    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until the connection closes"


def canonical(headers: Headers, framing: Framing, length: int, written: list[bytes]) -> Headers:
    """Return a head's fields with those that frame its body in their one usual form (RFC 9112 section 6).

    A server behind may read `0120` or `Chunked` in another way than llhttp does, or not at all. `written` are these fields'
    values as they came; where they have that form, nothing changes.
    """
    name, value = _CODING if framing is Framing.CHUNKED else (b"content-length", b"%d" % length)
    if written.count(value) == len(written):
        return headers
    return tuple((each, value if each.lower() == name else given) for each, given in headers)


_CODING = (b"transfer-encoding", b"chunked")


def end_to_end(headers: Headers, framing: Framing) -> list[tuple[bytes, bytes]]:
    """Return the fields that go on: in order, as they were written, without those of this connection only.

    `Transfer-Encoding: chunked` keeps its place when the body goes on chunked.
    """
    dropped = _HOP_BY_HOP if framing is not Framing.CHUNKED else _HOP_BY_HOP_BUT_CODING
    names = [name.lower() for name, _ in headers]
    if dropped.isdisjoint(names):
        return list(headers)
    if b"connection" in names:
        for name, (_, value) in zip(names, headers, strict=True):
            if name == b"connection" and value not in _USUAL:
                dropped = dropped | _listed(value)
    return [field for name, field in zip(names, headers, strict=True) if name not in dropped]


def request_head(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    """Write a request's head."""
    return b"".join([method, b" ", target, b" HTTP/1.1\r\n", *_lines(fields), b"\r\n"])


def response_head(status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    """Write a response's head."""
    return b"".join([b"HTTP/1.1 %d " % status, reason, b"\r\n", *_lines(fields), b"\r\n"])


def chunk(data: bytes) -> bytes:
    """Write one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Headers) -> bytes:
    """Write the end of a chunked body, with its trailers."""
    return b"".join([b"0\r\n", *_lines(list(trailers)), b"\r\n"]) if trailers else LAST_CHUNK


def _lines(fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [name + b": " + value + b"\r\n" for name, value in fields]


def _listed(connection: bytes) -> frozenset[bytes]:
    return frozenset(option.strip().lower() for option in connection.split(b",")) - _NEVER_LISTED


def reason_of(status: int) -> bytes:
    """Return the usual reason phrase for a status of our own."""
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


VIA = (b"Via", b"1.1 vkp-gateway")


def forwarding(
    upstream: VkpUpstream, peer: str, head: RequestHead, scheme: bytes = b"http"
) -> list[tuple[bytes, bytes]]:
    """Return the fields to add to a request: Via (RFC 9110 section 7.6.3), and the sender's address and Host.

    They come after what the sender wrote; with several lines of a list, the last is this gateway's.
    """
    fields = [VIA] if upstream.via else []
    host = next(iter(head.values(b"host")), b"")
    address = peer.encode("ascii", "replace")
    if upstream.forwarded is Forwarded.X_FORWARDED:
        fields += [
            (b"X-Forwarded-For", address),
            (b"X-Forwarded-Host", host),
            (b"X-Forwarded-Proto", scheme),
        ]
    elif upstream.forwarded is Forwarded.FORWARDED:
        node = b'"[%b]"' % address if b":" in address else address
        quoted = host.replace(b'"', b'\\"')  # a backslash is no part of a Host that is accepted
        fields.append((b"Forwarded", b'for=%b;host="%b";proto=%b' % (node, quoted, scheme)))
    return fields
