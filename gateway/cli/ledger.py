"""`vkp-gateway ledger restored`, and all else that commands change in a ledger that no gateway has open.

Other commands import it where they need it: the ledger's libraries take longer to begin than all the rest.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.configuration import usable
from gateway.cli.options import TIME, config_option, json_option, reason_option
from gateway.cli.output import print_json
from gateway.config.model import Config
from gateway.counting import counted
from gateway.errors import StartupError
from gateway.ledger import canary_key, known_keys, restore
from gateway.ledger.audit import Note
from gateway.ledger.database import Database, LedgerUnavailable, file_of, open_store, reason_of
from gateway.ledger.key_files import read_single
from gateway.ledger.messages import Ledger
from gateway.model import Mode
from gateway.outbox.outbox import node_name
from gateway.times import Clock, when

T = TypeVar("T")


@click.group()
def ledger() -> None:
    """Copy a ledger, and make one safe that was restored from a copy."""


@ledger.command()
@click.argument("to", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@config_option
@json_option
def copy(to: Path, path: str, *, as_json: bool) -> None:
    """Write a whole copy of a SQLite ledger to FILE, which must not be there yet; a gateway may run meanwhile."""
    began = Clock()()
    file = file_of(usable(path)[0].store, Path(path).parent)
    if file is None:
        raise click.ClickException("store is PostgreSQL: make the copy with pg_dump --format=custom.")
    if not file.is_file():
        raise click.ClickException(
            f"There is no ledger at {file}; name the configuration of the one to copy with --config."
        )
    try:
        to.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise click.ClickException(
            f"{to} cannot be made ({error.strerror}); give a file that is not there yet, in a folder that is yours."
        ) from None
    try:
        _copy(file, to)
    except (OSError, sqlite3.Error) as error:
        to.unlink()
        raise click.ClickException(
            f"The ledger cannot be copied to {to} ({reason_of(error)}); make room there, or, where the ledger is damaged, restore it from an older copy."
        ) from None
    if as_json:
        print_json({"ok": True, "file": str(to), "at": when(began)})
        return
    click.echo(f"{to} has the ledger as it was at {when(began)}; keep copies of the key files elsewhere")


def _copy(file: Path, to: Path) -> None:
    """Have SQLite copy what is in a file and in its log of writes, as of one moment."""
    with (
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as original,
        closing(sqlite3.connect(to)) as copied,
    ):
        original.backup(copied)


@ledger.command()
@click.option("--since", type=TIME, required=True, metavar="TIME", help="When the copy was made, or a little earlier.")
@reason_option
@config_option
@json_option
def restored(path: str, *, since: datetime, reason: str, as_json: bool) -> None:
    """Set everything undelivered aside, have the rest asked for, and mark what comes again; stop every gateway first."""
    done = _make_safe(usable(path)[0], Path(path).parent, since.timestamp(), reason)
    if as_json:
        print_json({"ok": True, **done})
        return
    click.echo(f"{counted(done['quarantined'], 'message')} set aside, to be released or discarded by a person")
    click.echo(f"{counted(done['asked'], 'event')} asked for at once; {done['marked']} marked possible-duplicate")
    click.echo(f"{_missing(done['audit_missing'], 'entry of the audit', 'entries of the audit')} since {done['since']}")
    click.echo(f"{_missing(done['layers_missing'], 'change', 'changes')} of overrides, panics and cutovers since then")
    click.echo(
        f"over the routes now: {', '.join(map(str, done['overrides'])) or 'nothing'}; look at each, and set again what is missing"
    )


def _missing(number: object, one: str, more: str) -> str:
    if number is None:
        return f"nobody here knows how many {more} are missing"
    return f"{number} {one if number == 1 else more} missing"


def _make_safe(config: Config, folder: Path, since: float, reason: str) -> dict[str, Any]:
    """Do what a ledger needs that was restored from a copy of `since`, in seconds since the epoch; return what was done.

    Raises `click.ClickException` where the ledger cannot be used.
    """
    return _alone(config, folder, lambda store: _made_safe(store, config, folder, since, reason))


async def _made_safe(store: Database, config: Config, folder: Path, since: float, reason: str) -> dict[str, Any]:
    known, note = restore.PositionFile(config.keys, folder).read(), _note("ledger.restored", "ledger", reason)
    line = restore.line_of(Ledger(store, note.node, Clock()).line, note.at)
    return restore.told(await store.write(lambda each: restore.make_safe(each, since, known, note, line)))


def accept_canary(config: Config, folder: Path, reason: str) -> str:
    """Make this installation's canary key the one that canaries divide patients by; return its fingerprint.

    Raises `click.ClickException` while a canary runs, and where the key or the ledger cannot be used.
    """
    try:
        key = read_single(config.keys.canary, folder).secret
        running = [str(route.place) for route in config.routes if route.mode is Mode.CANARY]
        if not running:
            running = asyncio.run(_opened(config, folder, lambda store: _accept(store, key, reason)))
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


async def _accept(store: Database, key: bytes, reason: str) -> list[str]:
    """Return the canaries that run by the ledger; none when the key is accepted."""
    note = _note("keys.accept-canary", "canary", reason)
    return await store.write(lambda connection: canary_key.accept(connection, key, note))


def accept_lost(config: Config, folder: Path, reason: str) -> None:
    """Have the ledger go by the lookup and payload keys of the gateway that starts next; raises `click.ClickException`."""
    note = _note("keys.accept-lost", "lookup, payload", reason)
    _alone(config, folder, lambda store: store.write(lambda connection: known_keys.accept(connection, note)))


def _alone(config: Config, folder: Path, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do `work` on a ledger that nothing else has open; raises `click.ClickException` where it cannot be used so."""
    try:
        return asyncio.run(_opened(config, folder, work, alone=True))
    except StartupError as error:
        raise click.ClickException(f"{error}; stop every gateway first.") from None
    except LedgerUnavailable as error:
        raise click.ClickException(
            f"store: the ledger cannot be written ({error}); stop every gateway first."
        ) from None


async def _opened(config: Config, folder: Path, work: Callable[[Database], Awaitable[T]], *, alone: bool = False) -> T:
    """Open a ledger, do `work`, and close it; `alone` refuses one that other processes of the gateway have open."""
    store = await asyncio.to_thread(open_store, config.store, folder, patience=0, alone=alone)
    try:
        return await work(store)
    finally:
        await store.close()


def _note(action: str, target: str, reason: str) -> Note:
    """Return what the audit is told of a command that is given now."""
    node = node_name()
    return Note(Clock()(), node, f"command ({node})", action, target, reason)
