"""Messages that are held: each durable before its sender hears of success, beside plain inserts of the same rows."""

import asyncio
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import turn
from bench.report import Findings, Goal, Table
from bench.scene import HELD, Scene, Server
from bench.stats import Spread, spread
from gateway.ledger.database import open_store
from gateway.ledger.messages import Ledger
from gateway.ledger.records import Arrival
from gateway.times import Clock

_WANTED = 2_000
_AT_A_TIME = (1, 32, 64)
"""How many messages wait for the disk together."""
_PAYLOAD = 12_200
"""Bytes: what came and what is sent, each of 6,000."""
_CONNECTIONS = 64


def measure(scene: Scene) -> Findings:
    """Measure the ledger by itself, SQLite by itself, and a gateway whose JFT is away."""
    rows: dict[str, list[float]] = {}
    away: list[float] = []
    with scene.gateway("gateway-held", _nobody(scene)) as gateway:
        scene.probe(gateway, HELD)
        for _ in range(scene.settings.rounds):
            with scene.cores.lent(), TemporaryDirectory(dir=scene.folder) as folder:
                for name, rate in _in_process(Path(folder), scene.settings.repeats):
                    rows.setdefault(name, []).append(rate)
            away.append(turn(scene, gateway, HELD, scene.settings.seconds, _CONNECTIONS).rate)
    end_to_end = spread(away)
    best = spread(rows[_ledger_row(_AT_A_TIME[-1])])
    peer = spread(rows[_PEER])
    table = Table(
        "Held messages, SQLite with synchronous FULL",
        ("", "messages/s"),
        (*((name, spread(rates).show()) for name, rates in rows.items()), (_END_TO_END, end_to_end.show())),
        (
            f"The ledger with {_AT_A_TIME[-1]} waiting is {best.middle / peer.middle:.2f} of a plain insert for each commit.",
        ),
    )
    goals = (
        _goal("held messages in the ledger, each durable", best),
        _goal("held messages end to end, JFT away", end_to_end),
    )
    return Findings("held", (table,), goals)


_PEER = "sqlite3: one insert of such a row in each commit"
_PEER_TOGETHER = f"sqlite3: {_AT_A_TIME[-1]} inserts in each commit"
_END_TO_END = f"end to end: HTTP in, translated, sealed, held, answered; {_CONNECTIONS} connections"


def _ledger_row(at_a_time: int) -> str:
    return f"the gateway's ledger, {at_a_time} waiting together"


def _goal(what: str, rate: Spread) -> Goal:
    return Goal(what, f"{_WANTED:,} messages/s", rate.show(), rate.middle >= _WANTED)


def _nobody(scene: Scene) -> Server:
    """Return a JFT that is away: nothing listens there."""
    return Server("nobody", 1, scene.jft.process)


def _in_process(folder: Path, count: int) -> Iterator[tuple[str, float]]:
    yield _PEER, _plain(folder / "plain-1.db", count // 4, 1)
    yield _PEER_TOGETHER, _plain(folder / "plain-n.db", count, _AT_A_TIME[-1])
    for at_a_time in _AT_A_TIME:
        amount = count if at_a_time > 1 else count // 4
        yield _ledger_row(at_a_time), asyncio.run(_arrivals(folder / f"ledger-{at_a_time}.db", amount, at_a_time))


def _plain(file: Path, count: int, together: int) -> float:
    """Insert rows of the same columns with the driver that the ledger uses too."""
    names = (*Arrival.__struct_fields__, "payload", "history", "state")
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"CREATE TABLE message (id INTEGER PRIMARY KEY, {', '.join(names)}, UNIQUE (copy))")
    statement = f"INSERT INTO message ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - own names
    start = time.perf_counter()
    for first in range(0, count, together):
        connection.execute("BEGIN")
        for number in range(first, min(first + together, count)):
            made = arrival(number)
            values = [getattr(made, name) for name in Arrival.__struct_fields__]
            connection.execute(statement, (*values, os.urandom(_PAYLOAD), "history", "held"))
        connection.execute("COMMIT")
    passed = time.perf_counter() - start
    connection.close()
    return count / passed


async def _arrivals(file: Path, count: int, at_a_time: int) -> float:
    store = open_store(f"sqlite:///{file.name}", file.parent)
    ledger, numbers = Ledger(store, "bench", Clock()), itertools.count()

    async def sender() -> None:
        while (number := next(numbers)) < count:
            await ledger.arrive(
                arrival(number), lambda _: os.urandom(_PAYLOAD), until=time.time(), window=1e9, wait=True
            )

    start = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(at_a_time)))
    passed = time.perf_counter() - start
    await store.close()
    return count / passed


def arrival(number: int) -> Arrival:
    """Return the message with this number."""
    hashed = f"{number:032x}"
    return Arrival(
        reference=f"bench-{number}",
        received_at=time.time(),
        surface="vkp-r4",
        municipality="held",
        sender="Bench_Sender",
        vendor="bench",
        system="sender",
        information="varsel",
        upstream="jft",
        patient=f"{number % 997:032x}",
        identity=hashed,
        copy=hashed[::-1],
        promised=True,
        resend_unclear=False,
        acknowledge_within=86_400.0,
    )
