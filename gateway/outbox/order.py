"""What delivering a journaling needs to know, and what its sender is told."""

import zlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.auth.helseid.access_tokens import Subject
from gateway.config.model import Municipality
from gateway.ledger.crypto import LookupHasher, PayloadCipher, PayloadUnreadable
from gateway.model import Envelope, RequestHead
from gateway.routing.route import Route
from translators.contract import Call
from translators.identity import Business


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
    other_numbers: tuple[str, ...] = field(repr=False)
    """The same patient's other national numbers."""
    business: Business | None = field(repr=False)
    """None when the message has no id: then it is never known again."""
    head: RequestHead = field(repr=False)
    body: bytes = field(repr=False)
    subject: Subject = field(repr=False)
    """The sender's token, for the length of its request."""


def known_by(lookup: LookupHasher, sender: str, municipality: str, business: Business) -> tuple[str, str]:
    """Return the keyed hashes of what a message calls itself, and of what it says."""
    told_by = (sender, municipality)
    return lookup.hash("identity", *told_by, business.id), lookup.hash("copy", *told_by, business.digest.hex())


class DeliveryOutcome(StrEnum):
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
    outcome: DeliveryOutcome
    event_id: str | None = None
    marks: tuple[str, ...] = ()
    """`possible-duplicate`, `identifier-reused`."""


_LEVEL = 1
"""The quickest: what is written with each commit is a quarter of what it would be."""
_LARGEST = 64 * 1024 * 1024
"""Bytes of what is kept, unpacked."""
_FIELDS = (b"content-type", b"servicecodes", b"soapaction")
"""The fields of a request that say something of the message; a sender's token is never kept."""


class StoredCall(msgspec.Struct, frozen=True, array_like=True):
    """One call to a service."""

    service: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class StoredMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message as it came, and the call that delivers it."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    call: StoredCall | None
    """None where the message is never held."""

    def as_call(self) -> Call | None:
        """Return the call as the clients of services take it."""
        call = self.call
        return None if call is None else Call(call.service, call.method, call.path, call.headers, call.body)


_DECODER = msgspec.msgpack.Decoder(StoredMessage)


def sealed(vault: PayloadCipher, reference: str, head: RequestHead, body: bytes, call: Call | None) -> bytes:
    """Return what is kept of a message, for the row with this reference alone."""
    headers = tuple((name, value) for name, value in head.headers if name.lower() in _FIELDS)
    target = head.target.encode("utf-8", "surrogateescape").decode("latin-1")
    kept_call = None if call is None else StoredCall(call.service, call.method, call.path, call.headers, call.body)
    kept = msgspec.msgpack.encode(StoredMessage(head.method, target, headers, body, kept_call))
    return vault.seal(zlib.compress(kept, _LEVEL), reference)


def opened(vault: PayloadCipher, reference: str, payload: bytes | None) -> StoredMessage:
    """Return what was kept; raises `PayloadUnreadable`."""
    if payload is None:
        raise PayloadUnreadable("nothing is kept of the message any more")
    try:
        whole = zlib.decompressobj()
        kept = whole.decompress(vault.open(payload, reference), _LARGEST)
        return _DECODER.decode(kept)
    except (msgspec.DecodeError, zlib.error):
        raise PayloadUnreadable("not what this version keeps") from None
