"""The page for how far the migration has come: each cell, who still needs VKP, and what rehearsals have shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.admin.bounds import Bounds
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
    counted = rehearsals.CountedVerdict(hour, municipality, "dignio", "prevent", "notat", verdict, reason)
    await site.shelf.ledger.store.write(lambda each: rehearsals.add(each, {counted: messages}))


async def test_each_municipality_has_a_row_and_the_chosen_one_its_cells(site: World, vera: Browser) -> None:
    """In both languages: boxes, messages, who needs VKP and rehearsals; of one also standing, mode and times of each cell."""
    await site.site.decided("passed", 7, mode="rehearse", layer="routes", rule=None)
    await site.site.decided("accepted", 2, information="medisinering", vendor="evondos", system="e300")
    await site.site.rehearsed(199, 1)
    page = await vera.get("/report")
    numbers = ("9", "7")
    for shown in (
        "<h1>Rapport</h1>",
        '<td>dignio</td><td class="number">7</td>',
        '<td>Gerica</td><td class="number">7</td>',
        '<a href="/report?municipality=nordfjell#cells">Nordfjell kommune</a>',
        '<span class=boxes role=img tabindex=0 aria-label="',
        "".join(f'<td class="number">{each}</td>' for each in numbers),
        '<td class="number">200</td><td class="number">99,5\u00a0%</td>',
        "199 uten feil",
        "1 × ville blitt avvist: innhold som ikke kan overføres",
        'href="/try?information=notat&amp;reason=loss"',
    ):
        assert shown in page.unlabelled
    assert "<td>evondos</td>" not in page.unlabelled
    assert "notat</th><td>prøvekjørt uten feil</td>" not in page.unlabelled
    chosen = await vera.get("/report?municipality=nordfjell")
    for shown in (
        '<th scope="row">notat</th><td>prøvekjørt uten feil</td>',
        '<th scope="row">medisinering</th><td>flyttet</td>',
        "tor. 28. mai kl. 22.26",
        'href="/municipalities/nordfjell"',
    ):
        assert shown in chosen.unlabelled
    english = await vera.get("/report?lang=en&municipality=nordfjell")
    for shown in ("<h1>Report</h1>", "<td>rehearsed clean</td>", "99.5%", "<td>moved</td>"):
        assert shown in english.unlabelled


async def test_what_it_comes_to_stands_first(site: World, vera: Browser) -> None:
    """Sums before rows; rehearsals and cells are folded together by municipality and sender, with what to look at in sight."""
    await site.site.decided("passed", 7, mode="rehearse", layer="routes", rule=None)
    await site.site.decided("accepted", 2, information="medisinering", vendor="evondos", system="e300")
    await site.site.rehearsed(198, 2)
    page = await vera.get("/report")
    sums = re.findall(r'<span class="stat-value">(.*?)</span> <span class="stat-label">(.*?)</span>', page.text)
    assert sums == [
        ("0 av 3", "Kommuner flyttet"),
        ("7", "Meldinger til VKP"),
        ("200", "Prøvekjørt"),
        ("99\u00a0%", "Uten feil ved prøvekjøring"),
    ]
    assert "av 9 meldinger" in page.text
    (folded,) = re.findall(r'<details class="fold"><summary>(.*?)</summary>', page.text)
    assert folded.startswith("<b>Nordfjell kommune</b>: 200 prøvekjørt, 99\u00a0% uten feil")
    assert "2 ville blitt avvist" in folded
    chosen = await vera.get("/report?municipality=nordfjell")
    assert chosen.text.count('<details class="fold" open>') == 2
    assert "<b>evondos e300</b>: 2 meldinger" in chosen.text


@pytest.mark.parametrize("admin_bounds", [Bounds(first_lines=1)], ids=["one"])
async def test_of_many_who_need_vkp_the_rest_is_unfolded(site: World, vera: Browser) -> None:
    """So that a telephone shows what matters first."""
    await site.site.decided("passed", 7, mode="rehearse", layer="routes", rule=None)
    await site.site.decided("passed", 2, vendor="evondos", system="e300", mode="legacy", layer="routes", rule=None)
    page = await vera.get("/report")
    assert "<summary>Vis 1 til</summary>" in page.text


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
        told = page.text.replace("municipality=nordfjell", "")
        assert (page.status, "nordfjell" in told, "dignio" in told) == (200, False, False)


async def test_a_municipality_is_chosen(site: World, vera: Browser) -> None:
    """Cells, numbers and rehearsals are of it alone; a strange one has nothing, and is not repeated as it came."""
    await count(site, "sorvik", "clean", "", 5)
    await site.site.decided("passed", 3, mode="legacy", layer="routes", rule=None)
    page = await vera.get("/report?municipality=nordfjell")
    assert '<option value="nordfjell" selected>Nordfjell kommune</option>' in page.text
    assert ("<td>sorvik</td>" in page.unlabelled, 'id="cells"' in page.text) == (False, True)
    odd = await vera.get("/report?municipality=%22%3E%3Cscript%3E")
    assert (odd.status, "<script>" in odd.text, odd.text.count("<p>ingen</p>")) == (200, False, 2)


@pytest.mark.parametrize("admin_bounds", [Bounds(lines=5)], ids=["five"])
async def test_rehearsals_say_that_there_are_more(site: World, vera: Browser) -> None:
    """Of those of all municipalities the first are shown."""
    for number in range(6):
        await count(site, f"m{number}", "clean", "", 5)
    assert "Det er flere." in (await vera.get("/report")).text


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
