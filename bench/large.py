"""What senders of small messages notice of large ones that others send beside them."""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from bench.copies import copies
from bench.driver import Address, Result, at_rate, post, run
from bench.message import alarm_follow_up
from bench.processes import BenchFailed
from bench.report import Findings, Goal, Table
from bench.scene import BUFFERED, STREAMED, TRANSLATED, Scene, Server, target
from bench.stats import ratios, spread

SIZE = 990_000
"""Bytes of a large message: about as large as may be."""
_RATE, _LARGE_RATE = 100, 2
"""Messages a second: small ones of each kind, and large ones."""
_CONNECTIONS = 16
_NICE = 10
"""Of the process that sends large ones, on the core of the one that sends small ones."""
_WARM_UP = 2.0
_WANTED = 1.5
"""Times the 99th percentile of the small ones alone."""
_SMALL = {"streamed": STREAMED, "translated": TRANSLATED}
_ALONE = "alone"
_BESIDE: dict[str, str | None] = {
    _ALONE: None,
    "beside large ones that are read": BUFFERED,
    "beside large ones that are translated": TRANSLATED,
}
"""Where large messages are sent."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn in a round; times in milliseconds."""

    p50: dict[str, float]
    p99: dict[str, float]
    """Of the small messages of each kind."""
    large: float | None = None
    """In the middle; None where none were sent."""


Turns = dict[str, list[Turn]]


def measure(scene: Scene) -> Findings:
    """Measure small messages at a fixed rate, half of them streamed and half translated, alone and beside large ones."""
    turns: Turns = {name: [] for name in _BESIDE}
    with scene.gateway("gateway-large") as gateway, _sender() as sender:
        for each in (STREAMED, BUFFERED, TRANSLATED):
            scene.probe(gateway, each)
        for orgnr in _BESIDE.values():
            _turn(scene, gateway, sender, orgnr, _WARM_UP)
        gateway.process.loosen()
        for _ in range(scene.settings.latency_rounds):
            for name, orgnr in _BESIDE.items():
                turns[name].append(_turn(scene, gateway, sender, orgnr, 2 * scene.settings.seconds))
    return found(turns)


def found(turns: Turns) -> Findings:
    """Return what turns tell."""
    goals = [_goal(turns, name, kind) for name in turns if name != _ALONE for kind in _SMALL]
    return Findings("large", (_table(turns),), tuple(goals))


@contextlib.contextmanager
def _sender() -> Iterator[ProcessPoolExecutor]:
    """Start the process that sends large messages: in the one that sends the small ones, these would wait for it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), os.nice, (_NICE,)) as pool:
        yield pool


def _turn(scene: Scene, gateway: Server, sender: ProcessPoolExecutor, orgnr: str | None, seconds: float) -> Turn:
    large: Future[Result] | None = None
    if orgnr is not None:
        request = post(gateway.address, target(orgnr), alarm_follow_up(SIZE), scene.headers)
        sender.submit(_make_large, request, int(seconds * _LARGE_RATE)).result()
        large = sender.submit(_send_large, gateway.address, seconds)
    small = run(_send_small(scene, gateway, seconds))
    others = [] if large is None else [large.result()]
    if bad := sum(each.bad for each in (*small.values(), *others)):
        raise BenchFailed(f"{bad} messages had no good answer beside large ones")
    p50 = {kind: each.percentile(0.5) * 1000 for kind, each in small.items()}
    p99 = {kind: each.percentile(0.99) * 1000 for kind, each in small.items()}
    return Turn(p50, p99, others[0].percentile(0.5) * 1000 if others else None)


async def _send_small(scene: Scene, gateway: Server, seconds: float) -> dict[str, Result]:
    """Send both kinds at once: one that streams to VKP, and one that is translated for JFT."""
    flows = [
        at_rate(gateway.address, scene.requests(gateway, orgnr), rate=_RATE, seconds=seconds, connections=_CONNECTIONS)
        for orgnr in _SMALL.values()
    ]
    return dict(zip(_SMALL, await asyncio.gather(*flows), strict=True))


_made: list[bytes] = []
"""Of the process that sends them: to make them while it does would keep the small ones' sender from its core."""


def _make_large(request: bytes, count: int) -> None:
    """Make large messages, each one of its own."""
    _made[:] = itertools.islice(copies(request), count)


def _send_large(address: Address, seconds: float) -> Result:
    """Send those that were made."""
    return run(at_rate(address, iter(_made), rate=_LARGE_RATE, seconds=seconds, connections=_CONNECTIONS))


def _beside(turns: Turns, name: str, kind: str) -> list[float]:
    return ratios([each.p99[kind] for each in turns[name]], [each.p99[kind] for each in turns[_ALONE]])


def _table(turns: Turns) -> Table:
    rows = []
    for kind in _SMALL:
        for name, own in turns.items():
            p50, p99 = spread([each.p50[kind] for each in own]), spread([each.p99[kind] for each in own])
            large = [each.large for each in own if each.large is not None]
            told = f"{spread(large).middle:.0f}" if large else "-"
            times = "-" if name == _ALONE else spread(_beside(turns, name, kind)).show(2)
            rows.append((f"{kind}, {name}", f"{p50.middle:.2f}", p99.show(2), times, told))
    columns = ("small messages", "p50 ms", "p99 ms", "p99, times that alone", "large ones, p50 ms")
    note = (
        f"{_RATE} messages of 6,000 bytes a second are streamed to VKP and as many translated for JFT; beside them {_LARGE_RATE} of "
        f"{SIZE:,} bytes a second. Ratios are of the same round."
    )
    return Table("Small messages beside large ones", columns, tuple(rows), (note,))


def _goal(turns: Turns, name: str, kind: str) -> Goal:
    times = spread(_beside(turns, name, kind))
    what = f"p99 of small messages, {kind}, {name}"
    return Goal(what, f"at most {_WANTED} times that alone", times.show(2), times.middle <= _WANTED)
