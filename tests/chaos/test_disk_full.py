"""The disk is full: nothing is promised that cannot be kept, and what needs no disk goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.messages import HOLDS, PASSES, REFUSES, messages
from tests.chaos.scene import SENDERS, scene
from tests.chaos.senders import Line, attempt, request
from tests.chaos.verdict import judge

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


async def test_full_disk_promises_nothing_and_heals_without_a_restart(tmp_path: Path) -> None:
    """503 with 3.1 while nothing can be written, on every route with a ledger; VKP's lane never notices; then all is well."""
    sent = messages(30, seed=1, senders=SENDERS, municipalities=(HOLDS, REFUSES, PASSES))
    before, during, after = sent[:9], sent[9:21], sent[21:]
    async with scene(tmp_path) as running:
        node = running.nodes[0]
        line = Line(node.data)
        try:
            raw = {message.business_id: request(message, running.tokens) for message in sent}
            assert {await attempt(message, raw[message.business_id], line) for message in before} == {200}

            node.program.no_more_writing()
            for message in during:
                answer = await line.ask(raw[message.business_id])
                assert answer is not None
                if message.municipality == PASSES:
                    assert answer[0] == 200
                else:
                    assert answer[0] == 503
                    assert b'"code":"3.1"' in answer[1].replace(b" ", b"")
            at_jft = len(await running.events())
            assert at_jft == len([message for message in before if message.municipality != PASSES])

            node.program.writing_again()
            again = [message for message in during if message.municipality != PASSES]
            assert {await attempt(message, raw[message.business_id], line) for message in [*again, *after]} == {200}
        finally:
            line.close()
        assert await running.at_vkp() == len(sent) // 3
        await running.drained(30.0)
        events = await running.events()
        assert await node.program.stop() == 0
        journaled = [message for message in sent if message.municipality != PASSES]
        verdict = judge(journaled, running.rows(), events)
        assert not verdict.faults, "\n".join(verdict.faults)
        assert verdict.counts["delivered once"] == len(journaled)
        assert node.program.starts == 1
