"""A database that was restored from a copy: noticed at a start, and made safe before anything of it is sent again.

What happened after the copy was made is not in it. What it has as undelivered may be delivered, so a person decides; what it has as
delivered may be further, so the service is asked at once; and what comes again afterwards may have been there, so it is marked.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, and_, or_, select, update

from gateway.config.model import KeyFiles
from gateway.files import replaced
from gateway.ledger import audit, overrides
from gateway.ledger.key_files import is_from_environment
from gateway.ledger.records import FOLLOWED, MessageState
from gateway.ledger.shares import ShareState
from gateway.ledger.tables import MESSAGE, RUN, SHARE
from gateway.ledger.upserts import put_run
from gateway.times import DAY, when

M = MESSAGE.c
REASON = "restored"
MARKED = DAY
"""Seconds after a restore for which every message is marked that comes: it may be one that was lost with the old database."""
_POSITION, _RESTORED = "position", "restored"
"""Rows of `run`: how far the ledger is, and when it was restored last."""
_FILE = "ledger-position.json"
_LARGEST = 10_000


class Position(Struct, frozen=True):
    """How far a ledger is; two of one ledger are ordered."""

    restores: int
    number: int
    """Grows while anything is written."""
    at: float
    """Seconds since the epoch, when it grew last."""
    audit: int
    """The newest entry of the audit."""
    layers: int
    """The version of what lies over the routes."""

    def is_after(self, other: "Position") -> bool:
        """Tell whether something was written since the other."""
        return (self.restores, self.number) > (other.restores, other.number)


class Restored(Struct, frozen=True):
    """What was done about a restored database, and what may be missing in it."""

    since: float
    """When the copy was made, or a little earlier; what was done afterwards is missing."""
    quarantined: int
    marked: int
    """What was set aside, refused or delivered already, and may be further than it says."""
    asked: int
    """Events whose state is asked for at once."""
    audit: int
    """The newest entry of the audit that is there."""
    audit_known: int | None
    """The newest that this node knows of; None where it knows of none."""
    layers: int
    layers_known: int | None
    overrides: tuple[str, ...]
    """The rules over the routes that hold now: perhaps changed or ended since the copy was made, or without others set since."""


class PositionFile:
    """How far the ledger was when this machine last knew, kept beside the keys and not in the database."""

    def __init__(self, keys: KeyFiles, folder: Path) -> None:
        place = Path("var/keys") if is_from_environment(keys.lookup) else Path(keys.lookup)
        self._path = folder / place.parent / _FILE
        self._written: Position | None = None

    def read(self) -> Position | None:
        """Return it; None where nothing is known."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_LARGEST), type=Position)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, position: Position) -> None:
        """Keep a newer one; raises `OSError`."""
        if position != self._written:
            replaced(self._path, msgspec.json.encode(position))
            self._written = position


def position(connection: Connection) -> Position | None:
    """Return how far the ledger is; None before that was ever written."""
    row = connection.execute(select(RUN.c.at, RUN.c.outcome).where(RUN.c.job == _POSITION)).one_or_none()
    if row is None:
        return None
    restores, number = map(int, row.outcome.split())
    head = audit.head(connection)
    return Position(restores, number, row.at, head[0] if head else 0, overrides.layers_version(connection))


def advance(connection: Connection, now: float, node: str) -> Position | None:
    """Note that something was written, and return how far the ledger is."""
    # Two nodes at once must not have it go back.
    connection.execute(select(RUN.c.job).where(RUN.c.job == _POSITION).with_for_update())
    known = position(connection)
    restores, number = (known.restores, known.number) if known else (0, 0)
    put_run(connection, _POSITION, now, node, f"{restores} {number + 1}")
    return position(connection)


def is_older(connection: Connection, known: Position | None) -> bool:
    """Tell whether a database is older than what is known of it elsewhere; an empty one in its place is too."""
    if known is None:
        return False
    found = position(connection)
    return found is None or known.is_after(found)


_UNDELIVERED = or_(M.state == MessageState.HELD.value, and_(M.state == MessageState.DELIVERING.value, M.promised))
_PERHAPS_FURTHER = (
    M.state.in_([state.value for state in (*FOLLOWED, MessageState.QUARANTINED, MessageState.REFUSED)])
    & ~M.possible_duplicate
)


def make_safe(
    connection: Connection, since: float | None, known: Position | None, note: audit.Note, line: str
) -> Restored:
    """Set aside everything undelivered, have the rest asked for, mark it, and begin to mark what comes; with an entry in the audit.

    `since` is when the copy was made; None where only the copy itself can tell. No process may deliver from the ledger meanwhile.
    """
    found = position(connection)
    if since is None:
        since = found.at if found else 0.0
    marked = connection.execute(update(MESSAGE).where(_PERHAPS_FURTHER).values(possible_duplicate=True)).rowcount
    aside = {"state": MessageState.QUARANTINED.value, "reason": REASON, "told": True, "possible_duplicate": True}
    free = {"owner": None, "lease": None, "due": note.at, "history": M.history.concat(line)}
    quarantined = connection.execute(update(MESSAGE).where(_UNDELIVERED).values(**aside, **free)).rowcount
    # Whether it was shared since the copy was made nobody knows, and what may have been is not sent again.
    undone = SHARE.c.state.in_([ShareState.WAITING.value, ShareState.SENDING.value])
    unclear = {"state": ShareState.UNCLEAR.value, "reason": REASON, "ended_at": note.at, "due": None, "owner": None}
    connection.execute(update(SHARE).where(undone).values(**unclear))
    followed = M.state.in_([state.value for state in FOLLOWED])
    asked = connection.execute(update(MESSAGE).where(followed).values(due=note.at)).rowcount
    done = Restored(
        since=since,
        quarantined=quarantined,
        marked=marked,
        asked=asked,
        audit=found.audit if found else (audit.head(connection) or (0,))[0],
        audit_known=known.audit if known else None,
        layers=overrides.layers_version(connection),
        layers_known=known.layers if known else None,
        overrides=tuple(dict.fromkeys(f"{one.layer} {one.name}" for one in overrides.current(connection, note.at))),
    )
    restores = max((each.restores for each in (found, known) if each is not None), default=0) + 1
    put_run(connection, _POSITION, note.at, note.node, f"{restores} 0")
    put_run(connection, _RESTORED, note.at, note.node, repr(since))
    audit.write(connection, structs.replace(note, detail=msgspec.json.encode(done).decode()))
    return done


def marks_until(connection: Connection) -> float:
    """Return until when messages that come are marked, since the database was restored; 0 where it never was."""
    at = connection.execute(select(RUN.c.at).where(RUN.c.job == _RESTORED)).scalar_one_or_none()
    return 0.0 if at is None else at + MARKED


def told(done: Restored) -> dict[str, Any]:
    """Return it for the log and for commands: with times as people read them, and what may be missing."""
    return {
        **structs.asdict(done),
        "since": when(done.since),
        "overrides": list(done.overrides),
        "audit_missing": max(0, done.audit_known - done.audit) if done.audit_known is not None else None,
        "layers_missing": max(0, done.layers_known - done.layers) if done.layers_known is not None else None,
    }


def line_of(line: Callable[[float, str, str], str], now: float) -> str:
    """Return what histories are told."""
    return line(now, MessageState.QUARANTINED, REASON)
