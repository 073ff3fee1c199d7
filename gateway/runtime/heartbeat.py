"""Says to the other nodes, and to people, that this one is there."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from msgspec import structs
from sqlalchemy import Connection

from gateway.ledger import nodes
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.nodes import Beat
from gateway.ledger.retention import ahead_of_database
from gateway.tasks import Intervals, Periodic
from gateway.times import Clock


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
                await ledger.store.write(partial(nodes.leave, node=ledger.node), is_news=False)

    async def beat(self) -> None:
        """Write down that the process is there."""
        if (ledger := self._ledger()) is None:
            return
        made, now = self._made(), self._clock()

        def work(connection: Connection) -> None:
            ahead = ahead_of_database(connection, now)
            nodes.put(connection, ledger.node, now, structs.replace(made, ahead_of_database=ahead))

        await ledger.store.write(work, is_news=False)
