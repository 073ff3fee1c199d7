"""`vkp-gateway keys`: the gateway's own keys are made, and the one that seals payloads is rotated; none is ever printed."""

import asyncio
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from gateway.cli.output import config_option, json_option, print_json, usable
from gateway.config.model import Config
from gateway.ledger import canary_key
from gateway.ledger.audit import Note
from gateway.ledger.database import LedgerUnavailable, LedgerUnusable, open_store
from gateway.ledger.key_files import PAYLOAD, KeysUnusable, check, is_from_environment, make, read_single, rotate
from gateway.model import Mode
from gateway.outbox.outbox import node_name

_NEVER_ROTATED = (
    "lookup and canary are never rotated: what was hashed could not be found any more, "
    "and a canary would get another share"
)
_THEN = "reload every gateway that has this file, or restart it: until then it seals with the key before"


@dataclass(frozen=True, slots=True)
class _Looked:
    """What `init` did about a key."""

    kind: str
    source: str
    state: str
    """made, there, environment or unusable."""
    text: str


@click.group()
def keys() -> None:
    """Make or rotate the gateway's own keys; they are never printed."""


@keys.command()
@config_option
@json_option
def init(path: str, *, as_json: bool) -> None:
    """Make each key file that is missing and overwrite none; exit 1 if one cannot be made, or is there and no good."""
    config, folder = usable(path)[0], Path(path).parent
    found = [_init(kind, source, folder) for kind, source in asdict(config.keys).items()]
    good = all(one.state != "unusable" for one in found)
    if as_json:
        shown = [{"key": one.kind, "file": one.source, "state": one.state, "text": one.text} for one in found]
        print_json({"ok": good, "keys": shown})
    else:
        for one in found:
            click.echo(f"{one.kind:<9}{one.state:<13}{one.text}")
    if not good:
        raise click.exceptions.Exit(1)


@keys.command("rotate")
@config_option
@json_option
def rotate_payload(path: str, *, as_json: bool) -> None:
    """Add a new payload key and make it current; older ones still open what they sealed; exit 1 if it cannot be."""
    source = usable(path)[0].keys.payload
    if is_from_environment(source):
        raise click.ClickException(f"keys.payload is {source}: it is rotated where that variable is set")
    try:
        made = rotate(source, Path(path).parent, int(time.time()))
    except KeysUnusable as error:
        raise click.ClickException(f"keys.payload: {error}") from None
    older = [key.id for key in made.keys if key.id != made.current]
    if as_json:
        print_json({"ok": True, "key": PAYLOAD, "file": source, "current": made.current, "older": older})
        return
    click.echo(f"payload  {source}: key {made.current} seals from now on, {len(older)} older still open")
    click.echo(_THEN)
    click.echo(_NEVER_ROTATED)


@keys.command("accept-canary")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit.")
@config_option
@json_option
def accept_canary(path: str, *, reason: str, as_json: bool) -> None:
    """Deal shares with the canary key that is here, where the one that the ledger knows is lost; exit 1 while a canary runs.

    For SQLite stop the gateway first. Afterwards reload or restart every node, each with this key.
    """
    config, folder = usable(path)[0], Path(path).parent
    try:
        key = read_single(config.keys.canary, folder).secret
        running = asyncio.run(_accept(config, folder, key, reason))
    except (KeysUnusable, LedgerUnusable) as error:
        raise click.ClickException(str(error)) from None
    except LedgerUnavailable as error:
        raise click.ClickException(f"store: cannot be written: {error}") from None
    if running:
        raise click.ClickException(f"a canary runs, and its patients would change sides: {', '.join(running)}")
    mark = canary_key.fingerprint(key)
    if as_json:
        print_json({"ok": True, "key": "canary", "fingerprint": mark})
        return
    click.echo(f"canary   {config.keys.canary}: shares are dealt with this key, fingerprint {mark}")


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


def _init(kind: str, source: str, folder: Path) -> _Looked:
    if is_from_environment(source):
        return _Looked(kind, source, "environment", f"{source}, not made here")
    try:
        state = "made" if make(kind, source, folder, int(time.time())) else "there"
        return _Looked(kind, source, state, f"{source}, {check(kind, source, folder)}")
    except KeysUnusable as error:
        return _Looked(kind, source, "unusable", str(error))
