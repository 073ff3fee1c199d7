"""Who fills which copy: one node each, taken over in seconds, kept by a reload, and deleted with its municipality."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import func, select

from gateway.config.upstreams import PitUpstream, ReadScopes, ServiceStatus
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.key_files import Keys
from gateway.ledger.tables import REPLICA_FEED, REPLICA_IDENTIFIER, REPLICA_PATIENT
from gateway.model import Place
from gateway.observability.metrics import REPLICA_FAILURES
from gateway.replica import feeds
from gateway.replica.worker import Replica
from gateway.tasks import USUAL, FileThread
from gateway.upstreams.service_caller import AnswerRefused
from tests.gateway.replica.conftest import HAVNES, KEY, FakePit
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.ledger.database import Database
    from gateway.upstreams.pit import PitClient
    from tests.gateway.clocks import FakeClock
    from tests.gateway.world import Logged

KEYS = Keys(PayloadCipher({"k": b"p" * 32}, "k"), LookupHasher(b"l" * 32))
UPSTREAM = PitUpstream("pit", "https://pit.example", ReadScopes("s"), ServiceStatus.TEST, Place("f", 1, 1))


@dataclass
class _Config:
    """What of a configuration says which copies there are."""

    municipalities: dict[str, Any]


class _Pit(FakePit):
    upstream = UPSTREAM


WITH = cast("Config", _Config({"havnes": HAVNES}))
WITHOUT = cast("Config", _Config({"havnes": replace(HAVNES, epj=replace(HAVNES.epj, feeds=()))}))
NEVER = replace(USUAL, replica=1e6, replica_count=1e6)


@pytest.fixture
async def node(store: Database, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Callable[[str], Replica]]:
    """Make nodes on one database, which look when a test says so."""
    made: list[Replica] = []

    def make(name: str) -> Replica:
        made.append(Replica(store, name, clock, NEVER, tmp_path, FileThread(10.0)))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def _owner(store: Database) -> str | None:
    return await store.read(
        lambda each: (feeds.feed(each, KEY) or feeds.Feed("", "", *[None] * 3, 0, None, None)).owner
    )


async def _count(store: Database) -> int:
    return await store.read(lambda each: each.execute(select(func.count()).select_from(REPLICA_PATIENT)).scalar_one())


async def test_one_of_two_nodes_fills_a_copy_and_the_other_takes_over(
    store: Database, clock: FakeClock, node: Callable[[str], Replica]
) -> None:
    """At once where the first has stopped; a file has one process alone."""
    pit = _Pit(clock)
    for index in range(4):
        pit.put(index)
    first, second = node("one"), node("two")
    first.use(WITH, KEYS, cast("PitClient", pit), None)
    await first.look()
    await until(lambda: _is(store, 4))
    assert await _owner(store) == "one"
    second.use(WITH, KEYS, cast("PitClient", pit), None)
    if not store.is_sqlite:
        await second.look()
        assert await _owner(store) == "one"
    await first.stop()
    await second.look()
    assert await _owner(store) == "two"


async def _is(store: Database, count: int) -> bool:
    return await _count(store) == count


async def test_node_that_says_nothing_loses_its_copies_in_seconds(
    store: Database, clock: FakeClock, node: Callable[[str], Replica]
) -> None:
    """By the database's clock."""
    first, second = node("one"), node("two")
    first.use(WITH, KEYS, cast("PitClient", _Pit(clock)), None)
    await first.look()
    for task in first._tasks.values():
        task.cancel()
    await asyncio.gather(*first._tasks.values(), return_exceptions=True)
    await store.write(lambda each: each.execute(REPLICA_FEED.update().values(lease=1.0)).rowcount)
    second.use(WITH, KEYS, cast("PitClient", _Pit(clock)), None)
    await second.look()
    assert await _owner(store) == "two"


async def test_reload_that_changes_nothing_of_a_copy_does_not_interrupt_it(
    clock: FakeClock, node: Callable[[str], Replica]
) -> None:
    """What fills it goes on."""
    pit, one = cast("PitClient", _Pit(clock)), node("one")
    one.use(WITH, KEYS, pit, None)
    await one.look()
    before = dict(one._tasks)
    one.use(cast("Config", _Config(dict(MappingProxyType({"havnes": HAVNES})))), KEYS, pit, None)
    await one.look()
    assert before
    assert before == one._tasks
    one.use(WITHOUT, KEYS, pit, None)
    assert not one._tasks


async def test_copy_goes_with_its_municipality(
    store: Database, clock: FakeClock, node: Callable[[str], Replica]
) -> None:
    """A while after it has left the configuration of every node: rows, hashes and all."""
    pit, one = _Pit(clock), node("one")
    for index in range(4):
        pit.put(index)
    one.use(WITH, KEYS, cast("PitClient", pit), None)
    await one.look()
    await until(lambda: _is(store, 4))
    one.use(WITHOUT, KEYS, cast("PitClient", pit), None)
    await one.count()
    clock.now += 300
    await one.count()
    assert await _count(store) == 4
    clock.now += 301
    await one.count()
    for table in (REPLICA_PATIENT, REPLICA_IDENTIFIER, REPLICA_FEED):
        left = select(func.count()).select_from(table)
        assert await store.read(lambda each, left=left: each.execute(left).scalar_one()) == 0


async def test_refused_answer_is_an_alarm_with_its_place(
    store: Database, clock: FakeClock, node: Callable[[str], Replica], logged: Logged
) -> None:
    """Told by log, metric and the copy's own row; tried again later."""
    pit, one = _Pit(clock), node("one")
    pit.failures.append(AnswerRefused("Bundle.type: not a searchset"))
    labels = REPLICA_FAILURES.labels("havnes", "pit", "refused")
    before = labels._value.get()
    one.use(WITH, KEYS, cast("PitClient", pit), None)
    await one.look()
    await until(lambda: _failed(store))
    (told,) = logged.named("replica.refused")
    assert told["reason"] == "Bundle.type: not a searchset"
    assert labels._value.get() == before + 1


async def _failed(store: Database) -> bool:
    feed = await store.read(lambda each: feeds.feed(each, KEY))
    return feed is not None and feed.failure == "Bundle.type: not a searchset"
