"""Whatever happens to one piece of work, somebody gets an answer, and the writer goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.ledger import database as module
from gateway.ledger.database import LedgerUnavailable

if TYPE_CHECKING:
    from gateway.ledger.database import Database


class _FullDisk:
    """A log on the disk that is full."""

    def error(self, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    warning = error


async def test_log_that_cannot_be_written_does_not_end_the_writer(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk that is full for the ledger is often full for the log: the failure is told, and the next work is done and said to be."""
    monkeypatch.setattr(module, "log", _FullDisk())
    async with asyncio.timeout(120):
        with pytest.raises(LedgerUnavailable):
            await store.write(lambda connection: connection.exec_driver_sql("SELECT * FROM nothing_of_the_kind"))
        assert await store.write(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()) == 1
