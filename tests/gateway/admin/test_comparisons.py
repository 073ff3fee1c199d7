"""What comparisons have shown, at the admin port and on the command line: cells, what differs, and never a value."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.ledger import comparisons
from gateway.ledger.comparisons import Compared, Differing, Sighting, day_of
from tests.gateway.admin.shelf import at
from tests.gateway.cli.test_messages import token
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office

CELL, OTHER = ("nordfjell", "evondos", "e300", "pasientinfo"), ("sorvik", "", "", "tjenester")
NAME, PHONE = Differing(*CELL, "Patient.name", "different"), Differing(*CELL, "Patient.telecom", "missing")


@pytest.fixture(autouse=True)
async def compared(shelf: Shelf) -> None:
    """Put the comparisons of two cells there."""
    day = day_of(NOW)
    counts = {
        Compared(day, *CELL, "equal"): 2,
        Compared(day, *CELL, "accepted"): 1,
        Compared(day, *CELL, "different"): 1,
        Compared(day, *CELL, "new-failed"): 1,
        Compared(day - 8, *CELL, "equal"): 5,
        Compared(day, *OTHER, "equal"): 2,
    }
    found = {NAME: Sighting(1, 2, False, NOW, "r-1"), PHONE: Sighting(3, 3, True, NOW - 60, "r-2")}
    await shelf.ledger.store.write(lambda each: comparisons.add(each, counts, found))


async def test_comparisons_are_shown_to_who_may_view_the_municipality(olga: Browser, nora: Browser) -> None:
    """Cell by cell, of seven days, with what differs, the most frequent first."""
    first, second = (await olga.get("/api/v1/comparisons")).json["comparisons"]
    assert (first["municipality"], first["compared"], first["clean_share"]) == ("nordfjell", 4, 0.6)
    assert first["counts"] == {"equal": 2, "accepted": 1, "different": 1, "new-failed": 1}
    assert [(one["path"], one["kind"], one["accepted"]) for one in first["differences"]] == [
        ("Patient.telecom", "missing", True),
        ("Patient.name", "different", False),
    ]
    assert first["differences"][1] == {
        "fingerprint": NAME.fingerprint,
        "path": "Patient.name",
        "kind": "different",
        "answers": 1,
        "places": 2,
        "accepted": False,
        "first_seen": at(NOW).replace("+00:00", "Z"),
        "last_seen": at(NOW).replace("+00:00", "Z"),
        "correlation_id": "r-1",
    }
    assert (second["vendor"], second["differences"]) == (None, [])
    for who, query, number in (
        (nora, "", 1),
        (nora, "?municipality=sorvik", 0),
        (olga, "?municipality=313231593", 1),
        (olga, "?vendor=evondos&information=pasientinfo", 1),
        (olga, f"?fingerprint={NAME.fingerprint}", 1),
        (olga, "?fingerprint=0123456789ab", 0),
    ):
        assert len((await who.get(f"/api/v1/comparisons{query}")).json["comparisons"]) == number
    since = at(NOW - 9 * 86_400).replace("+", "%2B")
    assert (await olga.get(f"/api/v1/comparisons?since={since}")).json["comparisons"][0]["compared"] == 9
    assert (await olga.get("/api/v1/comparisons?fingerprint=x")).status == 400


async def test_command_lists_cells_and_shows_one_difference(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """As lines for people, and as the API has it for programs."""
    monkeypatch.setenv("VKP_GATEWAY_ADMIN", office.address)
    monkeypatch.setenv("VKP_GATEWAY_TOKEN_FILE", await token(office, "viewer"))

    async def asked(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["comparison", *arguments])

    lines = (await asked("list")).stdout.splitlines()
    assert lines[0].startswith("nordfjell  evondos  e300  pasientinfo  compared 4, 60.0% clean  (accepted 1, ")
    assert lines[1].strip() == f"{PHONE.fingerprint}  Patient.telecom missing  in 3 answers, 3 places  accepted"
    assert lines[2].strip() == f"{NAME.fingerprint}  Patient.name different  in 1 answer, 2 places"
    shown = (await asked("show", NAME.fingerprint)).stdout
    assert "counts" in shown
    assert "in r-1" in shown
    assert json.loads((await asked("list", "--json")).stdout)["comparisons"][0]["compared"] == 4
    assert (await asked("show", "0123456789ab")).exit_code == 1
