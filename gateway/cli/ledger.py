"""`vkp-gateway ledger restored`: makes a database safe that was restored from a copy, before a gateway delivers from it."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.configuration import usable
from gateway.cli.options import TIME, config_option, json_option, reason_option
from gateway.cli.output import counted, print_json
from gateway.config.model import Config


@click.group()
def ledger() -> None:
    """Make a ledger safe that was restored from a copy."""


@ledger.command()
@click.option("--since", type=TIME, required=True, metavar="TIME", help="When the copy was made, or a little earlier.")
@reason_option
@config_option
@json_option
def restored(path: str, *, since: datetime, reason: str, as_json: bool) -> None:
    """Set everything undelivered aside, have the rest asked for, and mark what comes again; stop every gateway first."""
    config = usable(path)[0]
    done = _restored(config, Path(path).parent, since.timestamp(), reason)
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


def _restored(config: Config, folder: Path, since: float, reason: str) -> dict[str, Any]:
    # The ledger's libraries take longer to begin than all the rest.
    from gateway.errors import StartupError  # noqa: PLC0415 - said above
    from gateway.ledger import restore  # noqa: PLC0415 - said above
    from gateway.ledger.audit import Note  # noqa: PLC0415 - said above
    from gateway.ledger.database import LedgerUnavailable, open_store  # noqa: PLC0415 - said above
    from gateway.ledger.messages import Ledger  # noqa: PLC0415 - said above
    from gateway.outbox.outbox import node_name  # noqa: PLC0415 - said above
    from gateway.times import Clock  # noqa: PLC0415 - said above

    async def work() -> dict[str, Any]:
        store = await asyncio.to_thread(open_store, config.store, folder, patience=0, alone=True)
        try:
            clock, node = Clock(), node_name()
            now, known = clock(), restore.PositionFile(config.keys, folder).read()
            note = Note(now, node, f"command ({node})", "ledger.restored", "ledger", reason)
            line = restore.line_of(Ledger(store, node, clock).line, now)
            done = await store.write(lambda each: restore.make_safe(each, since, known, note, line))
            return restore.told(done)
        finally:
            await store.close()

    try:
        return asyncio.run(work())
    except StartupError as error:
        raise click.ClickException(f"{error}; stop every gateway first.") from None
    except LedgerUnavailable as error:
        raise click.ClickException(
            f"store: the ledger cannot be written ({error}); stop every gateway first."
        ) from None
