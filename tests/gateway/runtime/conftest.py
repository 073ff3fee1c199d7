"""Ledgers on both databases, and nodes that keep their layers current."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from gateway.runtime.active_routes import LayerWatcher, read_layers
from gateway.tasks import Intervals
from tests.gateway.ledger.conftest import clock, ledger, ledger_url, other, store
from tests.gateway.migration.overrides.conftest import config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.ledger.database import Database
    from gateway.routing.layers import Layers
    from tests.gateway.ledger.conftest import Clock

__all__ = ["clock", "config", "ledger", "ledger_url", "other", "store"]
_PATIENCE = 120.0
"""Seconds after which a test gives up."""
_OFTEN = Intervals(layers=0.02)


@dataclass
class Node:
    """What a node was told to route by."""

    applied: list[Layers] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    layering: LayerWatcher = field(init=False)

    def apply(self, layers: Layers) -> None:
        """Take what lies over the routes."""
        self.applied.append(layers)
        self.changed.set()

    async def begin(self) -> None:
        """Begin with what holds, and follow it."""
        layers = await read_layers(self.layering._store, self.layering._clock())
        self.apply(layers)
        self.layering.begin(layers)

    @property
    def names(self) -> list[str]:
        """By which people know what holds."""
        return [rule.id for rule in self.applied[-1].rules]

    async def has(self, *names: str) -> None:
        """Wait until exactly these rules are in force."""
        async with asyncio.timeout(_PATIENCE):
            while self.names != list(names):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def node_on(clock: Clock) -> AsyncIterator[Callable[[Database], Node]]:
    """Make nodes, each of which begins when a test says so."""
    nodes: list[Node] = []

    def made(store: Database) -> Node:
        node = Node()
        node.layering = LayerWatcher(store, clock, node.apply, _OFTEN)
        nodes.append(node)
        return node

    yield made
    for node in nodes:
        await node.layering.stop()
