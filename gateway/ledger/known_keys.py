"""Which lookup and payload keys a ledger goes by: noticed when a process begins with others, without telling the keys.

With another lookup key no message is known again, so that copies are delivered twice, and no patient's are found; without the payload
key that seals now, what is held cannot be opened.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select

from gateway.errors import StartupError
from gateway.ledger import audit
from gateway.ledger.crypto import LookupHasher
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.key_files import Keys
from gateway.ledger.messages import Ledger
from gateway.ledger.tables import RUN
from gateway.ledger.upserts import put_run

_LOOKUP, _PAYLOAD = "lookup-key", "payload-key"
"""Rows of `run`: a fingerprint, and the id of the key that seals; with when and by which node they came there."""
_IF_LOST = "Copy that node's file, or put its copy back; if that key is lost: vkp-gateway keys accept-lost"


def fingerprint(lookup: LookupHasher) -> str:
    """Return by what a lookup key is known: a hash of nothing that is ever looked for."""
    return lookup.hash("fingerprint of the key")


async def agree(ledger: Ledger, keys: Keys | None, before: Keys | None, now: float) -> None:
    """Make sure that a process goes on with the keys of its ledger; raises `StartupError`.

    `before` are those that it has now, None at its start. A reload that leaves them as they are needs no ledger.
    """
    if keys is None or (before is not None and _said(keys) == _said(before)):
        return
    try:
        problems = await ledger.store.write(lambda each: list(others_than_known(each, keys, ledger.node, now)))
    except LedgerUnavailable as error:
        raise StartupError(f"store: whether the keys are those of the ledger cannot be read: {error}") from None
    if problems:
        raise StartupError("; ".join(problems))


def others_than_known(connection: Connection, keys: Keys, node: str, now: float) -> Iterator[str]:
    """Say which keys are not those of the ledger; the first node of all says which they are."""
    rows = {row.job: row for row in connection.execute(select(RUN).where(RUN.c.job.in_([_LOOKUP, _PAYLOAD])))}
    lookup, payload = rows.get(_LOOKUP), rows.get(_PAYLOAD)
    if lookup is None:
        put_run(connection, _LOOKUP, now, node, fingerprint(keys.lookup))
    elif lookup.outcome != fingerprint(keys.lookup):
        yield (
            f"keys.lookup: not the key that messages and patients of this ledger are found by since {_day(lookup.at)}, "
            f"first on node {lookup.node}: copies would be delivered twice. {_IF_LOST}"
        )
    if payload is None or (payload.outcome != keys.vault.current and payload.outcome in keys.vault.ids):
        put_run(connection, _PAYLOAD, now, node, keys.vault.current)
    elif payload.outcome not in keys.vault.ids:
        yield (
            f"keys.payload: lacks key {payload.outcome}, which seals since {_day(payload.at)}, first on node {payload.node}: "
            f"what is held could not be opened. {_IF_LOST}"
        )


def accept(connection: Connection, note: audit.Note) -> None:
    """Let the next process that starts say which keys the ledger goes by, with an entry in the audit."""
    connection.execute(delete(RUN).where(RUN.c.job.in_([_LOOKUP, _PAYLOAD])))
    audit.write(connection, note)


def _said(keys: Keys) -> tuple[str, str, frozenset[str]]:
    return fingerprint(keys.lookup), keys.vault.current, keys.vault.ids


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
