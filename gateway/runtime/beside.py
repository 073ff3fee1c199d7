"""What a supervisor has beside its workers: the ledger that they share, the routes in force, and what sends back to VKP."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.admin.server import AdminPort
from gateway.admin.status import Reload
from gateway.auth.helseid.client_assertion import KeyUnusable
from gateway.auth.people.authenticator import PeopleUnusable
from gateway.config.load import load
from gateway.config.model import Config
from gateway.ledger import canary_key
from gateway.ledger.database import LedgerUnusable
from gateway.ledger.key_files import Keys, KeysUnusable
from gateway.ledger.messages import Ledger
from gateway.model import Mode
from gateway.outbox.outbox import keys_of, node_name, open_ledger
from gateway.outbox.returns import ReturnContext, Returner
from gateway.proxy.tls import Certificates, CertificatesUnusable
from gateway.routing.table import RouteTable
from gateway.runtime.active_routes import ActiveRoutes
from gateway.runtime.clients import Clients
from gateway.runtime.config_file import Stamp, remember, stamp
from gateway.upstreams.jft import JftClient
from gateway.upstreams.vkp import VkpClient

log = structlog.get_logger()

_LOOK = 2.0
"""Seconds between two looks at whether the configuration has changed."""
_FINISH = 5.0
"""Seconds that messages on their way back to VKP have when it stops."""


def unshared(config: Config) -> list[str]:
    """Return why several processes cannot serve a configuration: each would keep to itself what must be shared."""
    if not config.store.startswith("sqlite:"):
        return []
    moved = [route for route in config.routes if route.mode is not Mode.LEGACY]
    return [f"{each.place}: mode {each.mode} with more than one worker needs a postgresql store" for each in moved]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a configuration made, before it is used."""

    config: Config
    of_file: RouteTable
    table: RouteTable
    """The routes of the file with the layers of now over them."""
    certificates: Certificates
    keys: Keys | None
    service: JftClient | None
    vkp: VkpClient | None


class Beside:
    """Begins with `start` and ends with `close`; it delivers and switches nothing itself, and has workers told to reload."""

    def __init__(
        self,
        admin: AdminPort,
        path: Path,
        first: tuple[Config, RouteTable],
        tell_workers: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._admin = admin
        self._path = path
        self._folder = path.parent
        self._first = first
        self._tell_workers = tell_workers
        self._clock = clock
        self._in_force = ActiveRoutes(first[1], lambda _table: None, admin.decisions.taken, clock)
        self._services = Clients(self._folder, clock)
        self._ledger: Ledger | None = None
        self._store = ""
        """The URL of the ledger that is open."""
        self._returning: Returner | None = None
        self._now: Prepared | None = None
        self._file: Stamp | None = None
        """Of the configuration, when it was read last."""
        self._reloading = asyncio.Lock()
        self._reloads: set[asyncio.Task[Reload]] = set()

    async def start(self) -> None:
        """Begin; raises `KeyUnusable`, `KeysUnusable`, `CertificatesUnusable` or `LedgerUnusable`."""
        # A signal to reload that comes meanwhile waits.
        async with self._reloading:
            prepared = await self._prepare(*self._first, patience=30.0)
            self._use(prepared)
            if self._ledger is None:
                self._in_force.take(prepared.of_file, prepared.table)
            self._admin.report.use(lambda: self._in_force.table)
            self._admin.reloads.use(self.reload)
            self._file = stamp(self._path)
            self._remember(self._first[0])

    @property
    def version(self) -> str:
        """Of the configuration that was taken last: what workers are to serve by."""
        return self._now.config.version if self._now is not None else self._first[0].version

    async def watch(self) -> None:
        """Take a configuration that has been exchanged, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            if stamp(self._path) != self._file:
                try:
                    await self.reload()
                except Exception:
                    log.exception("reload.defect")

    def reload_soon(self) -> None:
        """Reload as soon as that can be."""
        self._reloads.add(task := asyncio.get_running_loop().create_task(self.reload()))
        task.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[Reload]) -> None:
        self._reloads.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("reload.defect", exc_info=task.exception())

    async def reload(self) -> Reload:
        """Have every worker read the configuration again, unless it has an error: then none does."""
        async with self._reloading:
            self._file = stamp(self._path)
            loaded = await asyncio.to_thread(load, str(self._path))
            problems = [str(problem) for problem in loaded.problems]
            if loaded.config is None or loaded.table is None:
                return self._keep(problems)
            if unshared_ := unshared(loaded.config):
                return self._keep(unshared_)
            if unguarded := self._in_force.unguarded(self._current().config, loaded.config, loaded.table):
                return self._keep(unguarded)
            try:
                doors = self._admin.prepare(loaded.config)
                prepared = await self._prepare(loaded.config, loaded.table, patience=0)
            except (PeopleUnusable, KeysUnusable, KeyUnusable, CertificatesUnusable, LedgerUnusable, OSError) as error:
                return self._keep([str(error)])
            self._use(prepared)
            generation = self._in_force.take(prepared.of_file, prepared.table)
            self._remember(loaded.config)
            self._tell_workers()
            return self._admin.use(loaded.config, doors, problems, generation)

    async def close(self) -> None:
        """Let what is on its way back to VKP end, and close everything."""
        for task in self._reloads:
            task.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)
        await self._in_force.stop()
        if self._returning is not None:
            await self._returning.stop(_FINISH)
        if self._ledger is not None:
            await self._ledger.store.close()
        await self._services.close()

    async def _prepare(self, config: Config, of_file: RouteTable, *, patience: float) -> Prepared:
        """Return what a configuration needs, without using it yet; raises as `start`."""
        # Several workers have no ledger on SQLite: that is for one process.
        keys = None if config.store.startswith("sqlite:") else keys_of(config, self._folder)
        if self._ledger is not None:
            if config.store != self._store:
                raise LedgerUnusable("store: another one needs a restart")
            before = self._now.keys if self._now else None
            await canary_key.agree(self._ledger, _canary(keys), _canary(before), self._clock())
        elif keys is not None:
            await self._open(config, keys, patience)
        table = self._in_force.over(of_file)
        certificates = Certificates(config, self._folder, self._now.certificates if self._now else None)
        service = vkp = None
        if keys is not None and table.jft_upstream is not None:
            self._services.check(config, table)
            service = self._services.jft(config, table.jft_upstream, certificates)
            vkp = self._services.vkp(config, table.vkp_upstream, certificates) if table.vkp_upstream else None
        return Prepared(config, of_file, table, certificates, keys, service, vkp)

    def _use(self, prepared: Prepared) -> None:
        """Let people work with what `_prepare` returned."""
        self._now = prepared
        if self._ledger is not None and prepared.keys is not None:
            admin, tokens = self._admin, self._services.tokens(prepared.config.helseid) if prepared.service else None
            admin.ledger.use(self._ledger, prepared.keys, prepared.config)
            admin.rollback.use(self._returning)
            admin.cutovers.use(lambda: self._in_force.layers, tokens.token if tokens else None)

    def _keep(self, problems: list[str]) -> Reload:
        log.error("reload.refused", problems=problems)
        return self._admin.board.refused(problems)

    def _remember(self, config: Config) -> None:
        """Keep the file for a start with `--last-good`."""
        if not remember(self._path, config.version):
            log.warning("reload.not_remembered")

    async def _open(self, config: Config, keys: Keys, patience: float) -> None:
        ledger = Ledger(await open_ledger(config, self._folder, patience=patience), node_name(), self._clock)
        try:
            await canary_key.agree(ledger, keys.canary, None, self._clock())
            await self._in_force.begin(ledger)
        except BaseException:
            await ledger.store.close()
            raise
        self._ledger, self._store = ledger, config.store
        self._returning = Returner(ledger, self._returned, self._clock)

    def _current(self) -> Prepared:
        if self._now is None:
            raise RuntimeError("work before there is a configuration")
        return self._now

    def _returned(self) -> ReturnContext | None:
        now = self._current()
        if now.keys is None or now.service is None:
            return None
        return ReturnContext(now.config, self._in_force.table, now.keys, now.service, now.vkp)


def _canary(keys: Keys | None) -> bytes | None:
    return keys.canary if keys is not None else None
