"""Fills the copy of one municipality's patients from PIT, a page at a time; every step can be the last before a restart.

PIT tells what changed since a time. What is read between two times is a window: it begins a little before the last one began, so
that nothing is missed which PIT wrote late or which changed under paging; what is read twice changes nothing. PIT does not tell
of what is gone. So everything is read anew every so often into another generation, which then answers in place of the one before.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any
from zlib import crc32

import structlog
from msgspec import structs
from sqlalchemy import Connection

from gateway.config.model import Municipality
from gateway.counting import counted
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.database import Database
from gateway.observability.metrics import REPLICA_PAGES
from gateway.replica import feeds, patients, window
from gateway.replica.feeds import FeedKey, Generation
from gateway.replica.patient_seal import PatientSeal, ReadyPatient
from gateway.times import HOUR, Clock
from gateway.upstreams.pit import CursorLost, Page, PitClient
from gateway.upstreams.service_caller import AnswerRefused, ServiceUnavailable

log = structlog.get_logger()

_TIMEOUT = 60.0
"""Seconds for one page."""
_TOGETHER = 20
"""Pages of a first copy that are written together: hashes come in no order, so each writing is all over their trees."""
_MOST_TOGETHER = 4 * 1024 * 1024
"""Bytes of patients after which fewer are: PIT takes one of 900 KB."""
_FEW_AT_ONCE = 5
"""Pages between two looks whether a poll is due, while everything is read beside a copy that answers."""
_SPREAD = 0.2
"""The part of the time between two readings of everything by which a municipality's may be earlier."""
_AHEAD = 3
"""Pages that are asked for and not taken yet: one comes while another is read."""
_AFTER_LOSS = 1.0
"""Seconds until PIT is asked again that has lost a cursor."""
_AFTER_SHRINKING = HOUR
"""Seconds until everything is read anew where too many were gone."""
_TOLD = 30.0
"""Seconds between two lines about how far a first copy has come."""
_OLD_ROWS = 60.0
"""Seconds for which the rows of the generation before are kept: a list that was begun is read to its end."""
_FEW, _SHARE = 50, 0.2
"""Of the patients of a copy, how many may be gone at once, at least and as a share, before somebody has to look."""


class Shrinks(Exception):  # noqa: N818 - the condition
    """So many patients would be gone that it is more likely that PIT does not show them."""


class PatientSync:
    """Fills one copy; whoever calls `step` has its lease."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        municipality: Municipality,
        pit: PitClient,
        database: Database,
        seal: PatientSeal,
        node: str,
        clock: Clock,
        *,
        every: float,
        freshness: float,
        whole: float,
        at_once: int = 100,
        pace: float = 3.0,
    ) -> None:
        """Begin where the database says; times are in seconds: between two polls, how old an answer may be, between two readings of everything.

        `at_once` is how many pages a step reads, `pace` how many times as long as a page PIT and senders are left alone after it
        while everything is read beside a copy that answers.
        """
        self.key = FeedKey(municipality.key, "pit")
        self._municipality = municipality
        self._pit = pit
        self._database = database
        self._seal = seal
        self._node = node
        self._clock = clock
        self._every, self._freshness, self._whole = every, freshness, whole
        self._at_once, self._pace = at_once, pace
        self._polled_at = -math.inf
        """By the monotonic clock, when the window last began that was read to its end."""
        self._whole_after = -math.inf
        self._rests = 0.0
        self._told_at = -math.inf

    async def step(self) -> float:
        """Do one thing that is due, and return after how many seconds there is more.

        Raises `ServiceUnavailable` and `AnswerRefused` where PIT is away or answers what it does not document, `LeaseLost`, and
        `Shrinks`; what was written before stands, and the next step goes on there.
        """
        known = await self._database.read(self._known)
        serving, building = known
        if serving is not None and (serving.asked_at is not None or self._is_poll_due()):
            await self._read_pages(serving)
            return self._rest()
        if building is not None:
            return await self._build(serving, building)
        if serving is None or self._is_whole_due(serving):
            await self._begin(0 if serving is None else serving.generation)
            return 0.0
        if await self._database.write(lambda each: self._cleared(each, serving), is_news=False):
            return 0.0
        return max(0.0, self._polled_at + self._every - self._clock.monotonic())

    def _known(self, connection: Connection) -> tuple[Generation | None, Generation | None]:
        """Return the generation that answers and the one that is made; those that others made cannot be read."""
        feed = feeds.feed(connection, self.key)
        every = [one for one in feeds.generations(connection, self.key) if one.maker == self._seal.maker]
        number = feed.serving if feed is not None else None
        serving = next((one for one in every if one.generation == number), None)
        building = next((one for one in reversed(every) if number is None or one.generation > number), None)
        return serving, building

    def _rest(self) -> float:
        """Return how long PIT is left alone after what it just answered."""
        seconds, self._rests = self._rests, 0.0
        return seconds

    def _is_poll_due(self) -> bool:
        return self._clock.monotonic() >= self._polled_at + self._every

    def _is_whole_due(self, serving: Generation) -> bool:
        # Not all municipalities at once, though their first copies were made at once.
        early = crc32(self.key.municipality.encode()) % 100 / 100 * _SPREAD
        is_old = self._clock() - serving.began_at >= self._whole * (1.0 - early)
        return is_old and self._clock.monotonic() >= self._whole_after

    async def _begin(self, above: int) -> None:
        """Begin to read everything, where nothing is being made already."""
        now, key = self._clock(), self.key

        def work(connection: Connection) -> int:
            feeds.keep(connection, key, self._node, self._clock)
            return begin(connection, key, self._seal.maker, now)

        number = await self._database.write(work, is_news=False)
        log.info("replica.begins", municipality=key.municipality, generation=number, first=above == 0)

    async def _build(self, serving: Generation | None, building: Generation) -> float:
        """Go on with another generation, and let it answer as soon as it has everything and is fresh."""
        is_fresh = building.fresh_at is not None and (
            serving is None or self._clock() - building.fresh_at < self._freshness / 2
        )
        if not is_fresh or building.asked_at is not None:
            self._tell_progress(building)
            await self._read_pages(building, 0.0 if serving is None else self._pace)
            return self._rest()
        if serving is not None:
            await self._look_for_missing(serving, building)

        def work(connection: Connection) -> Generation:
            feeds.keep(connection, self.key, self._node, self._clock)
            count = patients.count_of(connection, self.key.municipality, building.generation)
            whole = structs.replace(building, entries=count)
            feeds.serve(connection, whole, self._clock())
            return whole

        now_serving = await self._database.write(work, is_news=False)
        age = self._clock() - (building.fresh_at or 0.0)
        self._polled_at = self._clock.monotonic() - max(0.0, age)
        log.info(
            "replica.answers",
            municipality=self.key.municipality,
            generation=now_serving.generation,
            patients=now_serving.entries,
            seconds=round(self._clock() - now_serving.began_at),
        )
        return 0.0

    async def _look_for_missing(self, serving: Generation, building: Generation) -> None:
        """Ask once more about those who would be gone, since a page may have passed over them; raises `Shrinks` for too many."""
        municipality = self.key.municipality

        def work(connection: Connection) -> list[str]:
            return patients.missing(connection, municipality, serving.generation, building.generation)

        gone = await self._database.read(work)
        if len(gone) > max(_FEW, _SHARE * serving.entries):
            await self._give_up(building)
            self._whole_after = self._clock.monotonic() + min(_AFTER_SHRINKING, self._whole)
            raise Shrinks(f"{len(gone)} of {counted(serving.entries, 'patient')} would be gone")
        for updated in sorted(set(gone)):
            cursor: str | None = None
            while True:
                try:
                    page = await self._pit.page(self._municipality.orgnr, updated, cursor, _TIMEOUT)
                except CursorLost:
                    # Nobody is gone before everybody was asked for once more: the step is done again.
                    raise ServiceUnavailable("PIT lost the cursor of a question") from None
                await self._write(building, [self._ready(page)])
                cursor = page.next
                if cursor is None or not page.patients or page.patients[-1].updated != updated:
                    break

    async def _give_up(self, building: Generation) -> None:
        def work(connection: Connection) -> None:
            feeds.keep(connection, self.key, self._node, self._clock)
            feeds.forget_generation(connection, building)

        await self._database.write(work, is_news=False)

    async def _read_pages(self, of: Generation, pace: float = 0.0) -> None:
        """Read some pages of a generation's window, or of another window; the next is asked for while others are written.

        With `pace` each page is followed by a rest of so many times what it took.
        """
        cursor, clock = self._cursor(of), asyncio.get_running_loop().time
        if of.asked_at is None or (of.cursor is not None and cursor is None):
            of = structs.replace(of, asked_at=of.asked_at or self._clock(), cursor=None)
        # Beside a copy that answers others have their turn sooner.
        most = min(self._at_once, _FEW_AT_ONCE) if pace else self._at_once
        ahead = _Ahead(partial(self._pit.page, self._municipality.orgnr, of.since, timeout=_TIMEOUT), most)
        ahead.ask(cursor)
        read: list[list[ReadyPatient]] = []
        writing: asyncio.Task[Generation] | None = None
        try:
            while ahead.asked:
                began, page = clock(), await ahead.asked[0]
                ahead.taken(page.next)
                of = window.after(of, page, self._clock(), self._seal)
                read.append(self._ready(page))
                if not ahead.asked or pace or len(read) == _TOGETHER or _size(read) >= _MOST_TOGETHER:
                    of = await _with_entries(of, writing)
                    writing, read = asyncio.get_running_loop().create_task(self._write(of, read)), []
                if not ahead.asked or pace:
                    of, writing = await _with_entries(of, writing), None
                if ahead.asked and pace:
                    await asyncio.sleep(pace * (clock() - began))
        except (CursorLost, ServiceUnavailable, AnswerRefused) as error:
            of, writing = await _with_entries(of, writing), None
            of = await self._write(of, read) if read else of
            if not isinstance(error, CursorLost):
                raise
            log.warning("replica.cursor_lost", municipality=self.key.municipality)
            # What changes late is in the next window, which begins before this one did.
            await self._write_state(structs.replace(of, cursor=None, since=of.read_to or of.since, read_to=None))
            self._rests = _AFTER_LOSS
        finally:
            await ahead.close()
            if writing is not None:
                await asyncio.gather(writing, return_exceptions=True)
        if of.asked_at is None and of.complete_at is not None:
            self._polled_at = self._clock.monotonic() - max(0.0, self._clock() - (of.fresh_at or 0.0))

    def _cursor(self, of: Generation) -> str | None:
        if of.cursor is None:
            return None
        try:
            return self._seal.open_cursor(of.municipality, of.cursor)
        except PayloadUnreadable:
            return None

    def _ready(self, page: Page) -> list[ReadyPatient]:
        return self._seal.ready(self.key.municipality, page.patients)

    async def _write(self, of: Generation, pages: Sequence[list[ReadyPatient]]) -> Generation:
        """Write pages and how far they bring the generation, or neither."""
        found = [one for page in pages for one in page]

        def work(connection: Connection) -> Generation:
            feeds.keep(connection, self.key, self._node, self._clock)
            grown = patients.put_patients(connection, self._seal, of.municipality, of.generation, found)
            read = structs.replace(of, entries=of.entries + grown)
            feeds.write_generation(connection, read)
            feeds.note_success(connection, self.key)
            return read

        REPLICA_PAGES.labels(self.key.municipality).inc(len(pages))
        return await self._database.write(work, is_news=False)

    async def _write_state(self, of: Generation) -> None:
        def work(connection: Connection) -> None:
            feeds.keep(connection, self.key, self._node, self._clock)
            feeds.write_generation(connection, of)

        await self._database.write(work, is_news=False)

    def _cleared(self, connection: Connection, serving: Generation) -> bool:
        """Clear away some rows of generations that answer no more; return whether there may be more."""
        if serving.complete_at is None or self._clock() - serving.complete_at < _OLD_ROWS:
            return False
        return feeds.clear_rows(connection, serving.municipality, [serving.generation])

    def _tell_progress(self, building: Generation) -> None:
        now = self._clock.monotonic()
        if now - self._told_at >= _TOLD:
            self._told_at = now
            log.info(
                "replica.progress",
                municipality=self.key.municipality,
                generation=building.generation,
                pages=building.pages,
                patients=building.entries,
                read_to=building.read_to,
            )


async def _with_entries(of: Generation, writing: asyncio.Task[Generation] | None) -> Generation:
    """Return a generation with as many entries as what is being written of it leaves it with."""
    return of if writing is None else structs.replace(of, entries=(await writing).entries)


class _Ahead:
    """Pages that were asked for and are not taken yet: a few at most, so many in all."""

    def __init__(self, ask: Callable[..., Coroutine[Any, Any, Page]], most: int) -> None:
        self._ask = ask
        self._most = most
        self._begun: set[str | None] = set()
        self.asked: deque[asyncio.Task[Page]] = deque()

    def ask(self, cursor: str | None) -> None:
        """Ask for a page, unless it was asked for, or as many are."""
        if len(self._begun) < self._most and len(self.asked) < _AHEAD and cursor not in self._begun:
            self._begun.add(cursor)
            page = self._ask(cursor=cursor, follow=self.ask)
            self.asked.append(asyncio.get_running_loop().create_task(page))

    def taken(self, following: str | None) -> None:
        """Take note that the first was taken, which says how the next is asked for."""
        self.asked.popleft()
        if following is not None:
            self.ask(following)

    async def close(self) -> None:
        """Ask no more."""
        self._most = 0
        for task in self.asked:
            task.cancel()
        await asyncio.gather(*self.asked, return_exceptions=True)


def _size(read: Sequence[list[ReadyPatient]]) -> int:
    return sum(len(one.plain) for page in read for one in page)


def begin(connection: Connection, key: FeedKey, maker: str, now: float) -> int:
    """Begin another generation of a copy; return its number."""
    numbers = [one.generation for one in feeds.generations(connection, key)]
    # Rows of one that was given up may still be there.
    number = 1 + max(patients.last_generation(connection, key.municipality), *numbers, 0)
    feeds.begin_generation(connection, Generation(*key, number, maker, now, window.EVER))
    return number
