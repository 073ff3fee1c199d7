"""`/livez` and `/metrics` on the admin port."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.control.endpoints import Endpoint, Needs


def endpoints(registry: CollectorRegistry) -> list[Endpoint]:
    """Return what tools ask for that look after the process."""

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        Endpoint("GET", "/livez", livez, Needs.nothing()),
        Endpoint("GET", "/metrics", metrics, Needs.view_from_afar()),
    ]
