"""Whatever happens to one piece of work, somebody gets an answer, and the writer goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from gateway.ledger import writer as module
from gateway.ledger.database import LedgerUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

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


async def test_commit_that_fails_does_not_fail_the_next_work(store: Database) -> None:
    """Also where it leaves the transaction open, as SQLite does for what is checked only then: another could not begin."""
    if store.is_sqlite:
        event.listen(store.engine, "connect", lambda driver, _: driver.execute("PRAGMA foreign_keys = ON"))
        store.engine.dispose()
    made = ("CREATE TABLE one (id INTEGER PRIMARY KEY)", "CREATE TABLE other (one INTEGER REFERENCES one (id) {})")
    for statement in made:
        text = statement.format("DEFERRABLE INITIALLY DEFERRED")
        await store.write(lambda connection, text=text: connection.exec_driver_sql(text).rowcount)  # type: ignore[misc]

    def add(connection: Connection) -> int:
        return connection.exec_driver_sql("INSERT INTO one VALUES (1)").rowcount

    try:
        with pytest.raises(LedgerUnavailable):
            await store.write(lambda connection: connection.exec_driver_sql("INSERT INTO other VALUES (7)").rowcount)
        assert await store.write(add) == 1
        assert await store.read(lambda each: each.exec_driver_sql("SELECT count(*) FROM other").scalar_one()) == 0
    finally:
        await store.write(lambda connection: connection.exec_driver_sql("DROP TABLE other").rowcount)
        await store.write(lambda connection: connection.exec_driver_sql("DROP TABLE one").rowcount)
