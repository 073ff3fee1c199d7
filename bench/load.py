"""Load as fast as a server answers: by wrk where it is installed, else by the benchmark's own driver."""

import math
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench import copies
from bench.driver import closed_loop, run
from bench.processes import BenchFailed
from bench.scene import Scene, Server, is_journaled, target

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's turn in a round."""

    rate: float
    """Answers per second."""
    busy: float
    """Share of a core that the server used."""

    @property
    def per_cpu_second(self) -> float:
        """Answers per second of CPU time: what a core would give if nothing else were the limit."""
        return self.rate / self.busy if self.busy else 0.0


def wrk_installed() -> bool:
    """Tell which of the two drives."""
    return shutil.which("wrk") is not None


def turn(scene: Scene, server: Server, orgnr: str, seconds: float, connections: int = CONNECTIONS) -> Turn:
    """Load a server for so many seconds; raises `BenchFailed` when an answer is not a good one."""
    cpu, start = server.process.cpu_seconds(), time.monotonic()
    drive = _by_wrk if wrk_installed() else _by_driver
    answers, problems, lasted = drive(scene, server, orgnr, seconds, connections)
    used, passed = server.process.cpu_seconds() - cpu, time.monotonic() - start
    server.process.trim_log()
    if problems or not answers:
        raise BenchFailed(f"{server.name}: {problems} of {answers} requests had no good answer")
    return Turn(answers / lasted, used / passed)


def _by_driver(scene: Scene, server: Server, orgnr: str, seconds: float, connections: int) -> tuple[int, int, float]:
    requests = scene.requests(server, orgnr)
    result = run(closed_loop(server.address, requests, connections=connections, seconds=seconds))
    return result.answered, result.bad, result.seconds


def _by_wrk(scene: Scene, server: Server, orgnr: str, seconds: float, connections: int) -> tuple[int, int, float]:
    """Run wrk, whose script prints answers, problems and microseconds."""
    body = scene.folder / "body.json"
    body.write_bytes(scene.body)
    url = f"http://{server.address[0]}:{server.port}{target(orgnr)}"
    environment = {"BENCH_BODY": str(body), "BENCH_HEADERS": "\n".join(map(": ".join, scene.headers))}
    if is_journaled(orgnr):
        numbers = scene.folder / "patients.txt"
        numbers.write_bytes(b"\n".join(copies.patients()))
        environment |= {"BENCH_SERIES": f"{copies.series():016d}", "BENCH_PATIENTS": str(numbers)}
        environment |= {"BENCH_ID": copies.ID.decode(), "BENCH_PATIENT": copies.PATIENT.decode()}
    done = subprocess.run(  # noqa: S603 - own command line
        ("wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "-s", _SCRIPT, url),  # noqa: S607 - found on PATH
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchFailed(f"wrk failed: {done.stdout}{done.stderr}")
    answers, problems, microseconds = map(int, line.split()[1:])
    return answers, problems, microseconds / 1_000_000
