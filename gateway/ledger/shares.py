"""What of a journaled message is shared with another service: written with the message, sent once it is journaled, once.

A share waits while its message is on the way. Where nobody knows whether the service has it, it is not sent again.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, case, delete, exists, func, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import Text

from gateway.ledger.records import MessageState
from gateway.ledger.tables import MESSAGE, SHARE

_S, _M = SHARE.c, MESSAGE.c
_JOURNALED = [state.value for state in (MessageState.DELIVERED, MessageState.READ, MessageState.ACKNOWLEDGED)]
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
    """The service did not take it for as long as it may be kept."""


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
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(SHARE)
    can_be = new.payload is not None
    values = {
        "message": message,
        "target": new.target,
        "reference": reference,
        "municipality": municipality,
        "state": (ShareState.WAITING if can_be else ShareState.REFUSED).value,
        "reason": new.reason,
        "left_out": new.left_out,
        "created_at": now,
        "due": now if can_be else None,
        "ended_at": None if can_be else now,
        "payload": new.payload,
    }
    connection.execute(insert.values(**values).on_conflict_do_nothing(index_elements=["message", "target"]))


_IS_JOURNALED = exists().where(_M.id == _S.message, _M.state.in_(_JOURNALED))
_TURN = (
    select(_S.id)
    .where(_S.state == ShareState.WAITING.value, _S.due <= bindparam("now"), _IS_JOURNALED)
    .order_by(_S.due, _S.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(SHARE)
    .where(_S.id.in_(_TURN.scalar_subquery()))
    .values(state=ShareState.SENDING.value, owner=bindparam("node"), lease=bindparam("until"))
    .returning(_S.id, _S.reference, _S.municipality, _S.target, _S.tries, _S.payload)
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


_OURS = (_S.id == bindparam("share"), _S.state == ShareState.SENDING.value, _S.owner == bindparam("node"))
_AGAIN = (
    update(SHARE)
    .where(*_OURS)
    .values(
        state=ShareState.WAITING.value,
        reason=bindparam("because"),
        tries=_S.tries + 1,
        due=bindparam("next_try"),
        owner=None,
        lease=None,
    )
)
_END = (
    update(SHARE)
    .where(*_OURS)
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


def again(connection: Connection, share: int, node: str, reason: str, next_try: float) -> bool:
    """Put back a share that the service has not got."""
    values = {"share": share, "node": node, "because": reason, "next_try": next_try}
    return connection.execute(_AGAIN, values).rowcount == 1


def end(  # noqa: PLR0913, PLR0917 - what became of it
    connection: Connection, share: int, node: str, state: ShareState, reason: str | None, now: float
) -> bool:
    """Write down what became of a share for good."""
    values = {"share": share, "node": node, "into": state.value, "because": reason, "now": now}
    return connection.execute(_END, values).rowcount == 1


def recover(
    connection: Connection, node: str, *, alone: bool, ended_before: float, now: float
) -> list[tuple[str, str]]:
    """Take what was with processes that are gone: whether it was shared is unclear. Return references and municipalities.

    `alone` says that no other process shares the ledger.
    """
    lost = or_(_S.lease < ended_before, _S.owner != node) if alone else _S.lease < ended_before
    changed = (
        update(SHARE)
        .where(_S.state == ShareState.SENDING.value, lost)
        .values(state=ShareState.UNCLEAR.value, reason="unclear", ended_at=now, owner=None, lease=None)
        .returning(_S.reference, _S.municipality)
    )
    return [(row[0], row[1]) for row in connection.execute(changed)]


def give_up(connection: Connection, *, before: float, now: float) -> list[tuple[str, str]]:
    """End what waits for longer than it may be kept; return references and municipalities of what was journaled.

    What was never journaled is ended likewise, and nobody need hear of it. Of what is unclear for so long nothing is kept to send.
    """
    is_old = (_S.state == ShareState.UNCLEAR.value, _S.created_at < before, _S.payload.is_not(None))
    connection.execute(update(SHARE).where(*is_old).values(payload=None))
    changed = (
        update(SHARE)
        .where(_S.state == ShareState.WAITING.value, _S.created_at < before)
        .values(
            state=ShareState.GIVEN_UP.value,
            reason=case((_IS_JOURNALED, "retention ended"), else_="not journaled"),
            due=null(),
            ended_at=now,
            payload=None,
        )
        .returning(_S.reference, _S.municipality, _S.reason)
    )
    return [(row[0], row[1]) for row in connection.execute(changed) if row[2] == "retention ended"]


def waiting(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many shares of journaled messages wait, by target and municipality."""
    wanted = (
        select(_S.target, _S.municipality, func.count())
        .where(_S.state == ShareState.WAITING.value, _IS_JOURNALED)
        .group_by(_S.target, _S.municipality)
    )
    return {(target, municipality): number for target, municipality, number in connection.execute(wanted)}


def of_message(connection: Connection, reference: str) -> list[Share]:
    """Return what is shared of a message."""
    columns: list[Any] = [_S[name] for name in Share.__struct_fields__]
    rows = connection.execute(select(*columns).where(_S.reference == reference).order_by(_S.target))
    return [Share(row[0], ShareState(row[1]), *row[2:]) for row in rows]


_DELETE_GONE = delete(SHARE).where(~exists().where(_M.id == _S.message))


def purge(connection: Connection) -> int:
    """Delete what was shared of messages that are forgotten; return how many rows."""
    return connection.execute(_DELETE_GONE).rowcount
