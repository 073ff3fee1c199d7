"""Which processes share the ledger: each says regularly that it is there, what it runs, and how its clock stands."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, delete, select

from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.retention import ahead_of_database
from gateway.ledger.tables import RUN
from gateway.ledger.upserts import put_run
from gateway.tasks import Intervals, Periodic
from gateway.times import HOUR, Clock

_JOB = "node "
"""What the names of their rows in `run` begin with."""
_FORGOTTEN = HOUR
"""Seconds after which a node that says nothing is not told of any more."""


class Away(Struct, frozen=True):
    """A service that does not answer a node's calls."""

    upstream: str
    """Its name in the file; `helseid` for HelseID."""
    kind: str
    since: float
    """When the first of the calls failed that have all failed since, in seconds since the epoch."""


class Beat(Struct, frozen=True):
    """What a node says of itself; times in seconds since the epoch, differences in seconds."""

    since: float
    """When the process started."""
    generation: int
    """The number of the table that it routes by."""
    version: str
    """Of its routes.yaml."""
    layers: int
    """The version of what lies over its routes."""
    ahead_of_database: float = 0.0
    ahead_of_helseid: float | None = None
    away: tuple[Away, ...] = ()


class NodeSeen(Struct, frozen=True):
    """A node, and when it was heard of last."""

    name: str
    at: float
    beat: Beat


def put(connection: Connection, node: str, now: float, beat: Beat) -> None:
    """Write down that a node is there, and forget those that have long said nothing."""
    put_run(connection, _JOB + node, now, node, msgspec.json.encode(beat).decode())
    connection.execute(delete(RUN).where(RUN.c.job.startswith(_JOB), RUN.c.at < now - _FORGOTTEN))


def leave(connection: Connection, node: str) -> None:
    """Forget a node that stops."""
    connection.execute(delete(RUN).where(RUN.c.job == _JOB + node))


def seen(connection: Connection) -> list[NodeSeen]:
    """Return every node that was heard of lately; one of another version, whose words are others, is left out."""
    found = []
    for row in connection.execute(select(RUN).where(RUN.c.job.startswith(_JOB)).order_by(RUN.c.job)):
        try:
            beat = msgspec.json.decode(row.outcome, type=Beat)
        except msgspec.DecodeError:
            continue
        found.append(NodeSeen(row.job.removeprefix(_JOB), row.at, beat))
    return found


class Heartbeat:
    """Of one process, from `start` to `stop`; `ledger` returns None as long as there is none, and then nothing is said."""

    def __init__(
        self, ledger: Callable[[], Ledger | None], beat: Callable[[], Beat], clock: Clock, intervals: Intervals
    ) -> None:
        self._ledger = ledger
        self._made = beat
        self._clock = clock
        self._regularly = Periodic("heartbeat", self.beat, intervals.heartbeat, passing=LedgerUnavailable)

    def start(self) -> None:
        """Say it at once, and then regularly."""
        self._regularly.start()

    async def stop(self) -> None:
        """Say that the process ends."""
        await self._regularly.stop()
        if (ledger := self._ledger()) is not None:
            with suppress(LedgerUnavailable):
                await ledger.store.write(partial(leave, node=ledger.node), is_news=False)

    async def beat(self) -> None:
        """Write down that the process is there."""
        if (ledger := self._ledger()) is None:
            return
        made, now = self._made(), self._clock()

        def work(connection: Connection) -> None:
            ahead = ahead_of_database(connection, now)
            put(connection, ledger.node, now, structs.replace(made, ahead_of_database=ahead))

        await ledger.store.write(work, is_news=False)
