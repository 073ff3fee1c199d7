"""Whether a tjenstlig behov is fulfilled, and the answers about services (tjenester), both from the copy alone."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from gateway.config.model import Municipality
from gateway.errors import Failure, Fault
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.database import Database, LedgerUnavailable
from gateway.replica.patients import CopiedNumbers
from gateway.replica.services import (
    ServiceSeal,
    Source,
    has_need,
    patients_of_id,
    patients_with,
    sealed_services,
    services_of,
    source_of,
)
from gateway.replica.sweep import read_feed
from gateway.surfaces.search import Search
from gateway.times import DAY, Clock, day_of, when
from translators.contract import Tree
from translators.patient import NATIONAL_SYSTEMS
from translators.services import episode_of_care

log = structlog.get_logger()

CheckPatients = Callable[[Connection, str], object]
"""Raises `Failure` while the copy of a municipality's patients is missing or too old: who is not in it may be one of them then."""
FILE_FRESHNESS = DAY
"""Seconds that a file's services are good for after it could last be read."""
_RETRY_AFTER = 60


@dataclass(frozen=True, slots=True)
class Needs:
    """Says which patients have a service behind ServiceCodes."""

    patients: CopiedNumbers
    clock: Clock
    freshness: float
    """Seconds for which what OKT said of a patient may be used."""

    def check(self, connection: Connection, municipality: Municipality, patient: str, codes: Collection[str]) -> None:
        """Raise `Failure` unless a patient (a hash) has such a service: `NO_SERVICE`, or `UNAVAILABLE` while that is not known."""
        source, now = self._source(municipality), self.clock()
        known = services_of(connection, municipality.key, [patient], source).get(patient)
        if known is None and source == "okt":
            self.check_asked(connection, municipality, patient)
        if known is not None and source == "okt" and known.seen_at + self.freshness < now:
            raise _not_yet(f"What OKT said of this patient at {when(known.seen_at)} is too old")
        if source == "file":
            self._check_file(connection, municipality)
        services = known.services if known is not None else ()
        if not has_need(services, codes, municipality.partner_profile, day_of(now)):
            raise Failure(Fault.NO_SERVICE, "The patient has no service behind the ServiceCodes")

    def check_asked(self, connection: Connection, municipality: Municipality, patient: str) -> None:
        """Raise `Failure` where nothing is known of a patient since nobody has asked yet."""
        if not self.patients.is_there(connection, municipality.key):
            raise _not_yet("The copy of the municipality's patients is being made")
        if self.patients.has(connection, municipality.key, patient):
            raise _not_yet("OKT has not been asked about this patient yet")

    def check_any(
        self, connection: Connection, municipality: Municipality, same: Iterable[str], codes: Collection[str]
    ) -> None:
        """Raise `Failure` unless one of several hashes, all of one patient, has such a service; no more of them are read than are needed."""
        _check_named(codes)
        refused: Failure | None = None
        for patient in same:
            try:
                return self.check(connection, municipality, patient, codes)
            except Failure as failure:
                refused = failure if refused is None or failure.fault is not Fault.NO_SERVICE else refused
        raise refused or Failure(Fault.NO_SERVICE, "The patient has no number that a service could be known by")

    def all_with(self, connection: Connection, municipality: Municipality, codes: Collection[str]) -> list[str]:
        """Return the patients (hashes) who have such a service; raises `Failure` while that is not known of all."""
        _check_named(codes)
        source, now = self._source(municipality), self.clock()
        if source == "file":
            self._check_file(connection, municipality)
        elif read_feed(connection, municipality.key, source).fresh_at is None:
            raise _not_yet("The first sweep of OKT is not complete yet")
        elif lacking := self.patients.unanswered(connection, municipality.key, now - self.freshness):
            # Whoever is missing in a list seems to have no service, and nobody reads that some are left out.
            raise _not_yet(f"OKT has told nothing yet, or nothing lately, of {len(lacking)} of the patients")
        since = now - self.freshness if source == "okt" else 0.0
        return patients_with(connection, municipality, source, codes, day_of(now), since)

    @staticmethod
    def _source(municipality: Municipality) -> Source:
        if (source := source_of(municipality)) is None:
            raise Failure(Fault.NOT_SUPPORTED, f"services_from of {municipality.key} says nothing, so no need is known")
        return source

    def _check_file(self, connection: Connection, municipality: Municipality) -> None:
        fresh_at = read_feed(connection, municipality.key, "file").fresh_at
        if fresh_at is None:
            raise _not_yet("The file of services has not been read yet")
        if fresh_at + FILE_FRESHNESS < self.clock():
            raise _not_yet(f"The file of services could last be read at {when(fresh_at)}")


class ServiceSource:
    """Answers searches for services from what OKT has said."""

    def __init__(
        self, database: Database, seal: ServiceSeal, needs: Needs, check_patients: CheckPatients, most: int
    ) -> None:
        """`most` is how many services an answer may have."""
        self._database = database
        self._seal = seal
        self._needs = needs
        self._check_patients = check_patients
        self._most = most

    async def find(self, search: Search, municipality: Municipality) -> tuple[Tree, ...]:
        """Return EpisodeOfCares; raises `Failure`: see `pipeline.retrieval.RetrievalSource`."""
        try:
            return await self._database.read(lambda connection: self._find(connection, search, municipality))
        except LedgerUnavailable as error:
            raise Failure(Fault.UNAVAILABLE, f"The copy cannot be read: {error}") from None
        except PayloadUnreadable as error:
            log.error("replica.unreadable", reason=str(error))  # noqa: TRY400 - the place says nothing
            raise Failure(Fault.UNAVAILABLE, f"The copy cannot be read: it was {error}") from None

    def _find(self, connection: Connection, search: Search, municipality: Municipality) -> tuple[Tree, ...]:
        patients = self._patients(connection, search, municipality, search.service_codes)
        self._check_fresh(connection, municipality, patients)
        found = self._episodes(connection, municipality, patients)
        return tuple(one for one in found if search.id is None or one["id"] == search.id)

    def _patients(
        self, connection: Connection, search: Search, municipality: Municipality, codes: Collection[str]
    ) -> list[str]:
        if search.patient is None and search.id is None:
            self._check_patients(connection, municipality.key)
            having = self._needs.all_with(connection, municipality, codes)
            # A file names people by any number of theirs; what OKT said by an older one is told of no more.
            is_of_file = source_of(municipality) == "file"
            patients = self._needs.patients
            return (patients.named_by_any if is_of_file else patients.best)(connection, municipality.key, having)
        found: list[str] = []
        named = self._named(connection, search, municipality)
        if not named:
            self._check_patients(connection, municipality.key)
        if not named and search.id is None:
            raise Failure(
                Fault.UNKNOWN_PATIENT, "The search names a patient by a number of which no national one is known"
            )
        for patient in named:
            same = self._needs.patients.same(connection, municipality.key, patient)
            if not same:
                self._check_patients(connection, municipality.key)
            self._needs.check_any(connection, municipality, same or [patient], codes)
            if not same and search.id is None:
                raise Failure(
                    Fault.UNKNOWN_PATIENT, "The search names a patient whom the municipality's copy does not have"
                )
            found += self._needs.patients.best(connection, municipality.key, same)
        return found

    def _named(self, connection: Connection, search: Search, municipality: Municipality) -> list[str]:
        """Return whom a search names, by hashes; nobody where it names nobody who is known."""
        key = search.patient
        if key is None:
            return patients_of_id(connection, municipality.key, search.id or "")
        if key.system is None or key.system in NATIONAL_SYSTEMS:
            return [self._seal.hash(municipality.key, key.value)]
        return self._needs.patients.of_identifier(connection, municipality.key, key.system, key.value)

    def _check_fresh(self, connection: Connection, municipality: Municipality, patients: Collection[str]) -> None:
        """Raise `Failure` where what OKT said of one of the patients is missing or too old to be told."""
        known = services_of(connection, municipality.key, patients, "okt")
        now = self._needs.clock()
        for patient in patients:
            one = known.get(patient)
            if one is None:
                self._needs.check_asked(connection, municipality, patient)
            if one is not None and one.seen_at + self._needs.freshness < now:
                raise _not_yet(f"What OKT said at {when(one.seen_at)} is too old")

    def _episodes(
        self, connection: Connection, municipality: Municipality, patients: Iterable[str]
    ) -> list[dict[str, Tree]]:
        today = day_of(self._needs.clock())
        found: list[dict[str, Tree]] = []
        alike: Counter[tuple[str, tuple[str, ...]]] = Counter()
        for patient, sealed in sealed_services(connection, municipality.key, patients, "okt"):
            if len(found) == self._most:
                raise Failure(Fault.TOO_MANY_FOUND, f"More than {self._most} services are found")
            told = self._seal.open(municipality.key, patient, sealed)
            # By its place among those that nothing tells apart, so that another service changes no id.
            same = patient, self._seal.known_by(told.service)
            identifier = self._seal.identifier(municipality.key, patient, told.service, alike[same])
            alike[same] += 1
            found.append(episode_of_care(told.service, told.number, today, identifier))
        return found


def _check_named(codes: Collection[str]) -> None:
    """Raise `Failure` where no need is named: that must not be read as any."""
    if not codes:
        raise Failure(Fault.NO_NEED, "The search is for no ServiceCodes, so there is no need")


def _not_yet(text: str) -> Failure:
    return Failure(Fault.UNAVAILABLE, text, retry_after=_RETRY_AFTER)
