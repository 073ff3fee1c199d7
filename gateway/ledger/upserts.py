"""Inserts that meet a row which is there already, written once for SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from gateway.ledger.tables import RUN


def insert_into(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Return an insert that can say what becomes of a row that is there."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def add_up(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    added: Sequence[str],
    replaced: Sequence[str] = (),
) -> None:
    """Insert rows; to one that is there add the columns `added`, and in it replace those of `replaced`."""
    if not rows:
        return
    new, key = insert_into(table, connection.dialect.name), [column.name for column in table.primary_key]
    changed = {name: table.c[name] + new.excluded[name] for name in added}
    changed |= {name: new.excluded[name] for name in replaced}
    # Always in the same order: two nodes that add the same rows never wait for each other in a circle.
    ordered = sorted(rows, key=lambda row: [row[name] for name in key])
    connection.execute(new.on_conflict_do_update(index_elements=key, set_=changed), ordered)


def put_run(connection: Connection, job: str, at: float, node: str, outcome: str) -> None:
    """Write what a job has come to, in place of what it had come to before."""
    values = {"at": at, "node": node, "outcome": outcome}
    new = insert_into(RUN, connection.dialect.name).values(job=job, **values)
    connection.execute(new.on_conflict_do_update(index_elements=["job"], set_=values))
