"""Patients whom a message or a search names by a number of the record system's own: learnt from VKP's lists."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.model import Epj, Municipality
from gateway.errors import Failure, Fault
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.database import open_store
from gateway.ledger.key_files import Keys
from gateway.ledger.learnt_numbers import LearntNumbers
from gateway.model import Place
from gateway.observability import metrics
from gateway.pipeline.canary import share_of
from gateway.pipeline.patient_numbers import ListedNumbers, NumbersOfVkp, PatientNumbers, learnt
from gateway.pipeline.pipeline import Pipeline
from gateway.proxy.http_client import Answer as HttpAnswer
from gateway.runtime import build
from gateway.surfaces.search import PatientKey
from legacy_stubs.records import LOCAL
from service_stubs.behaviour import Behaviour
from service_stubs.clients import Client
from tests.gateway.clocks import FakeClock
from tests.gateway.pipeline.record_system import SOLVEIG, TORBJORN
from tests.gateway.pipeline.test_canary import with_subject
from tests.gateway.world import NORDFJELL, ROUTES, message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from joserfc.jwk import ECKey

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

NOTES = ROUTES + "  - {municipality: nordfjell, information: [notat], mode: new}\n"
OWN = "gateway-at-vkp"
SCOPE = "nhn:vkp/api/user/patient.read"
NOW = "2026-11-30T09:00:00+00:00"
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"


async def asking(start: Start, key: ECKey, routes: str = NOTES, **options: Any) -> World:
    """Start a gateway that has a client of Nordfjell's own at VKP, and asks it for numbers."""
    client = f'municipality: nordfjell, client_id: {OWN}, key_file: key.json, scope: "{SCOPE}"'
    resolved = f', patient_ids: {{"{LOCAL}": {{resolve: vkp}}}}'
    world = await start(
        serve=False, routes=routes, nordfjell=resolved, vkp_host=f", clients: [{{{client}}}]", **options
    )
    jwks = {"keys": [key.as_dict(private=False)]}
    claims = {"nhn:vkp/client/claims/vkp-id": "Gateway_Nordfjell"}
    world.helseid.register(Client(OWN, "Nordfjell at VKP", [SCOPE], jwks, claims=claims))
    await world.serve()
    return world


async def note(world: World, local: str) -> Answer:
    """Send a note about a patient of the record system."""
    body = with_subject(message("note"), LOCAL, local)
    return await world.post(f"/epj/r4/{NORDFJELL}/composition", body)


async def test_journaling_is_delivered_with_the_number_that_a_list_told(start: Start, client_key: ECKey) -> None:
    """VKP is asked once, with our own client and all service codes, and what it told is kept."""
    world = await asking(start, client_key)
    try:
        assert (await note(world, "1303")).status == 200
        assert (await note(world, "1311")).status == 200
        assert [SOLVEIG in world.delivered[0].body, TORBJORN in world.delivered[1].body] == [True, True]
        (listed,) = world.vkp.received
        assert (listed.method, listed.target, listed.body) == ("POST", f"/epj/r4/{NORDFJELL}/patient/_search", "")
        assert dict(listed.headers)["ServiceCodes"] == "RT,TA,GPS,MD,DT,DHO"
        assert dict(listed.headers)["Authorization"].startswith("Bearer ")
        shown = world.logged.everything()
        assert not [number for number in (SOLVEIG, TORBJORN, "1303") if f'"{number}"' in shown]
    finally:
        await world.stop()


async def test_number_that_was_learnt_is_known_after_a_restart(start: Start, client_key: ECKey) -> None:
    """VKP, which may be away by then, is not asked again."""
    world = await asking(start, client_key)
    try:
        assert (await note(world, "1303")).status == 200
        await world.stop()
        await world.serve()
        world.vkp.behave(Behaviour(status=503))
        assert (await note(world, "1311")).status == 200
        assert len(world.vkp.received) == 1
    finally:
        await world.stop()


async def test_number_that_nobody_knows_is_refused_and_asked_for_once_a_minute(start: Start, client_key: ECKey) -> None:
    """A sender that repeats a wrong number does not make us list every patient each time."""
    clock = FakeClock()
    world = await asking(start, client_key, clock=clock)
    world.helseid.clock = world.jft.clock = world.vkp.clock = clock
    try:
        for moved, lists in ((0, 1), (30, 1), (31, 2)):
            clock.now += moved
            answer = await note(world, "9999")
            assert (answer.status, answer.code) == (400, "2.1"), answer.body
            assert len(world.vkp.received) == lists
    finally:
        await world.stop()


async def test_vkp_that_is_away_is_a_temporary_error(start: Start, client_key: ECKey) -> None:
    """The sender repeats when it is told to, and VKP is not asked before; no patient was taken to be nobody."""
    clock = FakeClock()
    world = await asking(start, client_key, clock=clock)
    world.helseid.clock = world.jft.clock = world.vkp.clock = clock
    try:
        world.vkp.behave(Behaviour(status=503))
        for moved, wait in ((0, "30"), (10, "20")):
            clock.now += moved
            answer = await note(world, "1303")
            world.assert_refused(answer, 503, "3.1")
            assert answer.values("Retry-After") == [wait]
        assert (len(world.vkp.received), len(world.logged.named("patient_numbers.not_listed"))) == (1, 1)
        clock.now += 20
        assert (await note(world, "1303")).status == 200
    finally:
        await world.stop()


async def test_nobody_is_asked_about_what_vkp_answers(start: Start, client_key: ECKey) -> None:
    """Also where routes differ by what a message says: VKP knows its own patients, and may be away for us alone."""
    world = await asking(start, client_key, NOTES.replace("[notat]", "[notat, maledata]"))
    try:
        body = with_subject(message("alarm-follow-up"), LOCAL, "1303")
        assert (await world.post(f"/epj/r4/{NORDFJELL}/bundle", body)).status == 200
        assert [one.target for one in world.vkp.received] == [f"/epj/r4/{NORDFJELL}/bundle"]
    finally:
        await world.stop()


async def test_rehearsal_asks_as_mode_new_would(start: Start, client_key: ECKey) -> None:
    """When VKP has answered; its verdict is of the message with its patient's number."""
    counted = metrics.REHEARSED.labels("nordfjell", "skyresponse", "notat", "repaired")
    before = counted._value.get()
    world = await asking(start, client_key, NOTES.replace("[notat], mode: new", "[notat], mode: rehearse"))
    assert (await note(world, "1303")).status == 200
    await world.stop()
    addresses = [f"/epj/r4/{NORDFJELL}/composition", f"/epj/r4/{NORDFJELL}/patient/_search"]
    assert [one.target for one in world.vkp.received] == addresses
    assert counted._value.get() == before + 1


async def test_canary_places_a_patient_by_the_number_that_was_learnt(
    start: Start, client_key: ECKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same keyed hash for journaling and for searches, whichever number names the patient; a list goes to VKP."""
    key = bytes(32)
    part = (share_of(key, SOLVEIG) + share_of(key, TORBJORN)) / 2
    monkeypatch.setattr(build, "Pipeline", lambda *given, **named: Pipeline(*given, **{**named, "canary_key": key}))
    routes = NOTES.replace("[notat], mode: new", f"[notat], mode: canary, share: {part * 100:.4f}%")
    world = await asking(start, client_key, routes)
    try:
        assert [(await note(world, local)).status for local in ("1303", "1311")] == [200, 200]
        taken = SOLVEIG if share_of(key, SOLVEIG) < part else TORBJORN
        assert [taken in one.body for one in world.delivered] == [True]
        assert [one.target for one in world.vkp.received][1:] == [f"/epj/r4/{NORDFJELL}/composition"]
    finally:
        await world.stop()


class Vkp:
    """Is asked for lists, and answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()
        self.status = 200

    def client_for(self, *_: object) -> Vkp:
        return self

    async def ask(self, *_: object) -> HttpAnswer:
        self.asked += 1
        await self.let.wait()
        listed = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": patient(FNR_OF, LOCAL_OF)}]}
        return HttpAnswer(self.status, (), json.dumps(listed).encode())


NOW = "2026-11-30T09:00:00+00:00"
FNR_OF, LOCAL_OF = (FNR, SOLVEIG), (LOCAL, "1303")
PATIENT = PatientKey(*LOCAL_OF)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Callable[[Vkp, FakeClock], PatientNumbers]]:
    """Return what makes a node that knows nothing yet; all of them have one ledger."""
    store = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path)
    keys = Keys(PayloadCipher({"k": bytes(32)}, "k"), LookupHasher(bytes(32)))
    config: Any = SimpleNamespace(senders=())
    made: list[ListedNumbers] = []

    async def run(_: int, work: Callable[[], Any], _whose: str) -> Any:
        return work()

    def node(vkp: Vkp, clock: FakeClock) -> PatientNumbers:
        made.append(ListedNumbers(clock))
        kept: Any = LearntNumbers(store, keys, clock)
        clients: Any = vkp
        return PatientNumbers({"vkp": NumbersOfVkp(config, clients, made[-1], kept, run, look=0.0)})

    yield node
    for listed in made:
        listed.close()
    await store.close()


NORD = Municipality(
    "nordfjell", "N", NORDFJELL, (), Epj("E", False, (), ()), Place("r", 1, 1), resolvers={LOCAL: "vkp"}
)


async def test_nobody_waits_longer_than_its_own_time_and_the_list_comes_all_the_same(
    nodes: Callable[[Vkp, FakeClock], PatientNumbers],
) -> None:
    """Whoever asks next has it."""
    vkp, now = Vkp(), asyncio.get_running_loop().time()
    numbers = nodes(vkp, FakeClock())
    with pytest.raises(Failure) as refused:
        await numbers.of_patient(PATIENT, NORD, now)
    assert refused.value.fault is Fault.UNAVAILABLE
    waiting = asyncio.get_running_loop().create_task(numbers.of_patient(PATIENT, NORD, now + 600))
    await asyncio.sleep(0)
    vkp.let.set()
    assert (await waiting, vkp.asked) == (SOLVEIG, 1)


async def test_two_nodes_ask_vkp_once_and_both_know(
    nodes: Callable[[Vkp, FakeClock], PatientNumbers],
) -> None:
    """The other one waits for it; where it fails, it hears that too."""
    vkp, clock, until = Vkp(), FakeClock(), asyncio.get_running_loop().time() + 600
    first, second = nodes(vkp, clock), nodes(vkp, clock)
    vkp.status = 500
    vkp.let.set()
    for node in (first, second):
        with pytest.raises(Failure) as refused:
            await node.of_patient(PATIENT, NORD, until)
        assert (refused.value.fault, refused.value.retry_after) == (Fault.UNAVAILABLE, 30)
    assert vkp.asked == 1
    vkp.status = 200
    vkp.let.clear()
    clock.now += 30
    asking = [asyncio.get_running_loop().create_task(node.of_patient(PATIENT, NORD, until)) for node in (first, second)]
    while vkp.asked == 1:  # noqa: ASYNC110 - the double says when
        await asyncio.sleep(0)
    vkp.let.set()
    assert (await asyncio.gather(*asking), vkp.asked) == ([SOLVEIG, SOLVEIG], 2)


def patient(*identifiers: tuple[str, str]) -> dict[str, Any]:
    """Return a Patient."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": system, "value": value} for system, value in identifiers],
    }


def test_number_that_two_patients_have_is_nobodys() -> None:
    """A wrong patient is worse than none."""
    listed = [patient((FNR, SOLVEIG), (LOCAL, "1")), patient((FNR, TORBJORN), (LOCAL, "1"), (LOCAL, "2"))]
    assert learnt([*listed, patient((LOCAL, "3"))], {LOCAL: "vkp"}, NOW) == {(LOCAL, "2"): TORBJORN}


@pytest.mark.parametrize(
    ("period", "is_known"),
    [({"end": "2026-10-31"}, False), ({"start": "2026-12-01"}, False), ({"start": "2020", "end": "2027"}, True)],
)
def test_number_that_a_patient_had_once_is_nobodys(period: dict[str, str], *, is_known: bool) -> None:
    """The record system may give it to somebody else, of whom the list says nothing."""
    listed = patient((FNR, SOLVEIG), (LOCAL, "1"))
    listed["identifier"][1]["period"] = period
    assert learnt([listed], {LOCAL: "vkp"}, NOW) == ({(LOCAL, "1"): SOLVEIG} if is_known else {})
