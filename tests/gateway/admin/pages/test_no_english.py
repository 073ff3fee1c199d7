"""Every page of an installation that has something to show on each, in Norwegian: no word of English that is not marked as quoted or as code."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from lxml import html
from msgspec import structs

from gateway.admin.pages.catalogue import TEXTS
from gateway.ledger import findings, shares
from gateway.ledger.decision_log import PastDecision, write
from gateway.ledger.findings import Times
from gateway.ledger.records import LeaseWatch
from gateway.ledger.shares import NewShare
from tests.gateway.admin.cutovers.conftest import GATED, PLAN, ROOT, World, arne, ask, office, world
from tests.gateway.admin.overriding import PANICS, made
from tests.gateway.admin.pages.families import OF_ALL
from tests.gateway.admin.shelf import post
from tests.gateway.admin.test_overview import FINDING, MORE, place
from tests.gateway.migration.cutovers.scene import config_of
from tests.gateway.office import NORA, NOW, OLGA

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser

__all__ = ["arne", "office", "world"]
NORWEGIAN = {word for text in TEXTS["nb"].values() for word in re.findall(r"[\w-]+", text)}
CODE_WORDS = {
    str(value)
    for family, values in OF_ALL.items()
    for value in values
    if TEXTS["nb"].get(f"{family}-{value}", value) != value and family not in ("word", "gloss", "short", "letter")
} | {"rehearsed", "held", "passed", "dispatcher", "upstream", "override", "cutover", "payload", "before", "after"}
"""What the product calls things."""
FREQUENT = {
    "the",
    "and",
    "not",
    "with",
    "which",
    "message",
    "messages",
    "vendor",
    "municipality",
    "none",
    "of",
    "is",
    "was",
    "has",
    "are",
    "would",
    "nothing",
    "what",
    "who",
    "where",
    "this",
    "that",
    "failed",
    "refused",
    "missing",
    "expected",
    "answered",
    "lost",
    "by",
    "from",
    "your",
    "you",
    "it",
    "its",
    "there",
    "cannot",
    "been",
    "will",
    "they",
    "when",
    "only",
    "than",
}
NAMES = {"vkp", "jft", "pit", "okt", "pmd"}
"""What the field calls its services, and files their upstreams."""
ENGLISH = FREQUENT | (CODE_WORDS - NORWEGIAN - NAMES)
_UNTOLD = ("/api/", "/static/", "/logout")
_LINK = re.compile(r'href="(/[^"#]*|\?[^"#]*)"')
_OF_ONE_KIND = 12
"""Pages of one kind that are looked at."""


def unmarked(page: str) -> str:
    """Return what a Norwegian reads of a page, and hears of its names, without what is quoted or code."""
    tree = html.document_fromstring(page)
    for path in ("//script", "//style", "//code", "//pre", "//textarea", "//body//*[@lang]", "//*[@data-quoted]"):
        for one in tree.xpath(path):
            one.drop_tree()
    spoken = tree.xpath("//@aria-label | //@title | //@placeholder | //@alt | //title/text() | //body//text()")
    return " ".join(" ".join(spoken).split())


async def filled(world: World, shelf: Shelf, olga: Browser, arne: Browser) -> None:
    """Have something on every page."""
    nora = await world.person(NORA)
    await world.site.rehearsed(40)
    await world.site.decided("loss", 3, reference="lost-1")
    await shelf.quarantined("quarantined-1")
    await shelf.delivered("overdue-1", overdue=True)
    await shelf.delivered(
        "unclear-1", share=NewShare("pmd", b"sealed", left_out="Observation.device: it has no identifier")
    )
    store = shelf.ledger.store
    await store.write(partial(shares.claim, node="gone", now=NOW, until=NOW + 1, most=2, longest=60.0))
    watch = LeaseWatch(world.office.clock)
    await store.write(lambda each: shares.recover(each, "node-a", watch, alone=True, longest=90.0, now=NOW))
    row = PastDecision(
        *(NOW, "refused-1", "vkp-r4", "nordfjell", "Dignio_Nordfjell", "dignio", "prevent", "notat", "new", "routes"),
        *(None, "routes.yaml:20:5", "refused-by-service"),
        diagnostics="JFT refused the message as invalid FHIR R4 (400): Observation.status is required",
        repairs="empty-string-dropped",
        losses="Observation.note",
    )
    await store.write(lambda each: write(each, [row]))
    await made(olga, mode="legacy", text=None)
    await post(olga, PANICS, {"municipality": "havnes", "reason": "Øvelse"})
    for name, more in (("venter-1", {}), ("godkjent-1", {}), ("avlyst-1", {}), ("krav-1", {"gate": GATED["gate"]})):
        plan = (await ask(nora, "POST", ROOT, {**PLAN, "name": name, **more})).json
        if name == "godkjent-1":
            await ask(arne, "POST", f"{ROOT}/{name}/approve", {"hash": plan["hash"]})
        if name == "avlyst-1":
            await ask(nora, "POST", f"{ROOT}/{name}/cancel", {"reason": "Utsatt til høsten"})
    repair = structs.replace(FINDING, kind="repair", rule="null-dropped", detail="")
    rows = {FINDING: Times(3, NOW - 9, NOW, "r-2"), repair: Times(9, NOW, NOW, "r-3")}
    await store.write(lambda each: findings.add(each, rows))


async def found_on(browser: Browser) -> dict[str, str]:
    """Return the pages that links lead to, from the first on, by their addresses."""
    waiting, seen, kinds, pages = ["/", "/cutovers/new", "/nowhere"], set[str](), Counter[str](), dict[str, str]()
    while waiting:
        address = waiting.pop(0)
        kind = re.sub(r"(?<=/)[^/]*\d[^/]*", "*", urlsplit(address).path)
        kinds[kind] += 1
        if kinds[kind] > _OF_ONE_KIND:
            continue
        page = await browser.get(address)
        if not page.headers["Content-Type"].startswith("text/html") or "Content-Disposition" in page.headers:
            continue
        pages[address] = page.text
        links = [urljoin(address, one.replace("&amp;", "&")).partition("#")[0] for one in _LINK.findall(page.text)]
        links = [one for one in dict.fromkeys(links) if "lang=" not in one]
        waiting += [one for one in dict.fromkeys(links) if one not in seen and not one.startswith(_UNTOLD)]
        seen.update(links)
    return pages


async def test_no_page_has_a_word_of_english_that_is_not_marked(
    world: World, shelf: Shelf, arne: Browser, tmp_path: Path
) -> None:
    """What people wrote, and services answered, is marked as quoted; names of the product's own stand as code."""
    place(world, config_of(tmp_path, more=MORE))
    olga = await world.person(OLGA)
    await filled(world, shelf, olga, arne)
    pages = await found_on(olga)
    kinds = {urlsplit(address).path.split("/")[1] for address in pages}
    assert kinds >= {"", "cutovers", "municipalities", "vendors", "overrides", "panics", "messages", "report", "audit"}
    wrong = {}
    for address, page in pages.items():
        text = unmarked(page)
        if strange := sorted(ENGLISH & set(re.findall(r"[\w-]+", text))):
            wrong[address] = [_around(text, one) for one in strange]
    assert not wrong, "\n".join(f"{address}: {words}" for address, words in wrong.items())


def _around(text: str, word: str) -> str:
    at = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
    return text[max(0, at.start() - 40) : at.end() + 40] if at else word
