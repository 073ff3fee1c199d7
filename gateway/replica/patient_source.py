"""Answers about patients (pasientinfo) from the copy alone, and national numbers by those of the record system.

What the copy has is told as long as it is fresh. One that is older than the service's freshness, or not complete yet, is a
temporary error: old data is never told as new.
"""

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from gateway.config.model import Config, Municipality
from gateway.config.upstreams import OktUpstream, PitUpstream
from gateway.errors import Failure, Fault
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.database import Database, LedgerUnavailable
from gateway.ledger.key_files import Keys
from gateway.model import Information
from gateway.observability.metrics import REPLICA_DUPLICATES
from gateway.replica import patients as rows
from gateway.replica.patient_seal import PatientSeal, SealedPatient
from gateway.replica.patients import CopiedNumbers, Match, Standing
from gateway.replica.service_source import Needs, ServiceSource
from gateway.replica.services import ServiceSeal
from gateway.surfaces.search import PatientKey, Search, is_called
from gateway.times import DAY, Clock
from translators.contract import Tree
from translators.fhir.moments import order_of
from translators.patient import NATIONAL_SYSTEMS

log = structlog.get_logger()
T = TypeVar("T")

_KEPT = 300.0
"""Seconds for which it is remembered whose a record system's number is."""
_MOST_KEPT = 10_000
_TOO_MANY = "The answer would have more than {} patients (limits.answer)"


class Freshness:
    """Says whether a copy may be answered from, whatever is done to the clocks of this node and of the one that fills it."""

    def __init__(self, clock: Clock, maker: str, retry_after: float) -> None:
        """`maker` is whose rows can be read; `retry_after` is in seconds."""
        self._clock = clock
        self._maker = maker
        self._retry_after = max(1, math.ceil(retry_after))
        self._seen: dict[str, tuple[float, float]] = {}
        """Of each copy since when it was read to its end, and when that was first seen, by the monotonic clock."""

    def check(self, municipality: str, standing: Standing | None, longest: float) -> Standing:
        """Raise `Failure` for a copy that is not there yet, or was read to its end more than `longest` seconds ago."""
        if standing is None or standing.fresh_at is None or standing.maker != self._maker:
            raise self._unavailable("The copy of the municipality's patients is being made")
        passed, seen = self._clock.monotonic(), self._seen.get(municipality)
        if seen is None or seen[0] != standing.fresh_at:
            seen = self._seen[municipality] = (standing.fresh_at, passed)
        age = max(self._clock() - standing.fresh_at, passed - seen[1])
        if age > longest:
            raise self._unavailable(
                f"The copy of the municipality's patients is {math.floor(age)} s old, which is too old"
            )
        return standing

    def _unavailable(self, reason: str) -> Failure:
        return Failure(Fault.UNAVAILABLE, reason, retry_after=self._retry_after)


class PatientSource:
    """Answers searches for patients from the copy."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it answers by
        self,
        database: Database,
        seal: PatientSeal,
        needs: Needs,
        fresh: Freshness,
        longest: float,
        most: int,
    ) -> None:
        """`longest` is how many seconds old the copy may be, `most` how many patients an answer may have."""
        self._database = database
        self._seal = seal
        self._needs = needs
        self._fresh = fresh
        self._longest = longest
        self._most = most

    async def find(self, search: Search, municipality: Municipality) -> tuple[Tree, ...]:
        """Return Patients; raises `Failure`: see `pipeline.retrieval.RetrievalSource`."""
        is_list = search.patient is None and search.id is None
        read = self._database.read if is_list else self._database.look_up
        return await _read(read, lambda each: self._find(each, search, municipality))

    def _find(self, connection: Connection, search: Search, municipality: Municipality) -> tuple[Tree, ...]:
        name, codes = municipality.key, search.service_codes
        if search.patient is None and search.id is None:
            standing = self._fresh.check(name, rows.standing(connection, name), self._longest)
            having = self._needs.all_with(connection, municipality, codes)
            if len(having) > self._most and search.name is None:
                raise Failure(Fault.TOO_MANY_FOUND, _TOO_MANY.format(self._most))
            found = rows.found_by(connection, name, standing.generation, having)
            return tuple(self._within(self._named(map(self._seal.open, _one_each(found)), search.name)))
        if search.id is not None:
            told, matches = rows.find_by_id(connection, name, self._seal.hash_of_id(name, search.id))
        else:
            told, matches = rows.find(connection, name, self._hash(name, search.patient))
        self._fresh.check(name, told, self._longest)
        if not matches:
            return ()
        if len(matches) > 1:
            REPLICA_DUPLICATES.labels(name).inc()
            if len({one.patient.patient or one.patient.resource for one in matches}) > 1:
                # A record system's own number that two patients have names nobody.
                raise Failure(Fault.PATIENT, "The search names a patient by a number that more than one has")
        match = newest(matches)
        self._needs.check_any(connection, municipality, rows.hashes_of(connection, match), codes)
        return tuple(self._named([self._seal.open(match.patient)], search.name))

    def _hash(self, municipality: str, key: PatientKey | None) -> str:
        if key is None:
            raise TypeError("a search about nobody")
        system = "" if key.system is None or key.system in NATIONAL_SYSTEMS else key.system
        return self._seal.hash_of(municipality, system, key.value)

    @staticmethod
    def _named(found: Iterable[Tree], name: str | None) -> Iterable[Tree]:
        return found if name is None else (one for one in found if is_called(one, name))

    def _within(self, found: Iterable[Tree]) -> Iterable[Tree]:
        for count, one in enumerate(found):
            if count == self._most:
                raise Failure(Fault.TOO_MANY_FOUND, _TOO_MANY.format(self._most))
            yield one


class CopiedLocalNumbers:
    """Knows national numbers by those of a record system, where PIT's patients have them."""

    def __init__(self, database: Database, seal: PatientSeal, fresh: Freshness, clock: Clock) -> None:
        self._database = database
        self._seal = seal
        self._fresh = fresh
        self._clock = clock
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def national_number(self, municipality: Municipality, system: str, value: str) -> str | None:
        """Return the number of the one patient whom a number of a record system names; None where nobody is, or several are.

        Raises `Failure` while there is no copy, or none of the last day: whose a number is changes seldom.
        """
        name, now = municipality.key, self._clock.monotonic()
        identifier = self._seal.hash_of(name, system, value)
        known = self._known.get(identifier)
        if known is not None and now < known[1]:
            return known[0]
        number = await _read(self._database.look_up, lambda each: self._find(each, name, identifier))
        if number is not None:
            self._known[identifier] = (number, now + _KEPT)
            self._known.move_to_end(identifier)
            if len(self._known) > _MOST_KEPT:
                self._known.popitem(last=False)
        return number

    def _find(self, connection: Connection, municipality: str, identifier: str) -> str | None:
        standing, matches = rows.find(connection, municipality, identifier)
        self._fresh.check(municipality, standing, DAY)
        numbers = {self._seal.number_of(one.patient) for one in matches}
        return numbers.pop() if len(numbers) == 1 else None


@dataclass(frozen=True, slots=True)
class CopyAnswers:
    """What one configuration answers from copies."""

    sources: Mapping[Information, PatientSource | ServiceSource]
    local_numbers: CopiedLocalNumbers


def answers_of(config: Config, keys: Keys, database: Database, clock: Clock) -> CopyAnswers | None:
    """Return what answers from the copies of a configuration; None where it has no PIT to fill them from."""
    pit = next((one for one in config.upstreams.values() if isinstance(one, PitUpstream)), None)
    okt = next((one for one in config.upstreams.values() if isinstance(one, OktUpstream)), None)
    if pit is None:
        return None
    seal = PatientSeal.of(keys)
    fresh = Freshness(clock, seal.maker, pit.every)
    needs = Needs(CopiedNumbers(seal), clock, okt.freshness if okt is not None else DAY)
    patients = PatientSource(database, seal, needs, fresh, pit.freshness, config.limits.answer)
    sources: dict[Information, PatientSource | ServiceSource] = {Information.PASIENTINFO: patients}

    def check_patients(connection: Connection, municipality: str) -> None:
        fresh.check(municipality, rows.standing(connection, municipality), pit.freshness)

    if okt is not None:
        sources[Information.TJENESTER] = ServiceSource(
            database, ServiceSeal(keys.vault, keys.lookup), needs, check_patients, config.limits.answer
        )
    return CopyAnswers(sources, CopiedLocalNumbers(database, seal, fresh, clock))


async def _read(read: Callable[[Callable[[Connection], T]], Awaitable[T]], work: Callable[[Connection], T]) -> T:
    try:
        return await read(work)
    except LedgerUnavailable as error:
        raise Failure(Fault.UNAVAILABLE, f"The copy cannot be read: {error}") from None
    except PayloadUnreadable as error:
        log.error("replica.unreadable", reason=str(error))  # noqa: TRY400 - the place says nothing
        raise Failure(Fault.UNAVAILABLE, "The copy cannot be read") from None


def newest(matches: Sequence[Match]) -> Match:
    """Return the record of a person that changed last; the others were not kept up."""
    chosen = matches[0]
    for one in matches[1:]:
        order = order_of(chosen.patient.updated, one.patient.updated)
        if order == -1 or (order == 0 and chosen.patient.resource < one.patient.resource):
            chosen = one
    return chosen


def _one_each(found: Iterable[SealedPatient]) -> list[SealedPatient]:
    """Return one record for each number, the one that changed last."""
    chosen: dict[str, SealedPatient] = {}
    for one in found:
        key = one.patient or one.resource
        before = chosen.get(key)
        if before is None or order_of(before.updated, one.updated) == -1:
            chosen[key] = one
    return list(chosen.values())
