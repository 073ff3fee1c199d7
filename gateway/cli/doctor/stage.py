"""A gateway process between a port for senders and a socket that stands where VKP does."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from gateway.cli.doctor.lane import SPLIT_ORGNR

LOOPBACK = "127.0.0.1"
BODY_LIMIT = 100_000
_STARTING = 300.0
"""However busy the machine is: a gateway that cannot start ends by itself."""
_STOPPING = 30.0
_ATTEMPTS = 3
"""Between finding a port free and listening on it somebody else may take it."""

_CONFIG = """\
version: 1
environment: test
listen: {{data: "127.0.0.1:{data}", admin: "127.0.0.1:{admin}"}}
limits: {{body: {body}B, request_timeout: 30s}}
helseid: {{issuer: "http://127.0.0.1:9", client_id: doctor, key_file: unused.json}}
upstreams:
  vkp: {{kind: vkp, url: "http://127.0.0.1:{upstream}", host: pass}}
municipalities:
  split: {{name: Split, orgnr: "{split}", epj: {{system: Any, generation: legacy}}}}
routes:
  - {{mode: legacy}}
  - {{municipality: split, information: [medisinering], mode: closed, text: Closed}}
"""


class StageFailed(Exception):  # noqa: N818 - the condition, told to whoever runs the doctor
    """The gateway did not start."""


@dataclass(slots=True)
class Stage:
    """Where senders connect, and where what they send must come out."""

    gateway: tuple[str, int]
    upstream: socket.socket
    """Bound; until it listens, connections to it are refused."""
    ended: Callable[[], str | None]
    """Why the gateway is no longer there; None while it is."""
    listening: bool = False

    def listen(self) -> None:
        """Let the upstream take connections; it does so for the rest of the stage's life."""
        if not self.listening:
            self.upstream.listen(64)
            self.listening = True


StageMaker = Callable[[], AbstractContextManager[Stage]]


@contextmanager
def gateway_stage() -> Iterator[Stage]:
    """Start a gateway process with a configuration of its own; raises `StageFailed`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(bound())
        for attempt in range(_ATTEMPTS):
            data, admin = _free_ports()
            settings = {"data": data, "admin": admin, "upstream": upstream.getsockname()[1]}
            config = folder / "routes.yaml"
            config.write_text(_CONFIG.format(**settings, body=BODY_LIMIT, split=SPLIT_ORGNR.decode()), encoding="utf-8")
            process = _Process(config)
            stack.callback(process.end)
            if process.started():
                break
            if attempt == _ATTEMPTS - 1:
                raise StageFailed(f"the gateway did not start: {process.last}")
        yield Stage((LOOPBACK, data), upstream, process.ended)


def bound() -> socket.socket:
    """Return a socket on a free port that does not listen yet."""
    sock = socket.socket()
    sock.bind((LOOPBACK, 0))
    return sock


class _Process:
    """`python -m gateway serve`; its log is read so that it never waits for a reader."""

    def __init__(self, config: Path) -> None:
        self.last = "it said nothing"
        self._ready = Event()
        self._is_up = False
        command = (sys.executable, "-m", "gateway", "serve", "--config", str(config))
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment()
        )
        self._reading = Thread(target=self._read, daemon=True)
        self._reading.start()

    def started(self) -> bool:
        """Wait until it listens, or has ended."""
        self._ready.wait(_STARTING)
        return self._is_up

    def ended(self) -> str | None:
        code = self._process.poll()
        return None if code is None else f"the gateway process ended with {code}: {self.last}"

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOPPING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self.last = line.decode(errors="replace").strip() or self.last
            if not self._is_up and _event(line) == "gateway.started":
                self._is_up = True
                self._ready.set()
        self._ready.set()


def _event(line: bytes) -> str | None:
    try:
        logged = json.loads(line)
    except ValueError:
        return None
    return logged.get("event") if isinstance(logged, dict) else None


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _free_ports() -> tuple[int, int]:
    with bound() as data, bound() as admin:
        return data.getsockname()[1], admin.getsockname()[1]
