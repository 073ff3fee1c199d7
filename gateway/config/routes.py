"""The rules of routes.yaml that decide the mode of each cell."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.config.places import Place
from gateway.model import Information, Mode

DAY = 86_400.0


class AnswerWhen(StrEnum):
    """When a journaling is a success for its sender."""

    ACCEPTED = "accepted"
    JOURNALED = "journaled"


class OnOutage(StrEnum):
    """What a sender is told while the service is away."""

    REFUSE = "refuse"
    HOLD = "hold"


class Unclear(StrEnum):
    """What becomes of a held message that was sent and never answered."""

    QUARANTINE = "quarantine"
    RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of routes.yaml; None in a selector means that the rule does not name it."""

    municipality: str | None
    vendor: str | None
    system: str | None
    information: frozenset[Information] | None
    grouped: frozenset[Information]
    """Those of `information` that are there because a group was named; a type beats a group."""
    mode: Mode
    text: str | None
    """What a `closed` route tells the sender."""
    losses: tuple[str, ...]
    """Paths whose loss the route tolerates."""
    place: Place
    answer: AnswerWhen = AnswerWhen.ACCEPTED
    on_outage: OnOutage = OnOutage.REFUSE
    unclear: Unclear = Unclear.QUARANTINE
    share: float | None = None
    """The part of patients that a canary takes over, 0 to 1."""
    always: tuple[str, ...] = ()
    """Senders, by vkp-id or HER-id, whose patients a canary takes over all."""
    never: tuple[str, ...] = ()
    """Senders of whom a canary takes nothing over."""
    sample: float = 1.0
    """The part of messages that a rehearsal looks at, 0 to 1."""
    acknowledge_within: float = DAY
    """Seconds from the delivery, after which an event that is not acknowledged is overdue."""
