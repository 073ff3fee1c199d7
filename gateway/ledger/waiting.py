"""What a coroutine waits for that a thread of the ledger does: the event loop is woken once for all that is done together."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class LoopFuture(Generic[T]):
    """Like a `concurrent.futures.Future` for the thread; the coroutine hears of it when `wake` is called."""

    __slots__ = ("_error", "_is_done", "_result", "future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self._result: T | None = None
        self._error: Exception | None = None
        self._is_done = False

    def set_running_or_notify_cancel(self) -> bool:
        """Return whether somebody still waits."""
        return not self.future.cancelled()

    def done(self) -> bool:
        """Whether the thread has given it a result or an error."""
        return self._is_done

    def exception(self) -> Exception | None:
        """Return the error that it was given; None where it was given a result."""
        return self._error

    def set_result(self, result: T) -> None:
        """Give it a result."""
        self._result, self._is_done = result, True

    def set_exception(self, error: Exception) -> None:
        """Give it an error."""
        self._error, self._is_done = error, True

    def tell(self) -> None:
        """Let the coroutine go on; called on its loop."""
        if self.future.done():
            return  # nobody waits any more
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(cast("T", self._result))


def wake(done: Iterable[LoopFuture[Any]]) -> None:
    """Tell the coroutines that wait for these, each loop at once."""
    waiting: dict[asyncio.AbstractEventLoop, list[LoopFuture[Any]]] = {}
    for one in done:
        waiting.setdefault(one.loop, []).append(one)
    for loop, ones in waiting.items():
        with suppress(RuntimeError):  # a loop that is closed has nobody who waits
            loop.call_soon_threadsafe(_tell, ones)


def _tell(ones: Sequence[LoopFuture[Any]]) -> None:
    for one in ones:
        one.tell()
