"""What may be seen of messages: where each is and how it came there; never its payload, nor a hash of anything in it."""

import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, false, or_, select

from gateway.ledger.records import MessageState
from gateway.ledger.tables import MESSAGE, PATIENT_NUMBER, RUN

M = MESSAGE.c
POSSIBLE_DUPLICATE, IDENTIFIER_REUSED = "possible-duplicate", "identifier-reused"
_SHOWN = (
    *(M.id, M.reference, M.received_at, M.surface, M.municipality, M.sender, M.vendor, M.system, M.information),
    *(M.state, M.reason, M.promised, M.attempts, M.due, M.upstream, M.event_id, M.delivered_at, M.overdue_at),
    *(M.overdue, M.status, M.possible_duplicate, M.identifier_reused, M.payload.is_not(None).label("has_payload")),
)
_LINE = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT[0-9:.]+\+00:00) (?P<node>\S+) (?P<state>\S+) ?(?P<reason>.*)")


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
        marks = ((POSSIBLE_DUPLICATE, self.possible_duplicate), (IDENTIFIER_REUSED, self.identifier_reused))
        return [name for name, is_so in marks if is_so]


class Filter(Struct, frozen=True):
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


def messages(connection: Connection, wanted: Filter, most: int, before: int | None = None) -> list[Shown]:
    """Return the newest messages first, or those before an id."""
    statement = select(*_SHOWN).where(*_conditions(wanted)).order_by(M.id.desc()).limit(most)
    if before is not None:
        statement = statement.where(M.id < before)
    return [_shown(row) for row in connection.execute(statement)]


def message(
    connection: Connection, reference: str, within: Collection[str] | None
) -> tuple[Shown, tuple[Step, ...]] | None:
    """Return a message with its history; None where there is none within these municipalities."""
    statement = select(*_SHOWN, M.history).where(M.reference == reference, *reachable(within))
    row = connection.execute(statement).one_or_none()
    return None if row is None else (_shown(row), steps(row.history))


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


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    named = ("municipality", "state", "sender", "information")
    given = {name: getattr(wanted, name) for name in named}
    conditions = [M[name] == str(value) for name, value in given.items() if value is not None]
    conditions += reachable(wanted.within)
    if wanted.patient is not None:
        conditions.append(is_about(wanted.patient))
    if wanted.overdue:
        conditions.append(M.overdue)
    if wanted.mark is not None:
        marks = {POSSIBLE_DUPLICATE: M.possible_duplicate, IDENTIFIER_REUSED: M.identifier_reused}
        conditions.append(marks.get(wanted.mark, false()))
    if wanted.since is not None:
        conditions.append(M.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(M.received_at < wanted.until)
    return conditions


def _shown(row: Any) -> Shown:
    return Shown(**{name: getattr(row, name) for name in Shown.__struct_fields__})
