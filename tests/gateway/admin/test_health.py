"""The admin port: two pages to read, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.gateway.world import message

if TYPE_CHECKING:
    from tests.gateway.world import World


@pytest.mark.parametrize(
    ("method", "page", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/metrics", 200),
        ("POST", "/livez", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
    ],
)
async def test_only_two_pages_are_there(world: World, method: str, page: str, status: int) -> None:
    """Everything else is 404, and nothing can be changed."""
    url = f"http://127.0.0.1:{world.admin_port}{page}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        assert answer.status == status


async def test_metrics_name_municipalities_and_no_patients(world: World) -> None:
    """What was sent is counted by kind; nothing that a message said becomes a label."""
    await world.post("bundle", message("alarm-follow-up"))
    await world.post("/epj/r4/12834010060/bundle", message("bad-patient"))
    url = f"http://127.0.0.1:{world.admin_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    assert 'vkp_gateway_messages_total{information="varsel",mode="new",municipality="havnes",outcome="accepted"' in text
    assert "128340100" not in text
    assert "Everywhere" not in text
