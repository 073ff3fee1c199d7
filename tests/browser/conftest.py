"""The demo with its story, and Chromium looking at its pages as people with every role."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from gateway.admin.server import AdminPort
from gateway.cli.demo.stage import with_free_ports
from tests.browser.presence import chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from playwright.async_api import BrowserContext, Page

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "var" / "screenshots"
"""Of every page, for whoever looks at them; not in the repository."""
ROLES = ("viewer", "planner", "approver", "operator")
LAST_WORDS = "Tryggnett sends"
"""What the demo says when its story has begun."""
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--lang=nb-NO"),
]
_NO_PAGES = ("/api/", "/static/", "/livez", "/metrics", "/login/start", "/login/callback")
_OF_ONE_KIND = 5
"""Pages of one kind that are looked through for links: what one leads to depends on how far it has come."""
_PATIENCE = 240.0
"""Seconds for what the story brings about."""
_LINK = re.compile(r'href="(/[^"#]*|\?[^"#]*)"')


@dataclass(frozen=True)
class Site:
    """A gateway's pages."""

    root: str
    """Their origin."""
    jft: str = ""
    """The origin of the double of JFT."""
    addresses: list[str] = field(default_factory=list)
    """Of every page, once they were found."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the demo until its story has begun, and until the tests are done."""
    folder = tmp_path_factory.mktemp("demo")
    path = with_free_ports(ROOT / "routes.yaml", folder)
    text = path.read_text(encoding="utf-8")
    listening, jft = re.search(r"admin: (\S+)", text), re.search(r"write_url: (\S+)", text)
    assert listening is not None
    assert jft is not None
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--config", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith(LAST_WORDS):
                    break
            else:
                pytest.fail("the demo ended: " + "".join(said[-5:]))
            yield Site(f"http://{listening[1]}", jft[1])
        finally:
            process.terminate()
            process.communicate(timeout=60)


@dataclass
class Reader:
    """Somebody who looks at the pages."""

    site: Site
    page: Page
    complaints: list[str]
    """What the browser itself found wrong: blocked scripts and styles, failures of scripts, files that are not there."""

    async def open(self, path: str) -> None:
        """Open a page, once it has all that it needs."""
        answer = await self.page.goto(self.site.root + path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, (path, answer.status)

    async def log_in(self, name: str, *roles: str) -> None:
        """Log in by clicking."""
        await self.page.goto(self.site.root + "/login")
        for role in roles:
            await self.page.check(f"input[name=roles][value={role}]")
        await self.page.fill("input[name=played]", name)
        await self.page.click("main form button")
        await self.page.wait_for_url(self.site.root + "/")


@pytest.fixture
async def reading(site: Site) -> AsyncIterator[Callable[..., Any]]:
    """Return what opens a browser for somebody: in a language, light or dark, of a width, perhaps without scripts."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not there where these tests do not run

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)

        @asynccontextmanager
        async def opened(
            language: str = "nb", scheme: str = "light", width: int = 1280, *, name: str = "kari", scripts: bool = True
        ) -> AsyncIterator[Reader]:
            context: BrowserContext = await browser.new_context(
                locale={"nb": "nb-NO", "en": "en-GB"}[language],
                color_scheme="dark" if scheme == "dark" else "light",
                viewport={"width": width, "height": 900},
                java_script_enabled=scripts,
            )
            page = await context.new_page()
            reader = Reader(site, page, [])
            page.on("console", lambda one: reader.complaints.append(one.text) if one.type == "error" else None)
            page.on("pageerror", lambda one: reader.complaints.append(str(one)))
            await reader.log_in(name, *ROLES)
            yield reader
            await context.close()

        yield opened
        await browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the rules of accessibility, as a script."""
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
async def addresses(site: Site) -> list[str]:
    """Return an address of every page, found by following links from the first; fails where no link leads to one."""
    if site.addresses:
        return site.addresses
    patterns = page_patterns()
    found: dict[str, str] = {}
    looked: Counter[str | None] = Counter()
    waiting, seen = ["/", "/login"], set()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        headers = {"Origin": site.root, "Sec-Fetch-Site": "same-origin", "Accept-Language": "nb"}
        form = [*(("roles", role) for role in ROLES), ("played", "kari")]
        async with session.post(f"{site.root}/dev-login", data=form, headers=headers) as answer:
            assert answer.status == 200
        office = _Office(session, site.root)
        await office.set_panic()
        waiting = [
            await office.page_of("eidsvik", "rolled_back"),
            await office.page_of("granli", "submitted"),
            await office.send_back("eidsvik"),
            *waiting,
        ]
        while waiting and found.keys() != patterns.keys():
            address = waiting.pop(0)
            pattern = next(
                (one for one, matched in patterns.items() if matched.fullmatch(urlsplit(address).path)), None
            )
            looked[pattern] += 1
            if pattern is None or looked[pattern] > _OF_ONE_KIND:
                continue
            async with session.get(site.root + address, headers=headers) as answer:
                if answer.content_type != "text/html" or "Content-Disposition" in answer.headers:
                    # A file to be kept.
                    found.setdefault(pattern, "")
                    continue
                found.setdefault(pattern, address)
                text = await answer.text()
            links = [urljoin(address, one.replace("&amp;", "&")) for one in _LINK.findall(text)]
            waiting += [one for one in links if one not in seen]
            seen.update(links)
    missing = patterns.keys() - found.keys()
    assert not missing, f"no link leads to {sorted(missing)}"
    site.addresses.extend(sorted(one for one in found.values() if one))
    return site.addresses


class _Office:
    """What somebody does so that every page has something to show."""

    def __init__(self, session: aiohttp.ClientSession, root: str) -> None:
        self._session = session
        self._root = root

    async def set_panic(self) -> None:
        """Have one that holds, where nothing goes elsewhere."""
        wanted = {"municipality": "tangen", "reason": "Øvelse"}
        async with self._session.get(f"{self._root}/api/v1/panics") as answer:
            if (await answer.json())["panics"]:
                return
        async with self._session.post(
            f"{self._root}/api/v1/panics", json=wanted, headers=await self._headers()
        ) as answer:
            assert answer.status == 201, await answer.text()

    async def send_back(self, municipality: str) -> str:
        """Begin to send back to VKP what a municipality's cutover sent elsewhere, slowly; return the page that tells how far it is."""
        since = datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251 - the demo's own clock
        wanted = {
            "municipality": municipality,
            "since": since.isoformat(),
            "confirm": "epj-stopped-reading-jft",
            "reason": "Øvelse",
            "rate": 0.1,
        }
        async with self._session.post(
            f"{self._root}/api/v1/rollback/send", json=wanted, headers=await self._headers()
        ) as answer:
            assert answer.status == 202, await answer.text()
            return f"/returns/{(await answer.json())['id']}"

    async def page_of(self, municipality: str, state: str) -> str:
        """Wait until the story's cutover of a municipality has come so far; return its page."""
        async with asyncio.timeout(_PATIENCE):
            while not (name := await self._found(municipality, state)):  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(1)
        return f"/cutovers/{name}"

    async def _found(self, municipality: str, state: str) -> str:
        async with self._session.get(f"{self._root}/api/v1/cutovers") as answer:
            records = (await answer.json())["cutovers"]
        return next((one["name"] for one in records if one["state"] == state and municipality in one["name"]), "")

    async def _headers(self) -> dict[str, str]:
        async with self._session.get(f"{self._root}/api/me") as answer:
            csrf = (await answer.json())["csrf"]
        return {"X-CSRF-Token": csrf, "Origin": self._root, "Sec-Fetch-Site": "same-origin"}


def page_patterns() -> dict[str, re.Pattern[str]]:
    """Return the paths of all pages, with patterns that fit their addresses, those without a variable part first."""
    declared = AdminPort(CollectorRegistry()).endpoints
    paths = [
        one.path for one in declared if one.method == "GET" and not one.is_live and not one.path.startswith(_NO_PAGES)
    ]
    ordered = sorted(paths, key=lambda path: ("{" in path, path))
    return {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{\w+:[^}]+\}", ".+", path))) for path in ordered}
