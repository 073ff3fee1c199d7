"""The page of a cutover while it is open: what it tells, and what may be done, come by themselves."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.gateway.admin.cutovers.conftest import MONA, World, approve, submit
from tests.gateway.admin.pages.cutover_pages import PAGE, in_file, switched

if TYPE_CHECKING:
    from tests.gateway.office import Browser


async def live(world: World, browser: Browser, seen: str = "") -> dict[str, str]:
    """Return the regions of a cutover's page as its stream has them first."""
    if not seen:
        found = re.search(rf'data-live="{PAGE}/live[?]hash=(\w+)"', (await browser.get(PAGE)).text)
        assert found is not None
        seen = found[1]
    return await streamed(world, browser, f"{PAGE}/live?hash={seen}", "history")


async def streamed(world: World, browser: Browser, address: str, last: str) -> dict[str, str]:
    """Return the regions that a stream tells of first, up to the last of them."""
    told: dict[str, str] = {}
    async with world.office.http.get(
        world.office.address + address,
        headers={"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())},
    ) as stream:
        assert stream.status == 200
        while last not in told:
            event = json.loads((await stream.content.readuntil(b"\r\n\r\n")).decode().removeprefix("data: "))
            told[event["id"]] = event["html"]
    return told


async def listed(world: World, browser: Browser, query: str = "") -> dict[str, str]:
    """Return the regions of the list as its stream has them first."""
    return await streamed(world, browser, f"/inbox/live{query}", "waiting")


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


async def test_list_and_inbox_are_kept_up_to_date(world: World, nora: Browser, arne: Browser) -> None:
    """What waits for somebody comes and goes by itself, and is said aloud; the rest is as it was asked for."""
    told = await listed(world, arne)
    assert "Ingen omlegging venter på din godkjenning." in told["inbox"]
    assert told["count"].strip() == ""
    plan = (await submit(nora)).json
    told = await listed(world, arne)
    assert f'href="{PAGE}#approve"' in told["inbox"]
    assert told["count"].strip() == "Til godkjenning hos deg: 1"
    assert "venter på godkjenning" in told["all"]
    assert PAGE not in (await listed(world, arne, "?state=finished"))["all"]
    await approve(arne, plan["hash"])
    told = await listed(world, arne)
    assert PAGE not in told["inbox"]
    assert "godkjent" in told["all"]


async def test_list_has_the_address_of_what_it_was_asked_for(world: World, nora: Browser) -> None:
    """So that what comes by itself is of the same state and part."""
    del world
    page = await nora.get("/cutovers?state=approved&cursor=nordfjell-0")
    assert 'data-live="/inbox/live?cursor=nordfjell-0&amp;state=approved"' in page.text
    assert 'data-live="/inbox/live?"' in (await nora.get("/cutovers")).text


async def test_live_list_is_narrowed_to_the_grants_of_who_reads(world: World, nora: Browser) -> None:
    """Of other municipalities nothing is told."""
    await submit(nora)
    in_file(world, "from-file")
    told = await listed(world, await world.person(MONA))
    assert not any("nordfjell" in one or "from-file" in one for one in told.values())
