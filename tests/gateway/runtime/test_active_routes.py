"""What is set on one node holds on every other, ends when it ends, and outlives restarts and outages of the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from sqlalchemy import text, update

from gateway.errors import StartupError
from gateway.ledger import cutovers, overrides
from gateway.ledger.cutovers import Row
from gateway.ledger.tables import CUTOVER
from gateway.migration import panics
from gateway.migration.cutover import to_row
from gateway.model import Envelope, Information, Mode
from gateway.routing.layers import Layer
from gateway.routing.route import RouteSpec
from gateway.routing.table import RouteTable
from gateway.runtime.active_routes import LAYERS_VERSION, UNREADABLE
from tests.gateway.ledger.conftest import NOW
from tests.gateway.ledger.test_overrides import LATER, note, override, put
from tests.gateway.migration.cutovers.scene import plan_of, submitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.model import Config
    from gateway.ledger.database import Database
    from gateway.ledger.messages import Ledger
    from tests.gateway.ledger.conftest import Clock
    from tests.gateway.runtime.conftest import Node
    from tests.gateway.world import Logged

    NodeOn = Callable[[Database], Node]


async def alter(store: Database, before: str, after: str) -> None:
    """Rename a table, so that it cannot be read, or can again."""
    await store.write(lambda each: each.execute(text(f"ALTER TABLE {before} RENAME TO {after}")).rowcount)


def value(gauge: Any) -> float:
    """Return what a metric says."""
    return float(next(iter(gauge.collect())).samples[0].value)


async def test_two_nodes_see_what_either_sets(ledger: Ledger, other: Ledger, node_on: NodeOn) -> None:
    """And that it was ended."""
    one, two = node_on(ledger.store), node_on(other.store)
    for node in (one, two):
        await node.begin()
        assert node.names == []
    await put(ledger, override("o-1"))
    await put(other, override("p-1/1", "sorvik", layer=Layer.PANIC, until=None))
    for node in (one, two):
        await node.has("o-1", "p-1")
    await other.store.write(lambda each: overrides.end(each, Layer.OVERRIDE, "o-1", None, note()))
    for node in (one, two):
        await node.has("p-1")
        assert node.layering.layers is node.applied[-1]
    assert value(LAYERS_VERSION) == 3


async def test_message_is_decided_by_what_another_node_set(
    ledger: Ledger, other: Ledger, node_on: NodeOn, config: Config
) -> None:
    """With its layer, its name and its place; a panic is stronger than an override."""
    node = node_on(other.store)
    await node.begin()
    await put(ledger, override("o-1", "nordfjell", Information.VARSEL))
    await node.has("o-1")
    envelope = Envelope("vkp-r4", "nordfjell", None, "evondos", "e300", Information.VARSEL)
    table, now = RouteTable.compile(config), datetime.fromtimestamp(NOW, UTC)
    found = table.with_layers(node.applied[-1]).decide(envelope, now)
    assert (found.mode, found.layer, found.rule) == (Mode.CLOSED, Layer.OVERRIDE, "o-1")
    assert str(found.route and found.route.place) == "override o-1"
    routes = panics.panic_routes(panics.Scope(municipality="nordfjell"), config, "p-1", "Stengt.")
    await put(ledger, structs.replace(override("p-1/1", layer=Layer.PANIC, until=None), route=routes[0]))
    await node.has("o-1", "p-1")
    found = table.with_layers(node.applied[-1]).decide(envelope, now)
    assert (found.mode, found.layer, found.rule) == (Mode.LEGACY, Layer.PANIC, "p-1")


async def test_rule_that_ends_leaves_the_layers(ledger: Ledger, node_on: NodeOn, clock: Clock) -> None:
    """Without any change in the ledger."""
    node = node_on(ledger.store)
    await put(ledger, override("o-1"))
    await put(ledger, override("o-2", "sorvik", until=LATER + 9))
    await node.begin()
    assert node.names == ["o-1", "o-2"]
    clock.now = LATER
    await node.has("o-2")
    clock.now = LATER + 9
    await node.has()


@pytest.mark.parametrize("is_read_meanwhile", [False, True])
async def test_rule_that_ended_while_the_clock_was_ahead_holds_again(
    ledger: Ledger, node_on: NodeOn, clock: Clock, *, is_read_meanwhile: bool
) -> None:
    """As the list of overrides says, on every node alike: also on one that saw another change meanwhile, or began then."""
    node, late = node_on(ledger.store), node_on(ledger.store)
    await put(ledger, override("o-1"))
    await node.begin()
    clock.ahead = LATER - NOW
    await node.has()
    if is_read_meanwhile:
        await put(ledger, override("o-2", "sorvik", until=LATER + 9))
        await node.has("o-2")
    await late.begin()
    clock.ahead = 0
    names = ["o-1", "o-2"] if is_read_meanwhile else ["o-1"]
    await node.has(*names)
    await late.has(*names)


async def test_restart_begins_with_what_holds(ledger: Ledger, node_on: NodeOn, clock: Clock) -> None:
    """Before a message is routed; what ended meanwhile is not there any more."""
    await put(ledger, override("o-1"))
    await put(ledger, override("p-1/1", "sorvik", layer=Layer.PANIC, until=None))
    clock.now = LATER
    node = node_on(ledger.store)
    await node.begin()
    assert node.names == ["p-1"]
    assert len(node.applied) == 1


async def test_without_the_ledger_nothing_begins(ledger: Ledger, node_on: NodeOn) -> None:
    """Else a restart would open what a panic has closed."""
    await alter(ledger.store, "rule", "elsewhere")
    node = node_on(ledger.store)
    with pytest.raises(StartupError, match="the rules over the routes cannot be read"):
        await node.begin()
    assert node.applied == []


async def test_outage_of_the_ledger_leaves_what_is_in_force(ledger: Ledger, node_on: NodeOn, logged: Logged) -> None:
    """It is told once, and what was set meanwhile holds afterwards."""
    node = node_on(ledger.store)
    await put(ledger, override("o-1"))
    await node.begin()
    await alter(ledger.store, "version", "elsewhere")
    for _ in range(3):
        await node.layering.look()
    assert node.names == ["o-1"]
    assert len(logged.named("layers.unreadable")) == 1
    assert value(UNREADABLE) == 1
    await alter(ledger.store, "elsewhere", "version")
    await put(ledger, override("o-2", "sorvik"))
    await node.has("o-1", "o-2")
    assert len(logged.named("layers.readable_again")) == 1
    assert value(UNREADABLE) == 0


async def test_rule_ends_also_during_an_outage(ledger: Ledger, node_on: NodeOn, clock: Clock) -> None:
    """Its end is known already."""
    node = node_on(ledger.store)
    await put(ledger, override("o-1"))
    await node.begin()
    await alter(ledger.store, "version", "elsewhere")
    clock.now = LATER
    await node.has()


async def test_nothing_is_applied_without_a_change(ledger: Ledger, node_on: NodeOn) -> None:
    """A table is made for a change alone."""
    node = node_on(ledger.store)
    await put(ledger, override("o-1"))
    await node.begin()
    for _ in range(3):
        await node.layering.look()
    assert len(node.applied) == 1


async def test_what_cannot_be_applied_is_not_in_force(ledger: Ledger, node_on: NodeOn) -> None:
    """The next look tries it again."""
    node = node_on(ledger.store)
    await node.begin()
    await node.layering.stop()
    apply = node.layering._apply

    def fail(_layers: object) -> None:
        raise ValueError("no")

    node.layering._apply = fail
    await put(ledger, override("o-1"))
    with pytest.raises(ValueError, match="no"):
        await node.layering.look()
    node.layering._apply = apply
    await node.layering.look()
    assert node.names == ["o-1"]


async def test_executed_cutover_lies_over_the_routes(ledger: Ledger, node_on: NodeOn) -> None:
    """Beside what people set."""
    row = Row(
        name="nordfjell-1",
        plan='{"set": [{"municipality": "nordfjell", "information": ["notat"], "mode": "new"}]}',
        hash="h",
        state="watching",
        at=NOW,
        submitted_by="nora",
        submitted_at=NOW,
        approvals="[]",
        switched_at=NOW,
        history="",
    )
    await ledger.store.write(lambda each: (cutovers.insert(each, row), overrides.bump(each)))
    node = node_on(ledger.store)
    await node.begin()
    assert [(rule.layer, rule.id) for rule in node.applied[-1].rules] == [(Layer.CUTOVER, "nordfjell-1")]


async def test_plan_of_a_later_version_keeps_nothing_else_away(ledger: Ledger, node_on: NodeOn) -> None:
    """It decides nothing yet; what holds is applied all the same."""
    row = structs.replace(to_row(submitted()), plan='{"set": [{"mode": "new", "of_later_version": 1}]}')
    await ledger.store.write(lambda each: cutovers.insert(each, row))
    node = node_on(ledger.store)
    await node.begin()
    assert (node.applied[-1].rules, node.applied[-1].planned) == ((), ())


async def test_municipality_of_a_planned_cutover_is_moving(ledger: Ledger, node_on: NodeOn, config: Config) -> None:
    """Also of one that no file has: what VKP takes until then must be known again afterwards. Nothing is decided by it yet."""
    moves = RouteSpec(municipality="vikan", information=("journaling",), mode=Mode.NEW)
    row = to_row(submitted(plan_of(name="vikan-1", set=(moves,))))
    await ledger.store.write(lambda each: cutovers.insert(each, row))
    node = node_on(ledger.store)
    await node.begin()
    closed = replace(config, routes=tuple(one for one in config.routes if one.mode is not Mode.NEW))
    table = RouteTable.compile(closed)
    assert not table.is_moving("vikan")
    assert table.with_layers(node.layering.layers).is_moving("vikan")
    assert table.with_layers(node.layering.layers.at(NOW)).is_moving("vikan")
    assert node.layering.layers.rules == ()
    await ledger.store.write(lambda each: each.execute(update(CUTOVER).values(state="cancelled")).rowcount)
    await ledger.store.write(overrides.bump)
    await node.layering.look()
    assert not table.with_layers(node.layering.layers).is_moving("vikan")
