"""Files on which a reader waits for ever: a reload is refused, the gateway serves on, and a stop waits for none of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.files import contents
from gateway.runtime import node
from gateway.tasks import FileThread
from tests.gateway.served import Served
from tests.gateway.world import HAVNES, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

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
    async with asyncio.timeout(120):
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
    monkeypatch.setattr(node, "load", lambda _: hanging.wait(60))
    async with asyncio.timeout(120):
        for _ in range(2):
            assert "does not answer" in (await world.gateway.reload()).problems[0]
        await world.gateway._look()
        await world.gateway._look()
        assert len(world.logged.named("files.unanswered")) == 1
        assert (await world.post(f"/epj/r4/{HAVNES}/composition", message("note"))).status == 200
        (thread,) = [each for each in threading.enumerate() if each.name == "files"]
        assert thread.daemon
        monkeypatch.setattr(node, "load", load)
        world.gateway._files._patience = 120.0
        hanging.set()
        await asyncio.to_thread(thread.join)
        assert (await world.gateway.reload()).taken


class Mount:
    """The file system of a world, which hangs at one step of reading the files that a configuration names."""

    def __init__(self, folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """`kind` says at which of the calls: `open`, `read` or `stat`."""
        self.steps = 0
        self.hangs_at = 0
        self.reached = threading.Event()
        self.go = threading.Event()
        self._folder = folder
        self._kind = kind
        self._fdopen, self._open, self._stat = os.fdopen, os.open, os.stat
        for name in ("open", "fdopen", "stat"):
            monkeypatch.setattr(os, name, getattr(self, name))

    def open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        """Open a file, or hang."""
        if flags & os.O_NONBLOCK:
            self._step("open", path)
        return self._open(path, flags, *rest, **more)

    def fdopen(self, descriptor: int, mode: str = "r", *rest: Any, **more: Any) -> Any:
        """Return what a file is read from, or hang: nothing else is done with it."""
        if mode == "rb":
            self._step("read", f"{self._folder}/routes.yaml")
        return self._fdopen(descriptor, mode, *rest, **more)

    def stat(self, path: Any, *rest: Any, **more: Any) -> os.stat_result:
        """Look at a file, or hang."""
        self._step("stat", path)
        return self._stat(path, *rest, **more)

    def _step(self, kind: str, path: Any) -> None:
        if kind != self._kind or not str(path).startswith(str(self._folder)) or Path(path).suffix not in _CONFIGURED:
            return
        self.steps += 1
        if self.steps == self.hangs_at:
            self.reached.set()
            assert self.go.wait(60), "the event loop waits for a file"


class Patience:
    """With files: it ends when it is told to, and not by a clock."""

    def __call__(self, _seconds: float) -> asyncio.Timeout:
        """Begin with a work."""
        self._of = asyncio.timeout(None)
        return self._of

    def end(self) -> None:
        """Wait no longer for the work that was begun last."""
        self._of.reschedule(asyncio.get_running_loop().time())


_CONFIGURED = {".yaml", ".json", ".pem", ".key"}


@pytest.mark.parametrize("kind", ["open", "read", "stat"])
async def test_a_mount_that_hangs_at_any_step_of_a_reload_blocks_nobody(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reload tells it, or was done already; messages go on, and the next reload works when the mount does."""
    mount, patience = Mount(world.folder, kind, monkeypatch), Patience()
    await world.gateway._looking.stop()
    world.gateway._files = FileThread(0.0, patience)
    assert (await world.gateway.reload()).taken
    steps = mount.steps
    assert steps >= 3
    async with asyncio.timeout(240):
        for step in range(1, steps + 1):
            mount.steps, mount.hangs_at = 0, step
            reload = asyncio.get_running_loop().create_task(world.gateway.reload())
            assert await asyncio.to_thread(mount.reached.wait, 60)
            patience.end()
            told = await reload
            assert told.taken or "does not answer" in told.problems[0]
            assert (await world.post(f"/epj/r4/{HAVNES}/composition", message("note"))).status == 200
            mount.go.set()
            mount.hangs_at = 0
            assert (await world.gateway.reload()).taken
            mount.go.clear()
            mount.reached.clear()


_HANGING = """
import os, sys, time
from functools import partial
from pathlib import Path
from gateway.cli import serve
from gateway.cli.main import main
from gateway.runtime.node import Node
from gateway.tasks import Intervals

def opened(path, *rest, **more):
    while Path(path).name == "key.json" and Path(path).with_suffix(".hangs").exists():
        time.sleep(60)
    return real(path, *rest, **more)

real, os.open = os.open, opened
serve.Node = partial(Node, intervals=Intervals(file_patience=5.0))
main(["serve", "--config", sys.argv[1]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_told", [True, False])
async def test_a_process_ends_while_a_mount_hangs(start: Callable[..., Awaitable[World]], is_told: bool) -> None:
    """On SIGTERM, with exit 0, whether the reload that hangs was given up already or not."""
    world = await start(serve=False)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HANGING, str(world.config), stderr=asyncio.subprocess.PIPE
    )
    running = Served(process, world)
    await running.until("gateway.started")
    (world.folder / "key.hangs").touch()
    process.send_signal(signal.SIGHUP)
    if is_told:
        assert any("does not answer" in problem for problem in (await running.until("reload.refused"))["problems"])
    process.terminate()
    await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0


async def test_a_stop_waits_for_no_file(
    world: World, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a reload is in the middle of one that may take for ever."""
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def load(_: str) -> object:
        loop.call_soon_threadsafe(began.set)
        return hanging.wait(60)

    monkeypatch.setattr(node, "load", load)
    async with asyncio.timeout(120):
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
