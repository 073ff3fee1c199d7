"""What goes back to VKP, and what does not: where each message of the new side stands; frozen."""

from enum import StrEnum

from msgspec import Struct

from gateway.ledger.states import State

UNCLEAR_AT_VKP = "unclear at VKP"
"""Why a message is in quarantine that was sent to VKP and not answered: nothing ever sends it again by itself."""
SURFACES = ("vkp-r4", "vkp-stu3")
"""Interfaces whose requests VKP understands."""


class Standing(StrEnum):
    """Where a message stands when its municipality goes back to VKP."""

    UNREAD = "unread"
    """The service has it and nobody has fetched it."""
    POSSIBLE_DUPLICATE = "possible-duplicate"
    """Fetched, and not acknowledged: perhaps in the record."""
    ACKNOWLEDGED = "acknowledged"
    """In the record."""
    PENDING = "pending"
    """Promised to its sender, and not with the service yet."""
    RETURNING = "returning"
    QUARANTINED = "quarantined"
    RETURNED = "returned"
    DISCARDED = "discarded"


STANDING: dict[State, Standing] = {
    State.DELIVERED: Standing.UNREAD,
    State.READ: Standing.POSSIBLE_DUPLICATE,
    State.ACKNOWLEDGED: Standing.ACKNOWLEDGED,
    State.HELD: Standing.PENDING,
    State.DELIVERING: Standing.PENDING,
    State.RETURNING: Standing.RETURNING,
    State.QUARANTINED: Standing.QUARANTINED,
    State.RETURNED: Standing.RETURNED,
    State.DISCARDED: Standing.DISCARDED,
}
"""What was refused, and what VKP had from its sender, is not with the new side."""


class Selection(Struct, frozen=True):
    """Messages of one municipality since a time, and perhaps of one vendor, one system, some information types only."""

    municipality: str
    """Short name."""
    since: float
    """When the first of them was received, in seconds since the epoch."""
    vendor: str | None = None
    system: str | None = None
    information: frozenset[str] = frozenset()
    """None: every type, and messages that do not say."""


class Item(Struct, frozen=True):
    """One message of a selection; nothing that its sender wrote."""

    id: int
    reference: str
    received_at: float
    delivered_at: float | None
    surface: str
    municipality: str
    sender: str
    vendor: str | None
    system: str | None
    information: str | None
    patient: str | None
    """Keyed hash; it is for the order, and never shown."""
    state: State
    reason: str | None
    event_id: str | None
    event_kind: str | None
    possible_duplicate: bool
    identifier_reused: bool
    is_kept: bool
    """Whether its payload is still there."""

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return STANDING[self.state]

    @property
    def cannot_be_sent(self) -> str | None:
        """Why nobody can send it to VKP; None when somebody can."""
        if not self.is_kept:
            return "its payload is not kept any more"
        if self.surface not in SURFACES:
            return "VKP does not understand its interface"
        if self.state in (State.DELIVERED, State.READ) and not (self.event_id and self.event_kind):
            return "its event cannot be asked for"
        return None

    @property
    def not_in_bulk(self) -> str | None:
        """Why it is not sent with all others; None when it is."""
        if self.state not in (State.DELIVERED, State.HELD):
            return self.standing.value if self.state is not State.DELIVERING else "being delivered"
        if self.state is State.HELD and self.possible_duplicate:
            return "the service may have it already"
        return self.cannot_be_sent


class Count(Struct, frozen=True):
    """How many messages of a selection stand somewhere."""

    standing: Standing
    messages: int
    sendable: int
    """Of them, those that are sent in bulk."""


class Going(Struct, frozen=True):
    """A message that is this process's to send to VKP now."""

    id: int
    reference: str
    payload: bytes | None


class Lost(Struct, frozen=True):
    """A message that was being returned by a process that is gone; it is in quarantine now."""

    reference: str
    municipality: str
