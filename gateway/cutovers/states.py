"""The states of a cutover and which may follow which; pure."""

from enum import StrEnum


class State(StrEnum):
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
    """Its gate, or something else that must hold, said no at its time."""


NEXT: dict[State, frozenset[State]] = {
    State.SUBMITTED: frozenset({State.APPROVED, State.MISSED, State.CANCELLED}),
    # Another plan voids the approvals.
    State.APPROVED: frozenset({State.SUBMITTED, State.DRAINING, State.MISSED, State.CANCELLED, State.REFUSED}),
    State.DRAINING: frozenset({State.SWITCHED, State.MISSED, State.CANCELLED}),
    State.SWITCHED: frozenset({State.WATCHING, State.FINISHED, State.ROLLED_BACK}),
    State.WATCHING: frozenset({State.FINISHED, State.ROLLED_BACK}),
    State.FINISHED: frozenset({State.ROLLED_BACK}),
    State.ROLLED_BACK: frozenset(),
    State.MISSED: frozenset({State.SUBMITTED, State.DRAINING, State.CANCELLED}),
    State.CANCELLED: frozenset({State.SUBMITTED}),
    State.REFUSED: frozenset({State.SUBMITTED, State.CANCELLED}),
}
"""Which states may follow; every other change is a defect."""

EXECUTED = frozenset({State.SWITCHED, State.WATCHING, State.FINISHED})
"""Its routes lie over those of the file, until it is retired."""
WAITING = frozenset({State.SUBMITTED, State.APPROVED, State.DRAINING, State.MISSED})
"""Its routes may still come to lie over those of the file as the plan says."""
CHANGEABLE = frozenset({State.SUBMITTED, *(state for state, later in NEXT.items() if State.SUBMITTED in later)})
"""Another plan may take the place of the one that is there."""
STARTABLE = frozenset(state for state, later in NEXT.items() if State.DRAINING in later)
"""A person may have it applied now."""
CANCELLABLE = frozenset(state for state, later in NEXT.items() if State.CANCELLED in later)
