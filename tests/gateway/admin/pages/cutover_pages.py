"""What tests of the pages for cutovers do with them."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from gateway.config.plans import CutoverPlan
from gateway.ledger.cutovers import routes
from gateway.migration.schedule import moment
from gateway.model import Mode, Place
from gateway.routing.route import RouteSpec
from tests.gateway.admin.cutovers.conftest import AT, ONE, PLAN, ROOT, World, approve, ask
from tests.gateway.migration.cutovers.scene import config_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser, Page

PAGE = "/cutovers/nordfjell-1"
WATCHED = {**PLAN, "roll_back_when": {"failed_at_least": 0.05, "of_at_least": 20, "within": 900}}


async def click(browser: Browser, path: str, **fields: str) -> Page:
    """Send a form of a page."""
    return await browser.post(path, csrf=await browser.csrf(), **fields)


def hidden(page: Page, name: str) -> str:
    """Return what a form on a page brings along."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return found[1]


def plain(page: Page) -> str:
    """Return what a page says, without its tags."""
    text = re.sub(r"<(small|br|td|th|li|dd|dt|p|h[1-6]|b|span|a|tr|time|strong)\b[^>]*>", " ", page.text)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", text)).replace("\xa0", " ").split())


def in_file(world: World, *names: str) -> None:
    """Have plans in routes.yaml."""
    changed = routes("from-file", [RouteSpec(municipality="nordfjell", information=("notat",), mode=Mode.NEW)])
    place = Place("routes.yaml", 1, 1)
    world.configure(cutovers={one: CutoverPlan(one, moment(AT), changed, None, None, 1, place) for one in names})


def with_vendors(world: World, folder: Path, more: str = "") -> None:
    """Go on with a file that has vendors, senders and rehearsals."""
    file = config_of(folder, more=f"  - {{municipality: nordfjell, information: [notat], mode: rehearse}}\n{more}")
    names = ("upstreams", "municipalities", "vendors", "senders", "routes")
    world.configure(**{name: getattr(file, name) for name in names})


def offered(page: Page, action: str) -> bool:
    """Tell whether a page has the form of an action."""
    return f'action="{PAGE}/{action}"' in page.text


async def switched(world: World, nora: Browser, arne: Browser) -> None:
    """Have the cutover of these tests switch, and be watched."""
    plan = (await ask(nora, "POST", ROOT, WATCHED)).json
    await approve(arne, plan["hash"])
    await ask(nora, "POST", f"{ONE}/start", {"reason": "Nå"})
    await world.look()
