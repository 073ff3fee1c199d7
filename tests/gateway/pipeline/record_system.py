"""A gateway whose municipality Nordfjell has a record system that answers searches itself."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from legacy_stubs.epj import EpjStub
from service_stubs.listening import running
from tests.gateway.world import NORDFJELL, ROUTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

SCOPES = tuple(
    f"nhn:vkp/api/user/{resource}.read"
    for resource in (
        "patient",
        "episodeofcare",
        "careplan",
        "composition",
        "condition",
        "allergyintolerance",
        "medicationstatement",
    )
)
SOLVEIG, TORBJORN = "17834150018", "02763850091"
"""Patients of the doubles: with RT, TA and GPS; with RT and MD."""
CODES = (("ServiceCodes", "rt,ta"),)
OF_EPJ = ROUTES + "  - {municipality: nordfjell, information: [retrieval], mode: epj}\n"


@asynccontextmanager
async def started(
    start: Callable[..., Awaitable[World]], *, mode: str = "", epj: Any = None, auth: str = "", **changes: Any
) -> AsyncIterator[tuple[World, Any]]:
    """Start it; `auth` are other keys of the upstream, `mode` the mode of Nordfjell's searches, `epj` another record system."""
    world = await start(client={"scopes": ["nhn:jft/api", *SCOPES]}, serve=False, **changes)
    async with running(epj or EpjStub(world.helseid.issuer)) as stub:
        routes = changes.get("routes", OF_EPJ.replace("mode: epj", f"mode: {mode}") if mode else OF_EPJ)
        upstream = f'  gerica: {{kind: epj, url: "{stub.url}"{auth}}}\n'
        world.write(upstreams=upstream, epj=", upstream: gerica", routes=routes)
        await world.serve()
        try:
            yield world, stub
        finally:
            await world.stop()


async def search(world: World, resource: str, form: bytes = b"", **options: Any) -> Answer:
    """Search in Nordfjell."""
    options = {"headers": CODES, **options}
    return await world.post(f"/epj/r4/{NORDFJELL}/{resource}/_search", form, **options)


__all__ = ["CODES", "SCOPES", "SOLVEIG", "TORBJORN", "search", "started"]
