"""A sender learns nothing from a connection that was not made."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.messages import HOLDS, Message
from tests.chaos.senders import Line, attempt


@pytest.mark.parametrize("kind", [ConnectionRefusedError, ConnectionResetError])
async def test_connection_that_is_not_made_is_tried_again_and_nothing_is_unclear(
    monkeypatch: pytest.MonkeyPatch, kind: type[OSError]
) -> None:
    """Nobody listens, or the node was killed with the connection in its queue: no request was sent."""

    async def open_connection(*_address: object) -> None:
        raise kind

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    message = Message("one", HOLDS, 0, b"")
    assert await attempt(message, b"", Line(1)) is None
    assert (message.unclear, message.refusals) == (0, 0)
