"""An admin port with planners and approvers, a ledger, and cutovers in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway.migration.scheduler import Scheduler
from service_stubs.logins import TestPerson
from tests.gateway.migration.cutovers.scene import Site
from tests.gateway.office import ARNE, NOW, PERSONS, PSEUDONYM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.config.model import Config
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office, Page

ROOT = "/api/v1/cutovers"
ONE = f"{ROOT}/nordfjell-1"
AT = NOW + 300
WHY = {"reason": "Avtalt med kommunen"}
PETTER = TestPerson(sub="petter", name="Petter", pid_pseudonym="p-petter")
MONA = TestPerson(sub="mona", name="Mona", pid_pseudonym="p-mona")
MORE = f"""\
    petter: {{claim: sub, value: petter, roles: [planner, approver]}}
    mona: {{claim: "{PSEUDONYM}", value: p-mona, roles: [approver, viewer], municipalities: [sorvik]}}
"""
PLAN: dict[str, Any] = {
    "name": "nordfjell-1",
    "at": datetime.fromtimestamp(AT, UTC).isoformat(),
    "set": [{"municipality": "nordfjell", "information": ["notat", "tilsyn"], "mode": "new"}],
}
GATED = {**PLAN, "gate": {"rehearsed_at_least": 200, "clean_at_least": 0.995, "within": 604_800}}


class World:
    """An admin port with people, a ledger, and cutovers in it."""

    def __init__(self, office: Office, shelf: Shelf) -> None:
        self.office, self.shelf = office, shelf
        self.site = Site(shelf.ledger.store, office.clock, office.config)  # type: ignore[arg-type] # the clock of an office is alike

    async def person(self, who: TestPerson) -> Browser:
        """Let somebody log in."""
        browser = self.office.browser()
        await browser.enter(who)
        return browser

    def configure(self, **changed: Any) -> Config:
        """Go on with another configuration."""
        self.site.config = replace(self.office.config, **changed)
        self.office.port.ledger.use(self.shelf.ledger, self.shelf.keys, self.site.config)
        return self.site.config

    async def look(self) -> None:
        """Let a node do what is to be done."""
        await Scheduler(self.shelf.ledger, lambda: self.site.config, self.office.clock).look()

    async def actions(self) -> list[str]:
        """Return what the audit has."""
        return [note.action for note in await self.shelf.audited()]


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with planners and approvers."""
    return await open_office(persons=PERSONS + MORE)


@pytest.fixture
def world(office: Office, shelf: Shelf) -> World:
    """Put a ledger behind it."""
    return World(office, shelf)


@pytest.fixture
async def arne(office: Office) -> Browser:
    """Let an approver log in."""
    browser = office.browser()
    await browser.enter(ARNE)
    return browser


async def ask(browser: Browser, method: str, path: str, body: object = None, **headers: str) -> Page:
    """Send JSON as a page does."""
    given = {"X-CSRF-Token": await browser.csrf(), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await browser.ask(method, path, json={} if body is None else body, headers=given)


async def submit(browser: Browser, **changed: Any) -> Page:
    """Submit the plan of these tests."""
    return await ask(browser, "POST", ROOT, {**PLAN, **changed})


async def approve(browser: Browser, plan_hash: str) -> Page:
    """Approve a plan by its hash."""
    return await ask(browser, "POST", f"{ONE}/approve", {"hash": plan_hash})
