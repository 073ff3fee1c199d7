"""What people do on pages, in a real browser: with keys, on a telephone, with and without scripts."""

from __future__ import annotations

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
