"""Rehearsals wait in a bounded queue, are sampled by counting, and never fail or hold up a message."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from gateway.ledger.database import Database, open_store
from gateway.ledger.rehearsals import Summary, summary
from gateway.migration import rehearsal as module
from gateway.migration.rehearsal import OTHER, Rehearsals
from gateway.observability import metrics
from tests.gateway.ledger.conftest import NOW, Clock
from tests.gateway.migration.rehearsal.scene import NORDFJELL_R4, REHEARSE, identified, loaded
from tests.gateway.migration.rehearsal.test_verdict import NOW as MOMENT
from tests.gateway.world import message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Offer = Callable[..., None]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a ledger."""
    opened = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path, patience=0.0)
    yield opened
    await opened.close()


def offering(rehearsals: Rehearsals, routes: str = REHEARSE, name: str = "note") -> Offer:
    """Return what offers one message to rehearsals, with the status of VKP's answer."""
    config, table = loaded(routes)
    target, body = f"{NORDFJELL_R4}/composition", message(name)
    found: list[Any] = []
    # In a thread of its own, where no loop runs yet.
    thread = threading.Thread(target=lambda: found.append(identified(config, table, target, body)))
    thread.start()
    thread.join()
    decision = table.decide(found[0].envelope, MOMENT)
    message_of = structs.replace(found[0], content=None)
    take = rehearsals.offering(config)
    return lambda status=200, content=body: take(message_of, decision, "r-1", status, content)


async def done(rehearsals: Rehearsals, store: Database) -> list[Summary]:
    """Let everything be rehearsed; what is in the ledger then."""
    rehearsals.start()
    await asyncio.sleep(0)
    await rehearsals.stop()
    return await store.read(lambda connection: summary(connection, since=NOW))


async def test_verdicts_are_in_the_ledger_when_it_stops(store: Database) -> None:
    """By the cell that the message is of, and in the metric."""
    before = _metric("clean")
    rehearsals = Rehearsals(lambda: store, Clock())
    offer = offering(rehearsals)
    for _ in range(3):
        offer()
    offer(content=message("note").replace(b'"status"', b'"unheard": "x", "status"', 1))
    (found,) = await done(rehearsals, store)
    assert (found.municipality, found.vendor, found.system, found.information) == (
        "nordfjell",
        "evondos",
        "e300",
        "notat",
    )
    assert found.counts == {"clean": 3, "refused": 1}
    assert (found.rehearsed, found.clean_share) == (4, 0.75)
    assert [(one.verdict, one.reason) for one in found.reasons] == [
        ("refused", "loss: would be lost: Composition.unheard")
    ]
    assert _metric("clean") == before + 3


def _metric(verdict: str) -> float:
    labels = {"municipality": "nordfjell", "vendor": "evondos", "information": "notat", "verdict": verdict}
    return metrics.REGISTRY.get_sample_value("vkp_gateway_rehearsed_total", labels) or 0.0


@pytest.mark.parametrize("status", [199, 302, 400, 503])
async def test_what_vkp_refused_says_nothing(store: Database, status: int) -> None:
    """It is counted apart, and not rehearsed."""
    rehearsals = Rehearsals(lambda: store, Clock())
    offering(rehearsals)(status)
    (found,) = await done(rehearsals, store)
    assert (found.counts, found.rehearsed, found.clean_share) == ({"not-accepted": 1}, 0, None)


async def test_sample_is_counted_out(store: Database) -> None:
    """Of ten messages a sample of 30% takes three, the first among them."""
    rehearsals = Rehearsals(lambda: store, Clock())
    offer = offering(rehearsals, REHEARSE.replace("mode: rehearse", "mode: rehearse, sample: 30%"))
    offer()
    assert len(rehearsals._queue._waiting) == 1
    for _ in range(9):
        offer()
    (found,) = await done(rehearsals, store)
    assert found.counts == {"clean": 3}


@pytest.mark.parametrize("bounds", [{"most": 2}, {"most_bytes": 3 * len(message("note")) - 1}])
async def test_what_is_too_much_is_skipped_and_counted(store: Database, bounds: dict[str, int]) -> None:
    """By number, and by the bytes that would be kept."""
    rehearsals = Rehearsals(lambda: store, Clock(), **bounds)
    offer = offering(rehearsals)
    for _ in range(4):
        offer()
    counts = {(one.information, *one.counts.items()) for one in await done(rehearsals, store)}
    assert counts == {("notat", ("clean", 2), ("skipped", 2))}
    assert rehearsals._queue._bytes == 0


async def test_large_message_is_rehearsed_in_a_thread(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody waits for it."""
    threads: list[bool] = []
    real = module.judge

    def judge(rehearsal: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return real(rehearsal)

    monkeypatch.setattr(module, "judge", judge)
    rehearsals = Rehearsals(lambda: store, Clock())
    offer = offering(rehearsals)
    offer()
    offer(content=message("note") + b" " * 100_000)
    (found,) = await done(rehearsals, store)
    assert threads == [True, False]
    assert found.counts == {"clean": 2}


async def test_failure_of_our_own_is_a_defect_and_ends_nothing(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kind of the failure is told, and nothing of the message."""
    real, failing = module.judge, [True]

    def judge(rehearsal: Any) -> Any:
        if failing.pop() if failing else False:
            raise KeyError("12834010060")
        return real(rehearsal)

    monkeypatch.setattr(module, "judge", judge)
    rehearsals = Rehearsals(lambda: store, Clock())
    offer = offering(rehearsals)
    offer()
    offer()
    (found,) = await done(rehearsals, store)
    assert found.counts == {"clean": 1, "defect": 1}
    assert found.reasons[0].reason == "the gateway failed: KeyError"


async def test_verdicts_wait_while_the_ledger_cannot_be_written(store: Database) -> None:
    """They are written when it can be."""
    ledgers: list[Database | None] = [store]
    rehearsals = Rehearsals(lambda: ledgers[-1], Clock())
    offer = offering(rehearsals)
    await store.close()
    offer()
    rehearsals.start()
    rehearsals._stopping = True
    rehearsals._queue._come.set()
    await rehearsals._queue._done.wait()
    await rehearsals._tally._flush()
    assert rehearsals._tally._counts.total() == 1
    ledgers.append(None)
    await rehearsals.stop()


async def test_no_sender_can_fill_the_ledger_with_reasons(store: Database) -> None:
    """Beyond so many in an hour they are counted as one."""
    rehearsals = Rehearsals(lambda: store, Clock(), most_kinds=3)
    offer = offering(rehearsals)
    for number in range(6):
        offer(content=message("note").replace(b'"status"', b'"unheard%c": "x", "status"' % (97 + number), 1))
    (found,) = await done(rehearsals, store)
    assert found.counts == {"refused": 6}
    assert {one.reason: one.messages for one in found.reasons}[OTHER] == 3


async def test_nothing_is_taken_once_it_stops(store: Database) -> None:
    """What comes then is skipped."""
    rehearsals = Rehearsals(lambda: store, Clock())
    offer = offering(rehearsals)
    await done(rehearsals, store)
    offer()
    assert not rehearsals._queue._waiting
