"""`serve` as a process, with people at its admin port, and where it must not start."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from service_stubs.logins import LoginSetting, TestPerson
from tests.gateway.served import served, spawn
from tests.gateway.world import registration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from joserfc.jwk import ECKey

    from tests.gateway.world import World

pytestmark = pytest.mark.slow

LEGACY = "  - {mode: legacy}\n"
PEOPLE = """\
people:
  url: "http://127.0.0.1:{port}"
  helseid: {{client_id: people, key_file: {key}}}
  persons:
    olga: {{claim: sub, value: olga, roles: [{roles}]}}
"""


def write(world: World, *, roles: str = "operator", key: str = "key.json", **changes: Any) -> None:
    """Write a configuration with people, whose record systems VKP all reaches."""
    world.write(top=PEOPLE.format(port=world.admin_port, roles=roles, key=key), routes=LEGACY, **changes)
    text = world.config.read_text(encoding="utf-8").replace("generation: new", "generation: legacy")
    world.config.write_text(text, encoding="utf-8")


def registered(world: World, key: ECKey) -> None:
    """Tell the double of the client for people, and who logs in."""
    scopes = [
        "openid",
        "profile",
        "helseid://scopes/identity/security_level",
        "helseid://scopes/identity/pid_pseudonym",
    ]
    back = f"http://127.0.0.1:{world.admin_port}/login/callback"
    world.helseid.register(registration(key, client_id="people", scopes=scopes, redirect_uris=[back]))
    world.helseid.log_in(LoginSetting(TestPerson(sub="olga")))


async def log_in(session: aiohttp.ClientSession, address: str) -> int:
    """Log in as a browser does; return the status of the page in the end."""
    async with session.get(f"{address}/login/start") as page:
        return page.status


async def test_person_logs_in_at_a_process(start: Callable[..., Awaitable[World]], client_key: ECKey) -> None:
    """And a reload takes effect for whoever is logged in."""
    world = await start(serve=False)
    write(world)
    registered(world, client_key)
    jar = aiohttp.CookieJar(unsafe=True)
    async with served(world) as gateway, aiohttp.ClientSession(cookie_jar=jar) as session:
        assert await log_in(session, gateway.address) == 200
        for _ in range(4):
            async with session.get(f"{gateway.address}/api/tokens") as answer:
                assert answer.status == 200
        async with session.get(f"{gateway.address}/api/status") as answer:
            first = await answer.json()
        assert first["reload"] is None

        write(world, roles="viewer")
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.until("reload.taken")
        async with session.get(f"{gateway.address}/api/tokens") as answer:
            assert answer.status == 403
        async with session.get(f"{gateway.address}/api/status") as answer:
            status = await answer.json()
        assert status["reload"]["taken"]
        assert status["version"] != first["version"]

        write(world, roles="viewer", key="gone.json")
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.until("reload.refused")
        async with session.get(f"{gateway.address}/api/status") as answer:
            refused = await answer.json()
        assert refused["version"] == status["version"]
        assert not refused["reload"]["taken"]
        assert any("people.helseid.key_file: gone.json" in problem for problem in refused["reload"]["problems"])
    assert "eyJ" not in json.dumps(gateway.lines)


async def test_development_login_of_a_process(start: Callable[..., Awaitable[World]]) -> None:
    """`--dev-login` without `people`, for trying things out."""
    world = await start(serve=False, routes=LEGACY)
    write(world)
    text = world.config.read_text(encoding="utf-8")
    world.config.write_text(text.replace(text[text.index("people:") : text.index("upstreams:")], ""), encoding="utf-8")
    async with (
        served(world, "--dev-login") as gateway,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        form, origin = {"roles": "viewer"}, {"Origin": gateway.address}
        async with session.post(f"{gateway.address}/dev-login", data=form, headers=origin) as page:
            assert page.status == 200
            assert "Utviklingsinnlogging" in await page.text()


@pytest.mark.parametrize(
    ("changes", "options", "code", "reason"),
    [
        ({"environment": "production", "everywhere": "{vkp_id: A, municipality: havnes}"}, ["--dev-login"], 2, "--dev-login needs environment test"),
        ({"key": "gone.json"}, [], 1, "people.helseid.key_file: gone.json: No such file or directory"),
    ],
)  # fmt: skip
async def test_process_that_does_not_start(
    start: Callable[..., Awaitable[World]], changes: dict[str, Any], options: list[str], code: int, reason: str
) -> None:
    """Exit 2 for a wrong use, 1 for a file that is not there; with the reason, and before anyone is served."""
    world = await start(serve=False)
    write(world, **changes)
    process = await spawn(world, *options)
    _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == code, errors
    assert reason in errors.decode()
    assert b"Traceback" not in errors
