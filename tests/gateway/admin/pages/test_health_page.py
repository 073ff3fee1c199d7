"""The page for health, in words; what it tells is tested where it is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.admin.health import Health
from gateway.ledger import nodes
from tests.gateway.runtime.test_heartbeat import viewer

if TYPE_CHECKING:
    import pytest
    from sqlalchemy import Connection

    from gateway.auth.people.principal import Principal
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser


async def test_health_is_told_in_words(shelf: Shelf, vera: Browser) -> None:
    """In both languages: nodes, what waits, and what somebody should look at; live while the page is open."""
    assert "Alt er som det skal" in (await vera.get("/health")).text
    now = shelf.office.clock.now
    here = nodes.Beat(since=now - 60, generation=7, version="0123456789abcdef", layers=2)
    gone = nodes.Beat(since=now - 900, generation=6, version="0123456789abcdef", layers=2, ahead_of_database=9.0)

    def work(connection: Connection) -> None:
        nodes.put(connection, "node-a", now, here)
        nodes.put(connection, "node-b", now - 300, gone)

    await shelf.ledger.store.write(work)
    await shelf.quarantined("one")
    page = await vera.get("/health")
    for told in (
        "node-a",
        "denne",
        "svarer ikke",
        "Meldinger er i karantene",
        "i karantene",
        "9 s",
        'data-live="/health/live"',
    ):
        assert told in page.text
    english = (await vera.get("/health?lang=en")).text
    assert "Messages are in quarantine" in english
    assert "karantene" not in english


async def test_services_that_do_not_answer_are_named(
    shelf: Shelf, vera: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody is told to look, with since when, so that they know whom to call."""
    del shelf
    known = Health.document

    async def away(self: Health, who: Principal) -> dict[str, Any]:
        upstream = {"upstream": "one", "kind": "jft", "since": "2026-05-28T20:26:40Z"}
        helseid = {**upstream, "upstream": "helseid", "kind": "helseid"}
        return {**await known(self, who), "away": [upstream, helseid], "trouble": ["upstream-away"]}

    monkeypatch.setattr(Health, "document", away)
    assert "<li>Svarer ikke: one siden tor. 28. mai kl. 22.26.</li>" in (await vera.get("/health")).text
    assert "<li>Does not answer: one since Thu 28 May at 22:26.</li>" in (await vera.get("/health?lang=en")).text


async def test_service_whose_pause_is_over_is_asked_with_the_next_call(
    shelf: Shelf, vera: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without traffic nobody asks it meanwhile, so there is no time to tell."""
    found = await shelf.office.port.health.document(viewer())
    for wait, told in ((31, "spørres igjen om 31 s"), (0, "spørres igjen ved neste kall")):
        one = {"name": "jft", "kind": "jft", "url": "https://jft.example", "breaker": "open", "wait": wait}

        async def document(_who: object, upstream: dict[str, object] = one) -> dict[str, object]:
            return {**found, "upstreams": [{**upstream, "refused_for": []}]}

        monkeypatch.setattr(shelf.office.port.health, "document", document)
        assert told in (await vera.get("/health")).text


async def test_reader_of_one_municipality_sees_what_is_of_it(shelf: Shelf, nora: Browser) -> None:
    """What waits elsewhere is not counted."""
    await shelf.quarantined("one", municipality="sorvik")
    page = await nora.get("/health")
    assert (page.status, "Ingen meldinger venter" in page.text) == (200, True)
    assert (await nora.get("/api/v1/health")).json["backlog"] == []


async def test_open_page_is_kept_up_to_date(shelf: Shelf, vera: Browser) -> None:
    """The stream has the same region as the page, and ends with the port."""
    await shelf.quarantined("one")
    url, cookies = f"{shelf.office.address}/health/live", "; ".join(f"{k}={v}" for k, v in vera.cookies.items())
    async with shelf.office.http.get(url, headers={"Cookie": cookies, "Accept-Language": "nb"}) as stream:
        assert stream.content_type == "text/event-stream"
        line = await stream.content.readline()
        event = json.loads(line.decode().removeprefix("data: "))
    assert event["id"] == "health"
    assert "Meldinger er i karantene" in event["html"]


async def test_tokens_are_told_by_what_they_are_for(
    shelf: Shelf, vera: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A country has hundreds of each: their number, the oldest and the first to end, and each when asked for."""
    health = shelf.office.port.health
    found = await health.document(viewer())
    kind = {"client": "helseid", "scope": "nhn:jft/api"}
    tokens = [
        {**kind, "municipality": "nordfjell", "age": 70, "left": 500},
        {**kind, "municipality": "sorvik", "age": 30, "left": -5},
    ]

    async def document(_who: object) -> dict[str, object]:
        return {**found, "tokens": tokens}

    monkeypatch.setattr(health, "document", document)
    text = (await vera.get("/health")).unlabelled
    row = text[text.index("<code>nhn:jft/api</code>") :].partition("</tr>")[0]
    for told in ('class="number">2</td>', "1 min 10 s", "utløpt", "Nordfjell kommune", "Sørvik kommune"):
        assert told in row
