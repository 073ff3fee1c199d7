"""What people do on pages, in a real browser: with keys, on a telephone, with and without scripts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scripts", [True, False])
async def test_navigation_is_one_row_on_a_telephone_and_opens_by_keyboard(
    reading: Callable[..., Any], *, scripts: bool
) -> None:
    """It names the page that is open; on a wide window all of it stands there."""
    async with reading(width=400, scripts=scripts) as reader:
        page = reader.page
        menu = page.locator("nav summary")
        box = await page.locator("nav").bounding_box()
        assert box is not None
        assert box["height"] < 48
        assert "Oversikt" in await menu.inner_text()
        await menu.focus()
        await page.keyboard.press("Enter")
        assert await page.locator("nav [aria-current=page]").inner_text() == "Oversikt"
        for _ in range(3):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{reader.site.root}/cutovers")
        assert await page.locator("nav li:visible").count() == 0
        await page.set_viewport_size({"width": 1280, "height": 900})
        assert await menu.is_hidden()
        assert await page.locator("nav li:visible").count() > 8
        await page.locator("nav a").first.focus()
        assert await page.evaluate("document.activeElement.textContent") == "Oversikt"


async def test_back_button_of_the_browser_goes_to_the_step_before(reading: Callable[..., Any]) -> None:
    """A step of the wizard answers a form, and is there all the same; whoever comes after a logout does not see it."""
    from playwright.async_api import Error, expect  # noqa: PLC0415 - not there where these tests do not run

    async with reading(name="kari") as reader:
        page = reader.page
        await reader.open("/cutovers/new?municipality=furudal&information=notat&mode=new")
        for step in ("Hvordan", "Når og på hvilke vilkår", "Se over"):
            await page.locator("main button[value=next]").click()
            await page.get_by_role("heading", level=1).wait_for()
            assert (await page.title()).startswith(step)
        await page.go_back()
        assert (await page.title()).startswith("Når og på hvilke vilkår")
        await page.locator("main button[value=next]").click()
        assert (await page.title()).startswith("Se over")
        await page.get_by_role("button", name="Logg ut").click()
        await page.wait_for_url(f"{reader.site.root}/login")
        # It asks to send the form again, which fails as a page.
        with contextlib.suppress(Error):
            await page.go_back()
        await page.wait_for_load_state()
        await expect(page.get_by_text("Furudal")).to_have_count(0)


async def test_form_of_an_override_shows_the_fields_of_the_chosen_mode(reading: Callable[..., Any]) -> None:
    """And sends no others, though they were filled in before another mode was chosen."""
    async with reading(name="ola-drift") as reader:
        page = reader.page
        await reader.open("/overrides")
        share, text = page.get_by_label("Andel av pasientene, i prosent"), page.get_by_label("Tekst til avsenderen")
        assert not await share.is_visible()
        await page.locator("input[name=mode][value=canary]").check()
        await share.fill("12,5")
        assert not await text.is_visible()
        assert await page.locator("details.more").is_visible()
        await page.locator("input[name=mode][value=closed]").check()
        assert not await share.is_visible()
        assert not await page.locator("details.more").is_visible()
        await text.fill("Stengt i dag")
        await page.get_by_label("Kommune").select_option("tangen")
        await page.locator("input[name=information][value=tiltaksplan]").check()
        await page.get_by_label("Begrunnelse").fill("Øvelse")
        await page.get_by_label("Sak").fill("INC-1")
        await page.get_by_label("Gjelder til").fill("31.02.2027 kl. 10.00")
        await page.get_by_role("button", name="Sett overstyring").click()
        await page.wait_for_selector(".errors")
        assert await page.locator("#error-until").inner_text() == (
            "Skriv en dato og et klokkeslett som finnes, for eksempel 01.12.2026 kl. 10.00."
        )
        assert await page.get_by_label("Gjelder til").input_value() == "31.02.2027 kl. 10.00"
        tomorrow = await page.evaluate(
            "new Date(Date.now() + 864e5).toLocaleDateString('de-DE', {day: '2-digit', month: '2-digit', year: 'numeric'})"
        )
        await page.get_by_label("Gjelder til").fill(f"{tomorrow} kl. 12.00")
        await page.get_by_role("button", name="Sett overstyring").click()
        await page.locator("tbody a", has_text="Tangen kommune").first.click()
        await page.wait_for_selector("h1:has-text('Overstyring: Tangen kommune')")
        assert "kl. 12.00" in await page.locator("main").inner_text()
        await page.get_by_label("Begrunnelse").first.fill("Ferdig øvd")
        await page.get_by_role("button", name="Avslutt").click()
        assert [one for one in reader.complaints if "status of 400" not in one] == []


async def test_all_fields_of_a_route_stand_there_without_scripts(reading: Callable[..., Any]) -> None:
    """Whichever mode they are of; those that say nothing with the chosen one are left alone."""
    async with reading(name="ola-drift", scripts=False) as reader:
        page = reader.page
        await reader.open("/overrides?municipality=tangen&information=diagnoser&mode=legacy&until=2026-11-30T08:00")
        assert await page.get_by_label("Andel av pasientene, i prosent").is_visible()
        assert await page.get_by_label("Tekst til avsenderen").is_visible()


@pytest.mark.parametrize("address", ["/", "/report", "/messages", "/overrides", "/vendors"])
async def test_no_column_is_cut_off_on_a_usual_window(reading: Callable[..., Any], address: str) -> None:
    """Nor on a telephone, where cells stand below each other with their columns' names."""
    for width in (1280, 400):
        async with reading(width=width) as reader:
            await reader.open(address)
            cut = await reader.page.evaluate(
                "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth + 1).length"
            )
            assert cut == 0, width


async def test_what_a_message_becomes_scrolls_within_itself_on_a_telephone(reading: Callable[..., Any]) -> None:
    """Also where a long line has a remark that only a screen reader tells."""
    async with reading(width=360) as reader:
        await reader.open("/try?rule=loss&place=MedicationDispense.batteryLevel&information=medisinering")
        await reader.page.get_by_role("button", name="Prøv meldingen").click()
        await reader.page.wait_for_selector("#result .tree")
        assert await reader.page.evaluate("document.documentElement.scrollWidth") == 360
