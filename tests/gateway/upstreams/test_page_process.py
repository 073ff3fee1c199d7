"""Pages of PIT that another process reads: the same as read here, and nothing is lost with it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.upstreams.page_process import PageAnswer, PageProcess, PageQuestion, answered
from gateway.worker.main import framed, serve
from gateway.worker.process import ProcessLost
from service_stubs.people import person
from translators.contract import Refused
from translators.pit import page_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def _page(count: int, *, own: str = "a") -> bytes:
    meta = {"lastUpdated": "2026-05-04T08:36:37Z"}
    entries = [{"resource": {**person(index), "id": f"{own}-{index}", "meta": meta}} for index in range(count)]
    links = [{"relation": "next", "url": "https://pit.example/v1/Patient?cursor=2"}]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}).encode()


def _served(*bodies: bytes) -> list[PageAnswer]:
    """Return what the process answers, done here."""
    questions = [b"".join(framed(PageQuestion(body, None))) for body in bodies]
    sink = io.BytesIO()
    serve(io.BytesIO(b"".join(questions)), sink, PageQuestion, answered)
    sink.seek(4)
    found = []
    while head := sink.read(4):
        found.append(msgspec.msgpack.decode(sink.read(int.from_bytes(head)), type=PageAnswer))
    return found


def test_each_page_is_answered_in_its_turn() -> None:
    """With what it would be read as here, or with the place and the reason of its refusal."""
    right, wrong = _served(_page(50), b'{"resourceType": "Bundle", "type": "batch"}')
    assert right.page == page_of(_page(50), None)
    assert wrong.refused == ("format", "not a searchset", "Bundle.type")


@pytest.fixture
async def pages() -> AsyncIterator[PageProcess]:
    """Make a reader that ends when nothing has come for a minute."""
    made = PageProcess(60.0)
    yield made
    await made.close()


@pytest.mark.slow
async def test_pages_that_are_asked_for_together_are_each_given_to_who_asked(pages: PageProcess) -> None:
    """By one process, which is asked again afterwards; a refusal is raised as it is here."""
    bodies = [_page(20, own=name) for name in ("a", "b", "c")]
    found = await asyncio.gather(*(pages.read(one, None, 30.0) for one in bodies))
    assert found == [page_of(one, None) for one in bodies]
    first = pages.pid
    with pytest.raises(Refused, match=r"Bundle.type: not a searchset"):
        await pages.read(b'{"resourceType": "Bundle", "type": "batch"}', None, 30.0)
    assert pages.pid == first


@pytest.mark.slow
async def test_process_that_is_killed_is_told_of_and_another_reads_the_page_again(pages: PageProcess) -> None:
    """Nobody waits for it for ever."""
    await pages.read(_page(1), None, 30.0)
    first = pages.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    waiting = asyncio.get_running_loop().create_task(pages.read(_page(2), None, 30.0))
    await asyncio.sleep(0)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(ProcessLost):
        await waiting
    assert (await pages.read(_page(2), None, 30.0)) == page_of(_page(2), None)
    assert pages.pid not in (None, first)
