"""The proxies that the gateway is measured beside, each as it would be configured for the job."""

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench.peers.configs import haproxy, nginx
from bench.processes import output_of

Command = tuple[str | Path, ...]
_GO = Path(__file__).with_name("go")
_BUILDING = 300.0
"""Seconds that Go has; the first time it builds its standard library too."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a proxy is to do."""

    folder: Path
    """For its files."""
    listen: int
    admin: int
    """Where it shows its metrics, if it has any."""
    upstream: int
    key: Path
    """The public key of who issues the senders' tokens."""
    municipalities: tuple[str, ...]
    """Their numbers in the path; nobody else's requests are passed on."""
    buffered: bool
    """Whether a request's body is read before it is passed on."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that may be installed."""

    name: str
    program: str | None
    """What must be found on PATH; None for what comes with the project."""
    command: Callable[[Job], Command]
    does_the_same: bool
    """Whether it chooses a route, verifies tokens, counts and logs, as the gateway does."""
    version: Callable[[], str]

    @property
    def installed(self) -> bool:
        """Whether it can be started."""
        return self.program is None or shutil.which(self.program) is not None


def _nginx(job: Job) -> Command:
    file = job.folder / "nginx.conf"
    file.write_text(nginx.proxy(job.folder, job.listen, job.upstream, buffered=job.buffered), encoding="utf-8")
    return ("nginx", "-p", job.folder, "-c", file, "-e", job.folder / "nginx-error.log")


def _haproxy(job: Job) -> Command:
    file = job.folder / "haproxy.cfg"
    text = haproxy.proxy(
        *(job.folder, job.listen, job.admin, job.upstream),
        key=job.key,
        municipalities=job.municipalities,
        buffered=job.buffered,
    )
    file.write_text(text, encoding="utf-8")
    return ("haproxy", "-db", "-f", file)


def _go(job: Job) -> Command:
    """Build it with the Go that is on the machine; it needs nothing but the standard library."""
    program = job.folder / "peer"
    output_of("go", "-C", str(_GO), "build", "-o", str(program), ".", timeout=_BUILDING)
    ports = ("-listen", str(job.listen), "-metrics", str(job.admin), "-upstream", str(job.upstream))
    more = ("-key", job.key, "-routes", ",".join(job.municipalities), *(("-buffered",) if job.buffered else ()))
    # One core is what is measured, whichever the machine has.
    return ("env", "GOMAXPROCS=1", program, *ports, *more)


def _mitmproxy(job: Job) -> Command:
    streaming = () if job.buffered else ("--set", "stream_large_bodies=1")
    return (
        "mitmdump",
        "--quiet",
        *("--mode", f"reverse:http://127.0.0.1:{job.upstream}"),
        *("--listen-host", "127.0.0.1", "--listen-port", str(job.listen)),
        *("--set", f"confdir={job.folder}", *streaming),
    )


def _aiohttp(job: Job) -> Command:
    lane = "--buffered" if job.buffered else "--streamed"
    return (sys.executable, "-m", "bench.peers.aiohttp_proxy", str(job.listen), str(job.upstream), lane)


def _version(*command: str) -> str:
    """Return the first version number that a command prints."""
    found = re.search(r"\d+\.\d+[\w.+-]*", output_of(*command))
    return found.group() if found else "of unknown version"


NGINX = Peer("nginx, bare", "nginx", _nginx, does_the_same=False, version=lambda: _version("nginx", "-v"))
"""The floor: it knows no municipality, no token, and keeps no log."""
GO = Peer("Go ReverseProxy", "go", _go, does_the_same=True, version=lambda: _version("go", "version"))
HAPROXY = Peer("HAProxy", "haproxy", _haproxy, does_the_same=True, version=lambda: _version("haproxy", "-v"))
PEERS = (
    NGINX,
    HAPROXY,
    GO,
    Peer("aiohttp proxy", None, _aiohttp, does_the_same=False, version=lambda: metadata.version("aiohttp")),
    Peer("mitmproxy", "mitmdump", _mitmproxy, does_the_same=False, version=lambda: _version("mitmdump", "--version")),
)
