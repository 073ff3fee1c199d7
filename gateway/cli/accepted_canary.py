"""Another canary key for a ledger, for `keys accept-canary`. It is apart, since it takes the ledger's libraries."""

import asyncio
import time
from pathlib import Path

import click

from gateway.config.model import Config
from gateway.errors import StartupError
from gateway.ledger import canary_key
from gateway.ledger.audit import Note
from gateway.ledger.database import LedgerUnavailable, open_store
from gateway.ledger.key_files import read_single
from gateway.model import Mode
from gateway.outbox.outbox import node_name


def accept(config: Config, folder: Path, reason: str) -> str:
    """Make this installation's canary key the one that canaries divide patients by; return its fingerprint.

    Raises `click.ClickException` while a canary runs, and where the key or the ledger cannot be used.
    """
    try:
        key = read_single(config.keys.canary, folder).secret
        running = asyncio.run(_accept(config, folder, key, reason))
    except StartupError as error:
        raise click.ClickException(str(error)) from None
    except LedgerUnavailable as error:
        raise click.ClickException(
            f"store: the ledger cannot be written ({error}); stop a gateway that has it open, or correct store."
        ) from None
    if running:
        raise click.ClickException(
            f"a canary runs, and its patients would change sides: end {', '.join(running)} first."
        )
    return canary_key.fingerprint(key)


async def _accept(config: Config, folder: Path, key: bytes, reason: str) -> list[str]:
    """Return the canaries that run by the file or by the ledger; none when the key is accepted."""
    if in_file := [str(route.place) for route in config.routes if route.mode is Mode.CANARY]:
        return in_file
    store = await asyncio.to_thread(open_store, config.store, folder, patience=0)
    try:
        node = node_name()
        note = Note(time.time(), node, f"command ({node})", "keys.accept-canary", "canary", reason)
        return await store.write(lambda connection: canary_key.accept(connection, key, note))
    finally:
        await store.close()
