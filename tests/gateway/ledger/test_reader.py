"""Short readings: together, each with its own result, and back by themselves after a failure."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, event, insert, select, text

from gateway.ledger.database import Database, LedgerUnavailable, open_store
from gateway.ledger.reader import Reader
from gateway.ledger.tables import RUN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def note(connection: Connection, job: str) -> None:
    """Write one row."""
    connection.execute(insert(RUN).values(job=job, at=0.0, node="node", outcome=""))


def noted(connection: Connection) -> list[str]:
    """Return what was written."""
    return list(connection.scalars(select(RUN.c.job).order_by(RUN.c.job)))


@asynccontextmanager
async def busy(reader: Reader) -> AsyncIterator[None]:
    """Keep a reader busy, so that work waits."""
    begun, gate = threading.Event(), threading.Event()

    def block(_connection: Connection) -> None:
        begun.set()
        assert gate.wait(60)

    task = asyncio.get_running_loop().create_task(reader.read(block))
    assert await asyncio.to_thread(begun.wait, 60)
    try:
        yield
    finally:
        gate.set()
        await task


async def test_reading_sees_what_was_written_before_it(store: Database) -> None:
    """On both databases."""
    for job in ("a", "b"):
        await store.write(partial(note, job=job))
        assert (await store.look_up(noted))[-1] == job


async def test_what_waits_is_read_together_and_each_has_its_own_result(store: Database) -> None:
    """Sixty searches that come at once take a few transactions, and the event loop is woken for each of these alone."""
    reader, loop = Reader(store.engine), asyncio.get_running_loop()
    begun: list[object] = []
    async with busy(reader):
        waiting = [loop.create_task(reader.read(lambda _, own=number: own)) for number in range(60)]
        await asyncio.sleep(0)
        event.listen(store.engine, "begin", begun.append)
    assert await asyncio.gather(*waiting) == list(range(60))
    assert len(begun) <= 3
    await reader.close(5.0)


async def test_one_that_fails_fails_alone(store: Database) -> None:
    """Those before and after it have their results, also where it was the database that failed."""

    def defect(_connection: Connection) -> None:
        raise KeyError("a defect")

    def wrong(connection: Connection) -> None:
        connection.execute(text("SELECT nothing FROM nowhere"))

    reader = Reader(store.engine)
    for failing, kind in ((defect, KeyError), (wrong, LedgerUnavailable)):
        with pytest.raises(kind) as raised:
            await reader.read(failing)
        assert "nowhere" not in str(raised.value)
        assert await reader.read(noted) == []
    await reader.close(5.0)


async def test_connection_that_is_gone_is_opened_anew(store: Database) -> None:
    """One reading fails at most, and then it goes on by itself."""

    def close(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.close()

    reader = Reader(store.engine)
    with pytest.raises(LedgerUnavailable):
        await reader.read(lambda connection: (close(connection), noted(connection)))
    assert await reader.read(noted) == []
    await reader.close(5.0)


async def test_what_nobody_waits_for_any_more_is_not_read(store: Database) -> None:
    """A sender that has left costs nothing; what came with it is read."""
    reader, loop, read = Reader(store.engine), asyncio.get_running_loop(), []
    async with busy(reader):
        given_up, other = (loop.create_task(reader.read(lambda _, own=own: read.append(own))) for own in ("a", "b"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
    await other
    assert read == ["b"]
    await reader.close(5.0)


async def test_closing_finishes_what_waits_and_takes_no_more(store: Database) -> None:
    """Whoever comes later is told at once."""
    reader, loop = Reader(store.engine), asyncio.get_running_loop()
    async with busy(reader):
        waiting = [loop.create_task(reader.read(noted)) for _ in range(3)]
        await asyncio.sleep(0)
    await reader.close(5.0)
    assert await asyncio.gather(*waiting) == [[], [], []]
    with pytest.raises(LedgerUnavailable, match="closed"):
        await reader.read(noted)


async def test_no_more_waits_than_memory_has_room_for(store: Database) -> None:
    """A disk that hangs is told to who comes next."""
    reader = Reader(store.engine, most_waiting=1)
    async with busy(reader):
        first = asyncio.get_running_loop().create_task(reader.read(noted))
        await asyncio.sleep(0)
        with pytest.raises(LedgerUnavailable, match="too much waits"):
            await reader.read(noted)
    assert await first == []
    await reader.close(5.0)


async def test_closed_ledger_looks_nothing_up(ledger_url: str, tmp_path: Path) -> None:
    """Whoever still has it is told, and does not wait for ever."""
    store = await asyncio.to_thread(open_store, ledger_url, tmp_path, patience=0.0)
    await store.look_up(noted)
    await store.close()
    if store.is_sqlite:
        with pytest.raises(LedgerUnavailable, match="closed"):
            await store.look_up(noted)
