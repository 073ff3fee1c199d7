"""What `doctor` says of the clock by which the ledger is cleared away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.cli.doctor.installation.findings import FindingState
from gateway.cli.doctor.installation.machine import check_ledger_clock
from gateway.ledger.database import open_store
from gateway.ledger.retention import doubt
from gateway.times import DAY

if TYPE_CHECKING:
    from pathlib import Path

NOW, STORE = 1_780_000_000.0, "sqlite:///ledger.db"


@pytest.mark.parametrize(
    ("ahead", "later", "state"),
    [
        (0.0, 60.0, FindingState.OK),
        (0.0, 8000.0, FindingState.WARNING),
        (15 * DAY, 60.0, FindingState.WARNING),
        (15 * DAY, DAY, FindingState.WARNING),
    ],
)
async def test_a_clock_that_may_be_ahead_is_told(
    tmp_path: Path, ahead: float, later: float, state: FindingState
) -> None:
    """As long as nothing is cleared away by it, and where no node has looked at it for long."""
    store = await asyncio.to_thread(open_store, STORE, tmp_path)
    for now in (NOW, NOW + ahead):
        await store.write(lambda each, now=now: doubt(each, now, 0.0, "node"))
    await store.close()
    (found,) = check_ledger_clock(STORE, tmp_path, NOW + ahead + later)
    assert found.state is state


def test_nothing_is_told_where_there_is_no_ledger(tmp_path: Path) -> None:
    """There is nothing to clear away."""
    assert check_ledger_clock(STORE, tmp_path, NOW) == []
