"""Which node fills which copy, and how far each copy has come: leases by the database's own clock, and generations."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, delete, insert, select, text, update

from gateway.ledger.tables import REPLICA_FEED, REPLICA_GENERATION, REPLICA_IDENTIFIER, REPLICA_PATIENT, REPLICA_SERVICE
from gateway.ledger.upserts import insert_into

F, G = REPLICA_FEED.c, REPLICA_GENERATION.c
Source = Literal["pit", "okt", "file"]
LEASE = 5.0
"""Seconds that a copy stays with a node that says nothing more; it says so every second."""
_AT_ONCE = 500
"""Rows deleted in one transaction."""


class LeaseLost(Exception):  # noqa: N818 - the condition
    """Another node fills this copy now; what was to be written was not."""


class FeedKey(NamedTuple):
    """One copy: a municipality's, of what one service has."""

    municipality: str
    source: Source


class Feed(Struct, frozen=True):
    """Who fills a copy, which generation answers, and what went wrong last."""

    municipality: str
    source: Source
    serving: int | None
    owner: str | None
    lease: float | None
    failures: int
    """In a row."""
    failure: str | None
    failed_at: float | None


class Generation(Struct, frozen=True):
    """How far one generation of a copy has come; times in seconds since the epoch unless they are PIT's own texts."""

    municipality: str
    source: Source
    generation: int
    maker: str
    """What its rows are made by, and can be read by alone."""
    began_at: float
    since: str
    """From when on its window asks."""
    complete_at: float | None = None
    """Since when it answers; None for one that is being made."""
    cursor: bytes | None = None
    """Sealed: how the next page of the window is asked for."""
    window_at: float | None = None
    """When its window began, by PIT's clock where PIT says it."""
    read_to: str | None = None
    """The last change of the window that was read; None before the first, empty where PIT keeps no order."""
    asked_at: float | None = None
    """When its window began; None between two windows."""
    fresh_at: float | None = None
    """When the last window began that was read to its end; None before the first is."""
    pages: int = 0
    entries: int = 0
    """Patients in it."""


_GENERATION = [G[name] for name in Generation.__struct_fields__]
_FEED = [F[name] for name in Feed.__struct_fields__]


def database_time(connection: Connection, clock: Callable[[], float]) -> float:
    """Return the time by which leases are told: that of the database, which all nodes share."""
    if connection.dialect.name == "sqlite":
        return clock()
    return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def feeds(connection: Connection) -> list[Feed]:
    """Return every copy that is known."""
    return [Feed(*row) for row in connection.execute(select(*_FEED).order_by(F.municipality, F.source))]


def feed(connection: Connection, key: FeedKey) -> Feed | None:
    """Return one copy; None where there is none."""
    row = connection.execute(select(*_FEED).where(*_at(key))).one_or_none()
    return None if row is None else Feed(*row)


def generations(connection: Connection, key: FeedKey | None = None) -> list[Generation]:
    """Return the generations of a copy, or of all, the oldest first."""
    statement = select(*_GENERATION).order_by(G.municipality, G.source, G.generation)
    found = statement if key is None else statement.where(G.municipality == key.municipality, G.source == key.source)
    return [Generation(*row) for row in connection.execute(found)]


def claim(connection: Connection, key: FeedKey, node: str, clock: Callable[[], float]) -> bool:
    """Have a copy for a lease, if no other node has it; the only process on a file has what it wants."""
    now = database_time(connection, clock)
    is_alone = connection.dialect.name == "sqlite"
    is_free = F.owner.is_(None) | (F.owner == node) | F.lease.is_(None) | (F.lease <= now) | (F.lease > now + 2 * LEASE)
    statement = update(REPLICA_FEED).where(*_at(key), *([] if is_alone else [is_free]))
    taken = statement.values(owner=node, lease=now + LEASE)
    if connection.execute(taken).rowcount:
        return True
    new = insert_into(REPLICA_FEED, connection.dialect.name)
    connection.execute(new.values(municipality=key.municipality, source=key.source).on_conflict_do_nothing())
    return bool(connection.execute(taken).rowcount)


def keep(connection: Connection, key: FeedKey, node: str, clock: Callable[[], float]) -> None:
    """Have a copy for another lease; raises `LeaseLost` where another node took it."""
    lease = database_time(connection, clock) + LEASE
    if not connection.execute(update(REPLICA_FEED).where(*_at(key), F.owner == node).values(lease=lease)).rowcount:
        raise LeaseLost(key.municipality)


def release(connection: Connection, node: str) -> None:
    """Leave every copy to whoever comes first."""
    connection.execute(update(REPLICA_FEED).where(F.owner == node).values(owner=None, lease=None))


def note_failure(connection: Connection, key: FeedKey, reason: str, now: float) -> None:
    """Write down that a step failed."""
    values = {"failures": F.failures + 1, "failure": reason, "failed_at": now}
    connection.execute(update(REPLICA_FEED).where(*_at(key)).values(values))


def note_success(connection: Connection, key: FeedKey) -> None:
    """Write down that a step did not fail; what failed last stays for people to see."""
    connection.execute(update(REPLICA_FEED).where(*_at(key), F.failures > 0).values(failures=0))


def begin_generation(connection: Connection, generation: Generation) -> None:
    """Begin to make another generation beside the one that answers."""
    connection.execute(insert(REPLICA_GENERATION).values(structs.asdict(generation)))


def write_generation(connection: Connection, generation: Generation) -> None:
    """Write down how far a generation has come."""
    where = (*_of(generation), G.generation == generation.generation)
    connection.execute(update(REPLICA_GENERATION).where(*where).values(structs.asdict(generation)))


def serve(connection: Connection, generation: Generation, now: float) -> None:
    """Let a generation answer in place of the one before, which is known no more; its rows go later."""
    where = (F.municipality == generation.municipality, F.source == generation.source)
    connection.execute(update(REPLICA_FEED).where(*where).values(serving=generation.generation))
    connection.execute(delete(REPLICA_GENERATION).where(*_of(generation), G.generation < generation.generation))
    write_generation(connection, structs.replace(generation, complete_at=now))


def stop_serving(connection: Connection, key: FeedKey) -> None:
    """Let nothing answer until another generation is complete."""
    connection.execute(update(REPLICA_FEED).where(*_at(key)).values(serving=None))


def forget_generation(connection: Connection, generation: Generation) -> None:
    """Give up a generation that does not answer."""
    connection.execute(delete(REPLICA_GENERATION).where(*_of(generation), G.generation == generation.generation))


def clear_rows(connection: Connection, municipality: str, kept: list[int]) -> bool:
    """Delete some patients of generations that are not kept; return whether there may be more."""
    P, N = REPLICA_PATIENT.c, REPLICA_IDENTIFIER.c  # noqa: N806 - as the tables' columns are called everywhere
    where = (P.municipality == municipality, P.generation.not_in(kept))
    rows = list(connection.scalars(select(P.id).where(*where).limit(_AT_ONCE)))
    if not rows:
        return False
    connection.execute(delete(REPLICA_IDENTIFIER).where(N.row.in_(rows)))
    connection.execute(delete(REPLICA_PATIENT).where(P.id.in_(rows)))
    return len(rows) == _AT_ONCE


def forget_feed(connection: Connection, key: FeedKey) -> bool:
    """Delete a bounded part of a copy; return whether there is more."""
    S = REPLICA_SERVICE.c  # noqa: N806 - likewise
    connection.execute(delete(REPLICA_SERVICE).where(S.municipality == key.municipality, S.source == key.source))
    connection.execute(delete(REPLICA_GENERATION).where(G.municipality == key.municipality, G.source == key.source))
    if key.source == "pit" and clear_rows(connection, key.municipality, []):
        return True
    connection.execute(delete(REPLICA_FEED).where(*_at(key)))
    return False


def _at(key: FeedKey) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return F.municipality == key.municipality, F.source == key.source


def _of(generation: Generation) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return G.municipality == generation.municipality, G.source == generation.source
