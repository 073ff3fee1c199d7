"""Two people at once, in a real browser: who is too late reads why and goes on, and what others do comes by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.browser.conftest import SCREENSHOTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import Locator, Page

pytestmark = pytest.mark.slow

_OUTAGE = 150_000
"""Milliseconds in which the story's messages surely show it: a breaker opens after some failures in a row."""

SEND = """async ([path, body]) => {
  const csrf = (await (await fetch("/api/me")).json()).csrf;
  const headers = {"Content-Type": "application/json", "X-CSRF-Token": csrf};
  const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
  return [answer.status, await answer.json()];
}"""


def action(page: Page, title: str) -> Locator:
    """Return something that may be done with a cutover."""
    return page.locator("details.confirm").filter(has=page.locator("summary").get_by_text(title, exact=True))


async def send(page: Page, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Do something as who is logged in, as a program would."""
    status, told = await page.evaluate(SEND, [path, body])
    assert status < 300, told
    return dict(told)


async def submit(page: Page, name: str, **more: Any) -> dict[str, Any]:
    """Submit a cutover of Tangen's notes that switches tomorrow."""
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")  # noqa: TID251 - the demo's own clock
    change = {"municipality": "tangen", "information": ["notat"], "mode": "rehearse"}
    return await send(page, "/api/v1/cutovers", {"name": name, "at": at, "set": [change], **more})


async def test_who_approves_too_late_reads_why_and_goes_on(reading: Callable[..., Any]) -> None:
    """Without loading anything anew: the page stands at its own address, and follows what happens next."""
    from playwright.async_api import expect  # noqa: PLC0415 - not there where these tests do not run

    async with reading(name="petra") as planner, reading(name="anders") as quick, reading(name="berit") as late:
        root, page = planner.site.root, late.page
        plan = await submit(planner.page, "tangen-too-late")
        address = f"{root}/cutovers/tangen-too-late"
        await page.goto(address)
        await action(page, "Godkjenn").locator("summary").click()
        await page.get_by_label("Kommentar").press_sequentially("Greit")
        await send(quick.page, "/api/v1/cutovers/tangen-too-late/approve", {"hash": plan["hash"]})
        await action(page, "Godkjenn").get_by_role("button", name="Godkjenn").click()
        why = page.locator(".errors")
        await expect(why).to_contain_text("Omleggingen kan ikke godkjennes nå. Nå er den «godkjent».")
        await expect(why).to_be_focused()
        assert page.url == address
        await expect(action(page, "Godkjenn")).to_have_count(0)
        await expect(action(page, "Avvis")).to_be_visible()
        await send(planner.page, "/api/v1/cutovers/tangen-too-late/cancel", {"reason": "Øvelse"})
        await expect(page.locator("#progress .tag")).to_have_text("avlyst")
        await expect(action(page, "Avvis")).to_have_count(0)
        await page.get_by_role("link", name="English").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("tangen-too-late")
        assert page.url == f"{address}?lang=en"
        assert [one for one in late.complaints if "status of 409" not in one] == []


async def test_a_refused_button_says_why_until_what_it_does_cannot_be_done(reading: Callable[..., Any]) -> None:
    """Its form keeps what was written, and is sent again with the newest version of the cutover."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    async with reading(name="petra") as planner, reading(name="anders") as approver:
        page, path = planner.page, "/api/v1/cutovers/tangen-gated"
        gate = {"rehearsed_at_least": 5000, "clean_at_least": 0.99, "within": 604_800}
        plan = await submit(page, "tangen-gated", gate=gate, approvals=1)
        await send(approver.page, f"{path}/approve", {"hash": plan["hash"]})
        await page.goto(f"{planner.site.root}/cutovers/tangen-gated")
        start = action(page, "Start nå")
        for reason in ("Alle er klare", "Alle er helt klare"):
            await start.locator("summary").click() if reason == "Alle er klare" else None
            await start.get_by_label("Begrunnelse").fill(reason)
            await start.get_by_role("button", name="Start nå").click()
            await expect(start.locator(".error")).to_contain_text("Den kan ikke startes nå. Ingenting er prøvekjørt")
            await expect(start.get_by_label("Begrunnelse")).to_have_value(reason)
        await send(approver.page, f"{path}/reject", {"hash": plan["hash"], "reason": "Ikke nå"})
        await expect(page.locator("#progress .tag")).to_have_text("avvist av en godkjenner")
        await expect(start).to_have_count(0)


async def test_inbox_and_list_follow_what_others_do(reading: Callable[..., Any]) -> None:
    """What waits comes and goes while the list is open, and where somebody stands stays theirs."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    async with reading(name="petra") as planner, reading(name="anders") as approver:
        page = approver.page
        await approver.open("/cutovers")
        await page.get_by_label("Vis bare").focus()
        plan = await submit(planner.page, "tangen-inbox")
        card = page.locator("#inbox .card").filter(has_text="tangen-inbox")
        await expect(card).to_be_visible()
        await expect(page.locator("#count")).to_have_text(re.compile(r"Til godkjenning hos deg: \d+"))
        await expect(page.locator("#all tr").filter(has_text="tangen-inbox")).to_contain_text("venter på godkjenning")
        await expect(page.get_by_label("Vis bare")).to_be_focused()
        await send(page, "/api/v1/cutovers/tangen-inbox/approve", {"hash": plan["hash"]})
        await expect(card).to_have_count(0)
        await expect(page.locator("#all tr").filter(has_text="tangen-inbox")).to_contain_text("godkjent")
        await send(planner.page, "/api/v1/cutovers/tangen-inbox/cancel", {"reason": "Øvelse"})
        await expect(page.locator("#all tr").filter(has_text="tangen-inbox")).to_contain_text("avlyst")
        assert approver.complaints == []


async def test_outage_comes_to_the_overview_and_goes_by_itself(reading: Callable[..., Any]) -> None:
    """While it lasts the page says what is away, since when, and that nothing is lost; the next page says more."""
    from playwright.async_api import expect  # noqa: PLC0415 - said above

    async with reading(name="petra") as planner, reading("en", name="per") as other:
        page, jft = planner.page, planner.site.jft
        await planner.open("/")
        await other.open("/")
        told = page.locator("#away")
        await expect(told).to_be_empty()
        try:
            await _behave(jft, status=503, times=-1)
            await expect(told).to_contain_text(
                re.compile("Svarer ikke siden .+: journalføringstjenesten"), timeout=_OUTAGE
            )
            await expect(told).to_contain_text("Ingenting er tapt")
            await expect(other.page.locator("#away")).to_contain_text("Nothing is lost")
            await page.screenshot(path=SCREENSHOTS / "outage.png", full_page=True)
            await told.get_by_role("link", name="Se mer på siden Helse").click()
            await expect(page.locator("#health .warning")).to_contain_text("journalføringstjenesten (JFT) siden")
        finally:
            await _behave(jft, times=0)
        await expect(other.page.locator("#away")).to_be_empty(timeout=_OUTAGE)
        assert planner.complaints == []


async def _behave(jft: str, **how: object) -> None:
    """Tell the double how to answer."""
    async with aiohttp.ClientSession() as session, session.post(f"{jft}/stub/behaviour", json=how) as answer:
        assert answer.status == 204
