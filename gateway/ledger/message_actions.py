"""What people do to messages, each together with its entry in the audit: both are written, or neither."""

from collections.abc import Collection

from msgspec import Struct, structs
from sqlalchemy import Connection, Update, bindparam, delete, func, or_, select, update
from sqlalchemy.types import Text

from gateway.ledger import audit, shares
from gateway.ledger.message_queries import is_about, reachable
from gateway.ledger.records import UNFINISHED, MessageState
from gateway.ledger.shares import JOURNALED, ShareState
from gateway.ledger.tables import MESSAGE, PATIENT_NUMBER, SHARE

M, S = MESSAGE.c, SHARE.c
Reach = Collection[str] | None
"""The municipalities that an action may touch; None is all."""

_NOTED = M.history.concat(bindparam("line", type_=Text))
_AT_ONCE = 500
"""How many ids one statement names."""
_QUARANTINED = M.state == MessageState.QUARANTINED.value


class Done(Struct, frozen=True):
    """An action that was done; `state` is what the message is now."""

    reference: str
    municipality: str
    state: MessageState


class NotDone(Struct, frozen=True):
    """An action that was not done, and nothing was changed."""

    reason: str


class SealedMessage(Struct, frozen=True):
    """What is kept of a message, sealed."""

    reference: str
    payload: bytes


class Left(Struct, frozen=True):
    """A message of a patient that somebody or something still needs."""

    reference: str
    municipality: str
    state: MessageState


class Forgotten(Struct, frozen=True):
    """What became of a patient's messages."""

    messages: int
    """That can no longer be found by the patient, and have no payload."""
    left: tuple[Left, ...]
    not_shared: int = 0
    """Of the forgotten ones, those that were still to be shared with another service, and are not any more."""


def release(
    connection: Connection, reference: str, within: Reach, note: audit.Note, line: str
) -> Done | NotDone | None:
    """Hold a quarantined message again, to be delivered now; None where there is none within these municipalities.

    `line` is added to its history. Nobody knows of an unclear one whether it is there already, so it is marked.
    """
    changed = (
        update(MESSAGE)
        .where(_QUARANTINED, M.payload.is_not(None), M.event_id.is_(None))
        .values(
            state=MessageState.HELD.value,
            reason=None,
            due=note.at,
            attempts=0,
            tries=0,
            owner=None,
            lease=None,
            possible_duplicate=or_(M.possible_duplicate, func.coalesce(M.reason, "") == "unclear"),
            history=_NOTED,
        )
    )
    return _change(connection, changed, MessageState.HELD, reference, within, note, line)


def resend(connection: Connection, reference: str, within: Reach, note: audit.Note, line: str) -> Done | NotDone | None:
    """Likewise, and have one that is held tried now: its turn among its patient's messages stays."""
    found = release(connection, reference, within, note, line)
    if not isinstance(found, NotDone):
        return found
    sooner = (
        update(MESSAGE).where(M.state == MessageState.HELD.value, M.due > note.at).values(due=note.at, history=_NOTED)
    )
    tried = _change(connection, sooner, MessageState.HELD, reference, within, note, line)
    return found if isinstance(tried, NotDone) else tried


def discard(
    connection: Connection, reference: str, within: Reach, note: audit.Note, line: str
) -> Done | NotDone | None:
    """Give a quarantined message up, and forget its payload; None where there is none within these municipalities."""
    changed = (
        update(MESSAGE)
        .where(_QUARANTINED)
        .values(
            state=MessageState.DISCARDED.value, reason="discarded by a person", due=None, payload=None, history=_NOTED
        )
    )
    return _change(connection, changed, MessageState.DISCARDED, reference, within, note, line)


def decide_share(  # noqa: PLR0913, PLR0917 - what an action is
    connection: Connection, reference: str, target: str, within: Reach, note: audit.Note, into: ShareState
) -> ShareState | NotDone | None:
    """Have an unclear share sent again (`WAITING`) or give it up (`DISCARDED`); None where there is none within these municipalities.

    Returns what it is now. One that is sent again may be with the service twice.
    """
    whose = (S.reference == reference, S.target == target, *([] if within is None else [S.municipality.in_(within)]))
    # Its state must not change meanwhile: by that the share has a time, or none.
    state = connection.execute(select(M.state).where(M.reference == reference).with_for_update()).scalar_one_or_none()
    row = connection.execute(select(S.state, S.payload.is_(None).label("is_empty")).where(*whose)).one_or_none()
    if row is None:
        return None
    if row.state != ShareState.UNCLEAR.value:
        return NotDone(f"it is {row.state}, not unclear")
    is_again = into is ShareState.WAITING
    if is_again and row.is_empty:
        return NotDone("nothing is kept of it any more")
    again = {"due": note.at if state in JOURNALED else None, "ended_at": None}
    ended = {"due": None, "ended_at": note.at, "payload": None, "reason": "discarded by a person"}
    changed = update(SHARE).where(*whose, S.state == ShareState.UNCLEAR.value)
    connection.execute(changed.values(state=into.value, owner=None, lease=None, **(again if is_again else ended)))
    audit.write(connection, note)
    return into


def payload(connection: Connection, reference: str, within: Reach, note: audit.Note) -> SealedMessage | NotDone | None:
    """Return what is kept of a message to whoever the audit then names; None where there is none within these municipalities."""
    row = connection.execute(
        select(M.reference, M.payload).where(M.reference == reference, *reachable(within))
    ).one_or_none()
    if row is None:
        return None
    if row.payload is None:
        return NotDone("nothing is kept of the message any more")
    audit.write(connection, note)
    return SealedMessage(row.reference, bytes(row.payload))


def forget(connection: Connection, patient: str, within: Reach, note: audit.Note, line: str) -> Forgotten:
    """Forget the payloads of a patient's messages, and that they are the patient's; what is waited for is left as it is.

    What is still to be shared of the forgotten ones is given up, which is told of as such.

    `patient` is the keyed hash of any of the patient's numbers. By what a message calls itself it is still known, so a copy is not delivered.
    """
    whose = (is_about(patient), *reachable(within))
    waiting = [state.value for state in UNFINISHED]
    changed = (
        update(MESSAGE)
        .where(*whose, M.state.not_in(waiting))
        .values(payload=None, patient=None, history=_NOTED)
        .returning(M.id)
    )
    forgotten, given_up = [row.id for row in connection.execute(changed, {"line": line})], 0
    for first in range(0, len(forgotten), _AT_ONCE):
        some = forgotten[first : first + _AT_ONCE]
        connection.execute(delete(PATIENT_NUMBER).where(PATIENT_NUMBER.c.message.in_(some)))
        given_up += shares.forget(connection, some, note.at)
    rows = connection.execute(select(M.reference, M.municipality, M.state).where(*whose).order_by(M.id))
    left = tuple(Left(row.reference, row.municipality, MessageState(row.state)) for row in rows)
    told = f"{len(forgotten)} forgotten, {len(left)} left"
    if given_up:
        told = f"{told}, {given_up} not shared"
    audit.write(connection, structs.replace(note, detail=told))
    return Forgotten(len(forgotten), left, given_up)


def _change(  # noqa: PLR0913, PLR0917 - what an action is
    connection: Connection,
    changed: Update,
    into: MessageState,
    reference: str,
    within: Reach,
    note: audit.Note,
    line: str,
) -> Done | NotDone | None:
    ours = changed.where(M.reference == reference, *reachable(within)).returning(M.municipality)
    row = connection.execute(ours, {"line": line}).one_or_none()
    if row is None:
        return _why_not(connection, reference, within)
    audit.write(connection, note)
    return Done(reference, row.municipality, into)


def _why_not(connection: Connection, reference: str, within: Reach) -> NotDone | None:
    wanted = select(M.state, M.event_id, M.payload.is_(None).label("is_empty"))
    row = connection.execute(wanted.where(M.reference == reference, *reachable(within))).one_or_none()
    if row is None:
        return None
    if row.state != MessageState.QUARANTINED.value:
        return NotDone(f"the message is {row.state}, not quarantined")
    if row.event_id is not None:
        return NotDone(f"the service has it already, as event {row.event_id}")
    return NotDone("nothing is kept of the message any more")
