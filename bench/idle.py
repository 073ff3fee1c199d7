"""What many idle connections cost those who send beside them; run by itself it holds them: `python -m bench.idle PORT COUNT READY`."""

import resource
import socket
import sys
import time

from bench.driver import at_rate, run
from bench.processes import BenchFailed, child, free_ports
from bench.report import Findings, Goal, Table
from bench.scene import STREAMED, Scene, Server

_CONNECTIONS = (0, 2_000, 8_000, 15_000)
_SPARE = 500
"""File descriptors that a process needs for everything else."""
_RATE = 200
_SENDING = 32
_WARM_UP = 1.0
_MOST_CPU, _MOST_P99 = 1.5, 2.0
"""Times what it is with none idle."""
_HARMLESS = 3.0
"""Milliseconds at the 99th percentile that nobody notices."""
_AT_ONCE = 500
"""Connections that are opened before the other end is given a moment to take them."""


def measure(scene: Scene) -> Findings:
    """Hold so many connections on which nothing is asked, and send at a fixed rate over others."""
    rows, seen = [], []
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (file_limit(), file_limit())
    )  # for the gateway, which is started from here
    with scene.gateway() as gateway:
        scene.probe(gateway, STREAMED)
        _sending(scene, gateway, _WARM_UP)
        for count in _CONNECTIONS:
            if count + _SPARE > file_limit():
                rows.append((f"{count:,}", f"not measured: a process may have {file_limit():,} files", "", ""))
                continue
            (ready,) = free_ports(1)
            command = (sys.executable, "-m", "bench.idle", str(gateway.port), str(count), str(ready))
            with child(f"idle-{count}", command, scene.folder, ready):
                _sending(scene, gateway, _WARM_UP)
                p50, p99, cpu, bad = _sending(scene, gateway, scene.settings.seconds)
                if bad or gateway.process.open_files() < count:
                    raise BenchFailed(
                        f"{bad} bad answers beside {count:,} idle connections, or the gateway ended some of them"
                    )
            seen.append((count, p99, cpu))
            rows.append((f"{count:,}", f"{p50:.2f}", f"{p99:.2f}", f"{cpu:.0f}"))
    columns = ("idle connections", "p50 ms", "p99 ms", "CPU microseconds a request")
    note = f"{_RATE} requests a second over {_SENDING} other connections, streamed; the gateway's CPU time, what it looks at regularly included."
    table = Table("Idle connections", columns, tuple(rows), (note,))
    return Findings("idle", (table,), (_goal(seen),))


def _sending(scene: Scene, gateway: Server, seconds: float) -> tuple[float, float, float, int]:
    """Send at the fixed rate; return the percentiles in milliseconds, the gateway's CPU microseconds a request, and how many failed."""
    before = gateway.process.cpu_seconds()
    requests = scene.requests(gateway, STREAMED)
    result = run(at_rate(gateway.address, requests, rate=_RATE, seconds=seconds, connections=_SENDING))
    used = gateway.process.cpu_seconds() - before
    return (
        result.percentile(0.5) * 1e3,
        result.percentile(0.99) * 1e3,
        used / max(1, result.answered) * 1e6,
        result.bad,
    )


def _goal(seen: list[tuple[int, float, float]]) -> Goal:
    (_, base_p99, base_cpu), (most, p99, cpu) = seen[0], seen[-1]
    return Goal(
        f"{most:,} idle connections beside none",
        f"p99 at most {_MOST_P99:g} times, or under {_HARMLESS:g} ms; CPU at most {_MOST_CPU:g} times",
        f"{p99:.2f} ms, {p99 / base_p99:.1f} times; CPU {cpu / base_cpu:.1f} times",
        None if most == 0 else p99 <= max(_MOST_P99 * base_p99, _HARMLESS) and cpu <= _MOST_CPU * base_cpu,
    )


def file_limit() -> int:
    """Return how many files a process may have open, once it has asked for all that it may."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def main(port: str, count: str, ready: str) -> None:
    """Hold connections until the process is ended; listen on `ready` once they are open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (file_limit(), file_limit()))
    held = []
    for number in range(int(count)):
        held.append(socket.create_connection(("127.0.0.1", int(port)), timeout=30))
        if number % _AT_ONCE == _AT_ONCE - 1:
            time.sleep(0.05)
    with socket.create_server(("127.0.0.1", int(ready))):
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(*sys.argv[1:])
