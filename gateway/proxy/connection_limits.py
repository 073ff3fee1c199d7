"""How many connections senders may have: all together, and from one address."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

import structlog

from gateway.config.model import Network
from gateway.observability.metrics import CONNECTIONS_REFUSED
from gateway.proxy.bounds import Bounds

log = structlog.get_logger()

TOLD_AGAIN = 60.0
"""Seconds between two lines about the same."""
_PREFIX = 4
"""Groups of an IPv6 address that are one sender's: whoever has one address has all of its /64."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be."""

    connections: int
    from_one_address: int | None
    """None means no bound of its own."""
    balancers: tuple[Network, ...] = ()
    """Through which many senders come from one address: they have no bound of their own."""

    def is_balancer(self, address: str) -> bool:
        """Tell whether connections from that address are a balancer's."""
        if not self.balancers:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self.balancers)


USUAL_LIMITS = ConnectionLimits(20_000, None)


class ConnectionCounter:
    """The connections that are open or in their handshake, by where they come from."""

    def __init__(self) -> None:
        self._count = 0
        self._by_origin: Counter[str] = Counter()

    def enter(self, address: str, limits: ConnectionLimits) -> str | None:
        """Count a connection; return what to give back when it ends, or None when there is no room for it."""
        origin = origin_of(address)
        if self._count >= limits.connections:
            CONNECTIONS_REFUSED.labels("all").inc()
            return None
        bound = None if limits.is_balancer(address) else limits.from_one_address
        if bound is not None and self._by_origin[origin] >= bound:
            CONNECTIONS_REFUSED.labels("address").inc()
            return None
        self._count += 1
        self._by_origin[origin] += 1
        return origin

    def leave(self, origin: str) -> None:
        """Forget a connection."""
        self._count -= 1
        self._by_origin[origin] -= 1
        if not self._by_origin[origin]:
            del self._by_origin[origin]


class RefusalLog:
    """Tells of connections that were refused before anything was asked: of each address once in a while, with how many there were.

    What an attacker does thousands of times is a line a minute, and many attackers are no more lines than are kept here.
    """

    def __init__(self, now: Callable[[], float], *, most_told: int = 1000) -> None:
        """`now` is a clock that is never set back, in seconds."""
        self._now = now
        self._most_told = most_told
        self._told: OrderedDict[tuple[str, str, str], list[float]] = OrderedDict()
        """When each was told last, and how many have come since; the one told longest ago first."""

    def tell(self, event: str, address: str, reason: str) -> None:
        """Take note of one."""
        key, now = (event, address, reason), self._now()
        known = self._told.get(key)
        if known is not None and now - known[0] < TOLD_AGAIN:
            known[1] += 1
            return
        if known is None and len(self._told) >= self._most_told:
            if now - next(iter(self._told.values()))[0] < TOLD_AGAIN:
                return
            self._told.popitem(last=False)
        log.warning(event, address=address, reason=reason, times=1 + int(known[1]) if known is not None else 1)
        self._told[key] = [now, 0]
        self._told.move_to_end(key)


def origin_of(address: str) -> str:
    """Return what addresses of one sender have in common: an IPv4 address, or the first half of an IPv6 address."""
    if ":" not in address:
        return address
    head, _, tail = address.partition("%")[0].lower().partition("::")
    if "." in address:
        return address.rpartition(":")[2]  # an IPv4 address in the form of an IPv6 one
    groups = [group.lstrip("0") for group in head.split(":")] if head else []
    after = tail.split(":") if tail else []
    groups += [""] * (8 - len(groups) - len(after))
    return ":".join([*groups, *(group.lstrip("0") for group in after)][:_PREFIX]) + "::"


@dataclass(slots=True)
class Deadlines:
    """When things last happened on a connection, in the event loop's seconds."""

    last_read: float
    head_since: float | None = None
    blocked_since: float | None = None
    lingers_since: float | None = None

    def read(self, now: float, *, in_head: bool) -> None:
        """Take note that bytes came; `in_head` tells whether a head had begun before them."""
        self.last_read = now
        if not in_head:
            self.head_since = now

    def answered(self, now: float) -> None:
        """Take note that a request was answered: the time for the next begins here."""
        self.last_read = now
        self.head_since = now

    def are_up(self, now: float, bounds: Bounds, *, idle: bool, in_head: bool, waits_for_body: bool) -> bool:
        """Tell whether the sender takes too long over what it is doing."""
        if self.lingers_since is not None:
            return now - self.lingers_since > bounds.linger
        if self.blocked_since is not None and now - self.blocked_since > bounds.silence:
            return True
        if in_head and self.head_since is not None:
            return now - self.head_since > bounds.head
        if waits_for_body:
            return now - self.last_read > bounds.silence
        return idle and now - self.last_read > bounds.idle
