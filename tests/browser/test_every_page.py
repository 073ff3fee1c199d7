"""Every page that there is, in a real browser: readable for everyone, on every width, with and without scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from gateway.admin.pages.catalogue import TEXTS
from tests.browser.conftest import SCREENSHOTS
from tests.gateway.admin.pages.families import OF_ALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Reader

pytestmark = pytest.mark.slow

STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
RUN_AXE = """async (tags) => (await axe.run(document, {runOnly: tags, resultTypes: ["violations"]})).violations.map(
  (one) => one.id + ": " + one.nodes.slice(0, 3).map((node) => node.target.join(" ") + " " + node.html.slice(0, 160)).join(" | "))"""
TEXT = """() => {
  const main = document.querySelector("main").cloneNode(true);
  main.querySelectorAll("code, pre, script, textarea, [lang], [data-quoted]").forEach((each) => each.remove());
  main.querySelectorAll("*").forEach((each) => each.append(" "));
  return main.textContent.replace(/\\s+/g, " ");
}"""
FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  const number = [...document.querySelectorAll("*")].indexOf(one);
  return {name: one.tagName + " " + (one.textContent || "").trim().slice(0, 40), number,
          seen: box.width > 0 && box.height > 0, marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2};
}"""
CODE_WORDS = {
    str(value)
    for family, values in OF_ALL.items()
    for value in values
    if TEXTS["nb"].get(f"{family}-{value}", value) != value and family not in ("word", "gloss", "short", "letter")
}
"""What the product calls things, and a Norwegian page must not."""
NAMES = {"vkp", "jft", "pit", "okt", "pmd"}
"""What the field calls its services, and the demo's file its upstreams."""
NORWEGIAN = {word for text in TEXTS["nb"].values() for word in re.findall(r"[\w-]+", text)}
ENGLISH_ONLY = {
    "the",
    "and",
    "not",
    "with",
    "which",
    "message",
    "messages",
    "vendor",
    "municipality",
    *("none", "of", "is", "was", "has", "are", "would", "nothing", "what", "who", "where", "this", "that", "failed"),
    *("refused", "missing", "approvals", "expected", "answered", "lost"),
}
NORWEGIAN_ONLY = {
    "og",
    "ikke",
    "eller",
    "fra",
    "som",
    "når",
    "melding",
    "meldinger",
    "avsender",
    "leverandør",
    "ingen",
    "skal",
}


async def _looked_at(reader: Reader, addresses: list[str]) -> None:
    """Open each page; the browser itself must find nothing wrong."""
    for address in addresses:
        await reader.open(address)
    assert not reader.complaints


def file_name(address: str) -> str:
    """Return what the picture of a page is called."""
    return re.sub(r"\W+", "-", address).strip("-") or "first"


@pytest.mark.parametrize("language", ["nb", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_breaks_a_rule_of_wcag(
    reading: Callable[..., Any], addresses: list[str], axe: str, language: str, scheme: str
) -> None:
    """By axe, of the levels A and AA of WCAG 2.1; and the browser blocks nothing, and misses nothing."""
    found = []
    async with reading(language, scheme) as reader:
        for address in addresses:
            await reader.open(address)
            await reader.page.evaluate(axe)
            found += [f"{address}: {one}" for one in await reader.page.evaluate(RUN_AXE, STANDARD)]
            await reader.page.screenshot(
                path=SCREENSHOTS / f"{file_name(address)}-{language}-{scheme}.png", full_page=True
            )
        assert not reader.complaints
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", [400, 640])
async def test_no_page_is_wider_than_a_narrow_window(
    reading: Callable[..., Any], addresses: list[str], width: int
) -> None:
    """A telephone's, and a window of 1280 at 200 % zoom: what is wide scrolls within itself."""
    wide = {}
    async with reading(width=width) as reader:
        for address in addresses:
            await reader.open(address)
            if (needed := await reader.page.evaluate("document.documentElement.scrollWidth")) > width:
                wide[address] = needed
            await reader.page.screenshot(path=SCREENSHOTS / f"{file_name(address)}-{width}.png", full_page=True)
    assert not wide


async def test_every_page_says_what_it_is(reading: Callable[..., Any], addresses: list[str]) -> None:
    """Its title is its own, one heading stands above all, and the navigation says where the reader is."""
    titles: dict[str, str] = {}
    async with reading() as reader:
        for address in addresses:
            await reader.open(address)
            title = await reader.page.title()
            assert titles.setdefault(title, address) == address, title
            assert await reader.page.locator("h1").count() == 1, address
            assert await reader.page.get_attribute("html", "lang") == "nb"
            assert await reader.page.locator("nav [aria-current]").count() <= 1, address


async def test_every_page_can_be_used_by_keyboard_alone(reading: Callable[..., Any], addresses: list[str]) -> None:
    """The first stop leads to the content; each is seen and marked; and the walk comes out at the end."""
    async with reading() as reader:
        for address in addresses:
            await reader.open(address)
            await reader.page.keyboard.press("Tab")
            assert await reader.page.evaluate("document.activeElement.className") == "skip", address
            await reader.page.keyboard.press("Enter")
            assert await reader.page.evaluate("document.activeElement.id") == "main", address
            stops, last = 0, -1
            while stops < 600:
                await reader.page.keyboard.press("Tab")
                focused = await reader.page.evaluate(FOCUSED)
                if focused is None or focused["number"] < last:
                    break
                assert focused["seen"], (address, focused)
                assert focused["marked"], (address, focused)
                stops, last = stops + 1, focused["number"]
            assert stops < 600, address


async def test_pages_say_the_same_without_scripts(reading: Callable[..., Any], addresses: list[str]) -> None:
    """Only what is live needs them."""
    async with reading(scripts=False) as reader:
        for address in addresses:
            await reader.open(address)
            assert await reader.page.locator("main h1").inner_text(), address
            assert await reader.page.locator("#live-lost:visible").count() == 0, address


async def test_print_has_the_content_alone(reading: Callable[..., Any], addresses: list[str]) -> None:
    """Neither navigation nor buttons."""
    async with reading() as reader:
        await reader.page.emulate_media(media="print")
        for address in addresses:
            await reader.open(address)
            assert await reader.page.locator("nav:visible, button:visible, form:visible").count() == 0, address
            assert await reader.page.locator("h1:visible").count() == 1, address
            await reader.page.screenshot(path=SCREENSHOTS / f"{file_name(address)}-print.png", full_page=True)


@pytest.mark.parametrize("language", ["nb", "en"])
async def test_no_page_has_words_of_the_product_or_of_another_language(
    reading: Callable[..., Any], addresses: list[str], language: str
) -> None:
    """But for what people wrote, and what stands as code."""
    foreign = ENGLISH_ONLY | (CODE_WORDS - NORWEGIAN - NAMES) if language == "nb" else NORWEGIAN_ONLY
    found = {}
    async with reading(language) as reader:
        for address in addresses:
            await reader.open(address)
            text = await reader.page.evaluate(TEXT)
            if strange := foreign & set(re.findall(r"[\w-]+", text)):
                found[address] = {one: _around(text, one) for one in sorted(strange)}
    assert not found, "\n".join(f"{address}: {words}" for address, words in found.items())


def _around(text: str, word: str) -> str:
    at = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
    return text[max(0, at.start() - 30) : at.end() + 30] if at else ""
