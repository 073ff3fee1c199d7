"""A copy that takes another way than the first: another node, another form, or the other side of the migration."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from gateway.pipeline.content import LARGE
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import (
    HOLD,
    alarm,
    assert_success,
    jft_of,
    restart,
    rows,
    states,
    until_states,
    until_written,
)
from tests.gateway.pipeline.stu3_sender import body_of, read
from tests.gateway.pipeline.stu3_sender import post as post_stu3
from tests.gateway.world import NORDFJELL, ROUTES, World, another, message
from tests.ports import free_ports
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock

BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
STAYS = """\
  - {mode: legacy}
  - {municipality: havnes, information: [journaling], mode: new}
  - {municipality: havnes, information: [retrieval], mode: closed, text: Stengt.}
"""
NEW = ROUTES + "  - {municipality: nordfjell, information: [varsel], mode: new}\n"


@pytest.fixture
async def beside(begin: Callable[..., Awaitable[World]], postgres: str) -> AsyncIterator[tuple[World, World]]:
    """Start two nodes that share a database and JFT, each on ports of its own."""
    first = await begin(HOLD, top=f'store: "{postgres}"')
    folder = first.folder / "second"
    shutil.copytree(first.folder / "var", folder / "var")
    shutil.copy(first.folder / "key.json", folder)
    data, admin = free_ports(2)
    settings = {**first.settings, "data": data, "admin": admin}
    second = World(
        folder,
        data,
        first.helseid,
        first.vkp,
        first.jft,
        first.logged,
        settings,
        admin,
        clock=first.clock,
        intervals=first.intervals,
    )
    second.write()
    await second.serve()
    yield first, second
    await second.stop()


async def test_copy_at_another_node_gets_the_first_receipt(beside: tuple[World, World]) -> None:
    """Nodes share what was delivered."""
    one, other = beside
    body = alarm()
    first = await one.post("bundle", body)
    assert_success(first)
    assert (await other.post("bundle", body)).body == first.body
    assert jft_of(one).asked == 1


async def test_copy_at_another_node_waits_while_the_first_is_in_flight(beside: tuple[World, World]) -> None:
    """It is not sent beside the first, and told the same."""
    one, other = beside
    jft, body = jft_of(one), alarm()
    jft.open.clear()
    first = asyncio.get_running_loop().create_task(one.post("bundle", body))
    await until(lambda: jft.asked == 1)
    copy = asyncio.get_running_loop().create_task(other.post("bundle", body))
    await until(lambda: bool(other.gateway._server._tasks))
    for _ in range(3):
        await rows(other)
    assert not copy.done()
    jft.open.set()
    assert_success(await first)
    assert (await first).body == (await copy).body
    assert jft.asked == 1


@pytest.mark.slow
async def test_held_messages_are_delivered_once_by_two_nodes(beside: tuple[World, World], clock: Clock) -> None:
    """Whichever is quicker, each message goes once and each patient's in order."""
    one, other = beside
    await one.jft.stop()
    for number in range(6):
        assert_success(await (one, other)[number % 2].post("bundle", alarm(number)))
    await one.jft.start()
    clock.now += 2
    await until_states(one, *["delivered"] * 6)
    assert [f"Alarm {number}." in event.body for number, event in enumerate(one.delivered)] == [True] * 6


@pytest.mark.parametrize(("first", "second"), [("xml", "json"), ("json", "xml")])
async def test_xml_and_json_are_one_message(begin: Callable[..., Awaitable[World]], first: str, second: str) -> None:
    """Each is answered in its own form, with the same reference, and one event is delivered."""
    world = await begin()
    answers = [await post_stu3(world, body_of(f"dispensed.{form}")) for form in (first, second)]
    trees = [read(answer, form) for answer, form in zip(answers, (first, second), strict=True)]
    assert [answer.status for answer in answers] == [200, 200]
    first_told, second_told = (header and header["response"] for _, header in trees)
    assert first_told == second_told
    assert len(world.delivered) == 1
    assert [one["outcome"] for one in world.logged.named("message")] == ["accepted", "duplicate"]


async def test_stu3_copy_gets_the_first_receipt_whole(begin: Callable[..., Awaitable[World]]) -> None:
    """Byte for byte: ids and times of the answer are the first one's too."""
    world = await begin()
    first, second = [await post_stu3(world, body_of("dispensed.xml")) for _ in range(2)]
    assert first.body == second.body


@pytest.mark.parametrize("more", [b"", b" " * LARGE], ids=["small", "large"])
async def test_copy_of_what_vkp_had_is_not_delivered_after_the_change(
    begin: Callable[..., Awaitable[World]], more: bytes
) -> None:
    """Where a municipality moves, what VKP took is known: the sender gets its receipt, the record nothing twice."""
    world = await begin(body="1MB")
    world.gateway._built_by().worker._process = None
    body = alarm() + more
    assert (await world.post(BUNDLE, body)).status == 200
    (row,) = await until_states(world, "passed")
    assert (row.status, row.payload, row.patient) == (200, None, None)
    world.write(routes=NEW)
    assert (await world.gateway.reload()).taken
    answer = await world.post(BUNDLE, body)
    assert_success(answer)
    assert row.reference in answer.json["issue"][0]["diagnostics"]
    assert row.reference == world.named_messages("passed")[0]["correlation_id"]
    assert (len(world.vkp.received), len(world.jft.received)) == (1, 0)
    assert_success(await world.post(BUNDLE, alarm()))
    assert len(world.delivered) == 1


async def test_message_that_vkp_refused_is_delivered_after_the_change(begin: Callable[..., Awaitable[World]]) -> None:
    """VKP has it not, so the new side takes it."""
    world = await begin()
    body = alarm()
    world.vkp.behave(Behaviour(status=503))
    assert (await world.post(BUNDLE, body)).status == 503
    await restart(world)
    assert await rows(world) == []
    world.write(routes=NEW)
    assert (await world.gateway.reload()).taken
    assert_success(await world.post(BUNDLE, body))
    assert len(world.delivered) == 1


@pytest.mark.parametrize("routes", [ROUTES, STAYS], ids=["moves", "stays"])
async def test_every_copy_goes_to_vkp_where_vkp_answers(begin: Callable[..., Awaitable[World]], routes: str) -> None:
    """Byte for byte, whether the municipality moves or not: what VKP does with a copy is VKP's."""
    world = await begin(routes=routes)
    body = alarm()
    answers = [await world.post(BUNDLE, body) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert [one.sha256 for one in world.vkp.received] == [hashlib.sha256(body).hexdigest()] * 3
    assert not world.jft.received
    assert [one["outcome"] for one in world.logged.named("message")] == ["passed"] * 3


async def test_nothing_is_kept_of_a_municipality_that_stays(begin: Callable[..., Awaitable[World]]) -> None:
    """Where nothing is or will be new, the ledger has no line of any message."""
    world = await begin(routes=STAYS)
    assert (await world.post(BUNDLE, alarm())).status == 200
    assert_success(await world.post("bundle", alarm()))
    assert [row.municipality for row in await rows(world)] == ["havnes"]


async def test_copy_of_what_was_delivered_goes_to_vkp_after_the_way_back(
    begin: Callable[..., Awaitable[World]],
) -> None:
    """Mode legacy knows no copies; the first stays delivered in the ledger."""
    world = await begin(routes=NEW)
    body = alarm()
    assert_success(await world.post(BUNDLE, body))
    world.write(routes=ROUTES)
    assert (await world.gateway.reload()).taken
    assert (await world.post(BUNDLE, body)).status == 200
    assert (len(world.vkp.received), len(world.delivered)) == (1, 1)
    assert await states(world) == ["delivered"]


async def test_messages_that_pass_at_once_are_all_noted(
    begin: Callable[..., Awaitable[World]],
) -> None:
    """Nobody waits for the note, and none gets lost."""
    world = await begin()
    bodies = [another(message("alarm-follow-up")) for _ in range(8)]
    answers = await asyncio.gather(*(world.post(BUNDLE, body) for body in bodies))
    assert [answer.status for answer in answers] == [200] * 8
    await until_written(world, lambda found: [row.state for row in found] == ["passed"] * 8)
    assert not world.jft.received
