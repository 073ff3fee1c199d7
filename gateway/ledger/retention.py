"""Counting what is in the ledger, and clearing away what its time has ended for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec import Struct
from sqlalchemy import (
    BindParameter,
    Connection,
    Delete,
    Double,
    Select,
    Update,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from gateway.ledger import audit
from gateway.ledger.database import Database
from gateway.ledger.records import FOLLOWED, UNFINISHED, MessageState
from gateway.ledger.tables import MESSAGE, PATIENT_NUMBER, RUN
from gateway.ledger.upserts import put_run
from gateway.times import DAY, HOUR

M = MESSAGE.c
PURGE = "purge"
_AT_ONCE = 500
"""Rows in one transaction, so that no message waits long for the purger."""
_UNFINISHED = [state.value for state in UNFINISHED]


@dataclass(frozen=True, slots=True)
class BacklogCount:
    """Messages of one municipality in one state; overdue ones have that for a state."""

    municipality: str
    state: str
    messages: int
    oldest: float
    """When the oldest was received."""


@dataclass(frozen=True, slots=True)
class RetentionTimes:
    """What came before these times, in seconds since the epoch, has been kept long enough."""

    payload: float
    receipt: float
    audit: float
    passed: float
    """For what VKP had: it is kept only to be known again."""


_COUNTS = (
    select(M.municipality, M.state, func.count(), func.min(M.received_at))
    .where(M.state.in_(_UNFINISHED))
    .group_by(M.municipality, M.state)
)
_OVERDUE = select(M.municipality, func.count(), func.min(M.received_at)).where(M.overdue).group_by(M.municipality)


def counts(connection: Connection) -> list[BacklogCount]:
    """Return how many messages wait for something, by municipality and state."""
    unfinished = [BacklogCount(*row) for row in connection.execute(_COUNTS)]
    return [
        *unfinished,
        *(BacklogCount(name, "overdue", number, oldest) for name, number, oldest in connection.execute(_OVERDUE)),
    ]


def held_of_senders(municipalities: Sequence[str], connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many messages each sender has held in some municipalities."""
    wanted = (
        select(M.municipality, M.sender, func.count())
        .where(M.state == MessageState.HELD.value, M.municipality.in_(municipalities))
        .group_by(M.municipality, M.sender)
    )
    return {(municipality, sender): messages for municipality, sender, messages in connection.execute(wanted)}


def followed(connection: Connection) -> int:
    """Return how many events are followed to the record."""
    wanted = select(func.count()).where(M.state.in_([state.value for state in FOLLOWED]))
    return connection.execute(wanted).scalar_one()


def _some(wanted: Select[tuple[int]]) -> Select[tuple[int]]:
    return wanted.limit(_AT_ONCE).with_for_update(skip_locked=True)


def _rows(*conditions: object) -> Select[tuple[int]]:
    return _some(select(M.id).where(*conditions))  # type: ignore[arg-type] # conditions on columns


_BEFORE: BindParameter[float] = bindparam("before", type_=Double)
_PROMISED = M.promised & M.event_id.is_(None)
"""And not delivered: only a delivery, or a person, ends that."""
_ended = (
    (M.received_at < _BEFORE) & M.payload.is_not(None) & M.state.not_in(_UNFINISHED),
    (M.state == MessageState.QUARANTINED.value) & (M.due < _BEFORE) & ~_PROMISED,
    (M.received_at < _BEFORE) & M.state.not_in([*_UNFINISHED, MessageState.DELIVERED.value, MessageState.READ.value]),
    (M.received_at < _BEFORE) & (M.state == MessageState.PASSED.value),
)
# Its time ended and nobody asked: it was followed no more, as where there is no service any more.
_NEVER_FOLLOWED = M.state.in_([state.value for state in FOLLOWED]) & (M.overdue_at < _BEFORE)
_NOTED = M.history.concat(bindparam("line"))
_FORGET_PAYLOADS = update(MESSAGE).where(M.id.in_(_rows(_ended[0]).scalar_subquery())).values(payload=None)
_DISCARD = (
    update(MESSAGE)
    .where(M.id.in_(_rows(_ended[1]).scalar_subquery()))
    .values(state=MessageState.DISCARDED.value, reason="retention ended", payload=None, history=_NOTED)
    .returning(M.reference, M.municipality)
)
_GIVE_UP = (
    delete(MESSAGE)
    .where(M.id.in_(_rows((M.received_at < _BEFORE) & or_(M.overdue, _NEVER_FOLLOWED)).scalar_subquery()))
    .returning(M.reference, M.municipality)
)
_DELETE = delete(MESSAGE).where(M.id.in_(_rows(_ended[2]).scalar_subquery()))
_DELETE_PASSED = delete(MESSAGE).where(M.id.in_(_rows(_ended[3]).scalar_subquery()))
_DELETE_NUMBERS = delete(PATIENT_NUMBER).where(~exists().where(M.id == PATIENT_NUMBER.c.message))


@dataclass(frozen=True, slots=True)
class Purged:
    """What the purger did."""

    payloads: int
    rows: int
    discarded: tuple[tuple[str, str], ...]
    """References and municipalities of what waited for a person, was not promised or is delivered, and is now given up."""
    given_up: tuple[tuple[str, str], ...] = ()
    """Likewise, of events that nobody ever acknowledged, and that are asked for no more."""


async def purge(
    store: Database,
    times: RetentionTimes,
    line: Callable[[MessageState, str], str],
    tell: Callable[[str, str, str], None],
) -> Purged:
    """Clear away what has been kept long enough, and nothing that was promised and is not delivered; `line` makes a line of a history.

    `tell` takes an event's name, a reference and a municipality, for whatever a person must hear of, as soon as it is done.
    """
    payloads = await _all_of(store, _FORGET_PAYLOADS, times.payload)
    ended = {"before": times.payload, "line": line(MessageState.DISCARDED, "retention ended")}
    discarded = await _told(store, _DISCARD, ended, partial(tell, "retention.discarded"))
    never = partial(tell, "retention.never_acknowledged")
    given_up = await _told(store, _GIVE_UP, {"before": times.receipt}, never)
    rows = await _all_of(store, _DELETE, times.receipt) + await _all_of(store, _DELETE_PASSED, times.passed)
    if rows or given_up:
        await store.write(lambda connection: connection.execute(_DELETE_NUMBERS).rowcount)
    while await store.write(lambda connection: audit.purge(connection, times.audit)):
        pass
    return Purged(payloads, rows, discarded, given_up)


async def _all_of(store: Database, statement: Update | Delete, before: float) -> int:
    """Run a statement, which takes some rows at a time, until it finds no more; return how many there were."""
    total = 0
    while True:
        number = await store.write(lambda connection: connection.execute(statement, {"before": before}).rowcount)
        total += number
        if number < _AT_ONCE:
            return total


async def _told(
    store: Database, statement: Update | Delete, values: Mapping[str, object], tell: Callable[[str, str], None]
) -> tuple[tuple[str, str], ...]:
    """Likewise, telling of each row by its reference and municipality; return these."""
    found: list[tuple[str, str]] = []
    while True:
        some = await store.write(lambda connection: [(row[0], row[1]) for row in connection.execute(statement, values)])
        found += some
        for reference, municipality in some:
            tell(reference, municipality)
        if len(some) < _AT_ONCE:
            return tuple(found)


_KEPT_LONGER = select(func.count(), func.min(M.received_at)).where(
    M.state.in_([MessageState.HELD.value, MessageState.QUARANTINED.value]), _PROMISED, M.received_at < _BEFORE
)


def kept_longer(connection: Connection, before: float) -> tuple[int, float | None]:
    """Return how many messages are kept for longer because they were promised and are not delivered, and since when."""
    number, oldest = connection.execute(_KEPT_LONGER, {"before": before}).one()
    return number, oldest


GAP = 2 * HOUR
"""Seconds since the clock was last looked at that are no reason to doubt it; a gateway that runs looks every hour."""
DOUBTED = DAY
"""Seconds for which nothing is cleared away after a longer gap: was the gateway stopped, or is the clock ahead?"""
AHEAD = 60.0
"""Seconds that the clock may be ahead of the database's own."""
CLOCK = "clock"
"""The row of `run` with the wall time at which a node last looked, and since when it is doubted."""


class Doubt(Struct, frozen=True):
    """Why nothing is cleared away now."""

    reason: str
    until: float | None
    """Seconds since the epoch; None as long as the two clocks differ."""


def ahead_of_database(connection: Connection, now: float) -> float:
    """Return how many seconds a node's clock is ahead of the database's own; 0 where that is the same machine's."""
    if connection.dialect.name == "sqlite":
        return 0.0
    own = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    return max(0.0, now - float(own))


def doubt(connection: Connection, now: float, passed: float, node: str, ahead: float = 0.0) -> Doubt | None:
    """Say whether the clock may be so far ahead that what is new would be taken for old, and note that it was looked at.

    `passed` is how many seconds this node has run since it looked last, `ahead` what `ahead_of_database` says. What is compared is the time of the last look of
    any node, or before the first one of the newest message. Where the gap may have been a stop, a day has to pass.
    """
    if ahead > AHEAD:
        return Doubt(f"the clock is {ahead:.0f} s ahead of the database's", None)
    looked, since = last_look(connection)
    gap = 0.0 if looked is None else now - looked - passed
    if gap > GAP:
        since = now
    elif since is not None and not 0 <= now - since < DOUBTED:
        since = None
    put_run(connection, CLOCK, now, node, "" if since is None else repr(since))
    if since is None:
        return None
    return Doubt("the gateway was away for long, or the clock is ahead", since + DOUBTED)


def last_look(connection: Connection) -> tuple[float | None, float | None]:
    """Return when the clock was looked at last, and since when it is doubted; before the first look, of the newest message."""
    row = connection.execute(select(RUN.c.at, RUN.c.outcome).where(RUN.c.job == CLOCK)).one_or_none()
    if row is not None:
        return row.at, float(row.outcome) if row.outcome else None
    newest = select(M.received_at).order_by(M.id.desc()).limit(1)
    return connection.execute(newest).scalar_one_or_none(), None


async def ran(store: Database, job: str, at: float, node: str, outcome: str) -> None:
    """Write down that a regular job ended well."""
    await store.write(lambda connection: put_run(connection, job, at, node, outcome))


async def last_run(store: Database, job: str) -> float | None:
    """Return when a regular job last ended well."""
    statement = select(RUN.c.at).where(RUN.c.job == job)
    return await store.read(lambda connection: connection.execute(statement).scalar_one_or_none())
