"""A defect of our own: the sender hears that it got no answer, at once, and the next one is served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.pipeline.pipeline import Pipeline
from tests.gateway.world import message

if TYPE_CHECKING:
    from tests.gateway.world import World


@pytest.mark.parametrize("where", ["begin", "handle"])
async def test_a_request_that_cannot_be_answered_ends_its_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Neither a wait without end nor half an answer; the log tells."""

    def broken(*_: object) -> None:
        raise RuntimeError

    async def broken_later(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Pipeline, where, broken if where == "begin" else broken_later)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(world.request("/epj/r4/315058384/composition", message("note")))
    try:
        assert await asyncio.wait_for(reader.read(), 120) == b""
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    assert world.logged.named("proxy.defect")
    monkeypatch.undo()
    assert (await world.post("composition", message("note"))).status == 200
