"""Pages that are kept up to date: their regions are sent again as they change, as server-sent events; static/live.js shows them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from aiohttp_sse import sse_response

from gateway.admin.bounds import Bounds
from gateway.admin.guard import HEADERS
from gateway.admin.problems import Problem

BOUNDS = web.AppKey("bounds", Bounds)
"""How often streams look, and how long they last, where nothing else is said."""
STOPPING = web.AppKey("stopping", asyncio.Event)
"""Set when the port stops, so that no stream holds it up."""


async def stream(
    request: web.Request,
    regions: Callable[[], Awaitable[Mapping[str, str]]],
    every: float | None = None,
    lasts: float | None = None,
) -> web.StreamResponse:
    """Answer with the HTML of each region, by its element's id, at first and whenever it has changed.

    `every` and `lasts` are in seconds; None is as the port has it.
    The stream ends early where `regions` raises `Problem`: the page says so, and the browser asks again.
    """
    loop, stopping, usual = asyncio.get_running_loop(), request.app[STOPPING], request.app[BOUNDS]
    every, lasts = usual.look if every is None else every, usual.stream if lasts is None else lasts
    sent: dict[str, str] = {}
    async with sse_response(request, headers=HEADERS) as events:
        ends = loop.time() + lasts
        try:
            while events.is_connected() and not stopping.is_set() and loop.time() < ends:
                for name, html in (await regions()).items():
                    if sent.get(name) != html:
                        sent[name] = html
                        await events.send(msgspec.json.encode({"id": name, "html": html}).decode())
                await _paused(stopping, every)
        except (Problem, ConnectionResetError, TimeoutError):
            pass
    return events


async def _paused(stopping: asyncio.Event, seconds: float) -> None:
    """Wait, but not for a port that stops."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
