"""What the API answers when it does not do as it was asked (RFC 9457)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway.office import Browser, Office


async def test_refusal_is_a_problem(olga: Browser) -> None:
    """With the members of the standard, and our code."""
    page = await olga.get("/api/v1/messages?limit=0")
    assert (page.status, page.headers["Content-Type"]) == (400, "application/problem+json")
    assert page.json == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "limit: not as expected",
        "code": "bad-request",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "title", "code"),
    [
        ("GET", "/api/me", 401, "Unauthorized", "not-logged-in"),
        ("GET", "/api/v1/nothing", 404, "Not Found", "not-found"),
        ("PATCH", "/api/me", 405, "Method Not Allowed", "method-not-allowed"),
        ("DELETE", "/api/tokens/x", 401, "Unauthorized", "not-logged-in"),
    ],
)
async def test_strangers_get_problems_too(  # noqa: PLR0917 - what is asked, and what is answered
    office: Office, method: str, path: str, status: int, title: str, code: str
) -> None:
    """Also where nothing is, or nothing of that method."""
    page = await office.browser().ask(method, path)
    assert (page.status, page.headers["Content-Type"]) == (status, "application/problem+json")
    assert (page.json["status"], page.json["title"], page.json["code"]) == (status, title, code)


async def test_another_name_of_the_port_is_a_problem(office: Office) -> None:
    """421, of a name that leads here and is not ours."""
    browser = office.browser()
    browser.host = "elsewhere.example"
    page = await browser.get("/api/me")
    assert (page.status, page.json["title"], page.json["code"]) == (421, "Misdirected Request", "unknown-host")


async def test_method_that_is_not_there_says_which_are(olga: Browser) -> None:
    """In Allow, as RFC 9110 demands."""
    csrf = {"X-CSRF-Token": await olga.csrf()}
    for path, allowed in (
        ("/api/me", "GET"),
        ("/api/tokens", "GET, POST"),
        ("/api/v1/overrides/x", "DELETE, GET, PUT"),
    ):
        page = await olga.ask("PATCH", path, headers=csrf)
        assert (page.status, page.headers["Allow"]) == (405, allowed)
