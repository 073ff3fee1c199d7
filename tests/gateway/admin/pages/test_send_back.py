"""The pages for sending back to VKP: a confirmation, a reason and a name first, then how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.gateway.admin.pages.cutover_pages import plain
from tests.gateway.admin.shelf import PATIENT
from tests.gateway.admin.test_rollback import CONFIRMATION, SINCE, audited, ended, scene

if TYPE_CHECKING:
    from tests.gateway.office import Browser, Page
    from tests.gateway.return_scene import Scene

__all__ = ["scene"]
NEW = "/returns/new"
ASKED = {"municipality": "havnes", "since": SINCE}
LINK = f"{NEW}?{urlencode(ASKED)}"
SURE = {**ASKED, "confirm": CONFIRMATION, "reason": "Gerica er stanset", "typed": "Havnes"}


async def send(browser: Browser, **changed: str) -> Page:
    """Send the form with the page's own token."""
    return await browser.post(NEW, csrf=await browser.csrf(), **{**SURE, **changed})


async def test_page_says_how_much_there_is_before_anything_is_sent(scene: Scene, olga: Browser) -> None:
    """By what can become of it."""
    await scene.delivered()
    await scene.held()
    page = await olga.get(LINK)
    for shown in ("1 er ikke hentet", "1 er ikke levert ennå", "Skriv «havnes» for å bekrefte"):
        assert shown in plain(page), shown
    assert await audited(scene) == []


async def test_nothing_is_offered_when_nothing_is_left(scene: Scene, olga: Browser) -> None:
    """What has gone back stays told; there is no form for it."""
    await scene.delivered()
    assert 'action="/returns/new"' in (await olga.get(LINK)).text
    await send(olga)
    await ended(scene)
    page = await olga.get(LINK)
    for shown in ("1 er sendt tilbake til VKP", "Ingenting av dette kan sendes tilbake."):
        assert shown in plain(page), shown
    assert 'action="/returns/new"' not in page.text


async def test_it_is_sent_when_somebody_has_confirmed_it_by_name(scene: Scene, olga: Browser) -> None:
    """Its page tells what became of each; whoever may view sees it, and nobody sends it twice."""
    first = await scene.delivered()
    page = await send(olga)
    assert page.status == 303, page.text
    await ended(scene)
    told = plain(await olga.get(page.location))
    for shown in ("ferdig", "sendt tilbake: 1"):
        assert shown in told, shown
    assert await scene.states(first) == ["returned"]
    assert await audited(scene) == [("rollback.send", "havnes", "Gerica er stanset")]


async def test_what_is_missing_is_told_at_its_field(scene: Scene, olga: Browser) -> None:
    """And nothing is sent; what was written is kept, but for a number."""
    first = await scene.delivered()
    for changed, told in (
        ({"confirm": ""}, "Bekreft at journalsystemet har sluttet å lese"),
        ({"typed": "Nordfjell"}, "Navnet stemmer ikke."),
        ({"reason": ""}, "Skriv en begrunnelse"),
        ({"reason": f"om {PATIENT}"}, "Skriv en begrunnelse"),
    ):
        page = await send(olga, **changed)
        assert (page.status, told in page.text, PATIENT in page.text) == (400, True, False)
        assert ("Gerica er stanset" in page.text) is ("reason" not in changed)
    assert await scene.states(first) == ["delivered"]
    assert await audited(scene) == []


async def test_only_operators_of_the_place_send(scene: Scene, vera: Browser, nora: Browser, olga: Browser) -> None:
    """Also when they know the address."""
    await scene.delivered()
    for browser in (vera, nora):
        assert (await browser.get(LINK)).status == 403
        assert (await send(browser)).status == 403
    assert (await olga.post(NEW, **SURE)).status == 403
    assert (await olga.get(f"{NEW}?municipality=havnes&since=x")).status == 400
    assert (await olga.get("/returns/none")).status == 404
    assert await audited(scene) == []
