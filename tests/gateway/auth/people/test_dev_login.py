"""`--dev-login`: for a developer's machine, and for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.auth.people.authenticator import dev_login_problem
from gateway.errors import StartupError
from tests.gateway.office import OLGA, Browser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.office import Office

BANNER = "Utviklingsinnlogging"


async def test_anyone_plays_any_role(open_office: Callable[..., Awaitable[Office]]) -> None:
    """Without HelseID, and without `people` in the file; every page says so."""
    office = await open_office(dev_login=True, people="no")
    browser = office.browser()
    login = await browser.get("/login")
    assert BANNER in login.text
    assert "/login/start" not in login.text
    assert (await browser.get("/login/start")).status == 404
    page = await browser.ask("POST", "/dev-login", data={"roles": "planner", "municipalities": "nordfjell"})
    assert (page.status, page.location) == (303, "/")
    assert BANNER in (await browser.get("/")).text
    me = (await browser.get("/api/me")).json
    assert (me["via"], me["dev_login"]) == ("dev-login", True)
    assert me["grants"] == [{"role": "planner", "municipalities": ["nordfjell"]}]
    assert office.logged.named("people.dev_login")


async def test_several_people_are_played(open_office: Callable[..., Awaitable[Office]]) -> None:
    """Under names of their own, so that somebody else can approve; without one it is always the same person."""
    office = await open_office(dev_login=True)
    known = []
    for form in ({}, {}, {"played": "kari"}, {"played": "ola"}):
        browser = office.browser()
        assert (await browser.post("/dev-login", roles="viewer", **form)).status == 303
        known += (await browser.get("/api/me")).json["known_as"]
    assert known == ["dev-login", "dev-login", "dev-login-kari", "dev-login-ola"]


WRONG = [
    {},
    {"roles": "admin"},
    {"roles": "viewer", "municipalities": "bergen"},
    {"roles": "viewer", "played": "Kari Nordmann"},
    {"roles": "viewer", "played": "k" * 31},
]


@pytest.mark.parametrize("form", WRONG, ids=str)
async def test_wrong_form_lets_nobody_in(open_office: Callable[..., Awaitable[Office]], form: dict[str, str]) -> None:
    """Only roles and municipalities that there are, and one plain name."""
    office = await open_office(dev_login=True)
    assert (await office.browser().post("/dev-login", **form)).status == 400


async def test_page_of_somebody_else_logs_nobody_in(open_office: Callable[..., Awaitable[Office]]) -> None:
    """A form elsewhere must not begin a session here, nor change the one that is."""
    office = await open_office(dev_login=True)
    browser = office.browser()
    elsewhere = {"Origin": "https://evil.example"}
    assert (await browser.ask("POST", "/dev-login", data={"roles": "viewer"}, headers=elsewhere)).status == 403
    await browser.post("/dev-login", roles="viewer")
    assert (await browser.post("/dev-login", roles="operator")).status == 403
    csrf = await browser.csrf()
    assert (await browser.post("/dev-login", roles="operator", csrf=csrf)).status == 303


async def test_it_is_not_there_unless_asked_for(office: Office) -> None:
    """Without the option there is no form and no endpoint, and HelseID's way shows no banner."""
    browser = office.browser()
    assert (await browser.post("/dev-login", roles="operator")).status == 404
    assert BANNER not in (await browser.get("/login")).text
    await browser.log_in(OLGA)
    assert BANNER not in (await browser.get("/")).text


async def test_token_of_a_development_login_is_worth_nothing_without_it(
    open_office: Callable[..., Awaitable[Office]],
) -> None:
    """A token that anyone could make must not open a gateway that asks who one is."""
    dev = await open_office(dev_login=True)
    browser = dev.browser()
    await browser.post("/dev-login", roles=["viewer", "operator"])
    headers = {"X-CSRF-Token": await browser.csrf()}
    wish = {"name": "n", "roles": ["operator"], "days": 1}
    token = (await browser.ask("POST", "/api/tokens", json=wish, headers=headers)).json["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await Browser(dev).get("/api/me", headers=bearer)).status == 200
    strict = await open_office()
    assert (strict.folder / "var" / "api-tokens.json").exists()
    assert (await Browser(strict).get("/api/me", headers=bearer)).status == 401


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"environment": "production"}, "needs environment test"),
        ({"listen": "[::]", "url": "https://admin.example"}, "needs listen.admin on loopback"),
        ({"url": "https://admin.example"}, "needs people.url on loopback"),
    ],
)
async def test_refused_where_others_could_use_it(
    open_office: Callable[..., Awaitable[Office]], changes: dict[str, str], reason: str
) -> None:
    """At the start as at a reload."""
    office = await open_office(dev_login=True)
    config = office.write(**changes)
    problem = dev_login_problem(config)
    assert problem is not None
    assert reason in problem
    with pytest.raises(StartupError, match=reason):
        office.port.prepare(config)
