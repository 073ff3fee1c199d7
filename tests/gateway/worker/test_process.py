"""Work in a process of its own: each question answered in its turn, and nobody waits for a process that is gone."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import uvloop

from gateway.pipeline.bodies import BodyAnswer, BodyQuestion
from gateway.worker.main import framed, plain, serve
from gateway.worker.process import ProcessDefect, ProcessLost, ProcessNotStarted, ProcessTooSlow, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MODULE = "gateway.pipeline.bodies"
SMALL = BodyQuestion(b"{}", "vkp-r4", None, histories=((),))
UNKNOWN = BodyQuestion(b"{}", "no surface of ours", None)


def served(asked: tuple[bytes, ...], answer: Callable[[BodyQuestion], object]) -> bytes:
    """Return what a process says to one question after its first word, done here."""
    sink = io.BytesIO()
    serve(io.BytesIO(b"".join(asked)), sink, BodyQuestion, answer)
    assert sink.getvalue()[:4] == bytes(4), "it says first that it is there"
    size = int.from_bytes(sink.getvalue()[4:8])
    return sink.getvalue()[8 : 8 + size]


def test_defect_is_told_by_its_name_alone() -> None:
    """Its text may have something of a patient."""

    def fail(asked: BodyQuestion) -> None:
        raise KeyError(asked.body)

    assert msgspec.msgpack.decode(served(framed(SMALL), fail)) == ["defect", "KeyError"]
    wrong = (b"\0\0\0\1", b"\0\0\0\0", b"\xc1")
    assert msgspec.msgpack.decode(served(wrong, fail)) == ["defect", "DecodeError"]


def test_body_is_written_as_it_is_behind_its_question() -> None:
    """To copy a megabyte takes the event loop half a millisecond."""
    assert framed(SMALL)[-1] is SMALL.body
    seen: list[BodyQuestion] = []
    served((*framed(SMALL), *framed(UNKNOWN)), seen.append)
    assert seen == [SMALL, UNKNOWN]


def test_text_of_another_kind_is_written_as_any_text_and_nothing_else_is_guessed() -> None:
    """What a repair has made is such a text."""

    class Text(str):
        __slots__ = ()

    assert msgspec.msgpack.decode(msgspec.msgpack.encode([Text("one")], enc_hook=plain)) == ["one"]
    with pytest.raises(TypeError, match="complex"):
        msgspec.msgpack.encode(1j, enc_hook=plain)


@pytest.fixture
async def process() -> AsyncIterator[WorkerProcess[BodyAnswer]]:
    """Make one that ends when nothing has come for a minute."""
    made = WorkerProcess(MODULE, BodyAnswer, 60.0)
    yield made
    await made.close()


@pytest.mark.slow
async def test_one_process_answers_one_question_after_the_other(process: WorkerProcess[BodyAnswer]) -> None:
    """Those that come together too; something that is raised ends neither the process nor what others asked."""
    answers = await asyncio.gather(
        process.ask(SMALL, 60.0), process.ask(UNKNOWN, 60.0), process.ask(SMALL, 60.0), return_exceptions=True
    )
    assert isinstance(answers[0], BodyAnswer)
    assert answers[2] == answers[0]
    assert isinstance(answers[1], ProcessDefect)
    assert str(answers[1]) == "KeyError"
    first = process.pid
    await process.ask(SMALL, 60.0)
    assert process.pid == first


@pytest.mark.slow
async def test_process_that_is_killed_is_told_of_and_another_answers(process: WorkerProcess[BodyAnswer]) -> None:
    """Nobody waits for it for ever."""
    await process.ask(SMALL, 60.0)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    waiting = asyncio.get_running_loop().create_task(process.ask(SMALL, 60.0))
    await asyncio.sleep(0)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(ProcessLost):
        await waiting
    await process.ask(SMALL, 60.0)
    assert process.pid not in (None, first)


@pytest.mark.slow
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_process_that_has_ended_unnoticed_is_told_of_too(run: Callable[..., None]) -> None:
    """The event loop hears of it only after the question was written, or could not be."""

    async def ask() -> None:
        process = WorkerProcess(MODULE, BodyAnswer, 60.0)
        await process.ask(SMALL, 60.0)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # gone altogether
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - the loop is to hear nothing
        with pytest.raises(ProcessLost):
            await process.ask(SMALL, 60.0)
        await process.ask(SMALL, 60.0)
        await process.close()

    run(ask())


@pytest.mark.slow
async def test_process_goes_on_while_whoever_started_it_finishes(process: WorkerProcess[BodyAnswer]) -> None:
    """A stop is told to all processes of a service at once."""
    await process.ask(SMALL, 60.0)
    first = process.pid
    assert first is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(first, number)
    await process.ask(SMALL, 60.0)
    assert process.pid == first


@pytest.mark.slow
async def test_process_that_takes_too_long_is_ended(process: WorkerProcess[BodyAnswer]) -> None:
    """It may never answer."""
    await process.ask(SMALL, 60.0)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(ProcessTooSlow):
        await process.ask(SMALL, 0.01)
    assert process.pid is None


@pytest.mark.slow
async def test_process_ends_when_nothing_has_come_for_a_while() -> None:
    """Its memory is not needed then."""
    process = WorkerProcess(MODULE, BodyAnswer, 0.0)
    await process.ask(SMALL, 60.0)
    async with asyncio.timeout(60):
        while process.pid is not None:  # noqa: ASYNC110 - a timer of the loop says when
            await asyncio.sleep(0)
    await process.close()


@pytest.mark.slow
async def test_process_that_ends_before_it_says_that_it_is_there_was_not_started() -> None:
    """As one whose module is not there; so was one whose program is not."""
    process = WorkerProcess("gateway.no_module", BodyAnswer, 60.0)
    with pytest.raises(ProcessNotStarted, match="at once, with 1"):
        await process.ask(SMALL, 60.0)
    assert process.pid is None
    process._command = ("/no/program",)  # type: ignore[assignment] # the shortest
    with pytest.raises(ProcessNotStarted, match="FileNotFoundError"):
        await process.ask(SMALL, 60.0)
    await process.close()


@pytest.mark.slow
async def test_process_has_nothing_of_the_environment_but_what_it_needs(
    process: WorkerProcess[BodyAnswer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may hold keys; and it gives way to what senders wait for, in the same session."""
    monkeypatch.setenv("GATEWAY_SECRET", "a-key-of-somebody")
    await process.ask(SMALL, 60.0)
    own = Path(f"/proc/{process.pid}")
    assert b"a-key-of-somebody" not in (own / "environ").read_bytes()
    assert (own / "cmdline").read_bytes().split(b"\0")[1:] == [b"-P", b"-m", MODULE.encode(), b""]
    assert process.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert os.getsid(process.pid) == os.getsid(0)
    assert os.getpgid(process.pid) == process.pid


_PARENT = f"""
import asyncio, os, signal
from gateway.pipeline.bodies import BodyAnswer, BodyQuestion
from gateway.worker.process import WorkerProcess

async def main():
    process = WorkerProcess({MODULE!r}, BodyAnswer, 600.0)
    await process.ask(BodyQuestion(b"{{}}", "vkp-r4", None), 60.0)
    print(process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_process_ends_with_whoever_started_it() -> None:
    """Killed, it can end nothing itself: the pipe that is closed says so."""
    command = (sys.executable, "-c", _PARENT)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    async with asyncio.timeout(60):
        while _runs(int(done.stdout)):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
