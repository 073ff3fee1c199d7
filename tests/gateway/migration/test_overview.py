"""Rows of the overview: made again where something of them has changed, and only there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from gateway.migration import overview
from gateway.migration.cutover import CutoverState
from gateway.migration.overview import Before, LedgerFacts
from gateway.migration.standing import Standings, Step
from gateway.routing.layers import Layer
from gateway.routing.table import RouteTable
from tests.gateway.clocks import NOW
from tests.gateway.migration.cutovers.scene import config_of

if TYPE_CHECKING:
    from pathlib import Path

DAYS = tuple(int(NOW) - each * 86_400 for each in reversed(range(overview.DAYS)))
TODAY, YESTERDAY = DAYS[-1], DAYS[-2]


def cutover(state: CutoverState = CutoverState.MISSED) -> Any:
    """Make as much of a cutover of Havnes as the overview looks at."""
    plan = SimpleNamespace(set=(SimpleNamespace(municipality="havnes"),))
    return SimpleNamespace(name="one", state=state, at=NOW, ended_at=NOW, plan=plan, since=lambda _: NOW)


def panic(municipality: str | None) -> Any:
    """Make as much of a panic as the overview looks at."""
    return SimpleNamespace(layer=Layer.PANIC, route=SimpleNamespace(municipality=municipality))


def facts(**changes: Any) -> LedgerFacts:
    """Return what the ledger knows: two municipalities with traffic, and messages that wait in one."""
    traffic = {"havnes": {TODAY: (7, 1), YESTERDAY: (50, 0)}, "nordfjell": {TODAY: (3, 0)}}
    known = LedgerFacts(NOW, DAYS, traffic, {}, (), {"nordfjell": {"held": 2}}, ())
    return structs.replace(known, **changes)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"at": NOW + 2}, {"havnes", "nordfjell"}),
        ({"traffic": {"havnes": {TODAY: (8, 1), YESTERDAY: (50, 0)}, "nordfjell": {TODAY: (3, 0)}}}, {"nordfjell"}),
        ({"traffic": {"havnes": {TODAY: (7, 1), YESTERDAY: (50, 0)}}}, {"havnes"}),
        ({"waiting": {"nordfjell": {"held": 3}}}, {"havnes"}),
        ({"waiting": {}}, {"havnes"}),
        ({"rules": (panic("havnes"),)}, {"nordfjell"}),
        ({"rules": (panic(None),)}, set()),
        ({"cutovers": (cutover(),)}, {"nordfjell"}),
        ({"days": (*DAYS[1:], TODAY + 86_400)}, set()),
    ],
)
def test_a_row_is_made_again_where_something_of_it_has_changed(
    tmp_path: Path, changes: dict[str, Any], same: set[str]
) -> None:
    """And what is kept is what would have been made; back again too."""
    config = config_of(tmp_path)
    standings = Standings(config, RouteTable.compile(config), NOW)
    ahead = dict.fromkeys(standings.all, Step.REHEARSE)
    for first, then in ((facts(), facts(**changes)), (facts(**changes), facts())):
        made = tuple(overview.rows(standings, first, ahead))
        again = overview.rows(standings, then, ahead, Before(first, standings, ahead, made))
        assert again == overview.rows(standings, then, ahead)
        kept = {row.key for row in again if any(row is one for one in made)}
        assert kept & {"havnes", "nordfjell"} == same & set(standings.all)


@pytest.mark.parametrize(
    ("state", "told"),
    [(CutoverState.APPROVED, NOW + 3600), (CutoverState.DRAINING, NOW - 60), (CutoverState.WATCHING, NOW - 60)],
)
def test_a_cutover_that_was_started_early_is_watched_since_then(
    tmp_path: Path, state: CutoverState, told: float
) -> None:
    """And not since the time that it was planned for, which has not come; before that, this time is what counts."""
    config = config_of(tmp_path)
    standings = Standings(config, RouteTable.compile(config), NOW)
    record = cutover(state)
    record.at, record.ended_at, record.since = NOW + 3600, None, lambda _: NOW - 60
    ahead = dict.fromkeys(standings.all, Step.REHEARSE)
    rows = {row.key: row for row in overview.rows(standings, facts(cutovers=(record,)), ahead)}
    assert rows["havnes"].at == told


def test_no_row_is_kept_when_routes_or_what_comes_next_are_others(tmp_path: Path) -> None:
    """They are made anew only then, so that being the same object says it."""
    config = config_of(tmp_path)
    table = RouteTable.compile(config)
    standings, others = Standings(config, table, NOW), Standings(config, table, NOW)
    ahead = dict.fromkeys(standings.all, Step.REHEARSE)
    made = tuple(overview.rows(standings, facts(), ahead))
    before = Before(facts(), standings, ahead, made)
    for one, step in ((others, ahead), (standings, dict(ahead))):
        assert not any(row is known for row in overview.rows(one, facts(), step, before) for known in made)
