"""The only place that wires: from a checked configuration to a running gateway, and from a changed one to the next."""

import asyncio
import gc
import signal
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import structlog

from gateway import telemetry
from gateway.admission import Admission
from gateway.config.definitions import Config, HelseId, VkpUpstream
from gateway.config.load import Loaded, load
from gateway.control.health import AdminPort
from gateway.exchange import Exchange
from gateway.helseid import client_key
from gateway.helseid.issuer import Issuer
from gateway.helseid.proof import Prover
from gateway.helseid.tokens import ClientIdentity, TokenSource
from gateway.helseid.verify import Verifier
from gateway.rates import Rates
from gateway.relay.front import Front, Lane, Serving
from gateway.relay.passage import Way
from gateway.relay.pool import Pool
from gateway.routing.table import RouteTable
from gateway.upstreams.caller import Caller
from gateway.upstreams.jft import JftClient
from translators.translate import prepare

log = structlog.get_logger()

_MOST_PER_HOST = 256
"""Connections to HelseID."""


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that one configuration made; a message keeps the one that it started with."""

    config: Config
    exchange: Exchange
    lane: Lane


class Gateway:
    """A gateway from `start` to `stop`; `reload` swaps the configuration whole, or not at all."""

    def __init__(self, path: str, config: Config, table: RouteTable, *, is_worker: bool = False) -> None:
        self._path = path
        self._is_worker = is_worker
        self._first = (config, table)
        self._prover = Prover(time.time)
        self._rates = Rates()
        self._front = Front(self._current, telemetry.record)
        self._admin = AdminPort(telemetry.REGISTRY)
        self._running: Running | None = None
        self._jft_caller: tuple[str, Caller] | None = None
        self._trusted: tuple[tuple[str, str], Issuer, Verifier] | None = None

    async def start(self) -> None:
        """Listen on both ports; raises `KeyUnusable` or `OSError` when that cannot be."""
        # Bounded for each host: one that hangs must not keep messages from another.
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=_MOST_PER_HOST)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        try:
            self._running = self._wire(*self._first)
            listen = self._running.config.listen
            if not self._is_worker:
                await self._admin.start(listen.admin)
            prepare()
            await self._front.start(listen.data, reuse_port=self._is_worker)
        except BaseException:
            await self.stop()
            raise
        _calm_collector()
        log.info("gateway.started", data=str(listen.data), admin=str(listen.admin), routes=self._path)

    async def stop(self) -> None:
        """Stop listening, finish what is in flight, close connections."""
        await self._front.stop()
        await self._admin.stop()
        self._drain({})
        if self._jft_caller is not None:
            self._jft_caller[1].close()
        await self._session.close()
        telemetry.flush()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, having called `ready`; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await self.start()
        ready()
        try:
            await stopping.wait()
        finally:
            log.info("gateway.stopping")
            await self.stop()

    def reload(self) -> Loaded:
        """Read the file again; with any error in it the running configuration stays as it is."""
        loaded = load(self._path)
        if loaded.config is None or loaded.table is None:
            return self._keep(loaded, [str(problem) for problem in loaded.problems])
        try:
            running = self._wire(loaded.config, loaded.table)
        except (client_key.KeyUnusable, OSError) as error:
            return self._keep(loaded, [str(error)])
        if self._running is not None and running.config.listen != self._running.config.listen:
            log.warning("reload.listen_needs_restart")
        self._drain(running.lane.ways)
        self._running = running
        telemetry.RELOADS.labels("taken").inc()
        log.info("reload.taken", warnings=[str(problem) for problem in loaded.problems])
        return loaded

    def _keep(self, loaded: Loaded, problems: list[str]) -> Loaded:
        telemetry.RELOADS.labels("refused").inc()
        log.error("reload.refused", problems=problems)
        return loaded

    def _current(self) -> tuple[Serving, Lane]:
        if self._running is None:
            raise RuntimeError("a request before the gateway started")
        return self._running.exchange, self._running.lane

    def _wire(self, config: Config, table: RouteTable) -> Running:
        issuer, verifier = self._trust(config.helseid)
        admission = Admission(config, table, verifier, self._rates, time.monotonic)
        exchange = Exchange(config, table, admission, self._jft(config, table, issuer), time.time)
        ways = {
            name: Way(upstream, self._pool(upstream), config.limits.request_timeout, exchange.refused)
            for name, upstream in config.upstreams.items()
            if isinstance(upstream, VkpUpstream)
        }
        return Running(config, exchange, Lane(ways, exchange.malformed))

    def _pool(self, upstream: VkpUpstream) -> Pool:
        """Return the connections to an upstream; a reload keeps those whose upstream stays the same."""
        known = self._running.lane.ways.get(upstream.name) if self._running else None
        if known is not None and replace(known.upstream, place=upstream.place) == upstream:
            return known.pool
        return Pool(upstream.url, upstream.connections, self._tls(upstream))

    def _tls(self, upstream: VkpUpstream) -> ssl.SSLContext | None:
        """Return how connections to an upstream are encrypted and checked; raises `OSError` for unusable files."""
        if not upstream.url.startswith("https:"):
            return None
        folder, files = Path(self._path).parent, upstream.tls
        try:
            context = ssl.create_default_context(cafile=str(folder / files.ca_file) if files.ca_file else None)
            if files.cert_file and files.key_file:
                context.load_cert_chain(folder / files.cert_file, folder / files.key_file)
        except OSError as error:
            raise OSError(error.errno, f"upstream {upstream.name}: its certificates cannot be used: {error}") from None
        return context

    def _drain(self, kept: dict[str, Way]) -> None:
        """Close the connections that are not used any more, each as soon as it is idle."""
        pools = {way.pool for way in kept.values()}
        for way in self._running.lane.ways.values() if self._running else ():
            if way.pool not in pools:
                way.pool.drain()

    def _trust(self, helseid: HelseId) -> tuple[Issuer, Verifier]:
        """Return the issuer and verifier; a reload keeps them, with the keys they hold, while HelseID stays the same."""
        named = (helseid.issuer, helseid.audience)
        if self._trusted is None or self._trusted[0] != named:
            issuer = Issuer(helseid.issuer, self._session, time.time)
            self._trusted = (named, issuer, Verifier(issuer, helseid.audience, time.time))
        return self._trusted[1:]

    def _jft(self, config: Config, table: RouteTable, issuer: Issuer) -> JftClient | None:
        if table.jft_upstream is None:
            return None
        helseid = config.helseid
        key = client_key.load(helseid.key_file, Path(self._path).parent)
        identity = ClientIdentity(helseid.client_id, key, helseid.multi_tenant, helseid.assertion_field)
        tokens = TokenSource(issuer, identity, self._prover, self._session, time.time)
        return JftClient(table.jft_upstream, tokens, self._prover, self._caller(table.jft_upstream.write_url))

    def _caller(self, url: str) -> Caller:
        """Return the connections to a service; a reload keeps those to the same address."""
        if self._jft_caller is None or self._jft_caller[0] != url:
            if self._jft_caller is not None:
                self._jft_caller[1].close()
            tls = ssl.create_default_context() if url.startswith("https:") else None
            self._jft_caller = (url, Caller(url, tls))
        return self._jft_caller[1]


def _calm_collector() -> None:
    """Let the cyclic collector look at little, and seldom: what was made so far stays, and messages leave no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
