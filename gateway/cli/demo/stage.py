"""Starts the doubles and the gateway as processes of their own, and ends them."""

import asyncio
import json
import re
import socket
import sys
import time
import uuid
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import RSAKey

from gateway.auth.people.authenticator import dev_login_problem
from gateway.cli.demo.retrieval_scenarios import fill
from gateway.cli.demo.story_history import write_history
from gateway.config.load import load
from gateway.config.model import Config
from gateway.config.upstreams import EpjAuth, EpjUpstream, JftUpstream, OktUpstream, PitUpstream, PmdUpstream
from gateway.errors import StartupError
from gateway.ledger.key_files import make_missing
from gateway.routing.table import RouteTable
from gateway.surfaces import vkp_r4

_LOOPBACK = re.compile(r"127\.0\.0\.1:(\d+)")
_CAST = ("nordfjell", "sorvik", "havnes")
"""The municipalities that the demo's messages are sent to."""
_READY_MARKS = (b" on http://", b"gateway.started")
_READY_TIMEOUT = 60.0
_STOP_TIMEOUT = 15.0


class StageFailed(Exception):  # noqa: N818 - the condition, told to whoever runs the demo
    """A process did not start, or the configuration is not one for a demo."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running gateway with everything around it."""

    config: Config
    table: RouteTable
    gateway_url: str
    vkp_url: str
    jft_url: str
    helseid_url: str
    epj_urls: tuple[str, ...]
    """Of municipalities' own record systems."""
    pids: dict[str, int]


def with_free_ports(path: Path, folder: Path) -> Path:
    """Write the configuration into `folder` with a free port for each of its loopback addresses, and return its path."""
    text = path.read_text(encoding="utf-8")
    ports = dict.fromkeys(_LOOPBACK.findall(text))
    free = dict(zip(ports, _free_ports(len(ports)), strict=True))
    copy = folder / path.name
    copy.write_text(_LOOPBACK.sub(lambda found: f"127.0.0.1:{free[found.group(1)]}", text), encoding="utf-8")
    return copy


@asynccontextmanager
async def stage(path: Path, *, with_story: bool) -> AsyncIterator[Stage]:
    """Start everything that the configuration at `path` names, perhaps with a month behind it; raises `StageFailed`."""
    loaded = load(str(path))
    config, table = loaded.config, loaded.table
    if config is None or table is None:
        raise StageFailed("\n".join(map(str, loaded.problems)))
    vkp, jft = config.vkp, config.jft
    if vkp is None or jft is None:
        raise StageFailed("the demo needs an upstream of kind vkp and one of kind jft")
    missing = [name for name in _CAST if name not in config.municipalities]
    if missing:
        raise StageFailed(f"the demo's senders belong to {', '.join(_CAST)}; {path.name} has no {', '.join(missing)}")
    folder = path.parent / "var"
    folder.mkdir(exist_ok=True)
    make_missing(config.keys, path.parent, int(time.time()))
    if with_story:
        try:
            await write_history(config, table, path.parent, time.time())
        except StartupError as error:
            raise StageFailed(str(error)) from None
    issuer = config.helseid.issuer
    clients = _register_clients(config, path.parent, folder)
    record_systems = [one for one in config.upstreams.values() if isinstance(one, EpjUpstream)]
    doubles = [
        _Child("HelseID", 1, "service_stubs", "helseid", "--port", _port(issuer), "--clients", str(clients)),
        _Child("VKP", 1, "legacy_stubs", "--port", _port(vkp.url), "--issuer", issuer),
        _Child("JFT", 2, "service_stubs", "jft", "--issuer", issuer, *_jft_ports(jft)),
        *(_record_system(one, issuer) for one in record_systems),
        *_services(config, issuer),
    ]
    gateway = _Child("gateway", 1, "gateway", "serve", "--config", str(path), *_pages(config))
    children = [*doubles, gateway]
    try:
        await _start(doubles, folder)
        await fill(config)
        # What the gateway copies is there now.
        await _start([gateway], folder)
        pids = {child.name: child.pid for child in children}
        epj_urls = tuple(one.url for one in record_systems)
        yield Stage(config, table, f"http://{config.listen.data}", vkp.url, jft.write_url, issuer, epj_urls, pids)
    finally:
        await asyncio.gather(*(child.end() for child in children))


async def _start(children: "Sequence[_Child]", folder: Path) -> None:
    """Start processes together, and return when all of them are ready."""
    for child in children:
        await child.start(folder)
    for child in children:
        await child.ready()


def _pages(config: Config) -> tuple[str, ...]:
    """Let whoever is at this machine log in with any role, where the configuration is for trying things out."""
    return ("--dev-login",) if dev_login_problem(config) is None else ()


class _Child:
    """A process of the stage; what it prints goes to a file, and its first lines say that it is ready."""

    def __init__(self, name: str, ready_lines: int, *module: str) -> None:
        self.name = name
        self._ready_lines = ready_lines
        self._command = (sys.executable, "-m", *module)
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self, folder: Path) -> None:
        # A session of its own: Ctrl-C reaches the demo alone, which then ends its children in order.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=PIPE, stderr=STDOUT, start_new_session=True
        )
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._reading = loop.create_task(self._read(folder / f"demo-{self.name.lower()}.log", self._ready))

    async def ready(self) -> None:
        if self._ready is not None:
            await asyncio.wait_for(self._ready, _READY_TIMEOUT)

    async def end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT)
        except TimeoutError:
            process.kill()
        if self._reading is not None:
            await self._reading
        if self._ready is not None and self._ready.done() and not self._ready.cancelled():
            self._ready.exception()  # told already, by the first child that failed

    async def _read(self, log: Path, ready: asyncio.Future[None]) -> None:
        output = self._process.stdout if self._process else None
        if output is None:
            return
        seen, last = 0, ""
        with log.open("wb") as file:
            while line := await output.readline():
                file.write(line)
                file.flush()
                last = line.decode(errors="replace").strip() or last
                seen += any(mark in line for mark in _READY_MARKS)
                if seen >= self._ready_lines and not ready.done():
                    ready.set_result(None)
        if not ready.done():
            ready.set_exception(StageFailed(f"{self.name} did not start: {last}"))


def _register_clients(config: Config, base: Path, folder: Path) -> Path:
    """Make the gateway's keys unless they are there, and tell the HelseID double of their public halves."""
    own = config.helseid
    clients = [_client("VKP migration gateway", own.client_id, _scopes(config), base / own.key_file)]
    for one in config.vkp.clients if config.vkp is not None else ():
        name = f"VKP migration gateway, {one.municipality}"
        # VKP knows it by a vkp-id, as every sender.
        claims = {"nhn:vkp/client/claims/vkp-id": f"migration-gateway-{one.municipality}"}
        clients.append({**_client(name, one.client_id, one.scope.split(), base / one.key_file), "claims": claims})
    path = folder / "demo-clients.json"
    path.write_text(json.dumps({"clients": clients}), encoding="utf-8")
    return path


def _client(name: str, client_id: str, scopes: list[str], path: Path) -> dict[str, Any]:
    """Return a client of HelseID with the key at `path`, which is made unless it is there."""
    if path.name.startswith("${"):
        raise StageFailed(f"the demo needs the key of {client_id} to be a file")
    if path.exists():
        key = RSAKey.import_key(json.loads(path.read_text(encoding="utf-8")))
    else:
        key = RSAKey.generate_key(2048, {"kid": str(uuid.uuid4()), "alg": "PS256"})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(key.as_dict(private=True)), encoding="utf-8")
    return {
        "client_id": client_id,
        "name": name,
        "tenancy": "multi",
        "orgnr": None,
        "scopes": scopes,
        "jwks": {"keys": [key.as_dict(private=False)]},
        "delegations": None,
    }


def _scopes(config: Config) -> list[str]:
    """Return everything that the gateway asks HelseID for."""
    found = [config.jft.scopes.write] if config.jft is not None else []
    if any(isinstance(one, EpjUpstream) for one in config.upstreams.values()):
        found += sorted(f"nhn:vkp/api/user/{kind.lower()}.read" for kind in vkp_r4.SEARCHED)
    found += [one.scopes.read for one in config.upstreams.values() if isinstance(one, PitUpstream | OktUpstream)]
    return found


def _services(config: Config, issuer: str) -> list[_Child]:
    """Return doubles of the services that retrieval is answered from, and measurements are shared with."""
    found = []
    for upstream in config.upstreams.values():
        if isinstance(upstream, PitUpstream | OktUpstream | PmdUpstream):
            own = ("--port", _port(upstream.url), "--issuer", issuer)
            found.append(_Child(upstream.KIND.upper(), 1, "service_stubs", upstream.KIND, *own))
    return found


def _record_system(upstream: EpjUpstream, issuer: str) -> _Child:
    lets = {EpjAuth.CLIENT_CREDENTIALS: upstream.token_type, EpjAuth.PASS: "bearer", EpjAuth.MTLS: "anybody"}
    own = ("--record-system", lets[upstream.auth], "--issuer", issuer)
    return _Child(upstream.name, 1, "legacy_stubs", "--port", _port(upstream.url), *own)


def _jft_ports(jft: JftUpstream) -> tuple[str, ...]:
    return "--write-port", _port(jft.write_url), "--read-port", _port(jft.read_url)


def _port(url: str) -> str:
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost") or parts.port is None:
        raise StageFailed(f"the demo starts doubles on 127.0.0.1 only, not at {url}")
    return str(parts.port)


def _free_ports(count: int) -> list[int]:
    """Return ports that nothing listened on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
