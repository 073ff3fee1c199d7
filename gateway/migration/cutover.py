"""The states of a cutover and which may follow which; pure."""

from enum import Enum, StrEnum
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, structs

from gateway.counting import counted
from gateway.ledger import cutovers as store
from gateway.ledger.cutovers import Row
from gateway.migration.cells import Cells
from gateway.migration.cutover_plan import Plan, decoded, encoded, hash_of
from gateway.migration.schedule import GRACE, Timing, timing
from gateway.routing.diff import Change


class CutoverState(StrEnum):
    """How far a cutover has come."""

    SUBMITTED = "submitted"
    """Its plan is there; it lacks approvals."""
    APPROVED = "approved"
    """Enough people approved exactly this plan; it waits for its time."""
    DRAINING = "draining"
    """Its gate said yes; what is under way on its cells is let finish."""
    SWITCHED = "switched"
    """Its routes lie over those of the file."""
    WATCHING = "watching"
    """Likewise, and its own rule may still roll it back."""
    FINISHED = "finished"
    """Likewise, and only a person rolls it back; its routes stay until the file says the same."""
    ROLLED_BACK = "rolled_back"
    """Its routes were taken away again, by its own rule or by a person; for good."""
    MISSED = "missed"
    """Nothing switched it at its time; a person may start it now, or give it another."""
    CANCELLED = "cancelled"
    """A person called it off."""
    REFUSED = "refused"
    """Its gate, or something else that must hold, said no at its time, or just before it switched."""
    REJECTED = "rejected"
    """Somebody who could have approved it said no, and why."""


NEXT: dict[CutoverState, frozenset[CutoverState]] = {
    CutoverState.SUBMITTED: frozenset(
        {CutoverState.APPROVED, CutoverState.MISSED, CutoverState.CANCELLED, CutoverState.REJECTED}
    ),
    # Another plan voids the approvals.
    CutoverState.APPROVED: frozenset(
        {
            CutoverState.SUBMITTED,
            CutoverState.DRAINING,
            CutoverState.MISSED,
            CutoverState.CANCELLED,
            CutoverState.REFUSED,
            CutoverState.REJECTED,
        }
    ),
    # The file may have become another while it drained.
    CutoverState.DRAINING: frozenset(
        {CutoverState.SWITCHED, CutoverState.MISSED, CutoverState.CANCELLED, CutoverState.REFUSED}
    ),
    CutoverState.SWITCHED: frozenset({CutoverState.WATCHING, CutoverState.FINISHED, CutoverState.ROLLED_BACK}),
    CutoverState.WATCHING: frozenset({CutoverState.FINISHED, CutoverState.ROLLED_BACK}),
    CutoverState.FINISHED: frozenset({CutoverState.ROLLED_BACK}),
    CutoverState.ROLLED_BACK: frozenset(),
    CutoverState.MISSED: frozenset({CutoverState.SUBMITTED, CutoverState.DRAINING, CutoverState.CANCELLED}),
    CutoverState.CANCELLED: frozenset({CutoverState.SUBMITTED}),
    CutoverState.REFUSED: frozenset({CutoverState.SUBMITTED, CutoverState.CANCELLED}),
    CutoverState.REJECTED: frozenset({CutoverState.SUBMITTED, CutoverState.CANCELLED}),
}
"""Which states may follow; every other change is a defect."""

EXECUTED = frozenset(map(CutoverState, store.EXECUTED))
"""Its routes lie over those of the file, until it is retired."""
WAITING = frozenset(map(CutoverState, store.WAITING))
"""Its routes may still come to lie over those of the file as the plan says."""
CHANGEABLE = frozenset(
    {CutoverState.SUBMITTED, *(state for state, later in NEXT.items() if CutoverState.SUBMITTED in later)}
)
"""Another plan may take the place of the one that is there."""
STARTABLE = frozenset(state for state, later in NEXT.items() if CutoverState.DRAINING in later)
"""A person may have it applied now."""
CANCELLABLE = frozenset(state for state, later in NEXT.items() if CutoverState.CANCELLED in later)
REJECTABLE = frozenset(state for state, later in NEXT.items() if CutoverState.REJECTED in later)

SUBMITTED, CHANGED, POSTPONED = "submitted", "changed", "postponed"
"""What a history says of who wrote a plan."""
APPROVAL, RETIRED = "approval", "retired"
"""What it says beside these and states."""


StoppedBy: TypeAlias = str | int | float | Change | None
"""A value that says more of a finding; times in seconds since the epoch."""


class Stopped(Struct, frozen=True, omit_defaults=True):
    """A finding that refused a cutover, kept as it was then: `preflight.Finding` says what each part is."""

    check: str
    text: str
    code: str
    values: dict[str, StoppedBy] = {}


class CutoverEvent(Struct, frozen=True, omit_defaults=True):
    """One line of a history."""

    at: float
    """Seconds since the epoch."""
    node: str
    what: str
    """A state that it came to, or `changed`, `postponed`, `approval`, `retired`."""
    by: str | None = None
    """Who did it, as the audit calls people; None: the gateway itself."""
    reason: str | None = None
    known: tuple[str, ...] = ()
    """By which the same person is known again: nobody approves a plan that they wrote."""
    hash: str | None = None
    found: tuple[Stopped, ...] = ()
    """Of a refusal by the gateway: what stopped it."""


class Approval(Struct, frozen=True, omit_defaults=True):
    """One person's word for exactly one plan."""

    at: float
    by: str
    known: tuple[str, ...]
    hash: str
    comment: str | None = None


class CutoverReport(Struct, frozen=True, omit_defaults=True):
    """What came of a cutover after it switched."""

    fine: int = 0
    failed: int = 0
    outcomes: dict[str, int] = {}
    reason: str | None = None
    """Of a rollback."""
    send_back: list[str] = []
    """Commands that list what the new side got and can be sent to VKP."""
    changed: list[Change] = []
    """What its cells were when it switched, and became; of many the first."""


class Cutover(Struct, frozen=True):
    """A cutover; times in seconds since the epoch."""

    plan: Plan
    text: str
    """The plan as it was written when it was given: what is approved."""
    state: CutoverState
    submitted_by: str
    submitted_at: float
    approvals: tuple[Approval, ...] = ()
    """Of the plan that is there."""
    switched_at: float | None = None
    ended_at: float | None = None
    """When nothing of it was left to do, and none of its routes lay over the file's any more."""
    report: CutoverReport | None = None
    version: int = 1
    """Grows with every change, so that two people cannot change it at once."""
    history: tuple[CutoverEvent, ...] = ()
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
        wrote = (event.known for event in self.history if event.what in (SUBMITTED, CHANGED, POSTPONED))
        return frozenset(name for known in wrote for name in known)

    @property
    def lacking(self) -> int:
        """How many approvals are missing."""
        return max(0, self.plan.approvals - sum(each.hash == self.hash for each in self.approvals))

    def since(self, state: CutoverState) -> float:
        """Return when it last came to a state, or was submitted."""
        return next((event.at for event in reversed(self.history) if event.what == state.value), self.submitted_at)

    def moved(self, state: CutoverState, event: CutoverEvent, **changed: Any) -> "Cutover":
        """Return it in another state; raises `ValueError` where that may not follow."""
        if state not in NEXT[self.state]:
            raise ValueError(f"a cutover that is {self.state} cannot be {state}")
        return structs.replace(self, state=state, history=(*self.history, event), **changed)

    def noted(self, event: CutoverEvent, **changed: Any) -> "Cutover":
        """Return it in the same state with something that happened."""
        return structs.replace(self, history=(*self.history, event), **changed)


def begun(plan: Plan, event: CutoverEvent) -> Cutover:
    """Return the record of a plan that somebody has submitted."""
    record = Cutover(plan, encoded(plan), CutoverState.SUBMITTED, event.by or "", event.at, history=(event,))
    return approved_enough(record, event)


def replanned(record: Cutover, plan: Plan, event: CutoverEvent) -> Cutover:
    """Return it with another plan, which nobody has approved."""
    new = structs.replace(
        record,
        plan=plan,
        text=encoded(plan),
        state=CutoverState.SUBMITTED,
        approvals=(),
        ended_at=None,
        report=None,
        history=(*record.history, event),
    )
    return approved_enough(new, event)


def approved(record: Cutover, approval: Approval, event: CutoverEvent) -> Cutover:
    """Return it with another person's approval of the plan that is there; raises `ValueError` for that of another plan."""
    if approval.hash != record.hash:
        raise ValueError("the approval is of another plan")
    return approved_enough(record.noted(event, approvals=(*record.approvals, approval)), event)


def approved_enough(record: Cutover, event: CutoverEvent) -> Cutover:
    """Return it approved where enough people have said so."""
    if record.lacking or record.state is not CutoverState.SUBMITTED:
        return record
    told = f"{len(record.approvals)} of {counted(record.plan.approvals, 'approval')}"
    return record.moved(
        CutoverState.APPROVED, CutoverEvent(event.at, event.node, CutoverState.APPROVED.value, reason=told)
    )


def of_row(row: Row) -> Cutover:
    """Read a row."""
    return Cutover(
        plan=decoded(row.plan),
        text=row.plan,
        state=CutoverState(row.state),
        approvals=msgspec.json.decode(row.approvals, type=tuple[Approval, ...]),
        report=None if row.report is None else msgspec.json.decode(row.report, type=CutoverReport),
        history=msgspec.json.decode(row.history, type=tuple[CutoverEvent, ...]),
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
    )


def to_row(record: Cutover) -> Row:
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


class Step(Enum):
    """What a node does next."""

    WAIT = "wait"
    MISS = "miss"
    """Say that nothing applied it at its time."""
    BEGIN = "begin"
    """Check its gate again, and drain."""
    DRAIN = "drain"
    """Switch as soon as nothing of its cells is under way from before."""
    SETTLE = "settle"
    """Begin to watch it."""
    WATCH = "watch"
    RETIRE = "retire"
    """Take its routes away when the file says the same."""


_BY_STATE = {CutoverState.SWITCHED: Step.SETTLE, CutoverState.WATCHING: Step.WATCH, CutoverState.FINISHED: Step.RETIRE}


def next_of(record: Cutover, now: float) -> Step:
    """Return what is to be done about a cutover; nothing is ever switched long after its time."""
    if record.ended_at is not None:
        return Step.WAIT
    if record.state is CutoverState.DRAINING:
        # A process that went away in the middle may have come back hours later.
        return Step.MISS if timing(record.since(CutoverState.DRAINING), now, GRACE) is Timing.PAST else Step.DRAIN
    if record.state not in (CutoverState.SUBMITTED, CutoverState.APPROVED):
        return _BY_STATE.get(record.state, Step.WAIT)
    when = timing(record.at, now, GRACE)
    if when is Timing.PAST:
        return Step.MISS
    return Step.BEGIN if when is Timing.DUE and record.state is CutoverState.APPROVED else Step.WAIT


def why_missed(record: Cutover) -> str:
    """Say why nothing applied a cutover at its time."""
    if record.state is CutoverState.SUBMITTED:
        return f"approvals missing at its time: {record.lacking}"
    return (
        "no gateway was there at its time"
        if record.state is CutoverState.APPROVED
        else "no gateway was there to switch it"
    )
