"""The database of the ledger: one writer that commits what waits together, and readers beside it."""

import asyncio
import logging
import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from gateway.errors import StartupError
from gateway.ledger.file_lock import FileLock, LockTaken
from gateway.ledger.reader import Reader
from gateway.ledger.writer import WRITES, LedgerUnavailable, Work, Writer, name_of, reason_of, told, unavailable

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "Database",
    "FileBounds",
    "LedgerUnavailable",
    "file_of",
    "migrate",
    "of_later_version",
    "open_store",
    "reason_of",
]

log = structlog.get_logger()
T = TypeVar("T")

_MIGRATIONS = "gateway.ledger:migrations"
_CONNECT = 5.0
"""Seconds that PostgreSQL is waited for with a connection."""
_APPLICATION = "vkp-gateway"
"""What PostgreSQL is told of whose connection it is, by which one that wants to be alone knows the others."""
_POSTGRESQL: dict[str, Any] = {
    "application_name": _APPLICATION,
    "connect_timeout": int(_CONNECT),
    # A server that hangs, or is gone without a word, must not hang the gateway.
    "options": "-c lock_timeout=5s -c statement_timeout=15s -c idle_in_transaction_session_timeout=30s",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_LAST_READS = 5.0
"""Seconds that reads under way have when the ledger is closed."""
_TO_MIGRATE = 300
"""Seconds that a starting node waits for another that makes or changes the tables."""
_PAGES_OF_LOG = 2000
"""After how many pages of 4 KB SQLite writes the log into the file: a page that changed often meanwhile is written once."""
_WRITERS_CACHE = 4 * 1024
"""KB of the file that the writer keeps in memory."""
_PAGES = 250
"""Pages given back in one transaction, some 1 MB; a tenth of the file stays free for what comes."""
_LOCK_KEY = 0x766B7067
"""PostgreSQL's advisory lock while the tables are made or changed."""


@dataclass(frozen=True, slots=True)
class FileBounds:
    """How long a file of SQLite waits, and how large things grow; PostgreSQL has its own."""

    busy: float = 5.0
    """Seconds that it waits for another process's lock."""
    log: int = 16 * 1024 * 1024
    """Bytes of the log of writes; a long reader may have it grow, and once it has ended the log is shortened to this."""
    rewritten: int = 512 * 1024 * 1024
    """Bytes of a file of an earlier version that is written anew at a start, some seconds' work."""
    vacuums: int = 40
    """How often at a time some pages are given back."""


USUAL_FILE = FileBounds()


class Database:
    """An open database. Work is given as functions that take a connection; they may be run again, so they change nothing else."""

    def __init__(self, engine: Engine, lock: FileLock | None, bounds: FileBounds = USUAL_FILE) -> None:
        self._bounds = bounds
        self.engine = engine
        self._lock = lock
        self._writer = Writer(engine)
        self._reader = Reader(engine)
        self._reading: set[asyncio.Future[Any]] = set()
        self.submitted = 0
        """Pieces of work, but for those that are no news."""

    @property
    def is_sqlite(self) -> bool:
        """Whether this process alone has the ledger."""
        return self.engine.dialect.name == "sqlite"

    async def write(self, work: Work[T], *, is_news: bool = True) -> T:
        """Do `work` and return its result when it is durable; raises `LedgerUnavailable`."""
        self.submitted += is_news
        return await self._writer.write(work)

    def submit(self, work: Work[T], *, is_news: bool = True) -> "Future[T]":
        """Have `work` done; the result is there when it is durable."""
        self.submitted += is_news
        return self._writer.submit(work)

    async def look_up(self, work: Work[T]) -> T:
        """Do `work`, which changes nothing and reads a few rows by their keys, beside the writer; raises `LedgerUnavailable`.

        On a file such work is done by one thread in turn; PostgreSQL is asked over several connections, since each answer takes its time.
        """
        return await (self._reader.read(work) if self.is_sqlite else self.read(work))

    async def read(self, work: Work[T]) -> T:
        """Do `work`, which changes nothing, beside the writer; raises `LedgerUnavailable`.

        It goes on where whoever waits for it is cancelled, and `close` waits for it: its connection must not outlive the ledger.
        """
        reading = asyncio.get_running_loop().run_in_executor(None, self._read, work)
        self._reading.add(reading)
        reading.add_done_callback(self._has_read)
        return await asyncio.shield(reading)

    def _has_read(self, reading: "asyncio.Future[Any]") -> None:
        self._reading.discard(reading)
        if not reading.cancelled():
            reading.exception()  # told to whoever waited

    def _read(self, work: Work[T]) -> T:
        try:
            with self.engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise unavailable(error) from None

    async def tidy(self) -> None:
        """Shorten SQLite's log of writes where it has grown, and give back what was cleared away, a bounded part at a time.

        Nothing waits for it: whoever writes or reads at this moment only puts it off until the next time. PostgreSQL does both itself.
        """
        if not self.is_sqlite:
            return
        await asyncio.to_thread(_shorten_log, str(self.engine.url.database), self._bounds.log)
        for _ in range(self._bounds.vacuums):
            if not await self.read(_has_much_free):
                return
            await self.write(_give_back)

    async def close(self) -> None:
        """Finish what waits, and close."""
        await asyncio.gather(self._writer.close(), self._reader.close(_LAST_READS))
        if self._reading:
            await asyncio.wait(self._reading, timeout=_LAST_READS)
        self.engine.dispose()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


def open_store(  # noqa: PLR0913 - what may be said of a start
    url: str,
    folder: Path,
    *,
    patience: float = 30.0,
    lock: FileLock | None = None,
    alone: bool = False,
    bounds: FileBounds = USUAL_FILE,
) -> Database:
    """Open the ledger at `url`, bring its tables up to date, and return it; raises `StartupError`.

    A path of `sqlite:///` is relative to `folder`. `patience` is how many seconds another process may still have it: one
    that is about to end. `lock` is this process's own on the file, where it has one already: its owner releases it.
    `alone` refuses a database of PostgreSQL that other processes of the gateway are connected to, as a file always is.
    """
    engine = owned = None
    try:
        if (path := file_of(url, folder)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = lock or (owned := FileLock(path))
            lock.take(patience)
            engine = _sqlite(path, bounds)
        else:
            engine = _postgresql(url)
            if alone:
                _refuse_others(engine)
        migrate(engine)
        if path is not None:
            _let_give_back(engine, path, bounds.rewritten)
        return Database(engine, owned, bounds)
    except (SQLAlchemyError, sqlite3.Error, OSError, CommandError, ImportError, StartupError, LockTaken) as error:
        if engine is not None:
            engine.dispose()
        if owned is not None:
            owned.release()
        if isinstance(error, StartupError):
            raise
        if isinstance(error, LockTaken):
            raise StartupError(f"store: {error}") from None
        raise StartupError(f"store: cannot be opened: {_why_not(error)}") from None


_CANNOT_WRITE = frozenset({"SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"})


def _why_not(error: Exception) -> str:
    """Say what is wrong; where it is a file that cannot be written, also which, and what to do."""
    what = name_of(error)
    if isinstance(error, OSError) and error.filename is not None:
        what = f"{what}: {error.filename}: {error.strerror}"
    elif not what.startswith(tuple(_CANNOT_WRITE)):
        return told(what)
    return f"{what}; the gateway must be able to write this file and others beside it: remount the disk, give its user the folder, or change store"


def file_of(url: str, folder: Path) -> Path | None:
    """Return the file of a SQLite ledger; None for PostgreSQL."""
    return (folder / url.removeprefix("sqlite:///")).absolute() if url.startswith("sqlite:") else None


def _sqlite(path: Path, bounds: FileBounds) -> Engine:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    arguments = {"check_same_thread": False, "timeout": bounds.busy}
    # As many as threads read, and those of writer and reader: to open one takes as long as a search.
    most = min(32, (os.cpu_count() or 1) + 4) + 2
    engine = create_engine(f"sqlite:///{path}", connect_args=arguments, hide_parameters=True, pool_size=most)

    opened = _identity(path)

    # By SQLAlchemy's page on SQLite: the driver would begin transactions late, and not before a SELECT.
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        # For a file that is new, since it is a write; another is brought to it by `_let_give_back`.
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA journal_size_limit = {bounds.log}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_OF_LOG}")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES) and not connection.info.get(WRITES):
            # Hashes come in no order: what is written to their indexes is all over them, and read again for each.
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_WRITERS_CACHE}")
            connection.info[WRITES] = True
        if connection.get_execution_options().get(WRITES) and _identity(path) != opened:
            raise OperationalError(None, None, FileGone())
        # A transaction that reads first and writes then would not wait for the lock, but fail at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")

    return engine


class FileGone(Exception):  # noqa: N818 - the condition
    """What is open is not the file any more that the next start will find: nothing may be promised in it."""

    sqlite_errorname = "FILE_GONE"
    """As SQLite names its own errors."""


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _let_give_back(engine: Engine, path: Path, most: int) -> None:
    """Have a file that an earlier version made give back what is cleared away: it is written anew once, where it is not too large."""
    with closing(engine.raw_connection()) as connection:  # no transaction is begun on it
        own = connection.cursor()
        own.execute("PRAGMA auto_vacuum")
        if own.fetchone() != (0,):
            return
        helps = "stop the gateway; sqlite3 FILE 'PRAGMA auto_vacuum = 2; VACUUM'"
        if path.stat().st_size > most:
            log.warning("ledger.space_is_kept", file=path.name, reason="too large", do=helps)
            return
        try:
            own.execute("PRAGMA auto_vacuum = INCREMENTAL")
            own.execute("VACUUM")
        except sqlite3.Error as error:
            # A disk that is full, or another tool on the file: all but its size is as it should be.
            reason = getattr(error, "sqlite_errorname", None) or type(error).__name__
            log.warning("ledger.space_is_kept", file=path.name, reason=reason, do=helps)


def _has_much_free(connection: Connection) -> bool:
    free, pages = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("freelist_count", "page_count")
    )
    return bool(free > max(_PAGES, pages // 10))


def _give_back(connection: Connection) -> None:
    for _ in range(_PAGES):  # the driver takes one step of a statement without columns, and a step is a page
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")


def _shorten_log(file: str, longest: int) -> None:
    """Empty the log of writes where it is longer, if nobody reads from it or writes just now: `timeout=0` waits for nobody."""
    with suppress(OSError, sqlite3.Error):
        if Path(f"{file}-wal").stat().st_size > longest:
            with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as own:
                own.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _postgresql(url: str) -> Engine:
    driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(
        driver,
        connect_args=dict(_POSTGRESQL),
        hide_parameters=True,
        pool_size=4,
        pool_pre_ping=True,
        pool_timeout=_CONNECT,
    )


def _refuse_others(engine: Engine) -> None:
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = :name AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        for _ in range(20):  # a connection that was closed a moment ago may still be listed
            if not connection.execute(text(others), {"name": _APPLICATION}).scalar_one():
                return
            connection.rollback()
            time.sleep(0.1)
        raise StartupError("store: another process of the gateway is connected to the database")


def migrate(engine: Engine) -> None:
    """Bring the tables to what this version needs; raises `StartupError` when they are of a later version."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config, scripts = _config(), _scripts()
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Making an index takes as long as it takes, and another node that does so is waited for.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text(f"SET LOCAL lock_timeout = '{_TO_MIGRATE}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        current = MigrationContext.configure(connection).get_current_revision()
        if current == scripts.get_current_head():
            return
        if (later := of_later_version(current)) is not None:
            raise StartupError(f"store: {later}")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def of_later_version(revision: str | None) -> str | None:
    """Return what is to be done about tables that a later version of the gateway made; None where they are of this or an earlier one."""
    if revision is None or revision in {script.revision for script in _scripts().walk_revisions()}:
        return None
    return f"its tables are of a later version ({revision}): install that version of the gateway again, or restore a copy from before it"


def _config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", _MIGRATIONS)
    return config


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
