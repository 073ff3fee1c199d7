"""What is to be done about a cutover next; pure."""

from enum import Enum

from gateway.cutovers.record import Record
from gateway.cutovers.schedule import GRACE, Timing, timing
from gateway.cutovers.states import State


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


_BY_STATE = {State.SWITCHED: Step.SETTLE, State.WATCHING: Step.WATCH, State.FINISHED: Step.RETIRE}


def next_of(record: Record, now: float) -> Step:
    """Return what is to be done about a cutover; nothing is ever switched long after its time."""
    if record.ended_at is not None:
        return Step.WAIT
    if record.state is State.DRAINING:
        # A process that went away in the middle may have come back hours later.
        return Step.MISS if timing(record.since(State.DRAINING), now, GRACE) is Timing.PAST else Step.DRAIN
    if record.state not in (State.SUBMITTED, State.APPROVED):
        return _BY_STATE.get(record.state, Step.WAIT)
    when = timing(record.at, now, GRACE)
    if when is Timing.PAST:
        return Step.MISS
    return Step.BEGIN if when is Timing.DUE and record.state is State.APPROVED else Step.WAIT


def why_missed(record: Record) -> str:
    """Say why nothing applied a cutover at its time."""
    if record.state is State.SUBMITTED:
        return f"approvals missing at its time: {record.lacking}"
    return "no gateway was there at its time" if record.state is State.APPROVED else "no gateway was there to switch it"
