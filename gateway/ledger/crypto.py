"""What the ledger's keys are for: payloads are sealed with them, and found by keyed hashes; no files, no clock."""

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
HASH_CHARACTERS = 32
"""Hexadecimal, so 128 bits: enough that no two patients share a hash, in half the room."""

_FORMAT = b"\x01"
"""In front of what is sealed; another number will mean another way."""
_NONCE_BYTES = 12
_LENGTH_BYTES = 8


class PayloadUnreadable(Exception):  # noqa: N818 - the condition, told to the operator
    """A sealed payload cannot be opened: another key, another row, or it was changed; the text holds nothing of it."""


class PayloadCipher:
    """Seals with the current key, and opens what any of its keys sealed (AES-256-GCM, NIST SP 800-38D).

    A key is good for 2**32 payloads, since each has a random nonce of 96 bits.
    """

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._cipher = self._ciphers[current]
        self.current = current
        """The id of the key that seals."""
        self.ids = frozenset(keys)
        """Of all that it can open with."""
        name = current.encode()
        self._head = _FORMAT + bytes([len(name)]) + name

    def seal(self, plain: bytes, about: str) -> bytes:
        """Return `plain` so that only `open` with the same `about` gives it back; format, key id and nonce stand in front."""
        return self.seal_all([(plain, about)])[0]

    def seal_all(self, plain: Sequence[tuple[bytes, str]]) -> list[bytes]:
        """Return each text sealed as `seal` does; the system is asked for randomness once, since to ask takes longer than to seal."""
        nonces = os.urandom(_NONCE_BYTES * len(plain))
        sealed = []
        for place, (text, about) in enumerate(plain):
            nonce = nonces[place * _NONCE_BYTES : (place + 1) * _NONCE_BYTES]
            sealed.append(self._head + nonce + self._cipher.encrypt(nonce, text, self._head + _encoded(about)))
        return sealed

    def open(self, sealed: bytes, about: str) -> bytes:
        """Return what was sealed about the same; raises `PayloadUnreadable`."""
        if sealed[:1] != _FORMAT:
            raise PayloadUnreadable("sealed in a format that this version does not know")
        start = 2 + int.from_bytes(sealed[1:2])
        head, nonce, rest = sealed[:start], sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        cipher = self._ciphers.get(head[2:].decode("ascii", "replace"))
        if cipher is None:
            raise PayloadUnreadable("sealed with a key that is not in keys.payload")
        try:
            return cipher.decrypt(nonce, rest, head + _encoded(about))
        except (InvalidTag, ValueError):
            raise PayloadUnreadable("changed since it was sealed, or sealed about something else") from None


class LookupHasher:
    """Makes the hashes by which something is found again that may not be readable in the ledger (HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        self._hmac = hmac.new(key, digestmod=hashlib.sha256)

    def hash(self, *parts: str) -> str:
        """Return 32 hexadecimal characters for these parts in this order; other parts never run together to the same."""
        made = self._hmac.copy()
        made.update(_joined(parts))
        return made.hexdigest()[:HASH_CHARACTERS]

    def after(self, *parts: str) -> Callable[[str], str]:
        """Return what hashes these parts and one more, as `hash` does: what many hashes begin with is gone through once."""
        begun = self._hmac.copy()
        begun.update(_joined(parts))

        def hashed(part: str) -> str:
            made, text = begun.copy(), _encoded(part)
            made.update(len(text).to_bytes(_LENGTH_BYTES) + text)
            return made.hexdigest()[:HASH_CHARACTERS]

        return hashed


def _joined(parts: tuple[str, ...]) -> bytes:
    """Return parts one behind the other, each with its length in front."""
    encoded = [_encoded(part) for part in parts]
    return b"".join([piece for one in encoded for piece in (len(one).to_bytes(_LENGTH_BYTES), one)])


def _encoded(text: str) -> bytes:
    """Return the bytes of any text, half of a surrogate pair included: JSON can have one, and nothing may fail by it."""
    return text.encode("utf-8", "surrogatepass")
