"""The double of PIT: what it takes and refuses, its pages, and the people in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from service_stubs.listening import running
from service_stubs.national_numbers import Kind, kind_of
from service_stubs.people import number_of, person
from service_stubs.pit import PitStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service_stubs.helseid import HelseIdStub
    from service_stubs.pit import Cursors
    from tests.service_stubs.conftest import Clock, Sender

ORGNR = "310000001"
EVER = ("_lastUpdated", "ge2000-01-01T00:00Z")


class Reader:
    """A system that reads one PIT, and writes to it."""

    def __init__(self, sender: Sender, pit: PitStub, tokens: dict[str, str]) -> None:
        self.pit = pit
        self._sender = sender
        self._tokens = tokens

    async def get(self, *pairs: tuple[str, str]) -> tuple[int, Any]:
        """Search; status and body."""
        return await self.follow(f"{self.pit.url}/v1/Patient?{urlencode(pairs)}")

    async def follow(self, url: str) -> tuple[int, Any]:
        """Read what a link leads to."""
        status, body, _ = await self._sender.call("GET", url, self._tokens["read"])
        return status, body

    async def post(self, patient: dict[str, Any]) -> int:
        """Submit a patient; the status."""
        url = f"{self.pit.url}/v1/Patient"
        return (await self._sender.call("POST", url, self._tokens["write"], json=patient))[0]

    async def everybody(self) -> list[str]:
        """Read all pages; the ids."""
        found: list[str] = []
        _, bundle = await self.get(EVER, ("_count", "2"))
        while True:
            found += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
            following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
            if not following:
                return found
            _, bundle = await self.follow(following[0])


@pytest.fixture
def cursors() -> Cursors:
    """Say what cursors remember."""
    return "place"


@pytest.fixture
async def reader(sender: Sender, helseid: HelseIdStub, clock: Clock, cursors: Cursors) -> AsyncIterator[Reader]:
    """Run a PIT with five people."""
    async with running(PitStub(helseid.issuer, clock=clock, cursors=cursors)) as pit:
        pit.fill(ORGNR, 5)
        tokens = {
            word: str((await sender.token_response(helseid.url, {"scope": f"nhn:pit/api.{word}"}))["access_token"])
            for word in ("read", "write")
        }
        yield Reader(sender, pit, tokens)


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        (("_lastUpdated", "2026-01-01T00:00Z"),),
        (("_lastUpdated", "ge2026-01-01"),),
        (("_lastUpdated", "ge2026-01-01T00:00"),),
        (("_lastUpdated", "eq2026-01-01T00:00Z"),),
        (EVER, ("_count", "0")),
        (EVER, ("_count", "51")),
        (EVER, ("_count", "10"), ("_count", "10")),
        (EVER, ("_sort", "name")),
        (EVER, ("identifier", "1")),
        (EVER, ("cursor", "2")),
    ],
    ids=str,
)
@pytest.mark.fact("pit-changes")
@pytest.mark.fact("pit-pages")
async def test_question_that_is_not_documented_is_refused(pairs: tuple[tuple[str, str], ...], reader: Reader) -> None:
    """`_lastUpdated` is needed, with a prefix and the minute; a number cannot be asked for."""
    status, body = await reader.get(*pairs)
    assert (status, body["status"]) == (400, 400)


@pytest.mark.parametrize("cursors", ["place", "count"])
async def test_pages_hold_everybody_once(reader: Reader) -> None:
    """In the order in which they changed; whoever changes goes to the end."""
    reader.pit.put(ORGNR, {**person(0), "id": "person-0"})
    assert await reader.everybody() == ["person-1", "person-2", "person-3", "person-4", "person-0"]


@pytest.mark.parametrize(("cursors", "missed"), [("place", []), ("count", ["person-2"])])
async def test_change_under_paging(reader: Reader, missed: list[str]) -> None:
    """A cursor that counts passes over somebody; one that remembers a place does not."""

    def change(page: int) -> None:
        if page == 2:
            reader.pit.put(ORGNR, {**person(0), "id": "person-0"})

    reader.pit.between = change
    found = await reader.everybody()
    assert sorted({f"person-{index}" for index in range(5)} - set(found)) == missed


async def test_cursor_that_was_lost_is_refused(reader: Reader) -> None:
    """As one that it never gave."""
    _, bundle = await reader.get(EVER, ("_count", "2"))
    reader.pit.lose_cursors()
    assert (await reader.follow(bundle["link"][1]["url"]))[0] == 400


async def test_patient_is_submitted(reader: Reader) -> None:
    """Accepted, to be found later: 202 without more."""
    assert await reader.post(person(5)) == 202
    assert len(await reader.everybody()) == 6


async def test_patient_that_is_not_right_is_refused(reader: Reader) -> None:
    """Its structure, and a number that is not synthetic."""
    assert await reader.post({**person(5), "birthDate": "yesterday"}) == 400
    wrong = {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "1" * 11}
    assert await reader.post({**person(5), "identifier": [wrong]}) == 400


def test_people_are_many_and_synthetic() -> None:
    """No two have one number, and each is of Tenor's series."""
    indexes = [*range(1_000), *range(30_000, 31_000)]
    numbers = {number_of(index) for index in indexes}
    assert len(numbers) == len(indexes)
    assert {kind_of(number) for number in numbers} == {Kind.SYNTHETIC}
