"""The node's part in filling copies: it fills those that no other node has, and goes on with what a configuration says."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy import Connection

from gateway.config.model import Config, Municipality
from gateway.ledger.database import Database, LedgerUnavailable
from gateway.ledger.key_files import Keys
from gateway.observability.metrics import REPLICA_AGE, REPLICA_FAILURES, REPLICA_PATIENTS
from gateway.replica import feeds
from gateway.replica.feeds import FeedKey, LeaseLost
from gateway.replica.patient_seal import PatientSeal
from gateway.replica.patients import CopiedNumbers
from gateway.replica.service_file import ServiceFile
from gateway.replica.services import ServiceSeal, source_of
from gateway.replica.sweep import OktSweep
from gateway.replica.sync import PatientSync, Shrinks, begin
from gateway.tasks import FileThread, Intervals, Periodic
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import pause
from gateway.upstreams.okt import OktClient
from gateway.upstreams.pit import PitClient
from gateway.upstreams.service_caller import AnswerRefused, ServiceUnavailable

log = structlog.get_logger()

_AT_ONCE = 4
"""Municipalities whose pages are read at a time, so that a first copy of all of them leaves room for senders."""
_LONGEST_PAUSE = 60.0
_LOOK = 10.0
"""Seconds until it is looked whether somebody wants everything read anew."""
_GONE = 600.0
"""Seconds for which a copy is kept that no configuration of this node names: another node may have read its file later."""


class Filling(Protocol):
    """What fills one copy."""

    async def step(self) -> float:
        """Do one thing that is due, and return after how many seconds there is more."""
        ...


Make = Callable[[], Filling]


class Replica:
    """Fills the copies of one process, from `use` to `stop`; other nodes on the same database fill the rest."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self, database: Database, node: str, clock: Clock, intervals: Intervals, folder: Path, files: FileThread
    ) -> None:
        """`folder` is that of the configuration, whose files of services are read by `files`."""
        self._database = database
        self._folder = folder
        self._files = files
        self._node = node
        self._clock = clock
        self._wanted: dict[FeedKey, Filling] = {}
        self._made_of: dict[FeedKey, object] = {}
        self._tasks: dict[FeedKey, asyncio.Task[None]] = {}
        self._unnamed: dict[FeedKey, float] = {}
        """Since when a copy is named by no configuration here, by the monotonic clock."""
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._looking = Periodic("replica", self.look, intervals.replica, passing=LedgerUnavailable)
        self._counting = Periodic("replica-count", self.count, intervals.replica_count, passing=LedgerUnavailable)
        self._is_working = False

    def use(self, config: Config, keys: Keys, pit: PitClient | None, okt: OktClient | None) -> None:
        """Begin, or go on with another configuration; what it fills as before is not interrupted."""
        made = self._fillings(config, keys, pit, okt)
        for key in [*self._wanted]:
            if key not in made or self._made_of[key] != made[key][0]:
                self._end(key)
                del self._wanted[key], self._made_of[key]
        for key, (what, make) in made.items():
            if key not in self._wanted:
                self._wanted[key], self._made_of[key] = make(), what
        if not self._is_working:
            self._is_working = True
            self._looking.start()
            self._counting.start()

    def _fillings(
        self, config: Config, keys: Keys, pit: PitClient | None, okt: OktClient | None
    ) -> dict[FeedKey, tuple[object, Make]]:
        """Return what fills each copy of a configuration, with what it is made of."""
        made: dict[FeedKey, tuple[object, Make]] = {}
        seal, services = PatientSeal.of(keys), ServiceSeal(keys.vault, keys.lookup)
        for municipality in copied(config) if pit is not None else ():
            name, of = municipality.key, (municipality, seal.maker)
            if pit is not None:
                made[FeedKey(name, "pit")] = (*of, pit.upstream, id(pit)), partial(self._sync, municipality, pit, seal)
            source = source_of(municipality)
            if okt is not None and (source == "okt" or okt.upstream.KIND in municipality.epj.feeds):
                sweep = partial(
                    OktSweep,
                    municipality,
                    okt,
                    self._database,
                    CopiedNumbers(seal),
                    services,
                    self._clock,
                    node=self._node,
                )
                made[FeedKey(name, "okt")] = (*of, okt.upstream, id(okt)), sweep
            if source == "file" and (file := municipality.services_from) is not None and file.file is not None:
                path = self._folder / file.file
                follow = partial(
                    ServiceFile,
                    name,
                    path,
                    self._database,
                    services,
                    CopiedNumbers(seal),
                    self._clock,
                    self._files,
                    self._node,
                )
                made[FeedKey(name, source)] = (*of, path), follow
        return made

    async def stop(self) -> None:
        """End what is under way, and leave the copies to other nodes at once."""
        await asyncio.gather(self._looking.stop(), self._counting.stop())
        tasks = [*self._tasks.values()]
        for key in [*self._tasks]:
            self._end(key)
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._is_working:
            try:
                await self._database.write(lambda each: feeds.release(each, self._node), is_news=False)
            except LedgerUnavailable as error:
                log.warning("replica.not_released", reason=str(error))

    async def look(self) -> None:
        """Take up what no other node fills, and keep what this one does."""
        for key, task in [*self._tasks.items()]:
            if task.done():
                self._tasks.pop(key)
        wanted = [*self._wanted]
        held = await self._database.write(partial(self._claimed, wanted), is_news=False) if wanted else set()
        for key in wanted:
            if key not in self._wanted:
                continue
            if key in held and key not in self._tasks:
                task = asyncio.get_running_loop().create_task(self._fill(key, self._wanted[key]))
                self._tasks[key] = task
            elif key not in held and key in self._tasks:
                log.warning("replica.lease_lost", municipality=key.municipality, source=key.source)
                self._end(key)

    def _claimed(self, wanted: list[FeedKey], connection: Connection) -> set[FeedKey]:
        """Return which of them this node has from now on."""
        if self._database.is_sqlite:
            # No other process has the file: nothing is written where nothing changes.
            known = {
                FeedKey(one.municipality, one.source) for one in feeds.feeds(connection) if one.owner == self._node
            }
            return known | {
                key for key in wanted if key not in known and feeds.claim(connection, key, self._node, self._clock)
            }
        return {key for key in wanted if feeds.claim(connection, key, self._node, self._clock)}

    async def _fill(self, key: FeedKey, filling: Filling) -> None:
        attempt = 0
        while True:
            room: AbstractAsyncContextManager[object] = self._room if key.source == "pit" else nullcontext()
            try:
                async with room:
                    seconds = await filling.step()
                attempt, seconds = 0, min(seconds, _LOOK) if key.source == "pit" else seconds
            except LeaseLost:
                return
            except LedgerUnavailable:
                seconds = 1.0
            except Exception as error:  # noqa: BLE001 - whatever it is, the copy is tried again
                attempt += 1
                seconds = pause(attempt, 0.5, longest=_LONGEST_PAUSE)
                await self._failed(key, error, attempt)
            await asyncio.sleep(seconds)

    async def _failed(self, key: FeedKey, error: Exception, attempt: int) -> None:
        """Tell of a failure: at first where PIT is away, always where somebody has to look."""
        why, reason = _why(error), str(error)
        REPLICA_FAILURES.labels(key.municipality, key.source, why).inc()
        if why == "defect":
            log.error("task.defect", task=f"replica {key.source}", exc_info=error)
            reason = type(error).__name__
        elif why != "away" or attempt == 1:
            tell = log.warning if why == "away" else log.error
            tell(f"replica.{why}", municipality=key.municipality, source=key.source, reason=reason)
        now = self._clock()
        try:
            await self._database.write(lambda each: feeds.note_failure(each, key, reason, now), is_news=False)
        except LedgerUnavailable:
            return

    def _sync(self, municipality: Municipality, pit: PitClient, seal: PatientSeal) -> Filling:
        of = pit.upstream
        with_what = (municipality, pit, self._database, seal, self._node, self._clock)
        return PatientSync(*with_what, every=of.every, freshness=of.freshness, whole=of.whole)

    def _end(self, key: FeedKey) -> None:
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()

    async def count(self) -> None:
        """Tell how old and how large copies are, and delete those whose municipality has left the configuration."""
        now, (known, every) = (
            self._clock(),
            await self._database.read(lambda each: (feeds.feeds(each), feeds.generations(each))),
        )
        serving = {(one.municipality, one.source): one.serving for one in known}
        for one in every:
            is_serving = serving.get((one.municipality, one.source)) == one.generation
            if one.source == "pit":
                REPLICA_PATIENTS.labels(one.municipality, "answers" if is_serving else "made").set(one.entries)
            if is_serving or one.source != "pit":
                REPLICA_AGE.labels(one.municipality, one.source).set(max(0.0, now - (one.fresh_at or one.began_at)))
        passed = self._clock.monotonic()
        unnamed = {key for one in known if (key := FeedKey(one.municipality, one.source)) not in self._wanted}
        self._unnamed = {key: self._unnamed.get(key, passed) for key in unnamed}
        for key, since in [*self._unnamed.items()]:
            if passed - since >= _GONE and await self._database.write(partial(self._is_left, key), is_news=False):
                await self.forget(key)

    def _is_left(self, key: FeedKey, connection: Connection) -> bool:
        """Whether no other node fills a copy; then it is this node's to delete."""
        return feeds.claim(connection, key, self._node, self._clock)

    async def forget(self, key: FeedKey) -> None:
        """Delete a copy whose municipality has left the configuration."""
        while await self._database.write(lambda each: feeds.forget_feed(each, key), is_news=False):
            pass
        log.info("replica.forgotten", municipality=key.municipality, source=key.source)


def _why(error: Exception) -> str:
    match error:
        case ServiceUnavailable():
            return "away"
        case AnswerRefused():
            return "refused"
        case Shrinks():
            return "shrinks"
    return "defect"


def copied(config: Config) -> list[Municipality]:
    """Return the municipalities whose patients are copied: those whose record system feeds PIT."""
    return [one for one in config.municipalities.values() if "pit" in one.epj.feeds]


def rebuild(connection: Connection, municipality: str, keys: Keys, now: float, *, from_nothing: bool) -> int | None:
    """Have everything of a municipality read anew, and return the number of the generation that is made.

    What answers now answers until then; with `from_nothing` nothing does, so that nothing is compared with it either. None where no
    copy is known.
    """
    key = FeedKey(municipality, "pit")
    if (known := feeds.feed(connection, key)) is None:
        return None
    if from_nothing:
        feeds.stop_serving(connection, key)
    for one in feeds.generations(connection, key):
        if from_nothing or one.generation != known.serving:
            feeds.forget_generation(connection, one)
    return begin(connection, key, PatientSeal.of(keys).maker, now)
