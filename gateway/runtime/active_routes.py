"""Keeps what lies over the routes current in one process: a panic on any node holds on every other within a second."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from prometheus_client import Gauge
from sqlalchemy import Connection

from gateway.config.model import Config
from gateway.errors import StartupError
from gateway.ledger import overrides
from gateway.ledger.database import Database, LedgerUnavailable
from gateway.ledger.layers import layers_of
from gateway.ledger.messages import Ledger
from gateway.migration.scheduler import Scheduler
from gateway.model import Envelope
from gateway.observability.metrics import REGISTRY
from gateway.routing.diff import Change, changed_cells
from gateway.routing.layers import NOTHING_ABOVE, Layer, Layers
from gateway.routing.table import ActiveTable, RouteTable
from gateway.tasks import USUAL, Intervals, Periodic
from gateway.times import Clock

log = structlog.get_logger()

LAYERS_VERSION = Gauge(
    "vkp_gateway_layers_version",
    "Which state of the rules that people set over the routes is in force.",
    registry=REGISTRY,
)
UNREADABLE = Gauge(
    "vkp_gateway_layers_unreadable",
    "1 while the rules that people set cannot be read, so that those in force stay: an alarm.",
    registry=REGISTRY,
)
UNAPPLIED = Gauge(
    "vkp_gateway_layers_unapplied",
    "1 while the rules that people set are read and cannot be applied, so that those in force stay: an alarm.",
    registry=REGISTRY,
)
READ_AT = Gauge(
    "vkp_gateway_layers_read_timestamp_seconds",
    "When it was last seen whether the rules that people set have changed: an alarm when it is a minute ago.",
    registry=REGISTRY,
)
GENERATION = Gauge(
    "vkp_gateway_generation",
    "How many tables of routes the process has taken since it started.",
    registry=REGISTRY,
)

_AGAIN = 5.0
"""Seconds until what could not be applied is tried again."""


async def read_layers(store: Database, now: float) -> Layers:
    """Return what lies over the routes; raises `StartupError`: unread, a panic would be undone by a restart."""
    try:
        return await store.read(lambda each: layers_of(each, now))
    except LedgerUnavailable as error:
        raise StartupError(f"store: the rules over the routes cannot be read: {error}") from None


class LayerWatcher:
    """Has `apply` called with every other state of the rules, from `begin` to `stop`; what fails leaves those in force."""

    def __init__(
        self, store: Database, clock: Clock, apply: Callable[[Layers], None], intervals: Intervals = USUAL
    ) -> None:
        self._store = store
        self._clock = clock
        self._apply = apply
        self._every = intervals.layers
        self._watching = Periodic("layers", self.look, self._pause, at_once=False, again=_AGAIN)
        self._looking = asyncio.Lock()
        self._is_readable = True
        self._read = NOTHING_ABOVE
        self._read_at = 0.0
        """What the ledger had then; a rule of it that has ended holds again where the clock was ahead, and is set back."""
        self.layers = NOTHING_ABOVE
        """What is in force."""

    def begin(self, layers: Layers) -> None:
        """Go on from what `read_layers` returned and is in force already: from now on every change is applied."""
        self._read, self._read_at = layers, self._clock()
        self._tell_taken(layers)
        self._watching.start()

    def soon(self) -> None:
        """Look as soon as can be."""
        self._watching.soon()

    async def stop(self) -> None:
        """Watch no longer; what is in force stays."""
        await self._watching.stop()

    async def look(self) -> None:
        """Apply what has changed or ended since the last look; of two looks at once the second waits."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        now = self._clock()
        # What had ended when it was read is not in it, and holds perhaps, now that it is earlier than then.
        known = self._read.version if now >= self._read_at else None
        try:
            changed = await self._store.read(lambda each: _changed(each, known, now))
        except LedgerUnavailable as error:
            self._tell_unreadable(error)
            changed = None
        else:
            self._tell_readable()
        if changed is not None:
            self._read, self._read_at = changed, now
        holding = self._read.at(now)
        if (holding.version, holding.rules) != (self.layers.version, self.layers.rules):
            self._take(holding)

    def _take(self, layers: Layers) -> None:
        UNAPPLIED.set(1)
        self._apply(layers)
        UNAPPLIED.set(0)
        self._tell_taken(layers)

    def _tell_taken(self, layers: Layers) -> None:
        self.layers = layers
        LAYERS_VERSION.set(layers.version)
        log.info("layers.taken", version=layers.version, rules=len(layers.rules))

    def _pause(self) -> float:
        ends = self.layers.ends_next()
        return self._every if ends is None else min(self._every, max(0.0, ends - self._clock()))

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


def _changed(connection: Connection, known: int | None, now: float) -> Layers | None:
    """Return what holds now, unless its version is known."""
    return None if overrides.layers_version(connection) == known else layers_of(connection, now)


_MOST_TOLD = 20
"""Changes that a refused reload is told of."""


class ActiveRoutes:
    """Which table decides now: the routes of the file that was taken last, under what people set at run time.

    A change of layers puts another table into `active` and makes nothing else anew; `told` is called with the number of each
    table that is taken, and with its layers.
    """

    def __init__(
        self,
        of_file: RouteTable,
        told: Callable[[int, Layers], None],
        clock: Clock,
        intervals: Intervals = USUAL,
    ) -> None:
        self._told = told
        self._intervals = intervals
        self._clock = clock
        self._generation = 0
        """How many tables were taken."""
        self._of_file = of_file
        self.active = ActiveTable(of_file)
        """What the messages of the running configuration read."""
        self._watcher: LayerWatcher | None = None
        self._scheduler: Periodic | None = None

    @property
    def table(self) -> RouteTable:
        """What decides now."""
        return self.active.table

    @property
    def layers(self) -> Layers:
        """What lies over the routes of the file."""
        return self._watcher.layers if self._watcher is not None else NOTHING_ABOVE

    def over(self, of_file: RouteTable, layers: Layers) -> ActiveTable:
        """Return another file's routes under these layers, to be taken next."""
        return ActiveTable(of_file.with_layers(layers, self._generation + 1))

    def take(self, of_file: RouteTable, active: ActiveTable) -> int:
        """Go on with the routes of another file, and with what `over` made of them; return its number."""
        self._of_file, self.active = of_file, active
        return self._taken(active.table.layers)

    def unguarded(self, running: Config, wanted: Config, of_file: RouteTable) -> list[str]:
        """Return the changes of mode that a guarded reload may not make: nobody else has agreed to them.

        Executed cutovers count as routes. What else lies above hides a change and is over one day, so it is no excuse: but an
        override is that says exactly what the file says now. Panics of the file are nothing to agree to, and hide no change.
        """
        if not (running.guard_reload or wanted.guard_reload):
            return []
        now = datetime.fromtimestamp(self._clock(), UTC)
        switched = Layers(self.layers.of(Layer.CUTOVER))
        agreed = of_file.with_these_alone(Layers(self.layers.of(Layer.OVERRIDE)))
        before, after = self._of_file.with_these_alone(switched), of_file.with_these_alone(switched)
        changes = changed_cells(before, after, running, wanted, now)
        told = [
            f"guard_reload: {change}" for change in changes if change.changes_mode and not _says(agreed, change, now)
        ]
        return [*told[:_MOST_TOLD], *(["guard_reload: and more"] if len(told) > _MOST_TOLD else [])]

    def follow(self, ledger: Ledger, layers: Layers, current: Callable[[], Config]) -> None:
        """Follow what people set in a ledger, from layers that are in force, and let its cutovers happen at their times."""
        self._watcher = LayerWatcher(ledger.store, self._clock, self._apply, self._intervals)
        self._watcher.begin(layers)
        # What a cutover of this very process has changed is seen at once.
        scheduler = Scheduler(ledger, current, self._clock, self._watcher.soon)
        self._scheduler = Periodic("cutovers", scheduler.look, self._intervals.cutovers, passing=LedgerUnavailable)
        self._scheduler.start()

    async def stop(self) -> None:
        """Follow nothing any more; what is in force stays."""
        if self._scheduler is not None:
            await self._scheduler.stop()
        if self._watcher is not None:
            await self._watcher.stop()

    def _apply(self, layers: Layers) -> None:
        """From now on every new message follows these layers."""
        self.active.table = self._of_file.with_layers(layers, self._generation + 1)
        self._taken(self.active.table.layers)

    def _taken(self, layers: Layers) -> int:
        self._generation += 1
        GENERATION.set(self._generation)
        self._told(self._generation, layers)
        return self._generation


def _says(agreed: RouteTable, change: Change, now: datetime) -> bool:
    """Tell whether overrides say about every cell of a change what the file says now."""
    cells = [
        agreed.decide(Envelope("", change.municipality, None, change.vendor, change.system, each), now)
        for each in change.information
    ]
    modes = {one.route.mode if one.route is not None and one.layer is Layer.OVERRIDE else None for one in cells}
    return modes == {change.after.mode}
