"""A migration of an invented country."""

from __future__ import annotations

import json
from datetime import date

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.load import load_text
from gateway.migration.simulation import GATE, Country, Pair, Play, SimulationOutcome, invented

BEGINS = date(2026, 12, 1)


def played(country: Country, days: int) -> SimulationOutcome:
    """Play a country."""
    table = load_text(country.text, "country").table
    assert table is not None
    return Play(country, table, 1).run(days)


def alone(**pair: object) -> Country:
    """Return a country whose only pair is this one, and whose record system is ready on day 10."""
    country = invented(1, 1, BEGINS)
    first = country.pairs[0]
    wanted = {"messages_a_day": 100, "clean": 1.0, "mended_within": 30} | pair
    only = Pair(first.municipality, first.vendor, **wanted)  # type: ignore[arg-type] # by name
    return Country(BEGINS, country.text, {first.municipality: 10}, (only,))


def test_the_same_seed_gives_the_same_country_and_another_does_not() -> None:
    """A planner can speak of a run."""
    assert invented(20, 7, BEGINS) == invented(20, 7, BEGINS)
    assert invented(20, 7, BEGINS) != invented(20, 8, BEGINS)


def test_the_country_is_a_configuration_without_errors() -> None:
    """The code that checks in earnest has checked it: 357 municipalities, each with several vendors."""
    country = invented(357, 1, BEGINS)
    loaded = load_text(country.text, "country")
    assert loaded.problems == ()
    assert loaded.config is not None
    assert len(loaded.config.municipalities) == 357
    assert len(loaded.config.senders) == len(country.pairs) > 2 * 357


def test_clean_pair_moves_after_a_week_of_rehearsal_and_not_before() -> None:
    """Ready on day 10, rehearsed for seven days, switched on day 17; its messages go the other way from then on."""
    outcome = played(alone(), 30)
    assert [outcome.days[day].moved for day in (9, 10, 16, 17)] == [0, 0, 0, 1]
    assert [outcome.days[day].rehearsing for day in (9, 10, 16, 17)] == [0, 1, 1, 0]
    assert (outcome.days[16].to_vkp, outcome.days[16].to_jft) == (100, 0)
    assert (outcome.days[17].to_vkp, outcome.days[17].to_jft) == (0, 100)
    assert outcome.closes == outcome.days[17].date


def test_pair_without_enough_messages_never_passes() -> None:
    """No data is no pass: the gate of a week cannot be reached, and VKP cannot close."""
    outcome = played(alone(messages_a_day=GATE.rehearsed_at_least // 7 - 1), 200)
    assert outcome.closes is None
    assert set(outcome.blocked) == {"too few messages"}
    assert outcome.holds_back.total() == 1


def test_flaws_block_until_they_are_mended() -> None:
    """A pair whose messages are not clean waits, and moves when they are."""
    outcome = played(alone(clean=0.5, mended_within=40, messages_a_day=1000), 120)
    assert outcome.blocked["not clean enough"] >= 3
    assert outcome.switched >= 1
    assert outcome.days[40].moved == 0


def test_every_message_of_a_day_goes_somewhere() -> None:
    """Nothing of the load is lost in the sums."""
    country = invented(30, 3, BEGINS)
    whole = sum(pair.messages_a_day for pair in country.pairs)
    outcome = played(country, 300)
    assert {day.to_vkp + day.to_jft for day in outcome.days} == {whole}
    assert {day.legacy + day.rehearsing + day.moved for day in outcome.days} == {len(country.pairs)}


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_command_says_when_vkp_could_close(options: tuple[str, ...]) -> None:
    """Exit 1 where it could not in the time that was played."""
    result = CliRunner().invoke(main, ["simulate", "--municipalities", "5", "--days", "60", *options])
    assert result.exit_code == 1
    if options:
        document = json.loads(result.stdout)
        assert len(document["days"]) == 60
        assert document["closes"] is None
    else:
        assert "VKP cannot close in this time" in result.stdout
