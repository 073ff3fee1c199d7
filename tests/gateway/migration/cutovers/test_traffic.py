"""What a plan means for traffic: messages a day of the cells that change, and which way past days would have gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger.decision_log import PastGroup
from gateway.migration.cells import Cells, changes_of
from gateway.migration.traffic import Side, what_if, with_traffic
from gateway.model import Mode
from gateway.routing.diff import Effect
from gateway.routing.layers import NOTHING_ABOVE, Layer, Layers, Rule
from gateway.routing.route import RouteSpec
from gateway.routing.table import RouteTable
from tests.gateway.ledger.conftest import NOW
from tests.gateway.migration.cutovers.scene import config_of, plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.migration.cutover_plan import Plan


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return a file in which everything but Havnes is with VKP."""
    return config_of(tmp_path)


def sent(messages: int, **changed: Any) -> PastGroup:
    """Return messages that Dignio sent to Nordfjell, and VKP answered."""
    values: dict[str, Any] = {
        "at": NOW - 60,
        "surface": "vkp-r4",
        "municipality": "nordfjell",
        "sender": "Dignio_Nordfjell",
        "vendor": "dignio",
        "system": "prevent",
        "information": "notat",
        "mode": "legacy",
        "layer": "routes",
    }
    return PastGroup(**{**values, **changed}, messages=messages)


def plan_to(**change: Any) -> Plan:
    """Return a plan with one change."""
    return plan_of(set=(RouteSpec(**{"municipality": "nordfjell", "information": ("notat",), **change}),))


def changed(plan: Plan, config: Config, layers: Layers = NOTHING_ABOVE) -> Any:
    """Return what a plan changes."""
    return changes_of(plan.name, plan.routes, layers, config, NOW)


def test_messages_of_the_cells_that_change_are_counted_in_a_day(config: Config) -> None:
    """Of their types and municipality alone; those whose type was not read are told apart."""
    groups = [
        sent(70),
        sent(7, information="varsel"),
        sent(14, information=None, vendor="evondos"),
        sent(700, municipality="sorvik"),
    ]
    (told,) = with_traffic(changed(plan_to(mode=Mode.NEW), config), groups, config, 7)
    assert (told.effect, told.per_day, told.untyped_per_day) == (Effect.GOES_NEW, 10.0, 2.0)
    assert told.vendors == ("dignio", "evondos")


def test_where_every_type_changes_what_was_not_read_changes_too(config: Config) -> None:
    """There is nothing to be told apart."""
    plan = plan_to(mode=Mode.CLOSED, information=None, text="Nei.")
    (told,) = with_traffic(changed(plan, config), [sent(70), sent(14, information=None)], config, 7)
    assert (told.effect, told.per_day, told.untyped_per_day) == (Effect.CLOSES, 12.0, 0.0)


def test_a_vendors_change_counts_what_it_sends_alone(config: Config) -> None:
    """Neither another vendor's nor a stranger's."""
    plan = plan_to(mode=Mode.NEW, vendor="dignio")
    groups = [sent(7), sent(70, vendor="evondos", system="e300"), sent(70, vendor=None, system=None)]
    (told,) = with_traffic(changed(plan, config), groups, config, 7)
    assert (told.per_day, told.change.vendor) == (1.0, "dignio")


def test_what_it_does_is_told_without_what_it_has_done(config: Config) -> None:
    """An executed cutover is no part of what was before it; what wins over it leaves its cells as they are."""
    plan = plan_to(mode=Mode.NEW)
    own = [Rule(Layer.CUTOVER, plan.name, route) for route in plan.routes]
    assert [str(one.before) for one in changed(plan, config, Layers(own))] == ["legacy"]
    above = [Rule(Layer.PANIC, "p-1", route) for route in plan_to(mode=Mode.LEGACY).routes]
    assert changed(plan, config, Layers([*above, *own])) == ()


def test_past_days_are_told_by_who_answered_and_would_have(config: Config) -> None:
    """Only of the plan's cells; what a canary does is the patients', whom the log does not know."""
    table = RouteTable.compile(config)
    for mode, share, side in ((Mode.NEW, None, Side.NEW), (Mode.CANARY, 0.1, Side.PATIENT), (Mode.REHEARSE, None, Side.VKP)):  # fmt: skip
        plan = plan_to(mode=mode, share=share)
        after = table.with_layers(Layers([Rule(Layer.CUTOVER, plan.name, route) for route in plan.routes]))
        days = [(NOW - 86_400, [sent(5), sent(2, information="varsel"), sent(3, information=None)]), (NOW, [])]
        told = what_if(days, Cells(plan.routes), after, table)
        first, second = told.days
        assert (first.before[Side.VKP], first.after[Side.VKP] + first.after[side]) == (
            8,
            8 if side is not Side.VKP else 16,
        )
        assert first.after[side] == (5 if side is not Side.VKP else 8)
        assert set(second.after.values()) == {0}
        assert (told.messages, told.another_way) == (8, 0 if side is Side.VKP else 5)
        assert told.type_unknown == (0 if side is Side.VKP else 3)
