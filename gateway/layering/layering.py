"""Keeps what lies over the routes current in one process: a panic on any node holds on every other within a second."""

import asyncio
from collections.abc import Callable

import structlog
from prometheus_client import Gauge
from sqlalchemy import Connection

from gateway.ledger import cutovers, overrides
from gateway.ledger.database import Database, LedgerUnavailable, LedgerUnusable
from gateway.observability.telemetry import REGISTRY
from gateway.routing.layers import NOTHING_ABOVE, Layers

log = structlog.get_logger()

LAYERS_VERSION = Gauge(
    "vkp_gateway_layers_version",
    "Which state of the rules that people set over the routes is in force.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
UNREADABLE = Gauge(
    "vkp_gateway_layers_unreadable",
    "1 while the rules that people set cannot be read, so that those in force stay: an alarm.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
UNAPPLIED = Gauge(
    "vkp_gateway_layers_unapplied",
    "1 while the rules that people set are read and cannot be applied, so that those in force stay: an alarm.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
READ_AT = Gauge(
    "vkp_gateway_layers_read_timestamp_seconds",
    "When it was last seen whether the rules that people set have changed: an alarm when it is a minute ago.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)

_LOOK = 0.25
"""Seconds between two looks at whether something was set."""
_AGAIN = 5.0
"""Seconds until what could not be applied is tried again."""


def layers_of(connection: Connection, now: float) -> Layers:
    """Return what lies over the routes by the ledger."""
    # The version first: what is written between the two is seen at the next look.
    version = overrides.layers_version(connection)
    held = [one.over_routes() for one in overrides.current(connection, now)]
    return Layers([*held, *cutovers.executed(connection)], version, cutovers.planned(connection))


class Layering:
    """Has `apply` called with every state of the rules, from `begin` to `stop`; what fails leaves those in force."""

    def __init__(self, store: Database, clock: Callable[[], float], apply: Callable[[Layers], None]) -> None:
        self._store = store
        self._clock = clock
        self._apply = apply
        self._watching: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._is_readable = True
        self.layers = NOTHING_ABOVE
        """What is in force."""

    async def begin(self) -> None:
        """Apply what holds, and go on watching; raises `LedgerUnusable`: unread, a panic would be undone by a restart."""
        try:
            layers = await self._store.read(lambda each: layers_of(each, self._clock()))
        except LedgerUnavailable as error:
            raise LedgerUnusable(f"store: the rules over the routes cannot be read: {error}") from None
        self._take(layers)
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Watch no longer; what is in force stays."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    async def look(self) -> None:
        """Apply what has changed or ended since the last look; of two looks at once the second waits."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        in_force = self.layers
        try:
            changed = await self._store.read(lambda each: self._changed(each, in_force.version))
        except LedgerUnavailable as error:
            self._tell_unreadable(error)
            changed = None
        else:
            self._tell_readable()
        ended = in_force.ends_next()
        if changed is not None:
            self._take(changed)
        elif ended is not None and ended <= self._clock():
            self._take(in_force.at(self._clock()))

    def _changed(self, connection: Connection, known: int) -> Layers | None:
        """Return what holds now, unless its version is known."""
        return None if overrides.layers_version(connection) == known else layers_of(connection, self._clock())

    def _take(self, layers: Layers) -> None:
        UNAPPLIED.set(1)
        self._apply(layers)
        UNAPPLIED.set(0)
        self.layers = layers
        LAYERS_VERSION.set(layers.version)
        log.info("layers.taken", version=layers.version, rules=len(layers.rules))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self.look()
            except Exception:
                log.exception("layers.defect")
                await asyncio.sleep(_AGAIN)

    def _pause(self) -> float:
        ends = self.layers.ends_next()
        return _LOOK if ends is None else min(_LOOK, max(0.0, ends - self._clock()))

    def _tell_unreadable(self, error: LedgerUnavailable) -> None:
        if self._is_readable:
            log.error("layers.unreadable", reason=str(error))
        self._is_readable = False
        UNREADABLE.set(1)

    def _tell_readable(self) -> None:
        if not self._is_readable:
            log.info("layers.readable_again")
        self._is_readable = True
        UNREADABLE.set(0)
        READ_AT.set(self._clock())
