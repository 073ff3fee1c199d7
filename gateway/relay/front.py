"""The data port's HTTP server, and the only module of the data plane that knows aiohttp.web."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import web  # noqa: TID251 - this is that one front module
from multidict import CIMultiDict

from gateway.config.definitions import Address, VkpUpstream
from gateway.faults import Failure, Fault
from gateway.model import Account, Body, Handled, Headers, Pass, Reply, RequestHead
from gateway.relay import upstream as legacy
from gateway.relay.upstream import UpstreamSilent, UpstreamUnreachable

Handler = Callable[[RequestHead, Body], Awaitable[Handled]]
Recorder = Callable[[Account, int, float], None]

_RETRY_AFTER = 30
_IDLE = 75.0
"""Seconds that a sender's unused connection is kept open."""
_GRACE = 10.0
"""Seconds that requests in flight get to finish when the gateway stops."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What the front needs to send a request on as it is."""

    upstreams: dict[str, VkpUpstream]
    client: aiohttp.ClientSession
    timeout: float
    """Seconds for the whole of request and answer."""
    refused: Callable[[Failure, str], Reply]
    """How a failure is told to a sender; the second argument is the correlation id."""


class _Arriving:
    """A request's body while it arrives; what was read to decide is kept and sent on first."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._kept: list[bytes] = []
        self._ended = not request.body_exists
        self._told_to_continue = request.headers.get("Expect", "").lower() != "100-continue"

    async def read(self, limit: int) -> bytes | None:
        if (self._request.content_length or 0) > limit:
            return None
        size = sum(map(len, self._kept))
        async for chunk in self._arriving():
            self._kept.append(chunk)
            size += len(chunk)
            if size > limit:
                return None
        return b"".join(self._kept)

    async def stream(self) -> AsyncIterator[bytes]:
        """Give the whole body, from its first byte."""
        kept, self._kept = self._kept, []
        for chunk in kept:
            yield chunk
        async for chunk in self._arriving():
            yield chunk

    async def _arriving(self) -> AsyncIterator[bytes]:
        if not self._ended and not self._told_to_continue:
            self._told_to_continue = True
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._request.writer.output_size = 0
        while not self._ended:
            chunk = await self._request.content.readany()
            if chunk:
                yield chunk
            else:
                self._ended = True


class Front:
    """Listens for senders; each request is handled by whatever `current` returns at that moment."""

    def __init__(self, current: Callable[[], tuple[Handler, Lane]], record: Recorder) -> None:
        self._current = current
        self._record = record
        self._server = web.Server(
            self._serve, keepalive_timeout=_IDLE, access_log=None, auto_decompress=False, lingering_time=2.0
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=_GRACE)
        self._site: web.TCPSite | None = None

    async def start(self, address: Address) -> int:
        """Listen on `address`; return the port, which the system chose when it was 0."""
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, address.host, address.port)
        await self._site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening, and let requests in flight finish."""
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.monotonic()
        handle, lane = self._current()
        body = _Arriving(request)
        handled = await handle(_head(request), body)
        account, answer = handled.account, handled.answer
        if isinstance(answer, Pass):
            account, response = await _pass_on(request, body, lane, answer.upstream, account)
        else:
            response = await _reply(request, answer)
        self._record(account, response.status, time.monotonic() - started)
        return response


async def _pass_on(
    request: web.BaseRequest, body: _Arriving, lane: Lane, upstream: str, account: Account
) -> tuple[Account, web.StreamResponse]:
    stream = body.stream() if request.body_exists else None
    try:
        async with legacy.send(lane.client, lane.upstreams[upstream], _head(request), stream, lane.timeout) as received:
            response = web.StreamResponse(
                status=received.status, reason=received.reason, headers=_fields(received.headers)
            )
            try:
                await response.prepare(request)
                async for chunk in received.body:
                    await response.write(chunk)
                await response.write_eof()
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                # Half an answer must not look like a whole one.
                if request.transport is not None:
                    request.transport.abort()
                return replace(account, outcome=Fault.NO_ANSWER.value, diagnostics=type(error).__name__), response
            return account, response
    except UpstreamUnreachable as error:
        failure = Failure(Fault.UNAVAILABLE, f"VKP cannot be reached: {error}", retry_after=_RETRY_AFTER)
    except UpstreamSilent as error:
        failure = Failure(Fault.NO_ANSWER, f"VKP gave no usable answer: {error}")
    failed = replace(account, outcome=failure.fault.value, diagnostics=failure.diagnostics)
    return failed, await _reply(request, lane.refused(failure, account.correlation_id))


def _head(request: web.BaseRequest) -> RequestHead:
    return RequestHead(request.method, request.raw_path, request.raw_headers)


async def _reply(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.Response(status=reply.status, body=reply.body, headers=_fields(reply.headers))
    with suppress(ConnectionError):  # a sender that has gone: what became of its message is recorded all the same
        await response.prepare(request)
        await response.write_eof()
    return response


def _fields(headers: Headers) -> CIMultiDict[str]:
    return CIMultiDict((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in headers)
