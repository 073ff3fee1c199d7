"""The data port: senders' connections on one side, upstreams' on the other, and what every message becomes in between."""

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Protocol

import structlog
from msgspec.structs import replace

from gateway.config.model import Address
from gateway.model import Account, Body, Handled, Pass, Reply, RequestHead
from gateway.proxy.bounds import USUAL_BOUNDS, Bounds
from gateway.proxy.connection_limits import USUAL_LIMITS, ConnectionCounter, ConnectionLimits, RefusalLog
from gateway.proxy.downstream import DownstreamConnection
from gateway.proxy.downstream_request import DownstreamRequest
from gateway.proxy.forwarder import Forwarder, UpstreamTarget
from gateway.proxy.headers import Framing, reason_of
from gateway.proxy.listener import ConnectionListener, bound
from gateway.proxy.request_parser import BadRequest
from gateway.proxy.tls import ReloadingContext

log = structlog.get_logger()

Recorder = Callable[[Account, int, float], None]

_BACKLOG = 1024
_BEFORE_TRUST = frozenset({401, 413, 429})
"""What is answered where nobody may be known but by an address: no token or a bad one, too much, too often."""
_FIRST_REQUEST = 1.0
"""Seconds that a connection which was just opened gets to send its request when the gateway stops."""
_ACCEPTING_TURNS = 4
"""Turns of the event loop, at most, from a connection that the system has handed over to `opened`."""
_SWEEP = 0.25
"""Seconds between two looks at whether anything takes too long."""
_SLICE, _BETWEEN = 200, 0.02
"""Connections that are looked at in one go, some half a millisecond, and seconds at least between two goes: with many thousands
connected a round takes longer than `_SWEEP`, and the requests of all others wait no longer for it."""


Continuation = Callable[[Body], Handled | Awaitable[Handled]]
"""Returns the answer, or what will be it; called when what came along with the head has been read."""


class Serving(Protocol):
    """What decides about requests; a reload puts another in its place."""

    def begin(self, head: RequestHead) -> Handled | Continuation:
        """Return the answer if it takes neither the body nor any waiting; else what answers when the body is at hand."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What the server needs to send a request on as it is."""

    targets: dict[str, UpstreamTarget]
    """By the name of the upstream."""
    malformed: Callable[[int, str], tuple[Reply, Account]]
    """How bytes that are no HTTP request are told so, given a status and why, and the account of it."""
    limits: ConnectionLimits = USUAL_LIMITS
    """For senders' connections."""


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    """Return a time as HTTP writes it (RFC 9110 section 5.6.7)."""
    return formatdate(second, usegmt=True).encode("ascii")


class Server:
    """Listens for senders; each request is served by whatever `current` returns at that moment."""

    def __init__(
        self, current: Callable[[], tuple[Serving, Lane]], record: Recorder, bounds: Bounds = USUAL_BOUNDS
    ) -> None:
        self._current = current
        self._record = record
        self.bounds = bounds
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._listener: ConnectionListener | None = None
        self._counter = ConnectionCounter()
        self._refusals = RefusalLog(self.now)
        self._senders: set[DownstreamConnection] = set()
        self._forwarders: set[Forwarder] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._round: list[DownstreamConnection] = []
        """Those that are still to be looked at in this round."""
        self._swept_at = -math.inf
        """When all that is passed on was looked at last."""
        self._quiet: asyncio.Future[None] | None = None
        self.stopping = False

    async def start(
        self,
        address: Address,
        *,
        reuse_port: bool = False,
        proxy_protocol: bool = False,
        tls: Callable[[], ReloadingContext] | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> int:
        """Listen on `address`, with `tls` over TLS; return the port, which the system chose when it was 0.

        `sockets` listen already and are used instead: who opened them keeps them open, and with them the connections that
        nobody has accepted yet. With `reuse_port` other processes may listen on the same address; with
        `proxy_protocol` balancers say whose connections they bring.
        """
        listening = list(sockets) or bound(address, _BACKLOG, reuse_port=reuse_port)
        self._listener = ConnectionListener(self, tls, proxy_protocol=proxy_protocol)
        self._listener.start(listening)
        self._sweep()
        return int(listening[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, let requests in flight finish, and cut what is not done in time."""
        self.stopping = True
        if self._listener is not None:
            self._listener.close()
        for _ in range(_ACCEPTING_TURNS):
            await asyncio.sleep(0)
        self._close_idle(self._loop.time() - _FIRST_REQUEST)
        last = self._loop.call_later(_FIRST_REQUEST, self._close_idle, math.inf)
        self._quiet = self._loop.create_future()
        self._notice_quiet()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet, self.bounds.grace)
        last.cancel()
        for sender in list(self._senders):
            sender.abort()
        if self._listener is not None:
            self._listener.end_handshakes(math.inf)
        for task in self._tasks:
            task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _close_idle(self, opened_before: float) -> None:
        """Close connections on which nothing is asked, but leave those that may just be sending their first request."""
        for sender in list(self._senders):
            if sender.is_idle and (sender.first_awaited_since or 0.0) < opened_before:
                sender.close()
        if self._listener is not None:
            self._listener.end_handshakes(opened_before)

    def enter(self, address: str) -> str | None:
        """Count a connection; return what to give back when it ends, or None when there is no room for it."""
        origin = self._counter.enter(address, self._current()[1].limits)
        if origin is None:
            self.refused("connections.refused", address, "too many connections")
        return origin

    def refused(self, event: str, address: str, reason: str) -> None:
        """Tell of a connection that was refused before anything was asked."""
        self._refusals.tell(event, address, reason)

    def is_balancer(self, address: str) -> bool:
        """Tell whether connections from that address are a balancer's."""
        return self._current()[1].limits.is_balancer(address)

    def leave(self, origin: str) -> None:
        """Forget a connection that never became a sender's."""
        self._counter.leave(origin)

    def handshake_ended(self) -> None:
        """Notice that a handshake has ended, one way or the other."""
        self._notice_quiet()

    def sender(self, origin: str | None = None) -> DownstreamConnection:
        """Return what will read a connection; `origin` when it is counted already."""
        return DownstreamConnection(self, origin)

    def opened(self, sender: DownstreamConnection) -> None:
        """Count a sender's connection; close it where there is no room for it."""
        sender.origin = sender.origin or self.enter(sender.peer)
        if sender.origin is None:
            sender.abort()
        else:
            self._senders.add(sender)

    def closed(self, sender: DownstreamConnection) -> None:
        """Forget a sender's connection."""
        self._senders.discard(sender)
        if sender.origin is not None:
            self._counter.leave(sender.origin)
        self._notice_quiet()

    def serve(self, incoming: DownstreamRequest) -> None:
        """Answer a request: at once if that can be, else in a task of its own."""
        serving, lane = self._current()
        try:
            begun = serving.begin(incoming.head)
        except Exception:
            # A sender must never wait for nothing.
            log.exception("proxy.defect")
            incoming.sender.abort()
            return
        if not isinstance(begun, Handled):
            self._loop.call_soon(self._go_on, incoming, begun, lane)
        elif isinstance(begun.answer, Pass):
            self._pass_on(incoming, lane, begun.answer, begun.account)
        else:
            # Not before the bytes that came along have been read: a request that is complete keeps its connection.
            self._loop.call_soon(self._reply, incoming, begun.answer, begun.account)

    def refusal(self, error: BadRequest, sender: DownstreamConnection) -> Reply:
        """Account for bytes that are no request, and say how their sender is told."""
        _, lane = self._current()
        reply, account = lane.malformed(error.status, error.text)
        self._record(replace(account, address=sender.peer), reply.status, 0.0)
        return reply

    def _go_on(self, incoming: DownstreamRequest, begun: Continuation, lane: Lane) -> None:
        try:
            handled = begun(incoming)
            if isinstance(handled, Handled):
                self._done_with(incoming, lane, handled)
            else:
                self._spawn(self._await(incoming, lane, handled))
        except Exception:
            # A sender must never wait for nothing.
            log.exception("proxy.defect")
            incoming.sender.abort()

    async def _await(self, incoming: DownstreamRequest, lane: Lane, handled: Awaitable[Handled]) -> None:
        try:
            self._done_with(incoming, lane, await handled)
        except Exception:
            # A sender must never wait for nothing.
            log.exception("proxy.defect")
            incoming.sender.abort()

    def _done_with(self, incoming: DownstreamRequest, lane: Lane, handled: Handled) -> None:
        if isinstance(handled.answer, Pass):
            self._pass_on(incoming, lane, handled.answer, handled.account)
            incoming.flush()
        else:
            self._reply(incoming, handled.answer, handled.account)

    def _pass_on(self, incoming: DownstreamRequest, lane: Lane, answer: Pass, account: Account) -> None:
        target = lane.targets[answer.upstream]
        forwarder = Forwarder(incoming, target, account, self, answer)
        self._forwarders.add(forwarder)
        forwarder.start()

    def connect(self, forwarder: Forwarder) -> None:
        """Open a connection for a forwarder."""
        self._spawn(forwarder.connect())

    def done(self, forwarder: Forwarder, incoming: DownstreamRequest, account: Account, status: int) -> None:
        """Account for a request that was forwarded."""
        self._forwarders.discard(forwarder)
        self._notice_quiet()
        self._record(account, status, self._loop.time() - incoming.started_at)

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do what is to be done when an upstream has answered; whatever comes of it, the answer stands."""
        try:
            work()
        except Exception:
            log.exception("proxy.defect")

    def _reply(self, incoming: DownstreamRequest, reply: Reply, account: Account) -> None:
        if reply.status in _BEFORE_TRUST:
            account = replace(account, address=incoming.sender.peer)
        status = self.answer(incoming, reply)
        self._record(account, status, self._loop.time() - incoming.started_at)

    def answer(self, incoming: DownstreamRequest, reply: Reply) -> int:
        """Answer a request with what the gateway itself says; return the status."""
        sender = incoming.sender
        if not sender.awaits(incoming):
            return reply.status  # it has left, or was told already
        fields = [
            (b"Date", _date(int(time.time()))),
            *reply.headers,
            (b"Content-Length", b"%d" % len(reply.body)),
        ]
        head = sender.answer_head(incoming, reply.status, reason_of(reply.status), fields, Framing.LENGTH)
        sender.write(head if incoming.head.method == "HEAD" else head + reply.body)
        sender.finish(incoming)
        return reply.status

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._notice_quiet()
        if not task.cancelled() and task.exception() is not None:
            log.error("proxy.defect", exc_info=task.exception())

    def _notice_quiet(self) -> None:
        """Let `stop` go on when nothing is in flight any more."""
        if self._quiet is None or self._quiet.done() or self._senders or self._forwarders or self._tasks:
            return
        if self._listener is None or not self._listener.shakes_hands:
            self._quiet.set_result(None)

    def _sweep(self) -> None:
        self._round = self._round or list(self._senders)
        wait = max(_SWEEP / (1 + len(self._senders) // _SLICE), _BETWEEN)
        self._sweeper = self._loop.call_later(wait, self._sweep)  # first, so that no failure below ends all deadlines
        now = self._loop.time()
        some, self._round = self._round[:_SLICE], self._round[_SLICE:]
        for sender in some:
            if sender in self._senders:
                sender.sweep(now)
        if now < self._swept_at + _SWEEP:
            return
        self._swept_at = now
        for forwarder in list(self._forwarders):
            forwarder.sweep(now)
        self._make_room(now)
        for target in self._current()[1].targets.values():
            target.pool.sweep(now)

    def _make_room(self, now: float) -> None:
        """Cut the requests whose bodies have stalled longest, as many as wait for a connection to the same upstream."""
        for target in self._current()[1].targets.values():
            if wanted := target.pool.waiting:
                stalled = [each for each in self._forwarders if each.has_stalled(target.pool, now)]
                for forwarder in sorted(stalled, key=lambda each: each.body_since)[:wanted]:
                    forwarder.cut_stalled()
