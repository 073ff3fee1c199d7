"""Short readings of the ledger's file, for which senders wait: a thread that reads together what waits, over a connection of its own.

To have a thread of a pool take each of them, and a connection of a pool for each, takes several times as long as the reading.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.ledger.waiting import LoopFuture, wake
from gateway.ledger.writer import LedgerUnavailable, unavailable

T = TypeVar("T")
_Piece = tuple[Callable[[Connection], Any], LoopFuture[Any]]

_TOGETHER = 32
"""Readings in one transaction at most: who comes later sees what was written meanwhile."""


class Reader:
    """Does short pieces of work that change nothing, in the order in which they come; its thread begins with the first."""

    def __init__(self, engine: Engine, most_waiting: int = 10_000) -> None:
        """Of so many pieces of work that wait none more is taken."""
        self._engine = engine
        self._most_waiting = most_waiting
        self._queue: SimpleQueue[_Piece | None] = SimpleQueue()
        self._closed = False
        self._connection: Connection | None = None
        """Of the thread alone."""
        self._thread: threading.Thread | None = None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work` and return its result; raises `LedgerUnavailable`. Called from one event loop."""
        if self._closed:
            raise LedgerUnavailable("closed")
        if self._queue.qsize() >= self._most_waiting:
            raise LedgerUnavailable("too much waits for it", is_away=True)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ledger-reader", daemon=True)
            self._thread.start()
        waiting = LoopFuture[T](asyncio.get_running_loop())
        self._queue.put((work, waiting))
        return await waiting.future

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - of a thread
        """Finish what waits, as far as there is time, in seconds."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, timeout)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            pieces, is_last = self._next()
            if pieces:
                self._surely_do(pieces)
        self._hang_up()

    def _next(self) -> tuple[list[_Piece], bool]:
        pieces: list[_Piece] = []
        while (piece := self._queue.get()) is not None:
            if piece[1].set_running_or_notify_cancel():
                pieces.append(piece)
            if len(pieces) == _TOGETHER or self._queue.empty():
                return pieces, False
        return pieces, True

    def _surely_do(self, pieces: list[_Piece]) -> None:
        """Do all of them; whatever happens, each gets an answer, and the reader goes on."""
        try:
            self._do(pieces)
        except SQLAlchemyError as error:
            failure: Exception = unavailable(error)
        except BaseException as error:  # noqa: BLE001 - memory that is not there
            failure = LedgerUnavailable(type(error).__name__)
        else:
            return
        finally:
            wake(waiting for _, waiting in pieces if waiting.done())
        left = [waiting for _, waiting in pieces if not waiting.done()]
        for waiting in left:
            waiting.set_exception(failure)
        wake(left)
        self._hang_up()

    def _do(self, pieces: list[_Piece]) -> None:
        """Do all of them; after one that fails the next are better done over another connection."""
        self._connection = self._connection or self._engine.connect()
        has_failed = False
        with self._connection.begin():
            for work, waiting in pieces:
                try:
                    waiting.set_result(work(self._connection))
                except SQLAlchemyError as error:
                    waiting.set_exception(unavailable(error))
                    has_failed = True
                except Exception as error:  # noqa: BLE001 - told to who waits
                    waiting.set_exception(error)
        if has_failed:
            self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()
