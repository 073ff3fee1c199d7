"""Cutovers in the ledger: the statements on their table, and the routes that those which have switched lay over the file's."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from gateway.ledger.overrides import place
from gateway.ledger.records import MessageState
from gateway.ledger.tables import CUTOVER, DECISION, MESSAGE
from gateway.ledger.upserts import insert_into
from gateway.model import Mode
from gateway.routing.layers import Layer, Rule
from gateway.routing.route import Route, RouteSpec

log = structlog.get_logger()

EXECUTED = ("switched", "watching", "finished")
"""Of these the routes lie over those of the file, until the cutover has ended."""
WAITING = ("submitted", "approved", "draining", "missed")
"""These may still switch."""
WORKED_ON = ("submitted", "approved", "draining", *EXECUTED)
"""Of these something may have to be done."""
C, M, D = CUTOVER.c, MESSAGE.c, DECISION.c


class Row(Struct, frozen=True, kw_only=True):
    """A cutover as it is written; times in seconds since the epoch."""

    name: str
    plan: str
    hash: str
    state: str
    at: float
    submitted_by: str
    submitted_at: float
    approvals: str
    owner: str | None = None
    lease: float | None = None
    switched_at: float | None = None
    ended_at: float | None = None
    report: str | None = None
    version: int = 1
    history: str


class Lease(Struct, frozen=True):
    """Until when a cutover is with one node."""

    node: str
    begins: float
    ends: float
    alone: bool
    """Whether there is no other node: then what a process had that is gone is free at once."""


class CellCount(Struct, frozen=True):
    """How many messages there are of one cell."""

    municipality: str
    vendor: str | None
    system: str | None
    information: str | None
    messages: int


class FailedMessage(Struct, frozen=True):
    """A message that failed because a cutover sent it to the new side."""

    reference: str
    at: float
    """Seconds since the epoch, when its sender was answered, or when it came."""
    municipality: str | None
    vendor: str | None
    system: str | None
    information: str | None
    sender: str | None
    outcome: str


class Seen(Struct, frozen=True):
    """A sender that has sent something of one cell; None for what routes.yaml does not know, or was not read."""

    municipality: str | None
    vendor: str | None
    system: str | None
    information: str | None
    sender: str | None


class SeenSender(Struct, frozen=True):
    """A sender that has sent something for one municipality, and over which surface."""

    sender: str | None
    """None for one that routes.yaml does not know."""
    vendor: str | None
    system: str | None
    surface: str
    messages: int
    last: float
    """Seconds since the epoch."""


def insert(connection: Connection, row: Row) -> bool:
    """Write a new cutover; False where there is one of that name."""
    new = insert_into(CUTOVER, connection.dialect.name)
    statement = new.values(**msgspec.structs.asdict(row)).on_conflict_do_nothing()
    return connection.execute(statement.returning(C.name)).one_or_none() is not None


def change(connection: Connection, before: Row, after: Row) -> bool:
    """Write a cutover as it is now, under its next version; False where somebody else has changed it meanwhile."""
    values = {**msgspec.structs.asdict(after), "version": before.version + 1}
    for kept in ("name", "owner", "lease"):
        values.pop(kept)
    statement = update(CUTOVER).where(C.name == before.name, C.version == before.version, C.state == before.state)
    return connection.execute(statement.values(**values)).rowcount == 1


def claim(connection: Connection, name: str, lease: Lease) -> bool:
    """Take a cutover for a node; False where another has it. People's changes do not wait for it, so the version stays."""
    free = or_(
        C.owner.is_(None),
        C.owner == lease.node,
        C.lease.is_(None),
        C.lease <= lease.begins,
        C.lease > latest_lease(lease),
    )
    statement = update(CUTOVER).where(C.name == name, *([] if lease.alone else [free]))
    return connection.execute(statement.values(owner=lease.node, lease=lease.ends)).rowcount == 1


def latest_lease(lease: Lease) -> float:
    """Return when a lease that another node has ends at the latest: the clock was ahead that gave a longer one."""
    return lease.ends + (lease.ends - lease.begins)


def one(connection: Connection, name: str) -> Row | None:
    """Return a cutover."""
    row = connection.execute(select(CUTOVER).where(C.name == name)).one_or_none()
    return None if row is None else _row(row)


def listed(connection: Connection, most: int, after: str = "", states: Iterable[str] = ()) -> list[Row]:
    """Return cutovers by their names, those after a name."""
    wanted = select(CUTOVER).where(C.name > after).order_by(C.name).limit(most)
    if chosen := list(states):
        wanted = wanted.where(C.state.in_(chosen))
    return [_row(row) for row in connection.execute(wanted)]


def worked_on(connection: Connection) -> list[Row]:
    """Return the cutovers of which something may have to be done, by their times."""
    wanted = select(CUTOVER).where(C.state.in_(WORKED_ON), C.ended_at.is_(None)).order_by(C.at, C.name)
    return [_row(row) for row in connection.execute(wanted)]


def planned(connection: Connection) -> list[Route]:
    """Return the routes of every cutover that may still switch.

    A plan that cannot be read is left out: it may be of a later version, decides nothing yet, and must not keep a panic away.
    """
    found: list[Route] = []
    for row in connection.execute(select(C.name, C.plan).where(C.state.in_(WAITING)).order_by(C.name)):
        try:
            found += routes_of(row.name, row.plan)
        except ValueError:
            log.warning("cutover.plan_unreadable", cutover=row.name)
    return found


def executed(connection: Connection) -> list[Rule]:
    """Return what cutovers that have switched set, the last first: of two that are equally specific on a cell it wins."""
    wanted = (
        select(C.name, C.plan)
        .where(C.state.in_(EXECUTED), C.ended_at.is_(None))
        .order_by(C.switched_at.desc(), C.name.desc())
    )
    rows = connection.execute(wanted).all()
    return [Rule(Layer.CUTOVER, row.name, route) for row in rows for route in routes_of(row.name, row.plan)]


def routes_of(name: str, plan: str) -> tuple[Route, ...]:
    """Return the routes of a plan as it is written; their place is the cutover."""
    return routes(name, msgspec.json.decode(plan, type=_Set).set)


def routes(name: str, changes: Sequence[RouteSpec]) -> tuple[Route, ...]:
    """Return the routes that a cutover of this name sets."""
    where = place(Layer.CUTOVER, name)
    return tuple(each.route(where) for each in changes)


def outcomes(connection: Connection, name: str, since: float) -> dict[str, int]:
    """Return how many messages that a cutover sent to the new side came to which outcome."""
    found = connection.execute(select(D.outcome, func.count()).where(*_sent(name, since)).group_by(D.outcome))
    return {outcome: int(number) for outcome, number in found}


def failed(
    connection: Connection, name: str, since: float, outcomes: Collection[str], most: int
) -> list[FailedMessage]:
    """Return the newest messages that a cutover sent to the new side and that came to one of these outcomes."""
    named = [D[field] for field in FailedMessage.__struct_fields__]
    mine = (*_sent(name, since), D.outcome.in_(sorted(outcomes)))
    wanted = select(*named).where(*mine).order_by(D.at.desc(), D.id.desc()).limit(most)
    return [FailedMessage(*row) for row in connection.execute(wanted)]


def _sent(name: str, since: float) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a cutover sent a message to the new side, since then."""
    return (D.layer == Layer.CUTOVER.value, D.rule == name, D.mode == Mode.NEW.value, D.at >= since)


def set_aside(connection: Connection, since: float, most: int) -> list[FailedMessage]:
    """Return the newest messages that came since then and were set aside for a person."""
    named = (M.reference, M.received_at, M.municipality, M.vendor, M.system, M.information, M.sender, M.state)
    mine = (M.state == MessageState.QUARANTINED.value, M.received_at >= since)
    wanted = select(*named).where(*mine).order_by(M.received_at.desc(), M.id.desc()).limit(most)
    return [FailedMessage(*row) for row in connection.execute(wanted)]


def seen(connection: Connection, since: float) -> list[Seen]:
    """Return who has sent something since then."""
    named = [D[name] for name in Seen.__struct_fields__]
    return [Seen(*row) for row in connection.execute(select(*named).where(D.at >= since).distinct())]


def senders(connection: Connection, municipality: str, since: float) -> list[SeenSender]:
    """Return who has sent something for a municipality since then, the last first."""
    named = (D.sender, D.vendor, D.system, D.surface)
    wanted = select(*named, func.count(), func.max(D.at)).where(D.municipality == municipality, D.at >= since)
    return [SeenSender(*row) for row in connection.execute(wanted.group_by(*named).order_by(func.max(D.at).desc()))]


def delivering(connection: Connection, before: float) -> list[CellCount]:
    """Return what came before then and is being delivered still."""
    return _cells(connection, M.state == MessageState.DELIVERING.value, M.received_at < before)


def quarantined(connection: Connection, since: float) -> list[CellCount]:
    """Return what came since then and was set aside for a person."""
    return _cells(connection, M.state == MessageState.QUARANTINED.value, M.received_at >= since)


def waiting(connection: Connection, since: float) -> list[CellCount]:
    """Return what came since then, was held, and is not delivered yet; what is tried again right now is held still."""
    undelivered = M.state.in_((MessageState.HELD.value, MessageState.DELIVERING.value))
    return _cells(connection, undelivered, M.told, M.received_at >= since)


def overdue(connection: Connection) -> list[CellCount]:
    """Return what was delivered and not acknowledged in time."""
    return _cells(connection, M.overdue)


def _cells(connection: Connection, *conditions: ColumnElement[bool]) -> list[CellCount]:
    named = (M.municipality, M.vendor, M.system, M.information)
    found = connection.execute(select(*named, func.count()).where(*conditions).group_by(*named))
    return [CellCount(*row) for row in found]


class _Set(Struct, frozen=True):
    set: tuple[RouteSpec, ...]


def _row(row: Any) -> Row:
    return Row(**{name: getattr(row, name) for name in Row.__struct_fields__})
