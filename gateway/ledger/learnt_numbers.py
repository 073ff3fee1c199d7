"""National numbers by the record system's own numbers, as lists of patients have told: sealed, and known to every node and after a restart."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, case, delete, or_, select, update

from gateway.ledger.database import Database
from gateway.ledger.key_files import Keys
from gateway.ledger.tables import LEARNT_LIST, LEARNT_NUMBER
from gateway.ledger.upserts import insert_into
from gateway.times import HOUR, Clock

L, A = LEARNT_NUMBER.c, LEARNT_LIST.c
KEPT: Final = 12 * HOUR
"""Seconds for which what a list has told is used, and kept."""
_TOGETHER = 500
"""Rows in one piece of work: others write between them."""
_AT_ONCE = 30.0
"""Seconds within which two lists are kept at once, by two nodes; a node asks for another after twice as long."""
_AHEAD = 60.0
"""Seconds by which another node's clock may be ahead."""
_LEASE = 60.0
"""Seconds that one node has for a list; asking VKP takes half of it at most."""


class ListClaim(Struct, frozen=True):
    """Whose it is to ask for a list; frozen."""

    lease: float | None = None
    """By which it is known to be ours."""
    is_under_way: bool = False
    """Whether another node asks now."""
    wait: float = 0.0
    """Seconds until it may be asked for again, where that has failed."""


class LearntNumbers:
    """What lists have told, in the ledger's database."""

    def __init__(self, store: Database, keys: Keys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def find(self, municipality: str, named: tuple[str, str]) -> str | None:
        """Return the national number of whom a number of an identifier system names; None where no list has told.

        Raises `LedgerUnavailable`, and `PayloadUnreadable` where it was sealed with a key that is gone.
        """
        own, now = self._hash(municipality, named), self._clock()
        is_good = (L.municipality == municipality, L.hash == own, L.learnt_at > now - KEPT, L.learnt_at < now + _AHEAD)
        statement = select(L.sealed).where(*is_good)
        sealed = await self._store.read(lambda each: each.execute(statement).scalar_one_or_none())
        return None if sealed is None else self._keys.vault.open(bytes(sealed), _about(municipality, own)).decode()

    async def claim(self, municipality: str, again: float, again_failed: float) -> ListClaim:
        """Say whose it is to ask for a municipality's list: ours, where no node does so now or did lately. Raises `LedgerUnavailable`.

        Lately is `again` seconds ago, or `again_failed` where that failed.
        """
        now = self._clock()
        return await self._store.write(partial(_claimed, municipality, now, again, again_failed), is_news=False)

    async def asked(self, municipality: str, claim: ListClaim, *, is_failed: bool) -> None:
        """Write down that a list that was ours has been asked for. Raises `LedgerUnavailable`."""
        ours = update(LEARNT_LIST).where(A.municipality == municipality, A.lease == claim.lease)
        done = ours.values(lease=None, asked_at=self._clock(), is_failed=is_failed)
        await self._store.write(lambda each: each.execute(done).rowcount, is_news=False)

    async def keep(self, municipality: str, numbers: Mapping[tuple[str, str], str]) -> None:
        """Put a list in the place of the one before, which is known until all of this one is. Raises `LedgerUnavailable`.

        What another node keeps at the same time stays. A list that names nobody takes nobody's place: it tells of nothing
        that was learnt before.
        """
        if not numbers:
            return
        now = self._clock()
        rows = await asyncio.to_thread(self._rows, municipality, numbers, now)
        for first in range(0, len(rows), _TOGETHER):
            await self._store.write(partial(_put, rows[first : first + _TOGETHER]), is_news=False)
        others = delete(LEARNT_NUMBER).where(L.municipality == municipality, L.learnt_at < now - _AT_ONCE)
        await self._store.write(lambda each: each.execute(others).rowcount, is_news=False)

    def _rows(self, municipality: str, numbers: Mapping[tuple[str, str], str], now: float) -> list[dict[str, Any]]:
        rows = []
        for named, number in numbers.items():
            own = self._hash(municipality, named)
            sealed = self._keys.vault.seal(number.encode(), _about(municipality, own))
            rows.append({"municipality": municipality, "hash": own, "sealed": sealed, "learnt_at": now})
        return rows

    def _hash(self, municipality: str, named: tuple[str, str]) -> str:
        return self._keys.lookup.hash("learnt-number", municipality, *named)


def purge(connection: Connection, now: float) -> int:
    """Delete what is used no more, also of municipalities that ask for no list any more; return how many rows."""
    is_old = (L.learnt_at < now - KEPT) | (L.learnt_at > now + _AHEAD)
    connection.execute(delete(LEARNT_LIST).where(A.asked_at < now - KEPT))
    return connection.execute(delete(LEARNT_NUMBER).where(is_old)).rowcount


def _claimed(municipality: str, now: float, again: float, again_failed: float, connection: Connection) -> ListClaim:
    insert = insert_into(LEARNT_LIST, connection.dialect.name)
    # What says that it is later than can be was written while a clock was ahead.
    is_free = or_(A.lease.is_(None), A.lease <= now, A.lease > now + _LEASE + _AHEAD)
    pause = case((A.is_failed, again_failed), else_=again)
    is_old = or_(A.asked_at.is_(None), A.asked_at <= now - pause, A.asked_at > now + _AHEAD)
    until = now + _LEASE
    made = insert.values(municipality=municipality, lease=until, is_failed=False).on_conflict_do_update(
        index_elements=["municipality"], set_={"lease": until}, where=is_free & is_old
    )
    if connection.execute(made.returning(A.municipality)).one_or_none() is not None:
        return ListClaim(until)
    known = select(A.asked_at, A.is_failed, is_free.label("is_free")).where(A.municipality == municipality)
    row = connection.execute(known).one_or_none()
    if row is None or not row.is_free:
        return ListClaim(is_under_way=True)
    return ListClaim(wait=max(0.0, row.asked_at + again_failed - now) if row.is_failed else 0.0)


def _put(rows: Sequence[dict[str, Any]], connection: Connection) -> None:
    insert = insert_into(LEARNT_NUMBER, connection.dialect.name)
    new = {"sealed": insert.excluded.sealed, "learnt_at": insert.excluded.learnt_at}
    connection.execute(insert.on_conflict_do_update(index_elements=list(LEARNT_NUMBER.primary_key), set_=new), rows)


def _about(municipality: str, own: str) -> str:
    return f"learnt-number {municipality} {own}"
