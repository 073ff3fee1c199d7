"""What every test shares."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import math
import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import settings

from gateway.ledger import database
from gateway.ledger.database import migrate, open_store
from tests.browser import presence
from tests.postgres import Server, server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Dialect, Engine

pytest_plugins = ("tests.conformance.plugin",)

_LONGEST = 300.0
"""Seconds that a test may take."""
_RENEWED = 10.0
"""Seconds from one time that these begin anew to the next: each costs a thread."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's file system in memory
_ROOM = 1 << 30
"""Bytes of it that the tests' files may come to need."""

_ALWAYS = {"deadline": None, "print_blob": bool(os.environ.get("CI"))}
settings.register_profile("usual", **_ALWAYS, derandomize=bool(os.environ.get("CI")))
# The same examples each time: `make test` fails by no chance.
settings.register_profile("sample", **_ALWAYS, max_examples=10, derandomize=True)
# Many examples; in CI the same ones each time: a finding elsewhere becomes a case of its own, and does not stop a change at random.
settings.register_profile("sweep", **_ALWAYS, max_examples=200, derandomize=bool(os.environ.get("CI")))


class _Watch:
    """On the test that runs now."""

    renewed = -math.inf
    """When the time that a test may take begins anew, at the next one."""
    shown = 2
    """The descriptor that stacks are written to."""


def pytest_configure(config: pytest.Config) -> None:
    """Draw few examples of a property in `make test`, and many in `make test-slow`; keep the tests' files in memory."""
    _Watch.shown = os.dup(2)  # as long as pytest captures nothing
    config.add_cleanup(faulthandler.cancel_dump_traceback_later)
    # Where nobody has configured the log, an exception would be drawn with all its variables: half a second each.
    structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback
    if _has_room_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    settings.load_profile({"not slow": "sample", "slow": "sweep"}.get(config.option.markexpr, "usual"))
    if presence.REQUIRED and _wants_browser(config) and (why := presence.why_absent()):
        raise pytest.UsageError(f"the tests of pages in a browser are required, and cannot run: {why}")


def _has_room_in_memory() -> bool:
    """Tell whether files can be there, and programs among them be run: on a disk every commit of every test would wait for it."""
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return False
    return os.access(_MEMORY, os.W_OK) and not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize > _ROOM


def _wants_browser(config: pytest.Config) -> bool:
    return bool(config.option.markexpr != "not slow")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say aloud that pages were not tried in a browser."""
    if _wants_browser(config) and (why := presence.why_absent()):
        terminalreporter.section("THE BROWSER TESTS DID NOT RUN", red=True, bold=True)
        terminalreporter.line(f"No page was tried in a browser: {why}", red=True)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have every property in `make test-slow` too."""
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if item.config.option.markexpr == "slow" and (is_property or item.get_closest_marker("sampled")):
        item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Run PostgreSQL while tests need it."""
    with server() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def copied_tables() -> Iterator[None]:
    """Give each new SQLite file its tables by copying them: making them takes longer than most tests.

    How they are made is tested in `test_migrations.py`, where this is undone.
    """
    made = b""
    with pytest.MonkeyPatch.context() as patch:

        def copied(engine: Engine) -> None:
            nonlocal made
            if engine.dialect.name != "sqlite":
                migrate(engine)
                return
            path = Path(engine.url.database or "")
            is_new = path.is_file() and path.stat().st_size == 0
            if is_new and made:
                path.write_bytes(made)
                return
            migrate(engine)
            if is_new:
                with closing(engine.raw_connection()) as connection:
                    made = connection.driver_connection.serialize()

        patch.setattr(database, "migrate", copied)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Have all engines share what SQLAlchemy compiled of statements: each test opens databases of its own, and a process one."""
    compiled: dict[Any, Any] = {}
    dialects: dict[str, Dialect] = {}
    create = database.create_engine

    def shared(*arguments: Any, **settings: Any) -> Engine:
        engine = create(*arguments, execution_options={"compiled_cache": compiled}, **settings)
        known = dialects.setdefault(engine.dialect.name, engine.dialect)
        if getattr(known, "server_version_info", None) is not None:  # it has been connected, so it knows its database
            engine.dialect = known
        else:
            dialects[engine.dialect.name] = engine.dialect
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "create_engine", shared)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol() -> None:
    """Let a test that waits for what never comes end with every thread's stack, and hold nobody up.

    As pytest's `faulthandler_timeout` does, which begins and ends a thread for each.
    """
    now = time.monotonic()
    if now >= _Watch.renewed:
        _Watch.renewed = now + _RENEWED
        faulthandler.dump_traceback_later(_LONGEST, exit=True, file=_Watch.shown)


def pytest_enter_pdb() -> None:
    """Give whoever looks all the time there is."""
    faulthandler.cancel_dump_traceback_later()
    _Watch.renewed = math.inf


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Iterator[None]:
    """Look through everything once at the end: pytest does so several times, for what nobody closed."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return (yield)


def pytest_collection_finish() -> None:
    """Let the cyclic collector leave what was collected alone, and look seldom: it would take a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[str]:
    """Make an empty database of PostgreSQL; its URL."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Server) -> str:
    """Make a database that has the ledger's tables, for others to be copied from; its name."""
    store = open_store(postgres_server.make("with_tables"), Path.cwd(), patience=0.0)
    asyncio.run(store.close())
    return "with_tables"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module whose every test is slow when none of these is to run, nor one that needs a browser without it."""
    if collection_path.parent.name == "browser" and presence.why_absent():
        return True
    if config.option.markexpr != "not slow" or not collection_path.match("test_*.py"):
        return None
    return "\npytestmark = pytest.mark.slow\n" in collection_path.read_text(encoding="utf-8") or None
