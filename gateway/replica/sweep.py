"""The sweep of OKT: one look-up for each patient of a municipality's copy, at a rate of its own, again and again.

OKT has no list and tells of no changes, so a sweep takes as long as its rate says, hours for many patients. How far it has come
stands in the database after every few patients: whoever takes over goes on there. What was learnt of a patient stays until OKT
has answered anew, or until it is older than `freshness`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, insert, select, update

from gateway.config.model import Municipality
from gateway.ledger import prepared
from gateway.ledger.database import Database
from gateway.ledger.tables import REPLICA_GENERATION, REPLICA_IDENTIFIER, REPLICA_SERVICE
from gateway.observability.metrics import ANSWERS_REFUSED, SWEEP_LEFT, UNANSWERED
from gateway.replica import feeds
from gateway.replica.feeds import FeedKey
from gateway.replica.patients import CopiedNumbers
from gateway.replica.services import ServiceSeal, Source, put_services
from gateway.times import DAY, Clock, when
from gateway.upstreams.okt import OktClient
from gateway.upstreams.service_caller import AnswerRefused
from translators.services import Service

log = structlog.get_logger()

G, N, S = REPLICA_GENERATION.c, REPLICA_IDENTIFIER.c, REPLICA_SERVICE.c
SOURCE: Source = "okt"
_NUMBER, _MAKER = 1, "services"
"""A sweep is one generation that is written over: rows are kept by patient, each as old as it is."""
_BATCH = 20
"""Patients between two looks at the database."""
_REFUSED_IN_A_ROW = 20
"""Answers that were not what the contract says, after which the sweep rests: OKT has changed, and asking on only loads it."""
_PAUSE = 600.0
_IDLE = 10.0
"""Seconds until it is looked again for patients who are new: lists wait for them."""
_AGAIN = 600.0
"""Seconds until OKT is asked again about a patient whose answer was none."""
_NOBODY_YET = 1.0
"""Seconds until it is looked again whether the first copy of the patients is complete."""
_TOLD = 60.0
"""Seconds between two lines about how far a sweep has come."""
_TIMEOUT = 10.0
"""Seconds for one call."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """How far a municipality's sweep has come; times in seconds since the epoch."""

    began_at: float | None
    """None before the first."""
    complete_at: float | None = None
    after: str = ""
    """The hash of the last patient that was asked about; of a file, what it was when it was read."""
    asked: int = 0
    fresh_at: float | None = None
    """When the last sweep began that reached its end."""


_FEED = select(G.began_at, G.complete_at, G.read_to, G.entries, G.fresh_at).where(
    G.municipality == bindparam("municipality"), G.source == bindparam("source"), G.generation == _NUMBER
)
"""Made once: every search asks so."""


def read_feed(connection: Connection, municipality: str, source: Source) -> Sweep:
    """Return how far a municipality's sweep has come, or when its file was read; one that never began where none has."""
    rows = prepared.rows(connection, _FEED, {"municipality": municipality, "source": source})
    for began_at, complete_at, read_to, entries, fresh_at in rows:
        return Sweep(began_at, complete_at, read_to or "", entries, fresh_at)
    return Sweep(None)


def write_feed(connection: Connection, municipality: str, source: Source, sweep: Sweep) -> None:
    """Write down how far it has come."""
    values = {
        "began_at": sweep.began_at,
        "complete_at": sweep.complete_at,
        "read_to": sweep.after,
        "entries": sweep.asked,
        "fresh_at": sweep.fresh_at,
    }
    key = _key(municipality, source)
    if not connection.execute(update(REPLICA_GENERATION).where(*key).values(values)).rowcount:
        new = {"municipality": municipality, "source": source, "generation": _NUMBER, "maker": _MAKER, "since": ""}
        connection.execute(insert(REPLICA_GENERATION).values({**new, **values}))


def _key(municipality: str, source: Source) -> tuple[ColumnElement[bool], ...]:
    return (G.municipality == municipality, G.source == source, G.generation == _NUMBER)


class OktSweep:
    """Sweeps one municipality; whoever calls `step` has its lease."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a sweep is made of
        self,
        municipality: Municipality,
        okt: OktClient,
        database: Database,
        patients: CopiedNumbers,
        seal: ServiceSeal,
        clock: Clock,
        *,
        node: str,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._municipality = municipality
        self._okt = okt
        self._database = database
        self._patients = patients
        self._seal = seal
        self._clock = clock
        self._node = node
        self._sleep = sleep
        self._refused = 0
        self._refusal: str | None = None
        """Of the last answer that was none."""
        self._count: int | None = None
        """How many patients the sweep that is under way is about; None before this process has counted."""
        self._tried: dict[str, float] = {}
        """Patients whom OKT gave no answer about that can be used, and when it was last asked, by the monotonic clock."""
        self._alarmed_at = -math.inf
        self._told_at = -math.inf
        rate = okt.upstream.sweep.rate
        self._interval = rate.seconds / rate.count
        """Seconds between two calls."""

    async def step(self) -> float:
        """Ask about a few patients, and return how many seconds there is nothing to do.

        Raises `ServiceUnavailable` where OKT cannot be asked, once what was learnt before is written down.
        """
        key, now = self._municipality.key, self._clock()
        if not await self._database.read(lambda connection: self._patients.is_there(connection, key)):
            # A sweep of nobody would be complete, and every list empty.
            return _NOBODY_YET
        sweep = await self._database.read(lambda connection: read_feed(connection, key, SOURCE))
        if (begins := self._begins(sweep)) is not None and now >= begins:
            sweep = await self._begin(now, sweep)
        if sweep.fresh_at is not None and (due := await self._due(sweep.fresh_at)):
            found = await self._database.read(lambda connection: self._patients.named(connection, key, due))
            await self._ask(found, sweep, is_swept=False)
            return self._rested()
        if sweep.complete_at is not None:
            return min(_IDLE, max(0.0, (begins or 0.0) - now))
        after = sweep.after
        found = await self._database.read(lambda connection: self._patients.after(connection, key, after, _BATCH))
        if not found:
            await self._complete(sweep)
            return 0.0
        await self._tell_progress(sweep)
        await self._ask(found, sweep)
        return self._rested()

    def _rested(self) -> float:
        """Return how long OKT is left alone."""
        if self._refused < _REFUSED_IN_A_ROW:
            return 0.0
        self._refused = 0
        return _PAUSE

    async def _due(self, since: float) -> list[str]:
        """Return whom to ask about between two sweeps: the new first, then whose answer was none, the last tried last."""
        key, too_old = self._municipality.key, self._clock() - self._okt.upstream.freshness

        def work(connection: Connection) -> dict[str, float | None]:
            return self._patients.unanswered(connection, key, max(since, too_old))

        lacking = await self._database.read(work)
        waiting = [one for one, seen_at in lacking.items() if seen_at is None or seen_at < too_old]
        UNANSWERED.labels(key).set(len(waiting))
        now, in_vain = self._clock.monotonic(), sum(one in self._tried for one in waiting)
        if in_vain and now - self._alarmed_at >= _AGAIN:
            self._alarmed_at = now
            log.error("okt.lists_wait", municipality=key, patients=in_vain)
        asked = [one for one, seen_at in lacking.items() if seen_at is None or seen_at < since]
        asked.sort(key=lambda one: self._tried.get(one, -math.inf))
        return [one for one in asked if now - self._tried.get(one, -math.inf) >= _AGAIN][:_BATCH]

    def _keep(self, connection: Connection) -> None:
        """Stay the one that fills it; raises `LeaseLost`, so that two nodes never write the same rows."""
        feeds.keep(connection, FeedKey(self._municipality.key, SOURCE), self._node, self._clock)

    def _begins(self, sweep: Sweep) -> float | None:
        """Return when the next sweep begins; None while one is under way."""
        if sweep.began_at is None:
            return 0.0
        return sweep.began_at + self._okt.upstream.sweep.every if sweep.complete_at is not None else None

    async def _begin(self, now: float, before: Sweep) -> Sweep:
        """Begin a sweep, and say how long it will take."""
        key = self._municipality.key
        sweep = Sweep(now, fresh_at=before.fresh_at)

        def work(connection: Connection) -> int:
            self._keep(connection)
            write_feed(connection, key, SOURCE, sweep)
            return self._patients.count(connection, key)

        count = self._count = await self._database.write(work, is_news=False)
        seconds = round(count * self._interval)
        self._told_at = passed = self._clock.monotonic()
        self._tried = {one: at for one, at in self._tried.items() if passed - at < DAY}  # the others have left
        log.info("okt.sweep_begins", municipality=key, patients=count, seconds=seconds, first=before.began_at is None)
        settings = self._okt.upstream
        if max(seconds, settings.sweep.every) + seconds > settings.freshness:
            # Some patients would be too old to be told of before they are asked about again.
            log.error("okt.sweep_too_slow", municipality=key, seconds=seconds, freshness=settings.freshness)
        return sweep

    async def _tell_progress(self, sweep: Sweep) -> None:
        key = self._municipality.key
        if self._count is None:
            self._count = await self._database.read(lambda connection: self._patients.count(connection, key))
        left = round(max(0, self._count - sweep.asked) * self._interval)
        SWEEP_LEFT.labels(key).set(left)
        if (now := self._clock.monotonic()) - self._told_at >= _TOLD:
            self._told_at = now
            log.info("okt.sweep_progress", municipality=key, asked=sweep.asked, patients=self._count, seconds_left=left)

    async def _complete(self, sweep: Sweep) -> None:
        """End a sweep, and forget the services of whom the copy no longer has."""
        key, done = self._municipality.key, replace(sweep, complete_at=self._clock(), fresh_at=sweep.began_at)
        own = (S.municipality == key, S.source == SOURCE, S.seen_at < (sweep.began_at or 0.0))
        known = select(G.generation).where(G.municipality == key, G.source == "pit")
        is_there = exists().where(N.municipality == key, N.generation.in_(known), N.hash == S.patient, N.is_first)

        def work(connection: Connection) -> None:
            self._keep(connection)
            connection.execute(delete(REPLICA_SERVICE).where(*own, ~is_there))
            write_feed(connection, key, SOURCE, done)

        await self._database.write(work, is_news=False)
        SWEEP_LEFT.labels(key).set(0)
        log.info("okt.sweep_complete", municipality=key, patients=sweep.asked, began=when(sweep.began_at or 0.0))

    async def _ask(self, patients: Sequence[tuple[str, str]], sweep: Sweep, *, is_swept: bool = True) -> None:
        """Ask about each, and write down what was learnt, whatever ends it; `is_swept`: it is the sweep's turn to."""
        learnt: list[tuple[str, str, tuple[Service, ...], float]] = []
        went = sweep
        try:
            for patient, number in patients:
                services = await self._services(number)
                if services is not None:
                    learnt.append((patient, number, services, self._clock()))
                    self._tried.pop(patient, None)
                else:
                    self._tried[patient] = self._clock.monotonic()
                went = replace(went, after=patient, asked=went.asked + 1)
        finally:
            if went is not sweep:
                kept = went if is_swept else sweep
                await self._database.write(lambda connection: self._write(connection, learnt, kept), is_news=False)

    async def _services(self, number: str) -> tuple[Service, ...] | None:
        """Return a patient's services; None where OKT's answer is none, after which what was known of the patient stays."""
        calls = 1
        until = self._clock.monotonic()
        try:
            services = await self._okt.services(number, self._municipality.orgnr, _TIMEOUT)
        except AnswerRefused as refusal:
            self._refused, self._refusal = self._refused + 1, str(refusal)
            ANSWERS_REFUSED.labels(self._okt.upstream.name).inc()
            log.error("okt.answer_refused", municipality=self._municipality.key, reason=str(refusal))  # noqa: TRY400 - the place says nothing
            services = None
        else:
            self._refused = 0
            calls = 1 if services else 2
        await self._sleep(max(0.0, until + calls * self._interval - self._clock.monotonic()))
        return services

    def _write(
        self,
        connection: Connection,
        learnt: Sequence[tuple[str, str, tuple[Service, ...], float]],
        sweep: Sweep,
    ) -> None:
        key = self._municipality.key
        self._keep(connection)
        for patient, number, services, seen_at in learnt:
            put_services(connection, key, patient, SOURCE, seen_at, self._seal.seal(key, number, services))
        write_feed(connection, key, SOURCE, sweep)
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            feeds.note_failure(connection, FeedKey(key, SOURCE), refusal, self._clock())
        else:
            feeds.note_success(connection, FeedKey(key, SOURCE))
