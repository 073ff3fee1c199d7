"""The statements on cutovers, on both databases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs
from sqlalchemy import insert

from gateway.ledger import cutovers as store
from gateway.ledger.records import MessageState
from gateway.ledger.tables import DECISION
from gateway.model import Information, Mode
from gateway.routing.layers import Layer
from gateway.routing.route import OnOutage, RouteSpec
from tests.gateway.ledger.conftest import NOW, brought_to

if TYPE_CHECKING:
    from gateway.ledger.database import Database
    from gateway.ledger.messages import Ledger

CHANGE = RouteSpec(municipality="nordfjell", information=("notat",), mode=Mode.NEW, on_outage=OnOutage.HOLD)


def row(name: str, state: str = "approved", **changed: Any) -> store.Row:
    """Return a cutover, with what a test says of it."""
    plan = msgspec.json.encode({"name": name, "set": [CHANGE]}).decode()
    values: dict[str, Any] = {
        "at": NOW,
        "submitted_by": "kari",
        "submitted_at": NOW,
        "approvals": "[]",
        "history": "[]",
    }
    return store.Row(**{"name": name, "plan": plan, "hash": "h", "state": state, **values, **changed})


async def put(database: Database, *rows: store.Row) -> None:
    """Write cutovers."""
    assert all(await database.write(lambda each: [store.insert(each, one) for one in rows]))


async def test_a_name_is_there_once(ledger: Ledger) -> None:
    """The second changes nothing."""
    await put(ledger.store, row("one"))
    assert not await ledger.store.write(lambda each: store.insert(each, row("one", "cancelled")))
    assert await ledger.store.read(lambda each: store.one(each, "one")) == row("one")
    assert await ledger.store.read(lambda each: store.one(each, "two")) is None


async def test_of_two_changes_of_one_version_the_second_is_not_made(ledger: Ledger) -> None:
    """Its lease is not touched by either."""
    before = row("one", owner="node-a", lease=NOW)
    await put(ledger.store, before)
    first, second = structs.replace(before, state="cancelled", owner=None), structs.replace(before, state="missed")
    assert await ledger.store.write(lambda each: store.change(each, before, first))
    assert not await ledger.store.write(lambda each: store.change(each, before, second))
    found = await ledger.store.read(lambda each: store.one(each, "one"))
    assert found == structs.replace(before, state="cancelled", version=2)


async def test_one_node_has_the_lease_until_it_ends(ledger: Ledger, other: Ledger) -> None:
    """Of several that ask at once one gets it; its holder may make it longer, and the version stays."""
    await put(ledger.store, row("one"))

    def lease(node: str, begins: float, *, alone: bool = False) -> store.Lease:
        return store.Lease(node, begins, begins + 30, alone)

    async def claim(whose: Ledger, node: str, begins: float, *, alone: bool = False) -> bool:
        wanted = lease(node, begins, alone=alone)
        return await whose.store.write(lambda each: store.claim(each, "one", wanted))

    got = await asyncio.gather(claim(ledger, "node-a", NOW), claim(other, "node-b", NOW))
    assert sorted(got) == [False, True]
    holder, rival = ("node-a", "node-b") if got[0] else ("node-b", "node-a")
    assert await claim(ledger, holder, NOW + 29)
    assert not await claim(other, rival, NOW + 31)
    assert await claim(other, rival, NOW + 59)
    assert await claim(ledger, holder, NOW + 60, alone=True)
    found = await ledger.store.read(lambda each: store.one(each, "one"))
    assert found is not None
    assert (found.owner, found.version) == (holder, 1)


async def test_the_list_goes_by_names(ledger: Ledger) -> None:
    """In parts, and of one state."""
    await put(ledger.store, row("b"), row("a"), row("c", "missed"))
    first = await ledger.store.read(lambda each: store.listed(each, 2))
    rest = await ledger.store.read(lambda each: store.listed(each, 2, after="b"))
    missed = await ledger.store.read(lambda each: store.listed(each, 2, states=["missed"]))
    assert [one.name for one in (*first, *rest)] == ["a", "b", "c"]
    assert [one.name for one in missed] == ["c"]


async def test_what_has_ended_needs_nothing(ledger: Ledger) -> None:
    """The rest is looked at in the order of its times."""
    await put(
        ledger.store,
        row("late", at=NOW + 1),
        row("soon", "draining"),
        row("done", "finished", ended_at=NOW),
        row("gone", "rolled_back"),
        row("missed", "missed"),
    )
    found = await ledger.store.read(store.worked_on)
    assert [one.name for one in found] == ["soon", "late"]


async def test_what_has_switched_lies_over_the_routes(ledger: Ledger) -> None:
    """The last first; not what waits, was rolled back, or is not needed any more."""
    await put(
        ledger.store,
        row("first", "finished", switched_at=NOW),
        row("second", "watching", switched_at=NOW + 2),
        row("third", "switched", switched_at=NOW + 1),
        row("waits", "draining"),
        row("back", "rolled_back", switched_at=NOW),
        row("retired", "finished", switched_at=NOW, ended_at=NOW),
    )
    rules = await ledger.store.read(store.executed)
    assert [rule.id for rule in rules] == ["second", "third", "first"]
    route = rules[0].route
    assert (rules[0].layer, rules[0].until, str(route.place)) == (Layer.CUTOVER, None, "cutover second")
    assert (route.municipality, route.information, route.mode) == (
        "nordfjell",
        frozenset({Information.NOTAT}),
        Mode.NEW,
    )
    assert route.on_outage is OnOutage.HOLD


async def test_outcomes_are_of_its_own_messages_that_went_new(ledger: Ledger) -> None:
    """Since it switched."""
    decision = {
        "at": NOW,
        "reference": "r",
        "surface": "s",
        "mode": "new",
        "layer": "cutover",
        "rule": "one",
        "outcome": "accepted",
    }
    others = [{"at": NOW - 1}, {"mode": "legacy"}, {"layer": "override"}, {"rule": "two"}]
    rows = [decision, decision, {**decision, "outcome": "loss"}, *({**decision, **other} for other in others)]
    await ledger.store.write(lambda each: each.execute(insert(DECISION), rows).rowcount)
    assert await ledger.store.read(lambda each: store.outcomes(each, "one", NOW)) == {"accepted": 2, "loss": 1}


async def test_senders_are_seen_once_for_each_cell(ledger: Ledger) -> None:
    """Also those that nobody knows."""
    seen = {"at": NOW, "reference": "r", "surface": "s", "outcome": "passed", "municipality": "nordfjell"}
    known = {**seen, "sender": "vkp-1", "vendor": "dignio", "system": "prevent", "information": "notat"}
    unknown = {**seen, "sender": None, "vendor": None, "system": None, "information": None}
    rows = [known, known, unknown, {**known, "at": NOW - 1, "sender": "gone"}]
    await ledger.store.write(lambda each: each.execute(insert(DECISION), rows).rowcount)
    found = await ledger.store.read(lambda each: store.seen(each, NOW))
    assert set(found) == {
        store.Seen("nordfjell", "dignio", "prevent", "notat", "vkp-1"),
        store.Seen("nordfjell", None, None, None, None),
    }


async def test_messages_are_counted_by_cell(ledger: Ledger) -> None:
    """What is under way from before, what was set aside since, what is overdue."""
    await brought_to(ledger, MessageState.DELIVERING, "one")
    await brought_to(ledger, MessageState.DELIVERING, "later", received_at=NOW + 1)
    await brought_to(ledger, MessageState.QUARANTINED, "two")
    await brought_to(ledger, MessageState.QUARANTINED, "earlier", received_at=NOW - 1)
    assert await ledger.overdue(await brought_to(ledger, MessageState.DELIVERED, "three"), "not read")
    cell = store.CellCount("havnes", "vendor", "system", "varsel", 1)
    assert await ledger.store.read(lambda each: store.delivering(each, NOW + 1)) == [cell]
    assert await ledger.store.read(lambda each: store.quarantined(each, NOW)) == [cell]
    assert await ledger.store.read(store.overdue) == [cell]
