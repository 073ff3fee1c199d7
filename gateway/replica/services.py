"""Who has which service: rows beside the patients of a copy, written by the sweep of OKT or read from a file."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, or_, select

from gateway.config.model import Municipality
from gateway.ledger import prepared
from gateway.ledger.crypto import LookupHasher, PayloadCipher, PayloadUnreadable
from gateway.ledger.tables import REPLICA_SERVICE
from gateway.replica.patient_seal import hash_of
from translators.services import IPLOS_OF, Service, answers

S = REPLICA_SERVICE.c
T = TypeVar("T")
Source = Literal["okt", "file"]
_MOST_PARAMETERS = 500
"""Values in one statement."""
_PREFIX = 15
"""Characters of a patient's hash that stand in the ids of the resources about the patient."""


class SealedService(msgspec.Struct, frozen=True):
    """What is sealed in a row: whose service it is, and all of it."""

    number: str
    """National number."""
    service: Service


@dataclass(frozen=True, slots=True)
class KnownServices:
    """What is known of one patient."""

    seen_at: float
    """When the source was asked, in seconds since the epoch; the oldest of its rows."""
    services: tuple[Service, ...]
    """Their dates, types and levels alone; none where the source knows of none."""


def source_of(municipality: Municipality) -> Source | None:
    """Return who says which patient of a municipality has which service; None where nobody does."""
    chosen = municipality.services_from
    return None if chosen is None else "okt" if chosen.file is None else "file"


def has_need(
    services: Collection[Service], codes: Collection[str], profile: Mapping[str, Sequence[str]], today: str
) -> bool:
    """Tell whether a patient has one of the services behind ServiceCodes (upper case) on a day: the tjenstlig behov.

    `profile` is the municipality's partner profile: patterns over CareServiceLevel by ServiceCode, with VKP's `%` for any text.
    """
    return any(answers(codes, each, today, profile) for each in services)


def put_services(  # noqa: PLR0913, PLR0917 - a row and where it stands
    connection: Connection,
    municipality: str,
    patient: str,
    source: Source,
    seen_at: float,
    services: Sequence[tuple[Service, bytes]],
) -> None:
    """Put what a source says now of a patient (a hash) in the place of what it said before; with each service what is sealed of it.

    Of a patient without services it is kept that the source was asked.
    """
    connection.execute(
        delete(REPLICA_SERVICE).where(S.municipality == municipality, S.patient == patient, S.source == source)
    )
    rows = list(_rows(municipality, patient, source, seen_at, services))
    connection.execute(insert(REPLICA_SERVICE), rows)


def replace_all(
    connection: Connection,
    municipality: str,
    source: Source,
    seen_at: float,
    patients: Mapping[str, Sequence[tuple[Service, bytes]]],
) -> None:
    """Put everything that a source says of a municipality's patients (hashes) in the place of all that it said before."""
    connection.execute(delete(REPLICA_SERVICE).where(S.municipality == municipality, S.source == source))
    rows = (
        row for patient, services in patients.items() for row in _rows(municipality, patient, source, seen_at, services)
    )
    for some in _batches(rows, 5000):
        connection.execute(insert(REPLICA_SERVICE), some)


def _rows(
    municipality: str, patient: str, source: Source, seen_at: float, services: Sequence[tuple[Service, bytes]]
) -> Iterator[dict[str, object]]:
    common = {"municipality": municipality, "patient": patient, "source": source, "seen_at": seen_at}
    for service, sealed in services:
        own = {"iplos": service.iplos, "level": service.level, "begins": service.start, "ends": service.end}
        yield {**common, **own, "is_ceased": service.ceased, "sealed": sealed}
    if not services:
        nothing = dict.fromkeys(("iplos", "level", "begins", "ends", "sealed"))
        yield {**common, **nothing, "is_ceased": False}


_SAID = (
    select(S.patient, S.seen_at, S.iplos, S.level, S.begins, S.ends, S.is_ceased)
    .where(S.municipality == bindparam("municipality"), S.source == bindparam("source"))
    .order_by(S.id)
)
_SAID_OF_ONE = _SAID.where(S.patient == bindparam("patient"))
"""Made once: every search asks so."""
_SAID_OF_MANY = _SAID.where(S.patient.in_(bindparam("patients", expanding=True)))


def services_of(
    connection: Connection, municipality: str, patients: Collection[str], source: Source
) -> dict[str, KnownServices]:
    """Return what a source has said of patients, by their hashes; of whom it was never asked, nothing."""
    found: dict[str, KnownServices] = {}
    for some in _batches(patients, _MOST_PARAMETERS):
        for patient, seen_at, iplos, level, begins, ends, is_ceased in _said(connection, municipality, some, source):
            service = Service(iplos=iplos, level=level, start=begins, end=ends, ceased=bool(is_ceased))
            told = () if iplos is None and level is None else (service,)
            before = found.get(patient)
            known = (
                KnownServices(seen_at, told)
                if before is None
                else KnownServices(min(before.seen_at, seen_at), before.services + told)
            )
            found[patient] = known
    return found


def _said(
    connection: Connection, municipality: str, patients: Sequence[str], source: Source
) -> Iterable[Sequence[Any]]:
    values = {"municipality": municipality, "source": source}
    if len(patients) == 1:
        return prepared.rows(connection, _SAID_OF_ONE, {**values, "patient": patients[0]})
    return connection.execute(_SAID_OF_MANY, {**values, "patients": patients})


def patients_with(  # noqa: PLR0913, PLR0917 - what is asked
    connection: Connection,
    municipality: Municipality,
    source: Source,
    codes: Collection[str],
    today: str,
    since: float,
) -> list[str]:
    """Return the patients (hashes) who have a service behind one of these ServiceCodes.

    What the source told before `since` (in seconds since the epoch) is of patients who have left.
    """
    is_service = or_(S.iplos.is_not(None), S.level.is_not(None))
    where = [S.municipality == municipality.key, S.source == source, is_service, S.seen_at >= since]
    numbers = [IPLOS_OF[code] for code in codes if code in IPLOS_OF]
    where.append(or_(S.iplos.in_(numbers), S.level.is_not(None)))
    columns = (S.patient, S.iplos, S.level, S.begins, S.ends, S.is_ceased)
    found: dict[str, None] = {}
    for patient, iplos, level, begins, ends, is_ceased in connection.execute(select(*columns).where(*where)):
        service = Service(iplos=iplos, level=level, start=begins, end=ends, ceased=is_ceased)
        if answers(codes, service, today, municipality.partner_profile):
            found[patient] = None
    return list(found)


def sealed_services(
    connection: Connection, municipality: str, patients: Iterable[str], source: Source
) -> Iterator[tuple[str, bytes]]:
    """Go through what is sealed of patients' services, each with its patient's hash, in the order of the patients."""
    for some in _batches(patients, _MOST_PARAMETERS):
        where = (S.municipality == municipality, S.patient.in_(some), S.source == source, S.sealed.is_not(None))
        found: dict[str, list[bytes]] = {}
        for patient, sealed in connection.execute(select(S.patient, S.sealed).where(*where).order_by(S.id)):
            found.setdefault(patient, []).append(sealed)
        for patient in some:
            yield from ((patient, sealed) for sealed in found.get(patient, ()))


def patients_of_id(connection: Connection, municipality: str, identifier: str) -> list[str]:
    """Return the patients (hashes) that a resource of this id may be about."""
    prefix = identifier.replace("-", "")
    prefix = prefix[:12] + prefix[13:16]
    if len(prefix) != _PREFIX or not prefix.isalnum():
        return []
    where = (S.municipality == municipality, S.patient >= prefix, S.patient < f"{prefix}g")
    return list(connection.scalars(select(S.patient).where(*where).distinct()))


class ServiceSeal:
    """Seals services, each about its patient, and makes the ids that senders know them by."""

    def __init__(self, cipher: PayloadCipher, lookup: LookupHasher) -> None:
        self._cipher = cipher
        self._lookup = lookup

    def hash(self, municipality: str, number: str) -> str:
        """Return the hash by which a national number is found."""
        return hash_of(self._lookup, municipality, "", number)

    def mark(self, municipality: str, text: str) -> str:
        """Return what a text is known again by, and cannot be guessed from."""
        return self._lookup.hash("service-file", municipality, text)

    def seal(self, municipality: str, number: str, services: Iterable[Service]) -> list[tuple[Service, bytes]]:
        """Return services with what is kept of each."""
        about = _about(municipality, self.hash(municipality, number))
        return [(one, self._cipher.seal(msgspec.json.encode(SealedService(number, one)), about)) for one in services]

    def open(self, municipality: str, patient: str, sealed: bytes) -> SealedService:
        """Return what was sealed; raises `PayloadUnreadable`."""
        try:
            return msgspec.json.decode(self._cipher.open(sealed, _about(municipality, patient)), type=SealedService)
        except msgspec.DecodeError:
            raise PayloadUnreadable("sealed by another version") from None

    @staticmethod
    def known_by(service: Service) -> tuple[str, ...]:
        """Return what tells a service from others of the same patient."""
        return (str(service.iplos), service.level or "", service.start or "", service.place or "")

    def identifier(self, municipality: str, patient: str, service: Service, index: int) -> str:
        """Return the UUID (version 8, RFC 9562) of a service, the same as long as it stays the same.

        Its first half is of the patient's hash, so that one resource is found again by its id.
        """
        own = self._lookup.hash("service", municipality, patient, *self.known_by(service), str(index))
        return f"{patient[:8]}-{patient[8:12]}-8{patient[12:15]}-8{own[:3]}-{own[3:15]}"


def _about(municipality: str, patient: str) -> str:
    return f"replica-service {municipality} {patient}"


def _batches(items: Iterable[T], most: int) -> Iterator[list[T]]:
    left = iter(items)
    while some := list(islice(left, most)):
        yield some
