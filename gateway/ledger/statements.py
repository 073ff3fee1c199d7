"""The ledger's statements, made once; every change of state says which states it may follow."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import Insert, ReturningInsert

from gateway.ledger.records import FOLLOWED, PENDING, TOLD_TRIES, Arrival, MessageState, before
from gateway.ledger.tables import MESSAGE
from gateway.ledger.upserts import insert_into

M = MESSAGE.c
_EARLIER = MESSAGE.alias("earlier")
_MESSAGE = M.id == bindparam("message")
_NOTED = M.history.concat(bindparam("line", type_=Text))

_NOTED_AT_FIRST = case((M.tries > TOLD_TRIES, M.history), else_=_NOTED)

KNOWN_COLUMNS = (M.id, M.reference, M.received_at, M.state, M.told, M.event_id, M.delivered_at)
DUE_COLUMNS = (M.id, M.reference, M.municipality, M.attempts, M.tries, M.resend_unclear, M.payload)
POLL_COLUMNS = (
    *(M.id, M.reference, M.municipality, M.state, M.event_id, M.event_kind, M.looks.label("polls")),
    *(M.delivered_at, M.overdue_at, M.overdue),
)


def _in(states: Sequence[MessageState], of: ColumnElement[str] = M.state) -> ColumnElement[bool]:
    """As constants, which a compiled statement keeps: a list of values would be written into it at each execution."""
    return of.in_([literal_column(f"'{state.value}'") for state in states])


_WITH_THE_SERVICE = (
    *(MessageState.HELD, MessageState.DELIVERING, MessageState.DELIVERED, MessageState.READ),
    *(MessageState.QUARANTINED, MessageState.RETURNING),
)
"""Where a message is, or may be, with a service and might be sent to VKP too."""


def _into(state: MessageState, after: Sequence[MessageState], *also: ColumnElement[bool]) -> Update:
    """Return the change of one message, by its id, from any of these states."""
    changed = update(MESSAGE).where(_MESSAGE, _in(after), *also)
    return changed.values(state=state.value, reason=bindparam("because"), history=_NOTED)


@cache
def arrive(dialect: str) -> ReturningInsert[tuple[int, str, bool]]:
    """Insert an arrival unless its copy is there: held when earlier ones about the patient are, or when told to."""
    patient, identity, copy = (bindparam(name, type_=Text) for name in ("patient", "identity", "copy"))
    earlier = exists().where(
        M.patient == patient, _in(PENDING), M.municipality == bindparam("municipality", type_=Text)
    )
    promised = bindparam("promised", type_=Boolean)
    held = and_(promised, or_(bindparam("wait", type_=Boolean), earlier))
    return (
        insert_into(MESSAGE, dialect)
        .values(
            **{name: bindparam(name) for name in (*Arrival.__struct_fields__, "payload")},
            state=case((held, literal(MessageState.HELD.value)), else_=literal(MessageState.DELIVERING.value)),
            told=held,
            possible_duplicate=bindparam("may_repeat", type_=Boolean),
            identifier_reused=exists().where(
                M.identity == identity, M.copy != copy, M.state != MessageState.REFUSED.value
            ),
            owner=bindparam("node"),
            lease=bindparam("until"),
            # One that follows another gets its time when that is out of the way: see the trigger `message_left`.
            due=case((and_(promised, earlier), null()), else_=bindparam("received_at")),
            history=case((held, bindparam("held_lines", type_=Text)), else_=bindparam("lines", type_=Text)),
        )
        .on_conflict_do_nothing(index_elements=["copy"])
        .returning(M.id, M.state, M.identifier_reused)
    )


@cache
def note_passed(dialect: str) -> Insert:
    """Insert what VKP had from its sender, unless a copy of it is there."""
    names = ("reference", "received_at", "surface", "municipality", "sender", "vendor", "system", "information")
    wanted: dict[str, ColumnElement[str]] = {name: bindparam(name) for name in (*names, "identity", "copy", "status")}
    made = insert_into(MESSAGE, dialect).values(
        **wanted,
        state=MessageState.PASSED.value,
        promised=False,
        told=True,
        resend_unclear=False,
        acknowledge_within=0.0,
        history=bindparam("line"),
    )
    # What was refused or is held, and then went to VKP, is not to be delivered once more; what the service has, or may have, stays
    # where it is, and is not sent to VKP as well.
    is_held = and_(M.state == MessageState.HELD.value, ~M.possible_duplicate)
    is_over = or_(_in([MessageState.REFUSED]), is_held)
    taken = case(
        (is_held, literal(MessageState.RETURNED.value)),
        (is_over, literal(MessageState.PASSED.value)),
        else_=M.state,
    )
    noted = M.history.concat(case((is_held, bindparam("returned_line", type_=Text)), else_=made.excluded.history))
    none = {each.name: case((is_over, null()), else_=each) for each in (M.payload, M.due, M.reason)}
    return made.on_conflict_do_update(
        index_elements=["copy"],
        set_={
            "state": taken,
            "told": or_(M.told, is_over),
            "status": made.excluded.status,
            "history": noted,
            **none,
        },
        where=or_(is_over, and_(_in(_WITH_THE_SERVICE), M.status.is_(None))),
    )


COPY: Select[tuple[int, str, float, str, bool, str | None, float | None]] = select(*KNOWN_COLUMNS).where(
    M.copy == bindparam("copy")
)
HELD_OF_PATIENT = select(M.id).where(
    M.patient == bindparam("patient"),
    M.municipality == bindparam("municipality"),
    M.state == MessageState.HELD.value,
)
ONE = select(*KNOWN_COLUMNS).where(_MESSAGE)
FORGET_COPY = update(MESSAGE).where(_MESSAGE).values(copy=None)

# A repeat of what was refused, or of what was with a process that is gone.
_GIVEN_UP = and_(M.state == MessageState.DELIVERING.value, M.lease < bindparam("ended_before"), M.promised.is_(false()))
_PATIENT: ColumnElement[str] = bindparam("patient", type_=Text)
"""As the repeat says it: whose the message was may have been forgotten."""
_OTHERS_PENDING = exists().where(
    _EARLIER.c.patient == _PATIENT,
    _EARLIER.c.municipality == M.municipality,
    _in(PENDING, _EARLIER.c.state),
    _EARLIER.c.id != M.id,
)
_MUST_WAIT = and_(bindparam("is_promised", type_=Boolean), or_(bindparam("wait", type_=Boolean), _OTHERS_PENDING))
TAKE_AGAIN = (
    update(MESSAGE)
    .where(_MESSAGE, or_(M.state == MessageState.REFUSED.value, _GIVEN_UP))
    .values(
        state=case((_MUST_WAIT, literal(MessageState.HELD.value)), else_=literal(MessageState.DELIVERING.value)),
        told=_MUST_WAIT,
        reason=None,
        owner=bindparam("node"),
        lease=bindparam("until"),
        due=bindparam("now"),
        promised=bindparam("is_promised", type_=Boolean),
        resend_unclear=bindparam("resend", type_=Boolean),
        acknowledge_within=bindparam("within"),
        payload=bindparam("sealed"),
        patient=_PATIENT,
        possible_duplicate=or_(
            M.possible_duplicate, M.state == MessageState.DELIVERING.value, func.coalesce(M.reason, "") == "unclear"
        ),
        history=M.history.concat(
            case((_MUST_WAIT, bindparam("held_line", type_=Text)), else_=bindparam("line", type_=Text))
        ),
    )
    .returning(M.id, M.reference, M.state, M.possible_duplicate, M.identifier_reused)
)

_AFTER_SENDING = [state for state in before(MessageState.DELIVERED) if state is not MessageState.RETURNING]
DELIVERED = _into(MessageState.DELIVERED, _AFTER_SENDING).values(
    owner=None,
    lease=None,
    event_id=bindparam("event"),
    event_kind=bindparam("kind"),
    delivered_at=bindparam("now"),
    due=bindparam("next_poll"),
    overdue_at=bindparam("now") + M.acknowledge_within,
    looks=0,
)
_OURS = M.owner == bindparam("node")
# VKP took it from its sender while it was with us, and the service has not got it: it is not delivered once more.
_AT_VKP = and_(M.status.is_not(None), ~M.possible_duplicate, bindparam("unclear", type_=Boolean).is_(false()))
HELD_AGAIN = (
    _into(MessageState.HELD, [MessageState.DELIVERING], _OURS)
    .values(
        state=case((_AT_VKP, literal(MessageState.RETURNED.value)), else_=literal(MessageState.HELD.value)),
        payload=case((_AT_VKP, null()), else_=M.payload),
        owner=None,
        lease=None,
        told=True,
        due=case((_AT_VKP, null()), else_=bindparam("next_try")),
        attempts=M.attempts + bindparam("counted"),
        tries=M.tries + 1,
        possible_duplicate=or_(M.possible_duplicate, bindparam("unclear", type_=Boolean)),
    )
    .returning(M.tries, M.history)
)
REWRITE_HISTORY = update(MESSAGE).where(_MESSAGE).values(history=bindparam("rewritten"))
REFUSED = _into(MessageState.REFUSED, [MessageState.DELIVERING], _OURS).values(owner=None, lease=None, payload=None)
QUARANTINED = _into(MessageState.QUARANTINED, [MessageState.DELIVERING], _OURS).values(
    owner=None,
    lease=None,
    told=True,
    due=bindparam("now"),
    possible_duplicate=or_(M.possible_duplicate, bindparam("unclear", type_=Boolean)),
)


def chosen_once(wanted: Select[tuple[int]]) -> Select[tuple[int]]:
    """Return the ids that rows to be changed are chosen by, locked and no more than their limit.

    PostgreSQL may ask a sub-query anew for each row that it looks at, and so lock and take further ones; a WITH that locks it
    asks once (PostgreSQL, 7.8.3 Common Table Expression Materialization). Python's sqlite3 does not count what such a statement
    changes, so it is for those that return their rows.
    """
    rows = wanted.cte("chosen")
    return select(rows.c.id)


# What is on its way back to VKP may come back to where it was, and is the first then.
_EARLIER_FIRST = exists().where(
    _EARLIER.c.patient == M.patient,
    _EARLIER.c.municipality == M.municipality,
    _in((*PENDING, MessageState.RETURNING), _EARLIER.c.state),
    _EARLIER.c.id < M.id,
)
_TURN = (
    select(M.id)
    .where(M.state == MessageState.HELD.value, M.due <= bindparam("now"), ~_EARLIER_FIRST)
    .order_by(M.due, M.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
CLAIM = (
    update(MESSAGE)
    .where(M.id.in_(chosen_once(_TURN)))
    .values(
        state=MessageState.DELIVERING.value, owner=bindparam("node"), lease=bindparam("until"), history=_NOTED_AT_FIRST
    )
    .returning(*DUE_COLUMNS)
)
# Nothing is ever put off for longer: the clock was ahead when it was.
BRING_FORWARD = (
    update(MESSAGE).where(M.state == MessageState.HELD.value, M.due > bindparam("latest")).values(due=bindparam("now"))
)
_FOLLOWER = (M.state == MessageState.HELD.value, M.due.is_(None))
FORGOTTEN = select(M.id).where(*_FOLLOWER, M.id > bindparam("after"), ~_EARLIER_FIRST)
"""Followers of nothing: on PostgreSQL a message may arrive as the one before it leaves, and neither sees the other."""
FOLLOW_NO_MORE = update(MESSAGE).where(_MESSAGE, *_FOLLOWER).values(due=M.received_at)
NEWEST = select(func.max(M.id))

BEING_DELIVERED = select(
    M.id, M.reference, M.municipality, M.promised, M.resend_unclear, M.attempts, M.owner, M.lease
).where(M.state == MessageState.DELIVERING.value)
RECOVER = (
    update(MESSAGE)
    .where(_MESSAGE, M.state == MessageState.DELIVERING.value, M.lease == bindparam("ended"))
    .values(
        state=bindparam("into"),
        reason="unclear",
        told=M.promised,
        attempts=M.attempts + 1,
        owner=None,
        lease=None,
        due=bindparam("now"),
        possible_duplicate=or_(M.possible_duplicate, bindparam("into") == MessageState.HELD.value),
        payload=case((M.promised.is_(true()), M.payload), else_=None),
        history=_NOTED,
    )
)

_DUE_EVENTS = (
    select(M.id)
    .where(_in(FOLLOWED), M.due <= bindparam("now"), M.municipality.not_in(bindparam("without", expanding=True)))
    .order_by(M.due, M.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
# The clock was ahead when these were delivered or polled for: nothing is put off for longer.
BRING_POLLS_FORWARD = (
    update(MESSAGE)
    .where(_in(FOLLOWED), M.due > bindparam("latest"))
    .values(
        due=bindparam("now"),
        delivered_at=case((M.delivered_at > bindparam("now"), bindparam("now")), else_=M.delivered_at),
        overdue_at=case(
            (M.delivered_at > bindparam("now"), bindparam("now") + M.acknowledge_within), else_=M.overdue_at
        ),
    )
)
DUE_FOR_POLL = (
    update(MESSAGE).where(M.id.in_(chosen_once(_DUE_EVENTS))).values(due=bindparam("until")).returning(*POLL_COLUMNS)
)
READ = _into(MessageState.READ, [MessageState.DELIVERED]).values(due=bindparam("next_poll"), looks=M.looks + 1)
ACKNOWLEDGED = _into(MessageState.ACKNOWLEDGED, FOLLOWED).values(due=None, overdue=False, payload=None)
POLL_AGAIN = (
    update(MESSAGE)
    .where(_MESSAGE, _in(FOLLOWED))
    .values(due=bindparam("next_poll"), looks=M.looks + bindparam("asked"))
)
OVERDUE = update(MESSAGE).where(_MESSAGE, _in(FOLLOWED), M.overdue.is_(false())).values(overdue=True, history=_NOTED)
