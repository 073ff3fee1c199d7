"""What must not depend on how much is held: the ledger's work for one message, and what is asked of it regularly."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, insert, update

from bench.held import arrival
from bench.processes import BenchFailed
from bench.report import Findings, Goal, Table
from bench.scene import Scene
from gateway.ledger import message_queries, retention, shares
from gateway.ledger.database import Database, open_store
from gateway.ledger.messages import Ledger
from gateway.ledger.tables import MESSAGE, SHARE
from gateway.times import Clock

_OF_A_PATIENT = 100
"""Messages that wait for one patient: the first for its time, the others for it."""
_AT_ONCE = 5_000
_REPEATS = 100
_AWAY = 500.0
"""Seconds until those that wait for their time are due."""
_PAYLOAD = b"\0" * 400
_FLAT = 2.0
"""Times what it takes with the fewest held, the larger pages of a larger file included."""
_HARMLESS = 1e-3
"""Seconds that are flat, whatever they grew from."""


def measure(scene: Scene) -> Findings:
    """Fill a ledger to each size, and time its work there."""
    found: dict[int, dict[str, float]] = {}
    with scene.cores.lent():
        for held in scene.settings.held:
            with TemporaryDirectory(dir=scene.folder) as folder:
                found[held] = asyncio.run(_times(Path(folder), held))
    names = list(next(iter(found.values())))
    rows = tuple((name, *(f"{1e3 * times[name]:.2f}" for times in found.values())) for name in names)
    columns = ("", *(f"{held:,} held, ms" for held in found))
    note = (
        f"CPU time of this process, median of {_REPEATS}; {_OF_A_PATIENT} messages wait for each patient, and each is to be shared. Counting is linear in what is held, and "
        "is done in a twentieth of the time at most."
    )
    smallest, largest = found[min(found)], found[max(found)]
    goals = tuple(
        Goal(
            f"{name}, {max(found):,} held beside {min(found):,}",
            f"at most {_FLAT:g} times, or under {1e3 * _HARMLESS:g} ms",
            f"{largest[name] / smallest[name]:.1f} times, {1e3 * largest[name]:.2f} ms",
            largest[name] <= max(_FLAT * smallest[name], _HARMLESS),
        )
        for name in names
        if name != _COUNTING
    )
    return Findings("growth", (Table("The ledger as it grows, SQLite", columns, rows, (note,)),), goals)


_COUNTING = "count what waits, for the metrics"


async def _times(folder: Path, held: int) -> dict[str, float]:
    """Return the seconds of CPU time that each kind of work takes with so many held."""
    store = await asyncio.to_thread(open_store, "sqlite:///ledger.db", folder)
    ledger = Ledger(store, "bench", Clock())
    await _fill(store, held)
    numbers = itertools.count(held)
    taken: list[int] = []

    async def arrive() -> None:
        number = next(numbers)
        found = await ledger.arrive(arrival(number), lambda _: _PAYLOAD, until=time.time() + 30, window=1e9)
        taken.append(found.id)

    async def deliver() -> None:
        await ledger.delivered(taken.pop(), "event", "Bundle", next_poll=time.time() + _AWAY)

    async def claim() -> None:
        if await ledger.claim(32, until=time.time() + 30):
            raise BenchFailed("something was due")

    async def claim_shares() -> None:
        now = time.time()
        claiming = partial(shares.claim, node="bench", now=now, until=now + 60, most=8, longest=660.0)
        if await store.write(claiming):
            raise BenchFailed("something was to be shared")

    async def look() -> None:
        nobody = message_queries.MessageFilter(None, sender="Nobody")
        await store.read(lambda connection: message_queries.messages(connection, nobody, 50))

    async def count() -> None:
        await store.read(retention.counts)

    found = {
        "arrive, another patient": await _median(arrive, _REPEATS),
        "deliver": await _median(deliver, _REPEATS),
        "claim, nothing due": await _median(claim, _REPEATS),
        "claim what is to be shared, nothing journaled": await _median(claim_shares, _REPEATS),
        "list messages of a sender who has none": await _median(look, _REPEATS // 4),
        _COUNTING: await _median(count, 5),
    }
    await store.close()
    return found


async def _median(work: Callable[[], Awaitable[None]], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        await work()
        times.append(time.process_time() - start)
    return median(times)


async def _fill(store: Database, held: int) -> None:
    rows = _rows(held)
    while some := list(itertools.islice(rows, _AT_ONCE)):
        await store.write(lambda connection, some=some: _insert(connection, some))  # type: ignore[misc]
    # From now on, however long that took.
    away = update(MESSAGE).where(MESSAGE.c.due.is_not(None)).values(due=time.time() + _AWAY)
    await store.write(lambda connection: connection.execute(away).rowcount)


def _insert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(MESSAGE), rows)
    common = {"target": "pmd", "state": "waiting", "created_at": 0.0, "payload": _PAYLOAD}
    connection.execute(insert(SHARE), [{**common, **_whose(row)} for row in rows])


def _whose(row: dict[str, Any]) -> dict[str, Any]:
    return {"message": row["id"], "reference": row["reference"], "municipality": row["municipality"]}


def _rows(held: int) -> Iterator[dict[str, Any]]:
    for number in range(held):
        made = arrival(number)
        yield {
            "id": number + 1,
            **{name: getattr(made, name) for name in made.__struct_fields__},
            "patient": f"waiting-{number // _OF_A_PATIENT:024x}",
            "state": "held",
            "told": True,
            "due": None if number % _OF_A_PATIENT else 0.0,
            "payload": _PAYLOAD,
            "history": "",
        }
