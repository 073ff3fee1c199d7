"""The ledger of one process: opened when a configuration first needs it, and open until the process ends."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Connection

from gateway.config.model import Config
from gateway.errors import StartupError
from gateway.ledger import audit, canary_key, known_keys, restore
from gateway.ledger.database import LedgerUnavailable, file_of, open_store
from gateway.ledger.file_lock import FileLock, LockTaken
from gateway.ledger.key_files import Keys
from gateway.ledger.messages import Ledger
from gateway.ledger.restore import PositionFile
from gateway.model import Mode
from gateway.observability.metrics import LEDGER_RUNS
from gateway.outbox.outbox import Outbox
from gateway.routing.layers import NOTHING_ABOVE, Layers
from gateway.runtime.active_routes import read_layers
from gateway.tasks import Intervals
from gateway.times import Clock

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PreparedLedger:
    """What a configuration needs of the ledger, before it is used."""

    store: str
    """Its URL."""
    outbox: Outbox | None = None
    """On a ledger that was opened for this configuration; None where one is open already, or none is needed."""
    layers: Layers = NOTHING_ABOVE
    """What lies over the routes by the ledger that was opened."""
    lock: FileLock | None = None
    was_whole: bool = False


class ProcessLedger:
    """Keeps the ledger, and the lock by which no other process has the same file."""

    def __init__(self, folder: Path, clock: Clock, intervals: Intervals) -> None:
        self._folder = folder
        self._clock = clock
        self._intervals = intervals
        self._store = ""
        self._lock: tuple[Path, FileLock] | None = None
        self.outbox: Outbox | None = None
        """None as long as no ledger is open."""

    async def prepare(self, config: Config, keys: Keys | None, before: Keys | None, patience: float) -> PreparedLedger:
        """Open the ledger where a configuration is the first to need it, and see that it is the one that is open already.

        `before` are the keys in use, `patience` is how many seconds another process may still have the file. Raises
        `StartupError`, also where patients would change sides by other keys; then nothing is open that was not.
        """
        if self.outbox is not None:
            if config.store != self._store:
                raise StartupError("store: another one needs a restart")
            await canary_key.agree(self.outbox.ledger, _canary(keys), _canary(before), self._clock())
            await known_keys.agree(self.outbox.ledger, keys, before, self._clock())
            return PreparedLedger(config.store)
        lock = self._lock_of(config)
        was_whole = lock is not None and lock.is_whole
        try:
            if keys is not None:
                outbox, layers = await self._open(config, keys, lock, patience)
                return PreparedLedger(config.store, outbox, layers, lock, was_whole)
            if lock is not None:
                await asyncio.to_thread(_lock, lock, config, patience)
            return PreparedLedger(config.store, lock=lock, was_whole=was_whole)
        except BaseException:
            self._leave(lock, was_whole=was_whole)
            raise

    def use(self, prepared: PreparedLedger) -> None:
        """Go on with what `prepare` returned."""
        if self.outbox is not None:
            return
        if prepared.lock is not None and self._lock is not None and self._lock[1] is not prepared.lock:
            self._lock[1].release()
        if prepared.lock is not None and (path := file_of(prepared.store, self._folder)) is not None:
            self._lock = path, prepared.lock
        self.outbox, self._store = prepared.outbox, prepared.store

    async def abandon(self, prepared: PreparedLedger) -> None:
        """Close what was opened for a configuration that is not used after all."""
        if prepared.outbox is not None:
            await prepared.outbox.close()
        self._leave(prepared.lock, was_whole=prepared.was_whole)

    async def close(self) -> None:
        """Close the ledger, when no request needs it any more."""
        if self.outbox is not None:
            await self.outbox.close()
        if self._lock is not None:
            self._lock[1].release()

    async def _open(self, config: Config, keys: Keys, lock: FileLock | None, patience: float) -> tuple[Outbox, Layers]:
        store = await asyncio.to_thread(open_store, config.store, self._folder, patience=patience, lock=lock)
        positions = PositionFile(config.keys, self._folder)
        outbox = Outbox(store, self._clock, self._intervals, positions)
        try:
            await canary_key.agree(outbox.ledger, keys.canary, None, self._clock())
            await known_keys.agree(outbox.ledger, keys, None, self._clock())
            await self._look_for_restore(outbox.ledger, positions)
            return outbox, await read_layers(store, self._clock())
        except BaseException:
            await outbox.close()
            raise

    async def _look_for_restore(self, ledger: Ledger, positions: PositionFile) -> None:
        """Make a database safe that is older than what this machine knows of it, before anything of it is sent."""
        known, now = await asyncio.to_thread(positions.read), self._clock()
        note = audit.Note(
            now, ledger.node, f"gateway ({ledger.node})", "ledger.restored", "ledger", "found at the start"
        )
        line = restore.line_of(ledger.line, now)

        def work(connection: Connection) -> restore.Restored | None:
            return (
                restore.make_safe(connection, None, known, note, line) if restore.is_older(connection, known) else None
            )

        try:
            if (done := await ledger.store.write(work)) is not None:
                log.critical("ledger.restored", **restore.told(done))
            ledger.marks_until = await ledger.store.read(restore.marks_until)
        except LedgerUnavailable as error:
            raise StartupError(f"store: whether it was restored cannot be read: {error}") from None
        if ledger.marks_until:
            LEDGER_RUNS.labels("restored").set(ledger.marks_until - restore.MARKED)

    def _lock_of(self, config: Config) -> FileLock | None:
        """Return the lock on the file that a configuration names; None for PostgreSQL, which several may have."""
        if (path := file_of(config.store, self._folder)) is None:
            return None
        return self._lock[1] if self._lock is not None and self._lock[0] == path else FileLock(path)

    def _leave(self, lock: FileLock | None, *, was_whole: bool) -> None:
        """Have of a lock what there was before."""
        if lock is None:
            return
        if self._lock is None or self._lock[1] is not lock:
            lock.release()
        elif not was_whole:
            lock.lower()


def _lock(lock: FileLock, config: Config, patience: float) -> None:
    """Share the file with processes that only pass messages on, or have it alone where a process must say more than that."""
    try:
        if all(route.mode is Mode.LEGACY for route in config.routes):
            lock.share(patience)
        else:
            lock.take(patience)
    except LockTaken as error:
        raise StartupError(f"store: {error}") from None
    except OSError as error:
        # Where no file can be made there is no ledger either.
        log.warning("store.not_locked", reason=error.strerror)


def _canary(keys: Keys | None) -> bytes | None:
    return keys.canary if keys is not None else None
