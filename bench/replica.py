"""The copy of PIT: how long the first takes, what it needs of memory, and searches beside it."""

import json
import subprocess
import sys

from bench.copy_of_pit import LIST, ORGNR, PAGE_TIME, Measured
from bench.processes import BenchFailed, child, free_ports
from bench.report import Findings, Goal, Table
from bench.scene import Scene

_TIMES, _MOST, _FLAT = 2.0, 200.0, 1.2
_SEARCHES, _P99, _LIST = 1000, 0.010, 0.200
_PATIENCE = 900.0


def measure(scene: Scene) -> Findings:
    """Fill a copy from the double of PIT in a process of its own, and search it there."""
    count = scene.settings.messages // 2
    (port,) = free_ports(1)
    command = (sys.executable, "-m", "service_stubs", "pit", "--port", str(port), "--issuer", scene.issuer)
    with child("pit", (*command, "--fill", f"{ORGNR}={count}"), scene.folder, port), scene.cores.lent():
        arguments = (scene.folder, scene.issuer, f"http://127.0.0.1:{port}", count, 2 * scene.settings.seconds)
        run = (sys.executable, "-m", "bench.copy_of_pit", *map(str, arguments))
        done = subprocess.run(run, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise BenchFailed(f"the copy could not be measured: {done.stderr.strip().splitlines()[-1:]}")
    return _findings(count, Measured(**json.loads(done.stdout.splitlines()[-1])))


def _findings(count: int, found: Measured) -> Findings:
    paced = found.paced_sync / found.paced_alone
    growth = found.memory_most / (found.memory_first or found.memory_most)
    rows = (
        (
            "the double alone, every page read",
            f"{found.alone:.1f} s",
            f"{found.alone / found.pages * 1e3:.1f} ms a page",
        ),
        (
            "first copy",
            f"{found.sync:.1f} s, {found.sync / found.alone:.1f} times that",
            f"{found.sync_cpu / found.pages * 1e3:.1f} ms of CPU a page",
        ),
        (
            "the process that reads its pages, on any core",
            "",
            f"{found.sync_pages_cpu / found.pages * 1e3:.1f} ms of CPU a page",
        ),
        ("memory of both", f"{found.memory_most:.0f} MB", f"{found.memory_before:.0f} MB before"),
        (
            "search by number beside it, p50",
            f"{found.search_p50 * 1e3:.2f} ms",
            f"{found.search_cpu * 1e3:.2f} ms of CPU",
        ),
        ("search by number beside it, p99", f"{found.search_p99 * 1e3:.2f} ms", f"{found.searches:.0f}/s"),
        (f"list of {LIST}", f"{found.listed * 1e3:.0f} ms", ""),
        (
            f"a service that takes {PAGE_TIME * 1e3:.0f} ms for a page, alone",
            f"{found.paced_alone:.1f} s",
            f"{found.paced_alone / found.pages * 1e3:.1f} ms a page",
        ),
        ("first copy of that", f"{found.paced_sync:.1f} s", f"{found.paced_sync / found.pages * 1e3:.1f} ms a page"),
    )
    table = Table(f"{count:,} patients in PIT, pages of 50", ("", "", ""), rows)
    is_fast = found.searches >= 0.99 * _SEARCHES and found.search_p99 < _P99
    goals = (
        Goal(
            f"first copy of a service that takes {PAGE_TIME * 1e3:.0f} ms for a page",
            f"<= {_TIMES:.0f} times the service alone",
            f"{paced:.2f} times",
            paced <= _TIMES,
        ),
        Goal(
            "memory while it is filled",
            f"< {_MOST:.0f} MB, and flat",
            f"{found.memory_most:.0f} MB, {growth:.2f} times that at its beginning",
            found.memory_most < _MOST and growth <= _FLAT,
        ),
        Goal(
            "search by number beside it, all on one core",
            f"{_SEARCHES:,}/s, p99 < {_P99 * 1e3:.0f} ms",
            f"{found.searches:.0f}/s, {found.search_p99 * 1e3:.2f} ms",
            is_fast,
        ),
        Goal(f"list of {LIST}", f"< {_LIST * 1e3:.0f} ms", f"{found.listed * 1e3:.0f} ms", found.listed < _LIST),
    )
    return Findings("replica", (table,), goals)
