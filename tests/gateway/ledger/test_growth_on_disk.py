"""How much the ledger takes on the disk for what it writes about every message, and that docs/ledger.md says so."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.ledger.crypto import LookupHasher
from gateway.ledger.database import open_store
from gateway.ledger.decision_log import decision_of, write
from gateway.ledger.messages import Ledger
from gateway.ledger.records import PassedNote
from gateway.model import Account, Envelope, Information, Mode
from gateway.pipeline.context import CorrelationIds
from tests.gateway.clocks import FakeClock
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ledger.database import Database

PAGE = Path(__file__).parents[3] / "docs" / "ledger.md"
COUNT, AT_ONCE, A_SECOND = 20_000, 500, 100
NEARLY = 0.1
"""How far from what was measured a number of the page may be."""


def passed(references: CorrelationIds) -> Account:
    """Return the account of an ordinary message that VKP took."""
    sender, information = "Evondos_E300_Nordfjell", Information.MEDISINERING
    envelope = Envelope("vkp-r4", "nordfjell", sender, "evondos", "e300", information)
    return Account(references.next(), envelope, Mode.LEGACY, "vkp", "routes.yaml:124:5", "passed", layer="routes")


async def decisions(ledger: Ledger, accounts: list[tuple[Account, float]]) -> None:
    """Write rows of the decision log."""
    rows = [decision_of(account, at, 0.0123) for account, at in accounts]
    await ledger.store.write(lambda connection: write(connection, rows))


async def notes(ledger: Ledger, accounts: list[tuple[Account, float]]) -> None:
    """Write notes of what VKP took, each a message of its own."""
    hashed = LookupHasher(bytes(32)).hash
    known = [(hashed("identity", one.correlation_id), hashed("copy", one.correlation_id)) for one, _ in accounts]
    await ledger.note_passed([PassedNote(one, by, 200, at) for (one, at), by in zip(accounts, known, strict=True)])


async def size(store: Database) -> int:
    """Return the bytes of the file that are in use."""
    pragmas = ("page_count", "freelist_count", "page_size")
    pages, free, each = await store.read(
        lambda connection: [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    )
    return (pages - free) * each


@pytest.mark.slow
@pytest.mark.parametrize(
    ("add", "said"),
    [(decisions, r"decision log takes some (\d+) bytes"), (notes, r"a note of what VKP took some (\d+)")],
    ids=["decision", "note"],
)
async def test_page_says_what_a_message_takes(
    tmp_path: Path, add: Callable[[Ledger, list[tuple[Account, float]]], Awaitable[None]], said: str
) -> None:
    """With all indexes, on SQLite: who plans a disk multiplies by it."""
    ledger = Ledger(await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path), "node-a", FakeClock())
    references, before = CorrelationIds(), await size(ledger.store)
    for first in range(0, COUNT, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        await add(ledger, [(passed(references), NOW + number / A_SECOND) for number in numbers])
    taken = (await size(ledger.store) - before) / COUNT
    await ledger.store.close()
    found = re.search(said, PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert float(found[1]) == pytest.approx(taken, rel=NEARLY)


def test_page_multiplies_rightly() -> None:
    """Bytes a row, a hundred rows a second, day and night."""
    page = PAGE.read_text(encoding="utf-8")
    rows = re.search(r"takes some (\d+) bytes.*took some (\d+): at 100 messages a second", page)
    days = re.search(r"^([\d.]+) GB and ([\d.]+) GB a day", page, re.MULTILINE)
    assert rows is not None
    assert days is not None
    for each, whole in zip(rows.groups(), days.groups(), strict=True):
        assert float(whole) == pytest.approx(int(each) * A_SECOND * 86_400 / 1e9, abs=0.06)
