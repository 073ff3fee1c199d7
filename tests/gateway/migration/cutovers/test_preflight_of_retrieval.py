"""What a preflight finds of a cutover of retrieval: comparisons in place of rehearsals, and the copies that will answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.config.model import ServicesFrom
from gateway.ledger import comparisons
from gateway.migration.gates import GateNumbers
from gateway.migration.gathered import gathered
from gateway.migration.preflight import Finding, Part, findings, obstacles
from gateway.model import Mode, Place
from gateway.replica import feeds
from gateway.replica.feeds import FeedKey
from gateway.replica.status import CopyStatus, State
from tests.gateway.ledger.conftest import NOW
from tests.gateway.migration.cutovers.preflight_facts import LEDGER, facts_of, plan_to

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.config.model import Config
    from tests.gateway.migration.cutovers.scene import Site


async def test_a_cutover_of_retrieval_is_gated_by_comparisons(site: Site, config: Config) -> None:
    """Where the new side did not answer it is not clean; nothing is asked of journaling, and no journaling of it."""
    day, cell = comparisons.day_of(NOW), ("nordfjell", "dignio", "prevent", "pasientinfo")
    counts = {
        comparisons.Compared(day, *cell, "equal"): 198,
        comparisons.Compared(day, *cell, "accepted"): 1,
        comparisons.Compared(day, *cell, "new-failed"): 1,
        comparisons.Compared(day, *cell, "vkp-failed"): 7,
    }
    await site.store.write(lambda each: comparisons.add(each, counts, {}))
    record = plan_to(information=("pasientinfo", "tjenester"))
    found = await site.store.read(lambda each: gathered(each, record, config, NOW))
    assert (found.numbers.rehearsed, found.numbers.clean, found.unrehearsed) == (200, 199, ("tjenester",))
    told = findings(facts_of(config, record=record, ledger=found, tokens=None))
    assert Finding("rehearsals", True, "200 compared in the last 7 days, 199 of them clean (99.5 %)") in told
    assert Finding("rehearsals", True, "nothing was compared of tjenester", warns=True) in told
    assert not [one for one in told if one.check in {"token", "rollback", "epj"}]


async def test_searches_that_agree_do_not_hide_journaling_that_is_refused(site: Site, config: Config) -> None:
    """Each is held against the gate by itself, in the preflight and at the time of the cutover."""
    cell = ("nordfjell", "dignio", "prevent", "pasientinfo")
    equal = comparisons.Compared(comparisons.day_of(NOW), *cell, "equal")
    await site.store.write(lambda each: comparisons.add(each, {equal: 10_000}, {}))
    await site.rehearsed(200, 30)
    record = plan_to(information=("notat", "pasientinfo"))
    found = await site.store.read(lambda each: gathered(each, record, config, NOW))
    assert found.numbers == GateNumbers(230, 200)
    stopped = await site.store.read(lambda each: obstacles(each, record, config, NOW))
    assert ["230 rehearsed" in one.text for one in stopped if one.check == "rehearsals"] == [True]


def _copied(config: Config) -> Config:
    """Return a configuration where PIT has Nordfjell's patients, and OKT their services."""
    one = config.municipalities["nordfjell"]
    epj = replace(one.epj, feeds=("pit", "okt"))
    nordfjell = replace(one, epj=epj, services_from=ServicesFrom(None, Place("f", 1, 1)))
    return replace(config, municipalities={**config.municipalities, "nordfjell": nordfjell})


def _copy(source: str, state: State) -> CopyStatus:
    return CopyStatus("nordfjell", source, state, 9, NOW, 0.0, None, "node", 0, None, None)


def test_cutover_of_retrieval_is_stopped_where_its_copies_are_not_whole_and_fresh(config: Config) -> None:
    """With what to do; journaling needs none of them, and comparing neither."""
    record, known = plan_to(information=("pasientinfo",)), _copied(config)
    ledger = replace(LEDGER, copies=(_copy("pit", "answers"), _copy("okt", "old")))
    found = [one for one in findings(facts_of(known, record=record, ledger=ledger)) if one.check == "copies"]
    assert [(one.ok, one.part, one.code) for one in found] == [
        (True, Part.OK, "copies-answer"),
        (False, Part.STOPS, "copies-old"),
    ]
    assert "mend that first" in found[1].text
    (never, *_) = (one for one in findings(facts_of(known, record=record)) if one.check == "copies")
    assert (never.code, never.part) == ("copies-first", Part.STOPS)
    assert "switch when it says answers" in never.text
    for other in (plan_to(), plan_to(information=("pasientinfo",), mode=Mode.COMPARE)):
        assert not [one for one in findings(facts_of(known, record=other)) if one.check == "copies"]


@pytest.mark.parametrize(
    ("types", "from_file", "wanted"),
    [
        (("pasientinfo",), False, ["pit", "okt"]),
        (("pasientinfo",), True, ["pit", "file"]),
        (("tjenester",), True, ["pit", "file", "okt"]),
        (None, False, ["pit", "okt"]),
        (("diagnoser", "notat"), False, []),
    ],
)
def test_copies_that_are_looked_at_are_those_that_answer(
    types: tuple[str, ...] | None, from_file: bool, wanted: list[str], config: Config
) -> None:
    """The patients, who has which need, and for tjenester the services."""
    known = _copied(config)
    if from_file:
        one = replace(known.municipalities["nordfjell"], services_from=ServicesFrom("s.csv", Place("f", 1, 1)))
        known = replace(known, municipalities={**known.municipalities, "nordfjell": one})
    found = findings(facts_of(known, record=plan_to(information=types)))
    assert [one.values["source"] for one in found if one.check == "copies"] == wanted


async def test_copy_that_has_grown_old_refuses_a_cutover_at_its_time(site: Site, config: Config) -> None:
    """What was found before is looked at again."""
    record, known = plan_to(information=("pasientinfo",)), _copied(config)

    def work(connection: Connection) -> list[list[str]]:
        said = []
        for source, fresh_at in (("pit", NOW), ("okt", NOW), ("pit", NOW - 86_401)):
            key = FeedKey("nordfjell", source)  # type: ignore[arg-type] # one of them
            feeds.claim(connection, key, "node", lambda: NOW)
            for one in feeds.generations(connection, key):
                feeds.forget_generation(connection, one)
            generation = feeds.Generation(*key, 1, "m", NOW, "", complete_at=NOW, fresh_at=fresh_at)
            feeds.begin_generation(connection, generation)
            feeds.serve(connection, generation, NOW)
            said.append([one.text for one in obstacles(connection, record, known, NOW) if one.check == "copies"])
        return said

    first, ready, old = await site.store.write(work)
    assert ["okt knows has not been copied" in one for one in first] == [True]
    assert ready == []
    assert ["pit knows is too old" in one for one in old] == [True]
