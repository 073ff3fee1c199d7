"""Patients of a copy as they are kept: sealed, each about its own id, and hashed by what they are found by."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from gateway.ledger.crypto import LookupHasher, PayloadCipher, PayloadUnreadable
from gateway.ledger.key_files import Keys
from translators import pit
from translators.contract import Tree
from translators.fhir.json_codec import decode
from translators.fhir.moments import order_of
from translators.pit import PitPatient

_MOST_SYSTEMS = 1000
"""Identifier systems of municipalities whose hashing is begun beforehand."""


class SealedPatient(msgspec.Struct, frozen=True):
    """A patient as it stands in the database."""

    municipality: str
    resource: str
    """The keyed hash of the service's own id."""
    updated: str
    patient: str | None
    """The keyed hash of the national number that it is best known by."""
    sealed: bytes


class ReadyPatient(NamedTuple):
    """A patient as it is written: hashed and sealed before, so that nobody waits for that while the database is written to."""

    row: SealedPatient
    hashes: list[str]
    """By which it is found, that of the number it is best known by first."""
    plain: bytes
    """What is sealed."""
    is_in_use: bool


def hash_of(lookup: LookupHasher, municipality: str, system: str, value: str) -> str:
    """Return the hash by which an identifier is found in a municipality's copy; a national number has no system."""
    return lookup.hash("replica", municipality, system, value)


class PatientSeal:
    """Seals patients, each about its own id, and hashes what they are found by."""

    def __init__(self, cipher: PayloadCipher, lookup: LookupHasher) -> None:
        self._cipher = cipher
        self._lookup = lookup
        self._hashes: dict[tuple[str, str], Callable[[str], str]] = {}
        self.maker = f"{pit.VERSION}.{lookup.hash('replica', 'maker')[:16]}"
        """Of rows that these keys and this version can read: rows with other hashes would be found by nobody."""

    @classmethod
    def of(cls, keys: Keys) -> "PatientSeal":
        """Make one of the ledger's keys."""
        return cls(keys.vault, keys.lookup)

    def _hashed(self, municipality: str, system: str) -> Callable[[str], str]:
        """Return what hashes the identifiers of one system in a municipality's copy."""
        known = self._hashes.get((municipality, system))
        if known is None:
            if len(self._hashes) >= _MOST_SYSTEMS:
                self._hashes.clear()
            known = self._hashes[municipality, system] = self._lookup.after("replica", municipality, system)
        return known

    def hash_of_id(self, municipality: str, own: str) -> str:
        """Return the hash of the service's own id."""
        return self._hashed(municipality, "id")(own)

    def hash_of(self, municipality: str, system: str, value: str) -> str:
        """Return `hash_of` an identifier."""
        return self._hashed(municipality, system)(value)

    def ready(self, municipality: str, patients: Sequence[PitPatient]) -> list[ReadyPatient]:
        """Return patients as they are written."""
        named = self._hashed(municipality, "id")
        resources = [named(one.id) for one in patients]
        plain = [(one.numbers[0] if one.numbers else "").encode() + b"\n" + one.written for one in patients]
        about = [_about(municipality, one) for one in resources]
        sealed = self._cipher.seal_all(list(zip(plain, about, strict=True)))
        numbered = self._hashed(municipality, "")
        ready = []
        for place, one in enumerate(patients):
            hashes = [numbered(number) for number in one.numbers]
            best = hashes[0] if hashes else None
            hashes += [self._hashed(municipality, system)(value) for system, value in one.local]
            row = SealedPatient(municipality, resources[place], one.updated, best, sealed[place])
            ready.append(ReadyPatient(row, hashes, plain[place], one.is_in_use))
        return ready

    def is_news(self, patient: ReadyPatient, known: SealedPatient) -> bool:
        """Tell whether a patient is another than the one that is known: the time alone does not say, it may be of whole seconds."""
        if order_of(patient.row.updated, known.updated) == -1:
            return False
        try:
            return not patient.is_in_use or self._opened(known) != patient.plain
        except PayloadUnreadable:
            return True

    def open(self, row: SealedPatient) -> Tree:
        """Return a patient's resource; raises `PayloadUnreadable`."""
        return decode(self._opened(row).partition(b"\n")[2])

    def number_of(self, row: SealedPatient) -> str | None:
        """Return the national number that a patient is best known by; raises `PayloadUnreadable`."""
        return self._opened(row).partition(b"\n")[0].decode() or None

    def _opened(self, row: SealedPatient) -> bytes:
        return self._cipher.open(row.sealed, _about(row.municipality, row.resource))

    def seal_cursor(self, municipality: str, cursor: str) -> bytes:
        """Return a cursor as it is kept: nobody knows what is in it."""
        return self._cipher.seal(cursor.encode(), f"replica-cursor {municipality}")

    def open_cursor(self, municipality: str, sealed: bytes) -> str:
        """Return a cursor; raises `PayloadUnreadable`."""
        return self._cipher.open(sealed, f"replica-cursor {municipality}").decode()


def _about(municipality: str, resource: str) -> str:
    return f"replica {municipality} {resource}"
