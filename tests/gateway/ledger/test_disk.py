"""The disk: what is cleared away is given back, the log of writes stays short, and what is wrong with a file is said."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from gateway.errors import StartupError
from gateway.ledger import database
from gateway.ledger.database import FileBounds, LedgerUnavailable, open_store
from gateway.ledger.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from gateway.ledger.database import Database
    from tests.gateway.world import Logged

URL, MEGABYTE = "sqlite:///ledger.db", 1024 * 1024


def fill(connection: Connection, rows: int) -> None:
    """Write a megabyte for each row."""
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS filling (some BLOB)")
    for _ in range(rows):
        connection.exec_driver_sql("INSERT INTO filling VALUES (randomblob(?))", (MEGABYTE,))


async def opened(folder: Path, **bounds: float) -> Database:
    """Open the ledger of a folder."""
    return await asyncio.to_thread(open_store, URL, folder, bounds=FileBounds(**bounds))  # type: ignore[arg-type] # whole bytes


async def test_log_of_writes_is_emptied_once_a_long_reader_has_ended(tmp_path: Path) -> None:
    """While it reads nobody waits; afterwards nothing is left of what had gathered, though nothing is written any more."""
    store, log = await opened(tmp_path, log=MEGABYTE), tmp_path / "ledger.db-wal"
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchall()
        for _ in range(4):
            await store.write(lambda each: fill(each, 1))
        await store.tidy()
        assert log.stat().st_size > 4 * MEGABYTE
    await store.tidy()
    assert log.stat().st_size == 0
    await store.close()


async def is_given_back(store: Database, file: Path) -> bool:
    """Fill the file, clear it, and tell whether the disk has its space again."""
    await store.write(lambda each: fill(each, 8))
    await store.write(lambda each: each.exec_driver_sql("DELETE FROM filling").rowcount)
    await store.tidy()
    await asyncio.to_thread(database._shorten_log, str(file), 0)
    return (await asyncio.to_thread(file.stat)).st_size < 3 * MEGABYTE


@pytest.mark.parametrize(("bounds", "all_of_it"), [({}, True), ({"vacuums": 1}, False)])
async def test_what_is_cleared_away_is_given_back(tmp_path: Path, bounds: dict[str, int], *, all_of_it: bool) -> None:
    """To the disk; each time a bounded part."""
    store = await opened(tmp_path, log=0, **bounds)
    assert await is_given_back(store, tmp_path / "ledger.db") is all_of_it
    await store.close()


@pytest.mark.parametrize("most", [MEGABYTE, 0])
async def test_file_of_an_earlier_version_is_brought_to_it(tmp_path: Path, logged: Logged, most: int) -> None:
    """Once, at a start, where it is not too large; else the log says what to do."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as earlier:
        earlier.execute("CREATE TABLE filling (some BLOB)")
        earlier.commit()
    store = await opened(tmp_path, log=0, rewritten=most)
    assert await is_given_back(store, tmp_path / "ledger.db") is bool(most)
    assert len(logged.named("ledger.space_is_kept")) == (not most)
    await store.close()


async def test_file_of_an_earlier_version_that_cannot_be_written_anew_is_used_as_it_is(
    tmp_path: Path, logged: Logged
) -> None:
    """All but its size is as it should be: another tool on the file, or a full disk, keeps no gateway from starting."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as earlier:
        earlier.execute("CREATE TABLE filling (some BLOB)")
    await (await opened(tmp_path, rewritten=-1)).close()
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store = await opened(tmp_path, busy=0.0)
        other.execute("ROLLBACK")
    assert [one["reason"] for one in logged.named("ledger.space_is_kept")] == ["too large", "SQLITE_BUSY"]
    await store.write(lambda each: fill(each, 1))
    await store.close()
    await (await opened(tmp_path)).close()
    assert len(logged.named("ledger.space_is_kept")) == 2


async def test_outage_is_told_once_and_its_end_with_how_much_failed(store: Database, logged: Logged) -> None:
    """However many pieces of work fail, and also where some succeed meanwhile; it is over when none has failed for a while."""
    now = 100.0
    writer = Writer(store.engine, quiet=10.0, monotonic=lambda: now)
    for _ in range(2):
        for _ in range(5):
            with pytest.raises(LedgerUnavailable):
                await writer.write(lambda each: each.exec_driver_sql("SELECT * FROM nothing"))
            await writer.write(lambda each: each.exec_driver_sql("SELECT 1").scalar_one())
            now += 9.0
        now += 1.0
        await writer.write(lambda each: each.exec_driver_sql("SELECT 1").scalar_one())
    await writer.close()
    assert len(logged.named("ledger.unavailable")) == 2
    assert [one["failures"] for one in logged.named("ledger.available")] == [5, 5]


@pytest.mark.parametrize("what", ["EROFS", "SQLITE_READONLY"])
def test_disk_that_is_read_only_at_a_start_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Which file, and what helps, whoever of the two notices first."""
    if what == "EROFS":

        def refused(*_: object) -> object:
            raise OSError(30, "Read-only file system", str(tmp_path / "ledger.db"))

        monkeypatch.setattr(database, "_sqlite", refused)
    else:
        make, file = database._sqlite, tmp_path / "ledger.db"
        sqlite3.connect(file).close()

        def read_only(path: Path, bounds: FileBounds) -> object:
            engine = make(path, bounds)
            return database.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true") if engine else engine

        monkeypatch.setattr(database, "_sqlite", read_only)
    with pytest.raises(StartupError) as refusal:
        open_store(URL, tmp_path)
    said = str(refusal.value)
    assert "remount the disk" in said
    assert ("ledger.db: Read-only file system" in said) or "SQLITE_READONLY" in said


async def test_writer_waits_for_a_lock_and_readers_take_none(tmp_path: Path) -> None:
    """Another tool on the file, or the shortening of its log, makes nobody's message fail."""
    store = open_store(URL, tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.engine.dispose()
        assert await store.read(lambda each: each.exec_driver_sql("SELECT count(*) FROM message").scalar_one()) == 0
        written = store.submit(_read_and_write)
        with pytest.raises(TimeoutError):
            written.result(0.2)
        other.execute("COMMIT")
        assert await asyncio.wrap_future(written) == 0
    await store.close()


def _read_and_write(connection: Connection) -> int:
    rows = connection.exec_driver_sql("SELECT count(*) FROM run").scalar_one()
    connection.exec_driver_sql("DELETE FROM run")
    return int(rows)


async def test_nothing_is_promised_in_a_file_that_was_moved(tmp_path: Path) -> None:
    """Nor removed, nor replaced: what is written to it is lost at the next start. With the file back all goes on."""
    store, file, elsewhere = await opened(tmp_path), tmp_path / "ledger.db", tmp_path / "elsewhere"
    await store.write(lambda each: fill(each, 1))
    file.rename(elsewhere)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="its file was moved, removed or replaced"):
            await store.write(lambda each: fill(each, 1))
        file.write_bytes(b"another")
    elsewhere.replace(file)
    await store.write(lambda each: fill(each, 1))
    await store.close()
