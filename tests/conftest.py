"""What every test shares."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

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
