"""`vkp-gateway plan`: what another configuration would change, for cells and for last week's messages."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.cli.admin_client import plain
from gateway.cli.output import WRONG_USE, json_option, print_json, usable
from gateway.config.values import seconds
from gateway.ledger.decision_log import PastDecision
from gateway.ledger.decision_log import past as past_decisions
from gateway.model import Mode
from gateway.routing.diff import CellState, Change, changed_cells
from gateway.routing.replay import Moved, Replay, replayed


class _Unreadable(click.ClickException):
    """Trouble that must not look like the answer that something changes."""

    exit_code = WRONG_USE


def _duration(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    if (read := seconds(value)) is None:
        raise click.BadParameter("a duration such as 7d (units ms, s, m, h, d, y)")
    return read


@click.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--past",
    metavar="TIME",
    callback=_duration,
    help="Replay the decisions of this time, as 7d, from the ledger that NEW names.",
)
@json_option
def plan(old: str, new: str, *, past: float | None, as_json: bool) -> None:
    """Say which cells change mode from the configuration OLD to NEW; exit 1 if any does, 0 if none, 2 if that cannot be told."""
    config_old, before = usable(old)
    config_new, after = usable(new)
    now = datetime.now(UTC)  # noqa: TID251 - the command's own clock
    changes = changed_cells(before, after, config_old, config_new, now)
    replay = None
    if past is not None:
        since = time.time() - past
        replay = _with_log(config_new.store, Path(new).parent, since, lambda found: replayed(found, after, before))
    if as_json:
        print_json({"changes": [_change(one) for one in changes], "past": _replay(replay) if replay else None})
    else:
        _print(changes, replay)
    if changes:
        raise click.exceptions.Exit(1)


def _with_log(store: str, folder: Path, since: float, use: Callable[[Iterator[PastDecision]], Replay]) -> Replay:
    """Read the decision log of a ledger, which may be a running gateway's, and change nothing."""
    try:
        engine = _read_only(store, folder)
        try:
            with engine.connect() as connection:
                return use(past_decisions(connection, since))
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        # Not the error's own text: it has the statement and its values.
        raise _Unreadable(f"the decision log of {_shown(store)} cannot be read: {type(error).__name__}") from None


def _read_only(store: str, folder: Path) -> Engine:
    if store.startswith("sqlite:///"):
        path = (folder / store.removeprefix("sqlite:///")).absolute()
        if not path.is_file():
            raise _Unreadable(f"there is no ledger at {path}")
        return create_engine(f"sqlite:///file:{path.as_posix()}?mode=ro&uri=true", hide_parameters=True)
    url = store.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, connect_args={"connect_timeout": 5}, hide_parameters=True)
    return engine.execution_options(postgresql_readonly=True)


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
        click.echo("no cell changes")
    for change in changes:
        click.echo(plain(change))
        click.echo(plain(f"    {change.before.route or 'no route'} -> {change.after.route or 'no route'}"))
    if replay is not None:
        _print_replay(replay)


def _print_replay(replay: Replay) -> None:
    click.echo(f"{replay.another_way} of {replay.messages} recorded messages would have gone another way")
    for one in replay.moved:
        click.echo(plain(f"    {_moved(one)}"))
    if any(one.after is Mode.CANARY for one in replay.moved):
        click.echo("-> canary: up to so many; it depends on the patients, whom the log does not know")
    if replay.type_unknown:
        click.echo(f"of {replay.type_unknown} others it depends on their type, which was not read then")


def _moved(one: Moved) -> str:
    what = f"{one.municipality or 'unknown'}, {one.vendor or 'unknown'}, {one.information or 'what does not say'}"
    above = f" ({one.decided_above} decided by a rule that was set at run time)" if one.decided_above else ""
    return f"{one.messages} {what}: {one.before or 'no route'} -> {one.after or 'no route'}{above}"
