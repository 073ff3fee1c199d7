"""An admin port with everything behind it that its API tells of: people, programs, messages, overrides, panics, cutovers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.admin.status import Reload
from gateway.ledger import decision_log, rehearsals
from gateway.ledger.decision_log import PastDecision
from gateway.ledger.rehearsals import CountedVerdict, RehearsalVerdict, hour_of
from gateway.routing.table import RouteTable
from service_stubs.logins import TestPerson
from tests.gateway.admin.shelf import at
from tests.gateway.migration.cutovers.scene import config_of
from tests.gateway.office import ARNE, NORA, NOW, PERSONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Office

PAULA = TestPerson(sub="paula", name="Paula", pid_pseudonym="p-paula")
EVERYBODY = PERSONS + "    paula: {claim: sub, value: paula, roles: [operator, planner, approver, viewer]}\n"
"""One person who has every role, beside the others."""
CALLERS = ["session", "session", "token", "token", "nordfjell", "approver", "stranger"]
"""The session is Paula's."""
_MESSAGES = {"quarantine": "messages", "decisions": "messages"}


@dataclass(repr=False)
class Scene:
    """Who may ask, by the fields that they send; and what paths may name, the newest first."""

    office: Office
    shelf: Shelf
    callers: dict[str, dict[str, str]] = field(default_factory=dict)
    there: dict[str, list[str]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    """Of the plans of cutovers, by name."""
    stocked: int = 0

    async def log_in(self) -> None:
        """Let three people and a program in."""
        for name, who in (("session", PAULA), ("nordfjell", NORA), ("approver", ARNE)):
            browser = self.office.browser()
            await browser.enter(who)
            cookie = "; ".join(f"{one}={value}" for one, value in browser.cookies.items())
            own = {"Cookie": cookie, "Origin": self.office.origin, "Sec-Fetch-Site": "same-origin"}
            self.callers[name] = {**own, "X-CSRF-Token": await browser.csrf()}
        self.callers["stranger"] = {}
        self.callers["token"] = {"Authorization": f"Bearer {await self.token('n')}"}

    async def token(self, name: str) -> str:
        """Make an API token with every role that one may have."""
        wanted = {"name": name, "roles": ["operator", "planner", "viewer"], "days": 3}
        status, made = await self._post("/api/tokens", wanted)
        assert status == 201, made
        return str(made["token"])

    async def stock(self) -> None:
        """Put something of each kind there, since requests end, send and discard what there is."""
        self.stocked += 1
        number = self.stocked
        # A patient's messages wait for one that is held, so each is of another one.
        await self.shelf.quarantined(f"q-{number}", patient=f"q-{number}")
        await self.shelf.delivered(f"d-{number}", overdue=True, patient=f"d-{number}")
        for name in (f"q-{number}", f"d-{number}"):
            self._keep("messages", name)
        row = PastDecision(
            NOW, f"d-{number}", "vkp-r4", "nordfjell", "s", "v", "y", "varsel", "new", None, None, "p", "a"
        )
        await self.shelf.ledger.store.write(lambda each: decision_log.write(each, [row]))
        change = {"municipality": "nordfjell", "information": ["notat"], "mode": "rehearse"}
        until = at(NOW + 3600)
        await self._make("overrides", "id", **change, reason="Feil", ticket="INC-7", until=until)
        await self._make("panics", "id", municipality="sorvik", reason="Feil")
        await self._make("cutovers", "name", name=f"c-{number}", at=at(NOW + 300), set=[change])

    def named(self, path: str, number: int) -> str:
        """Return something that the place of a path may name."""
        kind = path.removeprefix("/api/v1").removeprefix("/api").split("/")[1]
        names = self.there.get(_MESSAGES.get(kind, kind), ["none"])
        return names[number % len(names)]

    async def _make(self, kind: str, called: str, /, **body: Any) -> None:
        """Make something that paths may name, where nothing stands in its way that is there already."""
        status, document = await self._post(f"/api/v1/{kind}", body)
        assert status in (201, 409), document
        if status == 201:
            self._keep(kind, document[called])
            self.hashes[document[called]] = document.get("hash", "")

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        url, headers = self.office.address + path, self.callers["session"]
        async with self.office.http.post(url, json=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.text())

    def _keep(self, kind: str, name: str) -> None:
        """Let paths name something, and no longer what came long before."""
        self.there[kind] = [name, *self.there.get(kind, [])][:4]


async def scene_of(office: Office, shelf: Shelf, folder: Path) -> Scene:
    """Put people, messages, overrides, panics and cutovers there; the office must have let `EVERYBODY` in."""
    made = Scene(office, shelf)
    config = config_of(folder)
    office.port.ledger.use(shelf.ledger, shelf.keys, config)
    table = RouteTable.compile(config)
    office.port.report.use(lambda: table)

    async def reload() -> Reload:
        return Reload(NOW, True, (), 2)

    office.port.reloads.use(reload)
    counted = CountedVerdict(hour_of(NOW), "nordfjell", "v", "y", "varsel", RehearsalVerdict.CLEAN, "")
    await shelf.ledger.store.write(lambda each: rehearsals.add(each, {counted: 7}))
    await shelf.delivered("d")
    await made.log_in()
    await made.stock()
    return made
