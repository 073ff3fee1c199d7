"""Whether a configuration needs the ledger, and opening it."""

import asyncio
from pathlib import Path

from gateway.config.definitions import Config, KeyFiles
from gateway.ledger.keys import KeyMissing, Keys, load_keys
from gateway.ledger.store import Store, open_store
from gateway.model import JOURNALING, Mode


def needs_ledger(config: Config) -> bool:
    """Tell whether any journaling may be answered by an information service."""
    return any(
        route.mode in (Mode.NEW, Mode.CANARY) and (route.information is None or route.information & JOURNALING)
        for route in config.routes
    )


def keys_of(config: Config, folder: Path) -> Keys | None:
    """Return the keys of the ledger; None where it is not needed and there are none; raises `KeysUnusable`.

    Where there are keys there may be messages that were held before everything went back to VKP.
    """
    files: KeyFiles = config.keys
    try:
        return load_keys(files, folder)
    except KeyMissing:
        if needs_ledger(config):
            raise
        return None


async def opened(config: Config, folder: Path) -> Store:
    """Open the ledger, waiting a while for another process to leave it; raises `LedgerUnusable`."""
    return await asyncio.to_thread(open_store, config.store, folder)
