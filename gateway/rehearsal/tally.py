"""Verdicts counted in memory, and written to the ledger every few seconds."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog
from msgspec import structs

from gateway.ledger.database import Database, LedgerUnavailable
from gateway.ledger.rehearsals import Counted, RehearsalVerdict, add, hour_of
from gateway.model import Envelope
from gateway.observability.telemetry import REHEARSED
from gateway.tasks import Periodic

log = structlog.get_logger()

_EVERY = 3.0
"""Seconds between two writes."""
_MOST_KINDS = 2_000
"""Different rows of one hour; with more, further reasons are counted as one, so that no sender can fill the ledger."""
OTHER = "other reasons"


class Tally:
    """Counts for one process; `store` returns None as long as there is no ledger, and then only the metric counts."""

    def __init__(self, store: Callable[[], Database | None], clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._counts: Counter[Counted] = Counter()
        self._hour = 0
        self._kinds: set[Counted] = set()
        self._regularly = Periodic(self._flush, _EVERY)

    def count(self, envelope: Envelope, information: str, verdict: RehearsalVerdict, reason: str = "") -> None:
        """Count one message."""
        municipality, vendor = envelope.municipality or "", envelope.vendor or ""
        REHEARSED.labels(municipality, vendor, information, verdict.value).inc()
        hour = hour_of(self._clock())
        counted = Counted(hour, municipality, vendor, envelope.system or "", information, verdict.value, reason)
        self._counts[self._bounded(counted)] += 1

    async def run(self) -> None:
        """Write what gathers, until `stop`."""
        await self._regularly.run()

    async def stop(self) -> None:
        """Write what is left; `run` ends by itself."""
        await self._regularly.stop()
        if self._counts:
            log.error("rehearsals.dropped", messages=self._counts.total())

    def _bounded(self, counted: Counted) -> Counted:
        if counted.hour != self._hour:
            self._hour, self._kinds = counted.hour, set()
        if counted not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS and counted.reason:
                return Counted(*(*structs.astuple(counted)[:-1], OTHER))
            self._kinds.add(counted)
        return counted

    async def _flush(self) -> None:
        counts, self._counts = self._counts, Counter()
        if not counts or (store := self._store()) is None:
            return
        try:
            await store.write(partial(add, counts=counts))
        except LedgerUnavailable:
            self._counts.update(counts)
