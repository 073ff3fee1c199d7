"""One request on its way to an upstream, and its answer on its way back, both streaming, neither changed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import structs

from gateway.config.upstreams import Forwarded, VkpUpstream
from gateway.errors import Failure, Fault
from gateway.model import Account, Afterwards, Headers, Pass, Reply, RequestHead
from gateway.proxy.bounds import Bounds
from gateway.proxy.content_coding import codings_of, decoded
from gateway.proxy.downstream_request import DownstreamRequest
from gateway.proxy.headers import VIA, Framing, chunk, end_to_end, forwarding, last_chunk, request_head, response_head
from gateway.proxy.pool import Pool, Unreachable, UpstreamConnection

_RETRY_AFTER = 30
_PROGRESS = 1024
"""Bytes by which a body that is sent must grow within `Bounds.stalled`, while others wait for its connection."""
_GATHERED = 65_536
"""Bytes that are gathered before they are sent, at most."""


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """Where requests go, and how their failures are told."""

    upstream: VkpUpstream
    pool: Pool
    timeout: float
    """Seconds for the whole of request and answer."""
    refused: Callable[[RequestHead, Failure, str], Reply]
    """How the failure of a request is told to its sender; the last argument is the correlation id."""
    announced: Headers = ()
    """What every answer says beside the upstream's own fields; nothing, unless the configuration asks for it."""


class Callbacks(Protocol):
    """Who runs forwarders."""

    now: Callable[[], float]
    """The event loop's time."""
    bounds: Bounds

    def connect(self, forwarder: "Forwarder") -> None:
        """Run `forwarder.connect` in a task."""

    def answer(self, incoming: DownstreamRequest, reply: Reply) -> int:
        """Answer a request that could not be forwarded; return the status."""

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do what is to be done when the upstream has answered."""

    def done(self, forwarder: "Forwarder", incoming: DownstreamRequest, account: Account, status: int) -> None:
        """Account for a request that was forwarded; `status` is what the sender got, 0 for none."""


class Forwarder:
    """Ties one request to one upstream connection until its answer is complete, or cannot be."""

    def __init__(
        self, incoming: DownstreamRequest, target: UpstreamTarget, account: Account, callbacks: Callbacks, answer: Pass
    ) -> None:
        self._callbacks = callbacks
        self._finishes_alone = answer.finishes_alone
        self._afterwards = answer.afterwards
        self._is_too_large = False
        self._kept, self._answered = bytearray(), bytearray()
        """The body and the answer's, where something is done with them afterwards; given up when they grow too large."""
        self._codings: tuple[bytes, ...] = ()
        """What the upstream has done to its answer's content."""
        self._incoming = incoming
        self._sender = incoming.sender
        self._target = target
        self._account = account
        self._connection: UpstreamConnection | None = None
        self._to_upstream: list[bytes] = []
        self._to_sender: list[bytes] = []
        self._gathered = 0
        self._status = 0
        self._alone = False
        self._over = False
        self._now = callbacks.now
        self._heard_at = self.body_since = self._now()
        self._since_progress = 0

    def start(self) -> None:
        """Use an idle connection, or open a new one."""
        connection = self._target.pool.take(self._name())
        if connection is not None:
            self._bind(connection)
        else:
            self._callbacks.connect(self)

    async def connect(self) -> None:
        """Open a connection and go on with it."""
        try:
            connection = await self._target.pool.connect(self._name())
        except Unreachable as error:
            self._fail(Fault.UNAVAILABLE, f"VKP cannot be reached: {error}", retry_after=_RETRY_AFTER)
            return
        if self._incoming.left and not self._incoming.complete:
            self.sender_gone()
        if self._over:
            self._target.pool.give_back(connection)
            return
        self._bind(connection)
        self.flush()  # a sender that waits for 100 Continue sends nothing that would push the head out
        if self._incoming.left:
            self.sender_gone()

    def sweep(self, now: float) -> None:
        """Give up when the upstream takes too long."""
        if now - self._incoming.started_at > self._target.timeout:
            self._fail(Fault.NO_ANSWER, "VKP took longer than the gateway's limit")
        elif self._incoming.complete and (self._alone or not self._incoming.sender.is_blocked):
            limits = self._target.upstream.connections
            limit = limits.silence if self._status else limits.first_byte
            if now - self._heard_at > limit:
                self._fail(Fault.NO_ANSWER, "VKP has gone silent")

    def has_stalled(self, pool: Pool, now: float) -> bool:
        """Whether it holds a connection of `pool` for a body that its sender does not send."""
        return (
            self._target.pool is pool
            and self._connection is not None
            and not self._incoming.complete
            and self._sender.owes_body
            and now - self.body_since > self._callbacks.bounds.stalled
        )

    def cut_stalled(self) -> None:
        """Give the connection up for others; the upstream has no whole request."""
        self._fail(Fault.SENDER_LEFT, "The request's body stalled while others waited for its connection to VKP")

    # From the sender.

    def request_body(self, data: bytes) -> None:
        """Send a piece of the body on."""
        self._to_upstream.append(chunk(data) if self._incoming.framing is Framing.CHUNKED else data)
        self._gathered += len(data)
        if self._afterwards is not None and not self._is_too_large:
            self._keep(self._kept, data, self._afterwards.limit)
        self._since_progress += len(data)
        if self._since_progress >= _PROGRESS:
            self._since_progress = 0
            self.body_since = self._now()
        if self._gathered > _GATHERED:
            self.flush()

    def _keep(self, pieces: bytearray, data: bytes, limit: int) -> None:
        pieces += data
        if len(pieces) > limit:
            self._is_too_large = True
            self._kept, self._answered = bytearray(), bytearray()

    def request_ended(self, trailers: Headers) -> None:
        """Send the end of the body on."""
        if self._incoming.framing is Framing.CHUNKED:
            self._to_upstream.append(last_chunk(trailers))
        self._heard_at = self._now()
        if self._connection is not None:
            self._connection.request_sent = True

    def sender_gone(self) -> None:
        """Cut a retrieval; let a journaling that was sent completely be finished."""
        if self._over:
            return
        self._alone = True
        if not (self._finishes_alone and self._incoming.complete and self._connection is not None):
            self._end(structs.replace(self._account, outcome=Fault.SENDER_LEFT.value))
            if self._connection is not None:
                self._connection.abandon()
        elif self._connection is not None:
            self._connection.read_paused(paused=False)  # nobody has to keep up any more

    def sender_congested(self, *, congested: bool) -> None:
        """Read the answer no faster than the sender takes it."""
        if self._connection is not None and not self._over:
            self._heard_at = self._now()
            self._connection.read_paused(paused=congested)

    def flush(self) -> None:
        """Send what was gathered, in one piece."""
        if self._to_upstream and self._connection is not None:
            data, self._to_upstream = b"".join(self._to_upstream), []
            self._gathered = 0
            self._connection.write(data)

    # From the upstream.

    def response_informed(self, status: int, reason: bytes, headers: Headers) -> None:
        """Pass an informational answer on, unless it answers what the gateway has answered itself."""
        answered = status == 100 and (self._incoming.told_to_continue or not self._incoming.expects_continue)
        if not self._alone and not answered and self._incoming.version == "1.1":
            self._to_sender.append(response_head(status, reason, end_to_end(headers, Framing.NONE)))

    def response_started(self, status: int, reason: bytes, headers: Headers, framing: Framing) -> None:
        """Pass the answer's head on."""
        self._status = status
        if self._afterwards is not None:
            self._codings = codings_of(headers)
        fields = end_to_end(headers, framing)
        if self._target.upstream.via:
            fields.append(VIA)
        fields.extend(self._target.announced)
        self._to_sender.append(self._sender.answer_head(self._incoming, status, reason, fields, framing))

    def response_body(self, data: bytes) -> None:
        """Pass a piece of the answer on."""
        if self._afterwards is not None and not self._is_too_large:
            self._keep(self._answered, data, self._afterwards.limit)
        self._to_sender.append(self._sender.answer_piece(data))

    def response_ended(self, trailers: Headers) -> None:
        """Pass the end of the answer on, and let both connections go their ways."""
        self._to_sender.append(self._sender.answer_end(trailers))
        self.response_flushed()
        if self._connection is not None:
            self._connection.ended()
        self._end(self._account)
        if not self._alone:
            self._sender.finish(self._incoming)
        if self._afterwards is not None and self._incoming.complete:
            self._do_afterwards(self._afterwards)

    def _do_afterwards(self, after: Afterwards) -> None:
        if not self._is_too_large:
            kept, answered = bytes(self._kept), decoded(bytes(self._answered), self._codings, after.limit)
            self._callbacks.afterwards(partial(after.done, self._account, self._status, kept, answered))
        elif after.too_large is not None:
            self._callbacks.afterwards(partial(after.too_large, self._account, self._status))

    def response_flushed(self) -> None:
        """Send what has come to the sender, in one piece."""
        self._heard_at = self._now()
        data, self._to_sender = b"".join(self._to_sender), []
        if data and not self._alone:
            self._sender.write(data)

    def response_failed(self, reason: str) -> None:
        """End without an answer, or in the middle of one."""
        self._connection = None
        self._fail(Fault.NO_ANSWER, f"VKP gave no usable answer: {reason}")

    def upstream_congested(self, *, congested: bool) -> None:
        """Read the request no faster than the upstream takes it."""
        self.body_since = self._now()
        self._sender.hold(held=congested)

    def _bind(self, connection: UpstreamConnection) -> None:
        incoming = self._incoming
        head = incoming.head
        self._connection = connection
        self.body_since = self._now()
        connection.begin(self, to_head=head.method == "HEAD")
        self._to_upstream.append(request_head(head.method.encode(), head.target.encode(), self._fields()))
        for piece in incoming.pieces:
            self.request_body(piece)
        incoming.pieces = []
        incoming.give_to(self)
        if incoming.complete:
            self.request_ended(incoming.trailers)
            self.flush()

    def _fields(self) -> list[tuple[bytes, bytes]]:
        """Return the request's fields as the upstream gets them."""
        fields = end_to_end(self._incoming.head.headers, self._incoming.framing)
        host = self._target.upstream.host
        if self._incoming.told_to_continue:
            fields = [field for field in fields if field[0].lower() != b"expect"]
        if host is not None:
            fields = [(name, host.encode()) if name.lower() == b"host" else (name, value) for name, value in fields]
        if self._incoming.version == "1.0" and not self._incoming.head.values(b"host"):
            # HTTP/1.0 needs no Host, but goes on as HTTP/1.1, which does (RFC 9112 section 3.2).
            fields.insert(0, (b"Host", (host or urlsplit(self._target.upstream.url).netloc).encode()))
        upstream = self._target.upstream
        if upstream.via or upstream.forwarded is not Forwarded.NONE:
            scheme = b"https" if self._sender.is_encrypted else b"http"
            fields.extend(forwarding(upstream, self._sender.peer, self._incoming.head, scheme))
        return fields

    def _name(self) -> str | None:
        """Return the name that the upstream's certificate must have; None where nothing is encrypted."""
        if not self._target.pool.uses_tls:
            return None
        upstream = self._target.upstream
        if upstream.sni is not None or upstream.host is not None:
            return upstream.sni or upstream.host
        written = self._incoming.head.values(b"host")
        host = written[0].decode("ascii", "replace") if written else ""
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return name or None

    def _fail(self, fault: Fault, diagnostics: str, *, retry_after: int | None = None) -> None:
        if self._over:
            return
        self._over = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()
        account = structs.replace(self._account, outcome=fault.value, diagnostics=diagnostics)
        if self._status and not self._alone:
            # Half an answer must not look like a whole one.
            self._sender.abort()
        elif not self._alone:
            failure = Failure(fault, diagnostics, retry_after=retry_after)
            reply = self._target.refused(self._incoming.head, failure, account.correlation_id)
            self._status = self._callbacks.answer(self._incoming, reply)
        self._let_go(account)

    def _end(self, account: Account) -> None:
        if not self._over:
            self._over = True
            self._let_go(account)

    def _let_go(self, account: Account) -> None:
        """Release the sender, and leave no cycle behind for the collector."""
        self._sender.hold(held=False)
        self._incoming.let_go()
        self._callbacks.done(self, self._incoming, account, self._status)
