"""Each message goes back once, whatever fails; and what a person sends alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.records import MessageState
from gateway.ledger.returns import UNCLEAR_AT_VKP, Returns, Selection
from gateway.outbox.return_jobs import Job, ReturnOutcome, Spacing, cells_of, may_be_sent_alone
from gateway.outbox.returns import Returner
from gateway.upstreams.vkp import Fate, Sent
from service_stubs.behaviour import Behaviour
from tests.gateway.return_scene import HAVNES_ALL, NOW, STILL_NEW

if TYPE_CHECKING:
    from tests.gateway.return_scene import Scene

from tests.gateway.outbox.returning.conftest import FAST, finished, send_back


def test_the_pace_is_even() -> None:
    """Whatever was slow is not caught up with."""
    pace = Spacing(5.0)
    assert [round(pace.wait(now), 3) for now in (10.0, 10.0, 10.1, 20.0, 20.0)] == [0, 0.2, 0.3, 0, 0.2]


async def test_stopping_the_gateway_lets_the_message_end(scene: Scene) -> None:
    """What is under way is sent to its end and written down."""
    first, second = await scene.delivered(), await scene.delivered()
    arrived, released = asyncio.Event(), asyncio.Event()
    client = scene.vkp_client
    assert client is not None
    send = client.send

    async def slow(*given: Any) -> Sent:
        arrived.set()
        await released.wait()
        return await send(*given)

    client.send = slow  # type: ignore[method-assign]
    returning = scene.returning()
    returning.begin(HAVNES_ALL, FAST)
    await arrived.wait()
    stopping = asyncio.get_running_loop().create_task(returning.stop(30.0))
    await asyncio.sleep(0)
    released.set()
    await stopping
    assert await scene.states(first, second) == ["returned", "delivered"]


async def test_what_was_cut_is_unclear_at_the_next_start(scene: Scene) -> None:
    """Nobody knows how far it came."""
    reference = await scene.delivered()
    client, arrived = scene.vkp_client, asyncio.Event()
    assert client is not None

    async def never(*_given: Any) -> Sent:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    client.send = never  # type: ignore[method-assign]
    returning = scene.returning()
    returning.begin(HAVNES_ALL, FAST)
    await arrived.wait()
    await returning.stop(0.0)
    assert await scene.states(reference) == ["returning"]
    await scene.returning("node-1").recover()
    item = await scene.item(reference)
    assert (item.state, item.reason) == (MessageState.QUARANTINED, UNCLEAR_AT_VKP)


async def test_a_defect_while_sending_is_unclear(scene: Scene) -> None:
    """A message may be with VKP as soon as anything may have been sent."""
    reference = await scene.delivered()
    assert scene.vkp_client is not None

    async def broken(*_given: Any) -> Sent:
        raise RuntimeError

    scene.vkp_client.send = broken  # type: ignore[method-assign]
    assert (await send_back(scene)).counts == {ReturnOutcome.UNCLEAR: 1}
    assert await scene.states(reference) == ["quarantined"]


async def test_what_vkp_took_is_written_down_when_the_ledger_is_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nothing else is sent."""
    first, second = await scene.delivered(), await scene.delivered()
    written, failures = Returns.returned, [LedgerUnavailable("SQLITE_FULL")] * 3

    async def failing(self: Returns, message: int, status: int | None) -> bool:
        if failures:
            assert len(scene.vkp.received) == 1
            raise failures.pop()
        return await written(self, message, status)

    monkeypatch.setattr(Returns, "returned", failing)
    await send_back(scene)
    assert await scene.states(first, second) == ["returned", "returned"]


async def test_what_was_taken_is_not_sent_once_others_may_take_it_for_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stood still, or the ledger took as long: a person may have sent it elsewhere by now."""
    reference, take = await scene.delivered(), Returns.take

    async def slow(self: Returns, *given: Any, **more: Any) -> Any:
        taken = await take(self, *given, **more)
        scene.clock.now += 60
        return taken

    monkeypatch.setattr(Returns, "take", slow)
    assert (await send_back(scene)).counts == {ReturnOutcome.NOT_DELIVERED: 1}
    assert (len(scene.vkp.received), await scene.states(reference)) == (0, ["delivered"])


async def test_what_is_known_of_vkps_answer_is_not_taken_for_unclear_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VKP did not take it, and the ledger could not be written until its time was over."""
    reference, returning = await scene.delivered(), scene.returning()
    scene.vkp.behave(Behaviour(status=503))
    written, failures = Returns.not_returned, [LedgerUnavailable("SQLITE_FULL")]

    async def failing(self: Returns, *given: Any, **more: Any) -> bool:
        if failures:
            raise failures.pop()
        scene.clock.now += 1000
        await returning.recover()
        return await written(self, *given, **more)

    monkeypatch.setattr(Returns, "not_returned", failing)
    await finished(returning, returning.begin(HAVNES_ALL, FAST))
    assert await scene.states(reference) == ["delivered"]


async def test_later_messages_wait_for_one_that_another_node_has_just_taken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not have come to VKP yet, and may not come at all."""
    first, second = await scene.delivered(patient="p"), await scene.delivered(patient="p")
    take, until = Returns.take, scene.clock() + 30
    another = Returns(Ledger(scene.store, "node-1", scene.clock), scene.clock)

    async def late(self: Returns, message: int, was: MessageState, **more: Any) -> Any:
        await take(another, (await scene.item(first)).id, MessageState.DELIVERED, until=until)
        return await take(self, message, was, **more)

    monkeypatch.setattr(Returns, "take", late)
    assert (await send_back(scene)).counts == {ReturnOutcome.CHANGED: 1, ReturnOutcome.AFTER_ANOTHER: 1}
    assert await scene.states(first, second) == ["returning", "delivered"]


# One by a person.


async def test_a_person_sends_what_was_read(scene: Scene) -> None:
    """It is asked for once more, and sent."""
    reference = await scene.delivered()
    scene.read(reference)
    await send_back(scene)
    item = await scene.item(reference)
    assert may_be_sent_alone(item) is None
    done = await scene.returning().send_one(item)
    assert (done.outcome, await scene.states(reference)) == (ReturnOutcome.RETURNED, ["returned"])
    assert (await scene.returning().send_one(item)).outcome is ReturnOutcome.CHANGED
    assert len(scene.taken) == 1


async def test_what_the_record_has_meanwhile_is_not_sent(scene: Scene) -> None:
    """Also where a person asks."""
    reference = await scene.delivered()
    scene.read(reference)
    await send_back(scene)
    scene.acknowledge(reference)
    done = await scene.returning().send_one(await scene.item(reference))
    assert (done.outcome, await scene.states(reference)) == (ReturnOutcome.ACKNOWLEDGED, ["acknowledged"])
    assert not scene.vkp.received


async def test_what_vkp_refuses_a_person_stays_read(scene: Scene) -> None:
    """And says why."""
    reference = await scene.delivered()
    scene.read(reference)
    await send_back(scene)
    scene.vkp.behave(Behaviour(status=400))
    done = await scene.returning().send_one(await scene.item(reference))
    item = await scene.item(reference)
    assert (done.outcome, item.state, item.reason) == (
        ReturnOutcome.REFUSED,
        MessageState.READ,
        "VKP refused it (400, 3)",
    )


async def test_a_person_sends_what_is_in_quarantine(scene: Scene) -> None:
    """Where JFT refused it, VKP may take it."""
    reference = await scene.held()
    (due,) = await scene.ledger.claim(1, until=NOW + 30)
    await scene.ledger.quarantined(due.id, "JFT refused the message")
    item = await scene.item(reference)
    assert may_be_sent_alone(item) is None
    assert (await scene.returning().send_one(item)).outcome is ReturnOutcome.RETURNED


async def test_the_rest_is_not_for_a_person(scene: Scene) -> None:
    """What is unread goes in bulk, what is done stays."""
    unread, held = await scene.delivered(), await scene.held()
    assert [may_be_sent_alone(await scene.item(each)) is None for each in (unread, held)] == [False, False]


# Cells.


async def test_cells_that_still_are_new_are_named(scene: Scene) -> None:
    """Of the selection, and no others."""
    scene.routes = STILL_NEW
    returning = scene.returning()
    new = "havnes, dignio, prevent, varsel"
    assert returning.still_new(HAVNES_ALL) == [new]
    assert returning.still_new(Selection("havnes", NOW, "dignio", "prevent", frozenset({"varsel"}))) == [new]
    assert not returning.still_new(Selection("havnes", NOW, "evondos"))
    assert not returning.still_new(Selection("havnes", NOW, information=frozenset({"notat"})))
    assert not returning.still_new(Selection("nordfjell", NOW))


async def test_a_vendor_that_is_configured_no_more_has_cells_too(scene: Scene) -> None:
    """Its messages are there still."""
    (cell,) = cells_of(Selection("havnes", NOW, "gone", None, frozenset({"notat"})), scene.means().config)
    assert (cell.vendor, cell.system, cell.information) == ("gone", None, "notat")


# Each at most once, whatever fails.


class Crash(BaseException):
    """The process is gone."""


MAY_HAVE = {Fate.ACCEPTED, Fate.UNCLEAR}
POINTS = ("before taking", "after taking", "after sending", "after writing")


@pytest.mark.slow
@pytest.mark.parametrize("state", ["delivered", "held"])
@pytest.mark.parametrize("fate", list(Fate))
@pytest.mark.parametrize("point", POINTS)
async def test_vkp_gets_each_once_wherever_the_process_ends(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, point: str, fate: Fate, state: str
) -> None:
    """After the crash two other processes are asked for the same: what VKP has, or may have, it never gets again."""
    reference = await (scene.held() if state == "held" else scene.delivered())
    sent: list[Fate] = []
    crashing = [True]

    def crash(at: str) -> None:
        if crashing and at == point:
            crashing.clear()
            raise Crash

    assert scene.vkp_client is not None

    async def send(*_given: Any) -> Sent:
        now = fate if not sent else Fate.ACCEPTED
        sent.append(now)
        crash("after sending")
        return Sent(now)

    take, write = Returns.take, Returner._write

    async def taking(self: Returns, *given: Any, **more: Any) -> Any:
        crash("before taking")
        taken = await take(self, *given, **more)
        crash("after taking")
        return taken

    async def writing(self: Returner, *given: Any) -> bool:
        written = await write(self, *given)
        crash("after writing")
        return written

    scene.vkp_client.send = send  # type: ignore[method-assign]
    monkeypatch.setattr(Returns, "take", taking)
    monkeypatch.setattr(Returner, "_write", writing)
    returning = scene.returning("node-0")
    with pytest.raises(Crash):
        await returning._through(Job("j", HAVNES_ALL, FAST, NOW))
    for node in ("node-1", "node-2"):
        again = scene.returning(node)
        await again.recover()
        await finished(again, again.begin(HAVNES_ALL, FAST))
    assert not MAY_HAVE & set(sent[:-1]), "sent again though VKP may have it"
    item = await scene.item(reference)
    if point in ("after taking", "after sending"):
        # Whatever VKP said has not been heard.
        assert (item.state, item.reason) == (MessageState.QUARANTINED, UNCLEAR_AT_VKP)
        assert len(sent) == (point == "after sending")
