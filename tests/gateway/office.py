"""An admin port with people, a HelseID double, and browsers; all with one clock that stands still."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from gateway.admin.bounds import USUAL_BOUNDS
from gateway.admin.server import AdminPort
from gateway.config.load import load
from gateway.config.model import SessionTimes
from service_stubs.clients import Client
from service_stubs.helseid import HelseIdStub
from service_stubs.listening import running
from service_stubs.logins import Fault, LoginSetting, TestPerson
from tests.gateway.clocks import FakeClock as Clock
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from joserfc.jwk import ECKey

    from gateway.admin.bounds import Bounds
    from gateway.auth.people.sessions import Login
    from gateway.config.model import Config
    from tests.gateway.world import Logged

NOW = 1_780_000_000.0
PSEUDONYM = "helseid://claims/identity/pid_pseudonym"
CLIENT_ID = "people-client"
SCOPES = [
    "openid",
    "profile",
    "helseid://scopes/identity/security_level",
    "helseid://scopes/identity/pid_pseudonym",
    "helseid://scopes/hpr/hpr_number",
]
PERSONS = f"""\
    olga: {{claim: "{PSEUDONYM}", value: olga, roles: [operator, viewer]}}
    vera: {{claim: sub, value: vera, roles: [viewer]}}
    nora: {{claim: sub, value: nora, roles: [operator, planner], municipalities: [nordfjell]}}
    arne: {{claim: helseid://claims/hpr/hpr_number, value: "9144897", roles: [approver]}}
"""
OLGA = TestPerson(sub="s-olga", name="Olga <Operatør>", pid_pseudonym="olga", pid="13116900216")
VERA = TestPerson(sub="vera", name="Vera Viser", pid_pseudonym="p-vera")
NORA = TestPerson(sub="nora", name="Nora Nord", pid_pseudonym="p-nora")
ARNE = TestPerson(sub="arne", name="Arne", pid_pseudonym="p-arne", hpr_number="9144897")
NOBODY = TestPerson(sub="stranger", name="Fremmed", pid_pseudonym="p-stranger")
_FILE = """\
version: 1
environment: {environment}
listen: {{data: "127.0.0.1:1", admin: "{listen}:{port}"{metrics}}}
helseid: {{issuer: "{issuer}", client_id: gateway, key_file: key.json}}
upstreams:
  vkp: {{kind: vkp, url: "https://vkp.example"}}
  jft: {{kind: jft, write_url: "https://w.example", read_url: "https://r.example", status: production}}
municipalities:
  nordfjell: {{name: Nordfjell kommune, orgnr: "312229544", epj: {{system: Gerica, generation: legacy, reads: [jft]}}}}
  sorvik: {{name: Sørvik kommune, orgnr: "313231593", epj: {{system: CosDoc, generation: legacy, reads: [jft]}}}}
routes:
  - {{mode: legacy}}
{people}"""
_PEOPLE = """\
people:
  url: "{url}"
  helseid: {{client_id: people-client, key_file: people.json, scopes: {scopes}}}
{more}  persons:
{persons}"""

_LOGINS: dict[tuple[str, str, str], tuple[str, Login]] = {}
"""What came of logins: of whom, with which persons in the configuration, over which scheme; the cookie's name, and what its session stands for."""


@dataclass
class Page:
    """An answer, read whole."""

    status: int
    headers: Any
    text: str

    @property
    def unlabelled(self) -> str:
        """The text without the labels that the cells of a table have in narrow windows."""
        return re.sub(r' data-label="[^"]*"', "", self.text)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)

    @property
    def location(self) -> str:
        """Where the browser is sent."""
        return str(self.headers["Location"])

    def cookie(self, name: str) -> Any:
        """Return a cookie that was set, with its attributes."""
        found: SimpleCookie = SimpleCookie()
        for value in self.headers.getall("Set-Cookie", []):
            found.load(value)
        return found[name]


@dataclass
class Browser:
    """Keeps cookies for the admin port, follows nothing by itself, and says where requests come from as browsers do."""

    office: Office
    cookies: dict[str, str] = field(default_factory=dict)
    host: str | None = None

    async def ask(self, method: str, path: str, **options: Any) -> Page:
        """Send a request to the admin port."""
        headers = {"Host": self.host} if self.host else {}
        if method not in ("GET", "HEAD"):
            headers |= {"Origin": self.office.origin, "Sec-Fetch-Site": "same-origin"}
        headers |= options.pop("headers", {})
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {name: value for name, value in headers.items() if value is not None}
        url = path if path.startswith("http") else self.office.address + path
        async with self.office.http.request(method, url, headers=headers, allow_redirects=False, **options) as answer:
            page = Page(answer.status, answer.headers, await answer.text())
        for value in page.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(value).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return page

    async def get(self, path: str, **options: Any) -> Page:
        """Send a GET."""
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **form: Any) -> Page:
        """Send a form."""
        return await self.ask("POST", path, data=form)

    async def to_helseid(self) -> str:
        """Begin a login; return the address at HelseID."""
        page = await self.get("/login/start")
        assert page.status == 303, page.text
        return page.location

    async def from_helseid(self, address: str) -> str:
        """Go to HelseID and be let in; return the address that it sends the browser to."""
        async with self.office.http.get(address, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
            return answer.headers["Location"]

    async def log_in(self, person: TestPerson | None = None) -> Page:
        """Log in from the first page to the answer of the last."""
        if person is not None:
            self.office.let_in(person)
        callback = await self.from_helseid(await self.to_helseid())
        parts = urlsplit(callback)
        return await self.get(f"{parts.path}?{parts.query}")

    async def enter(self, person: TestPerson) -> None:
        """Be logged in: by way of HelseID the first time, and in later tests with a session like the one that came of it."""
        office = self.office
        way = (repr(person), office.settings["persons"], urlsplit(office.origin).scheme)
        sessions = office.port.authenticator.sessions
        if way in _LOGINS:
            office.let_in(person)
            cookie, login = _LOGINS[way]
            self.cookies[cookie] = sessions.start(login)
            return
        page = await self.log_in(person)
        assert (page.status, page.location) == (303, "/"), page.text
        for cookie, value in self.cookies.items():
            if (found := sessions.find(value, SessionTimes(60, 60))) is not None:
                _LOGINS[way] = cookie, found.login

    async def csrf(self) -> str:
        """Return what a form must bring, as the page has it."""
        page = await self.get("/")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        return found[1]


@dataclass
class Office:
    """An admin port and what is around it."""

    folder: Path
    helseid: HelseIdStub
    port: AdminPort
    clock: Clock
    logged: Logged
    http: aiohttp.ClientSession
    address: str
    settings: dict[str, str]
    bounds: Bounds = USUAL_BOUNDS
    config: Config = field(init=False)

    @property
    def origin(self) -> str:
        """The origin of the pages."""
        return self.settings["url"]

    def browser(self) -> Browser:
        """Open a browser."""
        return Browser(self)

    def let_in(self, person: TestPerson, fault: Fault = "none") -> None:
        """Say who logs in next, and what goes wrong."""
        self.helseid.log_in(LoginSetting(person, fault))

    def write(self, **changes: str) -> Config:
        """Write the configuration with other settings, and read it."""
        self.settings = {**self.settings, **changes}
        people = _PEOPLE.format(**self.settings) if self.settings["people"] == "yes" else ""
        path = self.folder / "routes.yaml"
        path.write_text(_FILE.format(**{**self.settings, "people": people}), encoding="utf-8")
        loaded = load(str(path))
        assert loaded.config is not None, [str(problem) for problem in loaded.problems]
        self.config = loaded.config
        return loaded.config

    async def restart(self) -> None:
        """Stop the process and start another, which remembers nothing; people must log in again."""
        await self.port.stop()
        self.port = AdminPort(CollectorRegistry(), clock=self.clock, bounds=self.bounds)
        await self.port.start(self.config)

    def reload(self, **changes: str) -> None:
        """Let the admin port go on with other settings."""
        config = self.write(**changes)
        self.port.use(config, self.port.prepare(config), [])


Open = "Callable[..., Awaitable[Office]]"


@pytest.fixture
async def open_office(
    tmp_path: Path, logged: Logged, client_key: ECKey, signing_keys: None, admin_bounds: Bounds
) -> AsyncIterator[Callable[..., Awaitable[Office]]]:
    """Start an admin port; arguments change its configuration."""
    del signing_keys
    async with AsyncExitStack() as stack:

        async def opened(*, dev_login: bool = False, **changes: str) -> Office:
            clock = Clock()
            (number,) = free_ports(1)
            url = f"http://127.0.0.1:{number}"
            settings = {
                "environment": "test",
                "listen": "127.0.0.1",
                "metrics": "",
                "port": str(number),
                "url": url,
                "scopes": f"[{', '.join(SCOPES)}]",
                "more": "",
                "persons": PERSONS,
                "people": "yes",
                **changes,
            }
            client = Client(
                client_id=CLIENT_ID,
                name="Gateway for people",
                scopes=[*SCOPES, "helseid://scopes/identity/pid"],
                jwks={"keys": [client_key.as_dict(private=False)]},
                tenancy="single",
                redirect_uris=[f"{settings['url']}/login/callback"],
            )
            helseid = await stack.enter_async_context(running(HelseIdStub([client], clock=clock)))
            (tmp_path / "people.json").write_text(json.dumps(client_key.as_dict(private=True)), encoding="utf-8")
            http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
            port = AdminPort(CollectorRegistry(), dev_login=dev_login, clock=clock, bounds=admin_bounds)
            settings["issuer"] = helseid.issuer
            office = Office(tmp_path, helseid, port, clock, logged, http, url, settings, admin_bounds)
            await port.start(office.write())

            async def stop() -> None:
                await office.port.stop()

            stack.push_async_callback(stop)
            return office

        yield opened


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with the usual people."""
    return await open_office()


@pytest.fixture
async def olga(office: Office) -> Browser:
    """Let the operator log in."""
    browser = office.browser()
    await browser.enter(OLGA)
    return browser
