"""A municipality that is moved: the people who move it, what was sent, and which side has each message."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.config.model import Role
from service_stubs.logins import TestPerson
from tests.gateway.end_to_end.traffic import Kind, marked, numbers_of
from tests.gateway.office import NOW, Browser, Office, Page
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

PEOPLE_CLIENT, VKP_CLIENT = "people-client", "gateway-at-vkp"
PEOPLE_SCOPES = [
    *("openid", "profile"),
    *("helseid://scopes/identity/security_level", "helseid://scopes/identity/pid_pseudonym"),
]
VKP_SCOPES = [f"nhn:vkp/api/user/{each}.write" for each in ("bundle", "composition", "encounter", "medicationdispense")]
PETTER, ARNE, OLGA = (
    TestPerson(sub=each, name=each.title(), pid_pseudonym=f"p-{each}") for each in ("petter", "arne", "olga")
)
"""Who plans, and may approve what others plan; who approves; who operates."""
_ROLES = {
    "petter": (Role.PLANNER, Role.APPROVER),
    "arne": (Role.APPROVER, Role.VIEWER),
    "olga": (Role.OPERATOR, Role.VIEWER),
}

HOUR = 3600.0
AT = NOW + 4 * HOUR
"""When the cutover switches."""
CUTOVER = "nordfjell-1"
LOSSES = ", losses: [Composition.unheard]"
HISTORY = ", code_history: {alert: until-2022-01-14}"
_TOP = """\
cutovers:
  {cutover}:
    at: {at}
    set:
      - {{municipality: nordfjell, information: [journaling], mode: new{losses}}}
    gate: {{rehearsed_at_least: 100, clean_at_least: 99.5%, within: 2h}}
    roll_back_when: {{failed_at_least: 20%, of_at_least: 20, within: 15m}}
    approvals: 1
people:
  url: "http://127.0.0.1:{admin}"
  helseid: {{client_id: {client}, key_file: key.json}}
  persons:
{persons}"""


def top(admin: int) -> str:
    """Return the cutover and the people of routes.yaml."""
    persons = "".join(
        f"    {name}: {{claim: sub, value: {name}, roles: [{', '.join(roles)}]}}\n" for name, roles in _ROLES.items()
    )
    at = datetime.fromtimestamp(AT, UTC).isoformat()
    return _TOP.format(cutover=CUTOVER, at=at, losses=LOSSES, admin=admin, client=PEOPLE_CLIENT, persons=persons)


def routes(losses: str = "") -> str:
    """Return routes that rehearse the municipality's journaling."""
    return (
        "  - {mode: legacy}\n"
        '  - {municipality: havnes, mode: closed, text: "Ikke ennå."}\n'
        f"  - {{municipality: nordfjell, information: [journaling], mode: rehearse{losses}}}\n"
    )


def everywhere(history: str = "") -> str:
    """Return the sender whose alert codes are of a superseded table."""
    return f'{{vkp_id: Everywhere, her_id: "99001", municipalities: all{history}}}'


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, and what its sender was told."""

    number: int
    kind: Kind
    body: bytes
    answer: Answer


@dataclass
class Migration:
    """A gateway between its doubles, the people at its admin port, and what was sent."""

    world: World
    office: Office
    sent: list[Sent] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def send(self, kind: Kind) -> Sent:
        """Send a message of its own."""
        number = next(self.numbers)
        return await self._post(number, kind, marked(kind.body, number))

    async def again(self, sent: Sent) -> Sent:
        """Send the same bytes once more, as a sender does that was told of a failure."""
        return await self._post(sent.number, sent.kind, sent.body)

    async def send_each(self, kinds: tuple[Kind, ...], count: int) -> list[Sent]:
        """Send so many messages, of each kind in turn."""
        return [await self.send(kind) for kind in itertools.islice(itertools.cycle(kinds), count)]

    async def _post(self, number: int, kind: Kind, body: bytes) -> Sent:
        token = self.world.token(vkp_id=kind.vkp_id)
        answer = await self.world.post(f"/epj/r4/{NORDFJELL}/{kind.path}", body, token=token)
        self.sent.append(Sent(number, kind, body, answer))
        return self.sent[-1]

    @property
    def bodies(self) -> dict[int, bytes]:
        """What was sent, by number."""
        return {one.number: one.body for one in self.sent}

    @property
    def bodies_at_vkp(self) -> list[bytes]:
        """What VKP accepted, in its order."""
        return [base64.b64decode(one.body) for one in self.world.vkp.received if one.status == 200]

    @property
    def at_vkp(self) -> list[int]:
        """The numbers of what VKP accepted, in its order."""
        return numbers_of(self.bodies_at_vkp)

    @property
    def at_jft(self) -> list[int]:
        """The numbers of what JFT accepted, in its order."""
        return numbers_of([one.body.encode() for one in self.world.delivered])

    def event_of(self, number: int) -> str:
        """Return JFT's id of a message."""
        (found,) = (one.id for one in self.world.delivered if numbers_of([one.body.encode()]) == [number])
        return str(found)

    async def jft(self, path: str, body: object) -> None:
        """Tell JFT's double something, as `curl` does."""
        async with self.office.http.post(f"{self.world.jft.write_url}/stub/{path}", data=json.dumps(body)) as answer:
            assert answer.status == 204, await answer.text()

    async def reload(self, **changes: Any) -> None:
        """Change routes.yaml and let the gateway take it."""
        self.world.write(**changes)
        done = await self.world.gateway.reload()
        assert done.taken, done.problems

    async def person(self, who: TestPerson) -> Desk:
        """Let somebody log in through HelseID."""
        browser = self.office.browser()
        page = await browser.log_in(who)
        assert page.status == 303, page.text
        return Desk(browser)


@dataclass(frozen=True, slots=True)
class Desk:
    """Somebody who is logged in, and asks the API."""

    browser: Browser

    async def get(self, path: str) -> Any:
        """Return a document."""
        page = await self.browser.get(f"/api/v1/{path}")
        assert page.status == 200, page.text
        return page.json

    async def post(self, path: str, body: object = None) -> Page:
        """Send JSON as a page does."""
        headers = {"X-CSRF-Token": await self.browser.csrf()}
        return await self.browser.ask("POST", f"/api/v1/{path}", json={} if body is None else body, headers=headers)

    async def preflight(self) -> tuple[bool, dict[str, str]]:
        """Return whether the cutover is ready, and what was found against it."""
        page = await self.post(f"cutovers/{CUTOVER}/preflight")
        assert page.status == 200, page.text
        return page.json["ready"], {one["check"]: one["text"] for one in page.json["findings"] if not one["ok"]}

    async def state(self) -> str:
        """Return the state of the cutover."""
        return str((await self.get(f"cutovers/{CUTOVER}"))["state"])

    async def tool(self) -> Tool:
        """Make an API token, and keep it as the commands want it."""
        office, wanted = self.browser.office, {"name": "tool", "roles": ["operator", "viewer"], "days": 1}
        headers = {"X-CSRF-Token": await self.browser.csrf()}
        page = await self.browser.ask("POST", "/api/tokens", json=wanted, headers=headers)
        assert page.status == 201, page.text
        path = office.folder / "token"
        path.write_text(page.json["token"], encoding="utf-8")
        path.chmod(0o600)
        return Tool({"VKP_GATEWAY_ADMIN": office.address, "VKP_GATEWAY_TOKEN_FILE": str(path)})


@dataclass(frozen=True, slots=True)
class Tool:
    """`vkp-gateway rollback`, with an operator's API token."""

    environment: dict[str, str]

    async def run(self, *arguments: str) -> Result:
        """Run a command."""
        given = ["rollback", *arguments, "--json"]
        return await asyncio.to_thread(CliRunner().invoke, main, given, env=self.environment)

    async def ask(self, *arguments: str) -> Any:
        """Return the document that a command prints."""
        result = await self.run(*arguments)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)
