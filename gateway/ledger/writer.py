"""The one writer of the ledger's database: a thread that commits together what waits, and tells each what came of its own."""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as OutOfConnections

from gateway.ledger import prepared
from gateway.ledger.waiting import LoopFuture, wake

log = structlog.get_logger()
T = TypeVar("T")
Work = Callable[[Connection], T]

WRITES = "writes"
"""The option of the writer's connection."""
_TOGETHER = 256
"""Pieces of work in one transaction at most."""
_IN_VAIN = 2
"""Pieces in a row that the database failed on alone, after which the rest of their transaction is not tried."""
_CLOSING = 10.0
"""Seconds that the writer has for what waits, when the ledger is closed."""
_QUIET = 10.0
"""Seconds without a failure after which an outage is over: on a disk that is all but full, small pieces of work succeed now and then."""


class LedgerUnavailable(Exception):  # noqa: N818 - the condition
    """The ledger cannot be read or written now; nothing was changed."""

    def __init__(self, reason: str, *, is_away: bool = False) -> None:
        super().__init__(reason)
        self.is_away = is_away
        """Whether it was the database that failed, whatever was asked of it."""


_Piece = tuple[Work[Any], "Future[Any] | LoopFuture[Any]"]


def _wake(pieces: Sequence[_Piece]) -> None:
    """Tell the coroutines that wait for these pieces."""
    wake(one for _, one in pieces if isinstance(one, LoopFuture))


class Writer:
    """Does work in the order in which it comes; work may be run again, so it changes nothing but the database."""

    def __init__(
        self,
        engine: Engine,
        most_waiting: int = 10_000,
        quiet: float = _QUIET,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of `most_waiting` pieces of work none more is taken: a database that hangs must not fill the memory.

        An outage is over when nothing has failed for `quiet` seconds by the clock `monotonic`.
        """
        self._engine = engine
        self._most_waiting = most_waiting
        self._pieces: deque[_Piece] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()
        """Wakes the thread; with False it ends when nothing waits any more."""
        self._rung_by: asyncio.AbstractEventLoop | None = None
        """The loop that rings when all that is ready on it has run."""
        self._closed = False
        self._connection: Connection | None = None
        """Of the thread alone."""
        self._quiet = quiet
        self._monotonic = monotonic
        self._failures = 0
        """Pieces of work that failed in the outage that is not over."""
        self._failed_at = 0.0
        """When the last of them did."""
        self._thread = threading.Thread(target=self._write, name="ledger-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Work[T]) -> T:
        """Do `work` and return its result when it is durable; raises `LedgerUnavailable`."""
        loop = asyncio.get_running_loop()
        waiting = LoopFuture[T](loop)
        if (why_not := self._put(work, waiting)) is not None:
            raise why_not
        if self._rung_by is not loop:
            # What comes in the same turn of the loop is handed over with it: each wake of the thread costs both a switch.
            self._rung_by = loop
            loop.call_soon(self._ring)
        return await waiting.future

    def submit(self, work: Work[T]) -> "Future[T]":
        """Have `work` done; the result is there when it is durable."""
        future: Future[T] = Future()
        if (why_not := self._put(work, future)) is not None:
            future.set_exception(why_not)
        else:
            self._bell.put(True)
        return future

    def _ring(self) -> None:
        self._rung_by = None
        self._bell.put(True)

    def _put(self, work: Work[T], waiting: "Future[T] | LoopFuture[T]") -> LedgerUnavailable | None:
        if self._closed:
            return LedgerUnavailable("closed")
        if len(self._pieces) >= self._most_waiting:
            return LedgerUnavailable("too much waits for it", is_away=True)
        self._pieces.append((work, waiting))
        return None

    async def close(self) -> None:
        """Finish what waits, as far as there is time."""
        self._closed = True
        self._bell.put(False)
        await asyncio.to_thread(self._thread.join, _CLOSING)

    def _write(self) -> None:
        """Run on the writer's thread: take what waits, do it in one transaction, and say what came of it."""
        goes_on = True
        while goes_on or self._pieces:
            if not self._pieces:
                goes_on = self._bell.get()
            elif batch := self._taken():
                self._surely_do(batch)
        self._hang_up()

    def _surely_do(self, batch: list[_Piece]) -> None:
        """Do a batch; whatever happens, somebody gets an answer, and the writer goes on."""
        try:
            self._do(batch)
        except BaseException as error:  # noqa: BLE001 - a log that cannot be written, memory that is not there
            for _, future in batch:
                if not future.done():
                    future.set_exception(LedgerUnavailable(type(error).__name__))
            self._hang_up()
        finally:
            _wake(batch)

    def _hang_up(self) -> None:
        """Give the connection back; the next work opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError, sqlite3.Error):
                connection.close()

    def _taken(self) -> list[_Piece]:
        """Take what waits, but for what nobody waits for any more."""
        batch: list[_Piece] = []
        while self._pieces and len(batch) < _TOGETHER:
            piece = self._pieces.popleft()
            # From here on nobody can cancel it.
            if piece[1].set_running_or_notify_cancel():
                batch.append(piece)
        return batch

    def _do(self, batch: list[_Piece]) -> None:
        """Do a batch; when it fails as a whole, each piece alone, so that one cannot fail the others."""
        try:
            self._connection = self._connection or self._engine.connect().execution_options(**{WRITES: True})
            with self._connection.begin():
                results = prepared.all_of(self._connection, [work for work, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for an answer
            self._check()
            if len(batch) > 1:
                self._each_alone(batch)
            else:
                self._tell_failure(batch[0][1], error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
        self._tell_done()

    def _each_alone(self, batch: list[_Piece]) -> None:
        """Do each piece in a transaction of its own; where it is the database that fails, the last ones are not tried."""
        in_vain, reason = 0, ""
        for piece in batch:
            if in_vain == _IN_VAIN:
                # Each would take as long as the limits allow, and all others wait behind them.
                piece[1].set_exception(LedgerUnavailable(reason, is_away=True))
                continue
            self._do([piece])
            _wake([piece])
            error = piece[1].exception()
            in_vain = in_vain + 1 if isinstance(error, LedgerUnavailable) and error.is_away else 0
            reason = str(error)

    def _check(self) -> None:
        """Keep the connection where it can go on being used."""
        connection = self._connection
        if connection is None:
            return
        with suppress(SQLAlchemyError, sqlite3.Error):
            if connection.in_transaction():
                connection.rollback()
            if not connection.closed and not connection.invalidated and connection.dialect.name == "sqlite":
                # A commit that failed may have left the transaction open, which SQLAlchemy takes for ended: the next could not begin.
                connection.dialect.do_rollback(connection.connection)
                return
        self._hang_up()

    def _tell_failure(self, future: "Future[Any] | LoopFuture[Any]", error: Exception) -> None:
        """Answer whoever waits, and log the first failure of an outage."""
        failure = unavailable(error) if isinstance(error, SQLAlchemyError) else error
        try:
            if isinstance(error, SQLAlchemyError):
                self._failures += 1
                self._failed_at = self._monotonic()
                if self._failures == 1:
                    log.error("ledger.unavailable", reason=str(failure))
        finally:
            future.set_exception(failure)

    def _tell_done(self) -> None:
        if self._failures and self._monotonic() - self._failed_at >= self._quiet:
            failures, self._failures = self._failures, 0
            log.warning("ledger.available", failures=failures)


def unavailable(error: SQLAlchemyError) -> LedgerUnavailable:
    """Name what is wrong without the statement and its values, which SQLAlchemy's own text has."""
    return LedgerUnavailable(reason_of(error), is_away=isinstance(error, OperationalError | OutOfConnections))


_WORDS = {
    "SQLITE_FULL": "the disk is full, make room on it",
    "SQLITE_READONLY": "its file may not be written, see to the owner of it and of its folder, and to the disk",
    "SQLITE_CANTOPEN": "its file cannot be opened, see to its folder and owner",
    "SQLITE_IOERR": "the disk fails, see to it",
    "SQLITE_CORRUPT": "its file is damaged, restore a copy",
    "SQLITE_NOTADB": "its file is no ledger, or is damaged",
    "FILE_GONE": "its file was moved, removed or replaced while it was open, stop the gateway and put it back",
    "SQLITE_BUSY": "another process keeps it, stop that",
    "53100": "the database's disk is full, make room on it",
    "53300": "the database has no connection left, let it have more",
    "25006": "the database may only be read, see which of its nodes is the primary one",
    "57P01": "the database is being stopped, start it again",
    "57P03": "the database is starting, wait for it",
    "57014": "the database takes too long, see what keeps it busy",
    "55P03": "somebody keeps a lock in the database, see who",
    "NOT_REACHED": "the database cannot be reached, start it, or see to its address in store and to the network",
    "NOT_RESOLVED": "the name of the database's server cannot be resolved, see to store and to DNS",
    "NOT_LET_IN": "the database does not let the gateway in, see to its user and password there",
    "NO_DATABASE": "the server has no such database, make it, or see to its name in store",
}
"""What is wrong and what to do, by the name of an error of SQLite or the beginning of it, by SQLSTATE, or by a name given here."""


def reason_of(error: BaseException) -> str:
    """Return what is wrong in words with what to do."""
    return told(name_of(error))


def name_of(error: BaseException) -> str:
    """Return the database's own name of what is wrong, or the kind of the error."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    name = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    if name is None and type(cause).__module__.startswith("psycopg") and isinstance(error, OperationalError):
        # Who cannot connect is told no SQLSTATE; and the text, which has names of the server and its users, goes to senders too.
        found = (kind for words, kind in _NOT_CONNECTED.items() if words in str(cause))
        return next(found, "NOT_REACHED")
    return str(name or type(cause).__name__)


_NOT_CONNECTED = {
    "failed to resolve host": "NOT_RESOLVED",
    "authentication failed": "NOT_LET_IN",
    "no password supplied": "NOT_LET_IN",
    "pg_hba.conf": "NOT_LET_IN",
    "FATAL:  role": "NOT_LET_IN",
    "FATAL:  database": "NO_DATABASE",
}
"""What is said here of why there is no connection, by what libpq or the server say of it in English."""


def told(name: str) -> str:
    """Return what is wrong in words with what to do, where there are any, beside the database's own name of it."""
    words = next((words for known, words in _WORDS.items() if name == known or name.startswith(f"{known}_")), None)
    return f"{words} ({name})" if words is not None else name
