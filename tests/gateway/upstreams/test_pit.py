"""Reading PIT: its documented question, its pages, and what of its answers is refused, by place and without a value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.upstreams import Breaker, PitUpstream, ReadScopes, ServiceStatus
from gateway.model import Place
from gateway.proxy.http_client import Answer, Caller
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.pit import ANSWER_LIMIT, CursorLost, Page, PitClient
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller, ServiceUnavailable
from service_stubs.behaviour import Behaviour
from service_stubs.listening import running
from service_stubs.people import LOCAL, number_of, person
from service_stubs.pit import PitStub
from tests.gateway.world import HAVNES, SORVIK
from translators.pit import PitPage, page_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.upstreams.conftest import Scene

EVER = "2000-01-01T00:00Z"


@pytest.fixture
async def pit(scene: Scene) -> AsyncIterator[PitStub]:
    """Run a PIT with 120 patients of one municipality."""
    async with running(PitStub(scene.helseid.issuer)) as stub:
        stub.fill(HAVNES, 120)
        yield stub


@pytest.fixture
def client(scene: Scene, pit: PitStub) -> PitClient:
    """Make a client of it."""
    upstream = PitUpstream("pit", pit.url, ReadScopes("nhn:pit/api.read"), ServiceStatus.TEST, Place("f", 1, 1))
    settings = Breaker()
    made = (scene.tokens, scene.prover, Caller(pit.url, None, answer_limit=ANSWER_LIMIT))
    caller = ServiceCaller("pit", pit.url, *made, breaker=CircuitBreaker(settings), settings=settings)
    return PitClient(upstream, caller, _Here())


class _Here:
    """Reads every page in this process."""

    async def read(self, body: bytes, cursor: str | None, timeout: float) -> PitPage:  # noqa: ARG002, ASYNC109 - as the other's
        """Read it at once."""
        return page_of(body, cursor)


async def _pages(client: PitClient, since: str = EVER) -> list[Page]:
    pages = [await client.page(HAVNES, since, None, 5.0)]
    while (cursor := pages[-1].next) is not None:
        pages.append(await client.page(HAVNES, since, cursor, 5.0))
    return pages


@pytest.mark.fact("pit-pages")
async def test_everybody_is_read_page_by_page(client: PitClient, pit: PitStub) -> None:
    """Fifty at a time, in the order of their changes; the cursor is followed at our own address of PIT."""
    pages = await _pages(client)
    assert [len(page.patients) for page in pages] == [50, 50, 20]
    assert [one.id for page in pages for one in page.patients] == [f"person-{index}" for index in range(120)]
    assert {one.status for one in pit.asked} == {200}
    assert pages[0].answered_at is not None


@pytest.mark.fact("pit-municipality")
async def test_municipality_sees_its_own_patients_alone(client: PitClient) -> None:
    """As the token says which it is."""
    assert (await client.page(SORVIK, EVER, None, 5.0)).patients == ()


@pytest.mark.fact("pit-changes")
async def test_only_what_changed_since_is_read(client: PitClient, pit: PitStub) -> None:
    """To the fraction of a second that PIT told."""
    latest = (await _pages(client))[-1].patients[-1].updated
    changed = datetime.fromisoformat(latest).timestamp() + 60
    pit.put(HAVNES, {**person(3), "id": "person-3"}, at=changed)
    since = datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    assert [one.id for one in (await client.page(HAVNES, since, None, 5.0)).patients] == ["person-3"]


async def test_patient_is_known_by_its_national_and_local_numbers(client: PitClient) -> None:
    """And says which profile it has."""
    patient = (await client.page(HAVNES, EVER, None, 5.0)).patients[7]
    assert (patient.numbers, patient.local) == ((number_of(7),), ((LOCAL, "100007"),))
    assert json.loads(patient.written)["meta"] == {
        "lastUpdated": patient.updated,
        "profile": ["http://ehelse.no/fhir/StructureDefinition/vkp-Patient-v090"],
    }


async def test_lost_cursor_is_told(client: PitClient, pit: PitStub) -> None:
    """So that the reader begins anew from where it was."""
    cursor = (await client.page(HAVNES, EVER, None, 5.0)).next
    pit.lose_cursors()
    with pytest.raises(CursorLost):
        await client.page(HAVNES, EVER, cursor, 5.0)


async def test_refused_question_is_no_lost_cursor(client: PitClient, pit: PitStub) -> None:
    """PIT refuses what its own page says: somebody must look at it."""
    pit.behave(Behaviour(status=400))
    with pytest.raises(AnswerRefused, match="400 to its documented question"):
        await client.page(HAVNES, EVER, None, 5.0)


async def test_pit_that_is_away_is_told_as_that(client: PitClient, pit: PitStub) -> None:
    """Nothing is wrong with its answers."""
    pit.behave(Behaviour(status=503, retry_after=9))
    with pytest.raises(ServiceUnavailable) as caught:
        await client.page(HAVNES, EVER, None, 5.0)
    assert caught.value.retry_after == 9


def _bundle(**changes: Any) -> dict[str, Any]:
    patient = {**person(1), "id": "a", "meta": {"lastUpdated": "2026-05-04T08:36:37Z"}}
    entry = {"resource": patient, "search": {"mode": "match"}}
    return {"resourceType": "Bundle", "type": "searchset", "entry": [entry], **changes}


def _with(**changes: Any) -> dict[str, Any]:
    bundle = _bundle()
    bundle["entry"][0]["resource"] |= changes
    return bundle


REFUSED = {
    "no Bundle": ({"patients": []}, "Bundle.resourceType: not a Bundle"),
    "another kind of Bundle": (_bundle(type="collection"), "Bundle.type: not a searchset"),
    "entries that are no list": (_bundle(entry={}), "Bundle.entry: not an array"),
    "an entry that is text": (_bundle(entry=["x"]), "Bundle.entry[0]: not an object"),
    "another resource": (_with(resourceType="Person"), "Bundle.entry[0].resource.resourceType: not a Patient"),
    "no id": (_with(id=None), "Bundle.entry[0].resource.id: "),
    "no time": (_with(meta={}), "Bundle.entry[0].resource.meta"),
    "a time that is none": (_with(meta={"lastUpdated": "in May"}), "Bundle.entry[0].resource.meta.lastUpdated: "),
    "no date": (_with(birthDate="4. mai 1930"), "Bundle.entry[0].resource.birthDate: "),
    "an unknown element": (_with(shoeSize="43"), "Bundle.entry[0].resource"),
    "a name as text": (_with(name="Line Danser"), "Bundle.entry[0].resource.name"),
    "an entry of another mode": (
        _bundle(entry=[{"resource": {}, "search": {"mode": "include"}}]),
        "Bundle.entry[0].search.mode: ",
    ),
    "an error beside the patients": (
        _bundle(
            entry=[
                {
                    "resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x"}]},
                    "search": {"mode": "outcome"},
                }
            ]
        ),
        "Bundle.entry[0]: PIT says that something was wrong",
    ),
    "what is said of the search as text": (
        _bundle(entry=[{**_bundle()["entry"][0], "search": ["match"]}]),
        "Bundle.entry[0].search: not an object",
    ),
    "an outcome that nobody understands": (
        _bundle(
            entry=[
                {
                    "resource": {"resourceType": "OperationOutcome", "issue": [{"severity": ["error"]}]},
                    "search": {"mode": "outcome"},
                }
            ]
        ),
        "Bundle.entry[0]: PIT says that something was wrong",
    ),
    "an outcome without objects": (
        _bundle(
            entry=[{"resource": {"resourceType": "OperationOutcome", "issue": ["x"]}, "search": {"mode": "outcome"}}]
        ),
        "Bundle.entry[0]: PIT says that something was wrong",
    ),
    "a link that is text": (_bundle(link=["https://pit.example/v1/Patient?cursor=1"]), "Bundle.link[0]: not an object"),
    "a link that leads nobody knows where": (
        _bundle(link=[{"relation": ["next"], "url": "https://pit.example/v1/Patient?cursor=1"}]),
        "Bundle.link[0].relation: not a text",
    ),
    "a next page elsewhere": (
        _bundle(link=[{"relation": "next", "url": "https://pit.example/v2/Patient?cursor=1"}]),
        "Bundle.link[0].url: the next page is not at /v1/Patient",
    ),
    "a next page without a question": (
        _bundle(link=[{"relation": "next", "url": "https://pit.example/v1/Patient"}]),
        "Bundle.link[0].url: no query",
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
async def test_answer_that_the_contract_does_not_say_is_refused_by_place(
    case: str, client: PitClient, pit: PitStub
) -> None:
    """The whole page: half of one would be told as all; and no value of it is shown."""
    answer, reason = REFUSED[case]
    pit.other_json = json.dumps(answer).encode()
    with pytest.raises(AnswerRefused) as caught:
        await client.page(HAVNES, EVER, None, 5.0)
    assert str(caught.value).startswith(reason)
    for value in (number_of(1), "Danser", "4. mai", "in May", "43"):
        assert value not in str(caught.value)


async def test_what_pit_says_of_the_search_is_no_patient(client: PitClient, pit: PitStub) -> None:
    """A warning beside the patients is left out."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}
    entries = [*_bundle()["entry"], {"resource": outcome, "search": {"mode": "outcome"}}]
    pit.other_json = json.dumps(_bundle(entry=entries)).encode()
    assert len((await client.page(HAVNES, EVER, None, 5.0)).patients) == 1


async def test_cursor_that_leads_nowhere_is_refused(client: PitClient, pit: PitStub) -> None:
    """It would be followed without end."""
    cursor = "_lastUpdated=ge2000-01-01T00:00Z&cursor=1"
    pit.other_json = json.dumps(_bundle(link=[{"relation": "next", "url": f"{pit.url}/v1/Patient?{cursor}"}])).encode()
    with pytest.raises(AnswerRefused, match=r"Bundle\.link"):
        await client.page(HAVNES, EVER, cursor, 5.0)


class _Answers:
    """In place of PIT, with a Date of its own."""

    def __init__(self, date: bytes) -> None:
        self._answer = Answer(200, ((b"Date", date),), b'{"resourceType":"Bundle","type":"searchset"}')

    async def ask(self, *_: object) -> Answer:
        """Answer."""
        return self._answer


@pytest.mark.parametrize(
    "date",
    [b"Mon, 01 Jan 2024 00:00:00 +99999999999999999999", b"Mon, 99 Jan 2024", b"", b"\xb2"],
    ids=["an offset without end", "no such day", "empty", "not ASCII"],
)
async def test_page_whose_date_says_no_time_is_read(client: PitClient, date: bytes) -> None:
    """Only what is young is told of by its clock."""
    answers: Any = _Answers(date)
    page = await PitClient(client.upstream, answers, _Here()).page(HAVNES, EVER, None, 5.0)
    assert (page.patients, page.answered_at) == ((), None)
