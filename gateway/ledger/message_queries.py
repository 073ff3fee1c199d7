"""What may be seen of messages: where each is and how it came there; never its payload, nor a hash of anything in it."""

import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, false, func, or_, select, true, tuple_

from gateway.ledger import shares
from gateway.ledger.records import MessageState
from gateway.ledger.tables import MESSAGE, PATIENT_NUMBER, RUN

M = MESSAGE.c
POSSIBLE_DUPLICATE, IDENTIFIER_REUSED = "possible-duplicate", "identifier-reused"
_SHOWN = (
    *(M.id, M.reference, M.received_at, M.surface, M.municipality, M.sender, M.vendor, M.system, M.information),
    *(M.state, M.reason, M.promised, M.attempts, M.due, M.upstream, M.event_id, M.delivered_at, M.overdue_at),
    *(M.overdue, M.status, M.possible_duplicate, M.identifier_reused, M.payload.is_not(None).label("has_payload")),
)
LOOKS = 10_000
"""Rows of an index that one search looks at: a tenth of a second."""
_SELDOM = frozenset(MessageState) - {
    *(MessageState.DELIVERED, MessageState.READ, MessageState.ACKNOWLEDGED, MessageState.PASSED)
}
"""States that few messages of a large ledger are in."""
_LINE = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT[0-9:.]+\+00:00) (?P<node>\S+) (?P<state>\S+) ?(?P<reason>.*)")


def marks_of(possible_duplicate: bool, identifier_reused: bool) -> list[str]:
    """Return the marks of a message by what is odd about its delivery."""
    marks = ((POSSIBLE_DUPLICATE, possible_duplicate), (IDENTIFIER_REUSED, identifier_reused))
    return [name for name, is_so in marks if is_so]


class Shown(Struct, frozen=True):
    """A message as it may be shown; times in seconds since the epoch."""

    id: int
    reference: str
    received_at: float
    surface: str
    municipality: str
    sender: str
    vendor: str | None
    system: str | None
    information: str | None
    state: str
    reason: str | None
    promised: bool
    attempts: int
    due: float | None
    """When something is done about it next; of a quarantined one since when it is there."""
    upstream: str | None
    event_id: str | None
    delivered_at: float | None
    overdue_at: float | None
    overdue: bool
    status: int | None
    """What VKP answered, where it passed."""
    possible_duplicate: bool
    identifier_reused: bool
    has_payload: bool

    @property
    def marks(self) -> list[str]:
        """What a reader of the record should know."""
        return marks_of(self.possible_duplicate, self.identifier_reused)


class MessageFilter(Struct, frozen=True):
    """Which messages; None does not narrow."""

    within: Collection[str] | None
    """The municipalities that whoever asks may see; None is all."""
    municipality: str | None = None
    state: MessageState | None = None
    sender: str | None = None
    information: str | None = None
    patient: str | None = None
    """Keyed hash of the patient's number."""
    overdue: bool = False
    mark: str | None = None
    since: float | None = None
    """The first moment at which it was received."""
    until: float | None = None
    """The first moment after the last."""


class Step(Struct, frozen=True):
    """One line of a history."""

    at: str
    node: str
    state: str
    reason: str | None


def reachable(within: Collection[str] | None) -> list[ColumnElement[bool]]:
    """Return the condition that a message is of one of these municipalities; none for all."""
    return [] if within is None else [M.municipality.in_(list(within))]


def is_about(patient: str) -> ColumnElement[bool]:
    """Return the condition that a message is about the patient who has this number, by its keyed hash, perhaps beside others."""
    also = select(PATIENT_NUMBER.c.message).where(PATIENT_NUMBER.c.patient == patient)
    return or_(M.patient == patient, M.id.in_(also))


class PagePlace(Struct, frozen=True):
    """Where a list goes on: after the message of this id, received then."""

    received_at: float
    id: int


class MessagesPage(Struct, frozen=True):
    """A part of a list of messages, the newest first."""

    messages: list[Shown]
    next: PagePlace | None
    """None where nothing follows. With few messages, or none, so many others were looked at that it is time to answer."""


def messages(
    connection: Connection, wanted: MessageFilter, most: int, after: PagePlace | None = None, *, looks: int = LOOKS
) -> MessagesPage:
    """Return the newest messages first, or those that follow a place of the list.

    By one index, in its order, and never more than `looks` of its rows, so that no search of a large ledger takes long.
    """
    first, others = _conditions(wanted)
    if after is not None:
        first.append(tuple_(M.received_at, M.id) < (after.received_at, after.id))
    order = (M.received_at.desc(), M.id.desc())
    looked_at = select(M.id).where(*first).order_by(*order)
    statement = select(*_SHOWN).where(*first).order_by(*order).limit(most + 1)
    if others:
        some = looked_at.limit(looks).subquery()
        statement = select(*_SHOWN).join(some, some.c.id == M.id).where(*others).order_by(*order).limit(most + 1)
    found = [_shown(row) for row in connection.execute(statement)]
    if len(found) > most:
        return MessagesPage(found[:most], PagePlace(found[most - 1].received_at, found[most - 1].id))
    last = looked_at.add_columns(M.received_at).offset(looks - 1).limit(1)
    row = connection.execute(last).one_or_none() if others else None
    return MessagesPage(found, None if row is None else PagePlace(row.received_at, row.id))


def message(
    connection: Connection, reference: str, within: Collection[str] | None
) -> tuple[Shown, tuple[Step, ...], list[shares.Share]] | None:
    """Return a message with its history and what of it is shared; None where there is none within these municipalities."""
    statement = select(*_SHOWN, M.history).where(M.reference == reference, *reachable(within))
    row = connection.execute(statement).one_or_none()
    return None if row is None else (_shown(row), steps(row.history), shares.of_message(connection, reference))


def unclear(connection: Connection) -> dict[str, int]:
    """Return how many quarantined messages were sent and never answered, by municipality."""
    wanted = (
        select(M.municipality, func.count())
        .where(M.state == MessageState.QUARANTINED.value, M.reason == "unclear")
        .group_by(M.municipality)
    )
    return {municipality: int(number) for municipality, number in connection.execute(wanted)}


def last_run(connection: Connection, job: str) -> float | None:
    """Return when a regular job last ended well."""
    return connection.execute(select(RUN.c.at).where(RUN.c.job == job)).scalar_one_or_none()


def steps(history: str) -> tuple[Step, ...]:
    """Return a history line by line; a reason of several lines stays one."""
    found: list[Step] = []
    for line in history.splitlines():
        if parts := _LINE.fullmatch(line):
            found.append(Step(parts["at"], parts["node"], parts["state"], parts["reason"] or None))
        elif found:
            last = found.pop()
            found.append(Step(last.at, last.node, last.state, f"{last.reason or ''} {line}".strip()))
    return tuple(found)


def _conditions(wanted: MessageFilter) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """Return the conditions by which an index is gone through, and those that its rows are held to."""
    times = []
    if wanted.since is not None:
        times.append(M.received_at >= wanted.since)
    if wanted.until is not None:
        times.append(M.received_at < wanted.until)
    first, *others = _indexed(wanted) or [true()]
    if wanted.information is not None:
        others.append(M.information == wanted.information)
    return [*times, first], others


def _indexed(wanted: MessageFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that each have an index, first the one that leaves the fewest messages."""
    state = [] if wanted.state is None else [M.state == wanted.state.value]
    is_seldom = wanted.state in _SELDOM
    found = [is_about(wanted.patient)] if wanted.patient is not None else []
    if wanted.mark is not None:
        marks = {POSSIBLE_DUPLICATE: M.possible_duplicate, IDENTIFIER_REUSED: M.identifier_reused}
        found.append(marks.get(wanted.mark, false()))
    found += [M.overdue] if wanted.overdue else []
    found += state if is_seldom else []
    found += [M.sender == wanted.sender] if wanted.sender is not None else []
    found += [M.municipality == wanted.municipality] if wanted.municipality is not None else []
    found += reachable(wanted.within)
    return found if is_seldom else found + state


def _shown(row: Any) -> Shown:
    return Shown(**{name: getattr(row, name) for name in Shown.__struct_fields__})
