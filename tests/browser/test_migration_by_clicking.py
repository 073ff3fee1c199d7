"""A migration from its first look to its way back, by clicking, in Norwegian, as the planner and the approver of a municipality do it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import SCREENSHOTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import Locator, Page

pytestmark = pytest.mark.slow

PATIENCE = 60_000
"""Milliseconds for what the story's traffic brings about."""
_TRAFFIC = 150_000
"""Milliseconds in which chance surely brings one of the story's messages there: some eight come in a minute."""


def action(page: Page, title: str) -> Locator:
    """Return something that may be done with a cutover, folded until it is meant."""
    named = page.locator("summary").get_by_text(title, exact=True)
    return page.locator("details.confirm").filter(has=named)


async def _plan(page: Page) -> str:
    """Look at the municipality, plan to move what is ready, and submit that; return its name."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    await expect(page.get_by_role("heading", level=1)).to_have_text("Oversikt")
    await page.get_by_role("link", name="Furudal kommune").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Furudal kommune")
    await page.get_by_role("link", name="Planlegg omlegging av alt som er klart").first.click()
    for step in ("Hva som flyttes", "Hvordan", "Når og på hvilke vilkår"):
        await expect(page.locator(".stages [aria-current=step]")).to_have_text(step)
        if step.startswith("Når"):
            # An error stands at its field, and what was written is kept.
            await page.get_by_label("Minst så mange prøvekjørte").fill("mange")
            await page.get_by_role("button", name="Neste").click()
            await expect(page.locator(".errors")).to_be_visible()
            await expect(page.locator("[aria-invalid=true]")).to_have_value("mange")
            await page.locator("[aria-invalid=true]").fill("200")
        await page.get_by_role("button", name="Neste").click()
    await expect(page.locator("main")).to_contain_text(
        re.compile(r"Furudal kommune → ny tjeneste: 1 leverandør, (inntil )?\d+ meldinger i døgnet")
    )
    await expect(page.locator("main")).to_contain_text("Ingenting stopper omleggingen nå.")
    await page.screenshot(path=SCREENSHOTS / "clicking-1-looked-over.png", full_page=True)
    await page.get_by_role("button", name="Send inn til godkjenning").click()
    name = await page.get_by_role("heading", level=1).inner_text()
    assert name.startswith("furudal-")
    await expect(page.locator("#progress .tag")).to_have_text("venter på godkjenning")
    await expect(page.locator("main")).to_contain_text("Sendt inn av Petra.")
    return name


async def _approve(other: Page, root: str, name: str) -> None:
    """Find what waits, and approve it."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    await other.goto(root + "/")
    await other.get_by_role("link", name=name).first.click()
    await action(other, "Godkjenn").locator("summary").click()
    await other.get_by_label("Kommentar").fill("Avtalt i møtet")
    await action(other, "Godkjenn").get_by_role("button", name="Godkjenn").click()
    await expect(other.locator("#progress .tag")).to_have_text("godkjent")
    await expect(other.locator("main")).to_contain_text("«Avtalt i møtet»")


async def _begin_to_cancel(page: Page) -> None:
    """Write why, and think about it."""
    await action(page, "Avlys").locator("summary").click()
    await action(page, "Avlys").get_by_label("Begrunnelse").press_sequentially("Vi venter")


async def _start_after_all(page: Page) -> None:
    """See what may be done now come by itself; what is being written, and where, stays as it was."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    await expect(action(page, "Start nå")).to_be_visible(timeout=PATIENCE)
    await expect(page.locator("#offered")).to_contain_text("Start nå")
    reason = action(page, "Avlys").get_by_label("Begrunnelse")
    await expect(reason).to_have_value("Vi venter")
    await expect(reason).to_be_focused()
    await page.keyboard.type(" litt")
    await expect(reason).to_have_value("Vi venter litt")
    await action(page, "Avlys").locator("summary").click()


async def _start(page: Page) -> None:
    """Start it, and see it switch and messages come, without loading the page anew."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    await action(page, "Start nå").locator("summary").click()
    await action(page, "Start nå").get_by_label("Begrunnelse").fill("Alle er klare")
    await action(page, "Start nå").get_by_role("button", name="Start nå").click()
    await expect(page.locator("#progress .tag")).to_have_text("lagt om, overvåkes", timeout=PATIENCE)
    await expect(page.locator(".stages [aria-current=step]")).to_contain_text("Overvåkes")
    await expect(page.locator("#progress .watched")).to_contain_text(
        re.compile(r"[1-9]\d* gikk bra, 0 feilet"), timeout=_TRAFFIC
    )
    await page.screenshot(path=SCREENSHOTS / "clicking-2-watched.png", full_page=True)


async def _go_back(page: Page) -> None:
    """Take it back, which needs the municipality's name to be typed."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    back = action(page, "Rull tilbake")
    await back.locator("summary").click()
    await back.get_by_label("Begrunnelse").fill("Øvelse")
    await back.get_by_label(re.compile("Skriv")).fill("Granli kommune")
    await back.get_by_role("button", name="Rull tilbake").click()
    await expect(page.locator(".errors")).to_be_visible()
    await page.locator("#rollback-typed").fill("Furudal kommune")
    await action(page, "Rull tilbake").get_by_role("button", name="Rull tilbake").click()
    await expect(page.locator("#progress .tag")).to_have_text("rullet tilbake", timeout=PATIENCE)
    await expect(page.locator("main")).to_contain_text("Øvelse")
    await page.screenshot(path=SCREENSHOTS / "clicking-3-back.png", full_page=True)


async def _send_back(page: Page) -> None:
    """Have what the new service got sent to VKP, once somebody says that nobody reads it there any more."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    back = page.locator("#back")
    await expect(back).to_contain_text(re.compile(r"\d+ er ikke hentet"), timeout=PATIENCE)
    await back.get_by_role("link", name=re.compile("Send .*tilbake")).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Send tilbake til VKP")
    await expect(page.locator("main")).to_contain_text("Furudal kommune")
    await page.get_by_label("Begrunnelse").fill("Gerica leser ikke lenger")
    await page.get_by_label(re.compile("Skriv «Furudal kommune»")).fill("Furudal kommune")
    await page.get_by_role("button").and_(page.locator(".grave")).click()
    await expect(page.locator("#error-confirm")).to_be_visible()
    await page.get_by_role("checkbox").check()
    await page.get_by_label(re.compile("Skriv «Furudal kommune»")).fill("Furudal kommune")
    await page.get_by_role("button").and_(page.locator(".grave")).click()
    await expect(page.locator("#job")).to_contain_text(re.compile(r"sendt tilbake: [1-9]"), timeout=PATIENCE)
    await expect(page.locator("#job .tag")).to_have_text("ferdig", timeout=PATIENCE)
    await page.screenshot(path=SCREENSHOTS / "clicking-4-sent-back.png", full_page=True)


async def test_municipality_is_moved_and_taken_back_by_clicking(reading: Callable[..., Any]) -> None:
    """Looked at, planned, approved by somebody else, started, watched live, rolled back, sent back; each says where it has come."""
    from playwright.async_api import expect  # noqa: PLC0415 - not there where these tests do not run

    async with reading(name="petra") as planner, reading(name="anders") as approver:
        page, root = planner.page, planner.site.root
        name = await _plan(page)
        assert await action(page, "Godkjenn").count() == 0, "nobody approves a plan of their own"
        await _begin_to_cancel(page)
        await _approve(approver.page, root, name)
        await _start_after_all(page)
        await _start(page)
        await _go_back(page)
        await _send_back(page)
        await page.goto(f"{root}/municipalities/furudal")
        await expect(page.locator("#cells .mode-rehearse").first).to_be_visible()
        assert await page.locator("#cells .mode-new").count() == 0
        # What was filled in wrong is answered with 400, which the browser mentions.
        assert [one for one in (*planner.complaints, *approver.complaints) if "status of 400" not in one] == []
