"""What an answer says whose server has compressed it (RFC 9110, 8.4): it passes as it is, and is read afterwards."""

import zlib
from collections.abc import Sequence

from gateway.model import Headers

_FIELD = b"content-encoding"
_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""How zlib is told which of its two formats it is (zlib, inflateInit2)."""


def codings_of(headers: Headers) -> tuple[bytes, ...]:
    """Return what was done to the content, in its order, in lower case."""
    found = (each.strip().lower() for name, value in headers if name.lower() == _FIELD for each in value.split(b","))
    return tuple(one for one in found if one and one != b"identity")


def decoded(content: bytes, codings: Sequence[bytes], most: int) -> bytes:
    """Return content as it was before its server compressed it once.

    It stays as it is where it cannot be told, or would have more than `most` bytes: nobody can read it then.
    """
    if len(codings) != 1 or (window := _WINDOWS.get(codings[0])) is None:
        return content
    inflating = zlib.decompressobj(window)
    try:
        plain = inflating.decompress(content, most + 1)
    except zlib.error:
        return content
    return plain if inflating.eof and len(plain) <= most else content
