"""The wizard for a plan: step by step and without scripts, errors at their fields, what was written kept."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.pages.cutover_draft import Draft, of_form, of_plan, submitted
from gateway.admin.pages.route_fields import hundredths
from gateway.migration.gates import suggested_gate
from gateway.model import Mode
from gateway.routing.route import RouteSpec
from tests.each import in_one_world
from tests.gateway.admin.cutovers.conftest import ONE, ROOT, World, ask, submit
from tests.gateway.admin.pages.cutover_pages import PAGE, plain, with_vendors
from tests.gateway.admin.shelf import PATIENT
from tests.gateway.migration.cutovers.scene import plan_of
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser, Page

NEW = "/cutovers/new"
CELLS = {"c0_municipality": "nordfjell", "c0_information": ["notat"], "c0_mode": "new"}
WHEN = {"name": "ny-1", "at": "2026-12-01T06:00"}
_FIELD = re.compile(r"<(input|textarea|select)([^>]*)>(.*?)(?=<input|<textarea|<select|<button|$)", re.DOTALL)


def fields(page: Page) -> dict[str, Any]:
    """Return what a browser would send of the wizard's form as it is shown."""
    form = page.text[page.text.index('class="wizard"') :]
    found: dict[str, list[str]] = {}
    for kind, attributes, rest in _FIELD.findall(form):
        name = re.search(r'name="([^"]*)"', attributes)
        if name is None or (
            "type=" in attributes and re.search(r'type="(checkbox|radio)"', attributes) and "checked" not in attributes
        ):
            continue
        value = re.search(r'value="([^"]*)"', attributes)
        if kind == "select":
            value = re.search(r'<option value="([^"]*)" selected', rest)
        text = rest.partition("</textarea>")[0] if kind == "textarea" else value[1] if value else ""
        found.setdefault(name[1], []).append(html.unescape(text))
    return found


async def go(browser: Browser, page: Page, do: str = "next", /, path: str = NEW, **written: Any) -> Page:
    """Write into the form that a page has, and press a button."""
    return await browser.ask("POST", path, data={**fields(page), **written, "do": do})


async def conditions(browser: Browser, **cells: Any) -> Page:
    """Go on to the step with the time and the conditions."""
    page = await go(browser, await browser.get(NEW), **{**CELLS, **cells})
    assert page.status == 200, plain(page)
    return await go(browser, page)


async def test_a_plan_is_made_step_by_step(world: World, nora: Browser, tmp_path: Path) -> None:
    """Where and what, the mode's choices, the time and the conditions, a look, and it is submitted as it was written."""
    with_vendors(world, tmp_path)
    page = await go(nora, await nora.get(NEW), **CELLS)
    assert "Valg for «flyttet»" in page.text
    page = await go(nora, page, c0_on_outage="hold", c0_losses="DetectedIssue.note\nDetectedIssue.severityText")
    assert "Når og på hvilke vilkår" in plain(page)
    page = await go(nora, page, **WHEN, gate_messages="20", gate_clean="99,5", gate_days="7")
    assert "Nordfjell kommune → ny tjeneste" in plain(page)
    assert await world.actions() == []
    done = await go(nora, page, "submit")
    assert (done.status, done.location) == (303, "/cutovers/ny-1")
    plan = (await nora.get(f"{ROOT}/ny-1")).json["plan"]
    assert plan["at"] == "2026-12-01T05:00:00Z"
    assert plan["gate"] == {"rehearsed_at_least": 20, "clean_at_least": 0.995, "within": 604_800.0}
    (change,) = plan["set"]
    assert (change["on_outage"], change["losses"]) == ("hold", ["DetectedIssue.note", "DetectedIssue.severityText"])


async def test_only_the_fields_of_the_chosen_mode_are_shown(world: World, nora: Browser) -> None:
    """A share for a part of the patients, a text for what is closed, a gate only for what goes new."""
    del world
    for mode, shown, hidden in (
        ("canary", "c0_share", "c0_text"),
        ("closed", "c0_text", "c0_share"),
        ("rehearse", "c0_sample", "c0_on_outage"),
    ):
        page = await go(nora, await nora.get(NEW), **{**CELLS, "c0_mode": mode})
        assert (f'name="{shown}"' in page.text, f'name="{hidden}"' in page.text) == (True, False)
    page = await go(nora, await nora.get(NEW), **{**CELLS, "c0_mode": "legacy"})
    assert "Når og på hvilke vilkår" in plain(page)
    assert 'id="field-gate_messages"' not in page.text


async def test_draft_goes_along_into_the_other_language(world: World, nora: Browser) -> None:
    """At every step, with what is written at it: the button for the language sends the form, and the Enter key does not press it."""
    del world
    written_at: list[dict[str, Any]] = [
        CELLS,
        {"c0_losses": "DetectedIssue.note"},
        {**WHEN, "at": "01.12.2026 06:00"},
        {},
    ]
    page = await nora.get(NEW)
    for do in ("next", "next", "next", "submit"):
        form = page.text[: page.text.index("<main")]
        first, language = re.findall(r'<button form="kept" name="do" value="(\w+)"(?: formaction="([^"]*)")?', form)
        assert (first, language) == ((do, ""), ("stay", "?lang=en"))
        written = written_at.pop(0)
        there = await go(nora, page, "stay", path=f"{NEW}?lang=en", **written)
        assert (there.status, '<html lang="en">' in there.text, 'role="alert"' in there.text) == (200, True, False)
        kept = fields(there)
        assert {name: kept[name] for name in written} == {
            name: value if isinstance(value, list) else [value] for name, value in written.items()
        }
        again = await go(nora, there, "stay", path=f"{NEW}?lang=nb")
        assert (fields(again) | {"csrf": []}) == (kept | {"csrf": []})
        page = await go(nora, again)


async def test_a_plan_has_several_changes(world: World, nora: Browser) -> None:
    """Added, edited and removed, each with its own choices; what else was written stays."""
    page = await conditions(nora)
    page = await go(nora, page, "add", **WHEN)
    page = await go(nora, page, c1_information=["varsel"], c1_mode="canary")
    page = await go(nora, page, c1_share="12,5")
    assert "Endringene i planen" in page.text
    page = await go(nora, page, "add")
    page = await go(nora, page, "back")
    page = await go(nora, page, "remove:2")
    page = await go(nora, page, "edit:0")
    assert fields(page)["c0_information"] == ["notat"]
    page = await go(nora, await go(nora, page, c0_information=["notat", "tilsyn"]))
    page = await go(nora, await go(nora, page), "submit")
    assert page.status == 303, plain(page)
    first, second = (await nora.get(f"{ROOT}/ny-1")).json["plan"]["set"]
    assert (first["information"], second["information"], second["share"]) == (["notat", "tilsyn"], ["varsel"], 0.125)
    assert await world.actions() == ["cutover.submit"]


@in_one_world(
    ("written", "field", "told"),
    [
        ({"c0_municipality": ""}, "c0_municipality", "Velg en kommune."),
        ({"c0_municipality": "sorvik"}, "c0_municipality", "Velg en kommune."),
        ({"c0_information": []}, "c0_information", "Velg minst én type."),
        ({"c0_information": ["odd"]}, "c0_information", "Velg minst én type."),
        ({"c0_mode": "odd"}, "mode", "Velg hva som skal skje."),
        ({"c0_mode": PATIENT}, "mode", "Velg hva som skal skje."),
        ({"c0_sender": "nobody"}, "c0_sender", "Velg en leverandør i listen."),
        ({"c0_information": ["pasientinfo"]}, "mode", "leverer ikke til pasientinformasjonstjenesten"),
        ({"c0_mode": "epj"}, "c0_information", "ikke mulig for journalføring"),
        ({"c0_mode": "rehearse", "c0_information": ["pasientinfo"]}, "c0_information", "ikke mulig for oppslag"),
    ],
)
async def test_what_is_wrong_with_cells_is_told_at_the_field(
    world: World, nora: Browser, written: dict[str, Any], field: str, told: str
) -> None:
    """With what was written kept; the rules of the file hold here too."""
    page = await go(nora, await nora.get(NEW), **{**CELLS, **written})
    assert page.status == 400
    found = re.search(rf'id="error-{field}">([^<]*)', page.text)
    assert found is not None, plain(page)
    assert told in found[1]
    assert 'value="notat" checked' in page.text or "c0_information" in written
    assert await world.actions() == []


@in_one_world(
    ("mode", "written", "field"),
    [
        ("canary", {"c0_share": ""}, "c0_share"),
        ("canary", {"c0_share": "-1"}, "c0_share"),
        ("canary", {"c0_share": "101"}, "c0_share"),
        ("closed", {"c0_text": ""}, "c0_text"),
        ("closed", {"c0_text": f"Ring {PATIENT}"}, "c0_text"),
        ("new", {"c0_acknowledge_within": "snart"}, "c0_acknowledge_within"),
        ("new", {"c0_losses": "Ingenting.note"}, "c0_losses"),
        ("rehearse", {"c0_sample": "mange"}, "c0_sample"),
    ],
)
async def test_what_is_wrong_with_choices_is_told_at_the_field(
    world: World, nora: Browser, mode: str, written: dict[str, Any], field: str
) -> None:
    """With what was written kept."""
    page = await go(nora, await go(nora, await nora.get(NEW), **{**CELLS, "c0_mode": mode}), **written)
    assert (page.status, f'id="error-{field}"' in page.text) == (400, True), plain(page)
    (value,) = written.values()
    assert (PATIENT if PATIENT in value else html.escape(value)) in page.text or PATIENT in value
    assert PATIENT not in page.text
    assert await world.actions() == []


@in_one_world(
    ("written", "field", "told"),
    [
        ({"name": "-x"}, "name", "Skriv et navn"),
        ({"name": PATIENT}, "name", "Skriv et navn"),
        ({"name": "nordfjell-1"}, "name", "Det finnes alt en omlegging med dette navnet."),
        ({"at": ""}, "at", "Skriv en dato og et klokkeslett"),
        ({"at": "2026-10-25T02:30"}, "at", "kommer to ganger"),
        ({"at": "2027-03-28T02:30"}, "at", "Klokkeslettet finnes ikke"),
        ({"at": "2026-01-01T06:00"}, "at", "Tidspunktet er passert"),
        ({"gate_clean": "nan"}, "gate_clean", "Skriv et tall."),
        ({"gate_clean": "101"}, "gate_clean", "fra 0 til 100 prosent"),
        ({"gate_messages": "0"}, "gate_messages", "minst 1 melding"),
        ({"gate_messages": "٣"}, "gate_messages", "Skriv et tall."),
        ({"gate_days": ""}, "gate_days", "Fyll ut alle feltene i gruppen"),
        ({"back_failed": ""}, "back_failed", "Fyll ut alle feltene i gruppen"),
        ({"approvals": "0"}, "approvals", "fra 1 til 100"),
    ],
)
async def test_what_is_wrong_with_conditions_is_told_at_the_field(
    world: World, nora: Browser, written: dict[str, str], field: str, told: str
) -> None:
    """Each in the reader's words."""
    await submit(nora)
    page = await go(nora, await conditions(nora), **{**WHEN, **written})
    found = re.search(rf'id="error-{field}">([^<]*)', page.text)
    assert (page.status, found is not None) == (400, True), plain(page)
    assert found is not None
    assert told in found[1]
    assert field != "gate_clean" or "Minst så mange prosent av dem uten feil: " in page.text
    assert await world.actions() == ["cutover.submit"]


@pytest.mark.usefixtures("world")
async def test_all_that_is_wrong_with_conditions_is_told_at_once(nora: Browser) -> None:
    """Also where one is a time, which is looked at apart from the others."""
    page = await go(nora, await conditions(nora), **{**WHEN, "at": "31.02.2027 kl. 10.00", "approvals": "0"})
    assert (page.status, re.findall(r'id="error-(\w+)"', page.text)) == (400, ["at", "approvals"])


async def test_of_a_part_of_the_patients_only_a_part_goes(world: World, nora: Browser, tmp_path: Path) -> None:
    """The effect says so, and so do the last days: who would have gone is not known of messages without their patients."""
    with_vendors(world, tmp_path)
    await world.site.decided("passed", 70, mode="legacy", layer="routes", rule=None, at=NOW - 3600)
    await world.site.decided("passed", 7, mode="legacy", layer="routes", rule=None, at=NOW - 3600, information=None)
    page = await go(nora, await nora.get(NEW), **{**CELLS, "c0_mode": "canary"})
    page = await go(nora, await go(nora, page, c0_share="12,5"), **WHEN)
    assert "går delvis til ny tjeneste" in plain(page)
    assert "→ delvis til ny tjeneste: 1 leverandør, inntil 11 meldinger i døgnet." in plain(page)
    assert "Av 77 meldinger ville inntil 70 gått en annen vei; det avhenger av pasienten." in plain(page)


async def test_a_gate_that_was_emptied_stays_so(world: World, nora: Browser) -> None:
    """Nobody asks for rehearsals against the planner's word; held messages may be left out alone."""
    del world
    page = await go(nora, await conditions(nora), **WHEN, gate_messages="", gate_clean="", gate_days="", back_held="")
    assert (await go(nora, page, "submit")).status == 303
    plan = (await nora.get(f"{ROOT}/ny-1")).json["plan"]
    assert (plan["gate"], "held_at_least" in plan["roll_back_when"]) == (None, False)


async def test_the_gate_is_suggested_by_the_volume_that_is_there(world: World, nora: Browser) -> None:
    """With more than comes the gate would never open."""
    await world.site.decided("passed", 50, mode="legacy", layer="routes", rule=None, at=NOW - 3600)
    page = await conditions(nora)
    assert "Cellene sendte 50 meldinger siste sju døgn" in plain(page)
    gate = suggested_gate(50)
    assert fields(page)["gate_messages"] == [str(gate.rehearsed_at_least)]
    assert gate.rehearsed_at_least < 200
    prefilled = await nora.get(f"{NEW}?municipality=nordfjell&information=notat&mode=new&gate_messages=33")
    page = await go(nora, await go(nora, prefilled))
    assert fields(page)["gate_messages"] == ["33"]
    page = await go(nora, await nora.get(f"{NEW}?municipality=nordfjell&information=notat&mode=new&suggested=yes"))
    assert (await go(nora, page)).status == 200


async def test_the_gate_is_suggested_anew_for_other_cells_until_somebody_writes_one(
    world: World, nora: Browser
) -> None:
    """What was suggested for one type says nothing of two."""
    await world.site.decided("passed", 50, mode="legacy", layer="routes", rule=None, at=NOW - 3600)
    await world.site.decided(
        "passed", 300, mode="legacy", layer="routes", rule=None, at=NOW - 3600, information="varsel"
    )
    page = await conditions(nora)
    page = await go(nora, await go(nora, page, "edit:0"), c0_information=["notat", "varsel"])
    page = await go(nora, page)
    assert fields(page)["gate_messages"] == [str(suggested_gate(350).rehearsed_at_least)]
    assert fields(page)["name"] == ["nordfjell-notat-varsel-2026-06-01"]
    page = await go(
        nora, await go(nora, page, "edit:0", gate_messages="44", name="Den fra mai"), c0_information="notat"
    )
    page = await go(nora, page)
    assert (fields(page)["gate_messages"], fields(page)["name"]) == (["44"], ["Den-fra-mai"])


async def test_a_name_is_suggested_by_what_the_plan_does_and_when(world: World, nora: Browser) -> None:
    """It follows the day until somebody writes another; one that is taken gets a number; blanks and letters of ours are no error."""
    page = await conditions(nora)
    assert (fields(page)["name"], fields(page)["at"]) == (["nordfjell-notat-2026-06-01"], ["01.06.2026 kl. 10.00"])
    look = await go(nora, page, at="02.06.2026 kl. 10.00")
    assert "nordfjell-notat-2026-06-02" in plain(look)
    assert (await go(nora, look, "submit")).location == "/cutovers/nordfjell-notat-2026-06-02"
    look = await go(nora, await conditions(nora), at="02.06.2026 kl. 11.00")
    assert "nordfjell-notat-2026-06-02-2" in plain(look)
    look = await go(nora, await conditions(nora), name="Blå time, notater")
    assert (await go(nora, look, "submit")).location == "/cutovers/Bla-time-notater"
    del world


async def test_a_step_back_must_be_meant(world: World, nora: Browser, tmp_path: Path) -> None:
    """It is marked, asked for, and said in the plan."""
    with_vendors(world, tmp_path, "  - {municipality: nordfjell, information: [tilsyn], mode: new}\n")
    page = await go(nora, await nora.get(NEW), **{**CELLS, "c0_information": ["tilsyn"], "c0_mode": "legacy"})
    page = await go(nora, page, **WHEN)
    assert 'class="back-step"' in page.text
    refused = await go(nora, page, "submit")
    assert (refused.status, "Kryss av hvis det er meningen" in refused.text) == (400, True)
    assert (await go(nora, refused, "submit", step_back="yes")).status == 303
    assert (await nora.get(f"{ROOT}/ny-1")).json["plan"]["step_back"] is True


async def test_a_plan_is_changed_by_the_same_steps(world: World, nora: Browser, arne: Browser) -> None:
    """As it was written to begin with; for the version that was seen."""
    del arne
    await submit(nora)
    path = f"{PAGE}/change"
    page = await nora.get(path)
    assert fields(page)["at"] == ["28.05.2026 kl. 22.31"]
    look = await go(nora, page, path=path, at="01.12.2026 kl. 06.00")
    done = await go(nora, look, "submit", path=path)
    assert (done.status, done.location) == (303, PAGE)
    assert (await nora.get(ONE)).json["at"] == "2026-12-01T05:00:00Z"
    stale = await go(nora, look, "submit", path=path)
    assert (stale.status, "Planen er endret siden du åpnet den" in plain(stale)) == (412, True)
    assert fields(stale)["at"] == ["01.12.2026 kl. 06.00"], "what was written stays"
    assert await world.actions() == ["cutover.submit", "cutover.change"]


@pytest.mark.usefixtures("world")
async def test_who_was_logged_out_meanwhile_is_told_that_nothing_was_kept(nora: Browser) -> None:
    """Where they sent something, that is; and not where they only open a page."""
    page = await nora.get(NEW)
    assert (await nora.post("/logout", csrf=await nora.csrf())).status == 303
    sent = await go(nora, page, **CELLS)
    assert (sent.status, "er ikke lagret, og ingenting er gjort" in sent.text) == (401, True)
    assert "er ikke lagret" not in (await nora.get(NEW)).text


async def test_the_wizard_is_for_who_plans_there(world: World, nora: Browser, vera: Browser, arne: Browser) -> None:
    """Who does not has no page, and a form that no page of ours sends changes nothing."""
    for browser in (vera, arne):
        assert (await browser.get(NEW)).status == 403
    await submit(nora, set=[{"municipality": "nordfjell", "mode": "closed", "text": "Nei."}])
    assert (await vera.get(f"{PAGE}/change")).status == 403
    csrf = await nora.csrf()
    for odd in ({"step": "look"}, {"step": "look", "do": "submit"}, {"step": "x", "count": "999999", "do": "edit:99"}):
        assert (await nora.ask("POST", NEW, data={"csrf": csrf, **odd})).status in (200, 400)
    assert (await nora.ask("POST", NEW, data={"step": "look"})).status == 403
    assert await world.actions() == ["cutover.submit"]


@pytest.mark.parametrize(
    "spec",
    [
        RouteSpec(municipality="nordfjell", vendor="dignio", system="prevent", information=("notat",), mode=Mode.NEW, on_outage="hold"),  # type: ignore[arg-type] # as JSON has it
        RouteSpec(municipality="nordfjell", information=("varsel",), mode=Mode.CANARY, share=0.125, never=("Dignio_Nordfjell",)),
        RouteSpec(municipality="nordfjell", information=("notat",), mode=Mode.REHEARSE, sample=0.1, losses=("Flag.note",)),
        RouteSpec(municipality="nordfjell", information=("notat",), mode=Mode.CLOSED, text="Nei."),
    ],
)  # fmt: skip
def test_a_plan_that_the_wizard_is_filled_with_is_the_plan_that_it_sends(spec: RouteSpec) -> None:
    """Nothing is lost by looking at it."""
    plan = plan_of(set=(spec,))
    draft = of_plan(plan)
    form = {name: list(values) for name, values in draft.plan.items()}
    form |= {f"c0_{name}": list(values) for name, values in draft.changes[0].items()}
    told = submitted(of_form(form))
    assert told.set == (spec,)
    if spec.mode in (Mode.NEW, Mode.CANARY):
        assert (told.gate, told.roll_back_when) == (plan.gate, plan.roll_back_when)


@given(st.integers(min_value=1, max_value=1_000_000))
def test_hundredths_are_shown_as_they_were_written(number: int) -> None:
    """Up to four decimals, without what binary numbers add."""
    written = f"{number / 10_000:.4f}".rstrip("0").rstrip(".").replace(".", ",")
    change = {"mode": ("canary",), "share": (written,), "municipality": ("nordfjell",), "information": ("notat",)}
    (spec,) = submitted(Draft((change,), {"name": ("n",), "at": ("t",)})).set or ()
    assert spec.share is not None
    assert hundredths(spec.share) == written


async def test_the_look_says_what_would_win(world: World, nora: Browser) -> None:
    """An override over the same cells is named."""
    until = {"until": "2026-06-01T08:00:00+02:00", "reason": "Feil", "ticket": "INC-1"}
    made = await ask(nora, "POST", "/api/v1/overrides", {"municipality": "nordfjell", "mode": "legacy", "information": ["notat"], **until})  # fmt: skip
    page = await go(nora, await conditions(nora), **{**WHEN, "at": "2026-05-30T06:00"})
    assert f"En overstyring ({made.json['id']}) bestemmer over planen" in plain(page)
    del world
