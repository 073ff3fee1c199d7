"""Statements that are compiled once and run on the driver's own cursor.

Preparing an execution costs SQLAlchemy more than SQLite needs to do it, and each message has several: those that every message
needs run this way, all others the ordinary one. Parameters are bound by name in both, and failures are SQLAlchemy's in both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

T = TypeVar("T")
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


class AskedFirst(Generic[T]):
    """Work on a connection that begins with one statement, and goes on with what that gave.

    PostgreSQL takes the statements of many before it has answered the first: see `all_of`. Called, it does both at once.
    """

    __slots__ = ("_statement", "_values", "_work")

    def __init__(self, statement: Executable, values: Mapping[str, Any], work: Callable[[Connection, Any], T]) -> None:
        """`work` gets the driver's cursor, on which the statement was run."""
        self._statement = statement
        self._values = values
        self._work = work

    def ask(self, connection: Connection) -> Any:
        """Run the statement, or send it; return the cursor."""
        return _run(connection, self._statement, self._values)

    def go_on(self, connection: Connection, cursor: Any) -> T:
        """Do the rest, when the statement has been answered."""
        return self._work(connection, cursor)

    def __call__(self, connection: Connection) -> T:
        """Do all of it."""
        return self.go_on(connection, self.ask(connection))


def all_of(connection: Connection, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
    """Do work after work in the transaction that is under way; return their results.

    On PostgreSQL the first statements of those that say what it is are sent together, so that none waits for the way there and back.
    """
    if connection.dialect.name != "postgresql" or len(works) < 2:
        return [work(connection) for work in works]
    results: list[Any] = []
    at = 0
    while at < len(works):
        together: list[AskedFirst[Any]] = []
        while at < len(works) and isinstance(work := works[at], AskedFirst):
            together.append(work)
            at += 1
        if together:
            with _pipeline(connection):
                cursors = [one.ask(connection) for one in together]
            results += [one.go_on(connection, cursor) for one, cursor in zip(together, cursors, strict=True)]
        else:
            results.append(works[at](connection))
            at += 1
    return results


@contextmanager
def _pipeline(connection: Connection) -> Iterator[None]:
    """Have statements sent without waiting for answers, which are there at the end."""
    with _failures_of(connection), connection.connection.driver_connection.pipeline():  # type: ignore[union-attr] # psycopg's
        yield


def _run(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> Any:
    text, fixed = _compiled(statement, connection.dialect.name)
    return _on_cursor(connection, "execute", text, {**fixed, **values})


def _on_cursor(connection: Connection, method: str, text: str, values: object) -> Any:
    try:
        cursor = connection.connection.cursor()
        getattr(cursor, method)(text, values)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _told(connection, error) from None
    return cursor


@contextmanager
def _failures_of(connection: Connection) -> Iterator[None]:
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise _told(connection, error) from None


def _told(connection: Connection, error: Exception) -> BaseException:
    """Return a failure of the driver as SQLAlchemy tells it."""
    kind = connection.dialect.loaded_dbapi.Error
    return DBAPIError.instance(None, None, error, kind, hide_parameters=True, dialect=connection.dialect)


@cache
def _compiled(statement: Executable, dialect: str) -> tuple[str, dict[str, Any]]:
    """Return a statement's text and the values that stand in it; each statement is made once, so this keeps few."""
    made: Any = statement.compile(dialect=_DIALECTS[dialect])  # type: ignore[attr-defined]
    return str(made), {name: each.effective_value for name, each in made.binds.items() if not each.required}
