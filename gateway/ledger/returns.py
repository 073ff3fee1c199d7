"""What goes back to VKP, and what does not: where each message of the new side stands; frozen."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
    update,
)

from gateway.ledger.messages import Ledger
from gateway.ledger.records import LeaseWatch, MessageState
from gateway.ledger.statements import chosen_once
from gateway.ledger.tables import MESSAGE
from gateway.times import Clock

UNCLEAR_AT_VKP = "unclear at VKP"
"""Why a message is in quarantine that was sent to VKP and not answered: nothing ever sends it again by itself."""
SURFACES = ("vkp-r4", "vkp-stu3", "vkp-soap")
"""Interfaces whose requests VKP understands."""


class ReturnStatus(StrEnum):
    """Where a message stands when its municipality goes back to VKP."""

    UNREAD = "unread"
    """The service has it and nobody has fetched it."""
    POSSIBLE_DUPLICATE = "possible-duplicate"
    """Fetched, and not acknowledged: perhaps in the record."""
    ACKNOWLEDGED = "acknowledged"
    """In the record."""
    PENDING = "pending"
    """Promised to its sender, and not with the service yet."""
    RETURNING = "returning"
    QUARANTINED = "quarantined"
    RETURNED = "returned"
    DISCARDED = "discarded"


STANDING: dict[MessageState, ReturnStatus] = {
    MessageState.DELIVERED: ReturnStatus.UNREAD,
    MessageState.READ: ReturnStatus.POSSIBLE_DUPLICATE,
    MessageState.ACKNOWLEDGED: ReturnStatus.ACKNOWLEDGED,
    MessageState.HELD: ReturnStatus.PENDING,
    MessageState.DELIVERING: ReturnStatus.PENDING,
    MessageState.RETURNING: ReturnStatus.RETURNING,
    MessageState.QUARANTINED: ReturnStatus.QUARANTINED,
    MessageState.RETURNED: ReturnStatus.RETURNED,
    MessageState.DISCARDED: ReturnStatus.DISCARDED,
}
"""What was refused, and what VKP had from its sender, is not with the new side."""


class Selection(Struct, frozen=True):
    """Messages of one municipality since a time, and perhaps of one vendor, one system, some information types only."""

    municipality: str
    """Short name."""
    since: float
    """When the first of them was received, in seconds since the epoch."""
    vendor: str | None = None
    system: str | None = None
    information: frozenset[str] = frozenset()
    """None: every type, and messages that do not say."""


class ReturnItem(Struct, frozen=True):
    """One message of a selection; nothing that its sender wrote."""

    id: int
    reference: str
    received_at: float
    delivered_at: float | None
    surface: str
    municipality: str
    sender: str
    vendor: str | None
    system: str | None
    information: str | None
    patient: str | None
    """Keyed hash; it is for the order, and never shown."""
    state: MessageState
    reason: str | None
    event_id: str | None
    event_kind: str | None
    possible_duplicate: bool
    identifier_reused: bool
    is_kept: bool
    """Whether its payload is still there."""
    status: int | None
    """What VKP answered when it took it, from us or from its sender, who had sent it once more; None where it has not taken it."""

    @property
    def standing(self) -> ReturnStatus:
        """Where it stands."""
        return STANDING[self.state]

    @property
    def cannot_be_sent(self) -> str | None:
        """Why nobody can send it to VKP; None when somebody can."""
        if self.status is not None:
            return "VKP has it from its sender"
        if not self.is_kept:
            return "its payload is not kept any more"
        if self.surface not in SURFACES:
            return "VKP does not understand its interface"
        if self.state in (MessageState.DELIVERED, MessageState.READ) and not (self.event_id and self.event_kind):
            return "its event cannot be asked for"
        return None

    @property
    def not_in_bulk(self) -> str | None:
        """Why it is not sent with all others; None when it is."""
        if self.state not in (MessageState.DELIVERED, MessageState.HELD):
            return self.standing.value if self.state is not MessageState.DELIVERING else "being delivered"
        if self.state is MessageState.HELD and self.possible_duplicate:
            return "the service may have it already"
        return self.cannot_be_sent


class ReturnCount(Struct, frozen=True):
    """How many messages of a selection stand somewhere."""

    standing: ReturnStatus
    messages: int
    sendable: int
    """Of them, those that are sent in bulk."""


class Going(Struct, frozen=True):
    """A message that is this process's to send to VKP now."""

    id: int
    reference: str
    payload: bytes | None


class Lost(Struct, frozen=True):
    """A message that was being returned by a process that is gone; it is in quarantine now."""

    reference: str
    municipality: str


M = MESSAGE.c
_MESSAGE = M.id == bindparam("message")
_NOTED = M.history.concat(bindparam("line", type_=Text))
_COLUMNS = (
    *(M[name] for name in ReturnItem.__struct_fields__ if name != "is_kept"),
    M.payload.is_not(None).label("is_kept"),
)
_SENDABLE = and_(
    M.payload.is_not(None),
    M.status.is_(None),
    M.surface.in_(SURFACES),
    or_(
        and_(M.state == MessageState.DELIVERED.value, M.event_id.is_not(None), M.event_kind.is_not(None)),
        and_(M.state == MessageState.HELD.value, ~M.possible_duplicate),
    ),
)


def _selected(selection: Selection, wanted: Select[Any]) -> Select[Any]:
    found = wanted.where(
        M.municipality == selection.municipality,
        M.received_at >= selection.since,
        M.state.in_([state.value for state in STANDING]),
    )
    if selection.vendor is not None:
        found = found.where(M.vendor == selection.vendor)
    if selection.system is not None:
        found = found.where(M.system == selection.system)
    return found.where(M.information.in_(sorted(selection.information))) if selection.information else found


def first_received(connection: Connection, vendor: str | None, information: str | None) -> dict[str, float]:
    """Return when the new side got the first message that it has, or had, by municipality: of one vendor or type, or of all."""
    wanted = select(M.municipality, func.min(M.received_at)).where(M.state.in_([state.value for state in STANDING]))
    for column, value in ((M.vendor, vendor), (M.information, information)):
        wanted = wanted if value is None else wanted.where(column == value)
    return {row[0]: row[1] for row in connection.execute(wanted.group_by(M.municipality))}


_UNREAD = or_(M.state == MessageState.DELIVERED.value, and_(M.state == MessageState.HELD.value, ~M.possible_duplicate))
_DECIDED = and_(
    bindparam("by_person", type_=Boolean),
    or_(
        M.state.in_([MessageState.READ.value, MessageState.HELD.value]),
        and_(M.state == MessageState.QUARANTINED.value, func.coalesce(M.reason, "") != UNCLEAR_AT_VKP),
    ),
)
_MAY_GO = (
    select(M.id)
    .where(
        _MESSAGE,
        M.state == bindparam("was"),
        M.payload.is_not(None),
        M.status.is_(None),
        M.surface.in_(SURFACES),
        or_(_UNREAD, _DECIDED),
    )
    .with_for_update(skip_locked=True)
)
_TAKE = (
    update(MESSAGE)
    .where(M.id.in_(chosen_once(_MAY_GO)))
    .values(
        state=MessageState.RETURNING.value,
        reason=None,
        owner=bindparam("node"),
        lease=bindparam("until"),
        history=_NOTED,
    )
    .returning(M.id, M.reference, M.payload)
)


_OURS = and_(M.state == MessageState.RETURNING.value, M.owner == bindparam("node"))
_GIVEN_UP = and_(M.state == MessageState.QUARANTINED.value, M.reason == UNCLEAR_AT_VKP)


def _from_returning(state: MessageState, which: ColumnElement[bool] = _OURS, **values: Any) -> Update:
    return (
        update(MESSAGE)
        .where(_MESSAGE, which)
        .values(state=state.value, reason=bindparam("because"), history=_NOTED, owner=None, lease=None, **values)
    )


# What VKP is known to have is known also where it was set aside meanwhile.
_RETURNED = _from_returning(
    MessageState.RETURNED,
    or_(_OURS, _GIVEN_UP),
    status=bindparam("answered"),
    due=None,
    overdue=False,
    payload=None,
    told=true(),
)
_BACK = {
    state: _from_returning(state, due=bindparam("next"))
    for state in (MessageState.DELIVERED, MessageState.READ, MessageState.HELD, MessageState.QUARANTINED)
}
# Marked, so that it is in no bulk either when a person has it held again.
_UNCLEAR = _from_returning(
    MessageState.QUARANTINED, due=bindparam("next"), overdue=False, told=true(), possible_duplicate=true()
)
_BEING_RETURNED = select(M.id, M.owner, M.lease).where(M.state == MessageState.RETURNING.value)
_LOST = (
    update(MESSAGE)
    .where(_MESSAGE, M.state == MessageState.RETURNING.value, M.lease == bindparam("ended"))
    .values(
        state=MessageState.QUARANTINED.value,
        reason=UNCLEAR_AT_VKP,
        owner=None,
        lease=None,
        due=bindparam("now"),
        overdue=False,
        told=true(),
        possible_duplicate=true(),
        history=_NOTED,
    )
    .returning(M.reference, M.municipality)
)


class Returns:
    """The ledger for whoever goes back to VKP; raises `LedgerUnavailable` from every method while it cannot be used."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._leases = LeaseWatch(clock)

    async def items(
        self, selection: Selection, most: int, *, after: int = 0, standings: Sequence[ReturnStatus] = ()
    ) -> list[ReturnItem]:
        """Return messages in the order in which they came, beginning after one with this id."""
        wanted = _selected(selection, select(*_COLUMNS)).where(M.id > after).order_by(M.id).limit(most)
        if standings:
            states = [state.value for state, standing in STANDING.items() if standing in standings]
            wanted = wanted.where(M.state.in_(states))
        return await self._ledger.store.read(lambda connection: [_item(row) for row in connection.execute(wanted)])

    async def one(self, reference: str) -> ReturnItem | None:
        """Return a message by its reference; None where it is not, or never was, with the new side."""
        states = [state.value for state in STANDING]
        wanted = select(*_COLUMNS).where(M.reference == reference, M.state.in_(states))

        def work(connection: Connection) -> ReturnItem | None:
            row = connection.execute(wanted).one_or_none()
            return None if row is None else _item(row)

        return await self._ledger.store.read(work)

    async def counts(self, selection: Selection) -> list[ReturnCount]:
        """Return how many messages stand where; every standing is there."""
        wanted = _selected(selection, select(M.state, func.count(), func.count().filter(_SENDABLE))).group_by(M.state)
        rows = await self._ledger.store.read(lambda connection: connection.execute(wanted).all())
        found = {MessageState(state): (messages, sendable) for state, messages, sendable in rows}
        return [
            ReturnCount(standing, *(sum(found.get(state, (0, 0))[part] for state in states) for part in (0, 1)))
            for standing, states in _STATES.items()
        ]

    async def take(self, message: int, was: MessageState, *, until: float, by_person: bool = False) -> Going | None:
        """Take a message to be sent to VKP before `until`; None unless it is still where it was.

        Without `by_person` only what is unread or held is taken; what VKP may have is never taken.
        """
        now = self._clock()
        why = "to VKP, by a person" if by_person else "to VKP"
        values = {
            "message": message,
            "was": was.value,
            "by_person": by_person,
            "node": self._ledger.node,
            "until": until + self._ledger.lease,
            "line": self._ledger.line(now, MessageState.RETURNING, why),
        }

        def work(connection: Connection) -> Going | None:
            row = connection.execute(_TAKE, values).one_or_none()
            return None if row is None else Going(row.id, row.reference, row.payload)

        return await self._ledger.store.write(work)

    async def returned(self, message: int, status: int | None) -> bool:
        """Write down that VKP has accepted a message; what it held is forgotten."""
        return await self._change(_RETURNED, message, MessageState.RETURNED, "", answered=status)

    async def not_returned(self, message: int, back: MessageState, reason: str, *, due: float) -> bool:
        """Put a message back to where it was: VKP has not taken it. `due` is when the next thing is done with it."""
        return await self._change(_BACK[back], message, back, reason, next=due)

    async def unclear(self, message: int) -> bool:
        """Set aside a message that was sent and not answered."""
        return await self._change(_UNCLEAR, message, MessageState.QUARANTINED, UNCLEAR_AT_VKP, next=self._clock())

    async def recover(self, *, alone: bool) -> list[Lost]:
        """Set aside what was with processes that are gone: VKP may have it.

        `alone` says that no other process shares the ledger, so that there is no lease to wait for.
        """
        now = self._clock()
        line = self._ledger.line(now, MessageState.QUARANTINED, UNCLEAR_AT_VKP)
        values = {"now": now, "line": line}

        def work(connection: Connection) -> list[Lost]:
            rows = connection.execute(_BEING_RETURNED).all()
            ended = self._leases.ended({row.id: row.lease for row in rows})
            lost = [row for row in rows if row.id in ended or (alone and row.owner != self._ledger.node)]
            found = [connection.execute(_LOST, {**values, "message": row.id, "ended": row.lease}) for row in lost]
            return [Lost(*row) for each in found for row in each]

        return await self._ledger.store.write(work)

    async def _change(self, statement: Update, message: int, state: MessageState, reason: str, **values: Any) -> bool:
        everything = {
            "message": message,
            "node": self._ledger.node,
            "because": reason or None,
            "line": self._ledger.line(self._clock(), state, reason),
            **values,
        }
        return await self._ledger.store.write(
            lambda connection: connection.execute(statement, everything).rowcount == 1
        )


_STATES = {standing: [state for state, its in STANDING.items() if its is standing] for standing in ReturnStatus}


def _item(row: Any) -> ReturnItem:
    return ReturnItem(**{**row._asdict(), "state": MessageState(row.state), "is_kept": bool(row.is_kept)})
