"""The pages where people see and set what lies over the routes."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import text

from gateway.admin.pages.overrides_view import wall_of
from gateway.ledger import cutovers, overrides
from gateway.ledger.cutovers import Row
from gateway.model import Mode
from gateway.routing.route import RouteSpec
from tests.gateway.admin.overriding import PANICS, URL, WANTED, made
from tests.gateway.admin.shelf import PATIENT, at, post
from tests.gateway.office import NOW, OLGA

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office, Page

LIST = "/overrides"
UNTIL = "2026-05-28T23:26:40"
"""An hour from now, as clocks in Norway show it."""
FORM = {
    "municipality": "nordfjell",
    "vendor": "",
    "system": "",
    "information": "varsel",
    "mode": "closed",
    "text": "Stengt i dag.",
    "share": "",
    "reason": "Feil hos leverandør",
    "ticket": "INC-7",
    "until": UNTIL,
}
PANIC = {"scope": "municipality:nordfjell", "reason": "Alt feiler", "text": "", "confirm": "TILBAKE"}


async def send(browser: Browser, path: str, form: dict[str, str], **changed: str) -> Page:
    """Send a form with the page's own token."""
    return await browser.post(path, csrf=await browser.csrf(), **{**form, **changed})


async def holding(browser: Browser) -> Any:
    """Return the overrides that hold, as the API tells them."""
    return (await browser.get(URL)).json["overrides"]


def banner(page: Page) -> str:
    """Return what a page says at its top of what holds; nothing where it says nothing."""
    found = re.search(r'<p class="(?:alarm|warning)" role="(\w+)">(.*?)</p>', page.text, re.DOTALL)
    return "" if found is None else f"{found[1]}: {' '.join(re.sub('<[^>]*>', '', found[2]).split())}"


def action(page: Page, end: str) -> bool:
    """Tell whether a page has a form that leads there."""
    return re.search(rf'<form method="post" action="{end}"', page.text) is not None


async def test_page_says_in_both_languages_that_nothing_holds(olga: Browser, shelf: Shelf) -> None:
    """With the forms to change that."""
    del shelf
    page = await olga.get(LIST)
    assert (page.status, page.text.count("<p>ingen</p>"), banner(page)) == (200, 4, "")
    for shown in ("<h1>Overstyringer</h1>", "Slå på nødbryter", "Ny overstyring", "Nordfjell kommune (nordfjell)"):
        assert shown in page.text
    page = await olga.get(f"{LIST}?lang=en")
    assert page.text.count("<p>none</p>") == 4
    for shown in ("<h1>Overrides</h1>", "Turn a panic on", "New override", "See what it does"):
        assert shown in page.text


async def test_form_sets_an_override(olga: Browser, shelf: Shelf) -> None:
    """As the API would; the page then shows all of it, with its times as in Norway."""
    page = await send(olga, LIST, FORM)
    assert (page.status, page.location) == (303, LIST)
    (found,) = await holding(olga)
    assert (found["mode"], found["information"], found["text"]) == ("closed", ["varsel"], "Stengt i dag.")
    assert (found["until"], found["vendor"]) == ("2026-05-28T21:26:40Z", None)
    page = await olga.get(LIST)
    for shown in (found["id"], "Feil hos leverandør", "INC-7", "olga (", "2026-05-28 23:26+02:00", "<td>closed</td>"):
        assert shown in page.text
    assert [note.action for note in await shelf.audited()] == ["override.set"]


async def test_override_of_all_municipalities_must_be_chosen(olga: Browser, shelf: Shelf) -> None:
    """Nobody sets one by leaving a field as it was."""
    del shelf
    assert '<select name="municipality" required>\n<option value="">velg</option>' in (await olga.get(LIST)).text
    assert (await send(olga, LIST, FORM, municipality="*")).status == 303
    (found,) = await holding(olga)
    assert found["municipality"] is None
    assert '<option value="*" selected>alle kommuner</option>' in (await olga.get(f"{LIST}/{found['id']}")).text


async def test_form_of_a_change_has_every_key_of_a_route(olga: Browser, shelf: Shelf) -> None:
    """Also those that stand behind "more choices", which is open then: what is not shown would be lost by a change."""
    one = await made(olga)
    policies = '{"sample": 0.125, "losses": ["Flag.note", "Flag.<b>"], "on_outage": "hold", "acknowledge_within": 7200}'
    change = text("UPDATE rule SET policies = :policies").bindparams(policies=policies)
    await shelf.ledger.store.write(lambda each: each.execute(change).rowcount)
    page = await olga.get(f"{LIST}/{one['id']}")
    for shown in (
        "<details open>",
        '<textarea name="losses" rows="2">Flag.note\nFlag.&lt;b&gt;</textarea>',
        'name="sample" type="number" min="0" max="100" step="any" value="12.5"',
        "<option selected>hold</option>",
        'name="acknowledge_within" maxlength="20" value="7200s"',
    ):
        assert shown in page.text


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"until": "2026-10-25T02:30"}, "until: 2026-10-25 02:30 comes twice in Europe/Oslo"),
        ({"until": "2027-03-28T02:30"}, "until: 2027-03-28 02:30 does not exist in Europe/Oslo"),
        ({"until": ""}, "until: expected a time"),
        ({"until_was": "nonsense"}, "until: not as expected"),
        ({"until": "2026-05-28T22:26"}, "until: that time has passed"),
        ({"mode": ""}, "mode: not as expected"),
        ({"mode": "x" * 300}, "mode: not as expected"),
        ({"mode": "closed\x00"}, "characters that cannot be printed"),
        ({"share": "mange"}, "share: expected a number of percent"),
        ({"share": "inf"}, "share: expected a number of percent"),
        ({"municipality": ""}, "municipality: not as expected"),
        ({"information": ""}, "information: not as expected"),
        ({"reason": " "}, "reason: 1 to"),
        ({"ticket": ""}, "ticket: 1 to"),
        ({"reason": f"om {PATIENT}"}, "reason: without national identity numbers"),
        ({"text": f"om {PATIENT}"}, "text: without national identity numbers"),
        ({"vendor": PATIENT}, "(number)"),
        ({"until_was": PATIENT}, "until: not as expected"),
        ({"until": PATIENT}, "until: expected a time"),
    ],
)
async def test_nonsense_in_the_form_is_refused(olga: Browser, shelf: Shelf, changed: dict[str, str], why: str) -> None:
    """On a page that says why and repeats no number, and nothing is set."""
    page = await send(olga, LIST, FORM, **changed)
    assert (page.status, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert why in page.text
    assert PATIENT not in page.text
    assert await shelf.audited() == []


async def test_form_changes_what_was_seen(olga: Browser, shelf: Shelf) -> None:
    """Its fields begin with what is there, and its end stays the instant that it was."""
    one = await made(olga, information=["varsel", "notat"])
    path = f"{LIST}/{one['id']}"
    page = await olga.get(path)
    for shown in (
        '<option value="nordfjell" selected>',
        '<option value="closed" selected>',
        'value="varsel" checked',
        'value="notat" checked',
        f'value="{UNTIL}"',
        'value="Stengt i dag."',
        'name="version" value="1"',
    ):
        assert shown in page.text
    changed = {**FORM, "text": "Til i morgen.", "version": "1", "until_was": one["until"]}
    page = await send(olga, f"{path}/change", changed)
    assert (page.status, page.location) == (303, LIST)
    (found,) = await holding(olga)
    assert (found["text"], found["version"], found["until"]) == ("Til i morgen.", 2, one["until"])
    assert [note.action for note in await shelf.audited()] == ["override.set", "override.change"]


async def test_end_that_was_not_touched_may_come_twice(office: Office, shelf: Shelf) -> None:
    """The night when clocks are put back has an hour twice; the page shows one of them, and keeps it."""
    del shelf
    office.clock.now = NOW + 148 * 86_400
    olga = office.browser()
    await olga.log_in(OLGA)
    one = await made(olga, until="2026-10-25T01:30:00+00:00")
    assert wall_of(one["until"]) == "2026-10-25T02:30"
    form = {**FORM, "until": "2026-10-25T02:30", "version": "1"}
    assert (await send(olga, f"{LIST}/{one['id']}/change", form)).status == 400
    assert (await send(olga, f"{LIST}/{one['id']}/change", form, until_was=one["until"])).status == 303
    assert (await holding(olga))[0]["until"] == "2026-10-25T01:30:00Z"


async def test_change_of_what_somebody_else_has_changed_is_refused(olga: Browser, shelf: Shelf) -> None:
    """With 412 and nothing changed; a form without its version is refused with 428."""
    one = await made(olga)
    path = f"{LIST}/{one['id']}"
    assert (await send(olga, f"{path}/change", FORM, text="Først.", version="1")).status == 303
    for change in ("change", "end"):
        page = await send(olga, f"{path}/{change}", FORM, text="Sist.", version="1")
        assert (page.status, page.headers["ETag"]) == (412, '"2"')
        assert "Noen andre har endret dette i mellomtiden" in page.text
        assert (await send(olga, f"{path}/{change}", FORM)).status == 428
        assert (await send(olga, f"{path}/{change}", FORM, version='2", "3')).status == 412
    (found,) = await holding(olga)
    assert (found["text"], found["version"]) == ("Først.", 2)
    assert len(await shelf.audited()) == 2


async def test_ended_override_is_listed_below(olga: Browser, office: Office, shelf: Shelf) -> None:
    """With who ended it and why, or that it came to its end; it has no forms any more."""
    del shelf
    one = await made(olga)
    page = await send(olga, f"{LIST}/{one['id']}/end", {"version": "1", "reason": "Rettet"})
    assert (page.status, page.location) == (303, LIST)
    assert await holding(olga) == []
    other = await made(olga, until=at(NOW + 300))
    office.clock.now = NOW + 600
    page = await olga.get(f"{LIST}?lang=en")
    below = page.text.partition("Ended recently")[2]
    assert below.index(other["id"]) < below.index(one["id"])
    assert "<small>by itself</small>" in below
    assert "<td>Rettet</td>" in below
    page = await olga.get(f"{LIST}/{one['id']}")
    assert "Rettet" in page.text
    assert not action(page, f"{LIST}/.*")


async def test_panic_needs_its_word(olga: Browser, shelf: Shelf) -> None:
    """In either language; without it nothing goes back."""
    for word in ("", "ja", "TILBAKE!", PATIENT):
        page = await send(olga, "/panics", PANIC, confirm=word)
        assert (page.status, PATIENT in page.text) == (400, False)
        assert "confirm: one of BACK, TILBAKE" in page.text
    for scope in ("", "municipality", "municipality:", "reason:x", "information:brev", f"vendor:{PATIENT}"):
        page = await send(olga, "/panics", PANIC, scope=scope)
        assert (page.status, PATIENT in page.text) == (400, False)
    assert (await send(olga, "/panics", PANIC, reason=f"om {PATIENT}")).status == 400
    assert await shelf.audited() == []
    assert (await send(olga, "/panics", PANIC, confirm="tilbake ")).status == 303
    assert (await send(olga, "/panics", PANIC, scope="municipality:sorvik", confirm="back")).status == 303


async def test_panic_says_before_it_is_set_what_it_will_do(olga: Browser, shelf: Shelf) -> None:
    """What opens, closes and goes back, with the word to confirm it; nothing is set by looking."""
    await made(olga)
    page = await send(olga, "/panics/preview?lang=en", PANIC, confirm="", text="<b>Stengt</b>")
    assert page.status == 200, page.text
    for shown in ('<li class="alarm">opens to VKP: 1</li>', "<td>varsel</td><td>closed (o-", "<b>BACK</b>"):
        assert shown in page.text
    assert '<input type="hidden" name="scope" value="municipality:nordfjell">' in page.text
    assert "<b>Stengt" not in page.text
    assert [note.action for note in await shelf.audited()] == ["override.set"]
    assert (await send(olga, "/panics/preview", PANIC, scope="information:brev")).status == 400


async def test_panic_shows_how_to_roll_back_and_is_ended(olga: Browser, shelf: Shelf) -> None:
    """Its page has the command for what the new service already has."""
    page = await send(olga, "/panics", PANIC)
    (found,) = (await olga.get(PANICS)).json["panics"]
    assert (page.status, page.location) == (303, f"/panics/{found['id']}")
    page = await olga.get(page.location)
    assert "<code>vkp-gateway rollback list --municipality nordfjell --since T</code>" in page.text
    assert "<td>legacy</td>" in page.text
    listed = await olga.get(LIST)
    for shown in (f'<a href="/panics/{found["id"]}">', "Alt feiler", "til den avsluttes"):
        assert shown in listed.text
    page = await send(olga, f"/panics/{found['id']}/end", {"reason": "Rettet"})
    assert (page.status, page.location) == (303, LIST)
    page = await olga.get(f"/panics/{found['id']}?lang=en")
    assert "Rettet" in page.text
    assert not action(page, ".*end")
    assert "<td>Panic</td>" in (await olga.get(LIST)).text
    assert (await send(olga, f"/panics/{found['id']}/end", {"reason": "Igjen"})).status == 409
    assert [note.action for note in await shelf.audited()] == ["panic.on", "panic.off"]


async def test_pages_are_narrowed_to_the_municipalities_of_a_role(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """What is elsewhere is not there; what concerns all is seen by everybody, and changed by who operates everywhere."""
    del shelf
    mine, theirs = await made(nora), await made(olga, municipality="sorvik")
    for_all = await made(olga, municipality=None, information=["notat"])
    panic = (await post(olga, PANICS, {"information": "tilsyn", "reason": "x"})).json
    page = await nora.get(LIST)
    assert [each["id"] in page.text for each in (mine, theirs, for_all, panic)] == [True, False, True, True]
    assert "sorvik" not in page.text
    assert 'value="information:tilsyn"' not in page.text
    assert (await nora.get(f"{LIST}/{theirs['id']}")).status == 404
    assert action(await nora.get(f"{LIST}/{mine['id']}"), ".*change")
    for path in (f"{LIST}/{for_all['id']}", f"/panics/{panic['id']}"):
        page = await nora.get(path)
        assert (page.status, action(page, f"{path}/.*"), "rollback list" in page.text) == (200, False, False)
    for path in (f"{LIST}/{for_all['id']}/end", f"{LIST}/{theirs['id']}/end", f"/panics/{panic['id']}/end"):
        assert (await send(nora, path, {"version": "1", "reason": "x"})).status == 404
    assert (await send(nora, LIST, FORM, municipality="sorvik")).status == 403
    assert (await send(nora, LIST, FORM, municipality="*")).status == 403
    assert (await send(nora, "/panics", PANIC, scope="municipality:sorvik")).status == 403
    assert (await send(nora, "/panics", PANIC, scope="information:varsel")).status == 403


async def test_viewer_sees_and_has_no_forms(olga: Browser, vera: Browser, shelf: Shelf) -> None:
    """Nor may a viewer send one."""
    one = await made(olga)
    panic = (await post(olga, PANICS, {"municipality": "sorvik", "reason": "x"})).json
    for path in (LIST, f"{LIST}/{one['id']}", f"/panics/{panic['id']}"):
        page = await vera.get(path)
        assert (page.status, page.text.count("<form")) == (200, 1)
        assert action(page, "/logout")
    for path, form in ((LIST, FORM), (f"{LIST}/{one['id']}/end", FORM), ("/panics", PANIC)):
        assert (await send(vera, path, form)).status == 403
    assert len(await shelf.audited()) == 2


async def test_forms_need_the_page_itself(olga: Browser, shelf: Shelf) -> None:
    """Without its token, or from elsewhere, nothing is set."""
    assert (await olga.post("/panics", **PANIC)).status == 403
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    data = {**PANIC, "csrf": await olga.csrf()}
    assert (await olga.ask("POST", "/panics", data=data, headers=elsewhere)).status == 403
    assert await shelf.audited() == []


async def test_what_people_wrote_is_escaped(olga: Browser, shelf: Shelf) -> None:
    """A script stays text, on every page."""
    del shelf
    evil = "<script>alert('x')</script>\" autofocus"
    assert (await send(olga, LIST, FORM, reason=evil, ticket=evil, text=evil)).status == 303
    assert (await send(olga, "/panics", PANIC, scope="municipality:sorvik", reason=evil)).status == 303
    (one,) = await holding(olga)
    (panic,) = (await olga.get(PANICS)).json["panics"]
    for path in (LIST, f"{LIST}/{one['id']}", f"/panics/{panic['id']}"):
        page = await olga.get(path)
        assert "&lt;script&gt;" in page.text
        assert "<script>" not in page.text
        assert '" autofocus' not in page.text
    missing = await olga.get(f"{LIST}/%3Cscript%3E")
    assert (missing.status, "<script>" in missing.text) == (404, False)


async def test_executed_cutovers_are_shown(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """Those that still lie over the file, where somebody may look."""
    for name, municipality in (("nord-1", "nordfjell"), ("sor-1", "sorvik")):
        sets = (RouteSpec(municipality=municipality, information=("notat",), mode=Mode.REHEARSE),)
        plan = msgspec.json.encode({"set": sets}).decode()
        states: dict[str, Any] = {"state": "finished", "hash": "h", "approvals": "[]", "history": "[]", "plan": plan}
        times: dict[str, Any] = {"at": NOW, "submitted_at": NOW, "switched_at": NOW, "submitted_by": "ola"}
        row = Row(name=name, **states, **times)
        await shelf.ledger.store.write(partial(cutovers.insert, row=row))
    page = await olga.get(LIST)
    assert '<a href="/cutovers/nord-1">nord-1</a></td><td>nordfjell</td>' in page.text
    assert ">sor-1</a>" in page.text
    page = await nora.get(LIST)
    assert ("nord-1" in page.text, "sor-1" in page.text) == (True, False)


async def test_every_page_says_what_holds(olga: Browser, nora: Browser, vera: Browser, shelf: Shelf) -> None:
    """How many there are where its reader may look; an alert while there is a panic, a status otherwise."""
    del shelf
    await made(olga, municipality="sorvik")
    for path in ("/", LIST, "/messages", "/tokens", f"{LIST}/o-none", "/login"):
        assert banner(await olga.get(path)) == "status: Overstyringer som gjelder: 1"
        assert banner(await nora.get(path)) == ""
    await post(olga, PANICS, {"information": "tilsyn", "reason": "x"})
    await made(nora, **{**WANTED, "until": at(NOW + 60)})
    assert banner(await olga.get("/")) == "alert: Nødbrytere på: 1 Overstyringer som gjelder: 2"
    assert banner(await nora.get("/?lang=en")) == "alert: Panics that are on: 1 Overrides in force: 1"
    assert '<a href="/overrides">' in (await vera.get("/")).text
    assert banner(await olga.office.browser().get("/login")) == ""


async def test_banner_says_when_nobody_can_tell(olga: Browser, shelf: Shelf) -> None:
    """The page itself is there all the same; without a ledger nothing can lie over the routes."""
    assert await shelf.ledger.store.read(lambda each: overrides.current(each, NOW)) == []
    await shelf.ledger.store.write(lambda each: each.execute(text("ALTER TABLE rule RENAME TO elsewhere")).rowcount)
    page = await olga.get("/")
    assert (page.status, banner(page)) == (200, "alert: Det kan ikke leses nå om noe er satt over rutene.")
    assert (await olga.get(LIST)).status == 503


async def test_without_a_ledger_there_is_no_banner(olga: Browser) -> None:
    """And the page says why there is nothing to set."""
    assert banner(await olga.get("/")) == ""
    page = await olga.get(LIST)
    assert page.status == 503
    assert "Det er ingen meldingslogg" in page.text
