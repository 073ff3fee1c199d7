"""The admin port with people that these tests share, and a ledger for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.ledger.database import open_store
from tests.gateway.admin.shelf import Shelf, shelf_of
from tests.gateway.office import NORA, VERA, Browser, office, olga, open_office

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.gateway.office import Office

__all__ = ["office", "olga", "open_office"]


@pytest.fixture
async def shelf(office: Office, tmp_path: Path) -> AsyncIterator[Shelf]:
    """Open a ledger for the admin port."""
    store = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path, patience=0.0)
    yield shelf_of(office, store)
    await store.close()


@pytest.fixture
async def nora(office: Office) -> Browser:
    """Let the operator of Nordfjell alone log in."""
    browser = office.browser()
    await browser.enter(NORA)
    return browser


@pytest.fixture
async def vera(office: Office) -> Browser:
    """Let a viewer of all municipalities log in."""
    browser = office.browser()
    await browser.enter(VERA)
    return browser
