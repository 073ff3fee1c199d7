"""The only place that wires: from a checked configuration to a running gateway, and from a changed one to the next."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.admin.server import AdminPort
from gateway.admin.status import Reload
from gateway.auth.helseid.client_assertion import KeyUnusable
from gateway.auth.people.authenticator import PeopleUnusable
from gateway.config.load import load
from gateway.config.model import Config
from gateway.ledger import canary_key
from gateway.ledger.database import Database, LedgerUnusable
from gateway.ledger.decision_log import DecisionLog
from gateway.ledger.key_files import Keys, KeysUnusable
from gateway.migration.rehearsal import Rehearsals
from gateway.model import Account
from gateway.observability import telemetry
from gateway.outbox.outbox import Outbox, keys_of, open_ledger
from gateway.proxy.server import Lane, Server, Serving
from gateway.proxy.tls import DATA_PORT, CertificatesUnusable, ReloadingContext
from gateway.routing.table import RouteTable
from gateway.runtime import config_file
from gateway.runtime.active_routes import ActiveRoutes
from gateway.runtime.build import Builder, RuntimeState, drain
from translators.translate import prepare

log = structlog.get_logger()

_LOOK = 2.0
"""Seconds between two looks at whether files have changed."""


class Node:
    """A gateway from `start` to `stop`; `reload` swaps the configuration whole, or not at all."""

    def __init__(
        self, path: str, config: Config, table: RouteTable, *, is_worker: bool = False, dev_login: bool = False
    ) -> None:
        self._path = path
        self._folder = Path(path).parent
        self._is_worker = is_worker
        self._first = (config, table)
        self._front = Server(self._current, self._record)
        self._rehearsals = Rehearsals(self._ledger_store, time.time)
        self._decisions = DecisionLog(self._ledger_store, time.time)
        self._working: list[asyncio.Task[None]] = []
        self._delivery: Outbox | None = None
        self._store = ""
        """The URL of the ledger that is open."""
        self._admin = AdminPort(telemetry.REGISTRY, dev_login=dev_login)
        self._in_force = ActiveRoutes(table, self._lay, self._admin.decisions.taken, time.time)
        self._running: RuntimeState | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._reloading = asyncio.Lock()
        self._reloads: set[asyncio.Task[Reload]] = set()
        self._shown: ReloadingContext | None = None
        self._wiring: Builder | None = None
        self._file: config_file.Stamp | None = None
        """Of the configuration, when it was read last."""

    async def start(self) -> None:
        """Listen on both ports; raises `KeyUnusable`, `KeysUnusable`, `LedgerUnusable`, `PeopleUnusable` or `OSError` when that cannot be."""
        # A signal to reload that comes meanwhile waits.
        async with self._reloading:
            try:
                await self._begin()
            except BaseException:
                await self.stop()
                raise
        _calm_collector()
        listen = self._configured().listen
        log.info("gateway.started", data=str(listen.data), admin=str(listen.admin), routes=self._path)

    async def stop(self) -> None:
        """Stop listening, finish what is in flight, close connections."""
        self._is_stopping = True
        if self._looking is not None:
            self._looking.cancel()
        for task in self._reloads:
            task.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)
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
        drain(self._running, {})
        if self._wiring is not None:
            await self._wiring.services.close()
        telemetry.flush()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, having called `ready`; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        await self.start()
        ready()
        try:
            await stopping.wait()
        finally:
            log.info("gateway.stopping")
            await self.stop()

    async def reload(self) -> Reload:
        """Read the file again; with any error in it the running configuration stays as it is. Messages go on meanwhile."""
        async with self._reloading:
            self._file = config_file.stamp(Path(self._path))
            # A file of hundreds of municipalities takes most of a second.
            loaded = await asyncio.to_thread(load, self._path)
            if loaded.config is None or loaded.table is None:
                return self._keep([str(problem) for problem in loaded.problems])
            try:
                # Before anything is opened for it.
                if unguarded := self._in_force.unguarded(self._configured(), loaded.config, loaded.table):
                    return self._keep(unguarded)
                keys = self._keys(loaded.config)
                if not self._is_stopping:
                    await self._open_ledger(loaded.config, keys)
                if self._is_stopping:
                    return self._keep(["the gateway is stopping"])
                table = self._in_force.over(loaded.table)
                running = self._begun().wired(loaded.config, table, keys, self._delivery, self._running)
                doors = None if self._is_worker else self._admin.prepare(loaded.config)
            except (KeyUnusable, KeysUnusable, LedgerUnusable, CertificatesUnusable, PeopleUnusable, OSError) as error:
                return self._keep([str(error)])
            self._take(running)
            generation = self._in_force.take(loaded.table, table)
            warnings = [str(problem) for problem in loaded.problems]
            log.info("reload.taken", generation=generation, warnings=warnings)
            return self._admin.use(loaded.config, doors, warnings, generation)

    async def _begin(self) -> None:
        wiring = self._wiring = Builder(self._folder, self._rehearsals, time.time, time.monotonic)
        config, of_file = self._first
        table = self._in_force.table
        if (keys := self._keys(config)) is not None:
            self._delivery = Outbox(await open_ledger(config, self._folder), time.time)
            self._store = config.store
            await canary_key.agree(self._delivery.ledger, keys.canary, None, time.time())
        self._running = wiring.wired(config, table, keys, self._delivery, None)
        self._deliver(self._running)
        if self._delivery is not None:
            await self._in_force.begin(self._delivery.ledger)
            self._in_force.steer(self._delivery.ledger, self._configured)
        else:
            self._in_force.take(of_file, table)
        self._admin.report.use(lambda: self._in_force.table)
        self._admin.reloads.use(self.reload)
        loop = asyncio.get_running_loop()
        self._working = [loop.create_task(each.run()) for each in (self._rehearsals, self._decisions)]
        if not self._is_worker:
            await self._admin.start(config)
        prepare()
        self._shown = self._running.certificates.of(DATA_PORT)
        tls = self._tls if self._shown else None
        self._file = config_file.stamp(Path(self._path))
        self._remember(config)
        await self._front.start(config.listen.data, reuse_port=self._is_worker, tls=tls)
        self._look()

    def _reload_soon(self) -> None:
        """Reload as soon as that can be."""
        self._reloads.add(task := asyncio.get_running_loop().create_task(self.reload()))
        task.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[Reload]) -> None:
        self._reloads.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("reload.defect", exc_info=task.exception())

    def _take(self, running: RuntimeState) -> None:
        """Let new messages follow another configuration."""
        before = self._running.config if self._running else None
        if before and (before.listen, before.tls is None) != (running.config.listen, running.config.tls is None):
            log.warning("reload.listen_needs_restart")
        self._shown = running.certificates.of(DATA_PORT) or self._shown
        drain(self._running, running.lane.ways)
        self._running = running
        self._deliver(running)
        telemetry.RELOADS.labels("taken").inc()
        self._remember(running.config)

    def _lay(self, table: RouteTable) -> None:
        """Let new messages follow another table under the same configuration."""
        if (before := self._running) is not None:
            self._running = self._begun().relaid(table, self._delivery, before)
            self._deliver(self._running)

    def _ledger_store(self) -> Database | None:
        return self._delivery.ledger.store if self._delivery is not None else None

    def _record(self, account: Account, status: int, seconds: float) -> None:
        """Log, count and note the way of a message."""
        telemetry.record(account, status, seconds)
        self._decisions.record(account)

    def _remember(self, config: Config) -> None:
        """Keep the file for a start with `--last-good`."""
        if not self._is_worker and not config_file.remember(Path(self._path), config.version):
            log.warning("reload.not_remembered")

    def _keep(self, problems: list[str]) -> Reload:
        telemetry.RELOADS.labels("refused").inc()
        log.error("reload.refused", problems=problems)
        return self._admin.board.refused(problems)

    def _current(self) -> tuple[Serving, Lane]:
        if self._running is None:
            raise RuntimeError("a request before the gateway started")
        return self._running.exchange, self._running.lane

    def _is_one_of_several(self, config: Config) -> bool:
        """Tell whether other processes would need the same SQLite file: then nothing is answered by a service here."""
        return self._is_worker and config.store.startswith("sqlite:")

    async def _open_ledger(self, config: Config, keys: Keys | None) -> None:
        """Open the ledger where it has not been needed so far; raises `LedgerUnusable`, also for another one than is open.

        Raises `KeysUnusable` where patients would change sides by other keys.
        """
        if self._delivery is not None:
            if config.store != self._store:
                raise LedgerUnusable("store: another one needs a restart")
            await canary_key.agree(
                self._delivery.ledger,
                _canary(keys),
                _canary(self._running.keys if self._running else None),
                time.time(),
            )
        elif keys is not None:
            delivery = Outbox(await open_ledger(config, self._folder, patience=0), time.time)
            try:
                await canary_key.agree(delivery.ledger, keys.canary, None, time.time())
                await self._in_force.begin(delivery.ledger)
            except BaseException:
                await delivery.close()
                raise
            self._delivery, self._store = delivery, config.store
            self._in_force.steer(delivery.ledger, self._configured)

    def _keys(self, config: Config) -> Keys | None:
        """Return the keys of the ledger, if this process is to have one; raises `KeysUnusable`."""
        return None if self._is_one_of_several(config) else keys_of(config, self._folder)

    def _configured(self) -> Config:
        return self._running.config if self._running is not None else self._first[0]

    def _deliver(self, running: RuntimeState) -> None:
        """Let what is held be delivered, and what is delivered be followed, as a configuration says."""
        if self._delivery is not None and running.keys is not None:
            self._delivery.use(running.config, running.means)
            self._admin.ledger.use(self._delivery.ledger, running.keys, running.config)
            self._admin.rollback.use(self._delivery.returning)
            services = self._begun().services
            tokens = services.tokens(running.config.helseid) if running.means is not None else None
            self._admin.cutovers.use(lambda: self._in_force.layers, tokens.token if tokens else None)

    def _begun(self) -> Builder:
        if self._wiring is None:
            raise RuntimeError("a configuration before the gateway started")
        return self._wiring

    def _tls(self) -> ReloadingContext:
        """Return what the data port shows now."""
        if self._shown is None:
            raise RuntimeError("a connection before the gateway started")
        return self._shown

    def _look(self) -> None:
        """Take certificates and a configuration that have been exchanged, and look again in a while."""
        self._looking = asyncio.get_running_loop().call_later(_LOOK, self._look)
        if self._running is not None:
            self._running.certificates.look()
            if not self._is_worker and config_file.stamp(Path(self._path)) != self._file:
                self._file = config_file.stamp(Path(self._path))
                self._reload_soon()


def _canary(keys: Keys | None) -> bytes | None:
    return keys.canary if keys is not None else None


def _calm_collector() -> None:
    """Let the cyclic collector look at little, and seldom: what was made so far stays, and messages leave no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
