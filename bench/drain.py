"""How long a night's backlog takes once the service is back: fewer messages, against a service that takes so many a second."""

import contextlib
import itertools
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from bench.driver import at_rate, closed_loop, run
from bench.processes import BenchFailed, child, free_ports
from bench.report import Findings, Goal, Table
from bench.scene import HELD, Scene, Server

_RATE = 300
"""Events a second that the service takes; it answers what comes faster with 429."""
_NIGHT = 500_000
"""Messages that come in a night."""
_WANTED = 40 * 60.0
_NEW = 20
"""Messages a second that go on coming."""
_WAITED = 1.0
"""Seconds that nearly all senders of those may wait at most."""
_CONNECTIONS = 32
_STEADY = (0.4, 0.8)
"""The part of what is held by which the steady rate is told."""
_PATIENCE = 600.0
_ANSWER = ("202", "{}", "/v1/Bundle/5f2a2c1d/$status")


@dataclass(frozen=True, slots=True)
class _Drain:
    """How a backlog was delivered."""

    held: int
    seconds: float
    """Until nothing was held, from when the service was back."""
    rate: float
    """A second, between two fifths and four: finding out how fast the service is, and the last that wait for others, are done once."""
    delivered: int
    new: int
    bad: int
    p99: float
    """Seconds that senders of new messages waited."""


def measure(scene: Scene) -> Findings:
    """Hold messages while nobody answers, let the service come back, and go on sending."""
    write = free_ports(1)[0]
    away = Server("JFT, away", write, scene.jft.process)
    with scene.gateway("gateway-drain", away) as gateway:
        held = _hold(scene, gateway)
        with _service(scene, write):
            found = _drained(scene, gateway, held)
    minutes = (found.seconds + (_NIGHT - found.held) / found.rate) / 60
    rows = (
        ("held when the service came back", f"{found.held:,}", ""),
        (
            "delivered from two fifths of them to four",
            f"{found.rate:.0f}/s",
            "once it is known how fast the service is",
        ),
        (
            "all of them, and new ones",
            f"{found.delivered / found.seconds:.0f}/s",
            f"{found.delivered:,} in {found.seconds:.1f} s",
        ),
        ("new messages beside it, p99", f"{found.p99 * 1e3:.0f} ms", f"{_NEW}/s, {found.new:,}; {found.bad} refused"),
        (
            f"{_NIGHT:,} held",
            f"{minutes:.0f} minutes",
            "extrapolated: what is more is delivered at the steady rate, which does not depend on how much is held",
        ),
    )
    note = f"The service takes {_RATE} events a second and answers 429 to what comes faster; its circuit was open when it came back."
    table = Table("A backlog that is delivered, SQLite", ("", "", ""), rows, (note,))
    goal = Goal(
        f"a night's backlog of {_NIGHT:,}, the service at {_RATE}/s",
        f"under {_WANTED / 60:.0f} minutes, extrapolated",
        f"{minutes:.0f} minutes",
        minutes * 60 < _WANTED,
    )
    beside = Goal(
        f"new messages beside it, {_NEW}/s",
        f"none refused, p99 under {_WAITED:g} s",
        f"{found.bad} refused, {found.p99:.2f} s",
        not found.bad and found.p99 < _WAITED,
    )
    return Findings("drain", (table,), (goal, beside))


def _hold(scene: Scene, gateway: Server) -> int:
    count = scene.settings.messages // 10
    requests = scene.requests(gateway, HELD)
    work = closed_loop(gateway.address, requests, connections=_CONNECTIONS, seconds=_PATIENCE, count=count)
    result = run(work)
    if result.bad or result.answered != count:
        raise BenchFailed(f"of {count} messages to be held: {dict(result.statuses)}: {gateway.process.last_line()}")
    return count


@contextlib.contextmanager
def _service(scene: Scene, port: int) -> Iterator[None]:
    command = (sys.executable, "-m", "bench.upstream", str(port), *_ANSWER, str(_RATE))
    with child("jft-limited", command, scene.folder, port):
        yield


def _drained(scene: Scene, gateway: Server, held: int) -> _Drain:
    """Send new messages until nothing is held any more."""
    before, start = _sum(gateway, _DELIVERIES, _ACCEPTED), time.monotonic()
    requests, latencies, bad, new = scene.requests(gateway, HELD), list[float](), 0, 0
    steady: list[tuple[float, int]] = []
    while (lasted := time.monotonic() - start) < _PATIENCE:
        some = itertools.islice(requests, _NEW)
        result = run(at_rate(gateway.address, some, rate=_NEW, seconds=1.0, connections=4))
        latencies += result.latencies
        bad, new = bad + result.bad, new + result.offered
        lasted = time.monotonic() - start
        delivered = int(_sum(gateway, _DELIVERIES, _ACCEPTED) - before)
        if len(steady) < len(_STEADY) and delivered >= held * _STEADY[len(steady)]:
            steady.append((lasted, delivered))
        # What is held is counted once a second or less often, and may be of before.
        if delivered >= held and not _sum(gateway, "vkp_gateway_ledger_messages", 'state="held"'):
            p99 = sorted(latencies)[int(len(latencies) * 0.99)]
            (began, first), (ended, last) = steady
            return _Drain(held, lasted, (last - first) / (ended - began), delivered, new, bad, p99)
    raise BenchFailed(f"after {lasted:.0f} s messages are still held: {gateway.process.last_line()}")


_DELIVERIES, _ACCEPTED = "vkp_gateway_held_deliveries_total", 'outcome="accepted"'


def _sum(gateway: Server, name: str, label: str) -> float:
    """Return the sum of a metric's samples that have a label."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{") and label in line)
