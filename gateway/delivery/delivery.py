"""The delivering part of a node, from start to stop: it outlives the configurations that it works under."""

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.config.model import Config
from gateway.config.upstreams import Follow
from gateway.delivery.backlog import Backlog
from gateway.delivery.dispatch import Dispatch, Dispatched
from gateway.delivery.following import Followed, Following
from gateway.delivery.journaling import Journaling
from gateway.delivery.recorder import Recorder
from gateway.delivery.returning import Returning, ReturnMeans
from gateway.delivery.upkeep import Upkeep
from gateway.ledger.database import Database
from gateway.ledger.key_files import Keys
from gateway.ledger.messages import Ledger
from gateway.routing.table import RouteTable
from gateway.upstreams.jft import JftClient
from gateway.upstreams.vkp import VkpClient

log = structlog.get_logger()

_FINISH = 10.0
"""Seconds that deliveries under way have when the gateway stops."""


@dataclass(frozen=True, slots=True)
class Means:
    """What one configuration delivers with."""

    config: Config
    keys: Keys
    service: JftClient
    follow: Follow
    table: RouteTable
    vkp: VkpClient | None
    """Our own client of VKP, where there is one."""


def node_name() -> str:
    """Return a name that no other process has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


class Delivery:
    """Holds, delivers, follows and clears away on one ledger."""

    def __init__(self, store: Database, clock: Callable[[], float]) -> None:
        self.ledger = Ledger(store, node_name(), clock)
        self._clock = clock
        self._config: Config | None = None
        self._means: Means | None = None
        self._backlog = Backlog()
        self._recorder = Recorder(self.ledger, clock)
        self._dispatch = Dispatch(self.ledger, self._recorder, self._dispatched, clock)
        self._following = Following(self.ledger, self._followed, clock)
        self._upkeep = Upkeep(
            *(self.ledger, self._recorder, self._backlog, self._configured),
            is_served=lambda: self._means is not None,
            clock=clock,
            wake=self._dispatch.wake,
        )
        self.returning = Returning(self.ledger, self._returned, clock)
        self._tasks: list[asyncio.Task[None]] = []

    def use(self, config: Config, means: Means | None) -> None:
        """Begin to work, or go on with another configuration; without means nothing is delivered, and the rest is still done."""
        self._config, self._means = config, means
        if not self._tasks:
            loop = asyncio.get_running_loop()
            works = (self._upkeep.run(), self._dispatch.run(), self._following.run(), self.returning.run())
            self._tasks = [loop.create_task(work) for work in works]
            for task in self._tasks:
                task.add_done_callback(_watched)

    def journaling(self, means: Means) -> Journaling:
        """Return what takes orders under a configuration."""
        return Journaling(
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
        )

    async def finish(self) -> None:
        """Begin nothing more, and finish what is under way, within a limit; what is held stays held."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self._dispatch.finish(_FINISH), self.returning.stop(_FINISH))

    async def close(self) -> None:
        """Close the ledger, when no request needs it any more."""
        await self._recorder.stop()
        await self.ledger.store.close()

    def _configured(self) -> Config:
        if self._config is None:
            raise RuntimeError("work before there is a configuration")
        return self._config

    def _dispatched(self) -> Dispatched | None:
        if (means := self._means) is None:
            return None
        return Dispatched(means.config, means.keys, means.service, means.follow.first)

    def _returned(self) -> ReturnMeans | None:
        if (means := self._means) is None:
            return None
        return ReturnMeans(means.config, means.table, means.keys, means.service, means.vkp)

    def _followed(self) -> Followed | None:
        if (means := self._means) is None:
            return None
        return Followed(means.config, means.service, means.follow)


def _watched(task: "asyncio.Task[None]") -> None:
    """Tell of work that has ended by itself: nothing would be delivered, or cleared away, and nobody would know."""
    if not task.cancelled():
        log.critical("delivery.ended", exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)
