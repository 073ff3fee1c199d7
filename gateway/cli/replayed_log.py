"""The decision log under other routes, for `plan --past`. It is apart, since it takes the ledger's libraries."""

from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import Connection

from gateway.cli.output import progress, shows_progress
from gateway.ledger.decision_log import PastDecision, last_seen, past
from gateway.routing.replay import Replay, replayed
from gateway.routing.table import RouteTable


def replayed_log(
    connection: Connection, since: float, tables: tuple[RouteTable, RouteTable], *, as_json: bool
) -> Replay:
    """Say what the decisions since a time, in seconds since the epoch, would be by the second table instead of the first."""
    old, new = tables
    messages = sum(one.messages for one in last_seen(connection, since)) if shows_progress(as_json=as_json) else 0
    with progress("Decisions", messages, as_json=as_json) as more:
        return replayed(_followed(past(connection, since), more), new, old)


def _followed(decisions: Iterable[PastDecision], more: Callable[[int], None]) -> Iterator[PastDecision]:
    for one in decisions:
        yield one
        more(1)
