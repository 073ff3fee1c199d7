"""Services in the copy: swept from OKT or read from a file, whose need they fulfil, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, select

from gateway.config.model import Epj, Municipality, Sender, ServicesFrom
from gateway.config.upstreams import OktUpstream, ReadScopes, ServiceStatus, Sweep
from gateway.errors import Failure, Fault
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.tables import REPLICA_PATIENT, REPLICA_SERVICE
from gateway.model import Information, Place, Rate
from gateway.replica import feeds
from gateway.replica.service_file import ServiceFile
from gateway.replica.service_source import Needs, ServiceSource
from gateway.replica.services import ServiceSeal, hash_of_number
from gateway.replica.sweep import OktSweep, read_feed
from gateway.surfaces.search import PatientKey, Search
from gateway.tasks import FileThread
from gateway.upstreams.okt import AnswerRefused, ServiceUnavailable
from tests.gateway.clocks import FakeClock
from translators.services import Service

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from gateway.ledger.database import Database
    from tests.gateway.world import Logged

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
    """The patients of the copy."""

    def __init__(self, lookup: LookupHasher, *numbers: str) -> None:
        self.complete, self.aliases = True, dict[str, list[str]]()
        self.known = dict(sorted((hash_of_number(lookup, "havnes", number), number) for number in numbers))

    def after(self, _: Connection, municipality: str, patient: str, most: int) -> list[tuple[str, str]]:
        """Return the next ones."""
        assert municipality == "havnes"
        return [one for one in self.known.items() if one[0] > patient][:most]

    def never_asked(self, connection: Connection, _: str, most: int) -> list[tuple[str, str]]:
        """Return those without a row."""
        asked = set(connection.scalars(select(REPLICA_SERVICE.c.patient)))
        return [one for one in self.known.items() if one[0] not in asked][:most]

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
        return [patient, *self.aliases.get(patient, ())]

    def of_identifier(self, _: Connection, __: str, system: str, value: str) -> list[str]:
        """Return whom a local number names."""
        return [patient for patient, number in self.known.items() if (system, value) == ("urn:epj", f"local-{number}")]


@dataclass
class Copy:
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

        return OktSweep(HAVNES, self.okt, self.database, self.people, self.seal, self.clock, sleep=sleep)  # type: ignore[arg-type]

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
        sender = Sender("vendor", "system", "vkp-id", None, None, (), None, PLACE)
        return list(await ServiceSource(self.database, self.seal, needs, most).find(search, municipality, sender))

    async def refusal(self, **asked: Any) -> Fault:
        """Search in vain."""
        with pytest.raises(Failure) as caught:
            await self.find(**asked)
        assert not any(number in str(caught.value) for number in (SOMEBODY, ANOTHER, NOBODY))
        return caught.value.fault


@pytest.fixture
async def copy(store: Database) -> Copy:
    """Make a copy with three patients, on each kind of database."""
    lookup = LookupHasher(b"l" * 32)
    people = People(lookup, SOMEBODY, ANOTHER, NOBODY)
    okt = Okt({SOMEBODY: (ALARM, GPS), ANOTHER: (GPS,)})
    await store.write(partial(_write_people, people))
    clock = FakeClock()
    await store.write(lambda connection: feeds.claim(connection, feeds.FeedKey("havnes", "okt"), "node", clock))
    return Copy(store, lookup, clock, people, okt, [])


def _write_people(people: People, connection: Connection) -> None:
    connection.execute(delete(REPLICA_PATIENT))
    of = {"municipality": "havnes", "generation": 1, "updated": "", "sealed": b""}
    connection.execute(insert(REPLICA_PATIENT), [{**of, "resource": one, "patient": one} for one in people.known])


@pytest.mark.fact("okt-look-up")
async def test_sweep_asks_once_about_each_patient_at_its_rate_and_again_after_its_interval(copy: Copy) -> None:
    """A patient without services takes two calls."""
    began = copy.clock.now
    await copy.swept()
    assert sorted(copy.okt.asked) == sorted([SOMEBODY, ANOTHER, NOBODY])
    assert sorted(copy.slept) == [0.2, 0.2, 0.4]
    await copy.swept()
    assert len(copy.okt.asked) == 3
    copy.clock.now = began + 6 * HOUR
    await copy.swept()
    assert len(copy.okt.asked) == 6


async def test_sweep_waits_for_the_first_copy_of_the_patients(copy: Copy) -> None:
    """A sweep of nobody would be complete, and a list of those with a need would say that there are none."""
    copy.people.complete = False
    assert await copy.sweep.step() == 1.0
    assert await copy.refusal(codes="TA") is Fault.UNAVAILABLE


async def test_sweep_says_how_long_it_will_take(copy: Copy, logged: Logged) -> None:
    """At least: as many look-ups as there are patients, at the rate."""
    await copy.sweep.step()
    (began,) = logged.named("okt.sweep_begins")
    assert (began["patients"], began["seconds"], began["first"]) == (3, 1, True)
    assert not logged.named("okt.sweep_too_slow")
    await copy.swept()
    copy.okt.upstream = replace(copy.okt.upstream, sweep=Sweep(6 * HOUR, Rate(1, 9 * HOUR)))
    copy.clock.now += 6 * HOUR
    await copy.sweep.step()
    (slow,) = logged.named("okt.sweep_too_slow")
    assert slow["seconds"] == 27 * HOUR
    numbers = [f"{SOMEBODY[:-2]}{index:02}" for index in range(50)]
    copy.people = People(copy.lookup, *numbers)
    copy.clock.now += 27 * HOUR
    slower = copy.sweep
    for _ in range(3):
        await slower.step()
    told = [(one["asked"], one["patients"]) for one in logged.named("okt.sweep_progress")]
    assert told[-1][1] == 50
    assert told == sorted(told)


async def test_sweep_goes_on_where_another_process_left_it(copy: Copy) -> None:
    """Nobody is asked about twice."""
    first = next(iter(copy.people.known.values()))
    second = list(copy.people.known.values())[1]
    copy.okt.answers[second] = ServiceUnavailable("down")
    with pytest.raises(ServiceUnavailable):
        await copy.sweep.step()
    del copy.okt.answers[second]
    copy.okt.asked.clear()
    await copy.swept()
    assert first not in copy.okt.asked
    assert len(copy.okt.asked) == 2


async def test_patient_who_is_new_after_a_sweep_is_asked_about_before_the_next(copy: Copy) -> None:
    """Six hours would be long to wait for a safety alarm."""
    known = dict(copy.people.known)
    copy.people.known.pop(next(iter(known)))
    await copy.swept()
    copy.people.known = known
    copy.okt.asked.clear()
    await copy.swept()
    assert copy.okt.asked == [next(iter(known.values()))]


async def test_answer_that_is_refused_leaves_what_was_known_until_it_is_too_old(copy: Copy, logged: Logged) -> None:
    """With an alarm; then it is a temporary error, and never an empty answer."""
    await copy.swept()
    copy.okt.answers = dict.fromkeys(
        copy.people.known.values(), AnswerRefused("OktEvent.oktMessages[0].x: not documented")
    )
    copy.clock.now += 6 * HOUR
    await copy.swept()
    assert len(logged.named("okt.answer_refused")) == 3
    feed = await copy.database.read(feeds.feeds)
    assert [(one.source, one.failure) for one in feed] == [("okt", "OktEvent.oktMessages[0].x: not documented")]
    assert len(await copy.find(number=SOMEBODY, codes="TA")) == 2
    copy.okt.answers[ANOTHER] = (GPS,)
    copy.clock.now += 18 * HOUR + 1
    await copy.swept()
    assert await copy.refusal(number=SOMEBODY, codes="TA") is Fault.UNAVAILABLE
    assert await copy.refusal(number=ANOTHER, codes="TA") is Fault.NO_NEED
    assert await copy.refusal(codes="TA") is Fault.UNAVAILABLE


async def test_okt_that_answers_nobody_as_documented_is_left_alone_for_a_while(copy: Copy) -> None:
    """So a changed contract does not mean a sweep in vain after the other."""
    numbers = [f"{SOMEBODY[:-2]}{index:02}" for index in range(60)]
    copy.people = People(copy.lookup, *numbers)
    copy.okt.answers = dict.fromkeys(numbers, AnswerRefused("x"))
    assert await copy.sweep.step() == 600.0
    assert len(copy.okt.asked) == 20


async def test_services_of_a_patient_are_told_where_one_of_them_stands_behind_the_codes(copy: Copy) -> None:
    """All of them, in VKP's form."""
    await copy.swept()
    found = await copy.find(number=SOMEBODY, codes="MD TA")
    assert [(one["status"], one["type"][0]["coding"][0]["code"]) for one in found] == [
        ("active", "6"),
        ("onhold", "26"),
    ]
    assert await copy.find(number=SOMEBODY) == found
    assert await copy.refusal(number=SOMEBODY, codes="GPS") is Fault.NO_NEED
    assert await copy.refusal(number=ANOTHER, codes="GPS") is Fault.NO_NEED
    assert await copy.refusal(number=NOBODY, codes="TA") is Fault.NO_NEED


async def test_list_has_the_patients_with_a_service_behind_the_codes(copy: Copy) -> None:
    """And nobody else; it waits for the first sweep to be complete."""
    assert await copy.refusal(codes="TA") is Fault.UNAVAILABLE
    await copy.swept()
    found = await copy.find(codes="TA")
    assert {one["patient"]["identifier"]["value"] for one in found} == {SOMEBODY}
    assert await copy.find(codes="RT") == []
    assert await copy.refusal(codes="TA", most=1) is Fault.TOO_MANY_FOUND


async def test_patient_who_was_never_asked_about_is_no_patient_without_need(copy: Copy) -> None:
    """That is not known yet; of somebody whom the copy does not have, there is no need."""
    assert await copy.refusal(number=SOMEBODY, codes="TA") is Fault.UNAVAILABLE
    copy.people.known.clear()
    assert await copy.refusal(number=SOMEBODY, codes="TA") is Fault.NO_NEED
    copy.people.complete = False
    assert await copy.refusal(number=SOMEBODY, codes="TA") is Fault.UNAVAILABLE


async def test_patient_is_found_by_any_of_several_numbers(copy: Copy) -> None:
    """OKT is asked by one of them, and a sender may know another."""
    await copy.swept()
    other = "52834010061"
    copy.people.aliases[hash_of_number(copy.lookup, "havnes", other)] = [
        hash_of_number(copy.lookup, "havnes", SOMEBODY)
    ]
    assert await copy.find(number=other, codes="TA") == await copy.find(number=SOMEBODY, codes="TA")
    assert await copy.refusal(number=other, codes="GPS") is Fault.NO_NEED


async def test_one_resource_is_read_by_its_id_where_there_is_a_need(copy: Copy) -> None:
    """Its id is the same from sweep to sweep, and names nobody."""
    await copy.swept()
    one, _ = await copy.find(number=SOMEBODY, codes="TA")
    copy.clock.now += 6 * HOUR
    await copy.swept()
    assert await copy.find(id=one["id"], codes="TA") == [one]
    assert await copy.refusal(id=one["id"], codes="GPS") is Fault.NO_NEED
    assert await copy.find(id="4711", codes="TA") == []
    assert SOMEBODY not in one["id"]


async def test_local_number_finds_the_patient_that_the_copy_says(copy: Copy) -> None:
    """One that it does not know is refused."""
    await copy.swept()
    known = PatientKey("urn:epj", f"local-{SOMEBODY}")
    assert len(await copy.find(patient=known, codes="TA")) == 2
    assert await copy.refusal(patient=PatientKey("urn:epj", "1"), codes="TA") is Fault.PATIENT


async def test_rows_hold_nothing_that_names_a_patient_or_a_place(copy: Copy) -> None:
    """Number, name and place are sealed; types and dates alone can be read."""
    copy.okt.answers[SOMEBODY] = (replace(ALARM, place="1.1.1 Sone sør", description="Hemmelig"),)
    await copy.swept()
    rows = await copy.database.read(
        lambda connection: [tuple(row) for row in connection.execute(select(REPLICA_SERVICE))]
    )
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
    assert b"2022-06-20" in stored
    for text in (SOMEBODY, "Sone s", "Hemmelig", "Trygghetsalarm"):
        assert text.encode() not in stored


async def test_services_of_whom_the_copy_has_no_more_are_forgotten(copy: Copy) -> None:
    """With the end of the next sweep."""
    await copy.swept()
    del copy.people.known[hash_of_number(copy.lookup, "havnes", SOMEBODY)]
    await copy.database.write(partial(_write_people, copy.people))
    copy.clock.now += 6 * HOUR
    await copy.swept()
    stored = await copy.database.read(lambda connection: set(connection.scalars(select(REPLICA_SERVICE.c.patient))))
    assert stored == set(copy.people.known)


async def test_new_patient_whose_answer_is_refused_is_not_asked_about_at_once_again(copy: Copy) -> None:
    """But with the next look."""
    await copy.swept()
    new = "16758532406"[:-2] + "99"
    copy.people.known[hash_of_number(copy.lookup, "havnes", new)] = new
    copy.okt.answers[new] = AnswerRefused("x")
    assert await copy.sweep.step() == 60.0
    assert copy.okt.asked.count(new) == 1


FROM_FILE = replace(HAVNES, services_from=ServicesFrom("services.csv", PLACE), partner_profile={"TA": ("%.2.1",)})


@pytest.fixture
def file(copy: Copy, tmp_path: Path) -> ServiceFile:
    """Follow a file that names three services."""
    text = f"nummer;tjeneste;fra;til\n{SOMEBODY};4.2.1;2022-06-20;\n{ANOTHER};RT;;\n{ANOTHER};06;;2026-01-01\n"
    (tmp_path / "services.csv").write_text(text, encoding="utf-8")
    return ServiceFile("havnes", tmp_path / "services.csv", copy.database, copy.seal, copy.clock, FileThread(5.0))


async def test_need_comes_from_the_file_and_the_answer_from_okt(copy: Copy, file: ServiceFile) -> None:
    """Levels by the partner profile, and a ServiceCode that the file names itself."""
    assert await copy.refusal(codes="TA", municipality=FROM_FILE) is Fault.UNAVAILABLE
    await copy.swept()
    await file.step()
    assert len(await copy.find(number=SOMEBODY, codes="TA", municipality=FROM_FILE)) == 2
    assert len(await copy.find(number=ANOTHER, codes="RT", municipality=FROM_FILE)) == 1
    assert await copy.refusal(number=ANOTHER, codes="TA", municipality=FROM_FILE) is Fault.NO_NEED
    assert len(await copy.find(codes="RT TA", municipality=FROM_FILE)) == 3


async def test_file_is_taken_in_when_it_changes_and_one_that_is_wrong_changes_nothing(
    copy: Copy, file: ServiceFile, tmp_path: Path, logged: Logged
) -> None:
    """What cannot be used is an alarm that names lines alone; after a day it is a temporary error."""
    await copy.swept()
    path = tmp_path / "services.csv"
    await file.step()
    await file.step()
    assert len(logged.named("services.file_read")) == 1
    path.write_text(f"{ANOTHER},06\n{SOMEBODY},4.2.1,yesterday\n", encoding="utf-8")
    await file.step()
    (alarm,) = logged.named("services.file_unusable")
    assert alarm["reasons"] == ["line 2: a day is not written YYYY-MM-DD"]
    assert SOMEBODY not in logged.everything()
    assert len(await copy.find(number=SOMEBODY, codes="TA", municipality=FROM_FILE)) == 2
    copy.clock.now += 24 * HOUR + 1
    assert await copy.refusal(number=SOMEBODY, codes="TA", municipality=FROM_FILE) is Fault.UNAVAILABLE
    path.write_text(f"{ANOTHER},06\n", encoding="utf-8")
    await file.step()
    assert await copy.refusal(number=SOMEBODY, codes="TA", municipality=FROM_FILE) is Fault.NO_NEED
    feed = await copy.database.read(lambda connection: read_feed(connection, "havnes", "file"))
    assert (feed.fresh_at, feed.asked) == (copy.clock.now, 1)
