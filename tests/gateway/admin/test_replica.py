"""The local copies at the admin port and on the command line: how old each is, how far the next one has come, and made anew."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from msgspec import structs
from sqlalchemy import Connection, insert

from gateway.cli.main import main
from gateway.ledger.tables import REPLICA_FEED
from gateway.replica import feeds
from gateway.replica.feeds import FeedKey, Generation
from gateway.times import when
from tests.gateway.admin.overriding import send
from tests.gateway.cli.test_messages import token
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office

ANSWERS = Generation(
    *("nordfjell", "pit", 3, "m", NOW - 7200, "2026-01-01T00:00:00Z"),
    complete_at=NOW - 7000,
    fresh_at=NOW - 30,
    pages=200,
    entries=9_950,
)
MADE = Generation(
    *("nordfjell", "pit", 4, "m", NOW - 60, "1900-01-01T00:00Z"),
    asked_at=NOW - 60,
    read_to="2026-02-03T04:05:06.000+00:00",
    pages=20,
    entries=1_000,
)
OLD = structs.replace(ANSWERS, municipality="sorvik", fresh_at=NOW - 100_000, entries=7)


@pytest.fixture(autouse=True)
async def copied(shelf: Shelf) -> None:
    """Put two copies there: one that answers and is made anew, and one whose PIT is away."""

    def work(connection: Connection) -> None:
        known = {"source": "pit", "serving": 3, "owner": "node-1", "failures": 0}
        away = {"failures": 4, "failure": "pit cannot be asked", "failed_at": NOW - 5}
        rows = [{**known, "municipality": "nordfjell", "failure": None, "failed_at": None}]
        connection.execute(insert(REPLICA_FEED), [*rows, {**known, **away, "municipality": "sorvik"}])
        for one in (ANSWERS, MADE, OLD):
            feeds.begin_generation(connection, one)

    await shelf.ledger.store.write(work)


async def _generations(shelf: Shelf) -> list[int]:
    key = FeedKey("nordfjell", "pit")
    return [one.generation for one in await shelf.ledger.store.read(lambda each: feeds.generations(each, key))]


async def test_copies_are_shown_to_who_may_view_the_municipality(olga: Browser, nora: Browser) -> None:
    """With what is being made, and what went wrong last."""
    first, second = (await olga.get("/api/v1/replica")).json["copies"]
    assert (first["state"], first["patients"], first["age"]) == ("answers", 9_950, 30)
    assert {name: first["making"][name] for name in ("generation", "pages", "patients")} == {
        "generation": 4,
        "pages": 20,
        "patients": 1_000,
    }
    assert (second["state"], second["failures"], second["failure"]) == ("old", 4, "pit cannot be asked")
    assert second["making"] is None
    assert len((await nora.get("/api/v1/replica")).json["copies"]) == 1
    assert (await nora.get("/api/v1/replica?municipality=sorvik")).json["copies"] == []


@pytest.mark.parametrize(("from_nothing", "serving"), [(False, 3), (True, None)])
async def test_copy_is_made_anew_by_who_operates_there(
    from_nothing: bool,
    serving: int | None,
    olga: Browser,
    nora: Browser,
    shelf: Shelf,
) -> None:
    """What answers goes on answering, unless that is said; the audit knows who and why."""
    asked = {"reason": "Feil data", "from_nothing": from_nothing}
    answer = await send(olga, "POST", "/api/v1/replica/312229544/rebuild", asked)
    assert (answer.status, answer.json["municipality"]) == (200, "nordfjell")
    assert await _generations(shelf) == ([3, 4] if serving else [1])
    feed = await shelf.ledger.store.read(lambda each: feeds.feed(each, FeedKey("nordfjell", "pit")))
    assert feed is not None
    assert feed.serving == serving
    entry = (await olga.get("/api/v1/audit")).json["entries"][0]
    assert (entry["action"], entry["target"], entry["reason"]) == ("replica.rebuild", "nordfjell", "Feil data")
    assert (await send(nora, "POST", "/api/v1/replica/sorvik/rebuild", asked)).status in (403, 404)
    assert (await send(olga, "POST", "/api/v1/replica/nowhere/rebuild", asked)).status == 404


async def test_command_tells_how_far_copies_are(office: Office, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """As lines for people, and as the API has it for programs; exit 1 where one answers nothing."""
    monkeypatch.setenv("VKP_GATEWAY_ADMIN", office.address)
    monkeypatch.setenv("VKP_GATEWAY_TOKEN_FILE", await token(office, "operator"))

    async def asked(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["replica", *arguments])

    told = await asked("status")
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [
        "nordfjell  pit  answers, 30 s old, 9950 patients",
        f"    generation 4 is made since {when(MADE.began_at)}: 1000 patients in 20 pages, read to {MADE.read_to}",
        "sorvik  pit  TOO OLD, answers nothing, 100000 s old, 7 patients",
        f"    failed 4 times in a row, at {when(NOW - 5)}: pit cannot be asked",
    ]
    assert (await asked("status", "--municipality", "nordfjell")).exit_code == 0
    assert len(json.loads((await asked("status", "--json")).stdout)["copies"]) == 2
    made = await asked("rebuild", "nordfjell", "--reason", "Feil data")
    assert (made.exit_code, await _generations(shelf)) == (0, [3, 4])
