"""Bodies are read within a budget, and large ones where nobody waits for them."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import Failure, Fault
from gateway.pipeline.bodies import BodyAnswer, answered
from gateway.pipeline.content import LARGE, Worker
from tests.gateway.world import another, message
from tests.waiting import HANGS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World


async def test_a_small_body_is_worked_on_at_once_and_a_large_one_in_a_thread() -> None:
    """Each by its size; what the work gives or raises comes back."""
    worker = Worker()
    assert await worker.run(LARGE, threading.current_thread) is threading.main_thread()
    assert await worker.run(LARGE + 1, threading.current_thread) is not threading.main_thread()
    with pytest.raises(ZeroDivisionError):
        await worker.run(LARGE + 1, lambda: 1 // 0)
    await worker.close()


async def test_so_many_large_bodies_wait_and_no_more() -> None:
    """Beyond the bound a sender is told to come again; what waited is done in turn."""
    worker, gate, done = Worker(), threading.Event(), list[int]()
    waiting = [asyncio.get_running_loop().create_task(worker.run(LARGE + 1, lambda: gate.wait(60)))]
    waiting += [
        asyncio.get_running_loop().create_task(worker.run(LARGE + 1, lambda: done.append(1) or True, f"{one % 2}"))
        for one in range(63)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Failure) as refusal:
        await worker.run(LARGE + 1, lambda: True)
    assert (refusal.value.fault, refusal.value.retry_after) == (Fault.TOO_MANY, 1)
    gate.set()
    assert all(await asyncio.gather(*waiting))
    assert len(done) == 63
    await worker.close()


async def test_senders_take_turns_in_the_thread_too() -> None:
    """As answers of a record system: one sender's many keep no other's waiting, nor take its place."""
    worker, gate, done = Worker(), threading.Event(), list[str]()

    async def read(sender: str) -> None:
        await worker.run(LARGE + 1, lambda: gate.wait(60), sender)
        done.append(sender)

    async with asyncio.TaskGroup() as together:
        for _ in range(48):
            together.create_task(read("of many"))
        await asyncio.sleep(0)
        with pytest.raises(Failure) as refusal:
            await worker.run(LARGE + 1, lambda: True, "of many")
        assert (refusal.value.fault, refusal.value.retry_after) == (Fault.TOO_MANY, 1)
        together.create_task(read("another"))
        await asyncio.sleep(0)
        gate.set()
    assert done.index("another") <= 2
    await worker.close()


async def test_nothing_is_kept_of_senders_whose_bodies_were_read() -> None:
    """A token that nobody has verified may name anybody, and each time another."""
    worker = Worker()
    for number in range(3):
        await worker.run(LARGE + 1, lambda: True, f"sender {number}")
    assert not worker._of_sender
    await worker.close()


class _Stalled:
    """In place of the process: answers when the gate is open."""

    def __init__(self) -> None:
        self.gate, self.begun = asyncio.Event(), asyncio.Event()

    async def ask(self, question: Any, timeout: float) -> BodyAnswer:  # noqa: ASYNC109, ARG002 - as the real one
        self.begun.set()
        await self.gate.wait()
        return answered(question)

    def end(self) -> None:
        """Go on."""

    async def close(self) -> None:
        """Go on."""


async def test_others_do_not_wait_for_a_large_body(start: Callable[..., Awaitable[World]]) -> None:
    """While one is being read, another sender's message is delivered."""
    world = await start(body="1MB")
    process = _Stalled()
    world.gateway._built_by().worker._process = process
    large = asyncio.get_running_loop().create_task(world.post("bundle", message("alarm-follow-up") + b" " * LARGE))
    await asyncio.wait_for(process.begun.wait(), HANGS)
    assert (await world.post("bundle", another(message("alarm-follow-up")))).status == 200
    assert not large.done()
    process.gate.set()
    assert (await large).status == 200
    assert len(world.delivered) == 2


async def test_work_that_nobody_waits_for_is_done_all_the_same() -> None:
    """A large body's in the thread, and what came of it is handed on in the event loop."""
    worker, done = Worker(), asyncio.Event()
    found: list[object] = []

    def take(value: object) -> None:
        found.extend((value, threading.current_thread()))
        done.set()

    worker.later(LARGE + 1, threading.current_thread, take)
    await asyncio.wait_for(done.wait(), HANGS)
    assert found[0] is not threading.main_thread()
    assert found[1] is threading.main_thread()
    await worker.close()


async def test_small_bodies_that_nobody_waits_for_are_worked_on_several_at_a_time() -> None:
    """Within a moment, or as soon as there are many; one that fails takes no other with it."""
    worker, found = Worker(), list[int]()
    many = 16
    worker.later(LARGE, lambda: 1 // 0, found.append)
    for number in range(many - 2):
        worker.later(LARGE, partial(int, number), found.append)
    assert not found
    worker.later(LARGE, lambda: many, found.append)
    assert found == [*range(many - 2), many]
    done = asyncio.Event()
    worker.later(LARGE, done.set, lambda _: None)
    await asyncio.wait_for(done.wait(), 120)
    await worker.close()


async def test_what_was_gathered_is_done_before_an_end() -> None:
    """Whoever ends the process asks for it."""
    worker, found = Worker(), list[int]()
    worker.later(LARGE, lambda: 1, found.append)
    worker.catch_up()
    await worker.close()
    assert found == [1]
