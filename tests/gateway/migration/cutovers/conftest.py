"""A site with both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.conftest import logged
from tests.gateway.ledger.conftest import clock, ledger, ledger_url, other, store
from tests.gateway.migration.cutovers.scene import Site, config_of

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.ledger.database import Database
    from tests.gateway.ledger.conftest import Clock

__all__ = ["clock", "ledger", "ledger_url", "logged", "other", "store"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Read the configuration of these tests."""
    return config_of(tmp_path)


@pytest.fixture
def site(store: Database, clock: Clock, config: Config) -> Site:
    """Open a ledger for cutovers."""
    return Site(store, clock, config)
