"""What every test shares."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from gateway.ledger.database import open_store
from tests.postgres import Server, server

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Run PostgreSQL while tests need it."""
    with server() as running:
        yield running


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
    """Import no module whose every test is slow when none of these is to run."""
    if config.option.markexpr != "not slow" or not collection_path.match("test_*.py"):
        return None
    return "\npytestmark = pytest.mark.slow\n" in collection_path.read_text(encoding="utf-8") or None
