"""What a cutover would do, how it goes and what failed, over the API: narrowed to who asks, and nothing is changed by looking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gateway.admin.cutovers.conftest import MONA, ONE, PETTER, PLAN, ROOT, World, approve, ask, submit
from tests.gateway.admin.pages.cutover_pages import with_vendors
from tests.gateway.admin.shelf import error
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser

WATCHED = {**PLAN, "roll_back_when": {"failed_at_least": 0.05, "of_at_least": 20, "within": 900}}


async def switched(world: World, nora: Browser, arne: Browser) -> None:
    """Have the cutover of these tests switch, and be watched."""
    plan = (await ask(nora, "POST", ROOT, WATCHED)).json
    await approve(arne, plan["hash"])
    await ask(nora, "POST", f"{ONE}/start", {"reason": "Nå"})
    await world.look()


async def test_a_plan_is_tried_without_being_submitted(world: World, nora: Browser, tmp_path: Path) -> None:
    """With the traffic of its cells in a day, and the last days by who would have answered."""
    with_vendors(world, tmp_path)
    await world.site.decided("passed", 70, mode="legacy", layer="routes", rule=None, at=NOW - 3600)
    page = await ask(nora, "POST", f"{ROOT}/preview", PLAN)
    cells = {one["information"][0]: one for one in page.json["cells"] if one["information"] != [None]}
    assert (cells["notat"]["before"]["mode"], cells["notat"]["after"]["mode"]) == ("rehearse", "new")
    assert (cells["notat"]["messages_a_day"], cells["notat"]["effect"]) == (10.0, "goes-new")
    past = page.json["past"]
    assert (past["messages"], past["another_way"], len(past["days"])) == (70, 70, 7)
    assert past["days"][-1]["after"] == {"vkp": 0, "new": 70, "patient": 0, "nobody": 0}
    assert await world.actions() == []


async def test_a_plan_is_tried_by_who_may_see_it(world: World, nora: Browser) -> None:
    """What is wrong with it is told as when it is submitted."""
    mona = await world.person(MONA)
    assert (await ask(mona, "POST", f"{ROOT}/preview", PLAN)).status == 403
    odd = {**PLAN, "set": [{"municipality": "nordfjell", "mode": "canary"}]}
    assert error(await ask(nora, "POST", f"{ROOT}/preview", odd))[0] == 400
    await submit(nora)
    for kind in ("effects", "progress", "failed"):
        assert (await mona.get(f"{ONE}/{kind}")).status == 404


async def test_what_was_before_is_known_afterwards(world: World, nora: Browser, arne: Browser, tmp_path: Path) -> None:
    """Also when it was rolled back, and whatever the file says by then."""
    with_vendors(world, tmp_path)
    await switched(world, nora, arne)
    before = {(one["before"]["mode"], one["after"]["mode"]) for one in (await nora.get(f"{ONE}/effects")).json["cells"]}
    assert before == {("rehearse", "new"), ("legacy", "new")}
    await ask(nora, "POST", f"{ONE}/rollback", {"reason": "Feil"})
    world.configure()
    after = await nora.get(f"{ONE}/effects")
    assert {(one["before"]["mode"], one["after"]["mode"]) for one in after.json["cells"]} == before
    assert after.json["past"] is None


async def test_progress_says_what_went_well_and_what_failed(world: World, nora: Browser, arne: Browser) -> None:
    """Live from the log while it is watched, and from its report later; with the limit, and until when."""
    await switched(world, nora, arne)
    await world.site.decided("accepted", 29)
    await world.site.decided("refused-by-service", 2)
    told = (await nora.get(f"{ONE}/progress")).json
    assert (told["state"], told["fine"], told["failed"]) == ("watching", 29, 2)
    assert (told["watched_until"], told["roll_back_when"]["of_at_least"]) == ("2026-05-28T20:41:40Z", 20)
    await world.look()
    told = (await nora.get(f"{ONE}/progress")).json
    assert (told["state"], told["fine"], told["failed"]) == ("rolled_back", 29, 2)


async def test_what_failed_is_listed_the_newest_first(world: World, nora: Browser, arne: Browser) -> None:
    """What the log has, and what was set aside; what went well is no part of it."""
    assert (await nora.get(f"{ONE}/failed")).status == 404
    await switched(world, nora, arne)
    await world.site.decided("accepted", reference="good")
    await world.site.decided("loss", reference="lost", at=NOW + 1)
    await world.site.decided("no-answer", reference="late", at=NOW + 2)
    await world.shelf.quarantined("aside", information="notat")
    await world.shelf.quarantined("of-another-type", information="varsel", patient="30714510343")
    found = (await nora.get(f"{ONE}/failed")).json["messages"]
    assert [(one["reference"], one["outcome"]) for one in found] == [
        ("late", "no-answer"),
        ("lost", "loss"),
        ("aside", "quarantined"),
    ]


async def test_the_inbox_has_what_somebody_may_approve(world: World, nora: Browser, arne: Browser) -> None:
    """By their times; not what they wrote, have approved, or may not approve."""
    petter = await world.person(PETTER)
    await submit(nora, name="later", at="2026-12-01T06:00")
    first = (await submit(nora)).json
    await submit(petter, name="own")
    assert [one["name"] for one in (await arne.get("/api/v1/inbox")).json["cutovers"]] == [
        "nordfjell-1",
        "own",
        "later",
    ]
    assert [one["name"] for one in (await petter.get("/api/v1/inbox")).json["cutovers"]] == ["nordfjell-1", "later"]
    await approve(arne, first["hash"])
    assert [one["name"] for one in (await arne.get("/api/v1/inbox")).json["cutovers"]] == ["own", "later"]
    assert (await nora.get("/api/v1/inbox")).json["cutovers"] == []


async def test_traffic_of_a_municipality_is_for_those_who_view_there(world: World, nora: Browser) -> None:
    """A plan that somebody makes up tells nothing of others; of one that is theirs too, they see their own cells."""
    wide = {**PLAN, "set": [*PLAN["set"], {"municipality": "sorvik", "information": ["notat"], "mode": "rehearse"}]}
    assert error(await ask(nora, "POST", f"{ROOT}/preview", wide))[0] == 403
    petter = await world.person(PETTER)
    assert (await ask(petter, "POST", ROOT, wide)).status == 201
    everything, own = [(await who.get(f"{ONE}/effects")).json for who in (petter, nora)]
    assert {one["municipality"] for one in everything["cells"]} == {"nordfjell", "sorvik"}
    assert {one["municipality"] for one in own["cells"]} == {"nordfjell"}
    assert (everything["past"] is None, own["past"]) == (False, None)
