"""Answers about patients from the copy: whose need is fulfilled, as long as it is fresh, and the newest of several records."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import Failure, Fault
from gateway.model import Information
from gateway.replica.patient_source import CopiedLocalNumbers, Freshness, PatientSource
from gateway.surfaces.search import PatientKey, Search, is_called
from service_stubs.people import LOCAL, number_of
from tests.gateway.replica.conftest import HAVNES
from translators.patient import BIRTH_NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from sqlalchemy import Connection

    from gateway.config.model import Municipality
    from tests.gateway.clocks import FakeClock
    from tests.gateway.replica.conftest import Copy, FakePit


class _Needs:
    """Says that some patients have a need, by their hashes."""

    def __init__(self, having: list[str]) -> None:
        self.having = having
        self.codes: list[Collection[str]] = []

    def check_any(self, _: Connection, __: Municipality, same: Iterable[str], codes: Collection[str]) -> None:
        self.codes.append(codes)
        if not any(patient in self.having for patient in same):
            raise Failure(Fault.NO_SERVICE, "no service")

    def all_with(self, _: Connection, __: Municipality, codes: Collection[str]) -> list[str]:
        self.codes.append(codes)
        return self.having


def _source(copy: Copy, having: list[int], most: int = 1000) -> PatientSource:
    needs: Any = _Needs([copy.seal.hash_of("havnes", "", number_of(index)) for index in having])
    fresh = Freshness(copy.clock, copy.seal.maker, 60.0)
    return PatientSource(copy.store, copy.seal, needs, fresh, copy.freshness, most)


def _by(number: str | None, system: str | None = None, **changes: Any) -> Search:
    patient = None if number is None else PatientKey(system, number)
    asked = {"service_codes": ("TA",), **changes}
    return Search(kind="Patient", information=Information.PASIENTINFO, patient=patient, **asked)


async def _ids(source: PatientSource, search: Search) -> list[str]:
    found = await source.find(search, HAVNES)
    return [str(one["id"]) for one in found]  # type: ignore[index,call-overload] # a resource


async def _refused(source: PatientSource, search: Search) -> Failure:
    with pytest.raises(Failure) as caught:
        await source.find(search, HAVNES)
    return caught.value


@pytest.fixture
async def filled(copy: Copy, pit: FakePit, clock: FakeClock) -> Copy:
    """Have a copy of five patients."""
    for index in range(5):
        clock.now += 1
        pit.put(index)
    await copy.fill()
    return copy


@pytest.mark.parametrize("system", [None, BIRTH_NUMBER])
async def test_patient_is_found_by_national_number(system: str | None, filled: Copy) -> None:
    """Bare, or with its system."""
    assert await _ids(_source(filled, [1]), _by(number_of(1), system)) == ["id-1"]


async def test_patient_is_found_by_the_record_systems_own_number(filled: Copy) -> None:
    """As PIT has it."""
    assert await _ids(_source(filled, [1]), _by("100001", LOCAL)) == ["id-1"]
    assert await _ids(_source(filled, [1]), _by("100001", "http://other.example")) == []


async def test_patient_is_read_by_its_id(filled: Copy) -> None:
    """As it was told."""
    assert await _ids(_source(filled, [1]), _by(None, id="id-1")) == ["id-1"]
    assert await _ids(_source(filled, [1]), _by(None, id="id-7")) == []


async def test_nobody_found_is_an_answer(filled: Copy) -> None:
    """Told only by a copy that is whole and fresh."""
    assert await _ids(_source(filled, []), _by(number_of(40))) == []


async def test_patient_without_the_need_is_not_told_of(filled: Copy) -> None:
    """Whatever number it is found by."""
    source = _source(filled, [2])
    for search in (_by(number_of(1)), _by("100001", LOCAL), _by(None, id="id-1")):
        assert (await _refused(source, search)).fault is Fault.NO_SERVICE


async def test_need_by_another_of_the_patients_numbers_counts(filled: Copy, pit: FakePit) -> None:
    """Services may be known by a D-number that the patient had before."""
    numbers = [{"system": BIRTH_NUMBER, "value": number_of(1)}, {"system": BIRTH_NUMBER, "value": number_of(30)}]
    pit.put(1, identifier=numbers)
    await filled.pass_time(60)
    assert await _ids(_source(filled, [30]), _by(number_of(1))) == ["id-1"]


async def test_list_has_those_with_the_need(filled: Copy) -> None:
    """Of a patient whom PIT does not have nothing is told."""
    assert sorted(await _ids(_source(filled, [1, 3, 50]), _by(None))) == ["id-1", "id-3"]


async def test_list_that_would_be_too_long_is_refused_in_words(filled: Copy) -> None:
    """And nothing of it is fetched."""
    failure = await _refused(_source(filled, [1, 2, 3], most=2), _by(None))
    assert failure.fault.is_temporary is False
    assert "limits.answer" in failure.diagnostics


async def test_list_by_name_has_those_of_that_name(filled: Copy) -> None:
    """STU3 alone can ask so."""
    everybody = list(range(5))
    assert await _ids(_source(filled, everybody), _by(None, name="magn")) == ["id-1"]


async def test_newest_of_several_records_of_one_number_answers(filled: Copy, pit: FakePit) -> None:
    """In a list too: the others were not kept up."""
    filled.clock.now += 5
    pit.put(20, identifier=[{"system": BIRTH_NUMBER, "value": number_of(1)}])
    await filled.pass_time(60)
    source = _source(filled, [1, 2])
    assert await _ids(source, _by(number_of(1))) == ["id-20"]
    assert sorted(await _ids(source, _by(None))) == ["id-2", "id-20"]


async def test_nothing_is_told_before_everybody_is_there(copy: Copy, pit: FakePit) -> None:
    """Not even that there is nobody."""
    for index in range(5):
        pit.put(index)
    for steps in (0, 2):
        await copy.fill(most=steps)
        for search in (_by(number_of(1)), _by(None), _by(None, id="id-1")):
            failure = await _refused(_source(copy, [1]), search)
            assert (failure.fault, failure.retry_after) == (Fault.UNAVAILABLE, 60)


async def test_copy_that_is_too_old_tells_nothing(filled: Copy) -> None:
    """A temporary error; and once it is fresh again it answers."""
    source = _source(filled, [1])
    filled.clock.now += filled.freshness + 60
    for search in (_by(number_of(1)), _by(None), _by(number_of(40))):
        assert (await _refused(source, search)).fault is Fault.UNAVAILABLE
    await filled.fill()
    assert await _ids(source, _by(number_of(1))) == ["id-1"]


async def test_clock_that_is_set_back_makes_no_copy_young(filled: Copy) -> None:
    """Its age is counted by what passes in this process too."""
    source = _source(filled, [1])
    assert await _ids(source, _by(number_of(1))) == ["id-1"]
    filled.clock.ahead = -7200.0
    filled.clock.now += filled.freshness + 1
    assert (await _refused(source, _by(number_of(1)))).fault is Fault.UNAVAILABLE


async def test_local_number_that_two_patients_have_finds_neither(filled: Copy, pit: FakePit) -> None:
    """Whichever was chosen could be the wrong one."""
    source = _source(filled, [1, 2])
    assert await _ids(source, _by("100001", LOCAL)) != []
    pit.put(2, identifier=[pit.people[2]["identifier"][0], {"system": LOCAL, "value": "100001"}])
    await filled.pass_time(60)
    assert (await _refused(source, _by("100001", LOCAL))).fault is Fault.PATIENT


# National numbers by those of the record system.


def _local(copy: Copy) -> Callable[[str], Any]:
    fresh = Freshness(copy.clock, copy.seal.maker, 60.0)
    numbers = CopiedLocalNumbers(copy.store, copy.seal, fresh, copy.clock)
    return partial(numbers.national_number, HAVNES, LOCAL)


async def test_local_number_names_one_patient(filled: Copy, pit: FakePit) -> None:
    """Where two have it nobody is named; what was found is remembered for a while."""
    ask = _local(filled)
    assert await ask("100001") == number_of(1)
    assert await ask("999999") is None
    pit.put(2, identifier=[pit.people[2]["identifier"][0], {"system": LOCAL, "value": "100001"}])
    await filled.pass_time(60)
    assert await ask("100001") == number_of(1)
    await filled.pass_time(300)
    assert await ask("100001") is None


async def test_two_records_of_one_person_name_that_person(filled: Copy, pit: FakePit) -> None:
    """With one national number they are no two."""
    pit.put(20, identifier=pit.people[1]["identifier"])
    await filled.pass_time(60)
    assert await _local(filled)("100001") == number_of(1)


async def test_local_number_is_not_looked_up_in_a_copy_that_is_not_there(copy: Copy, filled: Copy) -> None:
    """Or is days old: a temporary error, for a message that would be refused for ever."""
    filled.clock.now += 90_000
    with pytest.raises(Failure) as caught:
        await _local(copy)("100001")
    assert caught.value.fault is Fault.UNAVAILABLE


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ({"family": "Danser", "given": ["Line", "Marie"]}, "mar", True),
        ({"family": "Danser", "given": ["Line"]}, "DANS", True),
        ({"family": "Danser", "given": ["Line"]}, "anser", False),
        ({"text": "Line Danser"}, "danser", True),
        ({"family": "Åsen"}, "å", True),
        ({}, "a", False),
    ],
)
def test_name_is_compared_from_the_beginning_of_its_parts(name: dict[str, Any], wanted: str, *, expected: bool) -> None:
    """In whatever case, as FHIR has it of a search by string."""
    assert is_called({"name": [name]}, wanted) is expected
