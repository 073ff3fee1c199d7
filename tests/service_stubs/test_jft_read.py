"""JFT's ReadAPI: searching, paging, marks of reading and the status of an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from service_stubs.helseid import HelseIdStub
    from service_stubs.jft import JftStub
    from tests.service_stubs.conftest import Clock, Sender

ACKNOWLEDGED = "https://fhir.jft.nhn.no/journaling-acknowledged"


class Epj:
    """An EPJ that fills and reads JFT with one token."""

    def __init__(self, sender: Sender, jft: JftStub, token: str, composition: dict[str, Any]) -> None:
        self.sender = sender
        self.jft = jft
        self.token = token
        self.composition = composition
        self.url = f"{jft.read_url}/v1/Composition"

    async def submit(self, title: str = "Notat") -> str:
        """Submit a note and return the address of its status."""
        body = {**self.composition, "title": title}
        _, _, location = await self.sender.call(
            "POST", f"{self.jft.write_url}/v1/Composition", self.token, json=body, headers={"nhn-source-system": "X"}
        )
        return location

    async def acknowledge(self, status_address: str) -> None:
        """Acknowledge the event."""
        event_id = status_address.split("/")[-2]
        url = f"{self.jft.write_url}/v1/Composition/{event_id}/$journaling-acknowledged"
        assert (await self.sender.call("POST", url, self.token))[0] == 202

    async def get(self, url: str) -> Any:
        """Read something that is there."""
        status, body, _ = await self.sender.call("GET", url, self.token)
        assert status == 200, body
        return body

    async def titles(self, query: str = "") -> list[str]:
        """List the titles that a search finds."""
        bundle = await self.get(f"{self.url}{query}")
        return [entry["resource"]["title"] for entry in bundle.get("entry", [])]


@pytest.fixture
async def epj(sender: Sender, helseid: HelseIdStub, jft: JftStub, composition: dict[str, Any]) -> Epj:
    """Make an EPJ."""
    return Epj(sender, jft, await sender.token(helseid.url), composition)


async def test_events_come_with_their_metadata(epj: Epj) -> None:
    """`meta.tag` tells municipality, client and source system; `lastUpdated` when."""
    await epj.submit()
    bundle = await epj.get(epj.url)
    (entry,) = bundle["entry"]
    meta = entry["resource"]["meta"]
    assert (bundle["type"], [link["relation"] for link in bundle["link"]]) == ("searchset", ["self"])
    assert entry["fullUrl"] == f"{epj.url}/{entry['resource']['id']}"
    assert meta["lastUpdated"] == "2026-05-28T20:26:40.000+00:00"
    assert meta["tag"] == [
        {"system": "https://fhir.jft.nhn.no/parent-organization-number", "code": epj.sender.orgnr},
        {"system": "https://fhir.jft.nhn.no/source-client-id", "code": epj.sender.client_id},
        {"system": "https://fhir.jft.nhn.no/source-client-name", "code": "Gateway"},
        {"system": "https://fhir.jft.nhn.no/source-system-name", "code": "X"},
    ]


async def test_elements_keep_their_exact_text(epj: Epj) -> None:
    """Decimals and escapes come back as sent, beside tags of the sender's own."""
    text = (
        json.dumps(epj.composition)[:-1]
        + ', "meta": {"tag": [{"code": "mine"}]}, "extension": [{"url": "u", "valueDecimal": 81.30}]}'
    )
    headers = {"Content-Type": "application/json"}
    url = f"{epj.jft.write_url}/v1/Composition"
    assert (await epj.sender.call("POST", url, epj.token, data=text, headers=headers))[0] == 202
    (event,) = epj.jft.events.of_municipality("Composition", epj.sender.orgnr)
    assert event.text == text
    resource = event.resource()
    assert b'"valueDecimal": 81.30' in resource
    assert json.loads(resource)["meta"]["tag"][0] == {"code": "mine"}


async def test_only_the_tokens_municipality_is_read(epj: Epj, helseid: HelseIdStub) -> None:
    """Another municipality and another type see nothing."""
    await epj.submit()
    assert "entry" not in await epj.get(f"{epj.jft.read_url}/v1/Bundle")
    epj.token = await epj.sender.token(helseid.url, assertion_details=epj.sender.details("310000002"))
    assert await epj.titles() == []


async def test_status_follows_the_life_of_an_event(epj: Epj, clock: Clock) -> None:
    """Registered, read, acknowledged: each with offset and second precision, first time only."""
    status_address = await epj.submit()
    stages = {"registered": "2026-05-28T20:26:40+00:00", "read": None, "journalingAcknowledged": None}
    assert await epj.get(status_address) == stages
    clock.now += 5
    await epj.titles()
    stages["read"] = "2026-05-28T20:26:45+00:00"
    assert await epj.get(status_address) == stages
    clock.now += 5
    await epj.titles()
    await epj.acknowledge(status_address)
    stages["journalingAcknowledged"] = "2026-05-28T20:26:50+00:00"
    assert await epj.get(status_address) == stages


async def test_pages_are_followed_by_cursor(epj: Epj) -> None:
    """`next` leads through everything once, in the order asked for."""
    for number in range(5):
        await epj.submit(f"n{number}")
    for sort, expected in (("", "n0 n1 n2 n3 n4"), ("&_sort=-_lastUpdated", "n4 n3 n2 n1 n0")):
        found, url = [], f"{epj.url}?_count=2{sort}"
        while url:
            bundle = await epj.get(url)
            found += [entry["resource"]["title"] for entry in bundle["entry"]]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        assert " ".join(found) == expected


@pytest.mark.fact("jft-last-updated")
async def test_event_that_is_read_moves_behind_those_that_are_not(epj: Epj, clock: Clock) -> None:
    """Whoever follows `next` in the usual order sees an event again that moved while it was read, and misses none."""
    for number in range(3):
        await epj.submit(f"n{number}")
    found, url = [], f"{epj.url}?_count=2"
    while url and len(found) < 9:
        clock.now += 60
        bundle = await epj.get(url)
        found += [entry["resource"]["title"] for entry in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert found == ["n0", "n1", "n2", "n0", "n1", "n2"]
    clock.now += 60
    assert await epj.titles("?_sort=-_lastUpdated") == ["n2", "n1", "n0"]


async def test_default_page_has_twenty_events(epj: Epj) -> None:
    """As PIT documents it."""
    for _ in range(21):
        await epj.submit()
    assert len(await epj.titles()) == 20
    assert len(await epj.titles("?_count=50")) == 21


async def test_only_events_of_the_page_are_marked_as_read(epj: Epj) -> None:
    """What was not handed out has not been read."""
    addresses = [await epj.submit(), await epj.submit()]
    await epj.titles("?_count=1")
    statuses = [await epj.get(address) for address in addresses]
    assert [status["read"] is None for status in statuses] == [False, True]


async def test_search_by_time(epj: Epj, clock: Clock) -> None:
    """Prefixes compare with the time of the last change; two limits make a range."""
    for title in ("20:26:40", "20:27:40", "20:28:40"):
        await epj.submit(title)
        await epj.titles()
        clock.now += 60
    day = "2026-05-28T"
    assert await epj.titles(f"?_lastUpdated=gt{day}20:26:40Z") == ["20:27:40", "20:28:40"]
    assert await epj.titles(f"?_lastUpdated=ge{day}20:26:40Z&_lastUpdated=lt{day}20:28Z") == ["20:26:40", "20:27:40"]
    assert await epj.titles(f"?_lastUpdated=le{day}22:27:40%2B02:00") == ["20:26:40", "20:27:40"]


@pytest.mark.fact("jft-tag-unknown")
async def test_search_by_acknowledgement(epj: Epj) -> None:
    """`_tag:not` finds what is still to be journaled, `_tag` the rest; any tag of JFT can be asked for."""
    first, _ = await epj.submit("done"), await epj.submit("open")
    await epj.acknowledge(first)
    code = epj.jft.acknowledged_code
    assert await epj.titles(f"?_tag:not={ACKNOWLEDGED}|{code}") == ["open"]
    assert await epj.titles(f"?_tag={ACKNOWLEDGED}|{code}") == ["done"]
    assert await epj.titles(f"?_tag={code}") == ["done"]
    assert await epj.titles(f"?_tag={ACKNOWLEDGED}|") == ["done"]
    assert await epj.titles("?_tag=https://fhir.jft.nhn.no/source-system-name|Y") == []


async def test_search_by_post_keeps_parameters_out_of_the_address(epj: Epj) -> None:
    """The form is read as the query would be; other content types are refused."""
    await epj.submit("a")
    url = f"{epj.url}/_search"
    status, bundle, _ = await epj.sender.call("POST", url, epj.token, data={"_count": "1"})
    assert (status, bundle["link"][0]["url"]) == (200, f"{epj.url}?_count=1")
    assert (await epj.sender.call("POST", url, epj.token, json={}))[0] == 415


@pytest.mark.parametrize(
    "query",
    [
        "_count=0",
        "_count=51",
        "_count=all",
        "_count=1&_count=2",
        "_sort=date",
        "_lastUpdated=2026-05-28T20:26Z",
        "_lastUpdated=eq2026-05-28T20:26Z",
        "_lastUpdated=gt2026-05-28",
        "_lastUpdated=gt2026-05-28T20:26",
        "_lastUpdated=gt2026-05-28T20:26+02:00",
        "_lastUpdated=gt2026-13-28T20:26Z",
        "_tag=",
        "cursor=garbage!",
        "cursor=YWJj",
        "patient=1",
        "_Count=1",
    ],
)
async def test_wrong_parameters_are_refused(epj: Epj, query: str) -> None:
    """A plus sign that was not encoded, a missing prefix, an unknown name: each is an error, never ignored."""
    status, problem, _ = await epj.sender.call("GET", f"{epj.url}?{query}", epj.token)
    assert (status, len(problem["errors"])) == (400, 1)


async def test_reading_needs_a_proof_for_get(epj: Epj) -> None:
    """A proof for POST does not open GET."""
    proof = epj.sender.proof("POST", epj.url, token=epj.token)
    headers = {"Authorization": f"DPoP {epj.token}", "DPoP": proof}
    async with epj.sender.session.get(epj.url, headers=headers) as response:
        assert response.status == 401


@pytest.mark.parametrize("path", ["/v1/Observation", "/v1/Bundle/1", "/v1/Bundle/1/$journaling-acknowledged"])
async def test_nothing_else_is_at_the_read_api(epj: Epj, path: str) -> None:
    """No reading of single events is documented, and acknowledging is on the write host."""
    assert (await epj.sender.call("GET", f"{epj.jft.read_url}{path}", epj.token))[0] == 404


@pytest.mark.fact("jft-last-updated")
async def test_reading_and_acknowledging_move_when_an_event_was_last_updated(epj: Epj, clock: Clock) -> None:
    """Each for the first time: who asks for what is newer than its last look sees an event again."""
    address = await epj.submit("moves")
    for change, moved in ((epj.titles, True), (epj.titles, False), (lambda: epj.acknowledge(address), True)):
        clock.now += 60
        await change()
        since = datetime.fromtimestamp(clock.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert await epj.titles(f"?_lastUpdated=ge{since}") == (["moves"] if moved else [])
