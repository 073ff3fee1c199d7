"""Sending back to VKP between the doubles: what is sent, what is not, and each once whatever fails."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from gateway.delivery.return_jobs import Busy, Done, Job, Outcome, Pace, Progress, cells_of, may_be_sent_alone
from gateway.delivery.returning import NO_CLIENT, Returning
from gateway.ledger.returnable import UNCLEAR_AT_VKP, Selection, Standing
from gateway.ledger.returns import Returns
from gateway.ledger.states import State
from gateway.ledger.store import LedgerUnavailable
from gateway.upstreams.vkp import Fate, Sent
from service_stubs.behaviour import Behaviour
from tests.gateway.conftest import HAVNES, message, stu3_message
from tests.gateway.return_scene import FIELDS, HAVNES_ALL, NOW, STILL_NEW, return_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from joserfc.jwk import ECKey

    from tests.gateway.conftest import Logged
    from tests.gateway.return_scene import Scene

FAST = 50.0


@pytest.fixture
async def scene(tmp_path: Path, client_key: ECKey, signing_keys: None, logged: Logged) -> AsyncIterator[Scene]:
    """Run the doubles and open a ledger."""
    del signing_keys, logged
    async with return_scene(tmp_path, client_key) as made:
        yield made


async def finished(returning: Returning, job: Job) -> Job:
    """Wait until a job has ended."""
    await asyncio.gather(*returning._tasks)
    assert job.progress is not Progress.RUNNING
    return job


async def send_back(scene: Scene, selection: Selection = HAVNES_ALL, node: str = "node-0") -> Job:
    """Send what is unread, and wait until that has ended."""
    returning = scene.returning(node)
    return await finished(returning, returning.begin(selection, FAST))


# What goes back.


async def test_unread_goes_back_as_its_sender_sent_it(scene: Scene) -> None:
    """Body, address and fields are those of the sender; afterwards nothing is kept of it."""
    reference = await scene.delivered()
    job = await send_back(scene)
    assert (job.progress, job.counts) == (Progress.DONE, {Outcome.RETURNED: 1})
    (got,) = scene.taken
    assert base64.b64decode(got.body) == message("alarm-follow-up")
    assert got.target == f"/epj/r4/{HAVNES}/bundle"
    assert {(name.decode(), value.decode()) for name, value in FIELDS} <= set(map(tuple, got.headers))
    assert "eyJsenders" not in str(got.headers)
    item = await scene.item(reference)
    assert (item.state, item.is_kept) == (State.RETURNED, False)


async def test_an_stu3_message_goes_back_too(scene: Scene) -> None:
    """In its own form and at its own address."""
    await scene.delivered(surface="vkp-stu3")
    assert (await send_back(scene)).counts == {Outcome.RETURNED: 1}
    (got,) = scene.taken
    assert base64.b64decode(got.body) == stu3_message("dispensed.xml")


async def test_what_is_held_goes_back_instead_of_to_jft(scene: Scene) -> None:
    """It never reached JFT, so there is nothing to ask."""
    reference = await scene.held()
    assert (await send_back(scene)).counts == {Outcome.RETURNED: 1}
    assert await scene.states(reference) == ["returned"]
    assert not scene.jft.received


async def test_each_is_sent_once_however_often_it_is_asked_for(scene: Scene) -> None:
    """Asking again sends what is left, and nothing else."""
    await scene.delivered()
    for _ in range(3):
        await send_back(scene)
    assert len(scene.vkp.received) == 1


async def test_two_jobs_on_two_nodes_send_each_once(scene: Scene) -> None:
    """Whoever takes a message has it alone."""
    for _ in range(6):
        await scene.delivered()
    jobs = await asyncio.gather(send_back(scene, node="one"), send_back(scene, node="two"))
    assert len(scene.taken) == 6
    assert sum(job.counts[Outcome.RETURNED] for job in jobs) == 6


async def test_the_order_is_that_of_arrival(scene: Scene) -> None:
    """Delivered and held ones alike."""
    bodies = [message("alarm-follow-up").replace(b"Hjemmetjenesten", b"Nummer %d" % number) for number in range(4)]
    await scene.delivered(body=bodies[0], patient="p")
    await scene.delivered(body=bodies[1])
    await scene.held(body=bodies[2], patient="p")
    await scene.held(body=bodies[3], patient="p")
    await send_back(scene)
    assert [base64.b64decode(one.body) for one in scene.taken] == bodies


async def test_only_the_selection_goes_back(scene: Scene) -> None:
    """Another municipality, vendor, system, type or time stays where it is."""
    for changes in ({"municipality": "nordfjell"}, {"vendor": "evondos"}, {"system": "e300"}, {"information": "notat"}):
        await scene.delivered(**changes)
    chosen = await scene.delivered()
    wanted = Selection("havnes", NOW, "dignio", "prevent", frozenset({"varsel", "tilsyn"}))
    assert (await send_back(scene, wanted)).counts == {Outcome.RETURNED: 1}
    assert await scene.states(chosen) == ["returned"]
    await scene.delivered()
    later = Selection("havnes", NOW + 1)
    assert not (await send_back(scene, later)).counts


# What does not.


async def test_what_was_read_is_never_sent_in_bulk(scene: Scene) -> None:
    """Also where that is only learned by asking right before."""
    known, news = await scene.delivered(), await scene.delivered()
    await scene.ledger.read((await scene.item(known)).id, next_look=NOW)
    scene.read(news)
    job = await send_back(scene)
    assert job.counts == {Outcome.READ: 1}
    assert await scene.states(known, news) == ["read", "read"]
    assert not scene.vkp.received
    assert [item.standing for item in await scene.returns.items(HAVNES_ALL, 9)] == [Standing.POSSIBLE_DUPLICATE] * 2


async def test_what_is_in_the_record_is_left_alone(scene: Scene) -> None:
    """Also where that is only learned by asking right before."""
    reference = await scene.delivered()
    scene.acknowledge(reference)
    assert (await send_back(scene)).counts == {Outcome.ACKNOWLEDGED: 1}
    assert await scene.states(reference) == ["acknowledged"]
    assert not scene.vkp.received


async def test_an_unknown_status_is_not_sent(scene: Scene) -> None:
    """Nobody knows whether the record system has read it; later ones about the patient wait, others do not."""
    first, second = await scene.delivered(patient="p"), await scene.delivered(patient="p")
    other = await scene.delivered(patient="q")
    scene.jft.behave(Behaviour(status=500))
    job = await send_back(scene)
    assert [(one.reference, one.outcome) for one in job.told] == [
        (first, Outcome.STATUS_UNKNOWN),
        (second, Outcome.AFTER_ANOTHER),
    ]
    assert await scene.states(first, second, other) == ["delivered", "delivered", "returned"]


async def test_what_the_service_may_have_is_not_sent_in_bulk(scene: Scene) -> None:
    """A held message that was sent to JFT and not answered has no event that could be asked for."""
    reference = await scene.held(resend_unclear=True)
    (due,) = await scene.ledger.claim(1, until=NOW + 30)
    await scene.ledger.held(due.id, "no answer", next_try=NOW, unclear=True)
    later = await scene.held()
    assert (await send_back(scene)).counts == {Outcome.RETURNED: 1}
    assert await scene.states(reference, later) == ["held", "returned"]


async def test_without_its_payload_it_is_listed_and_not_sent(scene: Scene) -> None:
    """Retention has taken what was sent; the reference is left."""
    reference = await scene.delivered()
    await scene.store.write(lambda connection: connection.exec_driver_sql("UPDATE message SET payload = NULL").rowcount)
    assert not (await send_back(scene)).counts
    assert (await scene.item(reference)).not_in_bulk == "its payload is not kept any more"


async def test_an_unreadable_payload_stays_where_it_was(scene: Scene) -> None:
    """Nothing was sent, so nothing has changed."""
    reference = await scene.delivered()
    await scene.store.write(
        lambda connection: connection.exec_driver_sql("UPDATE message SET payload = X'00'").rowcount
    )
    assert (await send_back(scene)).counts == {Outcome.UNREADABLE: 1}
    assert await scene.states(reference) == ["delivered"]


async def test_without_a_client_nothing_is_sent(scene: Scene) -> None:
    """It is listed, and said why it stays."""
    reference = await scene.delivered()
    scene.vkp_client = None
    returning = scene.returning()
    assert returning.obstacle() == NO_CLIENT
    await finished(returning, returning.begin(HAVNES_ALL, FAST))
    assert await scene.states(reference) == ["delivered"]
    assert not scene.vkp.received


async def test_it_gives_up_where_messages_go_to_jft_again(scene: Scene) -> None:
    """A reload has brought `new` back: what comes meanwhile would pass what goes back."""
    await scene.delivered()
    scene.routes = STILL_NEW
    job = await send_back(scene)
    assert (job.progress, job.why) == (
        Progress.GAVE_UP,
        "messages go to the new side again: havnes, dignio, prevent, varsel",
    )
    assert not scene.vkp.received


# What VKP says.


async def test_a_refused_event_stays_with_jft(scene: Scene) -> None:
    """It says why, and holds up nobody."""
    first, second = await scene.delivered(patient="p"), await scene.delivered(patient="p")
    scene.vkp.behave(Behaviour(status=400))
    job = await send_back(scene)
    assert job.counts == {Outcome.REFUSED: 1, Outcome.RETURNED: 1}
    item = await scene.item(first)
    assert (item.state, item.reason) == (State.DELIVERED, "VKP refused it (400, 3)")
    assert await scene.states(second) == ["returned"]


async def test_a_refused_promise_is_a_persons_to_decide(scene: Scene) -> None:
    """Where nobody reads JFT, going on to it would lose it."""
    reference = await scene.held()
    scene.vkp.behave(Behaviour(status=400))
    await send_back(scene)
    item = await scene.item(reference)
    assert (item.state, item.reason) == (State.QUARANTINED, "VKP refused it (400, 3)")


@pytest.mark.parametrize("state", ["delivered", "held"])
async def test_what_vkp_did_not_take_is_where_it_was(scene: Scene, state: str) -> None:
    """And goes when it is asked for again; later ones about the patient wait for that."""
    make = scene.held if state == "held" else scene.delivered
    first, second = await make(patient="p"), await make(patient="p")
    scene.vkp.behave(Behaviour(status=503))
    assert (await send_back(scene)).counts == {Outcome.NOT_DELIVERED: 1, Outcome.AFTER_ANOTHER: 1}
    assert await scene.states(first, second) == [state, state]
    assert (await send_back(scene)).counts == {Outcome.RETURNED: 2}
    assert len(scene.taken) == 2


async def test_unclear_is_set_aside_and_never_sent_again(scene: Scene) -> None:
    """VKP handled it and the answer was lost."""
    reference = await scene.delivered()
    scene.vkp.behave(Behaviour(status="202-then-drop"))
    assert (await send_back(scene)).counts == {Outcome.UNCLEAR: 1}
    item = await scene.item(reference)
    assert (item.state, item.reason) == (State.QUARANTINED, UNCLEAR_AT_VKP)
    assert not (await send_back(scene)).counts
    assert may_be_sent_alone(item) == "VKP may have it already"
    assert len(scene.vkp.received) == 1


async def test_it_gives_up_when_vkp_keeps_failing(scene: Scene) -> None:
    """What is left is where it was."""
    references = [await scene.delivered() for _ in range(8)]
    scene.vkp.behave(Behaviour(status=500, times=-1))
    job = await send_back(scene)
    assert (job.progress, job.counts) == (Progress.GAVE_UP, {Outcome.NOT_DELIVERED: 5})
    assert job.why == "failed 5 times in a row, at last: VKP answered 500"
    assert set(await scene.states(*references)) == {"delivered"}


# Jobs.


async def test_a_job_stops_after_the_message_it_is_at(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had not begun is where it was."""
    first, second = await scene.delivered(), await scene.delivered()
    note = Job.note

    def stop_at_the_first(job: Job, done: Done) -> None:
        note(job, done)
        job.stopping.set()

    monkeypatch.setattr(Job, "note", stop_at_the_first)
    assert (await send_back(scene)).progress is Progress.STOPPED
    assert await scene.states(first, second) == ["returned", "delivered"]


async def test_one_job_at_a_time_for_a_municipality(scene: Scene) -> None:
    """A second would send at twice the rate."""
    returning = scene.returning()
    job = returning.begin(HAVNES_ALL, FAST)
    with pytest.raises(Busy):
        returning.begin(Selection("havnes", NOW, "dignio"), FAST)
    other = returning.begin(Selection("nordfjell", NOW), FAST)
    await finished(returning, job)
    await finished(returning, other)
    assert returning.job(job.id) is job
    assert returning.job("another") is None


def test_the_pace_is_even() -> None:
    """Whatever was slow is not caught up with."""
    pace = Pace(5.0)
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
    assert (item.state, item.reason) == (State.QUARANTINED, UNCLEAR_AT_VKP)


async def test_a_defect_while_sending_is_unclear(scene: Scene) -> None:
    """A message may be with VKP as soon as anything may have been sent."""
    reference = await scene.delivered()
    assert scene.vkp_client is not None

    async def broken(*_given: Any) -> Sent:
        raise RuntimeError

    scene.vkp_client.send = broken  # type: ignore[method-assign]
    assert (await send_back(scene)).counts == {Outcome.UNCLEAR: 1}
    assert await scene.states(reference) == ["quarantined"]


async def test_what_vkp_took_is_written_down_when_the_ledger_is_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nothing else is sent."""
    monkeypatch.setattr("gateway.delivery.returning._AGAIN", 0.0)
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


# One by a person.


async def test_a_person_sends_what_was_read(scene: Scene) -> None:
    """It is asked for once more, and sent."""
    reference = await scene.delivered()
    scene.read(reference)
    await send_back(scene)
    item = await scene.item(reference)
    assert may_be_sent_alone(item) is None
    done = await scene.returning().send_one(item)
    assert (done.outcome, await scene.states(reference)) == (Outcome.RETURNED, ["returned"])
    assert (await scene.returning().send_one(item)).outcome is Outcome.CHANGED
    assert len(scene.taken) == 1


async def test_what_the_record_has_meanwhile_is_not_sent(scene: Scene) -> None:
    """Also where a person asks."""
    reference = await scene.delivered()
    scene.read(reference)
    await send_back(scene)
    scene.acknowledge(reference)
    done = await scene.returning().send_one(await scene.item(reference))
    assert (done.outcome, await scene.states(reference)) == (Outcome.ACKNOWLEDGED, ["acknowledged"])
    assert not scene.vkp.received


async def test_what_vkp_refuses_a_person_stays_read(scene: Scene) -> None:
    """And says why."""
    reference = await scene.delivered()
    scene.read(reference)
    await send_back(scene)
    scene.vkp.behave(Behaviour(status=400))
    done = await scene.returning().send_one(await scene.item(reference))
    item = await scene.item(reference)
    assert (done.outcome, item.state, item.reason) == (Outcome.REFUSED, State.READ, "VKP refused it (400, 3)")


async def test_a_person_sends_what_is_in_quarantine(scene: Scene) -> None:
    """Where JFT refused it, VKP may take it."""
    reference = await scene.held()
    (due,) = await scene.ledger.claim(1, until=NOW + 30)
    await scene.ledger.quarantined(due.id, "JFT refused the message")
    item = await scene.item(reference)
    assert may_be_sent_alone(item) is None
    assert (await scene.returning().send_one(item)).outcome is Outcome.RETURNED


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

    take, write = Returns.take, Returning._write

    async def taking(self: Returns, *given: Any, **more: Any) -> Any:
        crash("before taking")
        taken = await take(self, *given, **more)
        crash("after taking")
        return taken

    async def writing(self: Returning, *given: Any) -> bool:
        written = await write(self, *given)
        crash("after writing")
        return written

    scene.vkp_client.send = send  # type: ignore[method-assign]
    monkeypatch.setattr(Returns, "take", taking)
    monkeypatch.setattr(Returning, "_write", writing)
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
        assert (item.state, item.reason) == (State.QUARANTINED, UNCLEAR_AT_VKP)
        assert len(sent) == (point == "after sending")
