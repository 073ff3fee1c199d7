"""The states of a message and which may follow which; pure."""

from enum import StrEnum


class State(StrEnum):
    """How far a message has come."""

    HELD = "held"
    """Promised to its sender; to be delivered when the service is there and its turn comes."""
    DELIVERING = "delivering"
    """With one process, which is sending it or may have sent it."""
    DELIVERED = "delivered"
    """The service has accepted it."""
    READ = "read"
    """Somebody has fetched it from the service."""
    ACKNOWLEDGED = "acknowledged"
    """The record system says that it is in the record."""
    REFUSED = "refused"
    """Its sender was told that it was not done, or heard nothing."""
    QUARANTINED = "quarantined"
    """Promised and not delivered, or not known to be; a person decides."""
    DISCARDED = "discarded"
    """A person decided that it is not delivered, or its time in quarantine ended."""
    RETURNING = "returning"
    """With one process, which is sending it to VKP."""
    RETURNED = "returned"
    """VKP has accepted it after the information service had."""
    PASSED = "passed"
    """VKP had it from its sender; kept only so that it is known again."""


RECEIVED = "received"
"""What every history begins with: the message and its first state are written at once."""

NEXT: dict[State, frozenset[State]] = {
    State.HELD: frozenset({State.DELIVERING, State.DELIVERED, State.RETURNING, State.QUARANTINED, State.DISCARDED}),
    State.DELIVERING: frozenset({State.DELIVERED, State.HELD, State.REFUSED, State.QUARANTINED}),
    State.DELIVERED: frozenset({State.READ, State.ACKNOWLEDGED, State.RETURNING}),
    State.READ: frozenset({State.ACKNOWLEDGED, State.RETURNING}),
    State.ACKNOWLEDGED: frozenset(),
    # A repeat takes it up again; an answer may come after it was given up.
    State.REFUSED: frozenset({State.DELIVERING, State.HELD, State.DELIVERED, State.PASSED}),
    State.QUARANTINED: frozenset({State.HELD, State.DELIVERED, State.RETURNING, State.RETURNED, State.DISCARDED}),
    State.DISCARDED: frozenset(),
    # Where VKP did not take it, it goes back to where it was.
    State.RETURNING: frozenset({State.RETURNED, State.DELIVERED, State.READ, State.HELD, State.QUARANTINED}),
    State.RETURNED: frozenset(),
    State.PASSED: frozenset(),
}
"""Which states may follow; every other change is a defect."""

FIRST = frozenset({State.HELD, State.DELIVERING, State.PASSED})
PENDING = (State.HELD, State.DELIVERING)
"""Not delivered yet: later messages about the same patient wait for these."""
MOST_ATTEMPTS = 12
"""Tries of a held message that may have failed because of it; then a person decides."""
FOLLOWED = (State.DELIVERED, State.READ)


def before(state: State) -> tuple[State, ...]:
    """Return the states that `state` may follow."""
    return tuple(earlier for earlier, later in NEXT.items() if state in later)
