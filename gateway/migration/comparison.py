"""The comparisons of one process: the two answers to a search are held against each other beside the lane, and counted."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog
from msgspec import Struct, structs

from gateway.ledger.comparisons import Compared, ComparisonOutcome, Differing, Sighting, add, day_of, merge
from gateway.ledger.database import Database, LedgerUnavailable
from gateway.observability.metrics import COMPARED
from gateway.pipeline.after_pass import ComparedAnswers, says_something
from gateway.routing.route import Route
from gateway.tasks import USUAL, Intervals, Periodic, WorkQueue
from gateway.times import Clock
from translators.comparison import Difference, DifferenceKind, differences
from translators.contract import Reason, Refused, Tree
from translators.fhir.elements import stu3
from translators.fhir.json_codec import decode
from translators.fhir.xml_codec import decode as decode_xml
from translators.soap.plain import resources_of

log = structlog.get_logger()


_LARGE = 50_000
"""Bytes of answers that are compared in a thread, so that nobody need wait for it."""
_HEAD = 1024
"""Bytes at the beginning of an answer in XML, by which FHIR is told from SOAP."""
_LAST = 2.0
"""Seconds that what waits has when the gateway stops."""
_MOST_KINDS = 2_000
"""Different rows between two writes; of what comes then only the outcome is counted."""
_BUILT_IN = frozenset({("EpisodeOfCare.type", DifferenceKind.IPLOS)})
"""What no route has to accept: a service of OKT has an IPLOS code where VKP has a service level."""


class Judged(Struct, frozen=True):
    """What two answers have shown."""

    outcome: ComparisonOutcome
    found: tuple[tuple[Difference, bool], ...] = ()
    """Each difference, and whether it is accepted."""


def judge(answers: ComparedAnswers, now: float) -> Judged:
    """Hold two answers against each other, at `now` in seconds since the epoch; never raises for what they hold."""
    theirs, ours = answers.theirs, answers.ours
    if not says_something(theirs):
        is_late = theirs.status == 504
        return Judged(ComparisonOutcome.VKP_TIMED_OUT if is_late else ComparisonOutcome.VKP_FAILED)
    if ours is None:
        return Judged(ComparisonOutcome.SKIPPED)
    if not says_something(ours):
        return Judged(ComparisonOutcome.NEW_TIMED_OUT if ours.status == 504 else ComparisonOutcome.NEW_FAILED)
    try:
        left = _read(theirs.body)
    except Refused:
        return Judged(ComparisonOutcome.UNREADABLE)
    try:
        right = _read(ours.body)
    except Refused:
        return Judged(ComparisonOutcome.NEW_FAILED)
    found = tuple((one, is_accepted(one, answers.route, now)) for one in differences(left, right))
    if not found:
        return Judged(ComparisonOutcome.EQUAL)
    is_known = all(accepted for _, accepted in found)
    return Judged(ComparisonOutcome.ACCEPTED if is_known else ComparisonOutcome.DIFFERENT, found)


def is_accepted(difference: Difference, route: Route, now: float) -> bool:
    """Tell whether a route, or a rule of our own, accepts a difference."""
    if (difference.path, difference.kind) in _BUILT_IN:
        return True
    return any(one.covers(difference.path, difference.kind.value, now) for one in route.accept_differences)


def _read(body: bytes) -> Tree:
    """Return an answer as a tree, whatever interface it is of; raises `Refused`, also where something would be passed over."""
    if body.lstrip()[:1] != b"<":
        tree = decode(body)
    else:
        is_fhir = b'"http://hl7.org/fhir"' in body[:_HEAD] or b"'http://hl7.org/fhir'" in body[:_HEAD]
        tree = decode_xml(body, stu3())[0] if is_fhir else resources_of(body)
    if not isinstance(tree, dict) or not isinstance(tree.get("resourceType"), str):
        raise Refused(Reason.FORMAT, "no resource of FHIR")
    entries = tree.get("entry", []) if tree["resourceType"] == "Bundle" else []
    if not isinstance(entries, list) or not all(
        isinstance(one, dict) and isinstance(one.get("resource"), dict) for one in entries
    ):
        raise Refused(Reason.FORMAT, "an entry that holds no resource")
    return tree


class Comparisons:
    """Made once for a process; `store` returns None as long as there is no ledger, and then only the metric counts."""

    def __init__(
        self,
        store: Callable[[], Database | None],
        clock: Clock,
        intervals: Intervals = USUAL,
        *,
        most: int = 200,
        most_bytes: int = 16_000_000,
    ) -> None:
        """`most` searches wait, with `most_bytes` of answers; what comes then is counted and not compared."""
        self._store = store
        self._clock = clock
        self._queue = WorkQueue("comparison", self._compare, most=most, most_bytes=most_bytes)
        self._counts: Counter[Compared] = Counter()
        self._found: dict[Differing, Sighting] = {}
        self._regularly = Periodic("comparisons", self._flush, intervals.verdicts, at_once=False)

    def take(self, answers: ComparedAnswers) -> None:
        """Take the answers to a search in mode `compare`; returns at once, and never raises."""
        size = len(answers.theirs.body) + (len(answers.ours.body) if answers.ours is not None else 0)
        if not self._queue.offer(answers, size, answers.envelope.sender or ""):
            self._count(answers, Judged(ComparisonOutcome.SKIPPED))

    def start(self) -> None:
        """Compare what is taken, one search at a time, until `stop`."""
        self._regularly.start()
        self._queue.start()

    async def stop(self) -> None:
        """Take nothing more, finish what waits within a limit, and write what was found."""
        for left in await self._queue.stop(_LAST):
            self._count(left, Judged(ComparisonOutcome.SKIPPED))
        await self._regularly.finish()
        if self._counts:
            log.error("comparisons.dropped", answers=self._counts.total())

    async def _compare(self, answers: ComparedAnswers) -> None:
        now = self._clock()
        is_large = max(len(one.body) for one in (answers.theirs, answers.ours) if one is not None) > _LARGE
        judged = Judged(ComparisonOutcome.NEW_FAILED)
        try:
            judged = await asyncio.to_thread(judge, answers, now) if is_large else judge(answers, now)
        finally:
            # What cannot be held against VKP's answer, whyever, is no answer that is the same.
            self._count(answers, judged)

    def _count(self, answers: ComparedAnswers, judged: Judged) -> None:
        envelope, now = answers.envelope, self._clock()
        information = envelope.information or ""
        cell = (envelope.municipality or "", envelope.vendor or "", envelope.system or "", information)
        COMPARED.labels(cell[0], cell[1], information, judged.outcome.value).inc()
        self._counts[Compared(day_of(now), *cell, judged.outcome.value)] += 1
        for one, accepted in judged.found:
            differing = Differing(*cell, one.path, one.kind.value)
            if len(self._found) < _MOST_KINDS or differing in self._found:
                merge(self._found, differing, Sighting(1, one.count, accepted, now, answers.correlation_id))

    async def _flush(self) -> None:
        counts, self._counts = self._counts, Counter()
        found, self._found = self._found, {}
        if not counts or (store := self._store()) is None:
            return
        try:
            await store.write(partial(add, counts=counts, differences=found))
        except LedgerUnavailable:
            self._counts.update(counts)
            for one, sighting in found.items():
                merge(self._found, one, structs.replace(sighting))
