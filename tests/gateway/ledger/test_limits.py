"""PostgreSQL's time limits: what somebody else holds up fails in time, alone, and all goes on when it is let go."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import Connection, event, insert, text

from gateway.ledger import database as module
from gateway.ledger.database import Database, LedgerUnavailable, migrate, open_store
from gateway.ledger.messages import Ledger
from gateway.ledger.records import Taken
from gateway.ledger.tables import RUN
from gateway.ledger.writer import Writer
from tests.gateway.ledger.conftest import arrive
from tests.gateway.ledger.test_database import busy, note, noted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.gateway.ledger.conftest import Clock

LIMITS = "-c lock_timeout=20ms -c statement_timeout=15s"
SHORT = "-c lock_timeout=15s -c statement_timeout=20ms"


@contextmanager
def held(url: str, statement: str) -> Iterator[None]:
    """Have somebody else hold a lock."""
    with psycopg.connect(url) as somebody:
        somebody.execute(statement)
        yield


@pytest.fixture
def limits() -> str:
    """Say which limits the ledger is opened with."""
    return LIMITS


@pytest.fixture
async def limited(
    postgres: str, tmp_path: Path, limits: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """Open a ledger whose limits are tiny."""
    monkeypatch.setitem(module._POSTGRESQL, "options", limits)
    opened = await asyncio.to_thread(open_store, postgres, tmp_path)
    yield opened
    await opened.close()


def test_limits_are_set_on_every_connection(postgres: str) -> None:
    """A server that hangs does not hang the gateway: each statement and each wait for a lock ends."""
    engine = module._postgresql(postgres)
    with engine.connect() as connection:
        shown = [
            connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        ]
    engine.dispose()
    assert shown == ["5s", "15s", "30s"]


async def test_arrival_that_waits_for_a_lock_is_unavailable_and_the_next_one_is_taken(
    limited: Database, postgres: str, clock: Clock
) -> None:
    """Somebody has locked the table: within the limit the sender is told to try again, and nothing of it is written."""
    ledger = Ledger(limited, "node-a", clock)
    with held(postgres, "LOCK TABLE message IN EXCLUSIVE MODE"):
        for _ in range(3):
            with pytest.raises(LedgerUnavailable, match=r"\(55P03\)$"):
                await arrive(ledger, "first", identity="identity", copy="copy")
        assert await ledger.find("copy") is None
    assert isinstance(await arrive(ledger, "first", identity="identity", copy="copy"), Taken)


@pytest.mark.slow
@pytest.mark.parametrize("limits", [LIMITS, SHORT])
async def test_reading_that_waits_is_unavailable_and_the_connection_goes_back_usable(
    limited: Database, postgres: str, limits: str
) -> None:
    """By either limit, and more often than there are connections."""
    with held(postgres, "LOCK TABLE run IN ACCESS EXCLUSIVE MODE"):
        for _ in range(8):
            with pytest.raises(LedgerUnavailable, match=r"\(55P03\)$" if limits == LIMITS else r"\(57014\)$"):
                await limited.read(noted)
    assert await limited.read(noted) == set()


async def test_piece_that_waits_for_a_lock_fails_alone(limited: Database, postgres: str) -> None:
    """One row that somebody has locked holds up what shares its transaction, and fails nothing else."""

    def touch(connection: Connection) -> int:
        return connection.execute(text("UPDATE run SET outcome = 'touched' WHERE job = 'locked'")).rowcount

    await limited.write(partial(note, job="locked"))
    with held(postgres, "SELECT * FROM run WHERE job = 'locked' FOR UPDATE"):
        with busy(limited):
            works: list[Any] = [partial(note, job="a"), touch, partial(note, job="b")]
            waiting = [limited.submit(work) for work in works]
        found = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
    assert (found[0], str(found[1])[-7:], found[2]) == ("a", "(55P03)", "b")
    assert await limited.write(touch) == 1


async def test_batch_is_given_up_where_it_is_the_database_that_fails(limited: Database, postgres: str) -> None:
    """Each piece alone would take as long as the limits allow, and everybody else waits behind them all."""
    tried: list[str] = []

    def touch(connection: Connection, job: str) -> None:
        tried.append(job)
        connection.execute(insert(RUN).values(job=job, at=0.0, node="node", outcome=""))

    with held(postgres, "LOCK TABLE run IN EXCLUSIVE MODE"):
        with busy(limited):
            waiting = [limited.submit(partial(touch, job=f"job-{number}")) for number in range(100)]
        found = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
    assert {(type(each), str(each)[-7:]) for each in found} == {(LedgerUnavailable, "(55P03)")}
    assert tried == ["job-0", "job-0", "job-1"]
    await limited.write(partial(note, job="after"))
    assert await limited.read(noted) == {"after"}


async def test_pieces_that_are_wrong_themselves_never_give_up_the_others(store: Database) -> None:
    """However many in a row, it is not the database that fails."""

    def wrong(connection: Connection) -> None:
        note(connection, "half")
        note(connection, "half")

    with busy(store):
        waiting = [store.submit(wrong) for _ in range(5)]
        last = store.submit(partial(note, job="last"))
    found = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
    assert all(isinstance(each, LedgerUnavailable) for each in found)
    assert await asyncio.wrap_future(last) == "last"


async def test_no_more_waits_for_the_writer_than_may(store: Database) -> None:
    """A database that hangs does not fill the memory; what came before the bound is done."""
    writer = Writer(store.engine, most_waiting=3)
    with busy(writer):
        waiting = [writer.submit(partial(note, job=f"job-{number}")) for number in range(3)]
        with pytest.raises(LedgerUnavailable, match="too much waits"):
            await writer.write(partial(note, job="refused"))
    await asyncio.gather(*map(asyncio.wrap_future, waiting))
    assert await store.read(noted) == {"job-0", "job-1", "job-2"}
    await writer.write(partial(note, job="after"))
    await writer.close()


def test_tables_are_changed_without_the_limits(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of a large table takes longer than any statement of a message may, and the limits are back afterwards."""
    monkeypatch.setitem(module._POSTGRESQL, "options", LIMITS)
    engine, seen = module._postgresql(postgres), set()

    def settings(connection: Connection) -> tuple[str, ...]:
        cursor = connection.connection.cursor()
        names = ("statement_timeout", "lock_timeout")
        found = [cursor.execute(f"SHOW {name}").fetchone() for name in names]
        return tuple(value for (value,) in found)

    def watch(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER")):
            seen.add(settings(connection))

    event.listen(engine, "before_cursor_execute", watch)
    migrate(engine)
    assert seen == {("0", "5min")}
    with engine.connect() as connection:
        assert settings(connection) == ("15s", "20ms")
    engine.dispose()
