"""The only place that wires: from a checked configuration to a running gateway, and from a changed one to the next."""

import asyncio
import gc
import signal
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
from gateway.control.port import AdminPort
from gateway.exchange import Exchange
from gateway.helseid import client_key
from gateway.helseid.assertion import ClientIdentity
from gateway.helseid.client_key import ClientKey
from gateway.helseid.issuer import Issuer
from gateway.helseid.proof import Prover
from gateway.helseid.sender_proofs import SenderProofs
from gateway.helseid.token_request import TokenEndpoint
from gateway.helseid.tokens import TokenSource
from gateway.helseid.verify import Verifier
from gateway.people.desk import PeopleUnusable
from gateway.rates import Rates
from gateway.relay.certificates import CertificatesUnusable, Kept
from gateway.relay.front import Front, Lane, Serving
from gateway.relay.guests import Room
from gateway.relay.needed import DATA_PORT, Certificates
from gateway.relay.passage import Way
from gateway.relay.pool import Pool
from gateway.routing.table import RouteTable
from gateway.upstreams.caller import Caller
from gateway.upstreams.jft import JftClient
from translators.translate import prepare

log = structlog.get_logger()

_LOOK = 5.0
"""Seconds between two looks at whether files of certificates have changed."""
_MOST_PER_HOST = 256
"""Connections to HelseID."""


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that one configuration made; a message keeps the one that it started with."""

    config: Config
    exchange: Exchange
    lane: Lane
    certificates: Certificates


class Gateway:
    """A gateway from `start` to `stop`; `reload` swaps the configuration whole, or not at all."""

    def __init__(
        self, path: str, config: Config, table: RouteTable, *, is_worker: bool = False, dev_login: bool = False
    ) -> None:
        self._path = path
        self._is_worker = is_worker
        self._first = (config, table)
        self._prover = Prover(time.time)
        self._proofs = SenderProofs(time.time)
        self._rates = Rates()
        self._front = Front(self._current, telemetry.record)
        self._admin = AdminPort(telemetry.REGISTRY, dev_login=dev_login)
        self._running: Running | None = None
        self._jft_caller: tuple[tuple[str, Kept | None], Caller] | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._shown: Kept | None = None
        self._trusted: tuple[tuple[str, str], Issuer, Verifier] | None = None
        self._own_tokens: tuple[tuple[object, ...], TokenSource] | None = None

    async def start(self) -> None:
        """Listen on both ports; raises `KeyUnusable`, `PeopleUnusable` or `OSError` when that cannot be."""
        # Bounded for each host: one that hangs must not keep messages from another.
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=_MOST_PER_HOST)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        try:
            self._running = self._wire(*self._first)
            listen = self._running.config.listen
            if not self._is_worker:
                await self._admin.start(self._running.config)
            prepare()
            self._shown = self._running.certificates.of(DATA_PORT)
            tls = self._tls if self._shown else None
            await self._front.start(listen.data, reuse_port=self._is_worker, tls=tls)
            self._look()
        except BaseException:
            await self.stop()
            raise
        _calm_collector()
        log.info("gateway.started", data=str(listen.data), admin=str(listen.admin), routes=self._path)

    async def stop(self) -> None:
        """Stop listening, finish what is in flight, close connections."""
        if self._looking is not None:
            self._looking.cancel()
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
            doors = None if self._is_worker else self._admin.prepare(loaded.config)
        except (client_key.KeyUnusable, CertificatesUnusable, PeopleUnusable, OSError) as error:
            return self._keep(loaded, [str(error)])
        before = self._running.config if self._running else None
        if before and (before.listen, before.tls is None) != (running.config.listen, running.config.tls is None):
            log.warning("reload.listen_needs_restart")
        self._shown = running.certificates.of(DATA_PORT) or self._shown
        self._drain(running.lane.ways)
        self._running = running
        self._admin.use(loaded.config, doors, [str(problem) for problem in loaded.problems])
        telemetry.RELOADS.labels("taken").inc()
        log.info("reload.taken", warnings=[str(problem) for problem in loaded.problems])
        return loaded

    def _keep(self, loaded: Loaded, problems: list[str]) -> Loaded:
        telemetry.RELOADS.labels("refused").inc()
        self._admin.board.refused(problems)
        log.error("reload.refused", problems=problems)
        return loaded

    def _current(self) -> tuple[Serving, Lane]:
        if self._running is None:
            raise RuntimeError("a request before the gateway started")
        return self._running.exchange, self._running.lane

    def _wire(self, config: Config, table: RouteTable) -> Running:
        before = self._running.certificates if self._running else None
        certificates = Certificates(config, Path(self._path).parent, before)
        issuer, verifier = self._trust(config.helseid)
        admission = Admission(config, table, verifier, self._proofs, self._rates, time.monotonic)
        exchange = Exchange(config, table, admission, self._jft(config, table, issuer, certificates), time.time)
        ways = {
            name: Way(
                upstream, self._pool(upstream, certificates.of(name)), config.limits.request_timeout, exchange.refused
            )
            for name, upstream in config.upstreams.items()
            if isinstance(upstream, VkpUpstream)
        }
        room = Room(config.limits.connections, config.limits.connections_per_address)
        return Running(config, exchange, Lane(ways, exchange.malformed, room), certificates)

    def _pool(self, upstream: VkpUpstream, tls: Kept | None) -> Pool:
        """Return the connections to an upstream; a reload keeps those whose upstream and certificates stay the same."""
        known = self._running.lane.ways.get(upstream.name) if self._running else None
        if known is not None and replace(known.upstream, place=upstream.place) == upstream and known.pool.tls is tls:
            return known.pool
        return Pool(upstream.url, upstream.connections, tls)

    def _tls(self) -> Kept:
        """Return what the data port shows now."""
        if self._shown is None:
            raise RuntimeError("a connection before the gateway started")
        return self._shown

    def _look(self) -> None:
        """Take certificates that have been exchanged, and look again in a while."""
        self._looking = asyncio.get_running_loop().call_later(_LOOK, self._look)
        if self._running is not None:
            self._running.certificates.look()

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

    def _jft(self, config: Config, table: RouteTable, issuer: Issuer, certificates: Certificates) -> JftClient | None:
        if table.jft_upstream is None:
            return None
        tokens = self._tokens(config.helseid, issuer)
        upstream = table.jft_upstream
        caller = self._caller(upstream.write_url, certificates.of(upstream.name))
        return JftClient(upstream, tokens, self._prover, caller)

    def _tokens(self, helseid: HelseId, issuer: Issuer) -> TokenSource:
        """Return the source of our own tokens; a reload keeps it, with the tokens it holds, while our client stays the same."""
        key = ClientKey(helseid.key_file, Path(self._path).parent)
        named = (issuer, helseid.client_id, helseid.key_file, helseid.multi_tenant, helseid.assertion_field)
        if self._own_tokens is None or self._own_tokens[0] != named:
            identity = ClientIdentity(helseid.client_id, key, helseid.multi_tenant, helseid.assertion_field)
            endpoint = TokenEndpoint(issuer, identity, self._prover, self._session, time.time)
            self._own_tokens = (named, TokenSource(endpoint, time.time))
        return self._own_tokens[1]

    def _caller(self, url: str, tls: Kept | None) -> Caller:
        """Return the connections to a service; a reload keeps those to the same address with the same certificates."""
        if self._jft_caller is None or self._jft_caller[0] != (url, tls):
            if self._jft_caller is not None:
                self._jft_caller[1].close()
            self._jft_caller = ((url, tls), Caller(url, tls))
        return self._jft_caller[1]


def _calm_collector() -> None:
    """Let the cyclic collector look at little, and seldom: what was made so far stays, and messages leave no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
