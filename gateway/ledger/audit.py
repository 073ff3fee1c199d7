"""Who did what, and why: entries chained by hashes, each written in the transaction of the change that it tells of.

Whoever can write to the database can also write a whole new chain; against that the hash of the newest entry, which `verify`
in the API tells, is kept elsewhere.
"""

import hashlib
from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.ledger.tables import AUDIT, RUN

_HEAD = "audit"
"""The row of `run` that says which entry is the newest: so it is missed when it is removed, and a chain goes on when all are
purged."""
_LOCK_KEY = 0x766B7061
"""PostgreSQL's advisory lock by which two nodes make one chain."""
_AT_ONCE = 500


class Note(msgspec.Struct, frozen=True):
    """What is to be told of an action; nothing that says who a patient is, and no person's name."""

    at: float
    """Seconds since the epoch."""
    node: str
    actor: str
    """What logs call the person, and the subject."""
    action: str
    target: str
    """A message's reference, or what else was acted on."""
    reason: str | None = None
    """As the person wrote it."""
    detail: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """A note in its place in the chain; ids count from 1 without a gap."""

    id: int
    note: Note
    hash: str


def digest(previous: str, number: int, note: Note) -> str:
    """Return the hash of an entry: SHA-256 over the hash before and the entry as a JSON array, in hexadecimal."""
    return hashlib.sha256(previous.encode() + msgspec.json.encode([number, *msgspec.structs.astuple(note)])).hexdigest()


def write(connection: Connection, note: Note) -> Entry:
    """Add an entry in the transaction of the connection; whoever adds one at the same time on another node waits for its end."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))
    number, previous = _head(connection)
    entry = Entry(number + 1, note, digest(previous, number + 1, note))
    connection.execute(insert(AUDIT).values(id=entry.id, hash=entry.hash, **msgspec.structs.asdict(note)))
    upsert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(RUN)
    values = {"at": note.at, "node": note.node, "outcome": f"{entry.id} {entry.hash}"}
    connection.execute(
        upsert.values(job=_HEAD, **values).on_conflict_do_update(index_elements=[RUN.c.job], set_=values)
    )
    return entry


def head(connection: Connection) -> tuple[int, str] | None:
    """Return id and hash of the newest entry; None when there never was one."""
    number, latest = _head(connection)
    return (number, latest) if number else None


def entries(connection: Connection, most: int, before: int | None = None) -> list[Entry]:
    """Return the newest entries first, or those before an id."""
    wanted = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(most)
    if before is not None:
        wanted = wanted.where(AUDIT.c.id < before)
    return [_entry(row) for row in connection.execute(wanted)]


def verify(connection: Connection) -> int | None:
    """Return the id of the first entry that was changed, inserted or is missing; None when the chain is whole.

    The oldest entry that is there may be an anchor: retention has removed those before it, so its own hash cannot be checked
    unless it is the first of all. What is broken at the end is told by the id that should be there.
    """
    newest = head(connection)
    number, previous = 0, ""
    for entry in _oldest_first(connection):
        is_anchor = number == 0 and entry.id > 1
        if not is_anchor and (entry.id != number + 1 or entry.hash != digest(previous, entry.id, entry.note)):
            return min(entry.id, number + 1)
        number, previous = entry.id, entry.hash
        if newest is None or (number == newest[0] and previous != newest[1]):
            return number
    if newest is not None and 0 < number < newest[0]:
        return number + 1
    return None


def _head(connection: Connection) -> tuple[int, str]:
    found = connection.execute(select(RUN.c.outcome).where(RUN.c.job == _HEAD)).scalar_one_or_none()
    number, _, latest = (found or "").partition(" ")
    return (int(number), latest) if number.isdecimal() else (0, "")


def _oldest_first(connection: Connection) -> Iterator[Entry]:
    last = -(2**63)
    while rows := connection.execute(
        select(AUDIT).where(AUDIT.c.id > last).order_by(AUDIT.c.id).limit(_AT_ONCE)
    ).fetchall():
        for row in rows:
            yield _entry(row)
        last = rows[-1].id


def _entry(row: object) -> Entry:
    values = {name: getattr(row, name) for name in Note.__struct_fields__}
    return Entry(row.id, Note(**values), row.hash)  # type: ignore[attr-defined] # a row has its columns
