"""The page of a cutover while it is open: what it tells, and what may be done, come by themselves."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.gateway.admin.cutovers.conftest import World, approve, arne, office, submit, world
from tests.gateway.admin.pages.cutover_pages import PAGE
from tests.gateway.admin.pages.test_cutovers_page import switched

if TYPE_CHECKING:
    from tests.gateway.office import Browser

__all__ = ["arne", "office", "world"]


async def live(world: World, browser: Browser, seen: str = "") -> dict[str, str]:
    """Return the regions of a cutover's page as its stream has them first."""
    if not seen:
        found = re.search(rf'data-live="{PAGE}/live[?]hash=(\w+)"', (await browser.get(PAGE)).text)
        assert found is not None
        seen = found[1]
    told: dict[str, str] = {}
    async with world.office.http.get(
        world.office.address + f"{PAGE}/live?hash={seen}",
        headers={"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())},
    ) as stream:
        while "history" not in told:
            event = json.loads((await stream.content.readuntil(b"\r\n\r\n")).decode().removeprefix("data: "))
            told[event["id"]] = event["html"]
    return told


async def test_live_regions_tell_how_it_goes(world: World, nora: Browser, arne: Browser) -> None:
    """The same that the page has, as it changes."""
    await switched(world, nora, arne)
    await world.site.decided("accepted", 3)
    told = await live(world, nora)
    assert "3 gikk bra, 0 feilet." in told["progress"]
    assert f'action="{PAGE}/rollback"' in told["actions"]
    assert "Nå kan du gjøre dette: Rull tilbake." in told["offered"]
    assert "lagt om" in told["history"]
    assert told["preflight"].strip() == ""


async def test_what_may_be_done_comes_with_the_live_regions(world: World, nora: Browser, arne: Browser) -> None:
    """For the plan that was read alone: of another nothing is offered until somebody has read it."""
    plan = (await submit(nora)).json
    assert f'action="{PAGE}/start"' not in (await live(world, nora))["actions"]
    assert f'action="{PAGE}/approve"' in (await live(world, arne))["actions"]
    await approve(arne, plan["hash"])
    told = await live(world, nora)
    assert f'action="{PAGE}/start"' in told["actions"]
    assert 'name="csrf"' in told["actions"]
    told = await live(world, nora, seen="another")
    assert "<form" not in told["actions"]
    assert "Planen er endret siden siden ble lastet." in told["actions"]
    assert told["offered"].strip() == ""
