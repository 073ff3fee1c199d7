"""What the audit tells: entries, and whether their chain is whole."""

from typing import Any

from sqlalchemy import Connection

from gateway.admin.context import LedgerContext
from gateway.admin.params import Page, cursor_after, row_of
from gateway.ledger import audit
from gateway.times import when

_CURSOR = "audit:"


class Audits:
    """For those who may view all municipalities: an entry may be of any."""

    def __init__(self, desk: LedgerContext) -> None:
        self._desk = desk

    async def listed(self, wanted: Page) -> dict[str, Any]:
        """Return entries, the newest first; raises `Problem`."""
        before = row_of(_CURSOR, wanted.cursor)
        found = await self._desk.read(lambda each: audit.entries(each, wanted.limit + 1, before))
        more = cursor_after(_CURSOR, found[wanted.limit - 1].id) if len(found) > wanted.limit else None
        return {"entries": [_described(one) for one in found[: wanted.limit]], "next": more}

    async def verified(self) -> dict[str, Any]:
        """Say whether the chain is whole, and what its newest entry is; raises `Problem`."""

        def work(connection: Connection) -> tuple[tuple[int, str] | None, int | None]:
            return audit.head(connection), audit.verify(connection)

        newest, broken = await self._desk.read(work)
        told = None if newest is None else {"id": newest[0], "hash": newest[1]}
        return {"ok": broken is None, "broken_at": broken, "newest": told}


def _described(entry: audit.Entry) -> dict[str, Any]:
    note = entry.note
    return {
        "id": entry.id,
        "at": when(note.at),
        "node": note.node,
        "actor": note.actor,
        "action": note.action,
        "target": note.target,
        "reason": note.reason,
        "detail": note.detail,
        "hash": entry.hash,
    }
