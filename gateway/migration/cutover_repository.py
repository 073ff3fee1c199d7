"""How cutovers are kept: each change together with its entry in the audit, and with the news for other nodes."""

from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy import Connection

from gateway.ledger import audit, overrides
from gateway.ledger import cutovers as store
from gateway.migration.cutover import Cutover, of_row, to_row


def one(connection: Connection, name: str) -> Cutover | None:
    """Return a cutover."""
    row = store.one(connection, name)
    return None if row is None else of_row(row)


def add(connection: Connection, record: Cutover, note: audit.Note) -> bool:
    """Write a new cutover; False where there is one of that name."""
    if not store.insert(connection, to_row(record)):
        return False
    # What is planned matters before it is due: copies of what VKP has are to be known afterwards.
    overrides.bump(connection)
    audit.write(connection, structs.replace(note, detail=_detail(None, record)))
    return True


def put(connection: Connection, before: Cutover, after: Cutover, note: audit.Note) -> Cutover | None:
    """Write a cutover as it is now; None where somebody else has changed it meanwhile, and then nothing was written.

    What lies over the routes, or is planned to, is another thing from then on where its routes come, change or go.
    """
    if not store.change(connection, to_row(before), to_row(after)):
        return None
    if before.laid != after.laid:
        overrides.bump(connection)
    audit.write(connection, structs.replace(note, detail=_detail(before, after)))
    return structs.replace(after, version=before.version + 1)


def _detail(before: Cutover | None, after: Cutover) -> str:
    """Return what the audit keeps of a change; the plan where that is another."""
    is_planned = before is None or before.hash != after.hash
    told = {
        name: None if one is None else _told(one, is_planned) for name, one in (("before", before), ("after", after))
    }
    return msgspec.json.encode(told).decode()


def _told(record: Cutover, is_planned: bool) -> dict[str, Any]:
    told = {
        "state": record.state.value,
        "version": record.version,
        "hash": record.hash,
        "approvals": [each.by for each in record.approvals],
        "is_executed": record.is_executed,
    }
    return {**told, "plan": msgspec.to_builtins(record.plan)} if is_planned else told
