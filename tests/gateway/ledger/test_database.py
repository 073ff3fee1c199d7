"""The database of the ledger: durable before it is told, in few transactions, and back by itself after a failure."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import stat
import threading
import traceback
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from sqlalchemy import Connection, Engine, event, func, insert, select, text

from gateway.ledger.database import Database, LedgerUnavailable, open_store
from gateway.ledger.tables import RUN
from tests.gateway.ledger.read_only import read_only
from tests.waiting import HANGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from concurrent.futures import Future

    from gateway.ledger.writer import Writer

SECRET = "65128312345"  # a synthetic number, as a value that no text may have

_REFUSES_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not that'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON run DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.job = 'refused') EXECUTE FUNCTION refuse();
"""


def note(connection: Connection, job: str, outcome: str = "") -> str:
    """Write one row."""
    connection.execute(insert(RUN).values(job=job, at=0.0, node="node", outcome=outcome))
    return job


def noted(connection: Connection) -> set[str]:
    """Return what was written."""
    return set(connection.execute(select(RUN.c.job)).scalars())


@contextmanager
def busy(store: Database | Writer) -> Iterator[None]:
    """Keep the writer busy, so that work waits."""
    begun, gate = threading.Event(), threading.Event()

    def block(_connection: Connection) -> None:
        begun.set()
        assert gate.wait(60)

    store.submit(block)
    assert begun.wait(HANGS)
    try:
        yield
    finally:
        gate.set()


@contextmanager
def each_transaction(engine: Engine, statement: str) -> Iterator[None]:
    """Run a statement at the beginning of every transaction, whatever its connection."""

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    event.listen(engine, "begin", begin)
    try:
        yield
    finally:
        event.remove(engine, "begin", begin)


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a ledger in a file."""
    opened = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path, patience=0.0)
    yield opened
    await opened.close()


async def test_work_that_waits_together_is_one_transaction(store: Database) -> None:
    """Hundreds of writes take as many transactions as there are batches, and each has its own result."""
    commits: list[Connection] = []
    event.listen(store.engine, "commit", commits.append)
    with busy(store):
        waiting = [store.submit(partial(note, job=f"job-{number}")) for number in range(500)]
    found = await asyncio.gather(*map(asyncio.wrap_future, waiting))
    assert found == [f"job-{number}" for number in range(500)]
    assert len(commits) == 3  # the one that kept the writer busy, and 256 at most in each
    assert len(await store.read(noted)) == 500


async def test_work_of_one_turn_of_the_loop_is_one_transaction(store: Database) -> None:
    """Also while the writer has nothing to do: it is woken when all that is ready has run."""
    seen: list[Any] = []

    def work(connection: Connection) -> None:
        seen.append(connection.get_transaction())

    await asyncio.gather(*(store.write(work) for _ in range(5)))
    assert len(seen) == 5
    assert len(set(seen)) == 1


async def test_result_is_there_only_when_another_connection_sees_the_work(store: Database) -> None:
    """At the moment when a result is told, what it is of is committed."""
    seen: list[set[str]] = []

    def look(_done: Future[str]) -> None:
        with store.engine.connect() as connection:
            seen.append(noted(connection))

    with busy(store):
        waiting = [store.submit(partial(note, job=job)) for job in ("a", "b")]
        for future in waiting:
            future.add_done_callback(look)
    await asyncio.gather(*map(asyncio.wrap_future, waiting))
    # The last result's callback may still be running when its waiter is told.
    await store.write(lambda _: None)
    assert seen == [{"a", "b"}, {"a", "b"}]


async def test_nothing_is_told_and_nothing_stays_when_the_disk_refuses_the_commit(sqlite_store: Database) -> None:
    """SQLite writes at the commit: when that fails every piece fails, and when there is room again it goes on."""
    store = sqlite_store
    await store.write(partial(note, job="before"))
    written = Path(f"{store.engine.url.database}-wal").stat().st_size  # noqa: ASYNC240 - nothing else runs here
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with busy(store):
        waiting = [store.submit(partial(note, job=job)) for job in ("a", "b")]
        resource.setrlimit(resource.RLIMIT_FSIZE, (written, limits[1]))
    found = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [str(error) for error in found] == ["the disk fails, see to it (SQLITE_IOERR_WRITE)"] * 2
    assert await store.read(noted) == {"before"}
    await store.write(partial(note, job="after"))
    assert await store.read(noted) == {"before", "after"}


async def test_nothing_is_told_and_nothing_stays_when_the_server_refuses_the_commit(
    postgres: str, tmp_path: Path
) -> None:
    """PostgreSQL checks some things at the commit only; what shared the transaction is done without what failed."""
    store = await asyncio.to_thread(open_store, postgres, tmp_path)
    await store.write(lambda connection: connection.exec_driver_sql(_REFUSES_AT_COMMIT).rowcount)
    with busy(store):
        waiting = [store.submit(partial(note, job=job)) for job in ("a", "refused", "b")]
    found = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
    assert (found[0], str(found[1]), found[2]) == ("a", "P0001", "b")
    assert await store.read(noted) == {"a", "b"}
    await store.close()


async def test_piece_of_work_that_fails_fails_alone(store: Database) -> None:
    """What waits in the same transaction is done, and of the failed ones nothing stays."""

    def defect(connection: Connection) -> None:
        note(connection, "half")
        raise ValueError("a defect")

    def wrong(connection: Connection) -> None:
        note(connection, "half")
        note(connection, "half")

    with busy(store):
        pieces = (partial(note, job="a"), defect, partial(note, job="b"), wrong, partial(note, job="c"))
        waiting = [store.submit(piece) for piece in pieces]
    found = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
    assert (found[0], found[2], found[4]) == ("a", "b", "c")
    assert isinstance(found[1], ValueError)
    assert isinstance(found[3], LedgerUnavailable)
    assert await store.read(noted) == {"a", "b", "c"}


async def test_cancelled_work_that_waits_is_not_done(store: Database) -> None:
    """Whoever gave up finds nothing written, and the others of its transaction are."""
    with busy(store):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await store.write(partial(note, job="cancelled"))
        others = store.submit(partial(note, job="other"))
    await asyncio.wrap_future(others)
    assert await store.read(noted) == {"other"}


async def test_work_under_way_cannot_be_cancelled(store: Database) -> None:
    """Nobody is told that it was not done when it was."""
    begun, gate = threading.Event(), threading.Event()

    def work(connection: Connection) -> str:
        begun.set()
        assert gate.wait(60)
        return note(connection, "done")

    future = store.submit(work)
    assert await asyncio.to_thread(begun.wait, 60)
    assert not future.cancel()
    gate.set()
    assert await asyncio.wrap_future(future) == "done"


async def test_ledger_that_may_only_be_read_is_unavailable_and_comes_back(store: Database) -> None:
    """Writing fails, reading goes on, and afterwards nobody has to do anything."""
    await store.write(partial(note, job="before"))
    refusing = (
        read_only(store.engine) if store.is_sqlite else each_transaction(store.engine, "SET TRANSACTION READ ONLY")
    )
    with refusing:
        for job in ("a", "b"):
            with pytest.raises(
                LedgerUnavailable,
                match=r"^(its file may not be written, see to .* \(SQLITE_READONLY\)|.* primary one \(25006\))$",
            ):
                await store.write(partial(note, job=job))
        assert await store.read(noted) == {"before"}
    await store.write(partial(note, job="after"))
    assert await store.read(noted) == {"before", "after"}


async def test_full_disk_is_unavailable_and_the_ledger_comes_back(sqlite_store: Database) -> None:
    """Writing fails while there is no room, of what failed nothing is there, and afterwards it goes on."""
    store = sqlite_store
    large = partial(note, outcome="x" * 1_000_000)
    await store.write(partial(note, job="before"))
    with each_transaction(store.engine, "PRAGMA max_page_count = 1"):  # as many as there are
        with busy(store):
            waiting = [store.submit(partial(large, job=f"large-{number}")) for number in range(3)]
        for future in waiting:
            with pytest.raises(LedgerUnavailable, match=r"^the disk is full, make room on it \(SQLITE_FULL\)$"):
                await asyncio.wrap_future(future)
        assert await store.read(noted) == {"before"}
    with each_transaction(store.engine, "PRAGMA max_page_count = 1000000"):
        await store.write(partial(large, job="after"))
    assert await store.read(noted) == {"before", "after"}


async def test_lost_connections_are_opened_anew(postgres: str, tmp_path: Path) -> None:
    """When PostgreSQL has restarted, one write fails at most; then it goes on by itself."""
    store = await asyncio.to_thread(open_store, postgres, tmp_path)
    others = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await store.write(partial(note, job="before"))
    ended = await store.read(lambda connection: connection.execute(text(others)).scalars().all())
    assert ended
    assert all(ended), "each has ended before it goes on"
    with pytest.raises(LedgerUnavailable):
        await store.write(partial(note, job="lost"))
    await store.write(partial(note, job="after"))
    assert await store.read(noted) == {"before", "after"}
    await store.close()


@pytest.mark.parametrize("way", ["write", "read"])
async def test_failure_never_tells_values(store: Database, way: str) -> None:
    """Neither an exception, nor its traceback, nor the log has what a statement was about."""

    def twice(connection: Connection) -> None:
        note(connection, SECRET, SECRET)
        note(connection, SECRET, SECRET)

    with structlog.testing.capture_logs() as logged, pytest.raises(LedgerUnavailable) as raised:
        await getattr(store, way)(twice)
    told = [str(raised.value), repr(raised.value), *traceback.format_exception(raised.value), str(logged)]
    assert not [line for line in told if SECRET in line]
    assert str(raised.value) in ("SQLITE_CONSTRAINT_PRIMARYKEY", "23505")


async def test_closing_finishes_what_waits(ledger_url: str, tmp_path: Path) -> None:
    """What was given to the store before it closes is done."""
    store = await asyncio.to_thread(open_store, ledger_url, tmp_path)
    with busy(store):
        waiting = [store.submit(partial(note, job=f"job-{number}")) for number in range(300)]
    await store.close()
    assert all(future.done() and future.exception() is None for future in waiting)
    again = await asyncio.to_thread(open_store, ledger_url, tmp_path, patience=0.0)
    count = select(func.count()).select_from(RUN)
    assert await again.read(lambda connection: connection.execute(count).scalar_one()) == 300
    await again.close()


async def test_closed_ledger_is_unavailable(ledger_url: str, tmp_path: Path) -> None:
    """Whoever still has it is told, and does not wait for ever."""
    store = await asyncio.to_thread(open_store, ledger_url, tmp_path, patience=0.0)
    await store.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await store.write(partial(note, job="late"))


async def test_file_is_durable_and_for_its_owner_alone(sqlite_store: Database, tmp_path: Path) -> None:
    """SQLite writes ahead and waits for the disk at every commit, and nobody else may read what it writes."""
    pragmas = ("journal_mode", "synchronous")

    def settings(connection: Connection) -> list[object]:
        note(connection, "job")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]

    assert await sqlite_store.write(settings) == ["wal", 2]
    files = sorted(tmp_path.glob("ledger.db*"))  # noqa: ASYNC240 - nothing else runs here
    assert {file.name for file in files} >= {"ledger.db", "ledger.db-wal", "ledger.db.lock"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        assert connection.execute("SELECT job FROM run").fetchall() == [("job",)]
    connection.close()


async def test_loop_is_woken_once_for_all_that_a_transaction_did(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that waits gets its own result; waking the loop for each would cost more than the work."""
    loop, woken = asyncio.get_running_loop(), []
    call = loop.call_soon_threadsafe

    def counted(*what: Any, **how: Any) -> Any:
        woken.append(what)
        return call(*what, **how)

    with busy(store):
        waiting = [loop.create_task(store.write(partial(note, job=f"job-{number}"))) for number in range(20)]
        await asyncio.sleep(0)
        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    assert await asyncio.gather(*waiting) == [f"job-{number}" for number in range(20)]
    assert len(woken) == 1


async def test_work_that_nobody_waits_for_any_more_is_not_done(store: Database) -> None:
    """It was given up before its turn came; what came with it is done."""
    loop = asyncio.get_running_loop()
    with busy(store):
        given_up, other = (loop.create_task(store.write(partial(note, job=job))) for job in ("a", "b"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
    assert await other == "b"
    assert await store.read(noted) == {"b"}


async def test_read_whose_reader_is_gone_has_ended_when_the_ledger_is_closed(ledger_url: str, tmp_path: Path) -> None:
    """Its connection would outlive the ledger, and PostgreSQL would keep it."""
    store = await asyncio.to_thread(open_store, ledger_url, tmp_path, patience=0.0)
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        begun.set()
        gate.wait(HANGS)
        ended.set()

    reading = asyncio.get_running_loop().create_task(store.read(slow))
    await asyncio.to_thread(begun.wait, 60)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    closing = asyncio.get_running_loop().create_task(store.close())
    gate.set()
    await closing
    assert ended.is_set()
