"""A ledger as a command beside the gateway reads it: it may be a running gateway's, and is never changed."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.cli.configuration import sqlite_file
from gateway.cli.output import progress, shows_progress
from gateway.ledger.database import reason_of
from gateway.routing.replay import Replay, replayed
from gateway.routing.table import RouteTable

if TYPE_CHECKING:
    from gateway.ledger.decision_log import PastDecision

T = TypeVar("T")


class NoLedger(Exception):  # noqa: N818 - the condition
    """There is no ledger yet, so nobody has set anything."""


class Unreadable(Exception):  # noqa: N818 - the condition, told without the address's password
    """The ledger cannot be read."""


def read(store: str, folder: Path, work: Callable[[Connection], T]) -> T:
    """Do `work` on a ledger, which may be a running gateway's, and change nothing; raises `NoLedger` or `Unreadable`."""
    try:
        engine = _read_only(store, folder)
        try:
            with engine.connect() as connection:
                return work(connection)
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        # Not the error's own text: it has the statement and its values.
        raise Unreadable(reason_of(error)) from None


def _read_only(store: str, folder: Path) -> Engine:
    if (path := sqlite_file(store, folder)) is not None:
        if not path.is_file():
            raise NoLedger
        return create_engine(f"sqlite:///file:{path.as_posix()}?mode=ro&uri=true", hide_parameters=True)
    url = store.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, connect_args={"connect_timeout": 5}, hide_parameters=True)
    return engine.execution_options(postgresql_readonly=True)


def replayed_log(
    connection: Connection, since: float, tables: tuple[RouteTable, RouteTable], *, as_json: bool
) -> Replay:
    """Say what the decisions since a time, in seconds since the epoch, would be by the second table instead of the first."""
    # It brings the metrics; `explain` reads a ledger without them.
    from gateway.ledger.decision_log import last_seen, past  # noqa: PLC0415 - said above

    old, new = tables
    messages = sum(one.messages for one in last_seen(connection, since)) if shows_progress(as_json=as_json) else 0
    with progress("Decisions", messages, as_json=as_json) as more:
        return replayed(_followed(past(connection, since), more), new, old)


def _followed(decisions: "Iterable[PastDecision]", more: Callable[[int], None]) -> "Iterator[PastDecision]":
    for one in decisions:
        yield one
        more(1)
