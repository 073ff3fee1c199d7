"""A cutover from its approval to its end, on both databases, under a clock that stands still."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from gateway.config.plans import Freeze
from gateway.ledger import cutovers
from gateway.ledger.messages import Ledger
from gateway.migration.cutover import CutoverEvent, CutoverState, replanned
from gateway.migration.schedule import GRACE, moment
from gateway.migration.scheduler import CALM, DRAIN, SETTLED
from gateway.model import Mode, Place
from gateway.routing.diff import Change
from gateway.routing.route import RouteSpec
from tests.gateway.ledger.conftest import taken
from tests.gateway.ledger.test_overrides import override, put
from tests.gateway.migration.cutovers.scene import AT, SELECTOR, config_of, plan_of, submitted, with_approval
from tests.gateway.migration.cutovers.steps import CELL, layers, switched, to_its_time

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config
    from tests.gateway.migration.cutovers.scene import Site
    from tests.gateway.world import Logged

_SAME = "  - {municipality: nordfjell, information: [notat, tilsyn], mode: new}\n"


async def test_nothing_happens_before_its_time(site: Site) -> None:
    """A second before, it waits."""
    await to_its_time(site)
    site.clock.now = AT - 1
    await site.runner().look()
    assert (await site.get()).state is CutoverState.APPROVED
    assert await layers(site) == (1, [])


@pytest.mark.parametrize("ahead", [60.0, 2 * GRACE], ids=["due", "missed"])
async def test_clock_that_was_just_set_begins_and_misses_nothing(site: Site, logged: Logged, ahead: float) -> None:
    """An hour too early nobody reads what goes new: there is time to set it right, and then it waits for its time."""
    await to_its_time(site)
    site.clock.now = AT - 3600
    runner = site.runner()
    await runner.look()
    site.clock.ahead = 3600.0 + ahead
    for _ in range(2):
        await runner.look()
        assert (await site.get()).state is CutoverState.APPROVED
    (told,) = logged.named("cutover.waits")
    assert told["cutover"] == "nordfjell-1"
    site.clock.ahead = 0.0
    site.clock.now += CALM
    await runner.look()
    assert (await site.get()).state is CutoverState.APPROVED


async def test_clock_that_was_set_right_lets_it_switch_in_time(site: Site) -> None:
    """What came late is well within what a cutover may be late."""
    await to_its_time(site)
    site.clock.now, site.clock.ahead = AT - 10, -3600.0
    runner = site.runner()
    await runner.look()
    site.clock.now, site.clock.ahead = AT, 0.0
    await runner.look()
    assert (await site.get()).state is CutoverState.APPROVED
    assert CALM < GRACE
    site.clock.now = AT + CALM
    await runner.look()
    assert (await site.get()).state is CutoverState.WATCHING


async def test_at_its_time_it_switches_and_is_watched(site: Site) -> None:
    """Its routes lie over those of the file, and other nodes see that something changed; each step is in its history."""
    await switched(site)
    record = await site.get()
    assert [event.what for event in record.history][2:] == ["approved", "draining", "switched", "watching"]
    assert record.switched_at == AT
    assert await layers(site) == (2, ["nordfjell-1"])
    assert [note.action for note in await site.audited()][1:] == [
        "cutover.draining",
        "cutover.switched",
        "cutover.watching",
    ]


async def test_it_is_finished_when_it_was_watched_long_enough(site: Site) -> None:
    """And its routes stay."""
    await switched(site)
    await site.decided("accepted", 100)
    site.clock.now = AT + 899
    await site.runner().look()
    assert (await site.get()).state is CutoverState.WATCHING
    site.clock.now = AT + 900
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.FINISHED
    assert record.report is not None
    assert (record.report.fine, record.report.failed) == (100, 0)
    assert (await layers(site))[1] == ["nordfjell-1"]


async def test_without_a_rule_of_its_own_it_is_finished_at_once(site: Site) -> None:
    """Only a person rolls it back."""
    await site.rehearsed(200)
    await site.add(with_approval(submitted(plan_of(roll_back_when=None))))
    site.clock.now = AT
    await site.runner().look()
    assert (await site.get()).state is CutoverState.FINISHED


async def test_what_an_override_keeps_closed_is_not_said_to_be_switched(site: Site) -> None:
    """It is refused at its time, and where the override came while it drained."""
    await to_its_time(site)
    await put(Ledger(site.store, "node-a", site.clock), override("o-1", "nordfjell", until=AT + 3600))
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.REFUSED
    told = "override o-1 will win over the plan: nordfjell, every sender, tilsyn, notat: new -> closed"
    assert record.history[-1].reason == told


async def test_an_override_that_comes_while_it_drains_stops_it(site: Site) -> None:
    """Before it switches everything is looked at again."""
    await to_its_time(site)
    ledger = Ledger(site.store, "node-a", site.clock)
    message = await taken(ledger, "one", received_at=AT - 1, **CELL)
    await site.runner().look()
    assert (await site.get()).state is CutoverState.DRAINING
    await put(ledger, override("o-1", "nordfjell", until=AT + 3600))
    assert await ledger.refused(message, "away")
    await site.runner().look()
    assert (await site.get()).state is CutoverState.REFUSED
    assert (await layers(site))[1] == []


async def test_a_rehearsal_over_what_is_new_is_stopped(site: Site, tmp_path: Path) -> None:
    """Unless the plan says that the step back is meant."""
    site.reload(config_of(tmp_path, more=_SAME))
    back = plan_of(set=(RouteSpec(**SELECTOR, mode=Mode.REHEARSE),), gate=None, roll_back_when=None)
    for plan, state in (
        (back, CutoverState.REFUSED),
        (structs.replace(back, name="meant", step_back=True), CutoverState.FINISHED),
    ):
        await site.add(with_approval(submitted(plan)))
        site.clock.now = AT
        await site.runner().look()
        assert (await site.get(plan.name)).state is state
        site.clock.now = AT - 3600


@pytest.mark.parametrize(("clean", "refused"), [(0, 0), (199, 0), (198, 2)])
async def test_its_gate_is_checked_again_at_its_time(site: Site, clean: int, refused: int) -> None:
    """Without data, with too little, with too much that was not clean it does not switch."""
    await site.rehearsed(clean, refused)
    await site.add(with_approval(submitted()))
    site.clock.now = AT
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.REFUSED
    assert "its gate:" in (record.history[-1].reason or "")
    assert await layers(site) == (2, [])


async def test_every_check_that_refuses_a_cutover_is_kept_with_its_values(site: Site, tmp_path: Path) -> None:
    """As they were then: the gate, the freeze, what is taken back and what wins over it."""
    zone = timedelta(hours=1)
    freeze = Freeze(moment(AT) - zone, moment(AT) + zone, "Jul", Place("routes.yaml", 1, 1))
    site.reload(replace(config_of(tmp_path, more=_SAME), freezes=(freeze,)))
    back = (RouteSpec(**SELECTOR, mode=Mode.REHEARSE),)
    await site.add(with_approval(submitted(structs.replace(plan_of(set=back), roll_back_when=None))))
    ledger = Ledger(site.store, "node", site.clock)
    await put(ledger, override("o-1", "nordfjell", until=AT + 3600))
    site.clock.now = AT
    await site.runner().look()
    event = (await site.get()).history[-1]
    assert event.what == CutoverState.REFUSED
    kept = {one.check: one for one in event.found}
    assert kept.keys() == {"rehearsals", "time", "step_back", "rules"}
    assert kept["rehearsals"].values["asked"] == 200
    assert (kept["time"].values["begins"], kept["time"].values["reason"]) == (AT - 3600, "Jul")
    assert isinstance(kept["step_back"].values["change"], Change)
    assert all(one.text in (event.reason or "") for one in event.found)


async def test_rehearsals_of_other_cells_and_of_long_ago_say_nothing(site: Site) -> None:
    """Only those on its cells, within the time that the gate names."""
    await site.rehearsed(500, information="varsel")
    await site.rehearsed(500, hours_ago=24 * 8)
    await site.add(with_approval(submitted()))
    site.clock.now = AT
    await site.runner().look()
    assert (await site.get()).state is CutoverState.REFUSED


async def test_a_freeze_that_came_later_refuses_it(site: Site) -> None:
    """A reload may have brought one after it was approved."""
    await to_its_time(site)
    freeze = Freeze(moment(AT - 10), moment(AT + 10), "Valg", Place("routes.yaml", 1, 1))
    site.reload(replace(site.config, freezes=(freeze,)))
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.REFUSED
    assert "Valg" in (record.history[-1].reason or "")


async def test_a_gateway_that_was_down_at_its_time_reports_it(site: Site, logged: Logged) -> None:
    """It is never applied late by itself."""
    await to_its_time(site)
    site.clock.now = AT + GRACE + 1
    for _ in range(3):
        await site.runner().look()
    record = await site.get()
    assert (record.state, record.history[-1].reason) == (CutoverState.MISSED, "no gateway was there at its time")
    assert len(logged.named("cutover.missed")) == 1
    assert await layers(site) == (1, [])


async def test_a_short_absence_is_no_miss(site: Site) -> None:
    """A restart over its time still applies it."""
    await to_its_time(site)
    site.clock.now = AT + GRACE
    await site.runner().look()
    assert (await site.get()).state is CutoverState.WATCHING


async def test_what_nobody_approved_in_time_is_missed(site: Site) -> None:
    """And says how many approvals were missing."""
    await site.rehearsed(200)
    await site.add(submitted())
    site.clock.now = AT
    await site.runner().look()
    assert (await site.get()).state is CutoverState.SUBMITTED
    site.clock.now = AT + GRACE + 1
    await site.runner().look()
    assert (await site.get()).history[-1].reason == "approvals missing at its time: 1"


async def test_a_missed_one_may_be_started_by_a_person(site: Site) -> None:
    """Then it switches now."""
    await to_its_time(site)
    site.clock.now = AT + 86_400
    await site.runner().look()
    missed = await site.get()
    begun = missed.moved(CutoverState.DRAINING, CutoverEvent(site.clock.now, "node-a", "draining", "kari", "now"))
    assert await site.put(missed, begun) is not None
    await site.runner().look()
    assert (await site.get()).switched_at == AT + 86_400


async def test_what_is_under_way_is_let_finish(site: Site, ledger: Ledger) -> None:
    """It switches when nothing of its cells from before is being delivered; other cells, and later messages, do not count."""
    message = await taken(ledger, "before", **CELL, received_at=AT - 5)
    await taken(ledger, "elsewhere", **{**CELL, "municipality": "sorvik"}, received_at=AT - 5)
    await taken(ledger, "after", **CELL, received_at=AT + 1)
    await to_its_time(site)
    await site.runner().look()
    assert (await site.get()).state is CutoverState.DRAINING
    assert await ledger.delivered(message, "event", "Communication", next_poll=AT)
    await site.runner().look()
    assert (await site.get()).state is CutoverState.WATCHING


async def test_draining_ends_after_a_while(site: Site, ledger: Ledger) -> None:
    """What is still under way ends as it began; the history says that there was something."""
    await taken(ledger, "before", **CELL, received_at=AT - 5)
    await to_its_time(site)
    await site.runner().look()
    site.clock.now = AT + DRAIN
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.WATCHING
    assert record.history[-2].reason == "still under way from before: 1"


async def test_one_node_at_a_time_looks_after_a_cutover(site: Site, ledger: Ledger) -> None:
    """Another takes it up when the first says nothing more; SQLite has no other."""
    await taken(ledger, "before", **CELL, received_at=AT - 5)
    await to_its_time(site)
    await site.runner("node-a").look()
    site.clock.now = AT + DRAIN
    before = await site.raw()
    await site.store.write(
        lambda each: cutovers.claim(each, before.name, cutovers.Lease("node-a", AT, AT + 90, alone=False))
    )
    await site.runner("node-b").look()
    assert ((await site.get()).state is CutoverState.DRAINING) is not site.store.is_sqlite
    site.clock.now = AT + 91
    await site.runner("node-b").look()
    record = await site.get()
    assert (record.state, record.owner) == (CutoverState.WATCHING, "node-b")


async def test_a_change_of_plan_in_the_last_moment_wins(site: Site) -> None:
    """What a person wrote meanwhile is not overwritten: the step is not taken."""
    await to_its_time(site)
    runner, seen = site.runner(), await site.get()
    changed = replanned(seen, plan_of(approvals=2), CutoverEvent(AT, "node-a", "changed", "kari"))
    assert await site.put(seen, changed) is not None
    assert await runner._begin(seen) is None
    assert (await site.get()).state is CutoverState.SUBMITTED
    assert await layers(site) == (2, [])


async def test_its_routes_stay_until_the_file_says_the_same(site: Site, tmp_path: Path) -> None:
    """For a while, since other nodes may read the file later; then they are taken away, and nothing changes its way."""
    await switched(site)
    site.clock.now = AT + 900
    runner = site.runner()
    await runner.look()
    site.reload(config_of(tmp_path, more=_SAME))
    await runner.look()
    site.clock.now += SETTLED - 1
    await runner.look()
    assert (await layers(site))[1] == ["nordfjell-1"]
    site.clock.now += 1
    await runner.look()
    record = await site.get()
    assert (record.state, record.ended_at, record.is_executed) == (CutoverState.FINISHED, site.clock.now, False)
    assert await layers(site) == (3, [])


@pytest.mark.parametrize(
    "more",
    [
        "  - {municipality: nordfjell, information: [notat], mode: new}\n",
        "  - {municipality: nordfjell, information: [notat, tilsyn], mode: new, on_outage: hold}\n",
        f'{_SAME}  - {{municipality: nordfjell, vendor: dignio, mode: closed, text: "Nei."}}\n',
    ],
)
async def test_a_file_that_says_something_else_changes_nothing(site: Site, tmp_path: Path, more: str) -> None:
    """Part of the cells, another policy, or a more specific route: the cutover goes on deciding."""
    await switched(site)
    site.clock.now = AT + 900
    site.reload(config_of(tmp_path, more=more))
    runner = site.runner()
    for _ in range(2):
        await runner.look()
        site.clock.now += SETTLED
    assert (await layers(site))[1] == ["nordfjell-1"]


async def test_of_two_on_the_same_cells_the_last_one_wins(site: Site) -> None:
    """And the first again, when the last is rolled back."""
    await switched(site)
    change = RouteSpec(**SELECTOR, mode=Mode.CLOSED, text="Nei.")
    await site.add(with_approval(submitted(plan_of(name="a-later", set=(change,), gate=None))))
    site.clock.now = AT + 5
    await site.runner().look()
    assert (await layers(site))[1] == ["a-later", "nordfjell-1"]


async def test_what_the_file_no_longer_allows_is_refused_at_its_time(site: Site) -> None:
    """The record system was found not to read events, after people had approved: nothing switches."""
    await site.rehearsed(200)
    await site.add(with_approval(submitted()))
    site.reload(_not_reading(site.config))
    site.clock.now = AT
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.REFUSED
    assert "new needs jft in epj.reads of nordfjell" in (record.history[-1].reason or "")
    assert (await layers(site))[1] == []


async def test_what_the_file_no_longer_allows_when_it_has_drained_is_refused(site: Site) -> None:
    """A reload while messages were under way: it is checked again before its routes lie over those of the file."""
    await site.rehearsed(200)
    record = with_approval(submitted())
    await site.add(record)
    event = CutoverEvent(AT, "node-a", "draining")
    await site.put(record, record.moved(CutoverState.DRAINING, event))
    site.reload(_not_reading(site.config))
    site.clock.now = AT + 1
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.REFUSED
    assert (await layers(site))[1] == []


def _not_reading(config: Config) -> Config:
    nordfjell = config.municipalities["nordfjell"]
    blind = replace(nordfjell, epj=replace(nordfjell.epj, reads=()))
    return replace(config, municipalities={**config.municipalities, "nordfjell": blind})
