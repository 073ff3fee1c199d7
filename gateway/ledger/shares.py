"""What of a journaled message is shared with another service: written with the message, sent once it is journaled, once.

A share waits while its message is on the way, and has no time of its own (`due`) until that is journaled: triggers of the database
give it one, and end it when the message never will be (migration 0013). Where nobody knows whether the service has it, it is not
sent again.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, exists, func, null, select, update
from sqlalchemy.types import Text

from gateway.ledger.records import UNFINISHED, LeaseWatch, MessageState
from gateway.ledger.statements import chosen_once
from gateway.ledger.tables import MESSAGE, SHARE
from gateway.ledger.upserts import insert_into

if TYPE_CHECKING:
    from gateway.ledger.database import Database

_S, _M = SHARE.c, MESSAGE.c
JOURNALED = [state.value for state in (MessageState.DELIVERED, MessageState.READ, MessageState.ACKNOWLEDGED)]
"""States of a message whose measurements are shared."""
_UNFINISHED = [state.value for state in UNFINISHED]
_AT_ONCE = 500
"""Rows in one transaction, so that no message waits long for it."""
NOT_SHARED = "not-shared"
"""The mark of a message that was to be shared, and was not or perhaps not."""


class ShareState(StrEnum):
    """How far a share has come."""

    WAITING = "waiting"
    SENDING = "sending"
    """With one process, which is sending it or may have sent it."""
    SHARED = "shared"
    REFUSED = "refused"
    """The service does not take it, or nothing of the message can be shared."""
    UNCLEAR = "unclear"
    """It was sent and never answered: the service may have it, so it is not sent again unless a person says so."""
    DISCARDED = "discarded"
    """It was unclear, and a person gave it up."""
    GIVEN_UP = "given-up"
    """Not shared for as long as it may be kept, or its message was discarded, sent back to VKP or forgotten."""
    NOT_JOURNALED = "not-journaled"
    """Its message was refused, so there is nothing to share; a repeat that is taken up brings it anew."""


FAILED = frozenset({ShareState.REFUSED, ShareState.UNCLEAR, ShareState.GIVEN_UP})


class NewShare(Struct, frozen=True):
    """What is to be shared of a message; `payload` is sealed, and None where nothing can be."""

    target: str
    payload: bytes | None
    reason: str | None = None
    """Why nothing can be."""
    left_out: str | None = None


class DueShare(Struct, frozen=True):
    """A share that is this process's to send now."""

    id: int
    reference: str
    municipality: str
    target: str
    tries: int
    """Those that failed before."""
    payload: bytes | None
    lease: float
    """By which it is known to be with us still."""


class Share(Struct, frozen=True):
    """A share as it stands; times are seconds since the epoch."""

    target: str
    state: ShareState
    reason: str | None
    left_out: str | None
    tries: int
    created_at: float
    due: float | None
    ended_at: float | None


def note(  # noqa: PLR0913, PLR0917 - what is known of it
    connection: Connection, message: int, reference: str, municipality: str, new: NewShare, now: float
) -> None:
    """Write down what is to be shared of a message, unless that is there; in the transaction that writes the message."""
    can_be = new.payload is not None
    its = {
        "state": (ShareState.WAITING if can_be else ShareState.REFUSED).value,
        "reason": new.reason,
        "left_out": new.left_out,
        "ended_at": None if can_be else now,
        "payload": new.payload,
        "created_at": now,
        "tries": 0,
    }
    whose = {"message": message, "target": new.target, "reference": reference, "municipality": municipality}
    made = insert_into(SHARE, connection.dialect.name).values(**whose, **its)
    connection.execute(
        made.on_conflict_do_update(
            index_elements=["message", "target"], set_=its, where=_S.state == ShareState.NOT_JOURNALED.value
        )
    )


_IS_JOURNALED = exists().where(_M.id == _S.message, _M.state.in_(JOURNALED))
_TURN = (
    select(_S.id)
    .where(_S.state == ShareState.WAITING.value, _S.due <= bindparam("now"), _IS_JOURNALED)
    .order_by(_S.due, _S.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(SHARE)
    .where(_S.id.in_(chosen_once(_TURN)))
    .values(state=ShareState.SENDING.value, owner=bindparam("node"), lease=bindparam("until"))
    .returning(_S.id, _S.reference, _S.municipality, _S.target, _S.tries, _S.payload, _S.lease)
)
# Nothing is put off for longer: the clock was ahead when it was.
_BRING_FORWARD = (
    update(SHARE).where(_S.state == ShareState.WAITING.value, _S.due > bindparam("latest")).values(due=bindparam("now"))
)


def claim(  # noqa: PLR0913 - what a claim says
    connection: Connection, node: str, *, now: float, until: float, most: int, longest: float
) -> list[DueShare]:
    """Take shares of journaled messages whose time has come; they are the node's until `until`.

    What is put off for more than `longest` seconds from now is due now.
    """
    connection.execute(_BRING_FORWARD, {"now": now, "latest": now + longest})
    rows = connection.execute(_CLAIM, {"now": now, "until": until, "most": most, "node": node})
    return sorted((DueShare(*row) for row in rows), key=lambda due: due.id)


# What was taken for lost is ours still, until a person decides: nobody knows better what became of it.
_OURS = (
    _S.id == bindparam("share"),
    _S.state.in_([ShareState.SENDING.value, ShareState.UNCLEAR.value]),
    _S.owner == bindparam("node"),
    _S.lease == bindparam("ours"),
)
_IS_EMPTY = _S.payload.is_(None)
_AGAIN = (
    update(SHARE)
    .where(*_OURS)
    .values(
        # Nothing is kept of what was forgotten, or will never be journaled.
        state=case((_IS_EMPTY, ShareState.GIVEN_UP.value), else_=ShareState.WAITING.value),
        reason=case((_IS_EMPTY, "nothing is kept of it any more"), else_=bindparam("because", type_=Text)),
        tries=_S.tries + 1,
        due=case((_IS_EMPTY, bindparam("now")), (_IS_JOURNALED, bindparam("next_try")), else_=null()),
        ended_at=None,
        owner=None,
        lease=None,
    )
)
_END = (
    update(SHARE)
    .where(*_OURS, _S.state != bindparam("into", type_=Text))
    .values(
        state=bindparam("into"),
        reason=bindparam("because"),
        tries=_S.tries + 1,
        due=None,
        ended_at=bindparam("now"),
        owner=None,
        lease=None,
        # A person may have what is unclear sent again.
        payload=case((bindparam("into", type_=Text) == ShareState.UNCLEAR.value, _S.payload), else_=None),
    )
)


def _lock_message(connection: Connection, share: int) -> None:
    """Have nobody change the state of a share's message before this transaction ends; SQLite has one writer."""
    whose = select(_S.message).where(_S.id == share).scalar_subquery()
    connection.execute(select(_M.id).where(_M.id == whose).with_for_update())


def again(  # noqa: PLR0913, PLR0917 - what became of it
    connection: Connection, due: DueShare, node: str, reason: str, next_try: float, now: float
) -> bool:
    """Put back a share that the service has not got; False where it is not ours any more."""
    _lock_message(connection, due.id)
    values = {"because": reason, "next_try": next_try, "now": now}
    return connection.execute(_AGAIN, {**_ours(due, node), **values}).rowcount == 1


def end(  # noqa: PLR0913, PLR0917 - what became of it
    connection: Connection, due: DueShare, node: str, state: ShareState, reason: str | None, now: float
) -> bool:
    """Write down what became of a share for good; False where that is known already, or it is not ours any more."""
    values = {"into": state.value, "because": reason, "now": now}
    return connection.execute(_END, {**_ours(due, node), **values}).rowcount == 1


def _ours(due: DueShare, node: str) -> dict[str, object]:
    return {"share": due.id, "node": node, "ours": due.lease}


_BEING_SENT = select(_S.id, _S.owner, _S.lease).where(_S.state == ShareState.SENDING.value)
_LOST = (
    update(SHARE)
    .where(_S.id == bindparam("share"), _S.state == ShareState.SENDING.value, _S.lease == bindparam("ended"))
    .values(state=ShareState.UNCLEAR.value, reason="unclear", ended_at=bindparam("now"))
    .returning(_S.reference, _S.municipality)
)


def recover(  # noqa: PLR0913 - what it goes by
    connection: Connection, node: str, leases: LeaseWatch, *, alone: bool, longest: float, now: float
) -> list[tuple[str, str]]:
    """Take what was with processes that are gone: whether it was shared is unclear. Return references and municipalities.

    `alone` says that no other process shares the ledger; `longest` is how many seconds a share may be with one process.
    """
    rows = connection.execute(_BEING_SENT).all()
    ended = leases.ended({row.id: row.lease for row in rows}, longest)
    lost = [row for row in rows if row.id in ended or (alone and row.owner != node)]
    found = [connection.execute(_LOST, {"share": row.id, "ended": row.lease, "now": now}).all() for row in lost]
    return [(row[0], row[1]) for each in found for row in each]


_IS_UNFINISHED = exists().where(_M.id == _S.message, _M.state.in_(_UNFINISHED))
"""Its message is on its way still, or promised, or a person decides: what is kept of it is kept for as long."""
_CREATED_BEFORE = _S.created_at < bindparam("before")


def _some(*conditions: ColumnElement[bool]) -> Any:
    """Return a look for rows beyond one, in their order, a part at a time: by a reader, so that no message waits."""
    return select(_S.id).where(_S.id > bindparam("after"), *conditions).order_by(_S.id).limit(_AT_ONCE)


_NAMED = _S.id.in_(bindparam("shares", expanding=True))
_TOO_OLD = (_S.state == ShareState.WAITING.value, _CREATED_BEFORE, ~_IS_UNFINISHED)
_UNCLEAR_TOO_OLD = (_S.state == ShareState.UNCLEAR.value, _CREATED_BEFORE, ~_IS_UNFINISHED, _S.payload.is_not(None))
_IS_TOLD = (_S.state != ShareState.GIVEN_UP.value) | _S.due.is_(None)
_HAS_ENDED = _S.state.not_in([ShareState.WAITING.value, ShareState.SENDING.value])
_GONE = (~exists().where(_M.id == _S.message), _HAS_ENDED, _IS_TOLD)
_CLEARED = (
    (
        _some(*_TOO_OLD),
        update(SHARE)
        .where(_NAMED, *_TOO_OLD)
        .values(state=ShareState.GIVEN_UP.value, reason="retention ended", due=_S.created_at, payload=None),
    ),
    # Of what is unclear for so long nothing is kept to send.
    (_some(*_UNCLEAR_TOO_OLD), update(SHARE).where(_NAMED, *_UNCLEAR_TOO_OLD).values(payload=None)),
    (_some(*_GONE), delete(SHARE).where(_NAMED, *_GONE)),
)


async def clear(store: "Database", before: float) -> None:
    """Give up what was created before a time and may be kept no longer, and delete what was shared of messages that are gone.

    What is given up is told of by whoever asks for `given_up`. Raises `LedgerUnavailable`.
    """
    for look, change in _CLEARED:
        after, values = 0, {"before": before}
        while found := await store.read(partial(_ids, look, {**values, "after": after})):
            await store.write(partial(_changed, change, {**values, "shares": found}))
            after = found[-1]


def _ids(look: Any, values: dict[str, Any], connection: Connection) -> list[int]:
    return list(connection.scalars(look, values))


def _changed(change: Any, values: dict[str, Any], connection: Connection) -> int:
    return connection.execute(change, values).rowcount


_UNTOLD = (
    select(_S.id)
    .where(_S.state == ShareState.GIVEN_UP.value, _S.due.is_not(None))
    .limit(_AT_ONCE)
    .with_for_update(skip_locked=True)
)
_TOLD = (
    update(SHARE)
    .where(_S.id.in_(chosen_once(_UNTOLD)))
    .values(due=None, ended_at=bindparam("now"))
    .returning(_S.reference, _S.municipality, _S.reason)
)


def given_up(connection: Connection, now: float) -> list[tuple[str, str, str]]:
    """Return references, municipalities and reasons of some that were given up and that nobody was told of; they are told of now."""
    return [(row[0], row[1], row[2]) for row in connection.execute(_TOLD, {"now": now})]


def forget(connection: Connection, messages: Sequence[int], now: float) -> int:
    """Give up what waits of some messages and forget what is kept of any; return how many that were."""
    whose = _S.message.in_(messages)
    given_up = {"state": ShareState.GIVEN_UP.value, "reason": "forgotten by a person", "due": now}
    number = connection.execute(update(SHARE).where(whose, _S.state == ShareState.WAITING.value).values(**given_up))
    connection.execute(update(SHARE).where(whose, _S.payload.is_not(None)).values(payload=None))
    return number.rowcount


def waiting(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many shares of journaled messages wait, by target and municipality."""
    wanted = (
        select(_S.target, _S.municipality, func.count())
        .where(_S.state == ShareState.WAITING.value, _S.due.is_not(None))
        .group_by(_S.target, _S.municipality)
    )
    return {(target, municipality): number for target, municipality, number in connection.execute(wanted)}


def of_message(connection: Connection, reference: str) -> list[Share]:
    """Return what is shared of a message."""
    # Until it is told of, `due` of what was given up says that.
    due = case((_S.state == ShareState.GIVEN_UP.value, null()), else_=_S.due)
    columns: list[Any] = [due if name == "due" else _S[name] for name in Share.__struct_fields__]
    rows = connection.execute(select(*columns).where(_S.reference == reference).order_by(_S.target))
    return [Share(row[0], ShareState(row[1]), *row[2:]) for row in rows]
