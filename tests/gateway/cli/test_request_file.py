"""Requests from files: whatever an editor left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.explain_request import read_request

if TYPE_CHECKING:
    from pathlib import Path


@given(st.binary(max_size=200))
def test_any_file_is_a_request_or_wrong_use(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing but a named mistake comes of a file of any bytes."""
    path = tmp_path_factory.getbasetemp() / "any.http"
    path.write_bytes(data)
    try:
        head, _ = read_request(path)
    except click.BadParameter:
        return
    assert head.method is not None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_body_is_everything_after_the_first_blank_line(tmp_path: Path, end: str) -> None:
    """Blank lines and other line ends inside the body stay in it."""
    body = b"a\n\nb\r\n\r\nc"
    path = tmp_path / "one.http"
    path.write_bytes(f"POST /x?y HTTP/1.1{end}Host: h{end}x:  y {end}{end}".encode() + body)
    head, whole = read_request(path)
    assert (head.method, head.target, head.headers) == ("POST", "/x?y", ((b"Host", b"h"), (b"x", b"y")))
    assert await whole.read(100) == body
    assert await whole.read(5) is None
