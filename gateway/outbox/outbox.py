"""The delivering part of a node, from start to stop: it outlives the configurations that it works under."""

import asyncio
import os
import secrets
import socket
from pathlib import Path

from gateway.config.model import Config
from gateway.config.upstreams import PitUpstream, PmdUpstream, of_kind
from gateway.errors import StartupError
from gateway.ledger.database import Database
from gateway.ledger.key_files import Keys, load_keys, load_keys_if_any
from gateway.ledger.messages import Ledger
from gateway.ledger.restore import PositionFile
from gateway.model import GOES_NEW, JOURNALING, Information, Mode
from gateway.outbox.context import Backlog, DeliveryContext
from gateway.outbox.dispatcher import Dispatcher
from gateway.outbox.maintenance import Maintenance
from gateway.outbox.recorder import Recorder
from gateway.outbox.returns import Returner
from gateway.outbox.sharing import Sharer
from gateway.outbox.submit import Submitter
from gateway.outbox.tracker import Tracker
from gateway.tasks import USUAL, Intervals
from gateway.times import Clock

_FINISH = 10.0
"""Seconds that deliveries under way have when the gateway stops."""


def node_name() -> str:
    """Return a name that no other process has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


class Outbox:
    """Holds, delivers, follows and clears away on one ledger."""

    def __init__(
        self, store: Database, clock: Clock, intervals: Intervals = USUAL, positions: PositionFile | None = None
    ) -> None:
        self.ledger = Ledger(store, node_name(), clock, intervals.lease)
        self._clock = clock
        self._intervals = intervals
        self._config: Config | None = None
        self._means: DeliveryContext | None = None
        self._backlog = Backlog()
        self._recorder = Recorder(self.ledger, clock, intervals)
        self._dispatch = Dispatcher(self.ledger, self._recorder, self._delivery, clock, intervals)
        self._following = Tracker(self.ledger, self._delivery, clock, intervals)
        self._upkeep = Maintenance(
            *(self.ledger, self._recorder, self._backlog, self._configured),
            is_served=lambda: self._means is not None,
            clock=clock,
            wake=self._dispatch.wake,
            intervals=intervals,
            positions=positions,
        )
        self._sharing = Sharer(self.ledger, self._recorder, self._delivery, clock, intervals)
        self.returning = Returner(self.ledger, self._delivery, clock, intervals)
        self._loops = (
            *self._upkeep.loops,
            *self._sharing.loops,
            self._dispatch.loop,
            self._following.loop,
            self.returning.loop,
        )
        self._is_working = False

    def use(self, config: Config, means: DeliveryContext | None) -> None:
        """Begin to work, or go on with another configuration; without means nothing is delivered, and the rest is still done."""
        self._config, self._means = config, means
        if not self._is_working:
            self._is_working = True
            for loop in self._loops:
                loop.start()

    def journaling(self, means: DeliveryContext) -> Submitter:
        """Return what takes orders under a configuration."""
        return Submitter(
            self.ledger,
            self._recorder,
            self._following,
            means.keys,
            means.service,
            means.config.limits,
            self._backlog,
            means.follow.first,
            self._clock,
            self._dispatch.wake,
            self._intervals.copies,
            of_kind(PmdUpstream, means.config.upstreams.values()),
        )

    async def finish(self) -> None:
        """Begin nothing more, and finish what is under way, within a limit; what is held stays held."""
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        ending = (self._dispatch.finish, self._sharing.finish, self.returning.stop)
        await asyncio.gather(*(end(_FINISH) for end in ending))

    async def close(self) -> None:
        """Close the ledger, when no request needs it any more."""
        await self._recorder.stop()
        await self.ledger.store.close()

    def _configured(self) -> Config:
        if self._config is None:
            raise RuntimeError("work before there is a configuration")
        return self._config

    def _delivery(self) -> DeliveryContext | None:
        return self._means


_COPIED = frozenset({Information.PASIENTINFO, Information.TJENESTER})


def needs_ledger(config: Config) -> bool:
    """Tell whether an information service may answer for any journaling, or a copy of what one has for any retrieval."""
    has_pit = any(isinstance(one, PitUpstream) for one in config.upstreams.values())
    modes = {JOURNALING: GOES_NEW, _COPIED: (*GOES_NEW, Mode.COMPARE) if has_pit else ()}
    return any(
        route.mode in of and (route.information is None or route.information & types)
        for route in config.routes
        for types, of in modes.items()
    )


def keys_of(config: Config, folder: Path) -> Keys | None:
    """Return the keys of the ledger; None where it is not needed and not one of them is there; raises `StartupError`.

    Where there are keys there may be messages that were held before everything went back to VKP. Where nodes share a database,
    a node without keys would follow no panic.
    """
    try:
        keys = load_keys_if_any(config.keys, folder)
        if keys is None and (needs_ledger(config) or not config.store.startswith("sqlite:")):
            return load_keys(config.keys, folder)
    except StartupError as error:
        raise StartupError(f"keys: {error}") from None
    return keys
