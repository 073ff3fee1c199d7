"""A configuration for what people set over its routes, and ledgers on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.load import load_text
from tests.gateway.cli.conftest import HEAD
from tests.gateway.ledger.conftest import clock, ledger, ledger_url, other, store

if TYPE_CHECKING:
    from gateway.config.model import Config

__all__ = ["clock", "ledger", "ledger_url", "other", "store"]


@pytest.fixture(scope="session")
def config() -> Config:
    """Four municipalities, of which one has an EPJ of the new generation."""
    loaded = load_text(
        HEAD + "  - {mode: legacy}\n  - {municipality: havnes, mode: closed, text: Nei.}\n", "routes.yaml"
    )
    assert loaded.config is not None, loaded.problems
    return loaded.config
