"""`/livez` and `/metrics` on the admin port."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.config.definitions import Address


class AdminPort:
    """Listens for operators' tools on `listen.admin`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=15.0)

    async def start(self, address: Address) -> int:
        """Listen on `address`; return the port, which the system chose when it was 0."""
        await self._runner.setup()
        await web.TCPSite(self._runner, address.host, address.port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
