"""Who did what, and why: entries chained by hashes, each written in the transaction of the change that it tells of.

Whoever can write to the database can also write a whole new chain; against that the head, signed with a key that is not in
the database, is kept elsewhere.
"""

import hashlib
import hmac
from collections.abc import Iterator
from itertools import takewhile

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select

from gateway.ledger.crypto import LookupHasher
from gateway.ledger.tables import AUDIT, RUN
from gateway.ledger.upserts import put_run

_HEAD = "audit"
"""The row of `run` that says which entry is the newest: so it is missed when it is removed."""
_ANCHOR = "audit-anchor"
"""The row of `run` that says which entry retention removed last: the first that is there follows it."""
_LOCK_KEY = 0x766B7061
"""PostgreSQL's advisory lock by which two nodes make one chain."""
_AT_ONCE = 500
"""Entries that are read, or removed, in one go."""


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
    _alone(connection)
    number, previous = _numbered(connection, _HEAD)
    entry = Entry(number + 1, note, digest(previous, number + 1, note))
    connection.execute(insert(AUDIT).values(id=entry.id, hash=entry.hash, **msgspec.structs.asdict(note)))
    put_run(connection, _HEAD, note.at, note.node, f"{entry.id} {entry.hash}")
    return entry


def purge(connection: Connection, before: float, at_once: int = _AT_ONCE) -> int:
    """Remove some of the oldest entries, made before then, and say which was the last; how many: call it again until it is 0.

    In the chain's own order, since a hole in it would look like tampering; and never the newest, so no chain is ever empty.
    """
    _alone(connection)
    newest, _ = _numbered(connection, _HEAD)
    old = select(AUDIT.c.id, AUDIT.c.hash, AUDIT.c.at, AUDIT.c.node).order_by(AUDIT.c.id).limit(at_once)
    rows = list(takewhile(lambda row: row.at < before and row.id < newest, connection.execute(old)))
    if rows:
        last = rows[-1]
        connection.execute(delete(AUDIT).where(AUDIT.c.id <= last.id))
        put_run(connection, _ANCHOR, last.at, last.node, f"{last.id} {last.hash}")
    return len(rows)


def head(connection: Connection) -> tuple[int, str] | None:
    """Return id and hash of the newest entry; None when there never was one."""
    number, latest = _numbered(connection, _HEAD)
    return (number, latest) if number else None


class AuditFilter(msgspec.Struct, frozen=True):
    """Which entries; None does not narrow."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: float | None = None
    """Of the first moment, in seconds since the epoch."""
    until: float | None = None
    """The first moment after the last."""


def entries(
    connection: Connection, most: int, before: int | None = None, wanted: AuditFilter | None = None
) -> list[Entry]:
    """Return the newest entries first, or those before an id."""
    found = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(most)
    if before is not None:
        found = found.where(AUDIT.c.id < before)
    if wanted is not None:
        named = {name: getattr(wanted, name) for name in ("actor", "action", "target")}
        found = found.where(*(AUDIT.c[name] == value for name, value in named.items() if value is not None))
        found = found.where(AUDIT.c.at >= wanted.since) if wanted.since is not None else found
        found = found.where(AUDIT.c.at < wanted.until) if wanted.until is not None else found
    return [_entry(row) for row in connection.execute(found)]


def actors(connection: Connection) -> list[str]:
    """Return everybody who has an entry."""
    return list(connection.execute(select(AUDIT.c.actor).distinct().order_by(AUDIT.c.actor)).scalars())


def actions(connection: Connection) -> list[str]:
    """Return every kind of action that has an entry."""
    return list(connection.execute(select(AUDIT.c.action).distinct().order_by(AUDIT.c.action)).scalars())


class ExportedHead(msgspec.Struct, frozen=True):
    """The end of the chain at some moment, to be kept elsewhere; signed with a key that is not in the database."""

    id: int
    """Also how many entries there had been."""
    hash: str
    at: str
    """When it was exported."""
    signature: str

    @classmethod
    def signed(cls, number: int, latest: str, at: str, key: LookupHasher) -> "ExportedHead":
        """Sign a head."""
        return cls(number, latest, at, key.hash(_HEAD, str(number), latest, at))

    def is_signed(self, key: LookupHasher) -> bool:
        """Tell whether a gateway with this key has made it."""
        made = key.hash(_HEAD, str(self.id), self.hash, self.at)
        # As bytes: texts that are not ASCII are compared only so.
        return hmac.compare_digest(self.signature.encode(), made.encode())


def verify(connection: Connection, at_once: int = _AT_ONCE) -> int | None:
    """Return the id of the first entry that was changed, inserted or is missing; None when the chain is whole.

    The first entry must follow the last that retention has removed. A chain without entries is not whole. What is broken at
    the end is told by the id that should be there.
    """
    while True:
        anchor = _numbered(connection, _ANCHOR)
        broken = _broken_at(connection, *anchor, at_once)
        if broken is None or anchor == _numbered(connection, _ANCHOR):
            return broken
        # Retention has removed entries meanwhile.


def verify_head(connection: Connection, kept: ExportedHead) -> str | None:
    """Say why a chain that is whole is not the one whose head was kept elsewhere; None where it goes on from that."""
    number, latest = _numbered(connection, _ANCHOR)
    if kept.id < number:
        return f"entry {kept.id} was removed by retention, with all before {number + 1}: keep a newer head"
    known = latest if kept.id == number else connection.execute(_HASH_OF, {"number": kept.id}).scalar_one_or_none()
    if known is None:
        return f"entry {kept.id} is missing: entries were removed from the end"
    return (
        None if hmac.compare_digest(known.encode(), kept.hash.encode()) else f"entry {kept.id} is another than it was"
    )


_HASH_OF = select(AUDIT.c.hash).where(AUDIT.c.id == bindparam("number"))


def _broken_at(connection: Connection, number: int, previous: str, at_once: int) -> int | None:
    """Go through the entries after an anchor; where the anchor itself is still there, it only has to be as it was."""
    newest, latest = _numbered(connection, _HEAD)
    first = True
    for entry in _oldest_first(connection, at_once):
        is_anchor = first and number > 0 and entry.id == number and entry.hash == previous
        first = False
        if not is_anchor and (entry.id != number + 1 or entry.hash != digest(previous, entry.id, entry.note)):
            return min(entry.id, number + 1)
        number, previous = entry.id, entry.hash
        if not newest or (number == newest and previous != latest):
            return number
    return number + 1 if first or number < newest else None


def _alone(connection: Connection) -> None:
    """Wait for whoever changes the chain on another node, and have later ones wait for the end of this transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))


def _numbered(connection: Connection, job: str) -> tuple[int, str]:
    found = connection.execute(select(RUN.c.outcome).where(RUN.c.job == job)).scalar_one_or_none()
    number, _, latest = (found or "").partition(" ")
    return (int(number), latest) if number.isdecimal() else (0, "")


def _oldest_first(connection: Connection, at_once: int) -> Iterator[Entry]:
    last = -(2**63)
    while rows := connection.execute(
        select(AUDIT).where(AUDIT.c.id > last).order_by(AUDIT.c.id).limit(at_once)
    ).fetchall():
        for row in rows:
            yield _entry(row)
        last = rows[-1].id


def _entry(row: object) -> Entry:
    values = {name: getattr(row, name) for name in Note.__struct_fields__}
    return Entry(row.id, Note(**values), row.hash)  # type: ignore[attr-defined] # a row has its columns
