"""`vkp-gateway plan`: what another configuration would change, for cells and for last week's messages."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.configuration import one_path, sqlite_file, usable
from gateway.cli.options import WRONG_USE, either_config_option, json_option
from gateway.cli.output import plain, print_json
from gateway.config.values import seconds
from gateway.counting import counted
from gateway.model import Mode
from gateway.routing.diff import CellState, Change, changed_cells
from gateway.routing.replay import Moved, Replay
from gateway.routing.table import RouteTable


class _Unreadable(click.ClickException):
    """Trouble that must not look like the answer that something changes."""

    exit_code = WRONG_USE


def _duration(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    if (read := seconds(value)) is None:
        raise click.BadParameter("give a duration such as 7d (units ms, s, m, h, d, y).")
    return read


@click.command()
@click.argument("files", nargs=-1, metavar="[OLD] NEW")
@either_config_option
@click.option(
    "--past",
    metavar="DURATION",
    callback=_duration,
    help="Replay the decisions of this time, as 7d, from the ledger that NEW names.",
)
@json_option
def plan(files: tuple[str, ...], config: str | None, *, past: float | None, as_json: bool) -> None:
    """Say which cells change mode from the configuration OLD to NEW; exit 1 if any does, 0 if none, 2 if that cannot be told.

    OLD may be given with --config too, and is ./routes.yaml if left out.
    """
    if not 1 <= len(files) <= 2:
        raise click.UsageError("Give NEW, the configuration to compare with, or OLD and NEW.")
    *before_new, new = files
    old = one_path(before_new[0] if before_new else None, config, "OLD")
    config_old, before = usable(old)
    config_new, after = usable(new)
    now = datetime.now(UTC)  # noqa: TID251 - the command's own clock
    changes = changed_cells(before, after, config_old, config_new, now)
    replay = None
    if past is not None:
        replay = _replayed(config_new.store, Path(new).parent, time.time() - past, (before, after), as_json=as_json)
    if as_json:
        print_json({"changes": [_change(one) for one in changes], "past": _replay(replay) if replay else None})
    else:
        _print(changes, replay)
    if changes:
        raise click.exceptions.Exit(1)


def _replayed(
    store: str, folder: Path, since: float, tables: tuple[RouteTable, RouteTable], *, as_json: bool
) -> Replay:
    """Replay the decision log of a ledger, which may be a running gateway's, and change nothing."""
    # Without --past no ledger is read, and its libraries take longer to begin than all the rest.
    from gateway.cli.ledger_reader import NoLedger, Unreadable, read, replayed_log  # noqa: PLC0415 - said above

    try:
        return read(store, folder, lambda connection: replayed_log(connection, since, tables, as_json=as_json))
    except NoLedger:
        raise _Unreadable(
            f"There is no ledger at {sqlite_file(store, folder)}; run this where the gateway's ledger is, or without --past."
        ) from None
    except Unreadable as error:
        raise _Unreadable(
            f"The decision log of {_shown(store)} cannot be read: {error}; look at store, and whether this user may read it."
        ) from None


def _shown(store: str) -> str:
    """Return the URL without what may be a password."""
    return store if "@" not in store else f"postgresql://...@{store.rpartition('@')[2]}"


def _change(change: Change) -> dict[str, object]:
    return {
        "municipality": change.municipality,
        "senders": change.whose.name.lower(),
        "vendor": change.vendor,
        "system": change.system,
        "information": list(change.information),
        "before": _standing(change.before),
        "after": _standing(change.after),
    }


def _standing(standing: CellState) -> dict[str, object]:
    return {
        "mode": standing.mode,
        "share": standing.share,
        "always": standing.always,
        "never": standing.never,
        "route": standing.route,
    }


def _replay(replay: Replay) -> dict[str, object]:
    return {
        "messages": replay.messages,
        "another_way": replay.another_way,
        "type_unknown": replay.type_unknown,
        "moved": list(replay.moved),
    }


def _print(changes: tuple[Change, ...], replay: Replay | None) -> None:
    if not changes:
        click.echo("No cell changes.")
    for change in changes:
        click.echo(plain(change))
        click.echo(plain(f"    {change.before.route or 'no route'} -> {change.after.route or 'no route'}"))
    if replay is not None:
        _print_replay(replay)


def _print_replay(replay: Replay) -> None:
    if not replay.messages:
        click.echo("No message was recorded in that time.")
        return
    click.echo(f"{replay.another_way} of {counted(replay.messages, 'recorded message')} would have gone another way")
    for one in replay.moved:
        click.echo(plain(f"    {_moved(one)}"))
    if any(one.after is Mode.CANARY for one in replay.moved):
        click.echo("-> canary: at most so many; it depends on the patients, whom the log does not know")
    if replay.type_unknown:
        others = counted(replay.type_unknown, "other message")
        click.echo(f"for {others} it depends on the type, which was not read then")


def _moved(one: Moved) -> str:
    what = f"{one.municipality or 'unknown'}, {one.vendor or 'unknown'}, {one.information or 'what does not say'}"
    above = f" ({one.decided_above} decided by a rule that was set at run time)" if one.decided_above else ""
    return f"{one.messages} {what}: {one.before or 'no route'} -> {one.after or 'no route'}{above}"
