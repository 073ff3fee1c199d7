"""Statements that are compiled once and run on the driver's own cursor.

Preparing an execution costs SQLAlchemy more than SQLite needs to do it, and each message has several: those that every message
needs run this way, all others the ordinary one. Parameters are bound by name in both, and failures are SQLAlchemy's in both.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

_DIALECTS = {"sqlite": sqlite.dialect(paramstyle="named"), "postgresql": psycopg.dialect()}  # type: ignore[no-untyped-call]


def changed(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> int:
    """Run a statement in the transaction that is under way; return how many rows it changed."""
    count: int = _run(connection, statement, values).rowcount
    return count


def each(connection: Connection, statement: Executable, values: Sequence[Mapping[str, Any]]) -> None:
    """Run a statement for each of many values in the transaction that is under way."""
    text, fixed = _compiled(statement, connection.dialect.name)
    _on_cursor(connection, "executemany", text, [{**fixed, **one} for one in values] if fixed else values)


def rows(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement in the transaction that is under way; return its rows as the driver has them: SQLite's booleans are numbers."""
    found: list[tuple[Any, ...]] = _run(connection, statement, values).fetchall()
    return found


def _run(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> Any:
    text, fixed = _compiled(statement, connection.dialect.name)
    return _on_cursor(connection, "execute", text, {**fixed, **values})


def _on_cursor(connection: Connection, method: str, text: str, values: object) -> Any:
    try:
        cursor = connection.connection.cursor()
        getattr(cursor, method)(text, values)
    except connection.dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(
            None, None, error, connection.dialect.loaded_dbapi.Error, hide_parameters=True, dialect=connection.dialect
        ) from None
    return cursor


@cache
def _compiled(statement: Executable, dialect: str) -> tuple[str, dict[str, Any]]:
    """Return a statement's text and the values that stand in it; each statement is made once, so this keeps few."""
    made: Any = statement.compile(dialect=_DIALECTS[dialect])  # type: ignore[attr-defined]
    return str(made), {name: each.effective_value for name, each in made.binds.items() if not each.required}
