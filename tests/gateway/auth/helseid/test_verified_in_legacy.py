"""`admit: {legacy: verify}`: what passes at once on the memory of a token never does so on the memory of a proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.auth.helseid.device import Device
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World

TARGETS = [f"/epj/r4/{NORDFJELL}/patient/_search", f"/epj/r4/{NORDFJELL}/bundle"]
"""One that the head decides alone, and one whose body is read for its route."""


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream) -> AsyncIterator[World]:
    """Start a gateway that checks tokens in front of a VKP that lets everything in."""
    return await start(vkp=raw_upstream, top="admit: {legacy: verify}")


def seen(world: World) -> int:
    """Return how many requests VKP saw."""
    return int(world.vkp.seen.qsize())


@pytest.mark.parametrize("target", TARGETS)
async def test_proof_passes_once(world: World, target: str) -> None:
    """The same bytes again are refused, as often as they come; a new proof passes."""
    device = Device(world, target=target)
    proof = device.proof()
    assert (await device.post([proof], body=b"")).status == 200
    for _ in range(3):
        assert (await device.post([proof], body=b"")).status == 401
    assert (await device.post([device.proof()], body=b"")).status == 200
    assert seen(world) == 2


@pytest.mark.parametrize("target", TARGETS)
async def test_anothers_token_passes_with_no_proof_of_ones_own(world: World, target: str) -> None:
    """Whoever saw the token has not the key: no proof, a wrong one and one of another key are refused."""
    device = Device(world, target=target)
    assert (await device.post([device.proof()], body=b"")).status == 200
    thief = Device(world, target=target)
    thief.token = device.token
    for proofs in ([], ["x"], [thief.proof()]):
        assert (await thief.post(proofs, body=b"")).status == 401
    assert seen(world) == 1


async def test_request_that_passes_is_unchanged(world: World) -> None:
    """Token and proof go on as they came: VKP, or what stands in its place, may check them too."""
    device = Device(world, target=TARGETS[0])
    proof = device.proof()
    await device.post([proof], body=b"")
    passed = world.vkp.seen.get_nowait()
    assert passed.values("authorization") == [f"DPoP {device.token}".encode()]
    assert passed.values("dpop") == [proof.encode()]


async def test_bearer_passes_on_the_memory_of_its_token(world: World) -> None:
    """The neighbour: a plain token needs no proof, and the same one passes again and again."""
    token = world.token()
    for _ in range(3):
        assert (await world.post(TARGETS[0], token=token)).status == 200
    assert seen(world) == 3
