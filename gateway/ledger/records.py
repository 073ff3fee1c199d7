"""The states of a message and which may follow which; pure."""

import re
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from gateway.model import Account
from gateway.times import Clock


class MessageState(StrEnum):
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
    """VKP has accepted it after it was with the new side: from us, or from its sender while it was held."""
    PASSED = "passed"
    """VKP had it from its sender; kept only so that it is known again."""


RECEIVED = "received"
"""What every history begins with: the message and its first state are written at once."""

NEXT: dict[MessageState, frozenset[MessageState]] = {
    MessageState.HELD: frozenset(
        {
            MessageState.DELIVERING,
            MessageState.DELIVERED,
            MessageState.RETURNING,
            MessageState.RETURNED,
            MessageState.QUARANTINED,
            MessageState.DISCARDED,
        }
    ),
    MessageState.DELIVERING: frozenset(
        {
            MessageState.DELIVERED,
            MessageState.HELD,
            MessageState.REFUSED,
            MessageState.RETURNED,
            MessageState.QUARANTINED,
        }
    ),
    MessageState.DELIVERED: frozenset({MessageState.READ, MessageState.ACKNOWLEDGED, MessageState.RETURNING}),
    MessageState.READ: frozenset({MessageState.ACKNOWLEDGED, MessageState.RETURNING}),
    MessageState.ACKNOWLEDGED: frozenset(),
    # A repeat takes it up again; an answer may come after it was given up.
    MessageState.REFUSED: frozenset(
        {MessageState.DELIVERING, MessageState.HELD, MessageState.DELIVERED, MessageState.PASSED}
    ),
    MessageState.QUARANTINED: frozenset(
        {
            MessageState.HELD,
            MessageState.DELIVERED,
            MessageState.RETURNING,
            MessageState.RETURNED,
            MessageState.DISCARDED,
        }
    ),
    MessageState.DISCARDED: frozenset(),
    # Where VKP did not take it, it goes back to where it was.
    MessageState.RETURNING: frozenset(
        {MessageState.RETURNED, MessageState.DELIVERED, MessageState.READ, MessageState.HELD, MessageState.QUARANTINED}
    ),
    MessageState.RETURNED: frozenset(),
    MessageState.PASSED: frozenset(),
}
"""Which states may follow; every other change is a defect."""

PENDING = (MessageState.HELD, MessageState.DELIVERING)
"""Not delivered yet: later messages about the same patient wait for these."""
UNFINISHED = (*PENDING, MessageState.QUARANTINED, MessageState.RETURNING)
"""Something or somebody still decides what becomes of it, and needs its payload for that."""
MOST_ATTEMPTS = 12
"""Tries of a held message that may have failed because of it; then a person decides."""
LONGEST_PAUSE = 600.0
"""Seconds between two tries of a held message at most."""
LONGEST_LEASE = 150.0
"""Seconds for which a message is with one process at most, where nothing is configured that takes longer."""
FOLLOWED = (MessageState.DELIVERED, MessageState.READ)


def before(state: MessageState) -> tuple[MessageState, ...]:
    """Return the states that `state` may follow."""
    return tuple(earlier for earlier, later in NEXT.items() if state in later)


class Arrival(Struct, frozen=True):
    """A message on its way to a service, before anything of it was sent."""

    reference: str
    """By which a sender's developer and an operator speak of the message."""
    received_at: float
    """Seconds since the epoch, as every time here."""
    surface: str
    municipality: str
    sender: str
    vendor: str | None
    system: str | None
    information: str | None
    upstream: str
    patient: str | None
    """Keyed hash of the patient's national number; of several, of the one that stands first in an order of their own."""
    identity: str | None
    """Keyed hash of sender, municipality and business id; None when the message has none: it is never known again then."""
    copy: str | None
    """Keyed hash of sender, municipality and content."""
    promised: bool
    """Whether its sender is told of success though it cannot be delivered now."""
    resend_unclear: bool
    """Whether it is sent again when nobody knows if it was delivered."""
    acknowledge_within: float
    """Seconds from its delivery."""


class Taken(Struct, frozen=True):
    """The message is this process's to deliver now."""

    id: int
    reference: str
    possible_duplicate: bool = False
    identifier_reused: bool = False


class Waiting(Struct, frozen=True):
    """The message is held: others about its patient come first, or the service is away."""

    id: int
    reference: str
    identifier_reused: bool = False


class Known(Struct, frozen=True):
    """The message is there already."""

    id: int
    reference: str
    received_at: float
    state: MessageState
    told: bool
    """Whether its sender was told of success, or is told now."""
    event_id: str | None
    delivered_at: float | None = None
    """None where it was not."""

    def is_past(self, now: float, window: float) -> bool:
        """Tell whether a copy that comes now is no copy any more: `window` seconds after the message came or was delivered.

        What is still to be delivered, or for a person to decide, is never past: it would be delivered beside its copy.
        """
        return self.state not in UNFINISHED and now - max(self.received_at, self.delivered_at or 0.0) > window

    @property
    def is_success(self) -> bool:
        """Whether a copy may be answered with success; what is being sent for the first time may yet be refused."""
        return self.told or self.state not in (MessageState.DELIVERING, MessageState.REFUSED)


class PassedNote(Struct, frozen=True):
    """A message that VKP took from its sender, and by what it is known again."""

    account: Account
    known_by: tuple[str, str]
    """Keyed hashes of what it calls itself, and of that with its content."""
    status: int
    at: float
    """Seconds since the epoch."""


class Due(Struct, frozen=True):
    """A held message whose turn has come, and which is this process's to deliver now."""

    id: int
    reference: str
    municipality: str
    attempts: int
    """Those that failed because of the message."""
    tries: int
    """Those that failed at all."""
    resend_unclear: bool
    payload: bytes | None


class FollowedEvent(Struct, frozen=True):
    """A delivered event whose state is to be asked for."""

    id: int
    reference: str
    municipality: str
    state: MessageState
    event_id: str
    event_kind: str
    polls: int
    delivered_at: float
    overdue_at: float
    overdue: bool


class Recovered(Struct, frozen=True):
    """A message that was with a process which is gone."""

    id: int
    reference: str
    municipality: str
    state: MessageState
    """What it is now."""


class LeaseWatch:
    """Says which leases have ended, whatever is done to the wall clocks of this node and of those that gave them.

    A lease has ended by the wall clock where that has run evenly for as long as the longest lease; and in any case when it was
    seen unchanged for so long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[int, tuple[float, float]] = {}

    def ended_before(self, longest: float = LONGEST_LEASE) -> float:
        """Return the wall time before which a lease that ends has ended; none, where the clock was set a moment ago."""
        return self._clock() if self._clock.steady_for() >= longest else 0.0

    def ended(self, leases: Mapping[int, float], longest: float = LONGEST_LEASE) -> set[int]:
        """Return the rows whose leases have ended; `leases` has all that there are, by row."""
        passed, before = self._clock.monotonic(), self.ended_before(longest)
        known = self._seen
        self._seen = {
            row: known[row] if row in known and known[row][0] == ends else (ends, passed)
            for row, ends in leases.items()
        }
        return {row for row, (ends, since) in self._seen.items() if ends < before or passed - since >= longest}


TOLD_TRIES = 20
"""The first tries, each told as it begins and as it ends; of later ones only the end is told."""
LAST_TOLD = 5
"""The last of those, each told by itself."""
BETWEEN = "tries"
"""What stands in a line for those between."""
_BETWEEN = re.compile(rf"\S+ \S+ {BETWEEN} (\d{{1,9}}) ")


def shortened(history: str) -> str:
    """Return a history that ends with `held` lines, one for each try, with a number for all but the first and the last few.

    The first one stays: perhaps it is not of a try, but of what a person did.
    """
    *lines, rest = history.split("\n")
    first = len(lines)
    while first and _what(lines[first - 1]) in (MessageState.HELD, BETWEEN):
        first -= 1
    start = first + 1
    before = _BETWEEN.match(lines[start]) if start < len(lines) else None
    tries = lines[start + (before is not None) :]
    if not (gone := tries[:-LAST_TOLD]):
        return history
    at, node, *_ = gone[-1].split(" ", 2)
    number = f"{at} {node} {BETWEEN} {int(before[1] if before else 0) + len(gone)} not told one by one"
    return "\n".join([*lines[:start], number, *tries[-LAST_TOLD:], rest])


def _what(line: str) -> str:
    return next(iter(line.split(" ", 3)[2:3]), "")
