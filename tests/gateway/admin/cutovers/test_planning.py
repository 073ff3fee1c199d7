"""Cutovers over the admin API: who may plan and approve them, when not and why, and what the audit keeps of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.auth.people.api_tokens import TokenRequest
from gateway.config.plans import CutoverPlan, Freeze
from gateway.ledger import cutovers
from gateway.migration.schedule import moment
from gateway.model import Mode, Place
from gateway.routing.route import RouteSpec
from tests.each import in_one_world
from tests.gateway.admin.shelf import error

if TYPE_CHECKING:
    from tests.gateway.office import Browser

from tests.gateway.admin.cutovers.conftest import AT, MONA, ONE, PETTER, PLAN, ROOT, World, approve, ask, submit


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
    routes = cutovers.routes(
        "from-file", [RouteSpec(municipality="nordfjell", information=("journaling",), mode=Mode.NEW)]
    )
    written = CutoverPlan("from-file", moment(AT), routes, None, None, 1, Place("routes.yaml", 1, 1))
    world.configure(cutovers={"from-file": written})
    page = await ask(nora, "POST", ROOT, {"from_file": "from-file"})
    assert (page.status, page.json["submitted_by"]) == (201, plan["submitted_by"])
    assert error(await ask(nora, "POST", ROOT, {"from_file": "other"}))[0] == 404
    assert error(await ask(nora, "POST", ROOT, {"from_file": "from-file", "name": "x"}))[0] == 400


@in_one_world(
    ("changed", "told"),
    [
        ({"at": "2027-03-28T02:30"}, "does not exist in Europe/Oslo"),
        ({"at": "2026-10-25T02:30"}, "comes twice in Europe/Oslo"),
        ({"at": "tomorrow"}, "expected a time"),
        ({"name": "a b"}, "name:"),
        ({"set": []}, "set:"),
        ({"set": [{"municipality": "nordfjell", "information": ["nothing"], "mode": "new"}]}, "information type"),
        ({"set": [{"municipality": "nordfjell", "mode": "epj"}]}, "epj needs epj.upstream"),
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
    auth = world.office.port.authenticator.auth
    assert auth is not None
    _, secret = await auth.tokens.make(TokenRequest("tool", roles, 1, None), made_by, in_dev=False)
    return {"Authorization": f"Bearer {secret}"}


async def test_a_change_voids_approvals(world: World, nora: Browser, arne: Browser) -> None:
    """It needs the version that its maker has seen; the approval of the old plan is of no use for the new one."""
    plan = (await submit(nora)).json
    approved = await approve(arne, plan["hash"])
    changed = {**PLAN, "at": "2026-12-01T06:00"}
    assert error(await ask(nora, "PUT", ONE, changed))[0] == 428
    assert error(await ask(nora, "PUT", ONE, changed, If_Match='"1"'))[0] == 412
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
