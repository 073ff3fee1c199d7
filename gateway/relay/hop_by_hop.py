"""Fields that belong to one connection and are never sent on (RFC 9110 section 7.6.1)."""

from gateway.model import Headers

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def end_to_end(headers: Headers) -> Headers:
    """Return the fields for the next connection: without hop-by-hop ones and those that Connection lists."""
    listed = {
        option.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for option in value.split(b",")
    }
    dropped = _HOP_BY_HOP | listed - {b"host", b"content-length"}
    return tuple((name, value) for name, value in headers if name.lower() not in dropped)
