"""Starting and stopping the stubs: one listener, several in a process, and from a command line until a signal."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol, TypeVar

import click
from aiohttp import web

from service_stubs.behaviour import Behaviour, Mix, Script

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_IDLE_CONNECTION_SECONDS = 75.0
_SHUTDOWN_SECONDS = 0.05


class Stub(Protocol):
    """What can be started, stopped and announced."""

    async def start(self) -> None:
        """Listen."""

    async def stop(self) -> None:
        """Stop at once, also with requests under way."""

    def ready_lines(self) -> Iterable[str]:
        """One line per listener for whoever started the program."""


AnyStub = TypeVar("AnyStub", bound=Stub)


class Listener:
    """One HTTP listener that gives every request, whatever its path, to one handler."""

    def __init__(self, handler: Handler, host: str, port: int, max_body: int) -> None:
        self._handler = handler
        self._host = host
        self._port = port
        self._max_body = max_body
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; port 0 takes a free one and keeps it over a restart."""
        app = web.Application(client_max_size=self._max_body)
        app.router.add_route("*", "/{path:.*}", self._handler)
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_IDLE_CONNECTION_SECONDS,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        await web.TCPSite(runner, self._host, self._port).start()
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Close the listener and its connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The address to call, without a trailing slash."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"


class ScriptedStub:
    """A double with one listener, whose next answers follow a script."""

    _listener: Listener
    _script: Script

    async def start(self) -> None:
        """Listen."""
        await self._listener.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self._listener.stop()

    @property
    def url(self) -> str:
        """The base address, without a trailing slash."""
        return self._listener.url

    def behave(self, behaviour: Behaviour | Mix) -> None:
        """Let the next answers follow `behaviour`, as `POST /stub/behaviour` does."""
        self._script.follow(behaviour)


@asynccontextmanager
async def running(stub: AnyStub) -> AsyncIterator[AnyStub]:
    """Keep a stub running inside this event loop and hand it over, started."""
    await stub.start()
    try:
        yield stub
    finally:
        await stub.stop()


async def serve(stubs: Sequence[Stub]) -> None:
    """Run the stubs until SIGTERM or SIGINT, and say when each is ready."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    async with AsyncExitStack() as stack:
        for stub in stubs:
            try:
                await stack.enter_async_context(running(stub))
            except OSError as error:
                raise click.ClickException(f"cannot listen: {error.strerror}") from error
            for line in stub.ready_lines():
                click.echo(line)
        await stop.wait()
