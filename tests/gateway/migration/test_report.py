"""How far the migration has come, cell by cell."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.config.load import load_text
from gateway.ledger.comparisons import ComparisonSummary
from gateway.ledger.decision_log import LastSeen
from gateway.ledger.rehearsals import Summary
from gateway.migration.report import UNREAD, CellRow, CellStatus, holding_back, rows

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
FILE = """\
version: 1
helseid: {issuer: "https://helseid.example", client_id: c, key_file: k}
upstreams:
  vkp: {kind: vkp, url: "https://vkp.example"}
  jft: {kind: jft, write_url: "https://w.example", read_url: "https://r.example", status: production}
municipalities:
  nordfjell: {name: N, orgnr: "312229544", epj: {system: Gerica, generation: legacy, reads: [jft]}}
  sorvik: {name: S, orgnr: "313231593", epj: {system: CosDoc, generation: legacy, reads: [jft]}}
vendors:
  dignio: {name: D, systems: {prevent: {name: P, senders: [{vkp_id: A, municipality: nordfjell}]}}}
  evondos: {name: E, systems: {e300: {name: E, senders: [{vkp_id: B, municipalities: all}]}}}
routes:
  - {mode: legacy}
  - {municipality: nordfjell, vendor: evondos, information: [medisinering], mode: new}
  - {municipality: nordfjell, vendor: dignio, information: [journaling], mode: rehearse}
  - {municipality: sorvik, information: [notat], mode: closed, text: Stengt}
"""


def reported(seen: tuple[LastSeen, ...] = (), rehearsals: tuple[Summary, ...] = ()) -> list[CellRow]:
    """Return the report on the file above."""
    loaded = load_text(FILE, "routes.yaml")
    assert loaded.config is not None, [str(problem) for problem in loaded.problems]
    assert loaded.table is not None
    return rows(loaded.config, loaded.table, seen, rehearsals, NOW)


def one(found: list[CellRow], *cell: str) -> CellRow:
    """Return the row of a cell."""
    (row,) = [row for row in found if (row.municipality, row.vendor, row.information) == cell]
    return row


def rehearsal(clean: int, refused: int) -> Summary:
    """Return what rehearsals of Dignio's alerts in Nordfjell showed."""
    return Summary("nordfjell", "dignio", "prevent", "varsel", {"clean": clean, "refused": refused}, (), 1)


def test_every_registered_cell_has_a_row_and_no_other() -> None:
    """Six types for each vendor where it may send; a sender for all municipalities has them in each."""
    found = reported()
    assert len(found) == 6 * 3
    assert {(row.municipality, row.vendor) for row in found} == {
        ("nordfjell", "dignio"),
        ("nordfjell", "evondos"),
        ("sorvik", "evondos"),
    }


def test_the_routes_in_force_say_how_far_a_cell_is() -> None:
    """Moved, rehearsing, closed, and the rest with VKP."""
    found = reported()
    assert one(found, "nordfjell", "evondos", "medisinering").standing is CellStatus.MOVED
    assert one(found, "nordfjell", "evondos", "varsel").standing is CellStatus.LEGACY
    assert one(found, "nordfjell", "dignio", "varsel").standing is CellStatus.REHEARSING
    assert one(found, "sorvik", "evondos", "notat").standing is CellStatus.CLOSED
    assert one(found, "nordfjell", "dignio", "varsel").epj == "Gerica"


@pytest.mark.parametrize(
    ("clean", "refused", "standing"),
    [
        (1000, 5, CellStatus.REHEARSED),
        (1000, 6, CellStatus.REHEARSING),
        (19, 0, CellStatus.REHEARSING),
        (20, 0, CellStatus.REHEARSED),
    ],
)
def test_rehearsed_clean_needs_enough_and_clean_messages(clean: int, refused: int, standing: CellStatus) -> None:
    """Few messages say nothing."""
    found = reported(rehearsals=(rehearsal(clean, refused),))
    assert one(found, "nordfjell", "dignio", "varsel").standing is standing


def test_who_still_needs_vkp_is_who_sends_there() -> None:
    """What was not seen holds nobody back, nor what has moved or is closed; unread messages count."""
    seen = (
        LastSeen("nordfjell", "dignio", "prevent", "varsel", "rehearse", 10, 5.0),
        LastSeen("nordfjell", "evondos", "e300", "medisinering", "new", 100, 6.0),
        LastSeen("sorvik", "evondos", "e300", "notat", "closed", 3, 7.0),
        LastSeen("sorvik", "evondos", "e300", None, "legacy", 40, 8.0),
    )
    found = reported(seen)
    assert one(found, "sorvik", "evondos", UNREAD).messages == 40
    assert holding_back(found) == {
        "vendor": {"dignio": 10, "evondos": 40},
        "epj": {"Gerica": 10, "CosDoc": 40},
        "municipality": {"nordfjell": 10, "sorvik": 40},
    }


@pytest.mark.parametrize(
    ("modes", "standing", "holds_back"),
    [
        (("legacy", "closed"), CellStatus.CLOSED, False),
        (("closed", "legacy"), CellStatus.LEGACY, True),
        (("epj",), CellStatus.EPJ, False),
        ((None,), CellStatus.LEGACY, True),
    ],
)
def test_what_was_not_read_stands_where_the_last_of_it_went(
    modes: tuple[str | None, ...], standing: CellStatus, *, holds_back: bool
) -> None:
    """No route says that: VKP is needed for it while it goes there."""
    seen = [LastSeen("sorvik", "evondos", "e300", None, mode, 20, 8.0 + at) for at, mode in enumerate(modes)]
    for order in (seen, seen[::-1]):
        row = one(reported(tuple(order)), "sorvik", "evondos", UNREAD)
        assert (row.standing, row.holds_back, row.messages) == (standing, holds_back, 20 * len(modes))


def test_what_was_seen_under_several_modes_is_added_up() -> None:
    """A cell that changed side within the time has one row with the last time."""
    seen = (
        LastSeen("nordfjell", "evondos", "e300", "medisinering", "legacy", 7, 5.0),
        LastSeen("nordfjell", "evondos", "e300", "medisinering", "new", 3, 6.0),
    )
    row = one(reported(seen), "nordfjell", "evondos", "medisinering")
    assert (row.messages, row.last_seen, row.holds_back) == (10, 6.0, False)


def test_retrieval_has_a_row_where_somebody_asks_or_it_has_begun_to_move() -> None:
    """And what its comparisons have shown; where a record system answers, VKP is not needed."""
    file = FILE + "  - {municipality: nordfjell, vendor: dignio, information: [pasientinfo], mode: closed, text: Nei}\n"
    loaded = load_text(file, "routes.yaml")
    assert loaded.config is not None
    assert loaded.table is not None
    seen = (LastSeen("nordfjell", "dignio", "prevent", "tjenester", "legacy", 3, 5.0),)
    compared = ComparisonSummary("nordfjell", "dignio", "prevent", "pasientinfo", {"equal": 3, "different": 1}, 1)
    found = rows(loaded.config, loaded.table, seen, (compared,), NOW)
    closed = one(found, "nordfjell", "dignio", "pasientinfo")
    assert (closed.standing, closed.rehearsed, closed.clean_share) == (CellStatus.CLOSED, 4, 0.75)
    asked = one(found, "nordfjell", "dignio", "tjenester")
    assert (asked.standing, asked.holds_back) == (CellStatus.LEGACY, True)
    assert len(found) == 6 * 3 + 2
