"""A SQLite ledger that may only be read for a while."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from sqlalchemy.engine import Dialect

_outages: WeakKeyDictionary[Dialect, Event] = WeakKeyDictionary()


@contextmanager
def read_only(engine: Engine) -> Iterator[None]:
    """Have every transaction that begins meanwhile refuse to write, as on a disk that may only be read."""
    outage = _outages.get(engine.dialect) or _with_outages(engine.dialect)
    outage.set()
    try:
        yield
    finally:
        outage.clear()


def _with_outages(dialect: Dialect) -> Event:
    """Have transactions follow an event from now on, each on the thread that it runs on: no connection is used by two."""
    outage = _outages[dialect] = Event()
    changed: Any = dialect
    begin, commit, rollback = dialect.do_begin, dialect.do_commit, dialect.do_rollback

    def begun(connection: Any) -> None:
        begin(connection)
        if outage.is_set():
            connection.cursor().execute("PRAGMA query_only = ON")

    def ended(end: Any, connection: Any) -> None:
        end(connection)
        connection.cursor().execute("PRAGMA query_only = OFF")

    changed.do_begin = begun
    changed.do_commit = lambda connection: ended(commit, connection)
    changed.do_rollback = lambda connection: ended(rollback, connection)
    return outage
