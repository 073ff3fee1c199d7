"""Oversikt and Kommune: in words, narrowed, filtered by links, live, with forms filled in."""

from __future__ import annotations

import html
import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from gateway.admin.bounds import Bounds
from gateway.admin.municipality_view import CellView
from gateway.admin.pages.municipalities import CellLine, SenderLine
from gateway.admin.pages.render import piece
from gateway.admin.pages.words import Names, Words
from gateway.ledger import rehearsals
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.nodes import Away
from gateway.migration.standing import Cell, Step
from gateway.model import Information, Mode
from gateway.routing.layers import Layer
from tests.gateway.admin.cutovers.conftest import MONA, PETTER, PLAN, ROOT, World, ask, office, world
from tests.gateway.admin.pages.cutover_pages import click
from tests.gateway.admin.shelf import OTHER_PATIENT, PATIENT
from tests.gateway.admin.test_overview import later, place
from tests.gateway.migration.cutovers.scene import config_of
from tests.gateway.office import NORA, NOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser, Office

from tests.gateway.admin.pages.overview_pages import links, seen, site

__all__ = ["office", "site", "world"]
CODES = re.compile(
    r"\b(legacy|rehearse|canary|epj|closed|rehearsing|medication|unclear|quarantined|rolled-back|record-system)\b"
)


async def test_overview_says_where_everybody_stands_in_words(site: World, vera: Browser) -> None:
    """With a row for each municipality, whose boxes are told to those who do not see them; no code word of the product."""
    await site.site.decided("loss", 9)
    page = await vera.get("/")
    text = seen(page.text)
    for shown in (
        "0 av 3 kommuner flyttet, 1 er i gang",
        "Venter på deg",
        "Neste sju døgn",
        "Satt over rutene nå",
        "feiler 9",
    ):
        assert shown in text
    assert (
        "delvis flyttet: medisinering, varsel, tilsyn, notat, måledata og skjemabesvarelse; hos VKP: resten"
        in page.text
    )
    assert CODES.findall(text) == []
    english = await vera.get("/?lang=en")
    assert "0 of 3 municipalities moved, 1 has begun" in seen(english.text)
    assert "partly moved: medication" in english.text


async def test_overview_is_filtered_by_its_address(site: World, vera: Browser) -> None:
    """Without a script; the form keeps what was asked for, and what is no filter's value does not narrow."""
    del site
    page = await vera.get("/?search=Nordf&vendor=dignio&mode=canary")
    assert ('<tr id="m-nordfjell">' in page.text, '<tr id="m-sorvik">' in page.text) == (True, False)
    for kept in ('value="Nordf"', '<option value="dignio" selected>', '<option value="canary" selected>', "1 av 3"):
        assert kept in page.text
    assert "/overview/live?search=Nordf&amp;vendor=dignio&amp;mode=canary" in page.text
    nothing = await vera.get("/?record_system=Ingen")
    assert ("Ingen kommuner passer" in nothing.text, "<table" in nothing.text) == (True, False)
    odd = await vera.get("/?mode=moved&trouble=%3Cscript%3E&search=%22%3E%3Cscript%3E")
    assert (odd.status, "<script>" in odd.text) == (200, False)
    assert '<tr id="m-sorvik">' in (await vera.get("/?mode=moved&trouble=odd")).text


async def test_overview_is_there_though_the_ledger_cannot_be_read(
    site: World, vera: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The routes are known all the same, and the page says what is missing."""

    async def fail(_work: object) -> None:
        raise LedgerUnavailable("away")

    await later(site)
    monkeypatch.setattr(site.shelf.ledger.store, "read", fail)
    page = await vera.get("/")
    assert (page.status, "Meldingsloggen kan ikke leses nå" in page.text) == (200, True)
    assert '<tr id="m-nordfjell">' in page.text


@pytest.mark.parametrize("admin_bounds", [Bounds(look=0.0, stream=0.05)], ids=["brief"])
async def test_overview_is_kept_up_to_date(site: World, vera: Browser) -> None:
    """Its parts are sent, each row by itself, with what came meanwhile."""
    await site.site.decided("passed", 7, mode="legacy")
    text = (await vera.get("/overview/live?vendor=dignio")).text
    events = {}
    for line in text.splitlines():
        if line.startswith("data: "):
            one = json.loads(line.removeprefix("data: "))
            events[one["id"]] = one["html"]
    assert events.keys() == {"away", "progress", "waiting", "ahead", "changed", "m-nordfjell"}
    assert ">7<" in events["m-nordfjell"]
    cells = (await vera.get("/municipalities/nordfjell/live")).text
    assert '"id":"cells"' in cells


def away(site: World, *kinds: str) -> None:
    """Have services that do not answer this process."""
    told = tuple(Away(kind, kind, NOW) for kind in kinds)
    site.office.port.health.use(lambda: SimpleNamespace(clients=SimpleNamespace(away=lambda _: told)))  # type: ignore[arg-type,return-value] # of a process, what is asked here


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (0, ("Ingen meldinger venter på levering nå.", "No message waits for delivery now.")),
        (1, ("1 melding venter på levering, og leveres", "1 message waits for delivery, and is delivered")),
        (2, ("2 meldinger venter på levering, og leveres", "2 messages wait for delivery, and are delivered")),
    ],
)
async def test_outage_is_told_on_the_overview_with_what_is_held(
    site: World, vera: Browser, held: int, told: tuple[str, str]
) -> None:
    """What is away, since when, what waits, that nothing is lost, and where there is more; nothing of it when all is well."""
    for patient in (PATIENT, OTHER_PATIENT)[:held]:
        message = await site.shelf.message(f"of-{patient}", patient)
        assert await site.shelf.ledger.held(message, "JFT answered 503", next_try=NOW + 60)
    await later(site)
    away(site)
    assert 'id="away" role="status"></div>' in (await vera.get("/")).text
    away(site, "jft")
    for language, since, safe, waits in (
        ("nb", "Svarer ikke siden tor. 28. mai kl. 22.26: ", "Ingenting er tapt", told[0]),
        ("en", "No answer since Thu 28 May at 22:26: ", "Nothing is lost", told[1]),
    ):
        page = await vera.get(f"/?lang={language}")
        region = page.text.partition('id="away"')[2].partition('id="progress"')[0]
        assert all(one in seen(region) for one in (since, safe, waits))
        assert 'href="/health"' in region
        assert ('href="/messages?state=held"' in region) == bool(held)
    document = (await vera.get("/api/v1/overview")).json
    assert (document["away"], document["held"]) == (
        [{"upstream": "jft", "kind": "jft", "since": "2026-05-28T20:26:40Z"}],
        held,
    )


async def test_what_holds_nothing_up_says_nothing_of_what_is_held(site: World, vera: Browser) -> None:
    """Each kind of service has a sentence of its own."""
    away(site, "pit", "pmd")
    text = seen((await vera.get("/")).text)
    assert "Oppslag besvares fra den lokale kopien" in text
    assert "Måledata journalføres som før." in text
    assert "venter på levering, og" not in text


async def test_outage_is_told_while_the_ledger_cannot_be_read(
    site: World, vera: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many messages are held is not known then, and said so."""

    async def fail(_work: object) -> None:
        raise LedgerUnavailable("away")

    away(site, "jft")
    await later(site)
    monkeypatch.setattr(site.shelf.ledger.store, "read", fail)
    text = seen((await vera.get("/")).text)
    assert "Svarer ikke siden" in text
    assert "vises når meldingsloggen kan leses igjen" in text


async def test_rows_that_stay_the_same_are_made_once(
    site: World, vera: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each language: hundreds of them are looked at every other second."""
    await vera.get("/")
    made = []
    monkeypatch.setattr("gateway.admin.pages.overview.piece", lambda *_, row, **__: made.append(row.key) or "<th>")
    await vera.get("/")
    assert made == []
    await site.site.decided("passed", 1, mode="legacy")
    await later(site)
    await vera.get("/")
    assert made == ["nordfjell"]


async def test_a_municipality_is_told_in_words_with_what_to_do(site: World, vera: Browser) -> None:
    """Each cell; charts with their numbers as tables; the routes with file and line; nothing to press for a viewer."""
    await site.site.rehearsed(198, 2)
    await site.site.decided("passed", 7, mode="rehearse", layer="routes", rule=None, seconds=0.25)
    petter = await site.person(PETTER)
    assert (await ask(petter, "POST", ROOT, PLAN)).status == 201
    page = await vera.get("/municipalities/nordfjell")
    text = seen(page.text)
    for shown in (
        "99 % av 200",
        "En omlegging venter på at noen andre enn den som skrev den, godkjenner. nordfjell-1",
        "Start en prøvekjøring for å se hva den nye tjenesten ville ha sagt.",
        "Meldinger etter vei",
        "Svartid i millisekunder",
        "Dignio_Nordfjell dignio VKP FHIR R4",
        "Petter",
        "omlegging nordfjell-1 :",
    ):
        assert shown in text
    assert re.search(r"<code>\S*routes\.yaml:\d+:\d+</code>", page.text)
    assert CODES.findall(re.sub(r"\S*routes\.yaml\S*|nordfjell-1", "", text)) == []
    assert links(page.text, "/cutovers/new") == links(page.text, "/overrides") == []


async def test_operators_get_an_override_for_a_rehearsal_and_planners_a_cutover(site: World, olga: Browser) -> None:
    """Filled in: an override of fourteen days, or a plan with a name and a time on a working day."""
    page = await olga.get("/municipalities/nordfjell")
    wanted = links(page.text, "/overrides")
    every, *each = [one for one in wanted if one.get("vendor") == ["dignio"]]
    assert every["information"] == ["medisinering", "varsel", "tilsyn", "maledata", "skjemabesvarelse"]
    assert [one["information"] for one in each] == [[kind] for kind in every["information"]]
    assert (every["mode"], every["until"], every["municipality"]) == (["rehearse"], ["2026-06-11T22:26"], ["nordfjell"])
    form = (
        await olga.get(next(one for one in re.findall(r'href="(/overrides[?][^"]+)"', html.unescape(page.text))))
    ).text
    assert 'value="11.06.2026 kl. 22.26"' in form
    for kind in every["information"]:
        assert f'value="{kind}" checked' in form
    petter = await site.person(PETTER)
    page = await petter.get("/municipalities/nordfjell")
    assert links(page.text, "/overrides") == []
    first = links(page.text, "/cutovers/new")[0]
    assert (first["vendor"], first["mode"], first["at"]) == (["dignio"], ["rehearse"], ["2026-06-01T10:00"])


async def test_a_rehearsal_ends_before_a_cutover_that_is_planned(site: World) -> None:
    """An override would win over it."""
    petter = await site.person(PETTER)
    plan = {**PLAN, "at": "2026-06-02T08:00:00+02:00"}
    assert (await ask(petter, "POST", ROOT, plan)).status == 201
    nora = await site.person(NORA)
    wanted = links((await nora.get("/municipalities/nordfjell")).text, "/overrides")
    (tilsyn,) = (one for one in wanted if one["information"] == ["tilsyn"] and one["vendor"] == ["dignio"])
    assert tilsyn["until"] == ["2026-06-02T08:00"]


@pytest.mark.parametrize(
    ("rehearsed", "messages", "days", "of"), [(4000, "200", "7", "20"), (80, "64", "28", "5"), (10, "20", "28", "5")]
)
async def test_a_plan_is_suggested_from_the_volume_that_is_there(
    site: World, rehearsed: int, messages: str, days: str, of: str
) -> None:
    """The gate asks for what comes, and the rollback rule for what can come while it watches."""
    await site.site.rehearsed(rehearsed, hours_ago=24 * 10)
    petter = await site.person(PETTER)
    wanted = links((await petter.get("/municipalities/nordfjell")).text, "/cutovers/new")
    one = next(each for each in wanted if each["mode"] == ["new"])
    assert (one["information"], one["gate_messages"], one["gate_days"], one["gate_clean"]) == (
        ["notat"],
        [messages],
        [days],
        ["99,5"],
    )
    assert (one["back_messages"], one["municipality"]) == ([of], ["nordfjell"])
    # The wizard itself suggests the same, for whoever comes to it without the link.
    cells = {"c0_municipality": "nordfjell", "c0_sender": "dignio/prevent", "c0_information": "notat", "c0_mode": "new"}
    page = await click(petter, "/cutovers/new", do="next", step="choices:0", count="1", **cells)
    for name in (
        "gate_messages",
        "gate_days",
        "gate_clean",
        "back_failed",
        "back_held",
        "back_messages",
        "back_minutes",
    ):
        assert hidden_or_shown(page.text, name) == one[name], name
    assert hidden_or_shown(page.text, "name") == ["nordfjell-dignio-notat-2026-06-01"]


def hidden_or_shown(page: str, name: str) -> list[str]:
    """Return what a field of a form has."""
    return re.findall(rf'<input[^>]* name="{name}"[^>]* value="([^"]*)"', page)


async def test_what_a_suggested_form_says_is_taken(site: World) -> None:
    """A plan with its values is one that the API takes."""
    await site.site.rehearsed(80)
    petter = await site.person(PETTER)
    one = next(
        each
        for each in links((await petter.get("/municipalities/nordfjell")).text, "/cutovers/new")
        if each["mode"] == ["new"]
    )
    change = {
        "municipality": "nordfjell",
        "vendor": "dignio",
        "system": "prevent",
        "information": one["information"],
        "mode": "new",
    }
    gate = {
        "rehearsed_at_least": int(one["gate_messages"][0]),
        "clean_at_least": 0.995,
        "within": int(one["gate_days"][0]) * 86_400,
    }
    back = {
        "failed_at_least": int(one["back_failed"][0]) / 100,
        "of_at_least": int(one["back_messages"][0]),
        "within": int(one["back_minutes"][0]) * 60,
    }
    plan = {"name": "foreslatt-1", "at": one["at"][0], "set": [change], "gate": gate, "roll_back_when": back}
    assert (await ask(petter, "POST", ROOT, plan)).status == 201


async def test_nobody_sees_another_municipality_or_its_vendors(site: World) -> None:
    """Neither on Oversikt nor by an address."""
    mona = await site.person(MONA)
    page = await mona.get("/")
    assert ("m-sorvik" in page.text, "m-nordfjell" in page.text, "0 av 1" in page.text) == (True, False, True)
    for path in ("/municipalities/nordfjell", "/vendors/dignio", "/vendors/dignio/file", "/municipalities/nowhere"):
        assert (await mona.get(path)).status == 404
    assert "dignio" not in (await mona.get("/vendors")).text


async def test_what_never_comes_moves_with_what_is_ready(site: World, tmp_path: Path) -> None:
    """A gate of its own would never open; a rehearsal that read nothing says nothing of it."""
    place(site, config_of(tmp_path, more="  - {municipality: nordfjell, information: [journaling], mode: rehearse}\n"))
    await site.site.rehearsed(400)
    hour = rehearsals.hour_of(site.office.clock()) - 1
    skipped = rehearsals.CountedVerdict(hour, "nordfjell", "dignio", "prevent", "tilsyn", "skipped", "unreadable")
    await site.shelf.ledger.store.write(lambda each: rehearsals.add(each, {skipped: 3}))
    petter = await site.person(PETTER)
    page = (await petter.get("/municipalities/nordfjell")).text
    assert seen(page).count("Ingenting av denne typen er sendt mens den har vært prøvekjørt.") == 2
    assert "medisinering, varsel, tilsyn, måledata og skjemabesvarelse" in seen(page)
    together = links(page, "/cutovers/new")[0]
    assert set(together["information"]) == {"medisinering", "varsel", "tilsyn", "notat", "maledata", "skjemabesvarelse"}
    assert (together["vendor"], together["gate_messages"]) == (["dignio"], ["200"])


@pytest.mark.parametrize(
    ("mode", "step", "told"),
    [
        (Mode.COMPARE, Step.QUIET, "Ingen har spurt om dette mens svarene har vært sammenlignet."),
        (Mode.COMPARE, Step.REHEARSE_ON, "La sammenligningen gå. Sammenlignet: 2 av "),
        (Mode.COMPARE, Step.MEND, "For mange svar er forskjellige."),
        (Mode.COMPARE, Step.SERVICE, "Det finnes ingen nasjonal tjeneste"),
        (Mode.REHEARSE, Step.REHEARSE_ON, "La prøvekjøringen gå. Prøvekjørt: 2 av "),
    ],
)
def test_what_is_compared_is_not_said_to_be_rehearsed(mode: Mode, step: Step, told: str) -> None:
    """Of answers to searches there are comparisons."""
    cell = Cell("nordfjell", "dignio", "prevent", Information.PASIENTINFO, mode, Layer.ROUTES, None, "")
    view = CellView(
        cell, 0, 0, rehearsed=2, clean=2, last=None, step=step, lacks=None, cutover=None, switches=None, weekly=0
    )
    sender = SenderLine("dignio", "prevent", (CellLine((view,)),), None, None, None)
    said = seen(str(piece(Words("nb", NOW, Names()), "municipality_cells.html", senders=[sender])))
    assert told in said
    assert ("La prøvekjøringen" in said) == (mode is Mode.REHEARSE)


async def test_overview_without_a_ledger_says_so(office: Office, vera: Browser) -> None:
    """All is with VKP then."""
    del office
    page = await vera.get("/")
    assert (page.status, "Det er ingen meldingslogg" in page.text) == (200, True)
