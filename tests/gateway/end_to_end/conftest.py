"""A municipality that is rehearsed, with people at a real admin port; all under one clock that tests move."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.tasks import Intervals
from legacy_stubs.access import VKP_ID_CLAIM
from service_stubs.clients import Client
from service_stubs.helseid import HelseIdStub
from tests.gateway.end_to_end.scene import (
    PEOPLE_CLIENT,
    PEOPLE_SCOPES,
    VKP_CLIENT,
    VKP_SCOPES,
    Migration,
    everywhere,
    routes,
    top,
)
from tests.gateway.office import Clock, Office

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from joserfc.jwk import ECKey

    from tests.gateway.world import World

_QUICK = Intervals(cutovers=0.02, layers=0.02, verdicts=0.02, decisions=0.02, follow=0.02, rewrite=0.02)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Make the one clock of the gateway, its admin port and HelseID."""
    clock = Clock()
    monkeypatch.setattr("tests.gateway.conftest.HelseIdStub", partial(HelseIdStub, clock=clock))
    return clock


@pytest.fixture
async def migration(
    clock: Clock, start: Callable[..., Awaitable[World]], client_key: ECKey
) -> AsyncIterator[Migration]:
    """Start a gateway that rehearses Nordfjell and has a client of its own at VKP."""
    own = f'municipality: nordfjell, client_id: {VKP_CLIENT}, key_file: key.json, scope: "{" ".join(VKP_SCOPES)}"'
    client = f", clients: [{{{own}}}]"
    world = await start(
        serve=False, clock=clock, intervals=_QUICK, routes=routes(), everywhere=everywhere(), vkp_host=client
    )
    world.write(top=top(world.admin_port))
    world.jft.clock = world.vkp.clock = clock
    url, jwks = f"http://127.0.0.1:{world.admin_port}", {"keys": [client_key.as_dict(private=False)]}
    back = [f"{url}/login/callback"]
    people = Client(PEOPLE_CLIENT, "People", PEOPLE_SCOPES, jwks, tenancy="single", redirect_uris=back)
    world.helseid.register(people)
    world.helseid.register(Client(VKP_CLIENT, "At VKP", VKP_SCOPES, jwks, claims={VKP_ID_CLAIM: "Gateway"}))
    await world.serve()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        admin = world.gateway._admin
        office = Office(world.folder, world.helseid, admin, clock, world.logged, http, url, {"url": url})
        office.config = world.gateway._configured
        try:
            yield Migration(world, office)
            assert not world.helseid.needless, "a token was asked for while one was valid (HelseID: FK3)"
        finally:
            await world.stop()
