"""Steps of a cutover that several tests begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ledger import cutovers, overrides
from gateway.migration.cutover import CutoverState
from tests.gateway.migration.cutovers.scene import AT, submitted, with_approval

if TYPE_CHECKING:
    from tests.gateway.migration.cutovers.scene import Site


CELL = {"municipality": "nordfjell", "vendor": "dignio", "system": "prevent", "information": "notat"}


async def layers(site: Site) -> tuple[int, list[str]]:
    """Return the version of what lies over the routes, and the cutovers that do."""
    version = await site.store.read(overrides.layers_version)
    return version, [rule.id for rule in await site.store.read(cutovers.executed)]


async def to_its_time(site: Site) -> None:
    """Add an approved cutover whose gate says yes, and let its time come."""
    await site.rehearsed(200)
    await site.add(with_approval(submitted()))
    site.clock.now = AT


async def switched(site: Site) -> None:
    """Let it switch."""
    await to_its_time(site)
    await site.runner().look()
    assert (await site.get()).state is CutoverState.WATCHING
