"""A configuration that changes by itself, and a start while the file has an error."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.tasks import Intervals
from tests.gateway.world import NORDFJELL, ROUTES, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

PATH = f"/epj/r4/{NORDFJELL}/composition"
CLOSED = ROUTES.replace("  - {mode: legacy}\n", '  - {mode: closed, text: "Stengt."}\n')


@pytest.fixture
def intervals() -> Intervals:
    """Let the file be looked at often."""
    return Intervals(files=0.02)


async def told(world: World, event: str) -> None:
    """Wait until an event has been logged."""
    await until(lambda: world.logged.named(event))


async def test_changed_file_is_taken_without_being_told(world: World) -> None:
    """Whoever writes the file need not send a signal."""
    world.write(routes=CLOSED)
    await told(world, "reload.taken")
    world.assert_refused(await world.post(PATH, message("note")), 400, "1.2")


async def test_changed_file_with_an_error_is_told_once_and_changes_nothing(world: World) -> None:
    """It is looked at again when it changes again, and not before."""
    world.write(routes="  - {mode: legcay}\n")
    await told(world, "reload.refused")
    assert (await world.post(PATH, message("note"))).status == 200
    world.write(routes=CLOSED)
    await told(world, "reload.taken")
    assert len(world.logged.named("reload.refused")) == 1


async def test_file_that_is_being_written_waits_for_its_end(start: Callable[..., Awaitable[World]]) -> None:
    """What has come of it may be a file without errors, of which routes are missing: two looks must see the same."""
    world = await start(serve=False)
    await world.serve()
    try:
        world.gateway._looking._task.cancel()  # type: ignore[union-attr] # it is asked here
        world.logged.forget()
        for routes in (CLOSED, ROUTES + "# more to come\n", CLOSED):
            world.write(routes=routes)
            await world.gateway._look()
            assert not world.gateway._reloads
        await world.gateway._look()
        await asyncio.gather(*world.gateway._reloads)
        assert len(world.logged.named("reload.taken")) == 1
        world.assert_refused(await world.post(PATH, message("note")), 400, "1.2")
    finally:
        await world.stop()


async def test_why_no_copy_is_kept_is_told(world: World) -> None:
    """A full disk, or a folder that may not be written."""
    (world.folder / "var" / "last-good-routes.yaml").unlink()
    (world.folder / "var" / "last-good-routes.yaml").mkdir()
    world.write(routes=CLOSED)
    await told(world, "reload.not_remembered")
    assert world.logged.named("reload.not_remembered")[0]["reason"]


async def test_what_was_taken_is_kept_for_the_gateway_alone(world: World) -> None:
    """The copy is the file as it was taken, whatever is written later."""
    taken = world.config.read_bytes()
    world.write(routes="  - {mode: legcay}\n")
    await told(world, "reload.refused")
    kept = world.folder / "var" / "last-good-routes.yaml"
    assert kept.read_bytes() == taken
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.slow
@pytest.mark.parametrize("option", [(), ("--last-good",)], ids=["without", "last-good"])
async def test_start_while_the_file_has_an_error(
    start: Callable[..., Awaitable[World]], option: tuple[str, ...]
) -> None:
    """It is refused, unless the operator asks for what was taken last; then the log says what is wrong."""
    world = await start()
    await world.stop()
    world.write(routes="  - {mode: legcay}\n")
    command = (sys.executable, "-m", "gateway", "serve", "--config", str(world.config), *option)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            lines = []
            while line := await process.stderr.readline():
                lines.append(line.decode())
                if '"gateway.started"' in lines[-1]:
                    break
            if not option:
                assert await process.wait() == 2
                assert "legcay" in "".join(lines)
                return
        told = json.loads(lines[0])
        assert told["event"] == "serve.last_good"
        assert any("legcay" in problem for problem in told["problems"])
        assert (await world.post(PATH, message("note"))).status == 200
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), 120)
