"""The lock beside a SQLite ledger: who has it, since when, and that nobody else may have it."""

import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

log = structlog.get_logger()

_AGAIN = 0.05
"""Seconds between two tries."""
_ONE = "a SQLite file serves one process, or several that only pass messages on"
_MOST = 4096
"""Bytes of the file that are read: a few dozen processes."""


class LockTaken(Exception):  # noqa: N818 - the condition
    """Another process has the lock; the text says which, and since when."""


class FileLock:
    """Taken whole by the process that has the ledger, or shared by processes that need none since VKP answers everything.

    The processes that share it keep each other from anything that they would have to tell each other.
    """

    def __init__(self, ledger: Path) -> None:
        self._name = ledger.name
        self._path = Path(f"{ledger}.lock")
        self._descriptor: int | None = None
        self._is_whole = self._is_shared = False

    @property
    def is_whole(self) -> bool:
        """Whether no other process has any part of it."""
        return self._is_whole

    def take(self, patience: float) -> None:
        """Take it whole, waiting so many seconds for others to leave it; raises `LockTaken` and then all is as before."""
        if self._is_whole:
            return
        self._open()
        was_shared, until = self._is_shared, time.monotonic() + patience
        while not self._try(fcntl.LOCK_EX):
            if time.monotonic() >= until:
                taken = LockTaken(f"another process uses {self._name}{self._holders()}; {_ONE}")
                self._back_to(was_shared)
                raise taken
            time.sleep(_AGAIN)
        self._is_whole, self._is_shared = True, False
        self._write_holder(alone=True)

    def share(self, patience: float) -> None:
        """Take a part of it, waiting so many seconds for whoever has it whole; raises `LockTaken`, and `OSError`."""
        if self._is_whole or self._is_shared:
            return
        self._open()
        until = time.monotonic() + patience
        alone = self._try(fcntl.LOCK_EX)
        while not self._try(fcntl.LOCK_SH):
            if time.monotonic() >= until:
                taken = LockTaken(f"another process uses {self._name}{self._holders()}; {_ONE}")
                self.release()
                raise taken
            time.sleep(_AGAIN)
        self._is_shared = True
        self._write_holder(alone=alone)

    def lower(self) -> None:
        """Go back from the whole to a part."""
        if self._is_whole:
            self._is_whole = False
            self._back_to(was_shared=True)

    def release(self) -> None:
        """Leave it to others."""
        descriptor, self._descriptor = self._descriptor, None
        self._is_whole = self._is_shared = False
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> None:
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _try(self, how: int) -> bool:
        if self._descriptor is None:
            return False
        try:
            fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _back_to(self, was_shared: bool) -> None:
        """Have what there was before `take`: in vain, it loses the part that was shared."""
        if not was_shared:
            self.release()
        elif self._try(fcntl.LOCK_SH):
            self._is_shared = True
        else:
            log.error("store.lock_lost", file=self._path.name)
            self.release()

    def _write_holder(self, *, alone: bool) -> None:
        """Say in the file which process this is, beside the others that share it or in place of those that are gone."""
        if self._descriptor is None:
            return
        since = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
        with suppress(OSError):
            if alone:
                os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_END)
            os.write(self._descriptor, f"{os.getpid()} {since}\n".encode())

    def _holders(self) -> str:
        """Return who has it, as far as the file says."""
        data = b""
        with suppress(OSError):
            if self._descriptor is not None:
                data = os.pread(self._descriptor, _MOST, 0)
        lines = (line.split() for line in data.decode("ascii", "replace").splitlines())
        told = [f"process {words[0]} since {words[1]}" for words in lines if len(words) == 2 and words[0].isdigit()]
        others = [one for one in told if one.split()[1] != str(os.getpid())] or told
        return f": {', '.join(others)}" if others else ""
