"""Which canary key the nodes of a ledger deal shares with: noticed when one of them has another, without telling the key."""

import hashlib
import hmac
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from gateway.errors import StartupError
from gateway.ledger import audit
from gateway.ledger.cutovers import executed
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.overrides import bump, current
from gateway.ledger.tables import RUN
from gateway.ledger.upserts import insert_into, put_run
from gateway.model import Mode

_LABEL = b"vkp-gateway canary key fingerprint\x00"
"""No national number begins so: what is told of the key is the share of nobody."""
_JOB = "canary-key"
"""The row of `run` that has the fingerprint, with when and by which node it came there."""
_GONE = (
    "keys: they are not there any more, and the ledger is open: put the files back. Other ones could open nothing that is "
    "held, and would deal other shares"
)


async def agree(ledger: Ledger, key: bytes | None, before: bytes | None, now: float) -> None:
    """Make sure that a process deals shares as every other of its ledger does; raises `StartupError`.

    `key` is what it would begin with, None where it has no keys; `before` is what it has now, None at its start. A reload
    that leaves the key as it is goes on without the ledger.
    """
    if key is None:
        if before is not None:
            raise StartupError(_GONE)
        return
    wanted = key
    try:
        why = await ledger.store.write(lambda each: other_than_known(each, wanted, ledger.node, now))
    except LedgerUnavailable as error:
        if key == before:
            return
        raise StartupError(f"store: whether keys.canary is the other nodes' cannot be read: {error}") from None
    if why is not None:
        raise StartupError(why)


def fingerprint(key: bytes) -> str:
    """Return by what a canary key is known: 128 bits of HMAC-SHA256 with it over a fixed text, in hexadecimal."""
    return hmac.digest(key, _LABEL, hashlib.sha256).hex()[:32]


def known(connection: Connection) -> str | None:
    """Return the fingerprint of the key that canaries divide patients by; None before a node has said so."""
    return connection.execute(select(RUN.c.outcome).where(RUN.c.job == _JOB)).scalar_one_or_none()


def other_than_known(connection: Connection, key: bytes, node: str, now: float) -> str | None:
    """Say why a node may not deal shares with `key`; None where it may. The first node of all says which key it is."""
    first = insert_into(RUN, connection.dialect.name).values(job=_JOB, at=now, node=node, outcome=fingerprint(key))
    connection.execute(first.on_conflict_do_nothing())
    row = connection.execute(select(RUN).where(RUN.c.job == _JOB)).one()
    if hmac.compare_digest(row.outcome, fingerprint(key)):
        return None
    since = datetime.fromtimestamp(row.at, UTC).date()
    return (
        f"keys.canary: not the key that this ledger's canaries divide patients by since {since}, first on node {row.node}: "
        f"patients would change sides. Copy that node's file; if that key is lost: vkp-gateway keys accept-canary"
    )


def accept(connection: Connection, key: bytes, note: audit.Note) -> list[str]:
    """Take another key from now on, with an entry in the audit; returns the canaries that run, and then nothing was changed."""
    if known(connection) == fingerprint(key):
        return []
    # Nobody sets a canary meanwhile.
    bump(connection)
    if running := running_canaries(connection, note.at):
        return running
    put_run(connection, _JOB, note.at, note.node, fingerprint(key))
    audit.write(connection, note)
    return []


def running_canaries(connection: Connection, now: float) -> list[str]:
    """Return the names of the overrides and executed cutovers that deal shares now."""
    held = [one.over_routes() for one in current(connection, now)]
    found = (rule for rule in (*held, *executed(connection)) if rule.route.mode is Mode.CANARY)
    return list(dict.fromkeys(f"{rule.layer} {rule.id}" for rule in found))
