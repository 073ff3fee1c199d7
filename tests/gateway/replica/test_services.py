"""The sweep of OKT: whom it asks about and when, and what a refused answer or a file of services does to the services."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import update

from gateway.config.model import ServicesFrom
from gateway.config.upstreams import Sweep
from gateway.errors import Fault
from gateway.ledger.tables import REPLICA_SERVICE
from gateway.model import Rate
from gateway.observability.metrics import SERVICES_WITHOUT_PATIENT, UNANSWERED
from gateway.replica import feeds
from gateway.replica.patient_seal import hash_of
from gateway.replica.patients import CopiedNumbers
from gateway.replica.service_file import ServiceFile
from gateway.replica.services import put_services
from gateway.replica.sweep import read_feed
from gateway.tasks import FileThread
from gateway.upstreams.service_caller import AnswerRefused, ServiceUnavailable
from service_stubs.people import number_of
from translators.patient import BIRTH_NUMBER, D_NUMBER
from translators.services import Service

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.gateway.replica.conftest import Copy, FakePit
    from tests.gateway.world import Logged
from tests.gateway.replica.services_world import ANOTHER, GPS, HAVNES, HOUR, NOBODY, PLACE, SOMEBODY, People, SweptCopy


@pytest.mark.fact("okt-look-up")
async def test_sweep_asks_once_about_each_patient_at_its_rate_and_again_after_its_interval(services: SweptCopy) -> None:
    """A patient without services takes two calls."""
    began = services.clock.now
    await services.swept()
    assert sorted(services.okt.asked) == sorted([SOMEBODY, ANOTHER, NOBODY])
    assert sorted(services.slept) == [0.2, 0.2, 0.4]
    await services.swept()
    assert len(services.okt.asked) == 3
    services.clock.now = began + 6 * HOUR
    await services.swept()
    assert len(services.okt.asked) == 6


async def test_sweep_waits_for_the_first_copy_of_the_patients(services: SweptCopy) -> None:
    """A sweep of nobody would be complete, and a list of those with a need would say that there are none."""
    services.people.complete = False
    assert await services.sweep.step() == 1.0
    assert await services.refusal(codes="TA") is Fault.UNAVAILABLE


async def test_sweep_says_how_long_it_will_take(services: SweptCopy, logged: Logged) -> None:
    """At least: as many look-ups as there are patients, at the rate."""
    await services.sweep.step()
    (began,) = logged.named("okt.sweep_begins")
    assert (began["patients"], began["seconds"], began["first"]) == (3, 1, True)
    assert not logged.named("okt.sweep_too_slow")
    await services.swept()
    services.okt.upstream = replace(services.okt.upstream, sweep=Sweep(6 * HOUR, Rate(1, 9 * HOUR)))
    services.clock.now += 6 * HOUR
    await services.sweep.step()
    (slow,) = logged.named("okt.sweep_too_slow")
    assert slow["seconds"] == 27 * HOUR
    numbers = [f"{SOMEBODY[:-2]}{index:02}" for index in range(50)]
    services.people = People(services.lookup, *numbers)
    services.clock.now += 27 * HOUR
    slower = services.sweep
    for _ in range(6):
        await slower.step()
    told = [(one["asked"], one["patients"]) for one in logged.named("okt.sweep_progress")]
    assert told[-1][1] == 50
    assert told == sorted(told)


async def test_sweep_goes_on_where_another_process_left_it(services: SweptCopy) -> None:
    """Nobody is asked about twice."""
    first = next(iter(services.people.known.values()))
    second = list(services.people.known.values())[1]
    services.okt.answers[second] = ServiceUnavailable("down")
    with pytest.raises(ServiceUnavailable):
        await services.sweep.step()
    del services.okt.answers[second]
    services.okt.asked.clear()
    await services.swept()
    assert first not in services.okt.asked
    assert len(services.okt.asked) == 2


async def test_patient_who_is_new_after_a_sweep_is_asked_about_before_the_next(services: SweptCopy) -> None:
    """Six hours would be long to wait for a safety alarm."""
    known = dict(services.people.known)
    services.people.known.pop(next(iter(known)))
    await services.swept()
    services.people.known = known
    services.okt.asked.clear()
    await services.swept()
    assert services.okt.asked == [next(iter(known.values()))]


async def test_answer_that_is_refused_leaves_what_was_known_until_it_is_too_old(
    services: SweptCopy, logged: Logged
) -> None:
    """With an alarm; then it is a temporary error, and never an empty answer."""
    await services.swept()
    services.okt.answers = dict.fromkeys(
        services.people.known.values(), AnswerRefused("OktEvent.oktMessages[0].x: not documented")
    )
    services.clock.now += 6 * HOUR
    await services.swept()
    assert len(logged.named("okt.answer_refused")) == 3
    feed = await services.database.read(feeds.feeds)
    assert [(one.source, one.failure) for one in feed] == [("okt", "OktEvent.oktMessages[0].x: not documented")]
    assert len(await services.find(number=SOMEBODY, codes="TA")) == 2
    services.okt.answers[ANOTHER] = (GPS,)
    services.clock.now += 18 * HOUR + 1
    await services.swept()
    assert await services.refusal(number=SOMEBODY, codes="TA") is Fault.UNAVAILABLE
    assert await services.refusal(number=ANOTHER, codes="TA") is Fault.NO_SERVICE
    assert await services.refusal(codes="TA") is Fault.UNAVAILABLE


async def test_okt_that_answers_nobody_as_documented_is_left_alone_for_a_while(services: SweptCopy) -> None:
    """So a changed contract does not mean a sweep in vain after the other."""
    numbers = [f"{SOMEBODY[:-2]}{index:02}" for index in range(60)]
    services.people = People(services.lookup, *numbers)
    services.okt.answers = dict.fromkeys(numbers, AnswerRefused("x"))
    assert await services.sweep.step() == 600.0
    assert len(services.okt.asked) == 20


async def test_new_patient_whose_answer_is_refused_is_not_asked_about_at_once_again(services: SweptCopy) -> None:
    """But with the next look."""
    await services.swept()
    new = "16758532406"[:-2] + "99"
    services.people.known[hash_of(services.lookup, "havnes", "", new)] = new
    services.okt.answers[new] = AnswerRefused("x")
    await services.swept()
    assert services.okt.asked.count(new) == 1


def _add(services: SweptCopy, *numbers: str) -> None:
    """Have more patients in the copy."""
    added = {hash_of(services.lookup, "havnes", "", number): number for number in numbers}
    services.people.known = dict(sorted({**services.people.known, **added}.items()))


async def test_list_waits_for_every_patient_and_says_of_how_many_nothing_is_known(
    services: SweptCopy, logged: Logged
) -> None:
    """Whoever is left out seems to have no service; searches by number go on."""
    await services.swept()
    assert len(await services.find(codes="TA")) == 2
    new = "52834010061"
    services.okt.answers[new] = AnswerRefused("x")
    _add(services, new)
    sweep = services.sweep
    while not await sweep.step():
        pass
    assert await services.refusal(codes="TA") is Fault.UNAVAILABLE
    assert len(await services.find(number=SOMEBODY, codes="TA")) == 2
    await sweep.step()
    assert [one["patients"] for one in logged.named("okt.lists_wait")] == [1]
    assert UNANSWERED.labels("havnes")._value.get() == 1
    del services.okt.answers[new]
    services.clock.now += 600
    while not await sweep.step():
        pass
    assert len(await services.find(codes="TA")) == 2
    assert UNANSWERED.labels("havnes")._value.get() == 0


async def test_patients_whose_answers_are_refused_hide_none_who_is_new(services: SweptCopy) -> None:
    """However many they are: whoever was tried waits for who was not."""
    await services.swept()
    refused = [f"{SOMEBODY[:-2]}{index:02}" for index in range(20, 39)]
    services.okt.answers |= dict.fromkeys(refused, AnswerRefused("x"))
    _add(services, *refused)
    sweep = services.sweep
    while not await sweep.step():
        pass
    last = [f"{ANOTHER[:-2]}{index:02}" for index in range(3)]
    _add(services, *last)
    services.okt.asked.clear()
    services.clock.now += 600
    while not await sweep.step():
        pass
    assert set(services.okt.asked[:3]) == set(last)
    assert sorted(services.okt.asked[3:]) == sorted(refused)


async def test_patient_who_is_new_during_a_sweep_is_asked_about_before_it_goes_on(services: SweptCopy) -> None:
    """A sweep takes hours, and every list would wait for its end."""
    await services.swept()
    services.clock.now += 6 * HOUR
    new = "52834010061"
    _add(services, new)
    services.okt.asked.clear()
    sweep = services.sweep
    while not await sweep.step():
        pass
    assert services.okt.asked[0] == new
    assert await services.find(codes="TA")


async def test_copy_says_of_whom_okt_has_told_nothing_since_a_time(copy: Copy, pit: FakePit) -> None:
    """Of those whom the copy has now alone; a patient of whom nobody was known was told of."""
    for index in range(4):
        pit.put(index)
    await copy.fill()
    hashes = [copy.seal.hash_of("havnes", "", number_of(index)) for index in range(5)]

    def work(connection: Connection) -> tuple[dict[str, float | None], list[tuple[str, str]]]:
        for index, seen_at in ((0, 100.0), (1, 300.0), (4, 100.0)):
            put_services(connection, "havnes", hashes[index], "okt", seen_at, [])
        put_services(connection, "havnes", hashes[2], "file", 300.0, [])
        numbers = CopiedNumbers(copy.seal)
        return numbers.unanswered(connection, "havnes", 200.0), numbers.named(connection, "havnes", hashes[2:4])

    lacking, named = await copy.store.write(work)
    assert lacking == {hashes[0]: 100.0, hashes[2]: None, hashes[3]: None}
    assert sorted(lacking) == list(lacking)
    assert dict(named) == {hashes[2]: number_of(2), hashes[3]: number_of(3)}


FROM_FILE = replace(HAVNES, services_from=ServicesFrom("services.csv", PLACE), partner_profile={"TA": ("%.2.1",)})


@pytest.fixture
async def file(services: SweptCopy, tmp_path: Path) -> ServiceFile:
    """Follow a file that names three services."""
    text = f"nummer;tjeneste;fra;til\n{SOMEBODY};4.2.1;2022-06-20;\n{ANOTHER};RT;;\n{ANOTHER};06;;2026-01-01\n"
    (tmp_path / "services.csv").write_text(text, encoding="utf-8")
    await services.database.write(
        lambda each: feeds.claim(each, feeds.FeedKey("havnes", "file"), "node", services.clock)
    )
    path, thread = tmp_path / "services.csv", FileThread(5.0)
    seal, people = services.seal, cast("Any", services.people)
    return ServiceFile("havnes", path, services.database, seal, people, services.clock, thread, "node")


async def test_need_comes_from_the_file_and_the_answer_from_okt(services: SweptCopy, file: ServiceFile) -> None:
    """Levels by the partner profile, and a ServiceCode that the file names itself."""
    assert await services.refusal(codes="TA", municipality=FROM_FILE) is Fault.UNAVAILABLE
    await services.swept()
    await file.step()
    assert len(await services.find(number=SOMEBODY, codes="TA", municipality=FROM_FILE)) == 2
    assert len(await services.find(number=ANOTHER, codes="RT", municipality=FROM_FILE)) == 1
    assert await services.refusal(number=ANOTHER, codes="TA", municipality=FROM_FILE) is Fault.NO_SERVICE
    assert len(await services.find(codes="RT TA", municipality=FROM_FILE)) == 3


async def test_whom_the_file_names_and_the_copy_does_not_have_is_counted_and_told_of(
    services: SweptCopy, file: ServiceFile, logged: Logged, tmp_path: Path
) -> None:
    """Nothing can be answered of them, so lists are without them; a search for one says that the copy does not have the patient."""
    await services.swept()
    stranger = "52811010170"
    with (tmp_path / "services.csv").open("a", encoding="utf-8") as text:
        text.write(f"{stranger};RT;;\n")
    await file.step()
    await file.step()
    assert SERVICES_WITHOUT_PATIENT.labels("havnes")._value.get() == 1
    (told,) = logged.named("services.not_in_copy")
    assert (told["municipality"], told["patients"]) == ("havnes", 1)
    assert stranger not in logged.everything()
    assert len(await services.find(codes="RT", municipality=FROM_FILE)) == 1
    assert await services.refusal(number=stranger, codes="RT", municipality=FROM_FILE) is Fault.UNKNOWN_PATIENT
    _add(services, stranger)
    await file.step()
    assert SERVICES_WITHOUT_PATIENT.labels("havnes")._value.get() == 0


async def test_list_has_whom_the_file_names_by_another_number_than_the_copy(
    services: SweptCopy, file: ServiceFile, tmp_path: Path
) -> None:
    """As a search for that patient does: a D-number that was in use before, and the birth number of today."""
    await services.swept()
    older = "52811010170"
    (by_today,) = [each for each, number in services.people.known.items() if number == ANOTHER]
    services.people.aliases[hash_of(services.lookup, "havnes", "", older)] = [by_today]
    (tmp_path / "services.csv").write_text(f"{older};RT;;\n{ANOTHER};RT;;\n", encoding="utf-8")
    await file.step()
    assert len(await services.find(codes="RT", municipality=FROM_FILE)) == 1
    (tmp_path / "services.csv").write_text(f"{older};RT;;\n", encoding="utf-8")
    await file.step()
    assert len(await services.find(codes="RT", municipality=FROM_FILE)) == 1


async def test_copy_knows_people_by_any_number_and_counts_whom_only_the_file_names(copy: Copy, pit: FakePit) -> None:
    """Each once, by the number that the copy knows them best by."""
    d_number = "52811010170"
    pit.put(0, identifier=[{"system": BIRTH_NUMBER, "value": number_of(0)}, {"system": D_NUMBER, "value": d_number}])
    pit.put(1)
    await copy.fill()
    first, older, other, unknown = (
        copy.seal.hash_of("havnes", "", one) for one in (number_of(0), d_number, number_of(1), number_of(9))
    )

    def work(connection: Connection) -> tuple[list[str], list[str], int]:
        for one in (older, unknown):
            put_services(connection, "havnes", one, "file", 300.0, [(Service(level="RT"), b"x")])
        numbers = CopiedNumbers(copy.seal)
        every = numbers.named_by_any(connection, "havnes", [older, first, other, unknown])
        return every, numbers.named_by_any(connection, "havnes", [older]), numbers.lacking(connection, "havnes")

    every, by_older, lacking = await copy.store.write(work)
    assert (sorted(every), by_older, lacking) == (sorted([first, other]), [first], 1)


async def test_file_is_taken_in_when_it_changes_and_one_that_is_wrong_changes_nothing(
    services: SweptCopy, file: ServiceFile, tmp_path: Path, logged: Logged
) -> None:
    """What cannot be used is an alarm that names lines alone; after a day it is a temporary error."""
    await services.swept()
    path = tmp_path / "services.csv"
    await file.step()
    await file.step()
    assert len(logged.named("services.file_read")) == 1
    path.write_text(f"{ANOTHER},06\n{SOMEBODY},4.2.1,yesterday\n", encoding="utf-8")
    await file.step()
    (alarm,) = logged.named("services.file_unusable")
    assert alarm["reasons"] == ["line 2: a day is not written YYYY-MM-DD"]
    assert SOMEBODY not in logged.everything()
    assert len(await services.find(number=SOMEBODY, codes="TA", municipality=FROM_FILE)) == 2
    services.clock.now += 24 * HOUR + 1
    assert await services.refusal(number=SOMEBODY, codes="TA", municipality=FROM_FILE) is Fault.UNAVAILABLE
    path.write_text(f"{ANOTHER},06\n", encoding="utf-8")
    await file.step()
    assert await services.refusal(number=SOMEBODY, codes="TA", municipality=FROM_FILE) is Fault.NO_SERVICE
    feed = await services.database.read(lambda connection: read_feed(connection, "havnes", "file"))
    assert (feed.fresh_at, feed.asked) == (services.clock.now, 1)


async def test_services_that_cannot_be_read_are_a_temporary_error_and_an_alarm(
    services: SweptCopy, logged: Logged
) -> None:
    """As patients are: their key is gone, or somebody has changed the database."""
    await services.swept()
    await services.database.write(
        lambda each: each.execute(
            update(REPLICA_SERVICE).where(REPLICA_SERVICE.c.sealed.is_not(None)).values(sealed=b"k.x")
        )
    )
    assert await services.refusal(number=SOMEBODY, codes="TA") is Fault.UNAVAILABLE
    assert len(logged.named("replica.unreadable")) == 1
    assert SOMEBODY not in logged.everything()


async def test_node_whose_lease_was_taken_writes_nothing(services: SweptCopy, file: ServiceFile) -> None:
    """It has stalled, and another goes on: two that write would have each service there twice."""
    await services.swept()
    await services.database.write(lambda each: feeds.release(each, "node"))
    for key in (feeds.FeedKey("havnes", "okt"), feeds.FeedKey("havnes", "file")):
        assert await services.database.write(partial(feeds.claim, key=key, node="other", clock=services.clock))
    services.clock.now += 6 * HOUR
    with pytest.raises(feeds.LeaseLost):
        await services.swept()
    with pytest.raises(feeds.LeaseLost):
        await file.step()
