"""The page for health, in words; what it tells is tested where it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ledger import nodes

if TYPE_CHECKING:
    from sqlalchemy import Connection

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


async def test_reader_of_one_municipality_sees_what_is_of_it(shelf: Shelf, nora: Browser) -> None:
    """What waits elsewhere is not counted."""
    await shelf.quarantined("one", municipality="sorvik")
    page = await nora.get("/health")
    assert (page.status, "Ingen meldinger venter" in page.text) == (200, True)
    assert (await nora.get("/api/v1/health")).json["backlog"] == []
