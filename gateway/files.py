"""Files: read within bounds of size and time, and written as a whole, so that a crash leaves the old one or the new one."""

import asyncio
import errno
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def contents(path: Path, most: int, *, is_secret: bool = False) -> bytes:
    """Return what a file holds, and one byte more than `most` where it is larger; raises `OSError`.

    What is no file is refused: a pipe would be waited for. So is a secret that others than its owner may read or change.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a file")
        if is_secret and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise OSError(errno.EACCES, "others may read or change it; chmod 600")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most + 1)
    finally:
        os.close(descriptor)


class FileThread:
    """Does work with files in a thread that nobody waits for, not even the end of the process; one work at a time.

    A file system that does not answer leaves one thread behind, and whatever is asked for later fails until it does.
    """

    def __init__(self, patience: float) -> None:
        """`patience` is how many seconds a work may take, the wait for the one before included."""
        self._patience = patience
        self._free = asyncio.Lock()

    async def do(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, or raise what it raises; `TimeoutError` where it takes too long."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._patience):
            await self._free.acquire()
            done: asyncio.Future[T] = loop.create_future()
            threading.Thread(target=self._run, args=(loop, work, done), name="files", daemon=True).start()
            return await done

    def _run(self, loop: asyncio.AbstractEventLoop, work: Callable[[], T], done: "asyncio.Future[T]") -> None:
        def tell(result: T | None, error: BaseException | None) -> None:
            self._free.release()
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type] # one of the two is there

        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            failure = error
        # The process may have ended its loop meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, result, failure)


def replaced(path: Path, data: bytes) -> None:
    """Put a file in the place of the one at `path`, for its owner alone, durably; makes the folder; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path, data) as new:
        new.replace(path)


@contextmanager
def written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """Write a file that is not called `path` yet, for its owner alone; whoever asked gives it the name, or it is gone."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
