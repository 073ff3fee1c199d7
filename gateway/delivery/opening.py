"""Whether a configuration needs the ledger, and opening it."""

import asyncio
from pathlib import Path

from gateway.config.model import Config
from gateway.ledger.database import Database, open_store
from gateway.ledger.key_files import Keys, load_keys, load_keys_if_any
from gateway.model import JOURNALING, Mode


def needs_ledger(config: Config) -> bool:
    """Tell whether any journaling may be answered by an information service."""
    return any(
        route.mode in (Mode.NEW, Mode.CANARY) and (route.information is None or route.information & JOURNALING)
        for route in config.routes
    )


def keys_of(config: Config, folder: Path) -> Keys | None:
    """Return the keys of the ledger; None where it is not needed and not one of them is there; raises `KeysUnusable`.

    Where there are keys there may be messages that were held before everything went back to VKP. Where nodes share a database,
    a node without keys would follow no panic.
    """
    keys = load_keys_if_any(config.keys, folder)
    if keys is None and (needs_ledger(config) or not config.store.startswith("sqlite:")):
        return load_keys(config.keys, folder)
    return keys


async def opened(config: Config, folder: Path, *, patience: float = 30.0) -> Database:
    """Open the ledger, waiting so many seconds for another process to leave it; raises `LedgerUnusable`."""
    return await asyncio.to_thread(open_store, config.store, folder, patience=patience)
