"""The page for how far the migration has come: each cell, who still needs VKP, and what rehearsals have shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.admin.pages.catalogue import TEXTS
from gateway.ledger import rehearsals
from gateway.migration.report import CellStatus
from gateway.routing.table import RouteTable
from tests.gateway.admin.cutovers.conftest import MONA, World, office, world
from tests.gateway.migration.cutovers.scene import config_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser, Office

__all__ = ["office", "world"]
MORE = """\
  - {municipality: nordfjell, information: [notat], mode: rehearse}
  - {municipality: nordfjell, vendor: evondos, information: [medisinering], mode: new}
"""


@pytest.fixture
def site(world: World, tmp_path: Path) -> World:
    """Have vendors, senders and routes in force behind the admin port."""
    file = config_of(tmp_path, more=MORE)
    names = ("upstreams", "municipalities", "vendors", "senders", "routes")
    table = RouteTable.compile(world.configure(**{name: getattr(file, name) for name in names}))
    world.office.port.report.use(lambda: table)
    return world


async def count(site: World, municipality: str, verdict: str, reason: str, messages: int) -> None:
    """Count rehearsals of Dignio's notes."""
    hour = rehearsals.hour_of(site.office.clock()) - 1
    counted = rehearsals.Counted(hour, municipality, "dignio", "prevent", "notat", verdict, reason)
    await site.shelf.ledger.store.write(lambda each: rehearsals.add(each, {counted: messages}))


async def test_page_has_each_cell_and_who_needs_vkp(site: World, vera: Browser) -> None:
    """In both languages: standing, mode, messages with the time in Norway, and rehearsals."""
    await site.site.decided("passed", 7, mode="rehearse", layer="routes", rule=None)
    await site.site.decided("accepted", 2, information="medisinering", vendor="evondos", system="e300")
    await site.site.rehearsed(199, 1)
    page = await vera.get("/report")
    for shown in (
        "<h1>Rapport</h1>",
        '<td>dignio</td><td class="number">7</td>',
        '<td>Gerica</td><td class="number">7</td>',
        "<td>notat</td><td>prøvekjørt uten feil</td>",
        "tor. 28. mai kl. 22.26",
        '<td class="number">200</td><td class="number">99,5\u00a0%</td>',
        "<td>medisinering</td><td>flyttet</td>",
        "199 uten feil",
        "1 × ville blitt avvist: innhold som ikke kan overføres",
        'href="/try?information=notat&amp;reason=loss"',
        "1–12 av 12",
    ):
        assert shown in page.text
    assert "<td>evondos</td>" not in page.text
    english = await vera.get("/report?lang=en")
    for shown in ("<h1>Report</h1>", "<td>rehearsed clean</td>", "99.5%", "1–12 of 12", "<td>moved</td>"):
        assert shown in english.text


async def test_links_lead_to_the_whole_report(site: World, vera: Browser) -> None:
    """The session of the browser is enough for them."""
    del site
    page = await vera.get("/report")
    for link, kind in (("/report/file", "text/csv"), ("/api/v1/report", "application/json")):
        assert f'href="{link}"' in page.text
        answer = await vera.get(link)
        assert (answer.status, answer.headers["Content-Type"].startswith(kind)) == (200, True)


async def test_page_is_narrowed_to_the_grants_of_who_reads(site: World) -> None:
    """Neither cells, nor numbers, nor names of another municipality, even when it is asked for."""
    await count(site, "nordfjell", "clean", "", 5)
    await site.site.decided("passed", 7, mode="legacy", layer="routes", rule=None)
    mona = await site.person(MONA)
    for path in ("/report", "/report?municipality=nordfjell", "/report?lang=en&municipality=sorvik"):
        page = await mona.get(path)
        assert (page.status, "nordfjell" in page.text, "dignio" in page.text) == (200, False, False)


async def test_a_municipality_is_chosen(site: World, vera: Browser) -> None:
    """Cells, numbers and rehearsals are of it alone; a strange one has nothing, and is not repeated as it came."""
    await count(site, "sorvik", "clean", "", 5)
    await site.site.decided("passed", 3, mode="legacy", layer="routes", rule=None)
    page = await vera.get("/report?municipality=nordfjell")
    assert '<option value="nordfjell" selected>Nordfjell kommune</option>' in page.text
    assert ("<td>sorvik</td>" in page.text, "1–12 av 12" in page.text) == (False, True)
    odd = await vera.get("/report?municipality=%22%3E%3Cscript%3E&page=2")
    assert (odd.status, "<script>" in odd.text, odd.text.count("<p>ingen</p>")) == (200, False, 2)


async def test_cells_come_in_parts(site: World, vera: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """With links to the part before and the next, which keep the municipality; rehearsals say that there are more."""
    monkeypatch.setattr("gateway.admin.pages.report._AT_ONCE", 5)
    for number in range(6):
        await count(site, f"m{number}", "clean", "", 5)
    page = await vera.get("/report?municipality=nordfjell&page=2")
    assert "6–10 av 12" in page.text
    for number in (1, 3):
        assert f'href="/report?page={number}&amp;municipality=nordfjell"' in page.text
    last = await vera.get("/report?page=3")
    assert ("11–12 av 12" in last.text, "page=4" in last.text) == (True, False)
    assert "Det er flere." in last.text
    for odd in ("0", "-1", "x", "9" * 40):
        assert "1–5 av 12" in (await vera.get(f"/report?page={odd}")).text


async def test_reasons_are_shown_as_text(site: World, vera: Browser) -> None:
    """Whatever a rule is called."""
    await count(site, "nordfjell", "refused", "<b>loss</b>", 1)
    page = await vera.get("/report")
    assert ("&lt;b&gt;loss" in page.text, "<b>loss" in page.text) == (True, False)


async def test_it_is_linked_for_everyone_and_says_when_there_is_nothing(office: Office, vera: Browser) -> None:
    """Without a ledger there is nothing to report."""
    del office
    assert 'href="/report"' in (await vera.get("/")).text
    page = await vera.get("/report")
    assert (page.status, "Det er ingen meldingslogg" in page.text) == (503, True)


def test_every_standing_has_a_text() -> None:
    """As a cell may stand."""
    assert {name for name in TEXTS["nb"] if name.startswith("rep-")} == {f"rep-{one.value}" for one in CellStatus}


async def test_file_is_for_a_spreadsheet_in_the_readers_language(site: World, vera: Browser) -> None:
    """Norwegian: semicolons, Norwegian headings and words, percent as people write it, Norwegian time; English: commas."""
    await site.site.decided("passed", 7, mode="rehearse", layer="routes", rule=None)
    await site.site.rehearsed(199, 1)
    page = await vera.get("/report/file?lang=nb")
    assert page.headers["Content-Disposition"] == 'attachment; filename="rapport.csv"'
    heads, *rows = page.text.removeprefix("\ufeff").splitlines()
    assert heads == (
        "Kommune;Journalsystem;Leverandør;Avsenders system;Informasjonstype;Modus;Status;"
        "Prøvekjørt;Uten feil;Meldinger;Sist sett (norsk tid);Trenger VKP"
    )
    (row,) = [one for one in rows if ";notat;" in one and one.startswith("Nordfjell") and ";dignio;" in one]
    assert row.endswith(";notat;prøvekjøres;prøvekjørt uten feil;200;99,5 %;7;2026-05-28 22:26;ja")
    english = await vera.get("/report/file?lang=en")
    assert english.headers["Content-Disposition"] == 'attachment; filename="report.csv"'
    assert ",note,being rehearsed,rehearsed clean,200,99.5%,7," in english.text
