"""The pages for cutovers: who sees and does what, that exactly what was read is approved, and what is refused."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from gateway.admin.pages.catalogue import TEXTS
from gateway.auth.people.api_tokens import TokenRequest
from gateway.migration import preflight
from gateway.migration.cutover import APPROVAL, CHANGED, POSTPONED, RETIRED, CutoverState
from gateway.routing.layers import NOTHING_ABOVE
from tests.gateway.admin.cutovers.conftest import (
    AT,
    GATED,
    MONA,
    ONE,
    PETTER,
    PLAN,
    ROOT,
    World,
    approve,
    arne,
    ask,
    office,
    submit,
    world,
)
from tests.gateway.admin.pages.cutover_pages import PAGE, click, hidden, in_file, with_vendors
from tests.gateway.admin.shelf import PATIENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser

__all__ = ["arne", "office", "world"]


async def test_list_has_every_cutover_with_its_state_and_time(world: World, nora: Browser, vera: Browser) -> None:
    """In both languages: the time in Norway, how long until then, and how many approvals of how many."""
    assert (await vera.get("/cutovers")).text.count("<p>ingen</p>") == 2
    await submit(nora, approvals=2)
    page = await vera.get("/cutovers")
    for shown in ("<h1>Omlegginger</h1>", f'<a href="{PAGE}">nordfjell-1</a>', "<td>sendt inn</td>", "om 5 min.",
                  "2026-05-28 22:31:40 Europe/Oslo (UTC+02:00)", "<td>0 av 2</td>"):  # fmt: skip
        assert shown in page.text
    english = await vera.get("/cutovers?lang=en")
    for shown in ("<h1>Cutovers</h1>", "<td>submitted</td>", "in 5 min", "<td>0 of 2</td>"):
        assert shown in english.text
    world.office.clock.now = AT + 1
    assert "<td>past</td>" in (await vera.get("/cutovers")).text


async def test_list_comes_in_parts_and_by_state(world: World) -> None:
    """Fifty at a time; what is no name and no state is refused."""
    petter = await world.person(PETTER)
    for number in range(51):
        assert (await submit(petter, name=f"c-{number:02}")).status == 201
    page = await petter.get("/cutovers")
    assert ("c-49<" in page.text, "c-50<" in page.text) == (True, False)
    assert 'href="/cutovers?cursor=c-49"' in page.text
    assert "c-50<" in (await petter.get("/cutovers?cursor=c-49")).text
    assert "c-00<" not in (await petter.get("/cutovers?state=missed")).text
    for odd in ("cursor=%3Cb%3E", "cursor=%00", "state=odd"):
        assert (await petter.get(f"/cutovers?{odd}")).status == 400


async def test_what_is_elsewhere_is_not_shown(world: World, nora: Browser) -> None:
    """Neither in the list, nor as a page, nor among the plans of the file."""
    await submit(nora)
    in_file(world, "from-file")
    mona = await world.person(MONA)
    page = await mona.get("/cutovers")
    assert (page.status, "nordfjell-1" in page.text, "from-file" in page.text) == (200, False, False)
    assert (await mona.get(PAGE)).status == 404
    assert (await mona.get("/cutovers/no%20name")).status == 404


async def test_a_plan_of_the_file_is_submitted_by_a_button(world: World, nora: Browser, vera: Browser) -> None:
    """For who may plan there; then it is not waiting any more."""
    in_file(world, "from-file")
    assert "from-file" in (await vera.get("/cutovers")).text
    assert 'name="from_file"' not in (await vera.get("/cutovers")).text
    assert hidden(await nora.get("/cutovers"), "from_file") == "from-file"
    page = await click(nora, "/cutovers", from_file="from-file")
    assert (page.status, page.location) == (303, "/cutovers/from-file")
    assert 'name="from_file"' not in (await nora.get("/cutovers")).text
    assert (await click(vera, "/cutovers", from_file="from-file")).status == 403
    assert (await click(nora, "/cutovers", from_file="other")).status == 404


async def test_an_operator_alone_gets_no_form_for_plans(world: World, olga: Browser) -> None:
    """Operating is not planning."""
    in_file(world, "from-file")
    page = await olga.get("/cutovers")
    assert ('name="gate_clean"' in page.text, 'name="from_file"' in page.text) == (False, False)


async def test_page_has_the_plan_as_it_will_be_applied(world: World, nora: Browser, vera: Browser, tmp_path: Path) -> None:  # fmt: skip
    """Each change with its modes now and then, its policies, the gate, the rollback rule, the hash and the whole text."""
    with_vendors(world, tmp_path)
    change = {**PLAN["set"][0], "on_outage": "hold", "losses": ["DetectedIssue.severityText"]}
    watch = {"failed_at_least": 0.05, "of_at_least": 20, "within": 900}
    plan = (await ask(nora, "POST", ROOT, {**GATED, "set": [change], "roll_back_when": watch})).json
    page = await vera.get(PAGE)
    for shown in (
        f"<code>{plan['hash']}</code>",
        "<code>rehearse</code>: notat",
        "<code>legacy</code>: tilsyn",
        "<td><code>new</code></td>",
        "<code>on_outage: hold</code>",
        "<code>losses: DetectedIssue.severityText</code>",
        "200 prøvekjørte meldinger, og av dem 99,5 % uten feil, siste 7 døgn",
        "5 % feiler av minst 20 meldinger, i løpet av 15 min.",
        "&#34;on_outage&#34;:&#34;hold&#34;",
        "nora (",
    ):
        assert shown in page.text
    english = (await vera.get(f"{PAGE}?lang=en")).text
    assert "200 rehearsed messages, and of them 99.5 % clean, within 7 d" in english


async def test_preflight_is_on_the_page(world: World, nora: Browser, vera: Browser) -> None:
    """Each check with whether it is ok and what was found, for whoever may see it; nothing is changed by looking."""
    await submit(nora)
    page = await vera.get(PAGE)
    for shown in ("Noe er ikke i orden.", "<td>journalsystemet</td><td>i orden</td>", "Gerica reads jft",
                  "<td>tidspunktet</td><td>i orden</td>", "0 of 1; 1 missing"):  # fmt: skip
        assert shown in page.text
    assert await world.actions() == ["cutover.submit"]
    await ask(nora, "POST", f"{ONE}/cancel", {"reason": "Utsatt"})
    assert "Kontroll nå" not in (await vera.get(PAGE)).text


async def test_another_person_approves_what_the_page_shows(world: World, nora: Browser, arne: Browser) -> None:
    """By the hash that the page has; then it is offered no more."""
    plan = (await submit(nora)).json
    page = await arne.get(PAGE)
    assert hidden(page, "hash") == plan["hash"]
    done = await click(arne, f"{PAGE}/approve", hash=hidden(page, "hash"))
    assert (done.status, done.location) == (303, PAGE)
    after = await arne.get(PAGE)
    assert ("arne (" in after.text, 'name="hash"' in after.text) == (True, False)
    assert ((await nora.get(ONE)).json["state"], await world.actions()) == ("approved", ["cutover.submit", "cutover.approve"])  # fmt: skip


async def test_approving_is_not_offered_to_who_wrote_the_plan_nor_to_others(world: World, vera: Browser, nora: Browser) -> None:  # fmt: skip
    """The maker is told why; who only views or plans has no button, and who sends the form all the same is refused."""
    petter = await world.person(PETTER)
    plan = (await submit(petter)).json
    page = await petter.get(PAGE)
    assert ('name="hash"' in page.text, "så noen andre må godkjenne den" in page.text) == (False, True)
    refused = await click(petter, f"{PAGE}/approve", hash=plan["hash"])
    assert (refused.status, "whoever wrote a plan does not approve it" in refused.text) == (409, True)
    for browser in (vera, nora):
        page = await browser.get(PAGE)
        assert ('name="hash"' in page.text, "så noen andre" in page.text) == (False, False)
        assert (await click(browser, f"{PAGE}/approve", hash=plan["hash"])).status == 403
    assert (await nora.get(ONE)).json["approvals"] == []


async def test_api_tokens_get_no_page(world: World) -> None:
    """Pages are for people; a program has the API."""
    doors = world.office.port.authenticator.doors
    assert doors is not None
    _, secret = await doors.tokens.make(TokenRequest("tool", ["planner"], 1, None), ("petter",), in_dev=False)
    page = await world.office.browser().get("/cutovers", headers={"Authorization": f"Bearer {secret}"})
    assert page.status == 403


async def test_a_plan_that_changed_before_the_click_is_not_approved(world: World, nora: Browser, arne: Browser) -> None:
    """Whoever read one plan has not read another."""
    del world
    await submit(nora)
    seen = hidden(await arne.get(PAGE), "hash")
    changed = await ask(nora, "PUT", ONE, {**PLAN, "at": "2026-12-01T06:00"}, If_Match='"1"')
    assert changed.json["state"] == "submitted"
    for read in (seen, "", "0" * 64):
        page = await click(arne, f"{PAGE}/approve", hash=read)
        assert (page.status, "Ingenting er endret" in page.text) == (409, True)
    assert (await nora.get(ONE)).json["approvals"] == []


async def test_it_is_started_and_rolled_back_by_buttons(world: World, nora: Browser, arne: Browser, olga: Browser) -> None:  # fmt: skip
    """Each offered when it can be done; afterwards the page tells what came of it and how to see what can be sent back."""
    plan = (await submit(nora)).json
    assert f'action="{PAGE}/start"' not in (await olga.get(PAGE)).text
    await approve(arne, plan["hash"])
    page = await olga.get(PAGE)
    assert (f'action="{PAGE}/start"' in page.text, f'action="{PAGE}/rollback"' in page.text) == (True, False)
    done = await click(olga, f"{PAGE}/start", version=hidden(page, "version"), reason="Alle er klare")
    assert (done.status, done.location) == (303, PAGE)
    await world.look()
    page = await olga.get(PAGE)
    assert (f'action="{PAGE}/start"' in page.text, f'action="{PAGE}/rollback"' in page.text) == (False, True)
    assert "Alle er klare" in page.text
    assert (await click(olga, f"{PAGE}/rollback", version=hidden(page, "version"), reason="Feil")).status == 303
    page = await olga.get(PAGE)
    for shown in ("<b>rullet tilbake</b>", "vkp-gateway rollback list --municipality nordfjell", "<dd>Feil</dd>"):
        assert shown in page.text
    assert "Styr omleggingen" not in page.text


async def test_start_says_what_stands_in_its_way(world: World, nora: Browser, arne: Browser) -> None:
    """Its gate, and nothing begins."""
    plan = (await ask(nora, "POST", ROOT, GATED)).json
    await approve(arne, plan["hash"])
    page = await click(nora, f"{PAGE}/start", version="2", reason="Nå")
    assert (page.status, "its gate: nothing was rehearsed" in page.text) == (409, True)
    assert (await world.site.get()).state is CutoverState.APPROVED


@pytest.mark.parametrize("action", ["start", "cancel", "rollback"])
async def test_steering_needs_a_role_a_reason_and_the_version_that_was_shown(
    world: World, nora: Browser, vera: Browser, arne: Browser, action: str
) -> None:
    """A page that is not current is answered 412; a national identity number is refused and not repeated."""
    await submit(nora)
    path = f"{PAGE}/{action}"
    for browser in (vera, arne):
        assert (await click(browser, path, version="1", reason="Avtalt")).status == 403
    assert (await click(nora, path, reason="Avtalt")).status == 428
    for version in ("7", "x", "1, 7", "9" * 40):
        page = await click(nora, path, version=version, reason="Avtalt")
        assert (page.status, "Noen andre har endret dette" in page.text) == (412, True)
    for reason in ("", " ", f"om {PATIENT}"):
        page = await click(nora, path, version="1", reason=reason)
        assert (page.status, PATIENT in page.text) == (400, False)
    assert (await nora.post(path, version="1", reason="Avtalt")).status == 403
    assert (await click(nora, f"/cutovers/other/{action}", version="1", reason="Avtalt")).status == 404
    assert await world.actions() == ["cutover.submit"]
    assert PATIENT not in world.office.logged.stream.getvalue()


async def test_it_is_cancelled_by_a_button(world: World, nora: Browser) -> None:
    """With the reason in its history."""
    await submit(nora)
    page = await click(nora, f"{PAGE}/cancel", version=hidden(await nora.get(PAGE), "version"), reason="Utsatt")
    assert page.location == PAGE
    assert ((await world.site.get()).state, "<td>Utsatt</td>" in (await nora.get(PAGE)).text) == (
        CutoverState.CANCELLED,
        True,
    )


async def test_what_people_wrote_is_shown_as_text(world: World, nora: Browser) -> None:
    """In plans, and in reasons."""
    hostile = "<script>alert(1)</script>"
    del world
    await submit(nora, set=[{"municipality": "nordfjell", "mode": "closed", "text": hostile}])
    await ask(nora, "POST", f"{ONE}/cancel", {"reason": hostile})
    page = await nora.get(PAGE)
    assert hostile not in page.text
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3


async def test_page_waits_for_no_token_for_ever(
    world: World, nora: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A HelseID that hangs does not keep the page from whoever must approve."""
    with_vendors(world, tmp_path)
    await submit(nora)
    monkeypatch.setattr("gateway.admin.pages.cutovers._PATIENCE", 0.0)

    async def hang(_orgnr: str, _scope: str) -> None:
        await asyncio.Event().wait()

    world.office.port.cutovers.use(lambda: NOTHING_ABOVE, hang)
    page = await nora.get(PAGE)
    assert (page.status, "nordfjell: no token: it was not tried" in page.text) == (200, True)


def test_every_state_event_and_check_has_a_text() -> None:
    """A page never shows a word of the code instead."""
    checks = set(re.findall(r'Finding\(\s*"(\w+)"', inspect.getsource(preflight)))
    assert len(checks) == 13
    wanted = {f"cut-{one}" for one in (*CutoverState, CHANGED, POSTPONED, APPROVAL, RETIRED)} | {
        f"cut-check-{one}" for one in checks
    }
    assert wanted == {name for name in TEXTS["nb"] if name.startswith("cut-")}
