"""One process of the gateway: how it starts, reloads and stops. The only place that wires."""

import asyncio
import gc
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from gateway.admin.health import NodeState
from gateway.admin.server import AdminPort
from gateway.admin.status import Reload
from gateway.config.load import Stamp, load, remember, stamp
from gateway.config.model import Address, Config
from gateway.config.values import is_loopback
from gateway.errors import StartupError
from gateway.ledger.database import Database
from gateway.ledger.decision_log import DecisionLog
from gateway.ledger.messages import Ledger
from gateway.ledger.nodes import Beat, Heartbeat
from gateway.migration.comparison import Comparisons
from gateway.migration.rehearsal import Rehearsals
from gateway.model import Account
from gateway.observability import metrics, telemetry
from gateway.outbox.outbox import keys_of
from gateway.proxy.bounds import USUAL_BOUNDS, Bounds
from gateway.proxy.certificate_files import DATA_PORT
from gateway.proxy.server import Lane, Server, Serving
from gateway.proxy.tls import ReloadingContext
from gateway.replica.worker import Replica
from gateway.routing.table import RouteTable
from gateway.runtime.active_routes import ActiveRoutes
from gateway.runtime.build import Builder, Prepared, RuntimeState, drain
from gateway.runtime.process_ledger import PreparedLedger, ProcessLedger
from gateway.runtime.sockets import NO_SOCKETS, InheritedSockets, address_of
from gateway.surfaces.registry import prepare as prepare_surfaces
from gateway.tasks import USUAL, FileThread, Intervals, Periodic
from gateway.times import Clock
from gateway.upstreams.okt import OktClient
from gateway.upstreams.pit import PitClient
from translators.translate import prepare

log = structlog.get_logger()

_SWITCH = 0.0005
_NO_ANSWER = "the file system does not answer: look at the mounts of routes.yaml, keys and certificates"


class Node:
    """A gateway from `start` to `stop`; `reload` swaps the configuration whole, or changes nothing."""

    def __init__(  # noqa: PLR0913 - how it was started
        self,
        path: str,
        config: Config,
        table: RouteTable,
        *,
        dev_login: bool = False,
        sockets: InheritedSockets = NO_SOCKETS,
        admin_port: int | None = None,
        clock: Clock | None = None,
        intervals: Intervals = USUAL,
        bounds: Bounds = USUAL_BOUNDS,
    ) -> None:
        """`sockets` are used in place of the addresses in `listen`, `admin_port` in place of the port of `listen.admin`."""
        self._path = Path(path)
        self._clock = clock or Clock()
        self._intervals = intervals
        self._sockets = sockets
        self._admin_port = admin_port
        self._first = (self._here(config), table)
        self._server = Server(self._current, self._record, bounds)
        self._ledger = ProcessLedger(self._path.parent, self._clock, intervals)
        self._replica: Replica | None = None
        """None as long as no ledger is open."""
        self._rehearsals = Rehearsals(self._database, self._clock, intervals)
        self._comparisons = Comparisons(self._database, self._clock, intervals)
        self._decisions = DecisionLog(self._database, self._clock, intervals)
        self._admin = AdminPort(metrics.REGISTRY, dev_login=dev_login, clock=self._clock)
        self._routes = ActiveRoutes(table, self._admin.decisions.taken, self._clock, intervals)
        self._heartbeat = Heartbeat(self._of_ledger, self._beat, self._clock, intervals)
        self._since = self._clock()
        self._running: RuntimeState | None = None
        self._files = FileThread(intervals.file_patience)
        self._is_unanswered = False
        self._looking = Periodic("files", self._look, intervals.files, at_once=False)
        self._is_stopping = False
        self._reloading = asyncio.Lock()
        self._reloads: set[asyncio.Task[Reload]] = set()
        self._shown: ReloadingContext | None = None
        self._builder: Builder | None = None
        self._file: Stamp | None = None
        """Of the configuration, when it was read last."""
        self._seen: Stamp | None = None
        """Of the configuration, when it was looked at last."""

    async def start(self) -> None:
        """Listen on both ports; raises `StartupError`, or `OSError`, when that cannot be."""
        # A signal to reload that comes meanwhile waits.
        async with self._reloading:
            try:
                await self._begin()
            except BaseException:
                await self.stop()
                raise
        calm_collector()
        listen = self._configured().listen
        log.info("gateway.started", data=str(listen.data), admin=str(listen.admin), routes=str(self._path))

    async def stop(self) -> None:
        """Stop listening, finish what is in flight, close connections."""
        self._is_stopping = True
        await self._looking.stop()
        for task in self._reloads:
            task.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)
        outbox, replica = self._ledger.outbox, self._replica
        background = [outbox.finish()] if outbox is not None else []
        background += [replica.stop()] if replica is not None else []
        await asyncio.gather(self._server.stop(), *background)
        if self._running is not None:
            self._running.comparer.close()
        await asyncio.gather(self._rehearsals.stop(), self._comparisons.stop(), self._decisions.stop())
        if self._builder is not None:
            self._builder.worker.catch_up()
            self._builder.listed.close()
        await self._admin.stop()
        await self._routes.stop()
        await self._heartbeat.stop()
        await self._ledger.close()
        drain(self._running, {})
        if self._builder is not None:
            await self._builder.worker.close()
            await self._builder.retrieval_worker.close()
            await self._builder.upstreams.close()
        telemetry.flush()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        await self.start()
        try:
            await stopping.wait()
        finally:
            log.info("gateway.stopping")
            await self.stop()

    async def reload(self) -> Reload:
        """Read the file again; whatever refuses it, what runs stays exactly as it is. Messages go on meanwhile.

        Everything that can refuse is tried before anything that is in use is touched; the ledger last, since it alone would
        have to be closed again.
        """
        async with self._reloading:
            # A file of hundreds of municipalities takes most of a second.
            try:
                self._file, loaded = await self._files.do(lambda: (stamp(self._path), load(str(self._path))))
            except TimeoutError:
                return self._refuse([_NO_ANSWER])
            problems = [str(problem) for problem in loaded.problems]
            if loaded.config is None or loaded.table is None:
                return self._refuse(problems)
            config = self._here(loaded.config)
            if unguarded := self._routes.unguarded(self._configured(), config, loaded.table):
                return self._refuse(unguarded)
            try:
                prepared = await self._prepared(config, loaded.table)
                ledger = await self._prepare_ledger(prepared, patience=0)
            except (StartupError, OSError) as error:
                return self._refuse([str(error)])
            if self._is_stopping:
                await self._ledger.abandon(ledger)
                return self._refuse(["the gateway is stopping"])
            generation = self._use(prepared, ledger)
            metrics.RELOADS.labels("taken").inc()
            log.info("reload.taken", generation=generation, warnings=problems)
            taken = self._admin.use(config, prepared.auth, problems, generation)
            await self._remember(config)
            return taken

    async def _begin(self) -> None:
        self._builder = Builder(self._path.parent, self._rehearsals, self._comparisons, self._clock, self._intervals)
        config, of_file = self._first
        prepared = await self._prepared(config, of_file)
        self._use(prepared, await self._prepare_ledger(prepared, self._intervals.ledger_patience))
        self._file = await self._remember(config)
        self._admin.report.use(lambda: self._routes.table)
        self._admin.trials.use_table(lambda: self._routes.table)
        self._admin.reloads.use(self.reload)
        self._rehearsals.start()
        self._comparisons.start()
        self._decisions.start()
        self._heartbeat.start()
        self._admin.health.use(self._state)
        await self._admin.start(config, self._sockets.admin, prepared.auth)
        prepare()
        prepare_surfaces()
        await self._server.start(
            config.listen.data,
            reuse_port=config.listen.reuse_port,
            proxy_protocol=config.listen.proxy_protocol,
            tls=self._tls if self._shown else None,
            sockets=self._sockets.data,
        )
        self._looking.start()

    async def _prepared(self, config: Config, of_file: RouteTable) -> Prepared:
        """Return what a configuration makes, its ledger apart; nothing of it is in use yet. Raises `StartupError`."""
        try:
            return await self._files.do(lambda: self._prepare(config, of_file))
        except TimeoutError:
            raise StartupError(_NO_ANSWER) from None

    def _prepare(self, config: Config, of_file: RouteTable) -> Prepared:
        """Read every file that a configuration names; where one is on a mount that hangs, so does this."""
        self._check_admin(config)
        keys = keys_of(config, self._path.parent)
        return self._built_by().prepare(config, of_file, keys, self._admin.prepare(config), self._running)

    def _check_admin(self, config: Config) -> None:
        """Hold an admin port that was handed over to what `check` demands of the one in the file."""
        admin, people = config.listen.admin, config.people
        if (
            self._sockets.admin
            and not is_loopback(admin.host)
            and (people is None or not people.url.startswith("https:"))
        ):
            raise StartupError(f"the admin port at {admin} is not loopback; that needs people: with an https url")

    async def _prepare_ledger(self, prepared: Prepared, patience: float) -> PreparedLedger:
        before = self._running.keys if self._running is not None else None
        return await self._ledger.prepare(prepared.config, prepared.keys, before, patience)

    def _use(self, prepared: Prepared, ledger: PreparedLedger) -> int:
        """Let new messages follow another configuration; return the number of its table. Nothing here refuses, or waits."""
        before, builder = self._running, self._built_by()
        is_first = self._ledger.outbox is None and ledger.outbox is not None
        layers = ledger.layers if is_first else self._routes.layers
        active = self._routes.over(prepared.of_file, layers)
        running = builder.build(prepared, active, ledger.outbox or self._ledger.outbox, before)
        if before is not None and _listens_elsewhere(before.config, running.config):
            log.warning("reload.listen_needs_restart")
        self._ledger.use(ledger)
        self._running = running
        generation = self._routes.take(prepared.of_file, active)
        self._shown = running.certificates.of(DATA_PORT) or self._shown
        drain(before, running.lane.targets)
        builder.upstreams.use(prepared.clients)
        self._use_ledger(running)
        if is_first and self._ledger.outbox is not None:
            self._routes.follow(self._ledger.outbox.ledger, layers, self._configured)
        return generation

    async def _remember(self, config: Config) -> Stamp | None:
        """Keep a copy of the file that is in use; return what tells whether the file has changed."""
        found: Stamp | None = None
        why_not: str | None = _NO_ANSWER
        with suppress(TimeoutError):
            found, why_not = await self._files.do(lambda: (stamp(self._path), remember(self._path, config.version)))
        if why_not is not None:
            log.warning("reload.not_remembered", reason=why_not)
        return found

    def _use_ledger(self, running: RuntimeState) -> None:
        """Let what is held be delivered, and what is delivered be followed, as a configuration says."""
        outbox = self._ledger.outbox
        if outbox is None or running.keys is None:
            return
        outbox.use(running.config, running.delivery)
        if self._replica is None:
            ledger = outbox.ledger
            of_node = (ledger.store, ledger.node, self._clock, self._intervals)
            self._replica = Replica(*of_node, self._path.parent, self._files)
        pit, okt = running.clients.of(PitClient), running.clients.of(OktClient)
        self._replica.use(running.config, running.keys, pit, okt)
        self._admin.ledger.use(outbox.ledger, running.keys, running.config)
        self._admin.rollback.use(outbox.returning)
        tokens = running.clients.tokens if running.delivery is not None else None
        self._admin.cutovers.use(lambda: self._routes.layers, tokens.token if tokens is not None else None)

    def _refuse(self, problems: list[str]) -> Reload:
        metrics.RELOADS.labels("refused").inc()
        log.error("reload.refused", problems=problems)
        return self._admin.board.refused(problems)

    def _here(self, config: Config) -> Config:
        """Return a configuration with the addresses that this very process has."""
        data, admin = config.listen.data, config.listen.admin
        if self._sockets.data:
            data = address_of(self._sockets.data[0])
        if self._sockets.admin:
            admin = address_of(self._sockets.admin[0])
        elif self._admin_port is not None:
            admin = Address(admin.host, self._admin_port)
        return replace(config, listen=replace(config.listen, data=data, admin=admin))

    def _reload_soon(self) -> None:
        """Reload as soon as that can be."""
        self._reloads.add(task := asyncio.get_running_loop().create_task(self.reload()))
        task.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[Reload]) -> None:
        self._reloads.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("reload.defect", exc_info=task.exception())

    def _of_ledger(self) -> Ledger | None:
        return self._ledger.outbox.ledger if self._ledger.outbox is not None else None

    def _beat(self) -> Beat:
        table, running = self._routes.table, self._running
        issuer = running.clients.parts.issuer if running is not None else None
        return Beat(
            since=self._since,
            generation=table.generation,
            version=self._configured().version,
            layers=table.layers.version,
            ahead_of_helseid=issuer.ahead if issuer is not None else None,
            away=() if running is None else running.clients.away(self._clock()),
        )

    def _state(self) -> NodeState | None:
        running = self._running
        if running is None:
            return None
        return NodeState(self._beat(), running.clients, running.certificates, self._path.parent)

    def _database(self) -> Database | None:
        outbox = self._ledger.outbox
        return outbox.ledger.store if outbox is not None else None

    def _record(self, account: Account, status: int, seconds: float) -> None:
        """Log, count and note the way of a message."""
        telemetry.record(account, status, seconds)
        self._decisions.record(account, seconds)

    def _current(self) -> tuple[Serving, Lane]:
        if self._running is None:
            raise RuntimeError("a request before the gateway started")
        return self._running.pipeline, self._running.lane

    def _configured(self) -> Config:
        return self._running.config if self._running is not None else self._first[0]

    def _built_by(self) -> Builder:
        if self._builder is None:
            raise RuntimeError("a configuration before the gateway started")
        return self._builder

    def _tls(self) -> ReloadingContext:
        """Return what the data port shows now."""
        if self._shown is None:
            raise RuntimeError("a connection before the gateway started")
        return self._shown

    async def _look(self) -> None:
        """Take certificates, keys of our clients and a configuration that have been exchanged."""
        if (running := self._running) is None:
            return

        def work() -> Stamp | None:
            running.certificates.look()
            for key in running.client_keys:
                key.look()
            return stamp(self._path)

        try:
            found = await self._files.do(work)
        except TimeoutError:
            if not self._is_unanswered:
                log.error("files.unanswered", problem=_NO_ANSWER)  # noqa: TRY400 - the place says nothing
            self._is_unanswered = True
            return
        self._is_unanswered = False
        # While somebody writes it, it may be a file without errors, of which the rest is missing.
        is_whole, self._seen = found == self._seen, found
        if found != self._file and is_whole:
            self._file = found
            self._reload_soon()


def _listens_elsewhere(before: Config, after: Config) -> bool:
    return (before.listen, before.tls is None) != (after.listen, after.tls is None)


def calm_collector() -> None:
    """Let the cyclic collector look at little, and seldom: what was made so far stays, and messages leave no cycles; threads take short turns."""
    # The thread that reads large bodies gives way to the event loop after so many seconds.
    sys.setswitchinterval(_SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
