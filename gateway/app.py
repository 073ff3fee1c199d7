"""The only place that wires: from a checked configuration to a running gateway, and from a changed one to the next."""

import asyncio
import signal
import time
from dataclasses import dataclass
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
from gateway.relay import upstream as legacy
from gateway.relay.front import Front, Handler, Lane
from gateway.routing.table import RouteTable
from gateway.upstreams.jft import JftClient

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that one configuration made; a message keeps the one that it started with."""

    config: Config
    exchange: Exchange
    lane: Lane


class Gateway:
    """A gateway from `start` to `stop`; `reload` swaps the configuration whole, or not at all."""

    def __init__(self, path: str, config: Config, table: RouteTable) -> None:
        self._path = path
        self._first = (config, table)
        self._prover = Prover(time.time)
        self._rates = Rates()
        self._front = Front(self._current, telemetry.record)
        self._admin = AdminPort(telemetry.REGISTRY)
        self._running: Running | None = None
        self._trusted: tuple[tuple[str, str], Issuer, Verifier] | None = None

    async def start(self) -> None:
        """Listen on both ports; raises `KeyUnusable` or `OSError` when that cannot be."""
        self._relay_session = legacy.session()
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        try:
            self._running = self._wire(*self._first)
            listen = self._running.config.listen
            await self._admin.start(listen.admin)
            await self._front.start(listen.data)
        except BaseException:
            await self.stop()
            raise
        log.info("gateway.started", data=str(listen.data), admin=str(listen.admin), routes=self._path)

    async def stop(self) -> None:
        """Stop listening, finish what is in flight, close connections."""
        await self._front.stop()
        await self._admin.stop()
        await self._relay_session.close()
        await self._session.close()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await self.start()
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
        except client_key.KeyUnusable as error:
            return self._keep(loaded, [str(error)])
        if self._running is not None and running.config.listen != self._running.config.listen:
            log.warning("reload.listen_needs_restart")
        self._running = running
        telemetry.RELOADS.labels("taken").inc()
        log.info("reload.taken", warnings=[str(problem) for problem in loaded.problems])
        return loaded

    def _keep(self, loaded: Loaded, problems: list[str]) -> Loaded:
        telemetry.RELOADS.labels("refused").inc()
        log.error("reload.refused", problems=problems)
        return loaded

    def _current(self) -> tuple[Handler, Lane]:
        if self._running is None:
            raise RuntimeError("a request before the gateway started")
        return self._running.exchange.handle, self._running.lane

    def _wire(self, config: Config, table: RouteTable) -> Running:
        issuer, verifier = self._trust(config.helseid)
        admission = Admission(config, table, verifier, self._rates, time.monotonic)
        exchange = Exchange(config, table, admission, self._jft(config, table, issuer), time.time)
        upstreams = {name: up for name, up in config.upstreams.items() if isinstance(up, VkpUpstream)}
        lane = Lane(upstreams, self._relay_session, config.limits.request_timeout, exchange.refused)
        return Running(config, exchange, lane)

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
        return JftClient(table.jft_upstream, tokens, self._prover, self._session)
