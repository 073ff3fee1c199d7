"""A copy of the services of three patients, with an OKT that answers as it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, select

from gateway.config.model import Epj, Municipality, ServicesFrom
from gateway.config.upstreams import OktUpstream, ReadScopes, ServiceStatus, Sweep
from gateway.errors import Failure, Fault
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.tables import REPLICA_GENERATION, REPLICA_IDENTIFIER, REPLICA_PATIENT, REPLICA_SERVICE
from gateway.model import Information, Place, Rate
from gateway.replica import feeds
from gateway.replica.patient_seal import hash_of
from gateway.replica.service_source import Needs, ServiceSource
from gateway.replica.services import ServiceSeal
from gateway.replica.sweep import OktSweep
from gateway.surfaces.search import PatientKey, Search
from tests.gateway.clocks import FakeClock
from translators.services import Service

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.ledger.database import Database

SOMEBODY, ANOTHER, NOBODY = "22750884907", "19779998080", "16758532406"
PLACE = Place("f", 1, 1)
HAVNES = Municipality(
    "havnes",
    "Havnes",
    "315058384",
    (),
    Epj("x", True, (), ("pit", "okt")),
    PLACE,
    services_from=ServicesFrom(None, PLACE),
)
ALARM, GPS = (
    Service(iplos=6, name="Trygghetsalarm", start="2022-06-20"),
    Service(iplos=26, start="2022-06-20", ceased=True),
)
HOUR = 3600.0
SWEEP = Sweep(6 * HOUR, Rate(5, 1.0))
UPSTREAM = OktUpstream("okt", "http://localhost", ReadScopes("x"), ServiceStatus.TEST, PLACE, sweep=SWEEP)


@dataclass
class Okt:
    """Answers as it is told to; each look-up takes no time."""

    answers: dict[str, tuple[Service, ...] | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    upstream: OktUpstream = UPSTREAM

    async def services(self, number: str, orgnr: str, timeout: float) -> tuple[Service, ...]:  # noqa: ASYNC109 - as the client
        """Return what it was told to."""
        assert (orgnr, timeout) == (HAVNES.orgnr, 10.0)
        self.asked.append(number)
        answer = self.answers.get(number, ())
        if isinstance(answer, Exception):
            raise answer
        return answer


class People:
    """The patients of the services."""

    def __init__(self, lookup: LookupHasher, *numbers: str) -> None:
        self.complete, self.fresh, self.aliases = True, True, dict[str, list[str]]()
        self.known = dict(sorted((hash_of(lookup, "havnes", "", number), number) for number in numbers))

    def after(self, _: Connection, municipality: str, patient: str, most: int) -> list[tuple[str, str]]:
        """Return the next ones."""
        assert municipality == "havnes"
        return [one for one in self.known.items() if one[0] > patient][:most]

    def unanswered(self, connection: Connection, _: str, since: float) -> dict[str, float | None]:
        """Return those without a row, or with an old one."""
        rows = connection.execute(select(REPLICA_SERVICE.c.patient, REPLICA_SERVICE.c.seen_at))
        told: dict[str, float] = {row[0]: row[1] for row in rows}
        return {one: told.get(one) for one in self.known if told.get(one, 0.0) < since}

    def named(self, _: Connection, __: str, patients: list[str]) -> list[tuple[str, str]]:
        """Return them with their numbers."""
        return [(one, self.known[one]) for one in patients]

    def count(self, _: Connection, __: str) -> int:
        """Count them."""
        return len(self.known)

    def has(self, _: Connection, __: str, patient: str) -> bool:
        """Whether a hash is theirs."""
        return patient in self.known

    def is_there(self, _: Connection, __: str) -> bool:
        """Whether the copy was complete."""
        return self.complete

    def same(self, _: Connection, __: str, patient: str) -> list[str]:
        """Return everything that whom a hash names is found by."""
        return [patient, *self.aliases.get(patient, ())] if patient in self.known or patient in self.aliases else []

    def best(self, _: Connection, __: str, patients: list[str]) -> list[str]:
        """Return those that the patients are best known by."""
        return [one for one in patients if one in self.known]

    def named_by_any(self, _: Connection, __: str, identifiers: list[str]) -> list[str]:
        """Return by what those are best known whom any of their numbers names."""
        named = (each for one in identifiers for each in (one, *self.aliases.get(one, ())) if each in self.known)
        return list(dict.fromkeys(named))

    def lacking(self, connection: Connection, municipality: str) -> int:
        """Count whom only the file names."""
        told = select(REPLICA_SERVICE.c.patient).where(REPLICA_SERVICE.c.source == "file")
        return sum(not self.same(connection, municipality, one) for one in set(connection.scalars(told)))

    def check(self, _: Connection, __: str) -> None:
        """Refuse what would rest on who is not there, once the copy is too old."""
        if not self.complete or not self.fresh:
            raise Failure(Fault.UNAVAILABLE, "The copy of the municipality's patients is too old")

    def of_identifier(self, _: Connection, __: str, system: str, value: str) -> list[str]:
        """Return whom a local number names."""
        return [patient for patient, number in self.known.items() if (system, value) == ("urn:epj", f"local-{number}")]


@dataclass
class SweptCopy:
    """A copy under a clock that stands still."""

    database: Database
    lookup: LookupHasher
    clock: FakeClock
    people: People
    okt: Okt
    slept: list[float]

    @property
    def seal(self) -> ServiceSeal:
        """What seals and opens."""
        return ServiceSeal(PayloadCipher({"k": b"k" * 32}, "k"), self.lookup)

    @property
    def sweep(self) -> OktSweep:
        """A sweep as a process that has just started has it."""

        async def sleep(seconds: float) -> None:
            self.slept.append(round(seconds, 3))
            self.clock.now += seconds

        return OktSweep(HAVNES, self.okt, self.database, self.people, self.seal, self.clock, node="node", sleep=sleep)  # type: ignore[arg-type]

    async def swept(self) -> None:
        """Sweep until there is nothing to do."""
        sweep = self.sweep
        while not await sweep.step():
            pass

    async def find(
        self, *, codes: str = "", municipality: Municipality = HAVNES, most: int = 100, **asked: Any
    ) -> list[Any]:
        """Search for services."""
        needs = Needs(self.people, self.clock, 24 * HOUR)
        number = asked.pop("number", None)
        patient = PatientKey(None, number) if number else asked.pop("patient", None)
        search = Search(
            kind="EpisodeOfCare",
            information=Information.TJENESTER,
            patient=patient,
            service_codes=tuple(codes.split()),
            **asked,
        )
        source = ServiceSource(self.database, self.seal, needs, self.people.check, most)
        return list(await source.find(search, municipality))

    async def refusal(self, **asked: Any) -> Fault:
        """Search in vain."""
        with pytest.raises(Failure) as caught:
            await self.find(**asked)
        assert not any(number in str(caught.value) for number in (SOMEBODY, ANOTHER, NOBODY))
        return caught.value.fault


@pytest.fixture
async def services(store: Database) -> SweptCopy:
    """Make a copy with three patients, on each kind of database."""
    lookup = LookupHasher(b"l" * 32)
    people = People(lookup, SOMEBODY, ANOTHER, NOBODY)
    okt = Okt({SOMEBODY: (ALARM, GPS), ANOTHER: (GPS,)})
    await store.write(partial(_write_people, people))
    clock = FakeClock()
    await store.write(lambda connection: feeds.claim(connection, feeds.FeedKey("havnes", "okt"), "node", clock))
    return SweptCopy(store, lookup, clock, people, okt, [])


def _write_people(people: People, connection: Connection) -> None:
    connection.execute(delete(REPLICA_IDENTIFIER))
    connection.execute(delete(REPLICA_PATIENT))
    of = {"municipality": "havnes", "generation": 1}
    rows = [{**of, "id": place, "hash": one} for place, one in enumerate(people.known, 1)]
    patient = insert(REPLICA_PATIENT).values(updated="", sealed=b"")
    connection.execute(
        patient, [{**of, "id": one["id"], "resource": one["hash"], "patient": one["hash"]} for one in rows]
    )
    generation = {"source": "pit", "maker": "m", "began_at": 0.0, "since": ""}
    connection.execute(delete(REPLICA_GENERATION).where(REPLICA_GENERATION.c.source == "pit"))
    connection.execute(insert(REPLICA_GENERATION).values(municipality="havnes", generation=1, **generation))
    identifier = insert(REPLICA_IDENTIFIER).values(is_first=True)
    connection.execute(identifier, [{**of, "row": one["id"], "hash": one["hash"]} for one in rows])
