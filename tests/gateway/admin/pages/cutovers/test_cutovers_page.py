"""The pages for cutovers: who sees and does what, that exactly what was read is approved, and what is refused is told there."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from gateway.admin.bounds import Bounds
from gateway.auth.people.api_tokens import TokenRequest
from gateway.migration.cutover import CutoverState
from gateway.routing.layers import NOTHING_ABOVE
from tests.gateway.admin.cutovers.conftest import AT, GATED, MONA, ONE, PETTER, PLAN, ROOT, World, approve, ask, submit
from tests.gateway.admin.pages.cutover_pages import (
    PAGE,
    WATCHED,
    click,
    hidden,
    in_file,
    offered,
    plain,
    switched,
    with_vendors,
)
from tests.gateway.admin.shelf import PATIENT
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser

NAME = "Nordfjell kommune"


async def test_list_has_every_cutover_with_what_it_does_and_when(world: World, nora: Browser, vera: Browser) -> None:
    """In both languages: the time in Norway, how long until then, and how many approvals of how many."""
    assert "Det er ingen omlegginger her." in (await vera.get("/cutovers")).text
    await submit(nora, approvals=2)
    page = plain(await vera.get("/cutovers"))
    for shown in ("nordfjell-1 venter på godkjenning Nordfjell kommune: notat og tilsyn F flyttet",
                  "tor. 28. mai kl. 22.31 om 5 min", "0 av 2 Nora"):  # fmt: skip
        assert shown in page
    english = plain(await vera.get("/cutovers?lang=en"))
    for shown in ("nordfjell-1 waits for approval", "Thu 28 May at 22:31 in 5 min", "0 of 2"):
        assert shown in english
    world.office.clock.now = AT + 1
    assert "tiden er passert" in plain(await vera.get("/cutovers?lang=nb"))


async def test_refused_cutover_says_for_good_which_check_stopped_it(world: World, nora: Browser, arne: Browser) -> None:
    """In both languages, where it stands and in its history."""
    plan = (await ask(nora, "POST", ROOT, GATED)).json
    await approve(arne, plan["hash"])
    world.office.clock.now = AT
    await world.look()
    assert (await nora.get(ONE)).json["state"] == "refused"
    stopped = "Ingenting er prøvekjørt siste 7 døgn. Kravet er minst 200."
    page = plain(await nora.get(PAGE))
    assert f"Omleggingen ble stoppet da tiden var inne: {stopped}" in page
    assert f"kontrollen fant noe som stopper: {stopped}" in page
    english = plain(await nora.get(f"{PAGE}?lang=en"))
    stopped = "Nothing was rehearsed within 7 d. At least 200 are asked for."
    assert f"The cutover was stopped when its time had come: {stopped}" in english
    assert f"the preflight found what stops it: {stopped}" in english


@pytest.mark.slow
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


async def test_inbox_has_what_waits_for_whoever_reads(world: World, nora: Browser, arne: Browser) -> None:
    """And not what they wrote or may not approve."""
    del world
    await submit(nora)
    assert "Se over og godkjenn" in (await arne.get("/cutovers")).text
    assert "Ingen omlegging venter på din godkjenning." in (await nora.get("/cutovers")).text


async def test_what_is_elsewhere_is_not_shown(world: World, nora: Browser) -> None:
    """Neither in the list, nor as a page, nor among the plans of the file, nor live, nor what failed."""
    await submit(nora)
    in_file(world, "from-file")
    mona = await world.person(MONA)
    page = await mona.get("/cutovers")
    assert (page.status, "nordfjell-1" in page.text, "from-file" in page.text) == (200, False, False)
    for path in (PAGE, f"{PAGE}/live", f"{PAGE}/failed", "/cutovers/no%20name"):
        assert (await mona.get(path)).status == 404


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


async def test_a_plan_of_the_file_that_cannot_be_submitted_is_told_in_the_list(world: World, nora: Browser) -> None:
    """With why, and the list as it is."""
    in_file(world, "from-file")
    world.office.clock.now = AT + 1
    page = await click(nora, "/cutovers", from_file="from-file")
    assert (page.status, "Det ble ikke gjort: from-file: Tidspunktet er passert" in plain(page)) == (409, True)
    assert 'data-address="/cutovers"' in page.text
    assert 'name="from_file"' in page.text


async def test_an_operator_alone_plans_nothing(world: World, olga: Browser) -> None:
    """Operating is not planning."""
    in_file(world, "from-file")
    page = await olga.get("/cutovers")
    assert ("/cutovers/new" in page.text, 'name="from_file"' in page.text) == (False, False)
    assert (await olga.get("/cutovers/new")).status == 403


async def test_page_has_before_and_after_with_messages_a_day(world: World, nora: Browser, vera: Browser, tmp_path: Path) -> None:  # fmt: skip
    """Each change, the conditions in words, the last days as numbers under the pictures, and the whole text with its hash."""
    with_vendors(world, tmp_path)
    await world.site.decided("passed", 70, mode="legacy", layer="routes", rule=None, at=NOW - 3600)
    change = {**PLAN["set"][0], "on_outage": "hold", "losses": ["DetectedIssue.severityText"]}
    plan = (await ask(nora, "POST", ROOT, {**GATED, "set": [change], "roll_back_when": WATCHED["roll_back_when"]})).json
    page = await vera.get(PAGE)
    for shown in (
        "Nordfjell kommune → ny tjeneste: 1 leverandør, 10 meldinger i døgnet.",
        "notat Nordfjell kommune, alle leverandører P prøvekjøres → blir F flyttet 10 går til ny tjeneste",
        "Av 70 meldinger ville 70 gått en annen vei.",
        "Minst 200 prøvekjørte meldinger siste 7 døgn, og minst 99,5 % av dem uten feil.",
        "Når minst 5 % feiler, av minst 20 meldinger de første 15 min.",
        "Når den nye tjenesten er nede: ta vare på og lever senere",
        "Tap som godtas: DetectedIssue.severityText",
    ):
        assert shown in plain(page), shown
    assert f"<code>{plan['hash']}</code>" in page.text
    english = plain(await vera.get(f"{PAGE}?lang=en"))
    assert "At least 200 rehearsed messages within 7 d, and at least 99.5% of them clean." in english


async def test_a_step_back_is_marked_and_stops(world: World, nora: Browser, tmp_path: Path) -> None:
    """In red and in words; the rule that would win is named too."""
    with_vendors(world, tmp_path, "  - {municipality: nordfjell, information: [tilsyn], mode: new}\n")
    await submit(nora, set=[{"municipality": "nordfjell", "information": ["tilsyn"], "mode": "legacy"}])
    page = await nora.get(PAGE)
    assert 'class="back-step"' in page.text
    assert "Går tilbake uten at planen sier det: Nordfjell kommune, alle leverandører, tilsyn: flyttet → hos VKP." in plain(page)  # fmt: skip
    until = {"until": "2026-06-01T08:00:00+02:00", "reason": "Feil", "ticket": "INC-1"}
    override = await ask(nora, "POST", "/api/v1/overrides", {"municipality": "nordfjell", "mode": "new", "information": ["tilsyn"], **until})  # fmt: skip
    assert override.status == 201, override.text
    assert f"En overstyring ({override.json['id']}) bestemmer over planen" in plain(await nora.get(PAGE))


async def test_preflight_is_told_in_three_parts(world: World, nora: Browser, vera: Browser) -> None:
    """For whoever may see it; nothing is changed by looking."""
    await submit(nora)
    page = plain(await vera.get(PAGE))
    for shown in ("Stopper ingen Ingenting stopper omleggingen nå.", "avsendere: Ingen registrert avsender har sendt noe av dette siste 30 døgn.",
                  "Mangler godkjenning 1 godkjenninger: 0 av 1 har godkjent.", "Gerica leser fra den nye tjenesten."):  # fmt: skip
        assert shown in page, shown
    assert await world.actions() == ["cutover.submit"]
    await ask(nora, "POST", f"{ONE}/cancel", {"reason": "Utsatt"})
    assert "<h2>Kontroll</h2>" not in (await vera.get(PAGE)).text


async def test_another_person_approves_what_the_page_shows(world: World, nora: Browser, arne: Browser) -> None:
    """By the hash that the page has, with a comment; then it is offered no more."""
    plan = (await submit(nora)).json
    page = await arne.get(PAGE)
    assert hidden(page, "hash") == plan["hash"]
    done = await click(arne, f"{PAGE}/approve", hash=hidden(page, "hash"), comment="Avklart")
    assert (done.status, done.location) == (303, PAGE)
    after = await arne.get(PAGE)
    assert "1 av 1 Arne, tor. 28. mai kl. 22.26: «Avklart»" in plain(after)
    assert (offered(after, "approve"), offered(after, "reject")) == (False, True)
    assert await world.actions() == ["cutover.submit", "cutover.approve"]


async def test_an_approver_rejects_with_a_reason(world: World, nora: Browser, arne: Browser) -> None:
    """Which is told at the field where it is missing, with what was written kept; the maker sees it."""
    plan = (await submit(nora)).json
    refused = await click(arne, f"{PAGE}/reject", hash=plan["hash"], reason=" ")
    assert (refused.status, "Skriv en begrunnelse" in refused.text) == (400, True)
    refused = await click(arne, f"{PAGE}/reject", hash=plan["hash"], reason=f"om {PATIENT}")
    assert (refused.status, PATIENT in refused.text) == (400, False)
    assert (await click(arne, f"{PAGE}/reject", hash=plan["hash"], reason="Ferie")).status == 303
    assert (await world.site.get()).state is CutoverState.REJECTED
    page = plain(await nora.get(PAGE))
    assert "avvist av en godkjenner" in page
    assert "Arne Ferie" in page
    assert "Slik er det nå, og slik ville det blitt." in page
    shown = (await nora.get(PAGE)).text
    assert "<b>Avvist av en godkjenner</b>" in shown
    assert "<span data-quoted></span>" not in shown, "a narrow window would show a head without anything"


async def test_approving_is_not_offered_to_who_wrote_the_plan_nor_to_others(world: World, vera: Browser, nora: Browser) -> None:  # fmt: skip
    """The maker is told why; who only views or plans has no button, and who sends the form all the same is refused."""
    petter = await world.person(PETTER)
    plan = (await submit(petter)).json
    page = await petter.get(PAGE)
    assert (offered(page, "approve"), "så noen andre må godkjenne den" in page.text) == (False, True)
    refused = await click(petter, f"{PAGE}/approve", hash=plan["hash"])
    assert (refused.status, "Du har skrevet eller endret denne planen" in refused.text) == (409, True)
    for browser in (vera, nora):
        page = await browser.get(PAGE)
        assert (offered(page, "approve"), "så noen andre" in page.text) == (False, False)
        assert ("Du kan se planen." in page.text) == (browser is vera)
        assert ("Godkjennere for dem kan godkjenne den" in page.text) == (browser is vera)
        assert (await click(browser, f"{PAGE}/approve", hash=plan["hash"])).status == 403
        assert (await click(browser, f"{PAGE}/reject", hash=plan["hash"], reason="Nei")).status == 403
    assert (await nora.get(ONE)).json["approvals"] == []


async def test_api_tokens_get_no_page(world: World) -> None:
    """Pages are for people; a program has the API."""
    auth = world.office.port.authenticator.auth
    assert auth is not None
    _, secret = await auth.tokens.make(TokenRequest("tool", ["planner"], 1, None), ("petter",), in_dev=False)
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
        assert (page.status, "Planen ble endret mens du leste den" in page.text) == (409, True)
    assert (await nora.get(ONE)).json["approvals"] == []


async def test_it_is_started_watched_and_rolled_back(world: World, nora: Browser, arne: Browser, olga: Browser) -> None:
    """Each offered when it can be done; the municipality's name is typed for what cannot be undone, and what was before stays."""
    plan = (await ask(nora, "POST", ROOT, WATCHED)).json
    assert not offered(await olga.get(PAGE), "start")
    await approve(arne, plan["hash"])
    page = await olga.get(PAGE)
    assert (offered(page, "start"), offered(page, "rollback")) == (True, False)
    assert (await click(olga, f"{PAGE}/start", version=hidden(page, "version"), reason="Alle er klare")).status == 303
    await world.look()
    await world.site.decided("accepted", 29)
    await world.site.decided("loss")
    page = await olga.get(PAGE)
    assert (offered(page, "start"), offered(page, "rollback")) == (False, True)
    for shown in (
        "Overvåkes 15:00 igjen",
        "29 gikk bra, 1 feilet. Grensen er 5 % av minst 20. Vis dem som feilet",
        "Alle er klare",
    ):
        assert shown in plain(page), shown
    for typed in ("", "Nordfjell"):
        refused = await click(olga, f"{PAGE}/rollback", reason="Feil", typed=typed)
        assert (refused.status, "Navnet stemmer ikke." in refused.text) == (400, True)
    assert (await click(olga, f"{PAGE}/rollback", reason="Feil", typed=f" {NAME.lower()} ")).status == 303
    page = await olga.get(PAGE)
    for shown in (
        "rullet tilbake",
        "slik ble det, til den ble rullet tilbake",
        "V hos VKP → blir F flyttet",
        "Det den nye tjenesten har fått",
        "Olga Feil",
    ):
        assert shown in plain(page), shown
    assert "Styr omleggingen" not in page.text


async def test_what_failed_is_listed_with_its_reason(world: World, nora: Browser, arne: Browser) -> None:
    """In the reader's words, each with a link to the message."""
    await switched(world, nora, arne)
    assert "Ingen meldinger har feilet." in (await nora.get(f"{PAGE}/failed")).text
    await world.site.decided("loss", reference="lost-1")
    page = await nora.get(f"{PAGE}/failed")
    assert 'href="/messages/lost-1"' in page.text
    assert "innhold som ikke kan overføres" in plain(page)


async def test_start_says_what_stands_in_its_way(world: World, nora: Browser, arne: Browser) -> None:
    """On the page, beside the preflight, and nothing begins."""
    plan = (await ask(nora, "POST", ROOT, GATED)).json
    await approve(arne, plan["hash"])
    page = await click(nora, f"{PAGE}/start", version="2", reason="Nå")
    assert page.status == 409
    assert "Den kan ikke startes nå." in page.text
    assert "prøvekjøring: Ingenting er prøvekjørt siste 7 døgn. Kravet er minst 200." in plain(page)
    assert (await world.site.get()).state is CutoverState.APPROVED


@pytest.mark.parametrize("action", ["start", "cancel", "postpone"])
async def test_steering_needs_a_role_a_reason_and_the_version_that_was_shown(
    world: World, nora: Browser, vera: Browser, arne: Browser, action: str
) -> None:
    """A page that is not current is answered 412; a national identity number is refused."""
    await submit(nora)
    path, more = f"{PAGE}/{action}", {"at": "2026-06-01T06:00"} if action == "postpone" else {}
    for browser in (vera, arne):
        assert (await click(browser, path, version="1", reason="Avtalt", **more)).status == 403
    assert (await click(nora, path, reason="Avtalt", **more)).status == 428
    for version in ("7", "x", "1, 7", "9" * 40):
        page = await click(nora, path, version=version, reason="Avtalt", **more)
        assert (page.status, "Dette er endret i mellomtiden" in page.text) == (412, True)
    for reason in ("", " ", f"om {PATIENT}"):
        page = await click(nora, path, version="1", reason=reason, **more)
        assert (page.status, "Skriv en begrunnelse" in page.text) == (400, True)
    assert (await nora.post(path, version="1", reason="Avtalt", **more)).status == 403
    assert (await click(nora, f"/cutovers/other/{action}", version="1", reason="Avtalt", **more)).status == 404
    assert await world.actions() == ["cutover.submit"]
    assert PATIENT not in world.office.logged.stream.getvalue()


async def test_it_is_cancelled_by_a_button(world: World, nora: Browser) -> None:
    """With the reason in its history."""
    await submit(nora)
    page = await click(nora, f"{PAGE}/cancel", version=hidden(await nora.get(PAGE), "version"), reason="Utsatt")
    assert page.location == PAGE
    assert (await world.site.get()).state is CutoverState.CANCELLED
    assert "avlyst Nora Utsatt" in plain(await nora.get(PAGE))


async def test_it_is_postponed_by_a_button(world: World, nora: Browser) -> None:
    """To a time that there is; what is wrong with one is told at the field."""
    await submit(nora)
    for at, told in (
        ("2026-10-25T02:30", "Klokkeslettet kommer to ganger"),
        ("2026-05-01T06:00", "Tidspunktet er passert"),
        ("", "Skriv en dato og et klokkeslett"),
        ("31.02.2026 kl. 06.00", "Skriv en dato og et klokkeslett som finnes"),
    ):
        page = await click(nora, f"{PAGE}/postpone", version="1", at=at, reason="Ny tid")
        assert page.status in (400, 409)
        assert re.search(rf'id="postpone-at-error">{told}', page.text), page.text
    assert (await click(nora, f"{PAGE}/postpone", version="1", at="5.6.2026 kl. 06.00", reason="Ny tid")).status == 303
    page = plain(await nora.get(PAGE))
    assert "fre. 5. juni kl. 06.00" in page
    assert "utsatt Nora Ny tid" in page
    assert (await world.actions())[-1] == "cutover.postpone"


async def test_what_people_wrote_is_shown_as_text(world: World, nora: Browser) -> None:
    """In plans, in reasons, and in the line of events that comes by itself."""
    hostile = "<script>alert(1)</script>"
    del world
    await submit(nora, set=[{"municipality": "nordfjell", "mode": "closed", "text": hostile}])
    await ask(nora, "POST", f"{ONE}/cancel", {"reason": hostile})
    page = await nora.get(PAGE)
    assert hostile not in page.text
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4


@pytest.mark.parametrize("admin_bounds", [Bounds(tokens=0.0)], ids=["at once"])
async def test_page_waits_for_no_token_for_ever(world: World, nora: Browser, tmp_path: Path) -> None:
    """A HelseID that hangs does not keep the page from whoever must approve."""
    with_vendors(world, tmp_path)
    await submit(nora)

    async def hang(_orgnr: str, _scope: str) -> None:
        await asyncio.Event().wait()

    world.office.port.cutovers.use(lambda: NOTHING_ABOVE, hang)
    page = await nora.get(PAGE)
    assert (page.status, "tilgangsbevis kunne ikke hentes fra HelseID" in page.text) == (200, True)
