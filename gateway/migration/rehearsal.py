"""The rehearsals of one process: a bounded queue that is worked off beside the messages' ways, and never holds one up."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import structlog
from msgspec import structs

from gateway.config.model import Config
from gateway.errors import Failure
from gateway.ledger.database import Database, LedgerUnavailable
from gateway.ledger.findings import FindingTally, HourlyKinds
from gateway.ledger.rehearsals import CountedVerdict, RehearsalVerdict, add, hour_of
from gateway.migration.rehearsal_verdict import JudgedMessage, Rehearsal, judge
from gateway.model import Envelope
from gateway.observability.metrics import REHEARSED
from gateway.pipeline.after_pass import Rehearse
from gateway.pipeline.identify import Identified, Identifier
from gateway.pipeline.patient_numbers import PatientNumbers
from gateway.pipeline.translate import ClaimedSettings
from gateway.routing.route import Route
from gateway.routing.table import Decision
from gateway.tasks import USUAL, Intervals, Periodic, WorkQueue
from gateway.times import Clock

log = structlog.get_logger()

_MOST_KINDS = 2_000
"""Different rows of one hour; with more, further reasons are counted as one, so that no sender can fill the ledger."""
_LARGE = 100_000
"""Bytes of a body that is worked off in a thread, so that others need not wait for it."""
_LAST = 2.0
"""Seconds that what waits has when the gateway stops."""
_MOST_ROUTES = 4_096
"""Routes that are sampled; those of files that are gone are among them."""


class Rehearsals:
    """Made once for a process; each configuration gets an `offering` of its own."""

    def __init__(  # noqa: PLR0913 - what it needs, and its bounds
        self,
        store: Callable[[], Database | None],
        clock: Clock,
        intervals: Intervals = USUAL,
        *,
        most: int = 500,
        most_bytes: int = 8_000_000,
        most_kinds: int = _MOST_KINDS,
    ) -> None:
        """`most` messages wait, with `most_bytes` of bodies; what comes then is skipped, and counted.

        `most_kinds` bounds the different rows of an hour.
        """
        self._clock = clock
        self._tally = Tally(store, clock, intervals, most_kinds)
        self._queue = WorkQueue("rehearsal", self._rehearse, most=most, most_bytes=most_bytes)
        self._seen: dict[str, int] = {}

    def offering(self, config: Config, numbers: PatientNumbers | None = None) -> Rehearse:
        """Return what takes the messages of a configuration; `numbers` is asked whose the record system's own are."""
        return partial(self.offer, ClaimedSettings(config, numbers))

    def offer(  # noqa: PLR0913, PLR0917 - what is known of a message that VKP has answered
        self,
        claimed: ClaimedSettings,
        identified: Identified,
        decision: Decision,
        reference: str,
        status: int,
        body: bytes,
    ) -> None:
        """Take a message that VKP has answered with this status; returns at once, and never raises."""
        envelope = identified.envelope
        if decision.route is not None and not self._is_sampled(decision.route):
            return
        if not 200 <= status < 300:
            self._tally.count(envelope, envelope.information or "", RehearsalVerdict.NOT_ACCEPTED)
            return
        received = datetime.fromtimestamp(self._clock(), UTC)
        rehearsal = Rehearsal(claimed, identified, decision.route, received, body, reference)
        if not self._queue.offer(rehearsal, len(body), envelope.sender or ""):
            self._tally.count(envelope, envelope.information or "", RehearsalVerdict.SKIPPED, "too many at once")

    def start(self) -> None:
        """Rehearse what is taken, one message at a time, until `stop`."""
        self._tally.start()
        self._queue.start()

    async def stop(self) -> None:
        """Take nothing more, finish what waits within a limit, and write the verdicts."""
        for left in await self._queue.stop(_LAST):
            envelope = left.identified.envelope
            self._tally.count(envelope, envelope.information or "", RehearsalVerdict.SKIPPED, "the gateway stopped")
        await self._tally.stop()

    async def _rehearse(self, rehearsal: Rehearsal) -> None:
        size, envelope = len(rehearsal.body), rehearsal.identified.envelope
        try:
            rehearsal = await _with_numbers(rehearsal)
        except Failure as failure:
            self._tally.count(envelope, envelope.information or "", RehearsalVerdict.SKIPPED, failure.diagnostics)
            return
        try:
            found = await asyncio.to_thread(judge, rehearsal) if size > _LARGE else judge(rehearsal)
        except Exception as error:
            log.exception("rehearsal.defect")
            found = JudgedMessage(
                RehearsalVerdict.DEFECT, f"the gateway failed: {type(error).__name__}", envelope.information or ""
            )
        self._tally.count(envelope, found.information, found.verdict, found.reason)
        self._tally.findings.note(envelope, found.information, found.findings, rehearsal.reference)

    def _is_sampled(self, route: Route) -> bool:
        """Tell whether a route's next message is one of its sample; by counting, so that a small sample is not left to chance."""
        place = str(route.place)
        if place not in self._seen and len(self._seen) >= _MOST_ROUTES:
            self._seen.clear()
        number = self._seen.get(place, 0)
        self._seen[place] = number + 1
        return math.ceil((number + 1) * route.sample) > math.ceil(number * route.sample)


async def _with_numbers(rehearsal: Rehearsal) -> Rehearsal:
    """Return a rehearsal with the national numbers that mode `new` would ask for; raises `Failure` while nobody can say."""
    numbers, identified = rehearsal.claimed.numbers, rehearsal.identified
    if numbers is None or not identified.asks_for_numbers:
        return rehearsal
    content = Identifier.content(rehearsal.body, identified)
    until = asyncio.get_running_loop().time() + _TO_FIND
    return structs.replace(rehearsal, identified=await numbers.of_message(identified, content, until))


_TO_FIND = 45.0
"""Seconds for whose a number of the record system's own is: longer than VKP has for its list."""
OTHER = "other reasons"


class Tally:
    """Counts for one process; `store` returns None as long as there is no ledger, and then only the metric counts."""

    def __init__(
        self,
        store: Callable[[], Database | None],
        clock: Clock,
        intervals: Intervals,
        most_kinds: int = _MOST_KINDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._counts: Counter[CountedVerdict] = Counter()
        self._kinds = HourlyKinds[CountedVerdict](most_kinds)
        self.findings = FindingTally(store, clock, intervals)
        self._regularly = Periodic("verdicts", self._flush, intervals.verdicts, at_once=False)

    def count(self, envelope: Envelope, information: str, verdict: RehearsalVerdict, reason: str = "") -> None:
        """Count one message."""
        municipality, vendor = envelope.municipality or "", envelope.vendor or ""
        REHEARSED.labels(municipality, vendor, information, verdict.value).inc()
        now = self._clock()
        named = (municipality, vendor, envelope.system or "", information, verdict.value)
        counted = CountedVerdict(hour_of(now), *named, reason)
        if not self._kinds.has_room(counted, vendor, now) and reason:
            counted = structs.replace(counted, reason=OTHER)
        self._counts[counted] += 1

    def start(self) -> None:
        """Write what gathers, until `stop`."""
        self._regularly.start()
        self.findings.start()

    async def stop(self) -> None:
        """Write what is left."""
        await self._regularly.finish()
        await self.findings.stop()
        if self._counts:
            log.error("rehearsals.dropped", messages=self._counts.total())

    async def _flush(self) -> None:
        counts, self._counts = self._counts, Counter()
        if not counts or (store := self._store()) is None:
            return
        try:
            await store.write(partial(add, counts=counts))
        except LedgerUnavailable:
            self._counts.update(counts)
