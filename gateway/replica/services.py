"""Who has which service: rows beside the patients of a copy, written by the sweep of OKT or read from a file."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, delete, insert, select

from gateway.ledger.crypto import LookupHasher
from gateway.ledger.tables import REPLICA_SERVICE

S = REPLICA_SERVICE.c
IPLOS_OF: Mapping[str, int] = {"TA": 6, "GPS": 26, "MD": 27, "DT": 28}
"""The IPLOS number of the service behind a ServiceCode; RT and DHO have none (NHN's list of service codes)."""


class Service(msgspec.Struct, frozen=True):
    """A service that a patient has, as its source says it."""

    iplos: int | None
    level: str | None
    """The CareServiceLevel ("2.2.3") of a file; None from OKT, whose `serviceLevel` is a place."""
    begins: str | None
    """Dates as they were written, YYYY-MM-DD."""
    ends: str | None
    is_ceased: bool = False
    """Whether it has ceased for the time being."""


def hash_of_number(lookup: LookupHasher, municipality: str, number: str) -> str:
    """Return the hash by which a national number is found in a municipality's copy."""
    return lookup.hash("replica", municipality, "", number)


def has_need(
    services: Collection[Service], codes: Collection[str], profile: Mapping[str, Sequence[str]], today: str
) -> bool:
    """Tell whether a patient has one of the services behind ServiceCodes (upper case) on a day: the tjenstlig behov.

    `profile` is the municipality's partner profile: patterns over CareServiceLevel by ServiceCode, with VKP's `%` for any text.
    """
    numbers = {IPLOS_OF[code] for code in codes if code in IPLOS_OF}
    patterns = [pattern for code in codes for pattern in profile.get(code, ())]
    return any(
        _is_under_way(each, today)
        and (each.iplos in numbers or any(matches(pattern, each.level) for pattern in patterns))
        for each in services
    )


def matches(pattern: str, level: str | None) -> bool:
    """Tell whether a CareServiceLevel is as a pattern says, `%` standing for any text."""
    if level is None:
        return False
    first, *rest = pattern.split("%")
    if not rest:
        return level == pattern
    if not level.startswith(first):
        return False
    left, last = level[len(first) :], rest.pop()
    for part in rest:
        _, found, left = left.partition(part) if part else ("", "-", left)
        if not found:
            return False
    return left.endswith(last)


def _is_under_way(service: Service, today: str) -> bool:
    begun = service.begins is None or service.begins <= today
    return begun and (service.ends is None or today <= service.ends) and not service.is_ceased


def put_services(  # noqa: PLR0913, PLR0917 - a row and where it stands
    connection: Connection,
    municipality: str,
    patient: str,
    source: str,
    seen_at: float,
    services: Sequence[tuple[Service, bytes | None]],
) -> None:
    """Put what a source says now of a patient (a hash) in the place of what it said before; with each service what is sealed of it."""
    connection.execute(
        delete(REPLICA_SERVICE).where(S.municipality == municipality, S.patient == patient, S.source == source)
    )
    common = {"municipality": municipality, "patient": patient, "source": source, "seen_at": seen_at}
    rows = [{**common, **msgspec.structs.asdict(service), "sealed": sealed} for service, sealed in services]
    if rows:
        connection.execute(insert(REPLICA_SERVICE), rows)


def services_of(connection: Connection, municipality: str, patients: Collection[str]) -> dict[str, list[Service]]:
    """Return the services of patients, by their hashes; those that have none are not there."""
    columns = (S.patient, S.iplos, S.level, S.begins, S.ends, S.is_ceased)
    statement = select(*columns).where(S.municipality == municipality, S.patient.in_(patients))
    found: dict[str, list[Service]] = {}
    for patient, *service in connection.execute(statement):
        found.setdefault(patient, []).append(Service(*service))
    return found
