"""A SQLite ledger that may only be read for a while."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine


@contextmanager
def read_only(engine: Engine) -> Iterator[None]:
    """Have every transaction that begins meanwhile refuse to write, as on a disk that may only be read."""
    refusing: list[Any] = []
    lock = Lock()

    def begin(connection: Connection) -> None:
        with lock:
            if event.contains(engine, "begin", begin):
                refusing.append(connection.connection.driver_connection)
                refusing[-1].execute("PRAGMA query_only = ON")

    event.listen(engine, "begin", begin)
    try:
        yield
    finally:
        with lock:
            event.remove(engine, "begin", begin)
            for connection in refusing:
                with suppress(sqlite3.ProgrammingError):  # the pool has closed one that was more than it keeps
                    connection.execute("PRAGMA query_only = OFF")
