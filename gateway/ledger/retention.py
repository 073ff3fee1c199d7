"""Counting what is in the ledger, and clearing away what its time has ended for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from gateway.ledger.database import Database
from gateway.ledger.records import FOLLOWED, MessageState
from gateway.ledger.tables import AUDIT, MESSAGE, PATIENT_NUMBER, RUN

M = MESSAGE.c
PURGE = "purge"
_AT_ONCE = 500
"""Rows in one transaction, so that no message waits long for the purger."""
_UNFINISHED = [
    state.value
    for state in (MessageState.HELD, MessageState.DELIVERING, MessageState.QUARANTINED, MessageState.RETURNING)
]


@dataclass(frozen=True, slots=True)
class Count:
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


def counts(connection: Connection) -> list[Count]:
    """Return how many messages wait for something, by municipality and state."""
    unfinished = [Count(*row) for row in connection.execute(_COUNTS)]
    return [
        *unfinished,
        *(Count(name, "overdue", number, oldest) for name, number, oldest in connection.execute(_OVERDUE)),
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
_ended = (
    (M.received_at < _BEFORE) & M.payload.is_not(None) & M.state.not_in(_UNFINISHED),
    (M.state == MessageState.QUARANTINED.value) & (M.due < _BEFORE),
    (M.state == MessageState.HELD.value) & (M.received_at < _BEFORE),
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
_SET_ASIDE = (
    update(MESSAGE)
    .where(M.id.in_(_rows(_ended[2]).scalar_subquery()))
    .values(state=MessageState.QUARANTINED.value, reason="held too long", due=bindparam("now"), history=_NOTED)
    .returning(M.reference, M.municipality)
)
_GIVE_UP = (
    delete(MESSAGE)
    .where(M.id.in_(_rows((M.received_at < _BEFORE) & or_(M.overdue, _NEVER_FOLLOWED)).scalar_subquery()))
    .returning(M.reference, M.municipality)
)
_DELETE = delete(MESSAGE).where(M.id.in_(_rows(_ended[3]).scalar_subquery()))
_DELETE_PASSED = delete(MESSAGE).where(M.id.in_(_rows(_ended[4]).scalar_subquery()))
_DELETE_NUMBERS = delete(PATIENT_NUMBER).where(~exists().where(M.id == PATIENT_NUMBER.c.message))
_FIRST_KEPT = select(func.min(AUDIT.c.id)).where(AUDIT.c.at >= _BEFORE).scalar_subquery()
# By the chain's own order: a hole in it would look like tampering.
_DELETE_AUDIT = delete(AUDIT).where(
    AUDIT.c.id.in_(
        _some(select(AUDIT.c.id).where(AUDIT.c.at < _BEFORE, AUDIT.c.id < func.coalesce(_FIRST_KEPT, AUDIT.c.id + 1)))
    )
)


@dataclass(frozen=True, slots=True)
class Purged:
    """What the purger did."""

    payloads: int
    rows: int
    discarded: tuple[tuple[str, str], ...]
    """References and municipalities of what was promised and is now given up."""
    set_aside: tuple[tuple[str, str], ...]
    """Likewise, of what was held too long and is now in quarantine."""
    given_up: tuple[tuple[str, str], ...] = ()
    """Likewise, of events that nobody ever acknowledged, and that are asked for no more."""


async def purge(
    store: Database,
    times: RetentionTimes,
    now: float,
    line: Callable[[MessageState, str], str],
    tell: Callable[[str, str, str], None],
) -> Purged:
    """Clear away what has been kept long enough; `line` makes a line of a history.

    `tell` takes an event's name, a reference and a municipality, for whatever a person must hear of, as soon as it is done.
    """

    async def all_of(statement: Update | Delete, before: float) -> int:
        total = 0
        while True:
            number = await store.write(lambda connection: connection.execute(statement, {"before": before}).rowcount)
            total += number
            if number < _AT_ONCE:
                return total

    async def told(event: str, statement: Update | Delete, **values: object) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        while True:
            some = await store.write(
                lambda connection: [(row[0], row[1]) for row in connection.execute(statement, values)]
            )
            found += some
            for reference, municipality in some:
                tell(event, reference, municipality)
            if len(some) < _AT_ONCE:
                return tuple(found)

    payloads = await all_of(_FORGET_PAYLOADS, times.payload)
    aside = {"before": times.payload, "now": now}
    discarded = await told(
        "retention.discarded", _DISCARD, **aside, line=line(MessageState.DISCARDED, "retention ended")
    )
    set_aside = await told(
        "retention.held_too_long", _SET_ASIDE, **aside, line=line(MessageState.QUARANTINED, "held too long")
    )
    given_up = await told("retention.never_acknowledged", _GIVE_UP, before=times.receipt)
    rows = await all_of(_DELETE, times.receipt) + await all_of(_DELETE_PASSED, times.passed)
    if rows or given_up:
        await store.write(lambda connection: connection.execute(_DELETE_NUMBERS).rowcount)
    await all_of(_DELETE_AUDIT, times.audit)
    return Purged(payloads, rows, discarded, set_aside, given_up)


async def ran(store: Database, job: str, at: float, node: str, outcome: str) -> None:
    """Write down that a regular job ended well."""
    insert = postgresql.insert if store.engine.dialect.name == "postgresql" else sqlite.insert
    values = {"at": at, "node": node, "outcome": outcome}
    statement = insert(RUN).values(job=job, **values).on_conflict_do_update(index_elements=["job"], set_=values)
    await store.write(lambda connection: connection.execute(statement).rowcount)


async def last_run(store: Database, job: str) -> float | None:
    """Return when a regular job last ended well."""
    statement = select(RUN.c.at).where(RUN.c.job == job)
    return await store.read(lambda connection: connection.execute(statement).scalar_one_or_none())
