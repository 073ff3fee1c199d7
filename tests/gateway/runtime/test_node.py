"""A configuration replaced while messages are under way: whole or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.config.load import load
from gateway.errors import StartupError
from gateway.observability import metrics
from gateway.runtime.node import Node
from tests.gateway.world import HAVNES, NORDFJELL, ROUTES, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World

CLOSED = ROUTES.replace("  - {mode: legacy}\n", '  - {mode: closed, text: "Stengt."}\n')


def reloads(result: str) -> float:
    """Return how many reloads ended so."""
    return metrics.REGISTRY.get_sample_value("vkp_gateway_reloads_total", {"result": result}) or 0.0


async def test_message_under_way_keeps_its_configuration(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """What was decided before a reload is done as decided; the next message follows the new routes."""
    world = await start(vkp=raw_upstream)
    arrived, released = raw_upstream.hold()
    path = f"/epj/r4/{NORDFJELL}/composition"
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(world.post(path, message("note")))
        await asyncio.wait_for(arrived.wait(), 120)
        world.write(routes=CLOSED)
        assert (await world.gateway.reload()).taken
        assert (await world.post(path, message("note"))).code == "1.2"
        released.set()
    assert sending.result().body == b"ok"


@pytest.mark.parametrize(
    "changes",
    [
        {"routes": "  - {mode: legcay}\n"},
        {"vkp": "ftp://x"},
        {"top": "unknown: 1"},
        {"helseid": ", key_file: other.json"},
    ],
    ids=str,
)
async def test_bad_file_changes_nothing(world: World, changes: dict[str, str]) -> None:
    """Every message goes on as before, and the refusal is counted and logged with its reasons."""
    before = reloads("refused")
    world.write(**changes)
    await world.gateway.reload()
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))).status == 200
    assert reloads("refused") == before + 1
    assert world.logged.named("reload.refused")[0]["problems"]


async def test_unreadable_file_changes_nothing(world: World) -> None:
    """A file that is gone is no configuration either."""
    world.config.unlink()
    assert not (await world.gateway.reload()).taken
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))).status == 200


async def test_reload_keeps_the_keys_of_helseid(world: World) -> None:
    """Senders' tokens are judged on while HelseID is away, also across a reload."""
    assert (await world.post("bundle", message("alarm-follow-up"))).status == 200
    await world.helseid.stop()
    await world.gateway.reload()
    answer = await world.post(f"/epj/r4/{HAVNES}/bundle", message("alarm-follow-up"), token=world.token(scopes=[]))
    assert (answer.status, answer.code) == (403, "1.2")


async def test_reload_follows_a_new_upstream(world: World, start: Callable[..., Awaitable[World]]) -> None:
    """The next message goes to the server that the new file names."""
    other = await start(serve=False)
    world.write(vkp=other.vkp.url)
    await world.gateway.reload()
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))).status in {200, 401}
    assert (len(world.vkp.received), len(other.vkp.received)) == (0, 1)


async def test_changed_port_is_said_to_need_a_restart(world: World) -> None:
    """The old one stays open, and the log says why."""
    world.write(admin=1)
    await world.gateway.reload()
    assert world.logged.named("reload.listen_needs_restart")
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))).status == 200


async def test_start_that_fails_leaves_nothing_open(start: Callable[..., Awaitable[World]]) -> None:
    """Without its key the gateway does not listen, and can be stopped again."""
    world = await start(serve=False)
    (world.folder / "key.json").unlink()
    loaded = load(str(world.config))
    assert loaded.config is not None
    assert loaded.table is not None
    gateway = Node(str(world.config), loaded.config, loaded.table)
    with pytest.raises(StartupError):
        await gateway.start()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", world.data_port)
