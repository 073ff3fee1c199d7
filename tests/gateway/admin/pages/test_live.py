"""Pages that are kept up to date, and what every page stands in: navigation, scripts and styles."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web  # noqa: TID251 - a page of a test
from prometheus_client import CollectorRegistry

from gateway.admin.endpoints import Endpoint, Needs
from gateway.admin.guard import MOST_OF_ONE
from gateway.admin.pages import charts, live, render
from gateway.admin.pages.catalogue import TEXTS
from gateway.admin.problems import Code, Problem
from gateway.admin.server import AdminPort
from gateway.auth.people.rbac import Action
from tests.gateway.clocks import LoopClock
from tests.gateway.office import NORA, VERA
from tests.waiting import HANGS

if TYPE_CHECKING:
    from tests.gateway.office import Browser, Office


class Counter:
    """A page that counts how often it was looked at."""

    def __init__(self, fails_at: int = 99) -> None:
        self.looked = 0
        self._fails_at = fails_at

    async def show(self, request: web.Request) -> web.StreamResponse:
        with LoopClock() as self._clock:
            return await live.stream(request, self._regions, every=0.0, lasts=60.0)

    async def _regions(self) -> dict[str, str]:
        self.looked += 1
        self._clock.now += 15.0
        if self.looked == self._fails_at:
            raise Problem(Code.LEDGER)
        return {"still": "<b>always</b>", "count": f"{min(self.looked, 3)}\nlooks"}


def _served(office: Office, endpoint: Endpoint) -> None:
    office.port.app.router._frozen = False
    office.port.app.router.add_get(endpoint.path, endpoint.handler)
    office.port._guard._endpoints = {**office.port._guard._endpoints, ("GET", endpoint.path): endpoint}


async def _streamed(office: Office, counter: Counter) -> tuple[int, str, str]:
    _served(office, Endpoint("GET", "/count", counter.show, Needs.role(Action.VIEW), is_live=True))
    browser = office.browser()
    await browser.enter(NORA)
    page = await browser.get("/count")
    return page.status, page.headers["Content-Security-Policy"], page.text


def _events(text: str) -> list[tuple[str, str]]:
    lines = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    return [(one["id"], one["html"]) for one in lines]


async def test_regions_are_sent_once_and_again_when_they_change(office: Office) -> None:
    """With the headers of safety; the stream ends by itself, and the browser asks again."""
    status, policy, text = await _streamed(office, Counter())
    assert status == 200
    assert "default-src 'none'" in policy
    assert _events(text) == [
        *(("still", "<b>always</b>"), ("count", "1\nlooks"), ("count", "2\nlooks"), ("count", "3\nlooks")),
    ]


async def test_stream_ends_where_nothing_can_be_read(office: Office) -> None:
    """What was sent before stays right."""
    _, _, text = await _streamed(office, Counter(fails_at=2))
    assert _events(text) == [("still", "<b>always</b>"), ("count", "1\nlooks")]


async def test_one_person_leaves_others_a_connection(office: Office) -> None:
    """Whatever they keep open: what comes beyond is refused until something of it has ended."""
    begun, end = asyncio.Semaphore(0), asyncio.Event()

    async def waits(_request: web.Request) -> web.Response:
        begun.release()
        await end.wait()
        return web.Response()

    _served(office, Endpoint("GET", "/waits", waits, Needs.role(Action.VIEW)))
    nora, vera = office.browser(), office.browser()
    await nora.enter(NORA)
    await vera.enter(VERA)
    async with asyncio.timeout(HANGS), asyncio.TaskGroup() as open_:
        pages = [open_.create_task(nora.get("/waits")) for _ in range(MOST_OF_ONE)]
        for _ in pages:
            await begun.acquire()
        assert (await nora.get("/api/me")).status == 429
        assert (await vera.get("/api/me")).status == 200
        end.set()
    assert {page.result().status for page in pages} == {200}
    assert (await nora.get("/api/me")).status == 200


async def test_port_that_stops_is_not_held_up_by_a_stream(office: Office) -> None:
    """Whoever watches a page must not delay a restart."""
    stopping = asyncio.Event()
    stopping.set()
    await asyncio.wait_for(live._paused(stopping, 3600.0), HANGS)
    await office.port.stop()
    assert office.port.app[live.STOPPING].is_set()


async def test_watching_a_page_does_not_keep_a_session(office: Office) -> None:
    """Only what a person does is a use of it."""
    sessions, times = office.port.authenticator.sessions, office.port.authenticator.auth
    assert times is not None
    browser = office.browser()
    await browser.enter(NORA)
    cookie = browser.cookies["vkp-gateway-session"]
    session = sessions.find(cookie, times.times)
    assert session is not None
    before = session.used_at
    office.clock.now += 5
    sessions.find(cookie, times.times, is_use=False)
    assert session.used_at == before
    sessions.find(cookie, times.times)
    assert session.used_at > before


async def test_navigation_has_the_pages_that_someone_may_see(office: Office, olga: Browser) -> None:
    """And says which one is open, also where a page below it is."""
    page = (await olga.get("/cutovers?lang=nb")).text
    assert '<a href="/cutovers" aria-current="page">Omlegginger</a>' in page
    assert '<a href="/tokens">API-nøkler</a>' in page
    assert page.count("aria-current") == 1
    vera = office.browser()
    assert "<nav" not in (await vera.get("/login")).text


@pytest.mark.parametrize(("name", "kind"), [("style.css", "text/css"), ("live.js", "text/javascript")])
async def test_static_files_are_there_before_the_login(office: Office, name: str, kind: str) -> None:
    """And nothing else is."""
    stranger = office.browser()
    page = await stranger.get(f"/static/{name}")
    assert (page.status, page.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert (await stranger.get("/static/layout.html")).status == 404
    assert (await stranger.get("/static/..%2frender.py")).status == 404


def test_curves_begin_at_zero_and_fit_their_frame() -> None:
    """A stack's areas lie upon each other."""
    lines = [charts.Line("a", "c1", (1.0, 3.0)), charts.Line("b", "c2", (1.0, 1.0))]
    stacked = charts.stack_chart("both", ["kl. 1", "kl. 2"], lines)
    assert [one.points for one in stacked.drawn] == [
        "0.0,120.0 640.0,40.0 640.0,160.0 0.0,160.0",
        "0.0,80.0 640.0,0.0 640.0,40.0 0.0,120.0",
    ]
    assert [value for _, value in charts.line_chart("one", ["kl. 1", "kl. 2"], lines).rows] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_what_pages_ask_by_themselves_is_declared_so() -> None:
    """Else an open page would keep its session for as long as it is open."""
    port = AdminPort(CollectorRegistry())
    assert {one.path for one in port.endpoints if one.path.endswith("/live")} == {
        one.path for one in port.endpoints if one.is_live
    }


def test_field_has_its_label_its_help_and_its_error() -> None:
    """Tied to it by ids, so that whoever cannot see the page hears them with it."""
    text = render._TEMPLATES.from_string(
        '{% import "components.html" as c with context %}'
        '{{ c.input("at", "Når", "<b>", help="norsk tid", error="mangler", required=false) }}{{ c.select("to", "Til", [("a", "A")]) }}'
    ).render(t=TEXTS["nb"])
    assert '<label for="field-at">Når <small>(kan stå tom)</small></label>' in text
    assert (
        '<input id="field-at" name="at" aria-invalid="true" aria-describedby="help-at error-at" type="text" value="&lt;b&gt;"'
    ) in text
    assert '<small id="help-at">norsk tid</small>' in text
    assert '<p class="error" id="error-at">mangler</p>' in text
    assert '<select id="field-to" name="to" required>' in text


def test_cells_of_a_table_know_their_columns() -> None:
    """In narrow windows each stands on a line of its own; the head of a row needs no label, and what is written is escaped."""
    text = render._TEMPLATES.from_string(
        '{% import "components.html" as c with context %}'
        '{% call c.table("T", ["Kommune", ["Antall <b>", "number"], ["<i>", "", ""]]) %}'
        '<tr><th scope="row">Nordfjell</th><td class="number">7</td><td>x</td></tr><tr><td>Havnes</td></tr>{% endcall %}'
    ).render(t=TEXTS["nb"])
    assert (
        '<tr><th scope="row">Nordfjell</th><td data-label="Antall &lt;b&gt;" class="number">7</td><td>x</td></tr>'
        in text
    )
    assert '<tr><td data-label="Kommune">Havnes</td></tr>' in text
