"""What goes back to VKP and what does not, and when it gives up."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.records import MessageState
from gateway.ledger.returns import UNCLEAR_AT_VKP, ReturnStatus, Selection
from gateway.outbox.return_jobs import Busy, Done, Job, Progress, ReturnOutcome, may_be_sent_alone
from gateway.outbox.returns import NO_CLIENT, NO_SERVICE, Returner
from service_stubs.behaviour import Behaviour
from tests.gateway.return_scene import FIELDS, HAVNES_ALL, NOW, STILL_CANARY, STILL_NEW
from tests.gateway.world import HAVNES, message, stu3_message

if TYPE_CHECKING:
    from gateway.upstreams.vkp import Sent
    from tests.gateway.return_scene import Scene

from tests.gateway.outbox.returning.conftest import FAST, finished, send_back


async def test_unread_goes_back_as_its_sender_sent_it(scene: Scene) -> None:
    """Body, address and fields are those of the sender; afterwards nothing is kept of it."""
    reference = await scene.delivered()
    job = await send_back(scene)
    assert (job.progress, job.counts) == (Progress.DONE, {ReturnOutcome.RETURNED: 1})
    (got,) = scene.taken
    assert base64.b64decode(got.body) == message("alarm-follow-up")
    assert got.target == f"/epj/r4/{HAVNES}/bundle"
    assert {(name.decode(), value.decode()) for name, value in FIELDS} <= set(map(tuple, got.headers))
    assert "eyJsenders" not in str(got.headers)
    item = await scene.item(reference)
    assert (item.state, item.is_kept) == (MessageState.RETURNED, False)


async def test_an_stu3_message_goes_back_too(scene: Scene) -> None:
    """In its own form and at its own address, where VKP takes one whose header names another sender than our token."""
    scene.vkp.checks = "form"
    await scene.delivered(surface="vkp-stu3")
    assert (await send_back(scene)).counts == {ReturnOutcome.RETURNED: 1}
    (got,) = scene.taken
    assert base64.b64decode(got.body) == stu3_message("dispensed.xml")


async def test_an_stu3_message_that_vkp_does_not_take_from_us_stays_where_it_was(scene: Scene) -> None:
    """VKP may hold the header's sender against the token, which is our own client's."""
    reference = await scene.delivered(surface="vkp-stu3")
    job = await send_back(scene)
    assert (job.counts, await scene.states(reference)) == ({ReturnOutcome.NOT_DELIVERED: 1}, ["delivered"])
    assert "(403, 1.4)" in job.told[0].reason


async def test_what_is_held_goes_back_instead_of_to_jft(scene: Scene) -> None:
    """It never reached JFT, so there is nothing to ask."""
    reference = await scene.held()
    assert (await send_back(scene)).counts == {ReturnOutcome.RETURNED: 1}
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
    assert sum(job.counts[ReturnOutcome.RETURNED] for job in jobs) == 6


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
    assert (await send_back(scene, wanted)).counts == {ReturnOutcome.RETURNED: 1}
    assert await scene.states(chosen) == ["returned"]
    await scene.delivered()
    later = Selection("havnes", NOW + 1)
    assert not (await send_back(scene, later)).counts


# What does not.


async def test_what_was_read_is_never_sent_in_bulk(scene: Scene) -> None:
    """Also where that is only learned by asking right before."""
    known, news = await scene.delivered(), await scene.delivered()
    await scene.ledger.read((await scene.item(known)).id, next_poll=NOW)
    scene.read(news)
    job = await send_back(scene)
    assert job.counts == {ReturnOutcome.READ: 1}
    assert await scene.states(known, news) == ["read", "read"]
    assert not scene.vkp.received
    assert [item.standing for item in await scene.returns.items(HAVNES_ALL, 9)] == [ReturnStatus.POSSIBLE_DUPLICATE] * 2


async def test_what_is_in_the_record_is_left_alone(scene: Scene) -> None:
    """Also where that is only learned by asking right before."""
    reference = await scene.delivered()
    scene.acknowledge(reference)
    assert (await send_back(scene)).counts == {ReturnOutcome.ACKNOWLEDGED: 1}
    assert await scene.states(reference) == ["acknowledged"]
    assert not scene.vkp.received


async def test_an_unknown_status_is_not_sent(scene: Scene) -> None:
    """Nobody knows whether the record system has read it; later ones about the patient wait, others do not."""
    first, second = await scene.delivered(patient="p"), await scene.delivered(patient="p")
    other = await scene.delivered(patient="q")
    scene.jft.behave(Behaviour(status=500))
    job = await send_back(scene)
    assert [(one.reference, one.outcome) for one in job.told] == [
        (first, ReturnOutcome.STATUS_UNKNOWN),
        (second, ReturnOutcome.AFTER_ANOTHER),
    ]
    assert await scene.states(first, second, other) == ["delivered", "delivered", "returned"]


async def test_what_the_service_may_have_is_not_sent_in_bulk(scene: Scene) -> None:
    """A held message that was sent to JFT and not answered has no event that could be asked for."""
    reference = await scene.held(resend_unclear=True)
    (due,) = await scene.ledger.claim(1, until=NOW + 30)
    await scene.ledger.held(due.id, "no answer", next_try=NOW, unclear=True)
    later = await scene.held()
    assert (await send_back(scene)).counts == {ReturnOutcome.RETURNED: 1}
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
    assert (await send_back(scene)).counts == {ReturnOutcome.UNREADABLE: 1}
    assert await scene.states(reference) == ["delivered"]


async def test_without_a_client_nothing_is_sent(scene: Scene) -> None:
    """It is listed, and said why it stays."""
    reference = await scene.delivered()
    scene.vkp_client = None
    returning = scene.returning()
    assert returning.obstacle(HAVNES_ALL) == NO_CLIENT.format("havnes")
    await finished(returning, returning.begin(HAVNES_ALL, FAST))
    assert await scene.states(reference) == ["delivered"]
    assert not scene.vkp.received


@pytest.mark.fact("vkp-client-per-municipality")
async def test_messages_of_vendors_without_a_client_stay_and_are_said_to(scene: Scene) -> None:
    """VKP registers a client for a municipality and a vendor; what it cannot send keeps nothing else from being sent."""
    scene.of_vendor = ", vendor: dignio"
    lacking = [await scene.delivered(vendor="evondos", system="e300") for _ in range(6)]
    has = await scene.delivered()
    assert scene.returning().obstacle(HAVNES_ALL) is None
    assert scene.returning().without_client(HAVNES_ALL) == ["evondos"]
    job = await send_back(scene)
    assert (job.progress, job.counts[ReturnOutcome.NO_CLIENT]) == (Progress.DONE, len(lacking))
    assert job.told[0].reason == NO_CLIENT.format("havnes and evondos")
    assert await scene.states(*lacking, has) == ["delivered"] * len(lacking) + ["returned"]
    assert len(scene.vkp.received) == 1


@pytest.mark.parametrize("routes", [STILL_NEW, STILL_CANARY], ids=["new", "canary"])
async def test_it_gives_up_where_messages_go_to_jft_again(scene: Scene, routes: str) -> None:
    """A reload has brought `new` back, or a canary of it: what comes meanwhile would pass what goes back."""
    await scene.delivered()
    scene.routes = routes
    job = await send_back(scene)
    assert (job.progress, job.why) == (
        Progress.GAVE_UP,
        "messages go to the new side again: havnes, dignio, prevent, varsel",
    )
    assert not scene.vkp.received


async def test_it_gives_up_at_the_first_message_after_the_routes_have_changed(scene: Scene) -> None:
    """The record system reads JFT again: what is still to be sent would be in the record twice."""
    first, second = await scene.delivered(), await scene.delivered()
    client = scene.vkp_client
    assert client is not None
    send = client.send

    async def changing(*given: Any) -> Sent:
        scene.routes = STILL_NEW
        return await send(*given)

    client.send = changing  # type: ignore[method-assign]
    assert (await send_back(scene)).progress is Progress.GAVE_UP
    assert await scene.states(first, second) == ["returned", "delivered"]


# What VKP says.


async def test_a_refused_event_stays_with_jft(scene: Scene) -> None:
    """It says why, and holds up nobody."""
    first, second = await scene.delivered(patient="p"), await scene.delivered(patient="p")
    scene.vkp.behave(Behaviour(status=400))
    job = await send_back(scene)
    assert job.counts == {ReturnOutcome.REFUSED: 1, ReturnOutcome.RETURNED: 1}
    item = await scene.item(first)
    assert (item.state, item.reason) == (MessageState.DELIVERED, "VKP refused it (400, 3)")
    assert await scene.states(second) == ["returned"]


async def test_a_refused_promise_is_a_persons_to_decide(scene: Scene) -> None:
    """Where nobody reads JFT, going on to it would lose it."""
    reference = await scene.held()
    scene.vkp.behave(Behaviour(status=400))
    await send_back(scene)
    item = await scene.item(reference)
    assert (item.state, item.reason) == (MessageState.QUARANTINED, "VKP refused it (400, 3)")


@pytest.mark.parametrize("state", ["delivered", "held"])
async def test_what_vkp_did_not_take_is_where_it_was(scene: Scene, state: str) -> None:
    """And goes when it is asked for again; later ones about the patient wait for that."""
    make = scene.held if state == "held" else scene.delivered
    first, second = await make(patient="p"), await make(patient="p")
    scene.vkp.behave(Behaviour(status=503))
    assert (await send_back(scene)).counts == {ReturnOutcome.NOT_DELIVERED: 1, ReturnOutcome.AFTER_ANOTHER: 1}
    assert await scene.states(first, second) == [state, state]
    assert (await send_back(scene)).counts == {ReturnOutcome.RETURNED: 2}
    assert len(scene.taken) == 2


async def test_unclear_is_set_aside_and_never_sent_again(scene: Scene) -> None:
    """VKP handled it and the answer was lost."""
    reference = await scene.delivered()
    scene.vkp.behave(Behaviour(status="202-then-drop"))
    assert (await send_back(scene)).counts == {ReturnOutcome.UNCLEAR: 1}
    item = await scene.item(reference)
    assert (item.state, item.reason) == (MessageState.QUARANTINED, UNCLEAR_AT_VKP)
    assert not (await send_back(scene)).counts
    assert may_be_sent_alone(item) == "VKP may have it already"
    assert len(scene.vkp.received) == 1


async def test_it_gives_up_when_vkp_keeps_failing(scene: Scene) -> None:
    """What is left is where it was."""
    references = [await scene.delivered() for _ in range(8)]
    scene.vkp.behave(Behaviour(status=500, times=-1))
    job = await send_back(scene)
    assert (job.progress, job.counts) == (Progress.GAVE_UP, {ReturnOutcome.NOT_DELIVERED: 5})
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


async def test_nothing_is_sent_without_the_service_that_says_what_was_read(scene: Scene) -> None:
    """As when JFT is configured no more: neither in bulk nor alone, and it is said why."""
    reference = await scene.held()
    await scene.ledger.claim(1, until=NOW)
    assert await scene.ledger.quarantined((await scene.item(reference)).id, "unclear")
    await scene.delivered()
    returning = Returner(scene.ledger, lambda: None, scene.clock)
    scene.started.append(returning)
    assert returning.still_new(HAVNES_ALL) == []
    job = await finished(returning, returning.begin(HAVNES_ALL, FAST))
    assert (job.progress, job.why) == (Progress.GAVE_UP, NO_SERVICE)
    assert await returning.send_one(await scene.item(reference)) == Done(
        reference, ReturnOutcome.NOT_DELIVERED, NO_SERVICE
    )
    assert not scene.vkp.received


async def test_nothing_is_begun_while_the_gateway_stops(scene: Scene) -> None:
    """The admin port is open a little longer: what would be unclear afterwards is not sent."""
    reference = await scene.delivered()
    returning = scene.returning()
    await returning.stop(0.0)
    job = await finished(returning, returning.begin(HAVNES_ALL, FAST))
    assert (job.progress, sum(job.counts.values())) == (Progress.STOPPED, 0)
    scene.read(reference)
    assert (await returning.send_one(await scene.item(reference))).outcome is ReturnOutcome.NOT_DELIVERED
    assert not scene.vkp.received
