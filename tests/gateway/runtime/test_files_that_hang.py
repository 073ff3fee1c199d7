"""Files on which a reader waits for ever: a reload is refused, the gateway serves on, and a stop waits for none of them."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from gateway.files import contents
from gateway.runtime import node
from gateway.tasks import FileThread
from tests.gateway.world import HAVNES, message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.gateway.world import World


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Let a thread hang until the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("name", ["routes.yaml", "key.json"])
async def test_a_pipe_in_the_place_of_a_file_refuses_the_reload(world: World, name: str) -> None:
    """Nobody waits for who might write into it, and the next reload finds the file that is there again."""
    path = world.folder / name
    before = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    async with asyncio.timeout(30):
        refused = await world.gateway.reload()
        assert not refused.taken
        assert "not a file" in refused.problems[0]
        path.unlink()
        path.write_bytes(before)
        assert (await world.gateway.reload()).taken


async def test_a_mount_that_hangs_wedges_neither_reloads_nor_the_stop(
    world: World, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload says so, messages go on, and the process ends while the thread still hangs."""
    world.gateway._files = FileThread(0.05)
    load = node.load
    monkeypatch.setattr(node, "load", lambda _: hanging.wait())
    async with asyncio.timeout(30):
        for _ in range(2):
            assert "does not answer" in (await world.gateway.reload()).problems[0]
        await world.gateway._look()
        await world.gateway._look()
        assert len(world.logged.named("files.unanswered")) == 1
        assert (await world.post(f"/epj/r4/{HAVNES}/composition", message("note"))).status == 200
        (thread,) = [each for each in threading.enumerate() if each.name == "files"]
        assert thread.daemon
        monkeypatch.setattr(node, "load", load)
        hanging.set()
        await asyncio.to_thread(thread.join)
        assert (await world.gateway.reload()).taken


async def test_a_stop_waits_for_no_file(
    world: World, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a reload is in the middle of one that may take for ever."""
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def load(_: str) -> object:
        loop.call_soon_threadsafe(began.set)
        return hanging.wait()

    monkeypatch.setattr(node, "load", load)
    async with asyncio.timeout(30):
        world.gateway._reload_soon()
        await began.wait()
        await world.gateway.stop()


def test_more_than_a_file_may_have_is_not_read(tmp_path: Path) -> None:
    """One byte tells that there is more."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * 1000)
    assert len(contents(path, 100)) == 101
    assert len(contents(path, 1000)) == 1000
    with pytest.raises(OSError, match="not a file"):
        contents(tmp_path, 100)
    path.chmod(0o640)
    with pytest.raises(OSError, match="chmod 600"):
        contents(path, 1000, is_secret=True)
