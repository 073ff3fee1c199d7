"""What tests of overrides and panics send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.gateway.admin.shelf import at, post
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from tests.gateway.office import Browser, Page

URL = "/api/v1/overrides"
PANICS = "/api/v1/panics"
CLOSED = {"municipality": "nordfjell", "information": ["varsel"], "mode": "closed", "text": "Stengt i dag."}
WHY = {"reason": "Feil hos leverandør", "ticket": "INC-7", "until": at(NOW + 3600)}
WANTED = {**CLOSED, **WHY}


async def send(browser: Browser, method: str, path: str, body: object | None = None, **fields: str) -> Page:
    """Send a request with fields of its own from a page's session; an underscore stands for a hyphen."""
    headers = {
        "X-CSRF-Token": await browser.csrf(),
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return await browser.ask(method, path, json=body, headers=headers)


async def made(browser: Browser, **changed: Any) -> Any:
    """Set an override; the document."""
    page = await post(browser, URL, {**WANTED, **changed})
    assert page.status == 201, page.text
    return page.json
