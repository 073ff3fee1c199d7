"""Leverandør: what was found in its messages, the rules' pages, and a file to send."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from gateway.admin.pages.words import RULES
from gateway.ledger import findings
from gateway.ledger.findings import Times
from tests.gateway.admin.cutovers.conftest import World, office, world
from tests.gateway.admin.pages.overview_pages import seen, site
from tests.gateway.admin.test_overview import FINDING
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from tests.gateway.office import Browser

__all__ = ["office", "site", "world"]


async def found(site: World) -> None:
    """Have a fault, a loss and a repair in Dignio's messages."""
    loss = structs.replace(FINDING, kind="loss", rule="loss", place="Bundle.signature", detail="no place for it")
    repair = structs.replace(FINDING, kind="repair", rule="null-dropped", place="Composition.title", detail="")
    rows = {one: Times(3, NOW - 60, NOW, f"ref-{one.kind}") for one in (FINDING, loss, repair)}
    await site.shelf.ledger.store.write(lambda each: findings.add(each, rows))


async def test_a_vendors_page_explains_what_was_found(site: World, vera: Browser) -> None:
    """Grouped, with path, count, first and last seen, one reference, and the rule's page; in both languages."""
    await found(site)
    page = await vera.get("/vendors/dignio")
    text = seen(page.text)
    for shown in (
        "Meldingen er ikke gyldig FHIR. Se hva som er galt",
        "Composition.date",
        "Flytt opplysningen til et element",
        "Bundle.signature",
        "FHIR tillater ikke null der.",
        "tors. 28. mai kl. 22.25" if "tors." in text else "tor. 28. mai kl. 22.25",
        "ref-fault",
        "Start prøvekjøring: medisinering, varsel, tilsyn, måledata og skjemabesvarelse",
    ):
        assert shown in text
    for rule in ("malformed", "loss", "null-dropped"):
        assert f'href="/rules/{rule}"' in page.text
    regions = re.findall(r'role="region" aria-label="([^"]*)"', page.text)
    assert len(regions) == len(set(regions)), "whoever hears the regions cannot tell them apart"
    assert "FHIR allows no null there." in (await vera.get("/vendors/dignio?lang=en")).text


async def test_a_vendors_file_needs_nothing_else_and_has_nothing_of_a_patient(site: World, vera: Browser) -> None:
    """It opens wherever the vendor gets it: no address of ours, no script; and no more than places, counts and references."""
    await found(site)
    page = await vera.get("/vendors/dignio/file")
    assert page.headers["Content-Disposition"] == 'attachment; filename="dignio-2026-05-28.html"'
    assert re.findall(r"(?:href|src|action)=|<script|url\(|@import", page.text) == []
    assert re.findall(r"\d{11}", page.text) == []
    for shown in ("Composition.date", "ref-loss", "Filen inneholder ingen personopplysninger", "<style>"):
        assert shown in page.text
    assert "Petter" not in page.text


async def test_every_rule_has_a_page(site: World, vera: Browser) -> None:
    """With what the vendor does about it; another name has none, and is not repeated."""
    del site
    text = seen((await vera.get("/rules/null-dropped")).text)
    assert "null tatt bort" in text
    assert "FHIR tillater ikke null der." in text
    both = seen((await vera.get("/rules/loss")).text)
    assert "innhold som ikke kan overføres" in both
    assert (await vera.get("/rules/%3Cscript%3E")).status == 404


def test_rules_with_a_page_are_those_of_the_page_about_losses() -> None:
    """Every repair, and `loss`."""
    document = Path(__file__).parents[4] / "docs" / "losses.md"
    table = document.read_text(encoding="utf-8").split("## Rules of repair", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)) | {"loss"} == set(RULES)


async def test_vendors_are_listed_with_how_far_they_have_come(site: World, vera: Browser) -> None:
    """Of the municipalities that somebody may view."""
    await found(site)
    text = seen((await vera.get("/vendors")).text)
    assert "D 1 0 av 6 3" in text
    assert "E 1 6 av 6 0" in text
