"""A PIT in memory that plays what goes wrong, and copies of it on both databases under a clock that stands still."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.model import Epj, Municipality
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.model import Place
from gateway.replica import feeds
from gateway.replica import patients as rows
from gateway.replica.feeds import FeedKey
from gateway.replica.patient_seal import PatientSeal
from gateway.replica.sync import PatientSync
from gateway.upstreams.pit import Page
from service_stubs.people import number_of, person
from tests.gateway.clocks import FakeClock
from tests.gateway.ledger.conftest import ledger_url, store
from tests.gateway.replica.services_world import services
from translators.pit import PitPatient, patient_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from gateway.ledger.database import Database
    from gateway.replica.feeds import Generation

__all__ = ["ledger_url", "services", "store"]
"""Fixtures that are made elsewhere."""

HAVNES = Municipality(
    "havnes",
    "Havnes kommune",
    "315058384",
    (),
    Epj("Helseplattformen", True, ("jft",), ("pit", "okt")),
    Place("f", 1, 1),
)
KEY = FeedKey("havnes", "pit")


@dataclass
class FakePit:
    """Patients in the order of their changes, a few to a page."""

    clock: FakeClock
    size: int = 3
    counts: bool = False
    """Whether a cursor remembers how many came before, and passes over somebody where one before has changed."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Raised in place of the next answers."""
    before: Callable[[int], None] | None = None
    """Called with the number of each page, from 1, before it is made."""
    changed: list[tuple[datetime, int]] = field(default_factory=list)
    people: dict[int, dict[str, Any]] = field(default_factory=dict)

    def put(self, index: int, *, own: str | None = None, **changes: Any) -> None:
        """Add a patient, or change one, now."""
        self.remove(index)
        resource = {**person(index), "id": own or f"id-{index}", **changes}
        self.changed.append((self.at, index))
        self.people[index] = {**resource, "meta": {"lastUpdated": self.at.isoformat(timespec="milliseconds")}}

    def remove(self, index: int) -> None:
        """Have a patient gone, without a trace."""
        if index in self.people:
            self.changed = [one for one in self.changed if one[1] != index]
            del self.people[index]

    @property
    def at(self) -> datetime:
        """What time it is there."""
        return datetime.fromtimestamp(self.clock.now, UTC)

    async def page(
        self,
        orgnr: str,
        since: str,
        cursor: str | None,
        timeout: float,  # noqa: ASYNC109 - as the client's
        follow: Any = None,
    ) -> Page:
        """Answer as PIT does."""
        assert (orgnr, timeout) == (HAVNES.orgnr, 60.0)
        self.asked.append((since, cursor))
        if self.before is not None:
            self.before(len(self.asked))
        if self.failures:
            raise self.failures.pop(0)
        first = bisect_left(self.changed, datetime.fromisoformat(since), key=lambda one: one[0])
        if cursor is not None and self.counts:
            first += int(cursor)
        elif cursor is not None:
            at, _, index = cursor.partition("/")
            first = bisect_right(self.changed, (datetime.fromisoformat(at), int(index)))
        found = self.changed[first : first + self.size]
        following = None
        if first + self.size < len(self.changed):
            done = int(cursor or 0) + self.size if self.counts else 0
            following = str(done) if self.counts else f"{found[-1][0].isoformat()}/{found[-1][1]}"
        if follow is not None and following is not None:
            follow(following)
        return Page(tuple(self._patient(index) for _, index in found), following, self.clock.now)

    def _patient(self, index: int) -> PitPatient:
        return patient_of(self.people[index], "x")


@pytest.fixture
def clock() -> FakeClock:
    """Make a clock at a fixed time."""
    return FakeClock()


@pytest.fixture
def pit(clock: FakeClock) -> FakePit:
    """Make an empty PIT."""
    return FakePit(clock)


def seal_with(lookup: bytes = b"l" * 32) -> PatientSeal:
    """Make a seal; another lookup key makes one that finds nobody of the first."""
    return PatientSeal(PayloadCipher({"k": b"p" * 32}, "k"), LookupHasher(lookup))


@dataclass
class Copy:
    """One municipality's copy, and what fills it."""

    store: Database
    pit: FakePit
    clock: FakeClock
    seal: PatientSeal = field(default_factory=seal_with)
    node: str = "node-1"
    every: float = 60.0
    freshness: float = 900.0
    whole: float = 86_400.0
    at_once: int = 1
    """Pages that a step reads."""

    @cached_property
    def sync(self) -> PatientSync:
        """Fills it."""
        times: dict[str, Any] = {"every": self.every, "freshness": self.freshness, "whole": self.whole}
        return PatientSync(
            HAVNES, self.pit, self.store, self.seal, self.node, self.clock, **times, at_once=self.at_once, pace=0.0
        )

    def restart(self, **changes: Any) -> None:
        """Go on as another process does, which remembers nothing."""
        self.__dict__.pop("sync", None)
        for name, value in changes.items():
            setattr(self, name, value)

    async def claim(self) -> bool:
        """Take the lease."""
        return await self.store.write(partial(feeds.claim, key=KEY, node=self.node, clock=self.clock))

    async def fill(self, most: int = 1000) -> None:
        """Do what is due until nothing is, or so many steps."""
        await self.claim()
        for _ in range(most):
            if await self.sync.step() > 0:
                return
        assert most < 1000, "there is always more to do"

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and do what is due then."""
        self.clock.now += seconds
        await self.fill()

    async def ids(self) -> list[str]:
        """Return the ids of everybody whom the copy answers with."""

        def work(connection: Connection) -> list[str]:
            answering = rows.standing(connection, "havnes")
            assert answering is not None
            found = rows.found_by(connection, "havnes", answering.generation, self._everybody())
            return sorted(str(self.seal.open(one)["id"]) for one in found)  # type: ignore[index,call-overload] # a resource

        return await self.store.read(work)

    def _everybody(self) -> list[str]:
        numbers = [*range(60), *self.pit.people]
        return [self.seal.hash_of("havnes", "", number_of(index)) for index in dict.fromkeys(numbers)]

    async def found(self, number: str, system: str = "") -> list[str]:
        """Return the ids of those whom an identifier finds."""
        identifier = self.seal.hash_of("havnes", system, number)
        _, matches = await self.store.read(lambda each: rows.find(each, "havnes", identifier))
        return sorted(str(self.seal.open(one.patient)["id"]) for one in matches)  # type: ignore[index,call-overload] # likewise

    async def serving(self) -> Generation | None:
        """Return the generation that answers."""

        def work(connection: Connection) -> Generation | None:
            feed = feeds.feed(connection, KEY)
            every = feeds.generations(connection, KEY)
            return next((one for one in every if feed and one.generation == feed.serving), None)

        return await self.store.read(work)


@pytest.fixture
def copy(store: Database, pit: FakePit, clock: FakeClock) -> Copy:
    """Make a copy that is empty yet."""
    return Copy(store, pit, clock)
