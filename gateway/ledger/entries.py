"""What goes into the ledger and what comes out of it; frozen."""

from msgspec import Struct

from gateway.ledger.states import State


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
    """Keyed hash of the patient's national number."""
    identity: str | None
    """Keyed hash of sender, municipality and business id; None when the message has none: it is never known again then."""
    copy: str | None
    """Keyed hash of these and the content."""
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
    state: State
    told: bool
    """Whether its sender was told of success, or is told now."""
    event_id: str | None

    @property
    def is_success(self) -> bool:
        """Whether a copy may be answered with success; what is being sent for the first time may yet be refused."""
        return self.told or self.state not in (State.DELIVERING, State.REFUSED)


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


class Look(Struct, frozen=True):
    """A delivered event whose state is to be asked for."""

    id: int
    reference: str
    municipality: str
    state: State
    event_id: str
    event_kind: str
    looks: int
    delivered_at: float
    overdue_at: float
    overdue: bool


class Recovered(Struct, frozen=True):
    """A message that was with a process which is gone."""

    id: int
    reference: str
    municipality: str
    state: State
    """What it is now."""
