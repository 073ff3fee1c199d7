"""Modes `new`, `canary` and `compare` of searches, with a source that a test makes in place of a service's copy."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.load import load_text
from gateway.errors import Failure, Fault
from gateway.migration.comparison import Comparisons
from gateway.model import Information, Mode
from gateway.pipeline.canary import share_of
from gateway.pipeline.compare import MOST, MOST_OF_ONE
from gateway.pipeline.content import Worker
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.retrieval import Asker, Retrieval, RetrievalClients
from gateway.runtime import build
from gateway.surfaces.search import Search
from gateway.tasks import USUAL, Intervals
from tests.gateway.cli.conftest import HEAD
from tests.gateway.pipeline.record_system import CODES, SOLVEIG, TORBJORN, search, started
from tests.gateway.world import NORDFJELL, ROUTES, VIKAN
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.config.model import Municipality
    from gateway.pipeline.after_pass import ComparedAnswers
    from tests.gateway.clocks import LoopClock
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
LOCAL = "http://cosdoc.dips.no/lopenummer"


@dataclass
class Source:
    """Finds one patient, or what a test says."""

    seen: list[tuple[Search, str]] = field(default_factory=list)
    found: tuple[Any, ...] = ({"resourceType": "Patient", "id": "1"},)
    failure: Failure | None = None
    let: asyncio.Event | None = None

    async def find(self, search: Search, municipality: Municipality) -> tuple[Any, ...]:
        """Find it."""
        self.seen.append((search, municipality.key))
        if self.let is not None:
            await self.let.wait()
        if self.failure is not None:
            raise self.failure
        return self.found


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """Let a source answer for patients."""
    made = Source()

    def clients(*given: Any, **named: Any) -> RetrievalClients:
        return replace(RetrievalClients(*given, **named), sources={Information.PASIENTINFO: made})

    monkeypatch.setattr(build, "RetrievalClients", clients)
    return made


async def serving(start: Start, mode: str, numbers: str = "", **options: Any) -> World:
    """Start a gateway in which Nordfjell's patients have this mode."""
    other = "status: test}\n"
    return await start(
        upstreams=f'  pit: {{kind: pit, url: "http://127.0.0.1:1", {other}  okt: {{kind: okt, url: "http://127.0.0.1:1", {other}',
        epj=", feeds: [pit, okt]",
        nordfjell=f", services_from: okt{numbers}",
        routes=ROUTES + f"  - {{municipality: nordfjell, information: [pasientinfo], mode: {mode}}}\n",
        **options,
    )


# Mode `new`.


async def test_source_is_asked_by_the_national_number_and_answered_as_vkp_does(start: Start, source: Source) -> None:
    """With what was asked, for whom, and the ServiceCodes of the search or of its sender."""
    world = await serving(start, "new")
    answer = await search(world, "patient", b"identifier=17834150018")
    assert (answer.status, answer.json["total"], answer.json["entry"][0]["resource"]) == (200, 1, source.found[0])
    ((asked, municipality),) = source.seen
    assert asked.patient is not None
    assert (asked.patient.system, asked.patient.value, asked.service_codes) == (FNR, SOLVEIG, ("RT", "TA"))
    assert municipality == "nordfjell"
    source.found = ()
    assert (await search(world, "patient")).json == {"resourceType": "Bundle", "type": "searchset", "total": 0}
    assert source.seen[1][0].patient is None
    assert [(one["mode"], one["upstream"], one["outcome"]) for one in world.logged.named("message")] == [
        ("new", "pit", "answered")
    ] * 2
    world.assert_discreet(answer)


def shape(tree: Any) -> Any:
    """Return which elements an answer has, and of what kind its values are."""
    if isinstance(tree, dict):
        return {name: shape(value) for name, value in tree.items() if name != "resource"}
    return [shape(one) for one in tree] if isinstance(tree, list) else type(tree)


async def test_answer_has_the_same_shape_as_vkps(start: Start, source: Source) -> None:
    """But for the resources themselves, which `compare` holds against each other."""
    world = await serving(start, "new")
    theirs = await world.post(f"/epj/r4/{VIKAN}/patient/_search", b"identifier=17834150018", headers=CODES)
    ours = await search(world, "patient", b"identifier=17834150018")
    assert shape(ours.json) == shape(theirs.json)
    assert ours.json["total"] == theirs.json["total"] == len(source.found)


async def test_what_nobody_answers_is_refused_in_words_and_never_empty() -> None:
    """Whatever put such a route there: an empty answer would say that the patient has none of it."""
    loaded = load_text(HEAD + "  - {mode: closed, text: Nei.}\n", "routes.yaml")
    assert loaded.config is not None
    municipality = loaded.config.municipalities["nordfjell"]
    retrieval = Retrieval(loaded.config, frozenset(), RetrievalClients(), Worker().run)
    asked = Search(kind="Condition", information=Information.DIAGNOSER, service_codes=("TA",))
    asker = Asker(municipality, loaded.config.senders[0], "nhn:vkp/api/user/condition.read", b"Bearer secret")
    for mode in (Mode.NEW, Mode.EPJ, Mode.COMPARE):
        with pytest.raises(Failure) as refused:
            await retrieval.find(asked, asker, mode, 1.0)
        assert (refused.value.fault, refused.value.text) == (Fault.NOT_SUPPORTED, "Informasjonstypen støttes ikke ennå")
    assert "secret" not in repr(asker)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Failure(Fault.NO_SERVICE, "no service behind the codes"), 400, "1.3"),
        (Failure(Fault.UNAVAILABLE, "the copy is too old", retry_after=30), 503, "3.1"),
    ],
    ids=["no need", "too old"],
)
async def test_source_that_does_not_answer_says_why(
    start: Start, source: Source, failure: Failure, status: int, code: str
) -> None:
    """Never an empty answer."""
    world = await serving(start, "new")
    source.failure = failure
    world.assert_refused(await search(world, "patient", b"identifier=17834150018"), status, code)


async def test_local_number_of_nobody_is_refused(start: Start, source: Source) -> None:
    """A number of a system that the municipality has not, or of which no national one is known."""
    world = await serving(start, "new")
    issue = world.assert_refused(await search(world, "patient", f"identifier={LOCAL}|1302".encode()), 400, "2.1")
    assert "1302" not in issue["diagnostics"]
    assert not source.seen


# Mode `canary`.


async def test_canary_of_searches_divides_patients_as_that_of_journaling(
    start: Start, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of patients goes to VKP, and what is no number is refused: it could be of either side."""
    key = bytes(32)
    part = (share_of(key, SOLVEIG) + share_of(key, TORBJORN)) / 2
    monkeypatch.setattr(build, "Pipeline", lambda *given, **named: Pipeline(*given, **{**named, "canary_key": key}))
    world = await serving(start, f"canary, share: {part * 100:.4f}%")
    taken = min((SOLVEIG, TORBJORN), key=lambda number: share_of(key, number))
    for form in (f"identifier={SOLVEIG}", f"identifier={FNR}|{TORBJORN}", ""):
        assert (await search(world, "patient", form.encode())).status == 200
    assert [one[0].patient.value for one in source.seen if one[0].patient] == [taken]
    assert len(world.vkp.received) == 2
    assert [one["canary"] for one in world.logged.named("message")] == [True] * 3
    world.assert_refused(await search(world, "patient", b"identifier=17834150019"), 400, "2.1")
    assert len(world.vkp.received) == 2
    world.assert_discreet()


# Mode `compare`.


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[ComparedAnswers]:
    """Take what is compared."""
    taken: asyncio.Queue[ComparedAnswers] = asyncio.Queue()
    monkeypatch.setattr(Comparisons, "take", lambda _, answers: taken.put_nowait(answers))
    return taken


async def test_vkp_answers_and_the_other_side_is_asked_afterwards(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers]
) -> None:
    """The sender has VKP's own bytes while the other side still thinks."""
    world = await serving(start, "compare")
    source.let = asyncio.Event()
    answer = await search(world, "patient", b"identifier=17834150018")
    assert answer.values("X-VKP-Correlation-Id")
    assert compared.empty()
    source.let.set()
    found = await compared.get()
    assert found.theirs.body == answer.body
    assert found.ours is not None
    assert (found.ours.status, b'"total":1' in found.ours.body) == (200, True)
    assert (found.envelope.information, found.route.mode) == ("pasientinfo", "compare")
    world.assert_discreet()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_answer_passes_as_it_is_and_is_compared_as_what_it_says(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers], raw_upstream: RawUpstream, coding: str
) -> None:
    """VKP compresses where the sender asks for it."""
    del source
    theirs = b'{"resourceType":"Bundle","type":"searchset","total":0}'
    sent = gzip.compress(theirs) if coding == "gzip" else zlib.compress(theirs)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(sent)}\r\n\r\n"
    raw_upstream.answer = head.encode() + sent
    world = await serving(start, "compare", vkp=raw_upstream)
    answer = await search(world, "patient", b"identifier=17834150018")
    assert (answer.body, (await compared.get()).theirs.body) == (sent, theirs)


async def test_answer_that_is_too_large_to_be_compared_passes_and_is_counted(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers], raw_upstream: RawUpstream
) -> None:
    """As skipped: a list that is never compared must not look as if it was never asked for."""
    theirs = b'{"resourceType":"Bundle","type":"searchset","total":0' + b" " * 1_000_000 + b"}"
    raw_upstream.answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(theirs)}\r\n\r\n".encode() + theirs
    world = await serving(start, "compare", vkp=raw_upstream)
    assert (await search(world, "patient")).body == theirs
    found = await compared.get()
    assert (found.theirs.status, found.ours, source.seen) == (200, None, [])


async def test_search_that_is_asked_when_the_gateway_stops_is_counted(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers]
) -> None:
    """As skipped, and once."""
    world = await serving(start, "compare")
    source.let = asyncio.Event()
    assert (await search(world, "patient")).status == 200
    await until(lambda: source.seen)
    await world.stop()
    assert (await compared.get()).ours is None
    assert compared.empty()


async def test_search_that_the_other_side_refuses_is_compared_as_its_refusal(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers]
) -> None:
    """Also one that only VKP takes."""
    world = await serving(start, "compare")
    source.failure = Failure(Fault.NO_SERVICE, "no service behind the codes")
    assert (await search(world, "patient", b"identifier=17834150018")).status == 200
    found = await compared.get()
    assert found.ours is not None
    assert (found.ours.status, b'"1.3"' in found.ours.body) == (400, True)
    await search(world, "patient", b"identifier=17834150018&unknown=1")
    found = await compared.get()
    assert found.ours is not None
    assert b"has no parameter unknown" in found.ours.body


async def test_other_side_is_not_asked_what_vkp_has_not_answered(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers]
) -> None:
    """Of a token that VKP refuses nobody knows whose it is."""
    world = await serving(start, "compare")
    stranger = world.token(signing="other-key")
    assert (await search(world, "patient", b"identifier=17834150018", token=stranger)).status == 401
    found = await compared.get()
    assert (found.theirs.status, found.ours, source.seen) == (401, None, [])


async def test_other_side_that_is_slow_changes_nothing(
    start: Start, loop_clock: LoopClock, source: Source, compared: asyncio.Queue[ComparedAnswers]
) -> None:
    """It has a budget of its own."""
    world = await serving(start, "compare")
    source.let = asyncio.Event()
    answers = [await search(world, "patient") for _ in range(3)]
    await until(lambda: len(source.seen) == 3)
    await loop_clock.move(USUAL.comparing + 0.1)
    late = [await compared.get() for _ in range(3)]
    assert {one.status for one in answers} == {200}
    assert [one.ours.status for one in late if one.ours is not None] == [504] * 3


async def test_other_side_that_is_asked_much_or_fails_changes_nothing(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers]
) -> None:
    """A burst is counted and not asked; that of one sender leaves others a place."""
    world = await serving(start, "compare", intervals=Intervals(comparing=300.0))
    source.let = asyncio.Event()
    another = world.token(vkp_id="Evondos_Nordfjell")
    bursts = {world.token(): MOST_OF_ONE, another: MOST - MOST_OF_ONE}
    for token, most in bursts.items():
        for _ in range(most + 1):
            assert (await search(world, "patient", token=token)).status == 200
        assert (await compared.get()).ours is None
    source.let.set()
    assert {(await compared.get()).ours is None for _ in range(MOST)} == {False}
    source.failure = Failure(Fault.UNAVAILABLE, "away")
    assert (await search(world, "patient")).status == 200
    assert (await compared.get()).ours is not None


async def test_what_no_service_has_is_compared_with_the_record_system(
    start: Start, compared: asyncio.Queue[ComparedAnswers]
) -> None:
    """Over connections of its own; both doubles have the same record, so that the answers are the same."""
    routes = ROUTES + "  - {municipality: nordfjell, information: [diagnoser], mode: compare}\n"
    async with started(start, routes=routes) as (world, epj):
        theirs = await search(world, "condition", b"patient.identifier=17834150018")
        found = await compared.get()
        assert found.ours is not None
        assert (found.theirs.body, found.ours.body) == (theirs.body, found.ours.body)
        assert json.loads(found.ours.body) == theirs.json
        assert [one.resource_type for one in epj.received] == ["Condition"]


async def test_sender_that_leaves_is_compared_with_nothing(
    start: Start, source: Source, compared: asyncio.Queue[ComparedAnswers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in mode legacy its search is cut; the next one is compared as ever."""
    world = await serving(start, "compare")
    respond, arrived, released = world.vkp._respond, asyncio.Event(), asyncio.Event()

    async def held(*asked: Any) -> Any:
        arrived.set()
        await released.wait()
        return await respond(*asked)

    with monkeypatch.context() as patch:
        patch.setattr(world.vkp, "_respond", held)
        _, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
        writer.write(world.request(f"/epj/r4/{NORDFJELL}/patient/_search", b"identifier=17834150018", headers=CODES))
        await arrived.wait()
        writer.close()
    assert (await search(world, "patient", b"identifier=17834150018")).status == 200
    assert (await compared.get()).ours is not None
    released.set()
    assert compared.empty()
    assert len(source.seen) == 1
