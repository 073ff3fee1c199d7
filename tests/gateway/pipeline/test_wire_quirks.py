"""Requests as senders write them, each a file: what VKP takes, the gateway takes, on either lane."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway.world import World

REQUESTS = sorted((Path(__file__).parent / "requests").glob("*.http"))


def _bytes(path: Path, token: str) -> bytes:
    """Return a request with line ends as on the wire, and a length where it has a body and says none."""
    head, _, body = path.read_text(encoding="utf-8").replace("TOKEN", token).partition("\n\n")
    body = body.rstrip("\n")
    if body:
        head += f"\nContent-Length: {len(body.encode())}"
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body.encode()


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
async def test_a_request_that_vkp_takes_is_taken(world: World, path: Path) -> None:
    """Neither Content-Type nor Accept decides anything: 200, and exactly one side has it."""
    assert (await world.send(_bytes(path, world.token()))).status == 200
    assert len(world.delivered) + len(world.vkp.received) == 1
