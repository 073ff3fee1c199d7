"""Processes of the benchmark: each on its core, with its CPU time and memory, and none left behind."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_READY_TIMEOUT = 60.0
_STOP_TIMEOUT = 15.0
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NONE_OF_ITS_OWN: Mapping[str, str] = MappingProxyType({})
_PORTS = (30_100, 32_700)
"""Below those that systems give to connections (Linux: from 32768 on), and above those that tests use."""


class BenchFailed(Exception):  # noqa: N818 - the condition, told to whoever runs the benchmark
    """Something did not start or did not answer as it must."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core is for what is measured, and which for everything else."""

    measured: int | None
    others: int | None

    @classmethod
    def available(cls) -> "Cores":
        """Take the first two; with fewer than two nothing is pinned."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, None)
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls(first, rest[0]) if rest else cls(None, None)

    def settle(self) -> None:
        """Put this process, the load generator, on the core for everything else."""
        _pin(self.others)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Have this process on the measured core for a while, so that a child starts there, or a function is timed there."""
        _pin(self.measured)
        try:
            yield
        finally:
            _pin(self.others)


class Child:
    """A running process; what it prints goes to a file."""

    def __init__(
        self, name: str, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] = _NONE_OF_ITS_OWN
    ) -> None:
        """Have it run with `environment` besides this process's own."""
        self.name = name
        self._log = folder / f"{name}.log"
        # The child ends with the benchmark even when that is killed.
        leash = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the benchmark's own command lines
                [*leash, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )

    def wait_for(self, *ports: int) -> None:
        """Return when something listens on every port; raises `BenchFailed`."""
        until = time.monotonic() + _READY_TIMEOUT
        for port in ports:
            while not _listens(port):
                if self._process.poll() is not None or time.monotonic() > until:
                    raise BenchFailed(f"{self.name} did not start: {self.last_line()}")
                time.sleep(0.05)

    def last_line(self) -> str:
        """Return the last line that the process printed."""
        return next(reversed(self._log.read_text(errors="replace").strip().splitlines()), "no output")

    def trim_log(self) -> None:
        """Empty the file of what it printed; a gateway writes a line for every message."""
        os.truncate(self._log, 0)

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far by the process and its children."""
        return sum(sum(_stat(pid)) for pid in self._family()) * _TICK

    def memory(self) -> int:
        """Return the resident bytes of the process and its children."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in self._family())

    def open_files(self) -> int:
        """Return how many files and sockets it has open, its children's not counted."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))  # noqa: PTH208 - only how many

    def loosen(self) -> None:
        """Let the process's children have every core, as the system would; it keeps its own."""
        if hasattr(os, "sched_setaffinity"):
            for pid in self._family()[1:]:
                os.sched_setaffinity(pid, range(os.cpu_count() or 1))

    def end(self) -> None:
        """End the process and wait for it."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _family(self) -> list[int]:
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@contextlib.contextmanager
def child(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    *ports: int,
    core: contextlib.AbstractContextManager[None] | None = None,
    environment: Mapping[str, str] = _NONE_OF_ITS_OWN,
) -> Iterator[Child]:
    """Start a process, on the core that `core` lends, wait until it listens, and end it."""
    with core or contextlib.nullcontext():
        started = Child(name, command, folder, environment)
    try:
        started.wait_for(*ports)
        yield started
    finally:
        started.end()


def others_busy(seconds: float = 1.0) -> float:
    """Return the share of all cores that is in use while this process sleeps."""
    idle, everything = _machine()
    time.sleep(seconds)
    later_idle, later_everything = _machine()
    return 1 - (later_idle - idle) / max(1, later_everything - everything)


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listened on just now, and that no connection gets: a part may have thousands of them."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(*_PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


def output_of(*command: str, timeout: float = 30.0) -> str:
    """Return what a short command prints, on either stream; empty when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)  # noqa: S603 - own commands
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else (done.stdout + done.stderr).strip()


def _pin(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _machine() -> tuple[int, int]:
    """Return the ticks that the machine's cores were idle, and all of them."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _stat(pid: int) -> tuple[int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])
