"""A cutover with all that has happened to it: read from its row, changed, and written again; pure."""

from typing import Any

import msgspec
from msgspec import Struct, structs

from gateway.cutovers.cells import Cells
from gateway.cutovers.plan import Plan, decoded, encoded, hash_of
from gateway.cutovers.states import EXECUTED, NEXT, WAITING, State
from gateway.ledger.cutovers import Row

SUBMITTED, CHANGED, APPROVAL, RETIRED = "submitted", "changed", "approval", "retired"
"""What a history says beside states."""


class Event(Struct, frozen=True, omit_defaults=True):
    """One line of a history."""

    at: float
    """Seconds since the epoch."""
    node: str
    what: str
    """A state that it came to, or `changed`, `approval`, `retired`."""
    by: str | None = None
    """Who did it, as the audit calls people; None: the gateway itself."""
    reason: str | None = None
    known: tuple[str, ...] = ()
    """By which the same person is known again: nobody approves a plan that they wrote."""
    hash: str | None = None


class Approval(Struct, frozen=True):
    """One person's word for exactly one plan."""

    at: float
    by: str
    known: tuple[str, ...]
    hash: str


class Report(Struct, frozen=True, omit_defaults=True):
    """What came of a cutover after it switched."""

    fine: int = 0
    failed: int = 0
    outcomes: dict[str, int] = {}
    reason: str | None = None
    """Of a rollback."""
    send_back: list[str] = []
    """Commands that list what the new side got and can be sent to VKP."""


class Record(Struct, frozen=True):
    """A cutover; times in seconds since the epoch."""

    plan: Plan
    text: str
    """The plan as it was written when it was given: what is approved."""
    state: State
    submitted_by: str
    submitted_at: float
    approvals: tuple[Approval, ...] = ()
    """Of the plan that is there."""
    switched_at: float | None = None
    ended_at: float | None = None
    """When nothing of it was left to do, and none of its routes lay over the file's any more."""
    report: Report | None = None
    version: int = 1
    """Grows with every change, so that two people cannot change it at once."""
    history: tuple[Event, ...] = ()
    owner: str | None = None
    lease: float | None = None

    @property
    def name(self) -> str:
        """By which people know it."""
        return self.plan.name

    @property
    def hash(self) -> str:
        """The SHA-256 of the plan; of what is written, so that whoever changes it in the database has no approvals."""
        return hash_of(self.text)

    @property
    def at(self) -> float:
        """When it is to switch."""
        return self.plan.at.timestamp()

    @property
    def cells(self) -> Cells:
        """What it touches."""
        return Cells(self.plan.routes)

    @property
    def is_executed(self) -> bool:
        """Whether its routes lie over those of the file."""
        return self.state in EXECUTED and self.ended_at is None

    @property
    def laid(self) -> tuple[bool, bool, str]:
        """What decides which of its routes lie over those of the file, or are planned to."""
        return self.is_executed, self.state in WAITING, self.hash

    @property
    def writers(self) -> frozenset[str]:
        """By what those are known who submitted it or changed its plan."""
        wrote = (event.known for event in self.history if event.what in (SUBMITTED, CHANGED))
        return frozenset(name for known in wrote for name in known)

    @property
    def lacking(self) -> int:
        """How many approvals are missing."""
        return max(0, self.plan.approvals - sum(each.hash == self.hash for each in self.approvals))

    def since(self, state: State) -> float:
        """Return when it last came to a state, or was submitted."""
        return next((event.at for event in reversed(self.history) if event.what == state.value), self.submitted_at)

    def moved(self, state: State, event: Event, **changed: Any) -> "Record":
        """Return it in another state; raises `ValueError` where that may not follow."""
        if state not in NEXT[self.state]:
            raise ValueError(f"a cutover that is {self.state} cannot be {state}")
        return structs.replace(self, state=state, history=(*self.history, event), **changed)

    def noted(self, event: Event, **changed: Any) -> "Record":
        """Return it in the same state with something that happened."""
        return structs.replace(self, history=(*self.history, event), **changed)


def begun(plan: Plan, event: Event) -> Record:
    """Return the record of a plan that somebody has submitted."""
    record = Record(plan, encoded(plan), State.SUBMITTED, event.by or "", event.at, history=(event,))
    return approved_enough(record, event)


def replanned(record: Record, plan: Plan, event: Event) -> Record:
    """Return it with another plan, which nobody has approved."""
    new = structs.replace(
        record,
        plan=plan,
        text=encoded(plan),
        state=State.SUBMITTED,
        approvals=(),
        ended_at=None,
        report=None,
        history=(*record.history, event),
    )
    return approved_enough(new, event)


def approved(record: Record, approval: Approval, event: Event) -> Record:
    """Return it with another person's approval of the plan that is there; raises `ValueError` for that of another plan."""
    if approval.hash != record.hash:
        raise ValueError("the approval is of another plan")
    return approved_enough(record.noted(event, approvals=(*record.approvals, approval)), event)


def approved_enough(record: Record, event: Event) -> Record:
    """Return it approved where enough people have said so."""
    if record.lacking or record.state is not State.SUBMITTED:
        return record
    told = f"{len(record.approvals)} of {record.plan.approvals} approvals"
    return record.moved(State.APPROVED, Event(event.at, event.node, State.APPROVED.value, reason=told))


def of_row(row: Row) -> Record:
    """Read a row."""
    return Record(
        plan=decoded(row.plan),
        text=row.plan,
        state=State(row.state),
        approvals=msgspec.json.decode(row.approvals, type=tuple[Approval, ...]),
        report=None if row.report is None else msgspec.json.decode(row.report, type=Report),
        history=msgspec.json.decode(row.history, type=tuple[Event, ...]),
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
    )


def to_row(record: Record) -> Row:
    """Write a record."""
    return Row(
        name=record.name,
        plan=record.text,
        hash=record.hash,
        state=record.state.value,
        at=record.at,
        approvals=msgspec.json.encode(record.approvals).decode(),
        report=None if record.report is None else msgspec.json.encode(record.report).decode(),
        history=msgspec.json.encode(record.history).decode(),
        **{name: getattr(record, name) for name in _AS_THEY_ARE},
    )


_AS_THEY_ARE = ("submitted_by", "submitted_at", "switched_at", "ended_at", "version", "owner", "lease")
