"""Statements on the driver's own cursor: the same results and the same failures as the ordinary way, on both databases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, bindparam, insert, literal_column, select, update

from gateway.ledger import prepared
from gateway.ledger.tables import RUN
from gateway.ledger.writer import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ledger.database import Database

_ADD = insert(RUN).values(job=bindparam("name"), at=0.0, node=bindparam("node"), outcome="50 % søndag: ':name'")
_CHANGE = update(RUN).where(RUN.c.job.in_([literal_column("'a'"), literal_column("'b'")])).values(at=bindparam("now"))
_ALL = select(RUN.c.job, RUN.c.at, RUN.c.outcome).order_by(RUN.c.job)


async def test_rows_and_counts_are_those_of_the_ordinary_way(store: Database) -> None:
    """Values that stand in a statement are bound with those that are given, whatever characters they have."""

    def work(connection: Connection) -> tuple[int, list[tuple[object, ...]], list[tuple[object, ...]]]:
        for name in ("a", "b", "c"):
            assert prepared.changed(connection, _ADD, {"name": name, "node": "n"}) == 1
        count = prepared.changed(connection, _CHANGE, {"now": 7.5})
        return count, prepared.rows(connection, _ALL, {}), [tuple(row) for row in connection.execute(_ALL)]

    count, found, ordinary = await store.write(work)
    assert (count, found) == (2, ordinary)
    assert [row[:2] for row in found] == [("a", 7.5), ("b", 7.5), ("c", 0.0)]


async def test_each_of_many_is_done_with_the_values_that_stand_in_the_statement(store: Database) -> None:
    """In their order, and all or none of them."""

    def add(*names: str | None) -> Callable[[Connection], None]:
        return lambda connection: prepared.each(connection, _ADD, [{"name": name, "node": "n"} for name in names])

    await store.write(add("b", "a"))
    with pytest.raises(LedgerUnavailable, match=r"SQLITE_CONSTRAINT|23502"):
        await store.write(add("c", None))
    assert [row[0] for row in await store.read(lambda each: prepared.rows(each, _ALL, {}))] == ["a", "b"]


async def test_failure_is_one_of_sqlalchemy(store: Database) -> None:
    """So whoever waits is told as for every other statement."""

    def work(connection: Connection) -> None:
        prepared.changed(connection, _ADD, {"name": "a", "node": None})

    with pytest.raises(LedgerUnavailable, match=r"SQLITE_CONSTRAINT_NOTNULL|23502"):
        await store.write(work)


async def test_connection_that_is_closed_is_a_failure_of_the_ledger(store: Database) -> None:
    """Whoever closed it: the next work has another."""

    def work(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.close()
        prepared.changed(connection, _ADD, {"name": "a", "node": "n"})

    with pytest.raises(LedgerUnavailable):
        await store.write(work)
    assert await store.write(lambda each: prepared.changed(each, _ADD, {"name": "b", "node": "n"})) == 1


def _adding(name: str | None) -> prepared.AskedFirst[int]:
    """Add a row, and return how many rows there are then by the connection that added it."""

    def work(connection: Connection, cursor: Any) -> int:
        assert cursor.rowcount == 1
        return len(prepared.rows(connection, _ALL, {}))

    return prepared.AskedFirst(_ADD, {"name": name, "node": "n"}, work)


async def test_works_whose_statements_are_sent_together_have_each_its_own_result(store: Database) -> None:
    """On PostgreSQL all statements of a row of such works come first; other work stands where it stood."""

    def count(connection: Connection) -> int:
        return len(prepared.rows(connection, _ALL, {}))

    def work(connection: Connection) -> list[Any]:
        return prepared.all_of(connection, [_adding("a"), _adding("b"), count, _adding("c")])

    together = store.engine.dialect.name == "postgresql"
    assert await store.write(work) == ([2, 2, 2, 3] if together else [1, 2, 2, 3])


async def test_work_whose_statement_fails_among_others_fails_alone(store: Database) -> None:
    """What waits in the same transaction is done."""
    works = (_adding("a"), _adding(None), _adding("b"))
    found = await asyncio.gather(*map(store.write, works), return_exceptions=True)
    assert (found[0], found[2]) == (1, 2)
    assert isinstance(found[1], LedgerUnavailable)
    assert [row[0] for row in await store.read(lambda each: prepared.rows(each, _ALL, {}))] == ["a", "b"]
