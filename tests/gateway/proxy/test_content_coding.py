"""A compressed answer as it is read afterwards: what it says, never more than the limit, and as it is where nobody can tell."""

from __future__ import annotations

import gzip
import zlib

import pytest

from gateway.proxy.content_coding import codings_of, decoded

SAID = b"what VKP said " * 50


@pytest.mark.parametrize(
    ("fields", "content", "expected"),
    [
        ([], SAID, SAID),
        ([b"identity"], SAID, SAID),
        ([b"gzip"], gzip.compress(SAID), SAID),
        ([b" X-GZIP , identity"], gzip.compress(SAID), SAID),
        ([b"deflate"], zlib.compress(SAID), SAID),
        ([b"gzip"], SAID, SAID),
        ([b"gzip"], gzip.compress(SAID)[:-9], gzip.compress(SAID)[:-9]),
        ([b"br"], b"x", b"x"),
        ([b"gzip", b"gzip"], gzip.compress(gzip.compress(SAID)), gzip.compress(gzip.compress(SAID))),
    ],
    ids=["plain", "identity", "gzip", "letter case", "deflate", "not so", "cut off", "unknown", "twice"],
)
def test_answer_is_what_its_fields_say(fields: list[bytes], content: bytes, expected: bytes) -> None:
    """Fields of one name are one list (RFC 9110, 5.3)."""
    headers = tuple((b"Content-Encoding", one) for one in fields)
    assert decoded(content, codings_of(headers), len(SAID)) == expected


def test_bomb_is_not_unpacked() -> None:
    """Of a thousand times its size no more than the limit is made, and it stays as it is."""
    bomb = gzip.compress(b"0" * 10_000_000)
    assert decoded(bomb, (b"gzip",), 100_000) == bomb
