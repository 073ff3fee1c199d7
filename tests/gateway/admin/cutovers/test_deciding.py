"""Approving with a comment, rejecting with a reason, and another time: who may, once, and what history and audit keep."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.gateway.admin.cutovers.conftest import AT, GATED, MONA, ONE, PETTER, ROOT, World, approve, ask, submit
from tests.gateway.admin.shelf import PATIENT, error

if TYPE_CHECKING:
    from tests.gateway.office import Browser

LATER = datetime.fromtimestamp(AT + 3600, UTC).isoformat()


async def test_an_approval_keeps_its_comment(world: World, nora: Browser, arne: Browser) -> None:
    """In the list of approvals, in the history and in the audit; without one there is none."""
    plan = (await submit(nora)).json
    page = await ask(arne, "POST", f"{ONE}/approve", {"hash": plan["hash"], "comment": "Avklart med Dignio"})
    assert page.json["approvals"][0]["comment"] == "Avklart med Dignio"
    assert [one["reason"] for one in page.json["history"] if one["what"] == "approval"] == ["Avklart med Dignio"]
    assert (await world.shelf.audited())[-1].reason == "Avklart med Dignio"


async def test_a_comment_holds_no_national_identity_number(world: World, nora: Browser, arne: Browser) -> None:
    """It is kept for ever, as reasons are."""
    plan = (await submit(nora)).json
    page = await ask(arne, "POST", f"{ONE}/approve", {"hash": plan["hash"], "comment": f"gjelder {PATIENT}"})
    assert error(page) == (400, "bad-request", "comment: without national identity numbers")
    assert await world.actions() == ["cutover.submit"]


@pytest.mark.parametrize("is_approved", [False, True])
async def test_who_may_approve_may_reject(world: World, nora: Browser, arne: Browser, *, is_approved: bool) -> None:
    """Also what is approved already; it does not switch, and what was rejected is rejected once."""
    plan = (await submit(nora)).json
    if is_approved:
        await approve(arne, plan["hash"])
    said = {"hash": plan["hash"], "reason": "Ferieavvikling"}
    page = await ask(arne, "POST", f"{ONE}/reject", said)
    assert (page.status, page.json["state"], page.json["history"][-1]["reason"]) == (200, "rejected", "Ferieavvikling")
    assert (await ask(arne, "POST", f"{ONE}/reject", said)).json == page.json
    world.office.clock.now = AT + 1
    await world.look()
    assert ((await world.site.get()).state, (await world.actions())[-1]) == ("rejected", "cutover.reject")


async def test_rejecting_is_of_one_plan_by_another_person_with_a_reason(world: World, nora: Browser, arne: Browser) -> None:  # fmt: skip
    """Another hash, the maker, someone without the role, and no reason are refused."""
    petter, mona = await world.person(PETTER), await world.person(MONA)
    plan = (await submit(petter)).json
    said = {"hash": plan["hash"], "reason": "Nei"}
    for browser, body, status in (
        (petter, said, 409),
        (arne, {**said, "hash": "0" * 64}, 409),
        (arne, {**said, "reason": " "}, 400),
        (nora, said, 403),
        (mona, said, 404),
    ):
        assert (await ask(browser, "POST", f"{ONE}/reject", body)).status == status
    assert await world.actions() == ["cutover.submit"]


async def test_what_was_rejected_takes_another_plan(world: World, nora: Browser, arne: Browser) -> None:
    """Which must be approved anew."""
    del world
    plan = (await submit(nora)).json
    rejected = await ask(arne, "POST", f"{ONE}/reject", {"hash": plan["hash"], "reason": "For tidlig"})
    page = await ask(nora, "POST", f"{ONE}/postpone", {"at": LATER, "reason": "Etter ferien"}, If_Match=rejected.headers["ETag"])  # fmt: skip
    assert (page.json["state"], page.json["approvals_missing"]) == ("submitted", 1)


async def test_another_time_voids_approvals(world: World, nora: Browser, arne: Browser) -> None:
    """It is another plan; the same time again changes nothing."""
    plan = (await submit(nora)).json
    await approve(arne, plan["hash"])
    page = await ask(nora, "POST", f"{ONE}/postpone", {"at": LATER, "reason": "Leverandøren ba om det"})
    assert (page.json["state"], page.json["at"], page.json["approvals"]) == ("submitted", "2026-05-28T21:31:40Z", [])
    assert page.json["hash"] != plan["hash"]
    assert page.json["history"][-1]["what"] == "postponed"
    again = await ask(nora, "POST", f"{ONE}/postpone", {"at": LATER, "reason": "Igjen"})
    assert again.json == page.json
    assert (await world.actions())[-1] == "cutover.postpone"


async def test_who_postpones_does_not_approve(world: World, nora: Browser) -> None:
    """They wrote the plan that is there."""
    petter = await world.person(PETTER)
    await submit(nora)
    page = await ask(petter, "POST", f"{ONE}/postpone", {"at": LATER, "reason": "Utsatt"})
    assert error(await approve(petter, page.json["hash"]))[0] == 409


async def test_a_time_that_cannot_be_is_refused(world: World, nora: Browser, vera: Browser) -> None:
    """Past, no time in Norway, another version, or by somebody who does not plan."""
    del world
    await ask(nora, "POST", ROOT, GATED)
    for browser, at, status in (
        (nora, "2026-03-29T02:30", 400),
        (nora, "2026-03-29T03:30", 409),
        (vera, LATER, 403),
    ):
        assert (await ask(browser, "POST", f"{ONE}/postpone", {"at": at, "reason": "Ny tid"})).status == status
    assert (await ask(nora, "POST", f"{ONE}/postpone", {"at": LATER, "reason": "x"}, If_Match='"9"')).status == 412
