"""The only place that wires: from a checked configuration to a running gateway, and from a changed one to the next."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from gateway import last_good, telemetry
from gateway.admin_port import AdminPort
from gateway.admission import Admission
from gateway.config.definitions import Config
from gateway.config.load import Loaded, load
from gateway.config.servers import VkpUpstream
from gateway.delivery.delivery import Delivery, Means
from gateway.delivery.opening import keys_of, opened
from gateway.exchange import Exchange
from gateway.helseid.client_key import KeyUnusable
from gateway.helseid.sender_proofs import SenderProofs
from gateway.in_force import InForce
from gateway.ledger.decisions import DecisionLog
from gateway.ledger.keys import Keys, KeysUnusable
from gateway.ledger.store import LedgerUnusable, Store, open_store
from gateway.model import Account
from gateway.people.desk import PeopleUnusable
from gateway.rates import Rates
from gateway.rehearsal.rehearsals import Rehearsals
from gateway.relay.certificates import CertificatesUnusable, Kept
from gateway.relay.front import Front, Lane, Serving
from gateway.relay.guests import Room
from gateway.relay.needed import DATA_PORT, Certificates
from gateway.relay.passage import Way
from gateway.relay.pool import Pool
from gateway.routing.table import RouteTable
from gateway.services import Services
from gateway.sunset import announced
from translators.translate import prepare

log = structlog.get_logger()

_LOOK = 2.0
"""Seconds between two looks at whether files have changed."""


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that one configuration made; a message keeps the one that it started with."""

    config: Config
    exchange: Exchange
    lane: Lane
    certificates: Certificates
    keys: Keys | None
    means: Means | None
    """What journalings are delivered with; None where nothing is."""


class Gateway:
    """A gateway from `start` to `stop`; `reload` swaps the configuration whole, or not at all."""

    def __init__(
        self, path: str, config: Config, table: RouteTable, *, is_worker: bool = False, dev_login: bool = False
    ) -> None:
        self._path = path
        self._folder = Path(path).parent
        self._is_worker = is_worker
        self._first = (config, table)
        self._proofs = SenderProofs(time.time)
        self._rates = Rates()
        self._front = Front(self._current, self._record)
        self._rehearsals = Rehearsals(self._ledger_store, time.time)
        self._decisions = DecisionLog(self._ledger_store, time.time)
        self._working: list[asyncio.Task[None]] = []
        self._delivery: Delivery | None = None
        self._store = ""
        """The URL of the ledger that is open."""
        self._admin = AdminPort(telemetry.REGISTRY, dev_login=dev_login)
        self._in_force = InForce(table, self._lay, self._admin.decisions.taken, time.time)
        self._running: Running | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._shown: Kept | None = None
        self._services: Services | None = None
        self._file: last_good.Stamp | None = None
        """Of the configuration, when it was read last."""

    async def start(self) -> None:
        """Listen on both ports; raises `KeyUnusable`, `KeysUnusable`, `LedgerUnusable`, `PeopleUnusable` or `OSError` when that cannot be."""
        self._services = Services(self._folder, time.time)
        try:
            config, table = self._first
            if (keys := keys_of(config, self._folder)) is not None and not self._is_one_of_several(config):
                self._delivery = Delivery(await opened(config, self._folder), time.time)
                self._store = config.store
            self._running = self._wire(config, table, keys)
            self._deliver(self._running)
            if self._delivery is not None:
                await self._in_force.begin(self._delivery.ledger, self._configured)
            else:
                self._in_force.take(table)
            self._admin.report.use(lambda: self._in_force.table)
            loop = asyncio.get_running_loop()
            self._working = [loop.create_task(each.run()) for each in (self._rehearsals, self._decisions)]
            listen = self._running.config.listen
            if not self._is_worker:
                await self._admin.start(self._running.config)
            prepare()
            self._shown = self._running.certificates.of(DATA_PORT)
            tls = self._tls if self._shown else None
            self._file = last_good.stamp(Path(self._path))
            self._remember(config)
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
        if self._delivery is None:
            await self._front.stop()
        else:
            await asyncio.gather(self._front.stop(), self._delivery.finish())
        await asyncio.gather(self._rehearsals.stop(), self._decisions.stop())
        await asyncio.gather(*self._working)
        await self._admin.stop()
        await self._in_force.stop()
        if self._delivery is not None:
            await self._delivery.close()
        self._drain({})
        if self._services is not None:
            await self._services.close()
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
        self._file = last_good.stamp(Path(self._path))
        loaded = load(self._path)
        if loaded.config is None or loaded.table is None:
            return self._keep(loaded, [str(problem) for problem in loaded.problems])
        try:
            keys = keys_of(loaded.config, self._folder)
            self._open_ledger(loaded.config, keys)
            table = self._in_force.over(loaded.table)
            if unguarded := self._in_force.unguarded(self._configured(), loaded.config, table):
                return self._keep(loaded, unguarded)
            running = self._wire(loaded.config, table, keys)
            doors = None if self._is_worker else self._admin.prepare(loaded.config)
        except (KeyUnusable, KeysUnusable, LedgerUnusable, CertificatesUnusable, PeopleUnusable, OSError) as error:
            return self._keep(loaded, [str(error)])
        before = self._running.config if self._running else None
        if before and (before.listen, before.tls is None) != (running.config.listen, running.config.tls is None):
            log.warning("reload.listen_needs_restart")
        self._shown = running.certificates.of(DATA_PORT) or self._shown
        self._drain(running.lane.ways)
        self._running = running
        self._deliver(running)
        generation = self._in_force.take(loaded.table)
        self._admin.use(loaded.config, doors, [str(problem) for problem in loaded.problems])
        telemetry.RELOADS.labels("taken").inc()
        self._remember(loaded.config)
        log.info("reload.taken", generation=generation, warnings=[str(problem) for problem in loaded.problems])
        return loaded

    def _lay(self, table: RouteTable) -> None:
        """Let new messages follow another table under the same configuration."""
        if (before := self._running) is not None:
            self._running = self._wire(before.config, table, before.keys, before.certificates)
            self._deliver(self._running)

    def _ledger_store(self) -> Store | None:
        return self._delivery.ledger.store if self._delivery is not None else None

    def _record(self, account: Account, status: int, seconds: float) -> None:
        """Log, count and note the way of a message."""
        telemetry.record(account, status, seconds)
        self._decisions.record(account)

    def _remember(self, config: Config) -> None:
        """Keep the file for a start with `--last-good`."""
        if not self._is_worker and not last_good.remember(Path(self._path), config.version):
            log.warning("reload.not_remembered")

    def _keep(self, loaded: Loaded, problems: list[str]) -> Loaded:
        telemetry.RELOADS.labels("refused").inc()
        self._admin.board.refused(problems)
        log.error("reload.refused", problems=problems)
        return loaded

    def _current(self) -> tuple[Serving, Lane]:
        if self._running is None:
            raise RuntimeError("a request before the gateway started")
        return self._running.exchange, self._running.lane

    def _is_one_of_several(self, config: Config) -> bool:
        """Tell whether other processes would need the same SQLite file: then nothing is answered by a service here."""
        return self._is_worker and config.store.startswith("sqlite:")

    def _open_ledger(self, config: Config, keys: Keys | None) -> None:
        """Open the ledger where it has not been needed so far; raises `LedgerUnusable`, also for another one than is open."""
        if self._delivery is not None:
            if config.store != self._store:
                raise LedgerUnusable("store: another one needs a restart")
        elif keys is not None and not self._is_one_of_several(config):
            self._delivery = Delivery(open_store(config.store, self._folder, patience=0), time.time)
            self._store = config.store
            self._in_force.begin_waiting(self._delivery.ledger, self._configured)

    def _configured(self) -> Config:
        return self._running.config if self._running is not None else self._first[0]

    def _deliver(self, running: Running) -> None:
        """Let what is held be delivered, and what is delivered be followed, as a configuration says."""
        if self._delivery is not None and running.keys is not None:
            self._delivery.use(running.config, running.means)
            self._admin.ledger.use(self._delivery.ledger, running.keys, running.config)
            self._admin.rollback.use(self._delivery.returning)
            if self._services is not None:
                tokens = self._services.tokens(running.config.helseid) if running.means is not None else None
                self._admin.cutovers.use(lambda: self._in_force.layers, tokens.token if tokens else None)

    def _wire(
        self, config: Config, table: RouteTable, keys: Keys | None, certificates: Certificates | None = None
    ) -> Running:
        """Return everything that a configuration and its routes make; `certificates` are those that stay as they are."""
        if certificates is None:
            certificates = Certificates(config, self._folder, self._running.certificates if self._running else None)
        services = self._services
        if services is None:
            raise RuntimeError("a configuration before the gateway started")
        verifier = services.verifier(config.helseid)
        admission = Admission(config, table, verifier, self._proofs, self._rates, time.monotonic)
        jft = services.jft(config, table.jft_upstream, certificates) if table.jft_upstream else None
        means = journaling = None
        if jft is not None and keys is not None and table.jft_upstream and self._delivery is not None:
            vkp = services.vkp(config, table.vkp_upstream, certificates) if table.vkp_upstream else None
            means = Means(config, keys, jft, table.jft_upstream.follow, table, vkp)
            journaling = self._delivery.journaling(means)
        exchange = Exchange(
            *(config, table, admission, journaling, time.time),
            canary_key=keys.canary if keys else None,
            rehearse=self._rehearsals.offering(config),
        )
        ways = {
            name: Way(
                upstream,
                self._pool(upstream, certificates.of(name)),
                config.limits.request_timeout,
                exchange.refused,
                announced(config.sunset),
            )
            for name, upstream in config.upstreams.items()
            if isinstance(upstream, VkpUpstream)
        }
        room = Room(config.limits.connections, config.limits.connections_per_address)
        return Running(config, exchange, Lane(ways, exchange.malformed, room), certificates, keys, means)

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
        """Take certificates and a configuration that have been exchanged, and look again in a while."""
        self._looking = asyncio.get_running_loop().call_later(_LOOK, self._look)
        if self._running is not None:
            self._running.certificates.look()
            if not self._is_worker and last_good.stamp(Path(self._path)) != self._file:
                self.reload()

    def _drain(self, kept: dict[str, Way]) -> None:
        """Close the connections that are not used any more, each as soon as it is idle."""
        pools = {way.pool for way in kept.values()}
        for way in self._running.lane.ways.values() if self._running else ():
            if way.pool not in pools:
                way.pool.drain()


def _calm_collector() -> None:
    """Let the cyclic collector look at little, and seldom: what was made so far stays, and messages leave no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
