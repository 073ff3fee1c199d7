"""Whether `serve` keeps its memory: resident bytes while messages of every kind go through."""

from bench.driver import closed_loop, run
from bench.processes import BenchFailed
from bench.report import Findings, Goal, Table
from bench.scene import BUFFERED, STREAMED, TRANSLATED, Scene, Server

_QUARTERS = 4
_SHARES = ((STREAMED, 0.5), (BUFFERED, 0.25), (TRANSLATED, 0.25))
_LIMIT = 150e6
_FLAT = 1.05
"""How much larger the memory may be after the last quarter than after the first."""
_CONNECTIONS = 32
_PATIENCE = 300.0


def measure(scene: Scene) -> Findings:
    """Send the messages in quarters, and look at the gateway's memory after each."""
    quarter = scene.settings.messages // _QUARTERS
    with scene.gateway() as gateway:
        for orgnr, _ in _SHARES:
            scene.probe(gateway, orgnr)
        seen = [gateway.process.memory()]
        for _ in range(_QUARTERS):
            _send(scene, gateway, quarter)
            seen.append(gateway.process.memory())
            gateway.process.trim_log()
    rows = tuple((f"{number * quarter:,}", f"{size / 1e6:.1f}") for number, size in enumerate(seen))
    note = "Of each quarter half is passed on streamed, a quarter buffered, a quarter translated; resident bytes."
    table = Table("Memory of serve", ("messages", "MB"), rows, (note,))
    growth = seen[-1] / seen[1]
    goal = Goal(
        f"memory of serve after {scene.settings.messages:,} messages",
        f"< {_LIMIT / 1e6:.0f} MB, and flat (last quarter at most {_FLAT} times the first)",
        f"{seen[-1] / 1e6:.1f} MB, {growth:.3f} times",
        seen[-1] < _LIMIT and growth <= _FLAT,
    )
    return Findings("memory", (table,), (goal,))


def _send(scene: Scene, gateway: Server, messages: int) -> None:
    for orgnr, share in _SHARES:
        requests = scene.requests(gateway, orgnr)
        count = int(messages * share)
        work = closed_loop(gateway.address, requests, connections=_CONNECTIONS, seconds=_PATIENCE, count=count)
        result = run(work)
        if result.bad or result.answered != count:
            raise BenchFailed(
                f"the gateway answered {dict(result.statuses)} to {count} messages: {gateway.process.last_line()}"
            )
