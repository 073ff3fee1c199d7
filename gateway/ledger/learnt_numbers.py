"""National numbers by the record system's own numbers, as lists of patients have told: sealed, and known to every node and after a restart."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.ledger.database import Database
from gateway.ledger.key_files import Keys
from gateway.ledger.tables import LEARNT_NUMBER
from gateway.times import Clock

L = LEARNT_NUMBER.c
KEPT: Final = 12 * 3600.0
"""Seconds for which what a list has told is used, and kept."""
_TOGETHER = 500
"""Rows in one piece of work: others write between them."""
_AT_ONCE = 30.0
"""Seconds within which two lists are kept at once, by two nodes; a node asks for another after twice as long."""
_AHEAD = 60.0
"""Seconds by which another node's clock may be ahead."""


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

    async def age(self, municipality: str) -> float | None:
        """Return how many seconds ago the municipality's list was kept; None where none is. Raises `LedgerUnavailable`."""
        statement = select(func.max(L.learnt_at)).where(L.municipality == municipality)
        at: float | None = await self._store.read(lambda each: each.execute(statement).scalar_one())
        return None if at is None or at > (now := self._clock()) + _AHEAD else max(0.0, now - at)

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
    return connection.execute(delete(LEARNT_NUMBER).where(is_old)).rowcount


def _put(rows: Sequence[dict[str, Any]], connection: Connection) -> None:
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(LEARNT_NUMBER)
    new = {"sealed": insert.excluded.sealed, "learnt_at": insert.excluded.learnt_at}
    connection.execute(insert.on_conflict_do_update(index_elements=list(LEARNT_NUMBER.primary_key), set_=new), rows)


def _about(municipality: str, own: str) -> str:
    return f"learnt-number {municipality} {own}"
