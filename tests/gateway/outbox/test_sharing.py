"""Measurements are shared with PMD once they are journaled: whatever PMD does, the journaling is not touched, and nothing is shared twice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest
from sqlalchemy import select

from gateway.ledger import shares as shares_of_ledger
from gateway.ledger.audit import Note
from gateway.ledger.message_actions import NotDone, decide_share
from gateway.ledger.shares import ShareState
from gateway.ledger.tables import SHARE
from gateway.observability.metrics import ANSWERS_REFUSED, REGISTRY
from gateway.times import DAY
from gateway.upstreams.pmd import PmdClient
from service_stubs.behaviour import Behaviour
from service_stubs.listening import running
from service_stubs.pmd import PmdStub
from tests.gateway.outbox.conftest import assert_success, delivery_of, restart, until_states
from tests.gateway.world import another, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World

    Begin = Callable[..., Awaitable[World]]

SECRET = (b"01813210165", b"81.30", b"81,30")


@pytest.fixture
async def pmd() -> AsyncIterator[PmdStub]:
    """Start a double of PMD."""
    async with running(PmdStub()) as stub:
        yield stub


def shared_with(pmd: PmdStub, more: str = "") -> dict[str, str]:
    """Return what a configuration has besides."""
    upstream = f'}}\n  pmd: {{kind: pmd, url: "{pmd.url}", status: test, breaker: {{failures: 100}}{more}'
    return {"policies": "share_with: [pmd]", "vkp_host": upstream, "patient_ids": ', kommunenummer: "1804"'}


def weight() -> bytes:
    """Return a measurement of its own."""
    return another(message("measurement"))


async def shares(world: World) -> list[Any]:
    """Return the rows of what is shared."""
    store = delivery_of(world).ledger.store
    return await store.read(lambda each: list(each.execute(select(SHARE).order_by(SHARE.c.id))))


async def until_rows(world: World, holds: Callable[[list[Any]], bool]) -> list[Any]:
    """Wait until the rows are so, and return them."""
    found: list[Any] = []

    async def is_so() -> bool:
        found[:] = await shares(world)
        return holds(found)

    await until(is_so, lambda: f"it never was: {[(row.state, row.reason, row.tries) for row in found]}")
    return found


async def until_shares(world: World, *wanted: str) -> list[Any]:
    """Wait until shares have these states."""
    return await until_rows(world, lambda found: [row.state for row in found] == list(wanted))


async def test_measurements_are_shared_once_they_are_journaled(begin: Begin, pmd: PmdStub) -> None:
    """With the municipality's number and the profile of their code; a copy shares nothing again, and other messages nothing at all."""
    world = await begin(**shared_with(pmd))
    body = weight()
    assert_success(await world.post("bundle", body), await world.post("bundle", body))
    assert_success(await world.post("composition", message("note")))
    (row,) = await until_shares(world, "shared")
    assert (row.payload, row.left_out, row.tries) == (None, None, 1)
    (bundle,) = pmd.shared
    assert (bundle.kommunenummer, bundle.form) == ("1804", "collection")
    (observation,) = bundle.observations
    assert observation["code"]["coding"] == [{"system": "http://loinc.org", "code": "29463-7"}]
    assert observation["valueQuantity"]["value"] == 81.3
    assert pmd.refused == []


async def test_a_batch_is_sent_where_that_is_configured(begin: Begin, pmd: PmdStub) -> None:
    """With a request in each entry; the double that takes nothing else takes it."""
    pmd.forms = ("batch",)
    world = await begin(**shared_with(pmd, ", bundle: batch"))
    assert_success(await world.post("bundle", weight()))
    await until_shares(world, "shared")
    assert [one.form for one in pmd.shared] == ["batch"]


async def test_nothing_is_shared_of_what_was_not_journaled(begin: Begin, pmd: PmdStub, clock: Clock) -> None:
    """It waits while its message is held, and is shared when that is delivered; what is refused never is."""
    more = shared_with(pmd)
    world = await begin(**{**more, "policies": f"{more['policies']}, on_outage: hold"})
    world.jft.behave(Behaviour(status=400))
    assert (await world.post("bundle", weight())).status == 400
    await world.jft.stop()
    assert_success(await world.post("bundle", weight()))
    await delivery_of(world)._sharing.share()
    assert [row.state for row in await shares(world)] == ["not-journaled", "waiting"]
    assert len(pmd.shared) == 0
    await world.jft.start()
    clock.now += 60
    await until_states(world, "refused", "delivered")
    await until_shares(world, "not-journaled", "shared")
    assert len(pmd.shared) == 1
    assert world.logged.named("sharing.failed") == []


async def test_pmd_that_is_away_delays_nothing_and_is_asked_again(begin: Begin, pmd: PmdStub, clock: Clock) -> None:
    """With pauses that grow, also when the gateway was stopped in between."""
    world = await begin(**shared_with(pmd))
    pmd.behave(Behaviour(status=503, times=2))
    assert_success(await world.post("bundle", weight()))
    (row,) = await until_rows(world, lambda found: [(one.tries, one.state) for one in found] == [(1, "waiting")])
    assert row.due > clock.now
    assert "503" in row.reason
    clock.now = row.due
    await until_rows(world, lambda found: [(one.tries, one.state) for one in found] == [(2, "waiting")])
    await restart(world)
    assert [row.state for row in await shares(world)] == ["waiting"]
    clock.now += 700
    await until_shares(world, "shared")
    assert len(pmd.shared) == 1
    assert world.logged.named("sharing.failed") == []


async def test_another_server_at_pmds_address_is_an_alarm_and_loses_nothing(
    begin: Begin, pmd: PmdStub, clock: Clock
) -> None:
    """A proxy's 404 says nothing of the measurements: they wait until PMD is there again."""
    world = await begin(**shared_with(pmd))
    pmd.behave(Behaviour(status=404))
    before = ANSWERS_REFUSED.labels("pmd")._value.get()
    assert_success(await world.post("bundle", weight()))
    (row,) = await until_rows(world, lambda found: [(one.tries, one.state) for one in found] == [(1, "waiting")])
    (told,) = world.logged.named("sharing.answer_refused")
    assert told["reason"] == row.reason == "PMD answered 404 at its documented address"
    assert ANSWERS_REFUSED.labels("pmd")._value.get() == before + 1
    clock.now = row.due
    await until_shares(world, "shared")


@pytest.mark.parametrize(
    ("behaviour", "state", "reason"),
    [
        (Behaviour(status=422), ShareState.REFUSED, "PMD answered 422"),
        (Behaviour(status="202-then-drop"), ShareState.UNCLEAR, "pmd cannot be asked"),
        (None, ShareState.UNCLEAR, "cannot be read"),
    ],
)
async def test_what_pmd_refuses_or_may_have_is_not_sent_again(  # noqa: PLR0917 - a case is several things
    begin: Begin, pmd: PmdStub, clock: Clock, behaviour: Behaviour | None, state: ShareState, reason: str
) -> None:
    """The sender was told of success, since it is journaled; people are told of the rest."""
    world = await begin(**shared_with(pmd))
    pmd.results = "page"
    if behaviour is not None:
        pmd.behave(behaviour)
    assert_success(await world.post("bundle", weight()))
    (row,) = await until_shares(world, state.value)
    assert reason in row.reason
    assert (row.payload is None) is (state is not ShareState.UNCLEAR)
    clock.now += DAY
    await delivery_of(world)._sharing.share()
    assert [each.state for each in await shares(world)] == [state.value]
    (told,) = world.logged.named("sharing.failed")
    assert (told["state"], told["reference"]) == (state.value, row.reference)


@pytest.mark.parametrize("into", [ShareState.WAITING, ShareState.DISCARDED])
async def test_a_person_decides_about_what_is_unclear(
    begin: Begin, pmd: PmdStub, clock: Clock, into: ShareState
) -> None:
    """It is sent again as it was, or given up with what was kept of it."""
    world = await begin(**shared_with(pmd))
    pmd.behave(Behaviour(status="202-then-drop"))
    assert_success(await world.post("bundle", weight()))
    (row,) = await until_shares(world, "unclear")
    note = Note(clock.now, "node", "somebody", "share", row.reference, "looked in PMD")
    store = delivery_of(world).ledger.store
    decide = partial(decide_share, reference=row.reference, target="pmd", within=None, note=note, into=into)
    assert await store.write(decide) is into
    await until_shares(world, "shared" if into is ShareState.WAITING else "discarded")
    (row,) = await shares(world)
    assert row.payload is None
    assert len({one.identifier for one in pmd.shared}) <= 1
    assert isinstance(await store.write(decide), NotDone)


async def test_an_entry_that_pmd_does_not_take_is_told_of(begin: Begin, pmd: PmdStub) -> None:
    """A part of a bundle is never taken for the whole."""
    world = await begin(**shared_with(pmd))
    pmd.refuse_entries = 1
    assert_success(await world.post("bundle", weight()))
    (row,) = await until_shares(world, "refused")
    assert row.reason == "PMD did not take 1 of 1 measurements"


async def test_what_was_with_a_process_that_is_gone_is_unclear(begin: Begin, pmd: PmdStub) -> None:
    """PMD may have it: it is not sent again."""
    world = await begin(**shared_with(pmd))
    await pmd.stop()
    assert_success(await world.post("bundle", weight()))
    store = delivery_of(world).ledger.store
    lost = SHARE.update().values(state="sending", owner="another", lease=0.0)
    await store.write(lambda each: each.execute(lost).rowcount)
    await delivery_of(world)._sharing.recover()
    (row,) = await shares(world)
    assert row.state == "unclear"
    assert len(world.logged.named("sharing.failed")) == 1


async def test_an_answer_that_comes_after_a_share_was_taken_for_lost_is_written_and_told(
    begin: Begin, pmd: PmdStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of it is known after all; what a person has decided meanwhile stays, and that is told."""
    world = await begin(**shared_with(pmd))
    store = delivery_of(world).ledger.store
    lost: list[Any] = [
        SHARE.update().values(state="unclear"),
        SHARE.update().where(SHARE.c.state == "sending").values(state="discarded", owner=None),
    ]
    share = PmdClient.share

    async def slow(*given: Any) -> None:
        await share(*given)
        change = lost.pop(0)
        await store.write(lambda each: each.execute(change).rowcount)

    monkeypatch.setattr(PmdClient, "share", slow)
    assert_success(await world.post("bundle", weight()))
    await until_shares(world, "shared")
    assert_success(await world.post("bundle", weight()))
    await until_rows(world, lambda found: len(found) == 2 and found[1].state == "discarded")
    told = await until(lambda: world.logged.named("sharing.decided_meanwhile"))
    assert [one["state"] for one in told] == ["shared"]
    assert [len(world.logged.named(name)) for name in ("sharing.shared", "sharing.failed")] == [1, 0]


async def test_a_call_has_what_is_left_of_the_time_for_which_a_share_is_ours(
    begin: Begin, pmd: PmdStub, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger may be slow; where nothing is left it is put back and not sent."""
    world = await begin(**shared_with(pmd))
    claim, took, given = shares_of_ledger.claim, [40.0, 12.0], []

    def slow(*values: Any, **named: Any) -> Any:
        if found := claim(*values, **named):
            clock.now += took.pop(0)
        return found

    async def share(_: PmdClient, __: bytes, ___: str, timeout: float) -> None:  # noqa: ASYNC109 - as the client has it
        given.append(timeout)

    monkeypatch.setattr(shares_of_ledger, "claim", slow)
    monkeypatch.setattr(PmdClient, "share", share)
    assert_success(await world.post("bundle", weight()))
    (row,) = await until_shares(world, "shared")
    assert (row.tries, given) == (2, [18.0])


async def test_what_cannot_be_shared_in_time_is_given_up_and_told_of(begin: Begin, pmd: PmdStub, clock: Clock) -> None:
    """After the retention of payloads, with an alarm, a mark and a metric; of what was refused nobody need hear."""
    world = await begin(**shared_with(pmd))
    world.jft.behave(Behaviour(status=400))
    assert (await world.post("bundle", weight())).status == 400
    await pmd.stop()
    assert_success(await world.post("bundle", weight()))
    await delivery_of(world)._upkeep.purge()  # from here on this node knows how much time passes
    clock.now += 14 * DAY + 60

    async def is_given_up() -> bool:  # what is being sent at this moment is so the next time
        await delivery_of(world)._upkeep.purge()
        await delivery_of(world)._sharing.recover()
        return (await shares(world))[-1].ended_at is not None

    await until(is_given_up)
    refused, journaled = await shares(world)
    assert (refused.state, refused.reason) == ("not-journaled", "its message was refused")
    assert (journaled.state, journaled.reason, journaled.payload) == ("given-up", "retention ended", None)
    (told,) = world.logged.named("sharing.failed")
    assert told["reference"] == journaled.reference
    labels = {"municipality": "havnes", "target": "pmd", "outcome": "given-up"}
    assert (REGISTRY.get_sample_value("vkp_gateway_shared_total", labels) or 0) >= 1


async def test_a_clock_that_is_ahead_gives_nothing_up(begin: Begin, pmd: PmdStub, clock: Clock) -> None:
    """Nothing is cleared away while the clock is in doubt."""
    world = await begin(**shared_with(pmd))
    await pmd.stop()
    assert_success(await world.post("bundle", weight()))
    clock.ahead += 30 * DAY
    await delivery_of(world)._upkeep.purge()
    await until_rows(world, lambda found: [one.state for one in found] == ["waiting"])
    assert world.logged.named("retention.waits")


async def test_what_waits_is_counted(begin: Begin, pmd: PmdStub) -> None:
    """For an alarm before anything is given up."""
    world = await begin(**shared_with(pmd))
    await pmd.stop()
    assert_success(await world.post("bundle", weight()))
    await until_rows(world, lambda found: [(row.state, row.tries) for row in found] == [("waiting", 1)])
    await delivery_of(world)._sharing.recover()
    labels = {"municipality": "havnes", "target": "pmd"}
    assert REGISTRY.get_sample_value("vkp_gateway_shares_waiting", labels) == 1


async def test_no_number_and_no_value_is_shown_or_at_rest(begin: Begin, pmd: PmdStub) -> None:
    """In no log, metric or file, whatever became of it."""
    world = await begin(**shared_with(pmd))
    answers = []
    for behaviour in (Behaviour(status=422), Behaviour(status=503), Behaviour(status="202-then-drop")):
        pmd.behave(behaviour)
        answers.append(await world.post("bundle", weight()))
        await until_rows(world, lambda found: len([row for row in found if row.tries]) == len(answers))
    world.assert_discreet(*answers)
    files = b"".join(path.read_bytes() for path in (world.folder / "var").glob("gateway.db*"))
    shown = world.logged.everything().encode() + generate_latest(REGISTRY)
    assert not [each for each in SECRET if each in files or each in shown]
