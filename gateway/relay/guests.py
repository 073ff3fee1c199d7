"""How many connections senders may have: all together, and from one address."""

from collections import Counter
from dataclasses import dataclass

from gateway.observability.telemetry import CONNECTIONS_REFUSED

_PREFIX = 4
"""Groups of an IPv6 address that are one sender's: whoever has one address has all of its /64."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections there may be."""

    connections: int
    from_one_address: int | None
    """None means no bound of its own."""


USUAL_ROOM = Room(20_000, None)


class Guests:
    """The connections that are open or in their handshake, by where they come from."""

    def __init__(self) -> None:
        self._count = 0
        self._by_origin: Counter[str] = Counter()

    def enter(self, address: str, room: Room) -> str | None:
        """Count a connection; return what to give back when it ends, or None when there is no room for it."""
        origin = origin_of(address)
        if self._count >= room.connections:
            CONNECTIONS_REFUSED.labels("all").inc()
            return None
        if room.from_one_address is not None and self._by_origin[origin] >= room.from_one_address:
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
