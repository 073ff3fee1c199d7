"""The routes in force in one process: those of the file, with what people set over them at run time, and cutovers at their times."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.config.model import Config
from gateway.layering.generations import Generations
from gateway.layering.layering import Layering
from gateway.ledger.messages import Ledger
from gateway.migration.scheduler import Scheduler
from gateway.model import Envelope
from gateway.routing.diff import Change, changed_cells
from gateway.routing.layers import NOTHING_ABOVE, Layer, Layers
from gateway.routing.table import RouteTable

_MOST_TOLD = 20
"""Changes that a refused reload is told of."""


class InForce:
    """Knows the table that decides now; `apply` is called with each new one, and `told` with its number and its layers."""

    def __init__(
        self,
        table: RouteTable,
        apply: Callable[[RouteTable], None],
        told: Callable[[int, Layers], None],
        clock: Callable[[], float],
    ) -> None:
        self._apply = apply
        self._told = told
        self._clock = clock
        self._generations = Generations()
        self._of_file = table
        self.table = table.with_layers(NOTHING_ABOVE, self._generations.next)
        """What decides: the routes of the file with the layers over them."""
        self._layering: Layering | None = None
        self._cutovers: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()

    @property
    def layers(self) -> Layers:
        """What lies over the routes of the file."""
        return self._layering.layers if self._layering is not None else NOTHING_ABOVE

    def over(self, table: RouteTable) -> RouteTable:
        """Return another file's routes with the layers of now over them."""
        return table.with_layers(self.layers, self._generations.next)

    def take(self, of_file: RouteTable, table: RouteTable) -> int:
        """Go on with the routes of another file, and with what was made of them and is in use already; return its number."""
        self._of_file, self.table = of_file, table
        return self._taken(self.layers)

    def unguarded(self, running: Config, wanted: Config, of_file: RouteTable) -> list[str]:
        """Return the changes of mode that a guarded reload may not make: nobody else has agreed to them.

        Executed cutovers count as routes. What else lies above hides a change and is over one day, so it is no excuse: but an
        override is that says exactly what the file says now.
        """
        if not (running.guard_reload or wanted.guard_reload):
            return []
        now = datetime.fromtimestamp(self._clock(), UTC)
        switched = Layers(self.layers.of(Layer.CUTOVER))
        agreed = of_file.with_layers(Layers(self.layers.of(Layer.OVERRIDE)))
        changes = changed_cells(
            self._of_file.with_layers(switched), of_file.with_layers(switched), running, wanted, now
        )
        told = [
            f"guard_reload: {change}" for change in changes if change.changes_mode and not _says(agreed, change, now)
        ]
        return [*told[:_MOST_TOLD], *(["guard_reload: and more"] if len(told) > _MOST_TOLD else [])]

    async def begin(self, ledger: Ledger) -> None:
        """Follow what people set in a ledger; raises `LedgerUnusable`."""
        layering = Layering(ledger.store, self._clock, self._lay)
        await layering.begin()
        self._layering = layering

    def steer(self, ledger: Ledger, current: Callable[[], Config]) -> None:
        """Let the cutovers of a ledger happen at their times."""
        runner = Scheduler(ledger, current, self._clock, self._look)
        self._cutovers = asyncio.get_running_loop().create_task(runner.run())

    async def stop(self) -> None:
        """Follow nothing any more; what is in force stays."""
        tasks = [*self._looks, *([self._cutovers] if self._cutovers is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._layering is not None:
            await self._layering.stop()

    def _lay(self, layers: Layers) -> None:
        """From now on every new message follows these layers."""
        table = self._of_file.with_layers(layers, self._generations.next)
        self._apply(table)
        self.table = table
        self._taken(layers)

    def _taken(self, layers: Layers) -> int:
        generation = self._generations.taken()
        self._told(generation, layers)
        return generation

    def _look(self) -> None:
        """See at once what a cutover of this very process has changed."""
        if self._layering is not None:
            self._looks.add(look := asyncio.get_running_loop().create_task(self._layering.look()))
            look.add_done_callback(self._looks.discard)


def _says(agreed: RouteTable, change: Change, now: datetime) -> bool:
    """Tell whether overrides say about every cell of a change what the file says now."""
    cells = [
        agreed.decide(Envelope("", change.municipality, None, change.vendor, change.system, each), now)
        for each in change.information
    ]
    modes = {one.route.mode if one.route is not None and one.layer is Layer.OVERRIDE else None for one in cells}
    return modes == {change.after.mode}
