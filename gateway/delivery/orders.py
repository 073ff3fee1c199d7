"""What delivering a journaling needs to know, and what its sender is told."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.auth.helseid.access_tokens import Subject
from gateway.config.model import Municipality
from gateway.config.routes import Route
from gateway.ledger.crypto import LookupHasher
from gateway.model import Envelope, RequestHead
from translators.contract import Call, Refused, Tree
from translators.identity import business_id, content_digest


@dataclass(frozen=True, slots=True)
class Business:
    """What a sender means by the same message: its own id for it, and a digest of what it says."""

    id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Order:
    """A translated journaling, to be delivered."""

    reference: str
    received: datetime
    envelope: Envelope
    municipality: Municipality
    route: Route
    call: Call
    patient: str | None = field(repr=False)
    """The national number."""
    business: Business | None = field(repr=False)
    """None when the message has no id: then it is never known again."""
    head: RequestHead = field(repr=False)
    body: bytes = field(repr=False)
    subject: Subject = field(repr=False)
    """The sender's token, for the length of its request."""


def business_of(tree: Tree) -> Business | None:
    """Return what a message is known again by; None when its sender gave it no id, or it cannot be read so far."""
    try:
        name = business_id(tree)
        return None if name is None else Business(name, content_digest(tree))
    except Refused:
        return None


def known_by(lookup: LookupHasher, sender: str, municipality: str, business: Business) -> tuple[str, str]:
    """Return the keyed hashes of what a message calls itself, and of that with its content."""
    named = (sender, municipality, business.id)
    return lookup.hash("identity", *named), lookup.hash("copy", *named, business.digest.hex())


class Outcome(StrEnum):
    """What became of a message that its sender is told was a success; also its name in logs and metrics."""

    ACCEPTED = "accepted"
    HELD = "held"
    DUPLICATE = "duplicate"
    JOURNALED = "journaled"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a sender is told, alike for every copy of a message."""

    reference: str
    """The first copy's."""
    at: datetime
    """When that came."""
    outcome: Outcome
    event_id: str | None = None
    marks: tuple[str, ...] = ()
    """`possible-duplicate`, `identifier-reused`."""
