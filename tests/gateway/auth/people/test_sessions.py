"""How long a session holds, and what must come with a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.auth.people.sessions import Login, Sessions
from gateway.config.model import SessionTimes
from tests.each import in_one_world
from tests.gateway.office import OLGA, PERSONS, VERA, Browser, Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.office import Office

MINUTE, HOUR = 60, 3600


async def test_session_ends_when_it_is_not_used(office: Office, olga: Browser) -> None:
    """Twenty minutes; each use begins them anew."""
    office.clock.now += 20 * MINUTE - 1
    assert (await olga.get("/api/me")).status == 200
    office.clock.now += 20 * MINUTE - 1
    assert (await olga.get("/api/me")).status == 200
    office.clock.now += 20 * MINUTE
    assert (await olga.get("/api/me")).status == 401
    office.clock.now -= 20 * MINUTE
    assert (await olga.get("/api/me")).status == 401


async def test_session_ends_after_eight_hours_of_use(office: Office, olga: Browser) -> None:
    """However often it is used."""
    for _ in range(31):
        office.clock.now += 15 * MINUTE
        assert (await olga.get("/api/me")).status == 200
    office.clock.now += 15 * MINUTE
    assert (await olga.get("/api/me")).status == 401


async def test_times_are_settings(open_office: Callable[..., Awaitable[Office]]) -> None:
    """A file may ask for shorter ones."""
    office = await open_office(more="  session: {idle: 1m, longest: 2m}\n")
    browser = office.browser()
    await browser.log_in(OLGA)
    office.clock.now += 59
    assert (await browser.get("/api/me")).status == 200
    office.clock.now += 60
    assert (await browser.get("/api/me")).status == 401


async def test_role_that_the_file_takes_away_is_gone_at_once(office: Office, olga: Browser) -> None:
    """A session has the roles of the configuration of now, not those of when it began."""
    office.reload(persons=PERSONS.replace("roles: [operator, viewer]", "roles: [viewer]"))
    assert (await olga.get("/api/tokens")).status == 403
    assert (await olga.get("/api/me")).status == 200
    office.reload(persons="    other: {claim: sub, value: x, roles: [viewer]}\n")
    assert (await olga.get("/api/me")).status == 403


async def test_sessions_end_when_more_is_asked_of_logins(office: Office, olga: Browser) -> None:
    """A session says nothing of what its login would not have fulfilled."""
    office.reload(more="  security_level: 3\n")
    assert (await olga.get("/api/me")).status == 401


async def test_nothing_but_health_is_there_without_people(office: Office, olga: Browser) -> None:
    """A reload that takes `people` away closes every door."""
    office.reload(people="no")
    for path in ("/", "/login", "/login/start", "/api/me", "/api/status", "/tokens", "/static/style.css"):
        assert (await olga.get(path)).status == 404
    assert (await olga.get("/livez")).text == "ok\n"
    assert (await olga.get("/metrics")).status == 200
    office.reload(people="yes")
    assert (await olga.get("/api/me")).status == 401


def test_sessions_are_bounded() -> None:
    """The one that was not used for longest makes room."""
    clock = Clock()
    sessions, times = Sessions(clock), SessionTimes(1e9, 1e9)
    first = sessions.start(Login())
    second = sessions.start(Login())
    for _ in range(998):
        clock.now += 1
        sessions.start(Login())
    assert sessions.find(first, times) is not None
    sessions.start(Login())
    assert sessions.find(second, times) is None
    assert sessions.find(first, times) is not None


def test_session_ids_are_kept_as_hashes() -> None:
    """Whoever reads the memory of the process finds no id to use."""
    sessions = Sessions(Clock())
    value = sessions.start(Login())
    assert value not in repr(vars(sessions))
    assert len(value) >= 43


CHANGE = {"name": "n", "days": "1", "roles": "viewer"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": None, "Sec-Fetch-Site": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": None, "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
@in_one_world("path", ["/tokens", "/logout"])
async def test_change_from_elsewhere_is_refused(
    office: Office, olga: Browser, path: str, headers: dict[str, str | None]
) -> None:
    """Even with the right token."""
    csrf = await olga.csrf()
    page = await olga.ask("POST", path, data={**CHANGE, "csrf": csrf}, headers=headers)
    assert page.status == 403
    assert (await olga.get("/api/me")).status == 200
    assert not (await olga.get("/api/tokens")).json["tokens"]
    assert office.logged.named("people.change.refused")


@pytest.mark.parametrize("csrf", [None, "", "x", "other"])
async def test_change_without_the_pages_token_is_refused(office: Office, olga: Browser, csrf: str | None) -> None:
    """A right origin alone is not enough; the token of another session is as good as none."""
    if csrf == "other":
        vera = office.browser()
        await vera.log_in(VERA)
        csrf = await vera.csrf()
    form = CHANGE if csrf is None else {**CHANGE, "csrf": csrf}
    assert (await olga.ask("POST", "/tokens", data=form)).status == 403
    headers = {} if csrf is None else {"X-CSRF-Token": csrf}
    answer = await olga.ask("POST", "/api/tokens", json={"name": "n", "roles": ["viewer"], "days": 1}, headers=headers)
    assert (answer.status, answer.json["code"]) == (403, "not-from-this-page")
    assert not (await olga.get("/api/tokens")).json["tokens"]


async def test_change_of_an_older_browser_is_taken(olga: Browser) -> None:
    """Origin alone, or Sec-Fetch-Site alone, says enough."""
    csrf = await olga.csrf()
    for headers in ({"Sec-Fetch-Site": None}, {"Origin": None}):
        page = await olga.ask("POST", "/tokens", data={**CHANGE, "csrf": csrf}, headers=headers)
        assert page.status == 200


async def test_other_names_are_not_answered(office: Office, olga: Browser) -> None:
    """A name of somebody else's that leads to this machine gets nothing (DNS rebinding)."""
    for host in ("evil.example", f"evil.example:{office.settings['port']}", "127.0.0.1", "[::1", ""):
        olga.host = host or None
        page = await olga.get("/api/me", headers={"Host": host})
        assert page.status in (421, 400), host
    olga.host = f"localhost:{office.settings['port']}"
    assert (await olga.get("/api/me")).status == 200
