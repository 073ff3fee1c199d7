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


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a proxy listens and what it passes to."""

    listen: int
    upstream: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that may be installed."""

    name: str
    program: str | None
    """What must be found on PATH; None for what comes with the project."""
    command: Callable[[Path, Ports, bool], Command]
    """Of the folder for its files, its ports, and whether a request's body is read before it is passed on."""
    version: Callable[[], str]

    @property
    def installed(self) -> bool:
        """Whether it can be started."""
        return self.program is None or shutil.which(self.program) is not None


def _nginx(folder: Path, ports: Ports, buffered: bool) -> Command:
    file = folder / "nginx.conf"
    file.write_text(nginx.proxy(folder, ports.listen, ports.upstream, buffered=buffered), encoding="utf-8")
    return ("nginx", "-p", folder, "-c", file, "-e", folder / "nginx-error.log")


def _haproxy(folder: Path, ports: Ports, buffered: bool) -> Command:
    file = folder / "haproxy.cfg"
    file.write_text(haproxy.proxy(ports.listen, ports.upstream, buffered=buffered), encoding="utf-8")
    return ("haproxy", "-db", "-f", file)


def _mitmproxy(folder: Path, ports: Ports, buffered: bool) -> Command:
    streaming = () if buffered else ("--set", "stream_large_bodies=1")
    return (
        "mitmdump",
        "--quiet",
        *("--mode", f"reverse:http://127.0.0.1:{ports.upstream}"),
        *("--listen-host", "127.0.0.1", "--listen-port", str(ports.listen)),
        *("--set", f"confdir={folder}", *streaming),
    )


def _aiohttp(_folder: Path, ports: Ports, buffered: bool) -> Command:
    lane = "--buffered" if buffered else "--streamed"
    return (sys.executable, "-m", "bench.peers.aiohttp_proxy", str(ports.listen), str(ports.upstream), lane)


def _version(*command: str) -> str:
    """Return the first version number that a command prints."""
    found = re.search(r"\d+\.\d+[\w.+-]*", output_of(*command))
    return found.group() if found else "of unknown version"


NGINX = Peer("nginx", "nginx", _nginx, lambda: _version("nginx", "-v"))
PEERS = (
    NGINX,
    Peer("HAProxy", "haproxy", _haproxy, lambda: _version("haproxy", "-v")),
    Peer("aiohttp proxy", None, _aiohttp, lambda: metadata.version("aiohttp")),
    Peer("mitmproxy", "mitmdump", _mitmproxy, lambda: _version("mitmdump", "--version")),
)
