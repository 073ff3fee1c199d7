"""The ledger of an admin port whose process delivers nothing: the supervisor's, beside workers that share one on PostgreSQL."""

import time
from collections.abc import Callable
from pathlib import Path

from gateway.config.definitions import Config
from gateway.control.ledger_desk import LedgerDesk
from gateway.delivery.delivery import node_name
from gateway.delivery.opening import keys_of, opened
from gateway.ledger.keys import Keys
from gateway.ledger.ledger import Ledger
from gateway.ledger.store import LedgerUnusable, Store, open_store


class OwnLedger:
    """Opens a store where a configuration needs one, and keeps it until `close`."""

    def __init__(self, desk: LedgerDesk, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._desk = desk
        self._folder = folder
        self._clock = clock
        self._ledger: Ledger | None = None
        self._store = ""

    async def start(self, config: Config) -> None:
        """Begin with a configuration; raises `KeysUnusable` or `LedgerUnusable`."""
        keys = self._keys(config)
        if keys is not None:
            self._take(await opened(config, self._folder), config)
            self.use(config, keys)

    def prepare(self, config: Config) -> Keys | None:
        """Return what another configuration needs, without using it yet; raises `KeysUnusable` or `LedgerUnusable`."""
        keys = self._keys(config)
        if self._ledger is not None and config.store != self._store:
            raise LedgerUnusable("store: another one needs a restart")
        if keys is not None and self._ledger is None:
            self._take(open_store(config.store, self._folder, patience=0), config)
        return keys

    def use(self, config: Config, keys: Keys | None) -> None:
        """Go on with what `prepare` returned."""
        if self._ledger is not None and keys is not None:
            self._desk.use(self._ledger, keys, config)

    async def close(self) -> None:
        """Close the store."""
        if self._ledger is not None:
            await self._ledger.store.close()

    def _take(self, store: Store, config: Config) -> None:
        self._ledger = Ledger(store, node_name(), self._clock)
        self._store = config.store

    def _keys(self, config: Config) -> Keys | None:
        """Return the keys; None where several workers have no ledger: SQLite is for one process."""
        return None if config.store.startswith("sqlite:") else keys_of(config, self._folder)
