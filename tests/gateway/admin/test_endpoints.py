"""Every endpoint says who may use it, and is refused to everyone else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from aiohttp import web  # noqa: TID251 - a handler of the admin port
from prometheus_client import CollectorRegistry

from gateway.admin.endpoints import Access
from gateway.admin.pages.live import STOPPING
from gateway.admin.server import AdminPort
from gateway.auth.people.rbac import MAY, Action, Where
from tests.each import in_one_world
from tests.gateway.office import ARNE, NORA, OLGA, VERA, Browser
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service_stubs.logins import TestPerson
    from tests.gateway.office import Office

DECLARED = {
    ("GET", "/livez"): (Access.PUBLIC, None, False),
    ("GET", "/metrics"): (Access.PUBLIC_BY_ADDRESS, Action.VIEW, False),
    ("GET", "/login"): (Access.LOGIN, None, False),
    ("GET", "/login/start"): (Access.LOGIN, None, False),
    ("GET", "/login/callback"): (Access.LOGIN, None, False),
    ("POST", "/dev-login"): (Access.LOGIN, None, False),
    ("GET", "/static/{name}"): (Access.LOGIN, None, False),
    ("POST", "/logout"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/tokens"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/tokens"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/tokens/{id}/revoke"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/api/me"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/status"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/tokens"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/api/tokens"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("DELETE", "/api/tokens/{id}"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/messages"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/messages/{reference}"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/messages/{reference}/payload"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/quarantine/{reference}/release"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/quarantine/{reference}/discard"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/messages/{reference}/shares/{target}/resend"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/messages/{reference}/shares/{target}/discard"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/cutovers"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/cutovers"): (Access.AUTHENTICATED, Action.PLAN, True),
    ("GET", "/cutovers/{name}"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/cutovers/{name}/approve"): (Access.AUTHENTICATED, Action.APPROVE, True),
    ("POST", "/cutovers/{name}/start"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/cutovers/{name}/cancel"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/cutovers/{name}/rollback"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/cutovers/new"): (Access.AUTHENTICATED, Action.PLAN, True),
    ("POST", "/cutovers/new"): (Access.AUTHENTICATED, Action.PLAN, True),
    ("GET", "/cutovers/{name}/change"): (Access.AUTHENTICATED, Action.PLAN, True),
    ("POST", "/cutovers/{name}/change"): (Access.AUTHENTICATED, Action.PLAN, True),
    ("GET", "/cutovers/{name}/live"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/cutovers/{name}/failed"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/cutovers/{name}/reject"): (Access.AUTHENTICATED, Action.APPROVE, True),
    ("POST", "/cutovers/{name}/postpone"): (Access.AUTHENTICATED, Action.PLAN, True),
    ("GET", "/returns/new"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/returns/new"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/returns/{id}"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/returns/{id}/live"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/returns/{id}/stop"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/report"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/report/file"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/overrides"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/overrides"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/overrides/{id}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/overrides/{id}/change"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/overrides/{id}/end"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/panics"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/panics"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/panics/{id}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/panics/{id}/end"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("GET", "/api/v1/ledger"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/messages"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/messages/search"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/messages/{reference}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/messages/{reference}/payload"): (Access.AUTHENTICATED, Action.OPERATE, True),
    ("POST", "/api/v1/messages/{reference}/resend"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("POST", "/api/v1/messages/{reference}/shares/{target}/resend"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("POST", "/api/v1/messages/{reference}/shares/{target}/discard"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("POST", "/api/v1/quarantine/{reference}/release"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("POST", "/api/v1/quarantine/{reference}/discard"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("POST", "/api/v1/forget"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/audit"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/audit/verify"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/audit/head.json"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/health"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/health/live"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/api/v1/health"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/try"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/try"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("POST", "/api/v1/try"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/try/example"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/audit"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/audit/verify"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/audit/verify"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/audit/head"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/reload"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/report"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/cutovers"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/cutovers/{name}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/cutovers"): (Access.AUTHENTICATED, Action.PLAN, False),
    ("PUT", "/api/v1/cutovers/{name}"): (Access.AUTHENTICATED, Action.PLAN, False),
    ("POST", "/api/v1/cutovers/{name}/preflight"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/cutovers/{name}/start"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/cutovers/{name}/cancel"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/cutovers/{name}/rollback"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/cutovers/{name}/approve"): (Access.AUTHENTICATED, Action.APPROVE, True),
    ("GET", "/api/v1/inbox"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/cutovers/preview"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/cutovers/{name}/effects"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/cutovers/{name}/progress"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/cutovers/{name}/failed"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/cutovers/{name}/reject"): (Access.AUTHENTICATED, Action.APPROVE, True),
    ("POST", "/api/v1/cutovers/{name}/postpone"): (Access.AUTHENTICATED, Action.PLAN, False),
    ("POST", "/api/v1/rollback/list"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/rollback/export"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/rollback/send"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("POST", "/api/v1/rollback/send-one"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/rollback/jobs/{id}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/rollback/jobs/{id}/stop"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/overrides"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/overrides"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/overrides/{id}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("PUT", "/api/v1/overrides/{id}"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("DELETE", "/api/v1/overrides/{id}"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/panics"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/panics/effects"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/panics"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("DELETE", "/api/v1/panics/{id}"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/routes"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/decisions/{reference}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/inbox/live"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/overview/live"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/municipalities/{municipality}"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/municipalities/{municipality}/live"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/vendors"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/vendors/{vendor}"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/vendors/{vendor}/file"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/rules/{rule}"): (Access.AUTHENTICATED, Action.VIEW, True),
    ("GET", "/api/v1/overview"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/municipalities/{municipality}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/vendors"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/vendors/{vendor}"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/comparisons"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/replica"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("POST", "/api/v1/replica/{municipality}/rebuild"): (Access.AUTHENTICATED, Action.OPERATE, False),
    ("GET", "/api/v1/rehearsals"): (Access.AUTHENTICATED, Action.VIEW, False),
    ("GET", "/api/v1/openapi.json"): (Access.AUTHENTICATED, Action.VIEW, False),
}
EVERYWHERE = {
    *(("GET", "/metrics"), ("GET", "/api/v1/audit"), ("GET", "/api/v1/audit/verify")),
    *(("GET", "/audit"), ("POST", "/audit/verify"), ("GET", "/audit/head.json")),
    *(("POST", "/api/v1/audit/verify"), ("GET", "/api/v1/audit/head"), ("POST", "/api/v1/reload")),
}
"""For those whose role holds for all municipalities."""
INSIDE = sorted(key for key, (door, _, _) in DECLARED.items() if door is Access.AUTHENTICATED)
PEOPLE = {"viewer": VERA, "operator": OLGA, "approver": ARNE, "planner": NORA}
ROLES = {"viewer": {"viewer"}, "operator": {"operator", "viewer"}, "approver": {"approver"}, "planner": {"planner", "operator"}}  # fmt: skip


def filled(path: str) -> str:
    """Return a path with something in its places."""
    return re.sub(r"\{[a-z]+\}", "x", path)


def test_every_route_is_declared() -> None:
    """What the router knows is what is written above, word for word."""
    port = AdminPort(CollectorRegistry())
    routed = {(route.method, route.resource.canonical) for route in port.app.router.routes() if route.resource}
    assert routed == DECLARED.keys()
    for each in port.endpoints:
        door, action, person = DECLARED[each.method, each.path]
        assert each.needs.access is door
        assert action is None or each.needs.action is action
        assert each.needs.person is person
        assert (each.needs.where is Where.EVERYWHERE) is ((each.method, each.path) in EVERYWHERE)


@in_one_world(("method", "path"), INSIDE)
async def test_stranger_is_refused(office: Office, method: str, path: str) -> None:
    """Without a login there is nothing to see, and nothing to change."""
    page = await office.browser().ask(method, filled(path))
    if path.startswith("/api/"):
        assert (page.status, page.json["code"]) == (401, "not-logged-in")
        assert page.headers["WWW-Authenticate"] == "Bearer"
    elif method == "GET":
        assert (page.status, page.location) == (303, "/login")
    else:
        assert page.status == 401


@pytest.mark.parametrize("role", PEOPLE)
async def test_roles_by_endpoints(office: Office, role: str) -> None:
    """Each role gets exactly what its actions open; what is opened answers with something else than 403."""
    browser = office.browser()
    await browser.enter(PEOPLE[role])
    actions = {action for one, allowed in MAY.items() if one.value in ROLES[role] for action in allowed}
    csrf = {"X-CSRF-Token": await browser.csrf()}
    # What is live answers, and ends at once.
    office.port.app[STOPPING].set()
    for method, path in INSIDE:
        if path == "/logout":
            continue
        page = await browser.ask(method, filled(path), headers=csrf)
        reaches = role != "planner" or (method, path) not in EVERYWHERE
        assert (page.status != 403) is (DECLARED[method, path][1] in actions and reaches), (method, path)


async def test_endpoint_that_nobody_declared_is_refused(office: Office, olga: Browser) -> None:
    """A route that was put past the list answers nobody."""

    async def forgotten(_request: web.Request) -> web.Response:
        return web.Response(text="secret")

    port = AdminPort(CollectorRegistry(), clock=office.clock)
    port.app.router.add_get("/forgotten", forgotten)
    number = await port.start(office.write(port="0"))
    try:
        page = await olga.get(f"http://127.0.0.1:{number}/forgotten")
    finally:
        await port.stop()
    assert page.status == 404
    assert "secret" not in page.text


async def test_failure_says_nothing_of_its_cause(
    office: Office, olga: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is answered with 500, by type in the log, and by nothing to whoever asked."""

    def fail(*_: object) -> None:
        raise ValueError("13116900216 Olga")

    monkeypatch.setattr(office.port.authenticator, "person_of", fail)
    page = await olga.get("/api/me")
    assert (page.status, page.json["code"], page.json["detail"]) == (500, "failed", "")
    assert len(office.logged.named("admin.failed")) == 1
    shown = office.logged.stream.getvalue()
    assert '"exception": "ValueError"' in shown
    assert "13116900216" not in shown
    assert "Olga" not in shown
    assert (await olga.get("/")).status == 500


async def test_every_answer_has_the_headers_of_safety(office: Office, olga: Browser) -> None:
    """Also refusals, redirects, and pages without a login."""
    stranger = office.browser()
    for page in (
        await olga.get("/"),
        await olga.get("/tokens"),
        await olga.get("/api/me"),
        await olga.get("/nothing"),
        await olga.ask("PUT", "/"),
        await stranger.get("/"),
        await stranger.get("/login"),
        await stranger.get("/login/start"),
        await stranger.get("/login/callback"),
        await stranger.get("/static/style.css"),
        await stranger.get("/livez"),
    ):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert "aiohttp" not in page.headers["Server"]
        assert "style=" not in page.text
        assert re.search(r"<script(?! src=\"/static/live\.js\" defer></script>)", page.text) is None
        assert "<style" not in page.text


@pytest.mark.parametrize("host", [None, "localhost", "admin.example"])
async def test_metrics_need_a_role_whatever_a_terminator_says_of_the_call(
    open_office: Callable[..., Awaitable[Office]], host: str | None
) -> None:
    """Also where it adds no field of its own: nothing in a request shows that it is from this machine."""
    office = await open_office(url="https://admin.example")
    assert (await Browser(office, host=host).get("/metrics")).status in {401, 421, 400, 403}
    browser = Browser(office, host="admin.example")
    await browser.enter(OLGA)
    assert (await browser.get("/metrics")).status == 200
    nora = Browser(office, host="admin.example")
    await nora.enter(NORA)
    assert (await nora.get("/metrics")).status == 403
    assert (await browser.get("/livez")).status == 200


async def test_metrics_have_an_address_of_their_own(open_office: Callable[..., Awaitable[Office]]) -> None:
    """For what collects them on this machine; nothing else is there, not even for whoever has logged in."""
    (own,) = free_ports(1)
    office = await open_office(metrics=f', metrics: "127.0.0.1:{own}"')
    browser = office.browser()
    await browser.enter(OLGA)
    for path, status in (("/metrics", 200), ("/livez", 200), ("/api/status", 404), ("/login", 404), ("/none", 404)):
        assert (await browser.get(f"http://127.0.0.1:{own}{path}")).status == status, path
    assert (await browser.get("/api/status")).status == 200


@pytest.mark.parametrize("person", [VERA, NORA])
async def test_large_and_strange_bodies_are_refused(office: Office, person: TestPerson) -> None:
    """Nothing above 64 KiB is read, and nothing but the form or JSON that an endpoint is for."""
    browser = office.browser()
    await browser.enter(person)
    csrf = {"X-CSRF-Token": await browser.csrf()}
    large = await browser.ask("POST", "/logout", data={"csrf": "x" * 70_000})
    assert large.status in (400, 403)
    if person is NORA:
        for kind, body in (("text/plain", b"{}"), ("application/json", b"{"), ("application/json", b"[" * 5000)):
            answer = await browser.ask("POST", "/api/tokens", data=body, headers={**csrf, "Content-Type": kind})
            assert (answer.status, answer.json["code"]) == (400, "bad-request")
        multipart = await browser.ask("POST", "/tokens", data=b"", headers={**csrf, "Content-Type": "multipart/form-data; boundary=x"})  # fmt: skip
        assert multipart.status == 400
