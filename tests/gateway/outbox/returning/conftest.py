"""Sending back to VKP between the doubles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.outbox.return_jobs import Job, Progress
from tests.gateway.return_scene import HAVNES_ALL, return_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from joserfc.jwk import ECKey

    from gateway.ledger.returns import Selection
    from gateway.outbox.returns import Returner
    from tests.gateway.return_scene import Scene
    from tests.gateway.world import Logged

FAST = 50.0


@pytest.fixture
async def scene(tmp_path: Path, client_key: ECKey, signing_keys: None, logged: Logged) -> AsyncIterator[Scene]:
    """Run the doubles and open a ledger."""
    del signing_keys, logged
    async with return_scene(tmp_path, client_key) as made:
        yield made


async def finished(returning: Returner, job: Job) -> Job:
    """Wait until a job has ended."""
    await asyncio.gather(*returning._tasks)
    assert job.progress is not Progress.RUNNING
    return job


async def send_back(scene: Scene, selection: Selection = HAVNES_ALL, node: str = "node-0") -> Job:
    """Send what is unread, and wait until that has ended."""
    returning = scene.returning(node)
    return await finished(returning, returning.begin(selection, FAST))


# What goes back.
