"""Ledgers on both databases, under a clock that stands still, and short ways to fill them and to look inside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, func, select, update

from gateway.ledger.database import Database, open_store
from gateway.ledger.messages import Ledger
from gateway.ledger.records import Arrival, MessageState, Taken, Waiting
from gateway.ledger.tables import MESSAGE, PATIENT_NUMBER
from tests.gateway.clocks import FakeClock as Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from gateway.ledger.records import Known
    from tests.postgres import Server

NOW = 1_780_000_000.0
UNTIL = NOW + 30
"""When what was taken at `NOW` is given up; it stays a lease longer with who took it."""
WINDOW = 1000.0

_ARRIVAL: dict[str, Any] = {
    "received_at": NOW,
    "surface": "r4",
    "municipality": "havnes",
    "sender": "vkp-1",
    "vendor": "vendor",
    "system": "system",
    "information": "varsel",
    "upstream": "jft",
    "patient": None,
    "identity": None,
    "copy": None,
    "promised": True,
    "resend_unclear": False,
    "acknowledge_within": 100.0,
}


@pytest.fixture
def clock() -> Clock:
    """Make a clock at a fixed time."""
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """Name an empty database of each kind, as `store` in a configuration has it."""
    if request.param == "sqlite":
        return "sqlite:///ledger.db"
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Likewise, on PostgreSQL with the ledger's tables, cleared of rows: making a database takes longer than most tests."""
    if request.param == "sqlite":
        yield "sqlite:///ledger.db"
        return
    running: Server = request.getfixturevalue("postgres_server")
    with running.cleared(request.getfixturevalue("postgres_template")) as url:
        yield url


@pytest.fixture
async def store(ledger_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """Open a ledger's database of each kind."""
    opened = await asyncio.to_thread(open_store, ledger_url, tmp_path, patience=0.0)
    yield opened
    await opened.close()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Make the one event loop of all nodes."""
    made = asyncio.new_event_loop()
    yield made
    made.run_until_complete(made.shutdown_default_executor())
    made.close()


@pytest.fixture
def fast(store: Database) -> Database:
    """Open a ledger that does not wait for the disk: a node's death loses nothing that the system has."""

    def connect(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")

    if store.is_sqlite:
        event.listen(store.engine, "connect", connect)
        store.engine.dispose()
    else:
        event.listen(store.engine, "begin", begin)
    return store


@pytest.fixture
def ledger(store: Database, clock: Clock) -> Ledger:
    """Make a node."""
    return Ledger(store, "node-a", clock)


@pytest.fixture
async def other(store: Database, ledger_url: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    """Make another node: on PostgreSQL with connections of its own; SQLite's file is open once."""
    if store.is_sqlite:
        yield Ledger(store, "node-b", clock)
        return
    opened = await asyncio.to_thread(open_store, ledger_url, tmp_path, patience=0.0)
    yield Ledger(opened, "node-b", clock)
    await opened.close()


def arrival(reference: str, **changed: Any) -> Arrival:
    """Make an arrival, with what a test says of it."""
    return Arrival(**{**_ARRIVAL, "reference": reference, **changed})


def payload(reference: str) -> bytes:
    """Return what is kept of a message under a reference."""
    return f"sealed {reference}".encode()


async def arrive(
    ledger: Ledger,
    reference: str,
    *,
    wait: bool = False,
    until: float = UNTIL,
    others: tuple[str, ...] = (),
    **changed: Any,
) -> Taken | Waiting | Known:
    """Have a message arrive; `others` are its patient's other numbers."""
    message = arrival(reference, **changed)
    return await ledger.arrive(message, payload, until=until, window=WINDOW, wait=wait, other_numbers=others)


async def kept_numbers(ledger: Ledger) -> list[str]:
    """Return the other numbers that are kept."""
    wanted = select(PATIENT_NUMBER.c.patient).order_by(PATIENT_NUMBER.c.patient)
    return await ledger.store.read(lambda each: list(each.execute(wanted).scalars()))


async def taken(ledger: Ledger, reference: str, **changed: Any) -> int:
    """Have a message arrive that is tried at once; its id."""
    found = await arrive(ledger, reference, **changed)
    assert isinstance(found, Taken)
    return found.id


async def waiting(ledger: Ledger, reference: str, **changed: Any) -> int:
    """Have a message arrive that is held; its id."""
    found = await arrive(ledger, reference, wait=True, **changed)
    assert isinstance(found, Waiting)
    return found.id


async def next_due(ledger: Ledger) -> float | None:
    """When the next held message is to be tried."""
    due = select(func.min(MESSAGE.c.due)).where(MESSAGE.c.state == MessageState.HELD.value)
    return await ledger.store.read(lambda connection: connection.execute(due).scalar_one())


async def brought_to(ledger: Ledger, state: MessageState, reference: str, **changed: Any) -> int:
    """Have a message arrive and come to a state; its id."""
    message = await taken(ledger, reference, **changed)
    if state is MessageState.HELD:
        assert await ledger.held(message, "away", next_try=NOW)
    elif state is MessageState.REFUSED:
        assert await ledger.refused(message, "away")
    elif state is MessageState.QUARANTINED:
        assert await ledger.quarantined(message, "unclear")
    elif state is not MessageState.DELIVERING:
        assert await ledger.delivered(message, f"event-{reference}", "Communication", next_poll=NOW)
    if state is MessageState.READ:
        assert await ledger.read(message, next_poll=NOW)
    elif state is MessageState.ACKNOWLEDGED:
        assert await ledger.acknowledged(message)
    return message


async def row(ledger: Ledger, message: int) -> Row[Any]:
    """Return all that is written of a message."""

    def work(connection: Connection) -> Row[Any]:
        return connection.execute(select(MESSAGE).where(MESSAGE.c.id == message)).one()

    return await ledger.store.read(work)


async def history(ledger: Ledger, message: int) -> list[tuple[str, str, str]]:
    """Return what a message's history says: node, what, why; that each line has a time is checked on the way."""
    lines = (await row(ledger, message)).history.splitlines()
    found = [line.split(" ", 3) for line in lines]
    assert all(stamp.startswith("20") and stamp.endswith("+00:00") for stamp, *_ in found)
    return [(node, what, why) for _, node, what, why in found]


async def put(ledger: Ledger, message: int, **values: Any) -> None:
    """Write of a message what no method of the ledger makes of it."""
    statement = update(MESSAGE).where(MESSAGE.c.id == message).values(**values)
    await ledger.store.write(lambda connection: connection.execute(statement).rowcount)
