"""What a cutover's page says when somebody was quicker, or something stops it: why, how it is now, and what may be done next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.gateway.admin.cutovers.conftest import GATED, ONE, PETTER, PLAN, ROOT, World, approve, ask, submit
from tests.gateway.admin.pages.cutover_pages import PAGE, click, hidden, offered, plain

if TYPE_CHECKING:
    from tests.gateway.office import Browser, Page

pytestmark = pytest.mark.usefixtures("world")


def why(page: Page) -> str:
    """Return what the page says of why it was not done, at its top."""
    found = re.search(r'<div class="errors".*?</div>', page.text, re.DOTALL)
    assert found is not None, page.text
    return " ".join(re.sub(r"<[^>]*>", " ", found[0]).split())


def is_at_home(page: Page) -> bool:
    """Tell whether the page is the cutover's own, which is loaded anew without sending a form again."""
    return f'data-address="{PAGE}"' in page.text and f'href="{PAGE}?lang=en"' in page.text


async def test_who_approves_too_late_is_told_who_was_quicker(world: World, nora: Browser, arne: Browser) -> None:
    """And sees the cutover as it is now, with nothing that cannot be done any more."""
    plan = (await submit(nora)).json
    petter = await world.person(PETTER)
    assert (await approve(petter, plan["hash"])).status == 200
    assert "data-address" not in (await arne.get(PAGE)).text
    page = await click(arne, f"{PAGE}/approve", hash=plan["hash"], comment="Greit")
    assert page.status == 409
    assert "Omleggingen kan ikke godkjennes nå." in why(page)
    assert "Nå er den «godkjent». Det siste som skjedde: godkjent, av seg selv," in why(page)
    assert not offered(page, "approve")
    assert offered(page, "reject")
    assert is_at_home(page)


async def test_of_a_plan_that_changed_the_new_one_is_shown_and_can_be_approved(nora: Browser, arne: Browser) -> None:
    """Without going anywhere else, once it was read; what was written stays."""
    await submit(nora)
    seen = hidden(await arne.get(PAGE), "hash")
    await ask(nora, "PUT", ONE, {**PLAN, "approvals": 1, "at": "2026-12-01T06:00"}, If_Match='"1"')
    page = await click(arne, f"{PAGE}/approve", hash=seen, comment="Avtalt i møtet")
    assert page.status == 409
    assert "Planen ble endret mens du leste den" in why(page)
    assert "Det siste som skjedde: planen ble endret, Nora," in why(page)
    assert "1. des. kl. 06.00" in plain(page)
    assert 'value="Avtalt i møtet"' in page.text
    assert f'data-live="{PAGE}/live?hash={hidden(page, "hash")}"' in page.text
    assert (await click(arne, f"{PAGE}/approve", hash=hidden(page, "hash"))).status == 303


async def test_what_stops_a_start_is_told_by_name(nora: Browser, arne: Browser) -> None:
    """As the preflight tells it, and at the button too, which stays there."""
    plan = (await ask(nora, "POST", ROOT, GATED)).json
    await approve(arne, plan["hash"])
    page = await click(nora, f"{PAGE}/start", version="2", reason="Alle er klare")
    assert page.status == 409
    assert "Den kan ikke startes nå. Ingenting er prøvekjørt siste 7 døgn. Kravet er minst 200" in why(page)
    assert page.text.count("Ingenting er prøvekjørt siste 7 døgn.") == 3
    assert offered(page, "start")
    assert 'value="Alle er klare"' in page.text
    assert is_at_home(page)


@pytest.mark.parametrize("action", ["start", "postpone", "cancel"])
async def test_who_steers_too_late_is_told_what_happened(nora: Browser, arne: Browser, action: str) -> None:
    """By whom and when; the buttons that are left are for the newest version."""
    plan = (await submit(nora)).json
    version = hidden(await nora.get(PAGE), "version")
    await approve(arne, plan["hash"])
    page = await click(nora, f"{PAGE}/{action}", version=version, reason="Vi venter", at="2026-12-01T06:00")
    assert page.status == 412
    assert "Dette er endret i mellomtiden." in why(page)
    assert "Nå er den «godkjent»." in why(page)
    assert hidden(page, "version") != version
    again = await click(nora, f"{PAGE}/{action}", version=hidden(page, "version"), reason="Vi", at="2026-12-01T06:00")
    assert again.status == 303


async def test_in_english_it_is_told_in_english(nora: Browser, arne: Browser) -> None:
    """The page that follows is asked for at the cutover's own address."""
    await submit(nora)
    await arne.get(f"{PAGE}?lang=en")
    page = await click(arne, f"{PAGE}/approve", hash="0" * 64)
    assert "The plan was changed while you read it" in why(page)
    assert f'href="{PAGE}?lang=nb"' in page.text
