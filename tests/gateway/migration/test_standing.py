"""Where municipalities stand: modes of several vendors together, what keeps a cell with VKP, what comes next, and suggested gates."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from gateway.ledger.traffic import Numbers
from gateway.migration.gates import GateNumbers, Outcomes, judge_gate, suggested_gate, suggested_watch, why_back
from gateway.migration.simulation import invented
from gateway.migration.standing import TYPES, Cell, Standings, Step, first_step, next_step, together
from gateway.model import Information, Mode
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import RouteTable
from tests.gateway.ledger.conftest import NOW
from tests.gateway.migration.cutovers.scene import config_of

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config

MORE = """\
  - {municipality: nordfjell, vendor: evondos, information: [journaling], mode: new}
  - {municipality: nordfjell, vendor: dignio, information: [notat, varsel], mode: rehearse}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return a configuration with one municipality that two vendors send for."""
    return config_of(tmp_path, more=MORE)


def standings(config: Config, layers: Layers | None = None) -> Standings:
    """Return where everybody stands."""
    table = RouteTable.compile(config)
    return Standings(config, table if layers is None else table.with_layers(layers), NOW)


@pytest.mark.parametrize(
    ("modes", "shown"),
    [
        ([], ""),
        ([None], ""),
        ([Mode.NEW, Mode.NEW], "new"),
        ([Mode.NEW, Mode.LEGACY], "canary"),
        ([Mode.CANARY, Mode.LEGACY], "canary"),
        ([Mode.EPJ, Mode.REHEARSE], "canary"),
        ([Mode.LEGACY, Mode.REHEARSE], "rehearse"),
        ([Mode.LEGACY, Mode.CLOSED], "legacy"),
        ([Mode.CLOSED], "closed"),
    ],
)
def test_modes_of_several_vendors_are_one(modes: list[Mode | None], shown: str) -> None:
    """Some moved are moved in part, as those say who read it; else what has come furthest counts."""
    assert together(modes) == shown


def test_each_municipality_has_its_cells_and_what_decides_about_them(config: Config) -> None:
    """In the order of the names; a municipality that nobody sends for has none, and has not moved."""
    found = standings(config).all
    assert list(found) == ["havnes", "nordfjell", "sorvik"]
    one = found["nordfjell"]
    assert one.vendors == ("dignio", "evondos")
    modes = dict(zip(TYPES, one.modes, strict=True))
    assert (modes[Information.NOTAT], modes[Information.TILSYN]) == ("canary", "canary")
    assert modes[Information.LEGEMIDLER] == "legacy"
    assert (one.is_moved, one.is_begun, found["sorvik"].cells, found["sorvik"].is_moved) == (False, True, (), False)
    (cell,) = (each for each in one.cells if (each.vendor, each.information) == ("dignio", Information.NOTAT))
    assert (cell.mode, cell.layer, cell.place.rpartition(":")[0][-2:]) == (Mode.REHEARSE, Layer.ROUTES, "19")


def test_a_municipality_has_moved_when_no_journaling_of_it_goes_to_vkp(tmp_path: Path) -> None:
    """Whatever its searches do."""
    config = config_of(tmp_path, more="  - {municipality: nordfjell, information: [journaling], mode: new}\n")
    assert standings(config).all["nordfjell"].is_moved


@pytest.mark.parametrize(
    ("routes", "is_begun"),
    [
        ("  - {municipality: nordfjell, information: [journaling], mode: closed, text: Stengt}\n", False),
        (
            (
                "  - {municipality: nordfjell, information: [journaling], mode: new}\n"
                "  - {municipality: nordfjell, information: [varsel], mode: closed, text: Stengt}\n"
            ),
            True,
        ),
    ],
)
def test_a_municipality_has_not_moved_where_journaling_is_closed(
    tmp_path: Path, routes: str, *, is_begun: bool
) -> None:
    """Though nothing of it goes to VKP: that is counted apart."""
    one = standings(config_of(tmp_path, more=routes)).all["nordfjell"]
    assert (one.is_moved, one.is_closed, one.is_begun) == (False, True, is_begun)


def test_rules_above_count_until_they_end(config: Config) -> None:
    """What was worked out holds until the first of them does, and no longer than its table."""
    route = Route(
        municipality="nordfjell",
        vendor=None,
        system=None,
        information=None,
        mode=Mode.LEGACY,
        grouped=frozenset(),
        text=None,
        place=config.routes[0].place,
    )
    table = RouteTable.compile(config).with_layers(Layers([Rule(Layer.PANIC, "p-1", route, NOW + 60)]))
    found = Standings(config, table, NOW)
    assert {(cell.mode, cell.rule) for cell in found.all["nordfjell"].cells} == {(Mode.LEGACY, "p-1")}
    assert [found.holds(config, table, NOW + after) for after in (0, 59, 60)] == [True, True, False]
    assert not found.holds(config, RouteTable.compile(config), NOW)
    assert not found.holds(replace(config), table, NOW)


def cell(mode: Mode, information: Information = Information.NOTAT, municipality: str = "nordfjell") -> Cell:
    """Return a cell of Dignio's."""
    return Cell(municipality, "dignio", "prevent", information, mode, Layer.ROUTES, None, "")


@pytest.mark.parametrize(
    ("one", "rehearsed", "clean", "step"),
    [
        (cell(Mode.LEGACY), 0, 0, Step.REHEARSE),
        (cell(Mode.LEGACY, municipality="sorvik"), 0, 0, Step.RECORD_SYSTEM),
        (cell(Mode.LEGACY, municipality="havnes"), 0, 0, Step.DIRECT),
        (cell(Mode.LEGACY, Information.DIAGNOSER), 0, 0, Step.SERVICE),
        (cell(Mode.LEGACY, Information.PASIENTINFO), 0, 0, Step.RECORD_SYSTEM),
        (cell(Mode.REHEARSE), 0, 0, Step.QUIET),
        (cell(Mode.REHEARSE), 19, 19, Step.REHEARSE_ON),
        (cell(Mode.REHEARSE), 40, 30, Step.MEND),
        (cell(Mode.REHEARSE), 40, 40, Step.PLAN),
        (cell(Mode.REHEARSE, municipality="sorvik"), 40, 40, Step.RECORD_SYSTEM),
        (cell(Mode.CANARY), 0, 0, Step.WIDEN),
        (cell(Mode.NEW), 0, 0, Step.DONE),
        (cell(Mode.CLOSED, municipality="havnes"), 0, 0, Step.CLOSED),
        (cell(Mode.CLOSED, Information.DIAGNOSER), 0, 0, Step.CLOSED),
    ],
)
def test_what_comes_next_for_a_cell(config: Config, one: Cell, rehearsed: int, clean: int, step: Step) -> None:
    """From its mode, the record system, the services that there are, and four weeks of rehearsals."""
    assert next_step(config, one, Numbers(rehearsed=rehearsed, clean=clean)) is step


def test_of_many_steps_what_a_person_can_do_is_told_first() -> None:
    """Done is only what is done altogether."""
    assert first_step([Step.DONE, Step.REHEARSE, Step.PLAN]) is Step.PLAN
    assert first_step([Step.DONE, Step.RECORD_SYSTEM]) is Step.RECORD_SYSTEM
    assert first_step([Step.DONE, Step.CLOSED]) is Step.CLOSED
    assert first_step([Step.CLOSED, Step.WIDEN]) is Step.WIDEN
    assert first_step([Step.DONE]) is Step.DONE
    assert first_step([]) is Step.DONE


@pytest.mark.parametrize(
    ("weekly", "messages", "weeks"),
    [(5_000, 200, 1), (250, 200, 1), (200, 200, 2), (70, 200, 4), (30, 96, 4), (2, 20, 4), (0, 20, 4)],
)
def test_a_suggested_gate_asks_for_what_the_traffic_can_bring(weekly: float, messages: int, weeks: int) -> None:
    """In the shortest time that brings 200; four of five that are expected, and never fewer than twenty."""
    gate = suggested_gate(weekly)
    assert (gate.rehearsed_at_least, gate.within, gate.clean_at_least) == (messages, weeks * 7 * 86_400.0, 0.995)
    if weekly * weeks >= messages:
        assert judge_gate(gate, GateNumbers(int(weekly * weeks), int(weekly * weeks))).ok


def test_most_of_a_country_can_pass_suggested_gates() -> None:
    """Of an invented one with 357 municipalities: 200 messages in seven days would keep many pairs with VKP for ever."""
    pairs = invented(357, 1, date(2026, 1, 1)).pairs
    weekly = [pair.messages_a_day * 7 / 6 for pair in pairs]
    assert sum(each < 200 for each in weekly) > len(pairs) / 10
    assert all(suggested_gate(each).rehearsed_at_least <= each * 4 for each in weekly)


@pytest.mark.parametrize("weekly", [0, 3, 30, 500, 50_000])
def test_a_suggested_rollback_rule_can_decide_while_it_watches(weekly: float) -> None:
    """Where as many messages come as are expected, they are enough; nothing is watched for more than two days."""
    rule = suggested_watch(weekly)
    expected = weekly * rule.within / (7 * 86_400.0)
    assert 900 <= rule.within <= 172_800
    assert expected >= rule.of_at_least or rule.within == 172_800
    assert why_back(rule, Outcomes(0, rule.of_at_least)) is not None
    assert why_back(rule, Outcomes(rule.of_at_least, 0)) is None


@pytest.mark.parametrize(
    ("mode", "tried", "step"),
    [
        (Mode.LEGACY, 0, Step.COMPARE),
        (Mode.COMPARE, 0, Step.QUIET),
        (Mode.COMPARE, 9, Step.REHEARSE_ON),
        (Mode.COMPARE, 90, Step.PLAN),
    ],
)
def test_searches_are_compared_where_journaling_is_rehearsed(
    config: Config, mode: Mode, tried: int, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the record system feeds a service."""
    monkeypatch.setattr("gateway.migration.standing.why_not_new", lambda *_: None)
    assert next_step(config, cell(mode, Information.PASIENTINFO), Numbers(rehearsed=tried, clean=tried)) is step
