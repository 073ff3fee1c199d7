"""A cutover that takes itself back: what counts as failed, and that it says so and stays back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ledger import cutovers
from gateway.ledger.messages import Ledger
from gateway.migration.cutover import CutoverState
from gateway.migration.cutover_plan import RollBackRequest
from gateway.migration.schedule import moment
from tests.gateway.ledger.conftest import taken, waiting
from tests.gateway.migration.cutovers.scene import AT, plan_of, submitted, with_approval
from tests.gateway.migration.cutovers.steps import CELL, layers, switched

if TYPE_CHECKING:
    from tests.gateway.migration.cutovers.scene import Site
    from tests.gateway.world import Logged


async def test_messages_that_stay_held_roll_it_back(site: Site, logged: Logged) -> None:
    """12 of 12 while the service is away, though none of them failed: a sender was told 200 of each."""
    rule = RollBackRequest(failed_at_least=0.05, held_at_least=0.5, of_at_least=12, within=900.0)
    await site.rehearsed(200)
    await site.add(with_approval(submitted(plan_of(roll_back_when=rule))))
    site.clock.now = AT
    await site.runner().look()
    ledger = Ledger(site.store, "node-a", site.clock)
    messages = [await waiting(ledger, f"m{number}", received_at=AT + 1, **CELL) for number in range(12)]
    await site.decided("held", 11)
    site.clock.now = AT + 2
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.ROLLED_BACK
    assert record.report is not None
    assert record.report.reason == "12 of 12 messages held and not delivered"
    assert record.report.outcomes["waiting"] == 12
    (notice,) = logged.named("cutover.rolled_back")
    assert notice["reason"] == record.report.reason
    assert len(messages) == 12


async def test_messages_that_were_held_and_delivered_do_not(site: Site) -> None:
    """The service was away for a moment."""
    rule = RollBackRequest(failed_at_least=0.05, held_at_least=0.5, of_at_least=12, within=900.0)
    await site.rehearsed(200)
    await site.add(with_approval(submitted(plan_of(roll_back_when=rule))))
    site.clock.now = AT
    await site.runner().look()
    await site.decided("held", 12)
    site.clock.now = AT + 2
    await site.runner().look()
    assert (await site.get()).state is CutoverState.WATCHING


async def test_it_rolls_itself_back_and_gives_notice(site: Site, logged: Logged) -> None:
    """Its routes are gone at once for every node; the report names what can be sent back."""
    await switched(site)
    await site.decided("accepted", 19)
    await site.decided("unavailable")
    site.clock.now = AT + 60
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.ROLLED_BACK
    assert await layers(site) == (3, [])
    assert record.report is not None
    assert record.report.reason == "1 of 20 messages failed"
    types = "--information notat --information tilsyn"
    assert record.report.send_back == [
        f"vkp-gateway rollback list --municipality nordfjell {types} --since 2026-05-28T21:26:40+00:00"
    ]
    (notice,) = logged.named("cutover.rolled_back")
    assert (notice["cutover"], notice["failed"], notice["by"]) == ("nordfjell-1", 1, None)
    assert '"level": "error"' in next(line for line in logged.stream.getvalue().splitlines() if "rolled_back" in line)


async def test_what_rolled_back_never_switches_again(site: Site) -> None:
    """However well everything goes afterwards."""
    await switched(site)
    await site.decided("no-answer", 20)
    await site.runner().look()
    await site.decided("accepted", 10_000)
    for later in (1, 100, 1000, 1e6):
        site.clock.now = AT + later
        await site.runner().look()
        assert (await site.get()).state is CutoverState.ROLLED_BACK
    assert (await layers(site))[1] == []


async def test_only_what_the_new_side_answered_counts(site: Site) -> None:
    """Not what VKP answered of a canary's other share, not what another rule decided, not what came before."""
    await switched(site)
    await site.decided("unavailable", 50, mode="legacy")
    await site.decided("unavailable", 50, rule="another")
    await site.decided("unavailable", 50, at=AT - 1)
    await site.decided("token", 50)
    await site.runner().look()
    assert (await site.get()).state is CutoverState.WATCHING


async def test_what_was_set_aside_counts_as_failed(site: Site, ledger: Ledger) -> None:
    """A promised message that came into quarantine after the switch."""
    await switched(site)
    message = await taken(ledger, "one", **CELL, received_at=AT)
    assert await ledger.quarantined(message, "unclear")
    await site.decided("held", 20)
    await site.runner().look()
    record = await site.get()
    assert record.state is CutoverState.ROLLED_BACK
    assert record.report is not None
    assert (record.report.fine, record.report.failed) == (19, 1)


async def test_one_that_is_broken_does_not_keep_others_from_being_rolled_back(site: Site, logged: Logged) -> None:
    """It is told, and the rest goes on."""
    await switched(site)
    earlier = plan_of(
        name="broken", at=moment(AT - 1), roll_back_when=RollBackRequest(failed_at_least=0.5, of_at_least=1, within=1)
    )
    await site.add(submitted(earlier))
    forged = cutovers.CUTOVER.update().where(cutovers.C.name == "broken").values(history="no JSON")
    await site.store.write(lambda each: each.execute(forged).rowcount)
    await site.decided("no-answer", 20)
    await site.runner().look()
    assert (await site.get()).state is CutoverState.ROLLED_BACK
    assert len(logged.named("cutover.defect")) == 1
