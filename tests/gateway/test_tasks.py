"""Background work: when it comes round, what becomes of a failure, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gateway.tasks import FileThread, Periodic, WorkQueue
from tests.waiting import HANGS

if TYPE_CHECKING:
    from tests.gateway.world import Logged


class Rests:
    """Pauses that last until a test ends them, or until there is news."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._begun = asyncio.Semaphore(0)
        self._due: asyncio.Event | None = None

    async def __call__(self, due: asyncio.Event, seconds: float) -> None:
        self.pauses.append(seconds)
        self._due = due
        self._begun.release()
        await due.wait()

    async def begun(self) -> None:
        """Wait until the next pause has begun."""
        async with asyncio.timeout(HANGS):
            await self._begun.acquire()

    def end(self) -> None:
        """End a pause, as time does."""
        assert self._due is not None
        self._due.set()


class Work:
    """Work that is counted; what it returns or raises is given beforehand."""

    def __init__(self, *outcomes: Any) -> None:
        self.times = 0
        self._outcomes = list(outcomes)

    async def __call__(self) -> Any:
        self.times += 1
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def rests() -> Rests:
    """Make pauses that a test ends."""
    return Rests()


async def test_work_is_done_at_once_and_after_every_pause(rests: Rests) -> None:
    """A pause is a little shorter than the interval, by chance, and never longer."""
    work = Work()
    task = Periodic("test", work, 10.0, rest=rests)
    task.start()
    for times in range(1, 6):
        await rests.begun()
        assert work.times == times
        rests.end()
    await task.stop()
    assert all(9.0 <= pause <= 10.0 for pause in rests.pauses)


async def test_work_may_begin_with_a_pause(rests: Rests) -> None:
    """As where what it looks at has just been read."""
    work = Work()
    task = Periodic("test", work, 10.0, at_once=False, rest=rests)
    task.start()
    await rests.begun()
    assert work.times == 0
    await task.finish()
    assert work.times == 1


async def test_the_first_pause_may_be_another(rests: Rests) -> None:
    """As where a process that has just started has better things to do."""
    work = Work()
    task = Periodic("test", work, 10.0, after=1.0, rest=rests)
    task.start()
    for times in range(2):
        await rests.begun()
        assert work.times == times
        rests.end()
    await task.stop()
    assert [round(pause, -1) for pause in rests.pauses[:2]] == [0, 10]


async def test_news_ends_a_pause(rests: Rests) -> None:
    """Also news that comes while there is no pause is not lost."""
    work = Work()
    task = Periodic("test", work, 10.0, rest=rests)
    task.start()
    await rests.begun()
    task.soon()
    await rests.begun()
    assert work.times == 2
    await task.stop()


async def test_work_that_has_more_to_do_gets_no_pause(rests: Rests) -> None:
    """Until it has no more."""
    work = Work(True, True, False)
    task = Periodic("test", work, 10.0, rest=rests)
    task.start()
    await rests.begun()
    assert (work.times, len(rests.pauses)) == (3, 1)
    await task.stop()


async def test_failure_is_told_and_the_work_is_done_again(rests: Rests, logged: Logged) -> None:
    """After the pause for failures; what was told where it was raised is not told twice."""
    work = Work(RuntimeError("a defect"), OSError("told already"), None)
    task = Periodic("test", work, lambda: 1000.0, again=10.0, passing=OSError, rest=rests)
    task.start()
    for _ in range(3):
        await rests.begun()
        rests.end()
    await task.stop()
    assert work.times >= 3
    assert [pause <= 10.0 for pause in rests.pauses[:3]] == [True, True, False]
    assert [one["task"] for one in logged.named("task.defect")] == ["test"]


async def test_stop_ends_work_in_the_middle(rests: Rests) -> None:
    """It may hang."""
    begun = asyncio.Event()

    async def hanging() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = Periodic("test", hanging, 10.0, rest=rests)
    task.start()
    await begun.wait()
    await task.stop()
    assert not rests.pauses


async def test_finish_works_a_last_time(rests: Rests) -> None:
    """And never twice at once: what is under way is waited for."""
    work = Work()
    task = Periodic("test", work, 10.0, rest=rests)
    task.start()
    await rests.begun()
    await task.finish()
    assert work.times == 2


async def test_finish_without_a_start_works_once() -> None:
    """As where a process stops before it has begun."""
    work = Work()
    await Periodic("test", work, 10.0).finish()
    assert work.times == 1


async def test_files_are_read_again_once_the_system_has_a_thread_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that could not be started keeps nobody out."""
    files = FileThread(60.0)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            await files.do(lambda: 1)
    assert await files.do(lambda: 1) == 1


async def test_who_brings_many_jobs_leaves_others_a_place_and_their_turn() -> None:
    """Three quarters of the places, or of the bytes, and one of theirs after one of another's."""
    done = list[str]()

    async def work(job: str) -> None:
        done.append(job)

    for size in (1, 100):
        queue = WorkQueue("test", work, most=8, most_bytes=800)
        assert [queue.offer("of many", size, "one") for _ in range(7)] == [True] * 6 + [False]
        assert [queue.offer("another's", size, "another") for _ in range(3)] == [True, True, False]
        done.clear()
        queue.start()
        assert not await queue.stop(HANGS)
        assert done[:4] == ["of many", "another's"] * 2
        assert len(done) == 8


async def test_one_job_may_take_all_the_room() -> None:
    """Where nothing of the same waits: otherwise what is large would never be done."""

    async def work(_: str) -> None:
        """Be done."""

    queue = WorkQueue("test", work, most=1, most_bytes=100)
    assert queue.offer("large", 100, "one")
    assert not queue.offer("more", 0, "one")
    queue.start()
    assert not await queue.stop(HANGS)
