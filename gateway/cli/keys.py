"""`vkp-gateway keys`: the gateway's own keys are made, and the one that seals payloads is rotated; none is ever printed."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from gateway.cli.configuration import usable
from gateway.cli.options import config_option, json_option, reason_option
from gateway.cli.output import print_json
from gateway.config.model import KeyFiles
from gateway.counting import counted
from gateway.errors import StartupError
from gateway.ledger.key_files import PAYLOAD, check, is_from_environment, make, rotate

_NEVER_ROTATED = (
    "lookup and canary are never rotated: what was hashed could not be found any more, "
    "and a canary would get another share"
)
_THEN = "reload every gateway that has this file, or restart it: until then it seals with the key before"


@dataclass(frozen=True, slots=True)
class KeyMade:
    """What was done about a key."""

    kind: str
    source: str
    state: str
    """made, exists, environment or unusable."""
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
    found = make_missing(config.keys, folder)
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
        raise click.ClickException(f"keys.payload is {source}: it is rotated where that variable is set.")
    try:
        made = rotate(source, Path(path).parent, int(time.time()))
    except StartupError as error:
        raise click.ClickException(f"keys.payload: {error}.") from None
    older = [key.id for key in made.keys if key.id != made.current]
    if as_json:
        print_json({"ok": True, "key": PAYLOAD, "file": source, "current": made.current, "older": older})
        return
    click.echo(
        f"payload  {source}: key {made.current} seals from now on, {counted(len(older), 'older key')} left to open what is sealed already"
    )
    click.echo(_THEN)
    click.echo(_NEVER_ROTATED)


@keys.command("accept-canary")
@reason_option
@config_option
@json_option
def accept_canary(path: str, *, reason: str, as_json: bool) -> None:
    """Accept this installation's canary key in place of a lost one; exit 1 while a canary runs.

    For SQLite stop the gateway first. Afterwards reload or restart every node, each with this key.
    """
    # The other commands on keys need no ledger, and its libraries take longer to begin than all the rest.
    from gateway.cli import ledger  # noqa: PLC0415 - said above

    config = usable(path)[0]
    mark = ledger.accept_canary(config, Path(path).parent, reason)
    if as_json:
        print_json({"ok": True, "key": "canary", "fingerprint": mark})
        return
    click.echo(f"canary   {config.keys.canary}: accepted; canaries divide patients by it, fingerprint {mark}")


@keys.command("accept-lost")
@reason_option
@config_option
@json_option
def accept_lost(path: str, *, reason: str, as_json: bool) -> None:
    """Accept this installation's lookup and payload keys in place of lost ones; stop every gateway first.

    What is held cannot be opened then, copies of what came before are delivered again, and no patient's earlier messages are found.
    """
    from gateway.cli import ledger  # noqa: PLC0415 - as above

    ledger.accept_lost(usable(path)[0], Path(path).parent, reason)
    if as_json:
        print_json({"ok": True, "keys": ["lookup", "payload"]})
        return
    click.echo("lookup and payload: the gateway that starts next says which keys the ledger goes by")


def make_missing(files: KeyFiles, folder: Path) -> list[KeyMade]:
    """Make each key whose file is missing; what is there is left as it is, whether it can be used or not."""
    return [_init(kind, source, folder) for kind, source in asdict(files).items()]


def _init(kind: str, source: str, folder: Path) -> KeyMade:
    if is_from_environment(source):
        return KeyMade(kind, source, "environment", f"{source}, not made here")
    try:
        state = "made" if make(kind, source, folder, int(time.time())) else "exists"
        return KeyMade(kind, source, state, f"{source}, {check(kind, source, folder)}")
    except StartupError as error:
        return KeyMade(kind, source, "unusable", str(error))
