"""The pages where people see and set what lies over the routes."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import text

from gateway.admin.pages.overrides_view import wall_of
from gateway.config.read_panics import CLOSED_TEXT, panic_routes
from gateway.ledger import cutovers, overrides
from gateway.ledger.cutovers import Row
from gateway.model import Information, Mode, Place
from gateway.routing.route import RouteSpec
from tests.each import in_one_world
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
    assert (page.status, banner(page)) == (200, "")
    for shown in (
        "<h1>Overstyringer</h1>",
        "Ingen overstyringer gjelder nå.",
        "Ny overstyring",
        ">Nordfjell kommune</option>",
    ):
        assert shown in page.text
    page = await olga.get(f"{LIST}?lang=en")
    for shown in ("<h1>Overrides</h1>", "No overrides hold now.", "New override"):
        assert shown in page.text


async def test_form_sets_an_override(olga: Browser, shelf: Shelf) -> None:
    """As the API would; the page then shows all of it, with its times as in Norway."""
    page = await send(olga, LIST, FORM)
    assert (page.status, page.location) == (303, LIST)
    (found,) = await holding(olga)
    assert (found["mode"], found["information"], found["text"]) == ("closed", ["varsel"], "Stengt i dag.")
    assert (found["until"], found["vendor"]) == ("2026-05-28T21:26:40Z", None)
    page = await olga.get(LIST)
    for shown in (found["id"], "Feil hos leverandør", "INC-7", "Olga, ", "tor. 28. mai kl. 23.26", "stengt</span>"):
        assert shown in page.text
    assert [note.action for note in await shelf.audited()] == ["override.set"]


async def test_override_of_all_municipalities_must_be_chosen(olga: Browser, shelf: Shelf) -> None:
    """Nobody sets one by leaving a field as it was."""
    del shelf
    assert (
        '<select id="field-municipality" name="municipality" required>\n<option value="">velg</option>'
        in (await olga.get(LIST)).text
    )
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
        '<details class="more" open>',
        'name="losses" aria-describedby="help-losses" rows="3">Flag.note\nFlag.&lt;b&gt;</textarea>',
        'name="sample" aria-describedby="help-sample" type="text" value="12,5"',
        'name="on_outage" value="hold" checked> ta vare på og lever senere',
        'name="acknowledge_within" aria-describedby="help-acknowledge_within" type="text" value="2"',
        '<div data-modes="new canary">',
    ):
        assert shown in page.text


@in_one_world(
    ("changed", "field", "why"),
    [
        ({"until": "2026-10-25T02:30"}, "until", "Klokkeslettet kommer to ganger"),
        ({"until": "2027-03-28T02:30"}, "until", "Klokkeslettet finnes ikke"),
        ({"until": ""}, "until", "Skriv en dato og et klokkeslett"),
        ({"until": "28.05.2026"}, "until", "Skriv en dato og et klokkeslett"),
        ({"until": "25.10.2026 kl. 02.30"}, "until", "Klokkeslettet kommer to ganger"),
        ({"until_was": "nonsense"}, "until", "Planen kan ikke brukes"),
        ({"until": "2026-05-28T22:26"}, "until", "Tidspunktet er passert"),
        ({"until": "2026-12-28T22:26"}, "until", "Høyst 90 dager fram"),
        ({"mode": ""}, "mode", "Velg hva som skal skje."),
        ({"mode": "x" * 300}, "mode", "Velg hva som skal skje."),
        ({"mode": "closed\x00"}, "all", "uten spesialtegn"),
        ({"share": "mange"}, "share", "Skriv et tall"),
        ({"share": "inf"}, "share", "Skriv et tall"),
        ({"mode": "canary"}, "share", "hvor stor andel"),
        ({"municipality": ""}, "municipality", "Velg en kommune."),
        ({"information": ""}, "information", "Velg minst én type."),
        ({"reason": " "}, "reason", "Skriv en begrunnelse"),
        ({"ticket": ""}, "ticket", "Skriv et saksnummer"),
        ({"reason": f"om {PATIENT}"}, "reason", "Skriv en begrunnelse"),
        ({"text": f"om {PATIENT}"}, "text", "uten fødselsnummer"),
        ({"vendor": PATIENT}, "all", "Planen nevner en leverandør"),
        ({"until_was": PATIENT}, "until", "Planen kan ikke brukes"),
        ({"until": PATIENT}, "until", "Skriv en dato og et klokkeslett"),
        ({"acknowledge_within": "snart"}, "acknowledge_within", "Skriv et antall timer"),
        ({"answer": "now"}, "answer", "Velg et av alternativene."),
    ],
)
async def test_nonsense_in_the_form_is_told_at_its_field(
    olga: Browser, shelf: Shelf, changed: dict[str, str], field: str, why: str
) -> None:
    """What was written is kept, but for a number, and nothing is set."""
    page = await send(olga, LIST, FORM, **changed)
    assert (page.status, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert f'<a href="#field-{field}">' in page.text
    assert why in page.text
    assert ("Feil hos leverandør" in page.text) is ("reason" not in changed)
    assert PATIENT not in page.text
    assert await shelf.audited() == []


async def test_a_link_prefills_the_form(olga: Browser, shelf: Shelf) -> None:
    """As the page of a municipality offers a rehearsal."""
    del shelf
    page = await olga.get(f"{LIST}?municipality=nordfjell&information=varsel&mode=rehearse&until=2026-06-01T08:00")
    for shown in (
        '<option value="nordfjell" selected>',
        'value="varsel" checked',
        'value="rehearse" required checked',
        'value="01.06.2026 kl. 08.00"',
    ):
        assert shown in page.text


async def test_form_changes_what_was_seen(olga: Browser, shelf: Shelf) -> None:
    """Its fields begin with what is there, and its end stays the instant that it was."""
    one = await made(olga, information=["varsel", "notat"])
    path = f"{LIST}/{one['id']}"
    page = await olga.get(path)
    for shown in (
        '<option value="nordfjell" selected>',
        'value="closed" required checked',
        'value="varsel" checked',
        'value="notat" checked',
        'value="28.05.2026 kl. 23.26.40"',
        'value="Stengt i dag."',
        'name="version" value="1"',
    ):
        assert shown in page.text
    changed = {**FORM, "text": "Til i morgen.", "version": "1", "until_was": one["until"]}
    changed["until"] = "28.05.2026 kl. 23.26.40"
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
        assert "Overstyringen er endret eller avsluttet i mellomtiden." in page.text
        assert "<dd>Først.</dd>" in page.text
        assert f'data-address="{path}"' in page.text
        assert 'name="version" value="2"' in page.text
        assert (await send(olga, f"{path}/{change}", FORM)).status == 428
        assert (await send(olga, f"{path}/{change}", FORM, version='2", "3')).status == 412
    (found,) = await holding(olga)
    assert (found["text"], found["version"]) == ("Først.", 2)
    assert len(await shelf.audited()) == 2
    for change, version, status in (("end", "2", 303), ("change", "3", 409), ("end", "3", 409)):
        page = await send(olga, f"{path}/{change}", FORM, version=version)
        assert page.status == status
    assert "Overstyringen er endret eller avsluttet i mellomtiden." in page.text
    assert f'action="{path}/' not in page.text


async def test_reason_for_ending_is_kept_when_that_is_refused(olga: Browser, shelf: Shelf) -> None:
    """It need not be written again; what may be a patient's number is not shown again."""
    del shelf
    path = f"{LIST}/{(await made(olga))['id']}"
    for reason, is_kept in (("Rettet hos leverandøren", True), (PATIENT, False)):
        page = await send(olga, f"{path}/end", {"version": "7", "reason": reason})
        assert (page.status in (400, 412), f'value="{reason}"' in page.text) == (True, is_kept)


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
    below = page.unlabelled.partition("Ended recently")[2]
    assert below.index(other["id"]) < below.index(one["id"])
    assert "<td>by itself, " in below
    assert "<small>Rettet</small>" in below
    page = await olga.get(f"{LIST}/{one['id']}")
    assert "Rettet" in page.text
    assert not action(page, f"{LIST}/.*")


async def test_pages_are_narrowed_to_the_municipalities_of_a_role(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """What is elsewhere is not there; what concerns all is seen by everybody, and changed by who operates everywhere."""
    del shelf
    mine, theirs = await made(nora), await made(olga, municipality="sorvik")
    for_all = await made(olga, municipality=None, information=["notat"])
    panic = (await post(olga, PANICS, {"information": "tilsyn", "reason": "x"})).json
    page = await nora.get(LIST)
    assert [each["id"] in page.text for each in (mine, theirs, for_all)] == [True, False, True]
    assert "sorvik" not in page.text
    assert (await nora.get(f"{LIST}/{theirs['id']}")).status == 404
    assert action(await nora.get(f"{LIST}/{mine['id']}"), ".*change")
    for path in (f"{LIST}/{for_all['id']}", f"/panics/{panic['id']}"):
        page = await nora.get(path)
        assert (page.status, action(page, f"{path}/.*")) == (200, False)
    for path in (f"{LIST}/{for_all['id']}/end", f"{LIST}/{theirs['id']}/end", f"/panics/{panic['id']}/end"):
        assert (await send(nora, path, {"version": "1", "reason": "x"})).status == 404
    assert (await send(nora, LIST, FORM, municipality="sorvik")).status == 403
    assert (await send(nora, LIST, FORM, municipality="*")).status == 403


async def test_viewer_sees_and_has_no_forms(olga: Browser, vera: Browser, shelf: Shelf) -> None:
    """Nor may a viewer send one."""
    one = await made(olga)
    panic = (await post(olga, PANICS, {"municipality": "sorvik", "reason": "x"})).json
    for path in (LIST, f"{LIST}/{one['id']}", f"/panics/{panic['id']}"):
        page = await vera.get(path)
        assert (page.status, page.text.count("<form")) == (200, 1)
        assert action(page, "/logout")
    assert "En operatør for kommunen kan endre eller avslutte den." in (await vera.get(f"{LIST}/{one['id']}")).text
    everywhere = await made(olga, municipality=None, information=["notat"])
    assert "En operatør for alle kommuner kan" in (await vera.get(f"{LIST}/{everywhere['id']}")).text
    for path, form in ((LIST, FORM), (f"{LIST}/{one['id']}/end", FORM)):
        assert (await send(vera, path, form)).status == 403
    assert len(await shelf.audited()) == 3


async def test_forms_need_the_page_itself(olga: Browser, shelf: Shelf) -> None:
    """Without its token, or from elsewhere, nothing is set."""
    assert (await olga.post(LIST, **FORM)).status == 403
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    data = {**FORM, "csrf": await olga.csrf()}
    assert (await olga.ask("POST", LIST, data=data, headers=elsewhere)).status == 403
    assert await shelf.audited() == []


async def test_what_people_wrote_is_escaped(olga: Browser, shelf: Shelf) -> None:
    """A script stays text, on every page."""
    del shelf
    evil = "<script>alert('x')</script>\" autofocus"
    assert (await send(olga, LIST, FORM, reason=evil, ticket=evil, text=evil)).status == 303
    panic = (await post(olga, PANICS, {"municipality": "sorvik", "reason": evil})).json
    (one,) = await holding(olga)
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
    assert (
        '<a href="/cutovers/nord-1">nord-1</a></th><td>notat <small>Nordfjell kommune, alle leverandører</small></td>'
        in page.unlabelled
    )
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


async def test_panics_of_the_file_are_counted(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """Where their reader may look, as those are that people turn on."""
    config, places = shelf.office.config, (Place("routes.yaml", line, 5) for line in (40, 41))
    scopes = ("sorvik", None, None), (None, None, Information.VARSEL)
    panics = [
        route
        for scope, at in zip(scopes, places, strict=True)
        for route in panic_routes(*scope, config.municipalities, at, CLOSED_TEXT)
    ]
    shelf.office.port.ledger.use(shelf.ledger, shelf.keys, replace(config, panics=tuple(panics)))
    assert banner(await olga.get("/")) == "alert: Nødbrytere på: 2"
    assert banner(await nora.get("/")) == "alert: Nødbrytere på: 1"


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
