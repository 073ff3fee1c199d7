"""What the ledger keeps of a message, sealed: what its sender sent, and what is sent for it."""

import zlib

import msgspec

from gateway.ledger.crypto import PayloadCipher, PayloadUnreadable
from gateway.model import RequestHead
from translators.contract import Call

_LEVEL = 1
"""The quickest: what is written with each commit is a quarter of what it would be."""
_LARGEST = 64 * 1024 * 1024
"""Bytes of what is kept, unpacked."""
_FIELDS = (b"content-type", b"servicecodes")
"""The fields of a request that say something of the message; a sender's token is never kept."""


class KeptCall(msgspec.Struct, frozen=True, array_like=True):
    """One call to a service."""

    service: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A message as it came, and the call that delivers it."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    call: KeptCall | None
    """None where the message is never held."""

    def as_call(self) -> Call | None:
        """Return the call as the clients of services take it."""
        call = self.call
        return None if call is None else Call(call.service, call.method, call.path, call.headers, call.body)


_DECODER = msgspec.msgpack.Decoder(Kept)


def sealed(vault: PayloadCipher, reference: str, head: RequestHead, body: bytes, call: Call | None) -> bytes:
    """Return what is kept of a message, for the row with this reference alone."""
    headers = tuple((name, value) for name, value in head.headers if name.lower() in _FIELDS)
    target = head.target.encode("utf-8", "surrogateescape").decode("latin-1")
    kept_call = None if call is None else KeptCall(call.service, call.method, call.path, call.headers, call.body)
    kept = msgspec.msgpack.encode(Kept(head.method, target, headers, body, kept_call))
    return vault.seal(zlib.compress(kept, _LEVEL), reference)


def opened(vault: PayloadCipher, reference: str, payload: bytes | None) -> Kept:
    """Return what was kept; raises `PayloadUnreadable`."""
    if payload is None:
        raise PayloadUnreadable("nothing is kept of the message any more")
    try:
        whole = zlib.decompressobj()
        kept = whole.decompress(vault.open(payload, reference), _LARGEST)
        return _DECODER.decode(kept)
    except (msgspec.DecodeError, zlib.error):
        raise PayloadUnreadable("not what this version keeps") from None
