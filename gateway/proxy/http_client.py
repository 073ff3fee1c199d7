"""Calls to an information service over kept connections: one request, one whole answer, never sent twice."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config.upstreams import Connections
from gateway.model import Headers
from gateway.proxy.headers import Framing, request_head
from gateway.proxy.pool import PAUSE, Pool, Unreachable, UpstreamConnection
from gateway.proxy.resolver import USUAL_FRESHNESS, Freshness
from gateway.proxy.tls import ReloadingContext

ANSWER_LIMIT = 256 * 1024
"""Bytes of an answer: a service says where the event is, or what was wrong with it."""
_APART = 64 * 1024
"""Bytes of a body that is written behind its head and not copied to it: a megabyte would take the event loop half a millisecond."""
_MAX_RETRY_AFTER = 3600
CONNECTIONS = Connections(most=256, idle=4.0, age=300.0, connect=5.0, first_byte=80.0, silence=60.0)
"""Bounds towards a service. What is idle goes soon: a request on a connection that the service closes cannot be repeated."""

__all__ = ["ANSWER_LIMIT", "CONNECTIONS", "Answer", "Caller", "KeptConnectionLost", "NoAnswer", "Unreachable"]


class NoAnswer(Exception):  # noqa: N818 - the condition
    """The request, or a part of it, was sent, and no usable answer came: it may have been done all the same."""


class KeptConnectionLost(NoAnswer):
    """The connection had served before, and was lost before a byte of an answer came: most often the server had closed it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes

    def value(self, name: bytes) -> str | None:
        """Return the first value of a field, by its name in lower case; bytes above 0x7F as in Latin-1."""
        return next((value.decode("latin-1") for field, value in self.headers if field.lower() == name), None)

    @property
    def retry_after(self) -> int | None:
        """The seconds that Retry-After asks for, an hour at most; its date form counts as not said."""
        text = (self.value(b"retry-after") or "").strip()
        return min(int(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and len(text) < 10 else None


class Caller:
    """Sends requests to one server."""

    def __init__(  # noqa: PLR0913 - what connections are told by, and two bounds
        self,
        url: str,
        tls: ReloadingContext | None,
        host: str | None = None,
        sni: str | None = None,
        *,
        answer_limit: int = ANSWER_LIMIT,
        pause: float = PAUSE,
        freshness: Freshness = USUAL_FRESHNESS,
    ) -> None:
        """Begin without connections; `host` is the Host that is sent, `sni` the name that the certificate must have.

        `answer_limit` is how many bytes the body of an answer may have, `pause` for how many seconds a server counts as down
        that could not be reached several times, `freshness` for how long addresses of its name are used.
        """
        self._answer_limit = answer_limit
        parts = urlsplit(url)
        self._host = (host or parts.netloc.rpartition("@")[2]).encode("ascii")
        self._name = (sni or (host and _bare(host))) if tls is not None else None
        self._base = parts.path.rstrip("/")
        self._pool = Pool(url, CONNECTIONS, tls, pause=pause, freshness=freshness)

    async def call(self, method: str, path: str, headers: Headers, body: bytes, timeout: float) -> Answer:  # noqa: ASYNC109 - it bounds the connection too
        """Send one request and return its answer; redirects are an answer like any other.

        `timeout` is in seconds. Raises `Unreachable` when nothing was sent or could be read, `NoAnswer` when something was, `ValueError` for a field
        that would be two.
        """
        fields = [(b"Host", self._host), *headers, (b"Content-Length", b"%d" % len(body))]
        if any(b"\r" in value or b"\n" in value for _, value in fields):
            raise ValueError("a field's value has a line break")
        head = request_head(method.encode("ascii"), (self._base + path).encode("ascii"), fields)
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        connection = self._pool.take(self._name)
        if connection is None:
            try:
                async with asyncio.timeout_at(until):
                    connection = await self._pool.connect(self._name)
            except TimeoutError:
                raise Unreachable("no connection in time") from None
        waiting = _Waiting(connection, loop.create_future(), self._answer_limit)
        connection.begin(waiting, to_head=method == "HEAD")
        for piece in (head + body,) if len(body) < _APART else (head, body):
            connection.write(piece)
        connection.request_sent = True
        alarm = loop.call_at(until, waiting.give_up, "no answer in time")
        try:
            return await waiting.answer
        finally:
            alarm.cancel()
            waiting.leave()

    def cut_idle(self) -> None:
        """Close what is idle now: the next request has a new connection."""
        self._pool.cut_idle()

    def close(self) -> None:
        """Close what is idle now, and the rest as soon as it is done."""
        self._pool.drain()


def _bare(host: str) -> str:
    """Return a host without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


class _Waiting:
    """Gathers the answer to one request."""

    def __init__(self, connection: UpstreamConnection, answer: "asyncio.Future[Answer]", most: int) -> None:
        self.answer = answer
        self._most = most
        self._connection: UpstreamConnection | None = connection
        self._status = 0
        self._headers: Headers = ()
        self._body = bytearray()

    def response_informed(self, status: int, reason: bytes, headers: Headers) -> None:
        """Take an informational answer; it says nothing that we wait for."""

    def response_started(self, status: int, reason: bytes, headers: Headers, framing: Framing) -> None:  # noqa: ARG002 - as every handler
        """Take the answer's head."""
        self._status, self._headers = status, headers

    def response_body(self, data: bytes) -> None:
        """Take a piece of the answer's body."""
        self._body += data
        if len(self._body) > self._most:
            self.give_up("the answer is too large")

    def response_ended(self, trailers: Headers) -> None:  # noqa: ARG002 - as every handler
        """Take the end of the answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.ended()
        if not self.answer.done():
            self.answer.set_result(Answer(self._status, self._headers, bytes(self._body)))

    def response_failed(self, reason: str) -> None:
        """Take note that the connection is lost."""
        connection = self._connection
        if connection is not None and connection.refuses_certificate:
            self._fail(Unreachable(reason, is_untrusted=True))
        elif connection is not None and connection.has_served and not connection.has_heard:
            self._fail(KeptConnectionLost(reason))
        else:
            self._fail(NoAnswer(reason))

    def give_up(self, reason: str) -> None:
        """Wait no longer."""
        self._fail(NoAnswer(reason))

    def _fail(self, failure: NoAnswer | Unreachable) -> None:
        if not self.answer.done():
            self.answer.set_exception(failure)

    def leave(self) -> None:
        """Cut the connection, unless it is whole and has been given back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()

    def response_flushed(self) -> None:
        """Wait for the whole answer."""

    def upstream_congested(self, *, congested: bool) -> None:
        """Leave the body to the transport: it is bounded already."""
