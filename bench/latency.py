"""What a proxy adds to the time of a request at fixed rates."""

from dataclasses import dataclass

from bench.driver import at_rate, run
from bench.relay import GATEWAY, LANES, Lane, proxies
from bench.report import Findings, Goal, Table
from bench.scene import Scene, Server
from bench.stats import Spread, differences, spread

RATES = (200, 1000)
_JUDGED = 200
_P50, _P99 = 0.7, 3.0
"""Milliseconds that may be added at the judged rate."""
_SLOW = frozenset({"mitmproxy"})
"""What cannot serve more than the judged rate."""
_WARM_UP = 0.5
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class _Run:
    p50: float
    p99: float
    bad: int


_Runs = dict[tuple[str, int], list[_Run]]


def measure(scene: Scene) -> Findings:
    """Measure both lanes at every rate; a proxy's latency less the direct one of the same round is what it adds."""
    tables, goals = [], []
    for lane in LANES:
        runs = _lane(scene, lane)
        tables.append(_table(lane, runs, scene.vkp.name))
        goals.append(_goal(lane, runs, scene.vkp.name))
    return Findings("latency", tuple(tables), tuple(goals))


def _lane(scene: Scene, lane: Lane) -> _Runs:
    with proxies(scene, lane) as servers:
        everything = [(server, rate) for rate in RATES for server in (scene.vkp, *servers) if _can(server, rate)]
        runs: _Runs = {(server.name, rate): [] for server, rate in everything}
        for server, rate in everything:
            _run(scene, server, lane, rate, _WARM_UP)
        for _ in range(scene.settings.latency_rounds):
            for server, rate in everything:
                runs[server.name, rate].append(_run(scene, server, lane, rate, scene.settings.seconds))
    return runs


def _can(server: Server, rate: int) -> bool:
    return rate <= _JUDGED or server.name not in _SLOW


def _run(scene: Scene, server: Server, lane: Lane, rate: int, seconds: float) -> _Run:
    requests = scene.requests(server, lane.orgnr)
    result = run(at_rate(server.address, requests, rate=rate, seconds=seconds, connections=_CONNECTIONS))
    return _Run(result.percentile(0.5) * 1000, result.percentile(0.99) * 1000, result.bad)


def _added(runs: _Runs, name: str, rate: int, direct: str) -> tuple[Spread, Spread]:
    own, base = runs[name, rate], runs[direct, rate]
    p50 = differences([each.p50 for each in own], [each.p50 for each in base])
    p99 = differences([each.p99 for each in own], [each.p99 for each in base])
    return spread(p50), spread(p99)


def _table(lane: Lane, runs: _Runs, direct: str) -> Table:
    rows = []
    for (name, rate), own in runs.items():
        added = ("-", "-") if name == direct else tuple(each.show(2) for each in _added(runs, name, rate, direct))
        p50, p99 = spread([each.p50 for each in own]), spread([each.p99 for each in own])
        label = "no proxy" if name == direct else name
        bad = str(sum(each.bad for each in own))
        rows.append((label, str(rate), f"{p50.middle:.2f}", f"{p99.middle:.2f}", *added, bad))
    columns = ("", "requests/s", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms", "without good answer")
    note = "Counted from when a request was due; added is the difference to no proxy in the same round."
    return Table(f"Latency at fixed rates, {lane.name} lane", columns, tuple(rows), (note,))


def _goal(lane: Lane, runs: _Runs, direct: str) -> Goal:
    p50, p99 = _added(runs, GATEWAY, _JUDGED, direct)
    return Goal(
        f"added latency at {_JUDGED} requests/s, {lane.name}",
        f"p50 < {_P50} ms, p99 < {_P99:g} ms",
        f"p50 {p50.show(2)}, p99 {p99.show(2)}",
        # A refusal is quick.
        p50.middle < _P50 and p99.middle < _P99 and not any(each.bad for each in runs[GATEWAY, _JUDGED]),
    )
