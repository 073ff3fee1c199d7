"""Who reads and translates a large body: a process, another one where that is lost, or a thread; never more than may wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from gateway.errors import Failure, Fault
from gateway.pipeline.bodies import BodyAnswer, BodyQuestion, answered
from gateway.pipeline.content import LARGE, Worker
from gateway.surfaces import vkp_r4
from gateway.worker.process import ProcessDefect, ProcessLost, ProcessNotStarted, ProcessTooSlow
from tests.gateway.world import message
from translators.contract import Settings
from translators.national_number import TEST_KINDS

QUESTION = BodyQuestion(message("alarm-follow-up"), "vkp-r4", None, service="jft", settings=Settings(TEST_KINDS))


class _Process:
    """In place of a process: gives, or raises, one after the other what it was made with."""

    def __init__(self, *gives: BodyAnswer | Exception) -> None:
        self.gives = list(gives)
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked, self.at_once, self.most, self.ends = 0, 0, 0, 0

    async def ask(self, question: object, timeout: float) -> BodyAnswer:  # noqa: ASYNC109, ARG002 - as the real one
        self.asked, self.at_once = self.asked + 1, self.at_once + 1
        self.most = max(self.most, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        found = self.gives.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        self.ends += 1

    async def close(self) -> None:
        self.end()


@contextlib.asynccontextmanager
async def _worker(process: _Process) -> Any:
    worker = Worker(process)
    yield worker
    await worker.close()
    assert process.ends, "closed with it"


async def test_body_whose_process_was_lost_is_asked_of_another() -> None:
    """The question has all that it takes, and nothing was delivered yet."""
    async with _worker(process := _Process(ProcessLost("ended"), answered(QUESTION))) as worker:
        assert await worker.ask(QUESTION, "sender") == answered(QUESTION)
    assert process.asked == 2


@pytest.mark.parametrize(
    ("raised", "asked"),
    [([ProcessLost("ended"), ProcessLost("ended")], 2), ([ProcessTooSlow("slow")], 1)],
    ids=["lost twice", "too slow"],
)
async def test_body_that_ends_its_process_is_not_brought_into_the_gateway(raised: list[Exception], asked: int) -> None:
    """Its sender is told to come again, and nobody else is harmed by it."""
    async with _worker(process := _Process(*raised)) as worker:
        with pytest.raises(Failure) as refusal:
            await worker.ask(QUESTION, "sender")
    assert (refusal.value.fault, refusal.value.retry_after) == (Fault.UNAVAILABLE, 10)
    assert process.asked == asked


@pytest.mark.parametrize("why", [ProcessNotStarted("no memory"), ProcessDefect("KeyError")], ids=str)
async def test_body_that_no_process_takes_is_worked_on_in_the_thread(
    why: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before there was one."""
    threads, read = [], vkp_r4.read

    def noting(*given: Any) -> Any:
        threads.append(threading.current_thread())
        return read(*given)

    monkeypatch.setattr(vkp_r4, "read", noting)
    async with _worker(_Process(why)) as worker:
        assert await worker.ask(QUESTION, "sender") == answered(QUESTION)
    assert threads[0] is not threading.main_thread()


async def test_without_a_process_the_thread_answers() -> None:
    """Where searches are answered there is none."""
    worker = Worker()
    assert await worker.ask(QUESTION, "sender") == answered(QUESTION)
    await worker.close()


async def test_so_many_bodies_wait_for_the_process_and_no_more() -> None:
    """One is worked on at a time; beyond the bound a sender is told to come again."""
    process = _Process(*[answered(QUESTION)] * 64)
    process.gate.clear()
    async with _worker(process) as worker:
        waiting = [
            asyncio.get_running_loop().create_task(worker.ask(QUESTION, f"sender {one % 2}")) for one in range(64)
        ]
        await asyncio.sleep(0)
        for attempt in (lambda: worker.ask(QUESTION, "sender"), lambda: worker.run(LARGE + 1, lambda: None)):
            with pytest.raises(Failure) as refusal:
                await attempt()
            assert (refusal.value.fault, refusal.value.retry_after) == (Fault.TOO_MANY, 1)
        process.gate.set()
        assert await asyncio.gather(*waiting) == [answered(QUESTION)] * 64
    assert process.most == 1


async def test_a_sender_of_many_large_bodies_leaves_others_a_place_and_their_turn() -> None:
    """Whatever of its own waits: what another sends comes right after what is being read, and is not refused."""
    process, done = _Process(*[answered(QUESTION)] * 49), list[str]()
    process.gate.clear()

    async def asked(sender: str) -> None:
        await worker.ask(QUESTION, sender)
        done.append(sender)

    async with _worker(process) as worker, asyncio.TaskGroup() as together:
        for _ in range(48):
            together.create_task(asked("of many"))
        await asyncio.sleep(0)
        with pytest.raises(Failure) as refusal:
            await worker.ask(QUESTION, "of many")
        assert (refusal.value.fault, refusal.value.retry_after) == (Fault.TOO_MANY, 1)
        together.create_task(asked("another"))
        await asyncio.sleep(0)
        process.gate.set()
    assert done.index("another") <= 2
    assert len(done) == 49


async def test_body_that_nobody_waits_for_any_more_keeps_no_other_waiting() -> None:
    """Its process is ended, since nobody knows how long it would take."""
    process = _Process(answered(QUESTION))
    process.gate.clear()
    async with _worker(process) as worker:
        waiting = asyncio.get_running_loop().create_task(worker.ask(QUESTION, "sender"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert process.ends == 1
        process.gate.set()
        assert await worker.ask(QUESTION, "sender") == answered(QUESTION)
