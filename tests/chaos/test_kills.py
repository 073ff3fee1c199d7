"""Gateways are killed while they hold promises, and JFT fails, is slow, and accepts without saying so.

In full, with what became of the messages printed: `make chaos`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.chaos import trouble
from tests.chaos.messages import HOLDS, REFUSES, Message, messages
from tests.chaos.scene import SENDERS, Scene, scene
from tests.chaos.senders import Line, Progress, deliver, request, send_all
from tests.chaos.verdict import judge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.slow

MESSAGES = int(os.environ.get("CHAOS_MESSAGES", "500"))
KILLS = int(os.environ.get("CHAOS_KILLS", "4"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
LINES = 32
"""Messages under way at a time."""
COPIED = 10
"""Every so many messages are sent to both nodes at the same time."""
PATIENCE = 240.0


@asynccontextmanager
async def bounded(running: Scene, progress: Progress) -> AsyncIterator[None]:
    """Give everything so much time, and say how far it came when that is not enough."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        states = Counter(row.state for row in running.rows().values())
        text = f"only {progress.done.value} are done; {states}; {running.nodes[0].program.last_lines()}"
        raise AssertionError(text) from None


async def check_end(running: Scene, sent: Sequence[Message]) -> None:
    """Wait until nothing is under way, end the gateways, and compare what was promised with what was done."""
    await running.drained(PATIENCE)
    events = await running.events()
    for node in running.nodes:
        assert await node.program.stop() == 0, node.program.last_lines()
    verdict = judge(sent, running.rows(), events)
    starts = sum(node.program.starts for node in running.nodes)
    print(f"{verdict}; {starts} starts of {len(running.nodes)} nodes")  # noqa: T201 - shown with -s
    assert not verdict.faults, "\n".join(verdict.faults[:20])
    assert verdict.counts["messages"] == len(sent)
    logs = running.logs()
    assert not any(message.number in logs for message in sent), "a patient's number is in a log"


async def test_nothing_promised_is_lost_when_the_gateway_is_killed(tmp_path: Path) -> None:
    """Every message that was answered with success is at JFT once, or in quarantine with a reason."""
    sent = messages(MESSAGES, seed=SEED, senders=SENDERS, municipalities=(HOLDS, REFUSES))
    progress = Progress()
    async with scene(tmp_path) as running, bounded(running, progress):
        node = running.nodes[0]
        async with asyncio.TaskGroup() as group:
            group.create_task(trouble.unreliable_service(running, progress, MESSAGES, SEED))
            group.create_task(trouble.killer([node.program], progress, MESSAGES, KILLS, SEED))
            for municipality in (HOLDS, REFUSES):
                own = [message for message in sent if message.municipality == municipality]
                group.create_task(send_all(own, running.tokens, node.data, progress, LINES // 2))
        await check_end(running, sent)


async def test_nothing_promised_is_lost_between_two_nodes(tmp_path: Path, postgres: str) -> None:
    """Two nodes on one PostgreSQL, killed in turn, with copies sent to both at once, promise no more than they keep."""
    sent = messages(MESSAGES, seed=SEED, senders=SENDERS, municipalities=(HOLDS, REFUSES))
    progress = Progress()
    async with scene(tmp_path, nodes=2, store=postgres) as running, bounded(running, progress):
        async with asyncio.TaskGroup() as group:
            group.create_task(trouble.unreliable_service(running, progress, MESSAGES, SEED))
            programs = [node.program for node in running.nodes]
            group.create_task(trouble.killer(programs, progress, MESSAGES, KILLS, SEED))
            for municipality in (HOLDS, REFUSES):
                waiting = enumerate([message for message in sent if message.municipality == municipality])
                for _ in range(LINES // 2):
                    group.create_task(_to_both(waiting, running, progress))
        await check_end(running, sent)


async def _to_both(waiting: Iterator[tuple[int, Message]], running: Scene, progress: Progress) -> None:
    """Send messages to the nodes in turn, and some to both at the same time."""
    lines = [Line(node.data) for node in running.nodes]
    try:
        for number, message in waiting:
            raw = request(message, running.tokens)
            used = lines if number % COPIED == 0 else [lines[number % len(lines)]]
            await asyncio.gather(*(deliver(message, raw, line, progress) for line in used))
            progress.done.one_more()
    finally:
        for line in lines:
            line.close()
