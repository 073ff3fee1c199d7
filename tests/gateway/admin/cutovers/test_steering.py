"""Cutovers over the admin API: preflight, start, cancel and rollback, by whom, when not and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.ledger import cutovers, overrides
from gateway.migration.cutover import CutoverEvent, CutoverState
from gateway.migration.schedule import GRACE
from gateway.routing.layers import NOTHING_ABOVE
from tests.gateway.admin.shelf import error
from tests.gateway.ledger.test_overrides import override, put
from tests.gateway.migration.cutovers.scene import config_of

if TYPE_CHECKING:
    from tests.gateway.office import Browser, Office

from tests.gateway.admin.cutovers.conftest import AT, GATED, ONE, PLAN, ROOT, WHY, World, approve, ask, submit


async def test_a_preflight_says_what_is_missing(world: World, nora: Browser, vera: Browser) -> None:
    """Whoever may see a cutover may ask; nothing is changed by it."""
    await submit(nora)

    async def token(orgnr: str, scope: str) -> str:
        return orgnr + scope

    world.office.port.cutovers.use(lambda: NOTHING_ABOVE, token)
    page = await ask(vera, "POST", f"{ONE}/preflight")
    assert (page.status, page.json["ready"]) == (200, False)
    noes = {one["check"] for one in page.json["findings"] if not one["ok"]}
    assert noes == {"senders", "approvals"}
    assert await world.actions() == ["cutover.submit"]


async def test_start_now_does_not_go_through_while_an_override_keeps_the_cell_closed(
    world: World, nora: Browser, arne: Browser
) -> None:
    """It would be said to be switched, and senders would be refused still."""
    plan = (await submit(nora)).json
    await approve(arne, plan["hash"])
    ledger = world.shelf.ledger
    await put(ledger, override("o-1", "nordfjell", until=AT + 3600))
    refusal = error(await ask(nora, "POST", f"{ONE}/start", WHY))
    assert refusal[:2] == (409, "conflict")
    assert "override o-1 will win over the plan: nordfjell" in refusal[2]
    assert (await nora.get(ONE)).json["state"] == "approved"


async def test_a_step_back_needs_the_plan_to_say_so(world: World, nora: Browser, arne: Browser) -> None:
    """Another plan, with other approvals."""
    world.site.reload(config_of(world.office.folder, more="  - {municipality: nordfjell, mode: closed, text: Nei.}\n"))
    world.office.port.ledger.use(world.shelf.ledger, world.shelf.keys, world.site.config)
    back = {**PLAN, "set": [{"municipality": "nordfjell", "information": ["notat"], "mode": "legacy"}]}
    first = await ask(nora, "POST", ROOT, back)
    await approve(arne, first.json["hash"])
    assert "takes back nordfjell" in error(await ask(nora, "POST", f"{ONE}/start", WHY))[2]
    changed = await ask(nora, "PUT", ONE, {**back, "step_back": True}, If_Match='"2"')
    assert (changed.status, changed.json["plan"]["step_back"]) == (200, True), changed.text
    await approve(arne, changed.json["hash"])
    assert (await ask(nora, "POST", f"{ONE}/start", WHY)).status == 200


async def test_it_is_started_by_a_person_when_everything_says_yes(
    world: World, nora: Browser, arne: Browser, olga: Browser
) -> None:
    """Not without approvals, and not when its gate says no; an operator may, too."""
    plan = (await ask(nora, "POST", ROOT, GATED)).json
    assert error(await ask(olga, "POST", f"{ONE}/start", WHY)) == (409, "conflict", "the cutover is submitted")
    await approve(arne, plan["hash"])
    assert "its gate: nothing was rehearsed" in error(await ask(olga, "POST", f"{ONE}/start", WHY))[2]
    await world.site.rehearsed(200)
    page = await ask(olga, "POST", f"{ONE}/start", WHY)
    assert (page.status, page.json["state"]) == (200, "draining")
    await world.look()
    again = await ask(olga, "POST", f"{ONE}/start", WHY)
    assert (again.status, again.json["state"]) == (200, "finished")
    assert [one["by"] for one in again.json["history"] if one["what"] == "draining"] == [page.json["history"][-1]["by"]]


async def test_a_missed_one_is_started_or_planned_anew(world: World, nora: Browser, arne: Browser) -> None:
    """It is never applied by itself."""
    plan = (await submit(nora)).json
    await approve(arne, plan["hash"])
    world.office.clock.now = AT + GRACE + 1
    await world.look()
    assert (await nora.get(ONE)).json["state"] == "missed"
    assert (await ask(nora, "POST", f"{ONE}/start", WHY)).json["state"] == "draining"


async def test_a_cancelled_one_does_not_switch(world: World, nora: Browser, arne: Browser) -> None:
    """Cancelling twice is cancelling once; it cannot be started."""
    plan = (await submit(nora)).json
    await approve(arne, plan["hash"])
    page = await ask(nora, "POST", f"{ONE}/cancel", WHY)
    assert page.json["state"] == "cancelled"
    assert (await ask(nora, "POST", f"{ONE}/cancel", WHY)).json == page.json
    assert error(await ask(nora, "POST", f"{ONE}/start", WHY))[0] == 409
    world.office.clock.now = AT
    await world.look()
    assert (await nora.get(ONE)).json["state"] == "cancelled"


async def test_a_person_rolls_it_back_also_when_it_is_finished(
    world: World, nora: Browser, arne: Browser, olga: Browser
) -> None:
    """Its routes are gone at once; the report says how to see what can be sent back."""
    plan = (await submit(nora)).json
    await approve(arne, plan["hash"])
    assert error(await ask(olga, "POST", f"{ONE}/rollback", WHY))[2] == "the cutover is approved"
    world.office.clock.now = AT
    await world.look()
    assert (await nora.get(ONE)).json["state"] == "finished"
    page = await ask(olga, "POST", f"{ONE}/rollback", WHY)
    assert (page.status, page.json["state"]) == (200, "rolled_back")
    assert page.json["report"]["reason"] == WHY["reason"]
    assert page.json["report"]["send_back"][0].startswith("vkp-gateway rollback list --municipality nordfjell")
    assert await world.shelf.ledger.store.read(cutovers.executed) == []
    assert await world.shelf.ledger.store.read(overrides.layers_version) == 3
    assert (await ask(olga, "POST", f"{ONE}/rollback", WHY)).json == page.json
    assert error(await ask(nora, "PUT", ONE, PLAN, If_Match=page.headers["ETag"]))[0] == 409
    assert (await world.shelf.audited())[-1].reason == WHY["reason"]


async def test_what_the_file_says_is_changed_in_the_file(world: World, nora: Browser, arne: Browser) -> None:
    """A rollback of a cutover that is not needed any more would change nothing."""
    plan = (await submit(nora)).json
    await approve(arne, plan["hash"])
    world.office.clock.now = AT
    await world.look()
    record = await world.site.get()
    retired = record.noted(CutoverEvent(AT, "node", "retired"), ended_at=AT)
    assert record.state is CutoverState.FINISHED
    assert await world.site.put(record, retired) is not None
    assert "change it there" in error(await ask(nora, "POST", f"{ONE}/rollback", WHY))[2]


@pytest.mark.parametrize("action", ["start", "cancel", "rollback"])
async def test_steering_needs_a_role_a_reason_and_the_version_that_was_seen(
    world: World, nora: Browser, vera: Browser, arne: Browser, action: str
) -> None:
    """Whoever only views or approves steers nothing."""
    await submit(nora)
    path = f"{ONE}/{action}"
    for browser in (vera, arne):
        assert error(await ask(browser, "POST", path, WHY))[:2] == (403, "forbidden")
    for bad in ({}, {"reason": " "}, {"reason": "om 12834010060"}):
        assert error(await ask(nora, "POST", path, bad))[0] == 400
    assert error(await ask(nora, "POST", path, WHY, If_Match='"7"'))[0] == 412
    assert error(await ask(nora, "POST", f"{ROOT}/other/{action}", WHY))[0] == 404
    assert await world.actions() == ["cutover.submit"]


async def test_without_a_ledger_nothing_is_planned(office: Office, nora: Browser) -> None:
    """It says so."""
    del office
    assert error(await submit(nora))[:2] == (503, "no-ledger")
