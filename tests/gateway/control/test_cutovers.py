"""Cutovers over the admin API: who may do what, when not and why, and what the audit keeps of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.places import Place
from gateway.config.plans import CutoverPlan, Freeze
from gateway.cutovers.record import Event
from gateway.cutovers.runner import Runner
from gateway.cutovers.schedule import GRACE, moment
from gateway.cutovers.states import State
from gateway.ledger import cutover_store, rules
from gateway.model import Mode
from gateway.people.api_tokens import Wanted
from gateway.routing.layers import NOTHING_ABOVE
from service_stubs.logins import TestPerson
from tests.gateway.control.shelf import error
from tests.gateway.cutovers.scene import Site
from tests.gateway.office import ARNE, NOW, PERSONS, PSEUDONYM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.config.definitions import Config
    from tests.gateway.control.shelf import Shelf
    from tests.gateway.office import Browser, Office, Page

ROOT = "/api/v1/cutovers"
ONE = f"{ROOT}/nordfjell-1"
AT = NOW + 300
WHY = {"reason": "Avtalt med kommunen"}
PETTER = TestPerson(sub="petter", name="Petter", pid_pseudonym="p-petter")
MONA = TestPerson(sub="mona", name="Mona", pid_pseudonym="p-mona")
MORE = f"""\
    petter: {{claim: sub, value: petter, roles: [planner, approver]}}
    mona: {{claim: "{PSEUDONYM}", value: p-mona, roles: [approver, viewer], municipalities: [sorvik]}}
"""
PLAN: dict[str, Any] = {
    "name": "nordfjell-1",
    "at": datetime.fromtimestamp(AT, UTC).isoformat(),
    "set": [{"municipality": "nordfjell", "information": ["notat", "tilsyn"], "mode": "new"}],
}
GATED = {**PLAN, "gate": {"rehearsed_at_least": 200, "clean_at_least": 0.995, "within": 604_800}}


class World:
    """An admin port with people, a ledger, and cutovers in it."""

    def __init__(self, office: Office, shelf: Shelf) -> None:
        self.office, self.shelf = office, shelf
        self.site = Site(shelf.ledger.store, office.clock, office.config)  # type: ignore[arg-type] # the clock of an office is alike

    async def person(self, who: TestPerson) -> Browser:
        """Let somebody log in."""
        browser = self.office.browser()
        await browser.log_in(who)
        return browser

    def configure(self, **changed: Any) -> Config:
        """Go on with another configuration."""
        self.site.config = replace(self.office.config, **changed)
        self.office.port.ledger.use(self.shelf.ledger, self.shelf.keys, self.site.config)
        return self.site.config

    async def look(self) -> None:
        """Let a node do what is to be done."""
        await Runner(self.shelf.ledger, lambda: self.site.config, self.office.clock).look()

    async def actions(self) -> list[str]:
        """Return what the audit has."""
        return [note.action for note in await self.shelf.audited()]


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with planners and approvers."""
    return await open_office(persons=PERSONS + MORE)


@pytest.fixture
def world(office: Office, shelf: Shelf) -> World:
    """Put a ledger behind it."""
    return World(office, shelf)


@pytest.fixture
async def arne(office: Office) -> Browser:
    """Let an approver log in."""
    browser = office.browser()
    await browser.log_in(ARNE)
    return browser


async def ask(browser: Browser, method: str, path: str, body: object = None, **headers: str) -> Page:
    """Send JSON as a page does."""
    given = {"X-CSRF-Token": await browser.csrf(), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await browser.ask(method, path, json={} if body is None else body, headers=given)


async def submit(browser: Browser, **changed: Any) -> Page:
    """Submit the plan of these tests."""
    return await ask(browser, "POST", ROOT, {**PLAN, **changed})


async def approve(browser: Browser, plan_hash: str) -> Page:
    """Approve a plan by its hash."""
    return await ask(browser, "POST", f"{ONE}/approve", {"hash": plan_hash})


async def test_a_plan_is_submitted_and_shown(world: World, nora: Browser, vera: Browser) -> None:
    """With its time in Norway, its hash, and who did it; the audit has the plan."""
    page = await submit(nora)
    assert (page.status, page.location, page.headers["ETag"]) == (201, ONE, '"1"')
    shown = (await vera.get(ONE)).json
    assert shown == page.json
    assert (shown["state"], shown["approvals_missing"]) == ("submitted", 1)
    assert shown["at_oslo"] == "2026-05-28 22:31:40 Europe/Oslo (UTC+02:00)"
    assert shown["submitted_by"].startswith("nora (")
    (note,) = await world.shelf.audited()
    detail = json.loads(note.detail or "")
    assert (note.action, note.target, detail["before"]) == ("cutover.submit", "nordfjell-1", None)
    assert detail["after"]["plan"]["set"][0]["information"] == ["notat", "tilsyn"]
    assert "Nora Nord" not in page.text


async def test_submitting_twice_is_submitting_once(world: World, nora: Browser) -> None:
    """The same plan is answered as it stands; another of that name is not taken."""
    first = await submit(nora)
    again = await submit(nora)
    assert (again.status, again.json) == (200, first.json)
    assert await world.actions() == ["cutover.submit"]
    assert error(await submit(nora, approvals=2))[:2] == (409, "conflict")


async def test_a_plan_of_the_file_is_submitted_by_its_name(world: World, nora: Browser) -> None:
    """Its maker is who submits it."""
    plan = (await submit(nora)).json
    routes = cutover_store.routes("from-file", [cutover_store.Change(municipality="nordfjell", mode=Mode.NEW)])
    written = CutoverPlan("from-file", moment(AT), routes, None, None, 1, Place("routes.yaml", 1, 1))
    world.configure(cutovers={"from-file": written})
    page = await ask(nora, "POST", ROOT, {"from_file": "from-file"})
    assert (page.status, page.json["submitted_by"]) == (201, plan["submitted_by"])
    assert error(await ask(nora, "POST", ROOT, {"from_file": "other"}))[0] == 404
    assert error(await ask(nora, "POST", ROOT, {"from_file": "from-file", "name": "x"}))[0] == 400


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"at": "2027-03-28T02:30"}, "does not exist in Europe/Oslo"),
        ({"at": "2026-10-25T02:30"}, "comes twice in Europe/Oslo"),
        ({"at": "tomorrow"}, "expected a time"),
        ({"name": "a b"}, "name:"),
        ({"set": []}, "set:"),
        ({"set": [{"municipality": "nordfjell", "information": ["nothing"], "mode": "new"}]}, "information type"),
        ({"set": [{"municipality": "nordfjell", "mode": "epj"}]}, "mode epj"),
        ({"approvals": 0}, "approvals"),
        ({"gate": {"rehearsed_at_least": 1}}, "gate"),
        ({"more": 1}, "expected:"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused(
    world: World, nora: Browser, changed: dict[str, Any], told: str
) -> None:
    """With what is wrong, and nothing is written."""
    status, _, detail = error(await submit(nora, **changed))
    assert (status, told in detail) == (400, True), detail
    assert await world.actions() == []


async def test_a_time_that_is_past_or_frozen_is_refused(world: World, nora: Browser) -> None:
    """Nothing can be planned for it."""
    assert "is past" in error(await submit(nora, at="2026-01-01T06:00"))[2]
    world.configure(freezes=(Freeze(moment(AT), moment(AT + 1), "Valg", Place("f", 1, 1)),))
    status, _, detail = error(await submit(nora))
    assert (status, "Valg" in detail) == (409, True)


async def test_a_wall_time_is_of_oslo(world: World, nora: Browser) -> None:
    """Where no offset is given."""
    del world
    assert (await submit(nora, at="2026-12-01T06:00")).json["at"] == "2026-12-01T05:00:00Z"


async def test_planning_needs_the_role_wherever_it_changes_something(
    world: World, nora: Browser, olga: Browser
) -> None:
    """A planner of Nordfjell plans for nobody else, and an operator plans nothing."""
    del world
    elsewhere = [{"municipality": "sorvik", "information": ["notat"], "mode": "new"}]
    assert error(await submit(nora, set=[*PLAN["set"], *elsewhere]))[:2] == (403, "forbidden")
    assert error(await submit(olga))[:2] == (403, "forbidden")


async def test_what_is_elsewhere_is_not_there(world: World, nora: Browser) -> None:
    """Neither shown nor listed."""
    petter = await world.person(PETTER)
    elsewhere = [{"municipality": "sorvik", "information": ["notat"], "mode": "new"}]
    assert (await submit(petter, name="sorvik-1", set=elsewhere)).status == 201
    assert (await submit(nora)).status == 201
    assert (await nora.get(f"{ROOT}/sorvik-1")).status == 404
    assert [one["name"] for one in (await nora.get(ROOT)).json["cutovers"]] == ["nordfjell-1"]
    first = (await petter.get(f"{ROOT}?limit=1")).json
    rest = (await petter.get(f"{ROOT}?limit=1&cursor={first['next']}")).json
    assert [one["name"] for one in (*first["cutovers"], *rest["cutovers"])] == ["nordfjell-1", "sorvik-1"]
    assert rest["next"] is None
    assert (await petter.get(f"{ROOT}?state=missed")).json["cutovers"] == []


async def test_another_person_approves_exactly_this_plan(world: World, nora: Browser, arne: Browser) -> None:
    """By its hash; doing it twice is doing it once."""
    plan = (await submit(nora)).json
    assert error(await approve(arne, "0" * 64))[0] == 409
    page = await approve(arne, plan["hash"])
    assert (page.status, page.json["state"], page.json["approvals_missing"]) == (200, "approved", 0)
    assert (await approve(arne, plan["hash"])).json == page.json
    assert await world.actions() == ["cutover.submit", "cutover.approve"]


async def test_nobody_approves_what_they_wrote(world: World) -> None:
    """Neither who submitted it nor who changed it, whatever roles they have."""
    petter = await world.person(PETTER)
    plan = (await submit(petter)).json
    assert error(await approve(petter, plan["hash"])) == (409, "conflict", "whoever wrote a plan does not approve it")


async def test_nobody_approves_what_their_api_token_wrote(world: World) -> None:
    """A token acts for whoever made it."""
    petter = await world.person(PETTER)
    token = await _token(world, ["planner"], ("petter",))
    page = await world.office.browser().ask("POST", ROOT, json=PLAN, headers=token)
    assert page.status == 201
    assert error(await approve(petter, page.json["hash"]))[2] == "whoever wrote a plan does not approve it"


async def test_two_approvals_are_of_two_people(world: World, nora: Browser, arne: Browser) -> None:
    """One person counts once."""
    plan = (await submit(nora, approvals=2)).json
    assert (await approve(arne, plan["hash"])).json["state"] == "submitted"
    assert (await approve(arne, plan["hash"])).json["approvals_missing"] == 1
    petter = await world.person(PETTER)
    assert (await approve(petter, plan["hash"])).json["state"] == "approved"


async def test_approvers_of_elsewhere_and_tokens_approve_nothing(world: World, nora: Browser) -> None:
    """No API token ever is an approver."""
    plan = (await submit(nora)).json
    mona = await world.person(MONA)
    assert (await approve(mona, plan["hash"])).status == 404
    token = await _token(world, ["planner", "approver"], ("petter",))
    page = await world.office.browser().ask("POST", f"{ONE}/approve", json={"hash": plan["hash"]}, headers=token)
    assert error(page)[:2] == (403, "people-only")


async def _token(world: World, roles: list[str], made_by: tuple[str, ...]) -> dict[str, str]:
    """Make an API token past the rules for making them."""
    doors = world.office.port.desk.doors
    assert doors is not None
    _, secret = await doors.tokens.make(Wanted("tool", roles, 1, None), made_by, in_dev=False)
    return {"Authorization": f"Bearer {secret}"}


async def test_a_change_voids_approvals(world: World, nora: Browser, arne: Browser) -> None:
    """It needs the version that its maker has seen; the approval of the old plan is of no use for the new one."""
    plan = (await submit(nora)).json
    approved = await approve(arne, plan["hash"])
    changed = {**PLAN, "at": "2026-12-01T06:00"}
    assert error(await ask(nora, "PUT", ONE, changed))[0] == 400
    assert error(await ask(nora, "PUT", ONE, changed, If_Match='"1"'))[0] == 409
    page = await ask(nora, "PUT", ONE, changed, If_Match=approved.headers["ETag"])
    assert (page.status, page.json["state"], page.json["approvals"]) == (200, "submitted", [])
    assert error(await approve(arne, plan["hash"]))[0] == 409
    same = await ask(nora, "PUT", ONE, changed, If_Match=page.headers["ETag"])
    assert same.json == page.json
    detail = json.loads((await world.shelf.audited())[-1].detail or "")
    assert (detail["before"]["approvals"] == [], detail["after"]["approvals"]) == (False, [])
    assert detail["before"]["plan"]["at"] != detail["after"]["plan"]["at"]


async def test_another_name_is_another_cutover(world: World, nora: Browser) -> None:
    """A change does not rename."""
    del world
    await submit(nora)
    assert error(await ask(nora, "PUT", ONE, {**PLAN, "name": "x"}, If_Match='"1"'))[0] == 400


async def test_what_is_known_already_is_not_sent_again(world: World, nora: Browser) -> None:
    """By its ETag."""
    del world
    page = await submit(nora)
    assert (await nora.get(ONE, headers={"If-None-Match": page.headers["ETag"]})).status == 304


async def test_a_preflight_says_what_is_missing(world: World, nora: Browser, vera: Browser) -> None:
    """Whoever may see a cutover may ask; nothing is changed by it."""
    await submit(nora)

    async def token(orgnr: str, scope: str) -> str:
        return orgnr + scope

    world.office.port.cutovers.use(lambda: NOTHING_ABOVE, token)
    page = await ask(vera, "POST", f"{ONE}/preflight")
    assert (page.status, page.json["ready"]) == (200, False)
    noes = {one["check"] for one in page.json["findings"] if not one["ok"]}
    assert noes == {"epj", "service", "senders", "approvals"}
    assert await world.actions() == ["cutover.submit"]


async def test_a_process_without_tokens_and_layers_says_so(world: World, nora: Browser) -> None:
    """Beside workers the admin port knows the ledger alone."""
    await submit(nora)
    found = (await ask(nora, "POST", f"{ONE}/preflight")).json["findings"]
    assert "not known to this process" in next(one["text"] for one in found if one["check"] == "rules")
    del world


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
    assert await world.shelf.ledger.store.read(cutover_store.executed) == []
    assert await world.shelf.ledger.store.read(rules.layers_version) == 2
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
    retired = record.noted(Event(AT, "node", "retired"), ended_at=AT)
    assert record.state is State.FINISHED
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
    assert error(await ask(nora, "POST", path, WHY, If_Match='"7"'))[0] == 409
    assert error(await ask(nora, "POST", f"{ROOT}/other/{action}", WHY))[0] == 404
    assert await world.actions() == ["cutover.submit"]


async def test_without_a_ledger_nothing_is_planned(office: Office, nora: Browser) -> None:
    """It says so."""
    del office
    assert error(await submit(nora))[:2] == (503, "no-ledger")
