"""The compiled routes: which mode and upstream a message gets."""

from datetime import datetime

from msgspec import Struct

from gateway.config.definitions import Config, Municipality, Sender
from gateway.config.routes import Route
from gateway.config.servers import JftUpstream, VkpUpstream
from gateway.model import JOURNALING, MEMBERS, Envelope, Group, Information, Mode
from gateway.routing.buckets import Buckets, Chain, winner
from gateway.routing.explanation import Explanation, consider

_MOST_REMEMBERED = 32_768


class Decision(Struct, frozen=True):
    """The mode and upstream for one message, and the route that says so."""

    mode: Mode | None
    """None when no route covers the message."""
    upstream: str | None
    """The configured name; None when the mode calls no server that this version has a client for."""
    route: Route | None
    information: Information | None


class RouteTable:
    """Everything that is looked up for a message; never changed, so a reload cannot split a message."""

    def __init__(self, config: Config, buckets: Buckets) -> None:
        self._routes = config.routes
        self._buckets = buckets
        self._remaining: dict[tuple[Group | int | None, ...], tuple[Route | None, ...]] = {}
        self._differing: dict[tuple[str | None, str | None, str | None, Group | None], bool] = {}
        upstreams = config.upstreams.values()
        self.vkp_upstream: VkpUpstream | None = next((up for up in upstreams if isinstance(up, VkpUpstream)), None)
        self.jft_upstream: JftUpstream | None = next((up for up in upstreams if isinstance(up, JftUpstream)), None)
        self._vkp_name = self.vkp_upstream.name if self.vkp_upstream else None
        self._jft_name = self.jft_upstream.name if self.jft_upstream else None
        municipalities = config.municipalities.values()
        self._moving = _moving(config)
        self._by_orgnr = {one.orgnr: one for one in municipalities}
        self._by_her_id = {her_id: one for one in municipalities for her_id in one.her_ids}
        self._by_vkp_id = {one.vkp_id: one for one in config.senders if one.vkp_id is not None}
        self._by_sender_her_id = {one.her_id: one for one in config.senders if one.her_id is not None}

    @classmethod
    def compile(cls, config: Config) -> "RouteTable":
        """Build the table of a checked configuration."""
        return cls(config, Buckets(config.routes))

    def decide(self, envelope: Envelope, now: datetime) -> Decision:  # noqa: ARG002 # later layers depend on the time
        """Return the mode and upstream for a message at `now`."""
        chain = self._buckets.chain(envelope.municipality, envelope.vendor, envelope.system)
        information = envelope.information
        if (route := winner(chain, information)) is None:
            return Decision(None, None, None, information)
        return Decision(route.mode, self._upstream(route.mode, information), route, information)

    def explain(self, envelope: Envelope, now: datetime) -> Explanation:
        """Return every route in the order of the file, with why it was chosen or not."""
        return Explanation(envelope, consider(self._routes, envelope, self.decide(envelope, now).route))

    def routes_that_remain(
        self, municipality: str | None, vendor: str | None, system: str | None, group: Group | None = None
    ) -> tuple[Route, ...]:
        """Return every route that may win for a sender once the information type is known, or stays unknown.

        `group` narrows the types when the path or method says so; the route that names no information always counts.
        """
        remaining = self._remain(municipality, vendor, system, group)
        return tuple(route for route in remaining if route is not None)

    def differs(
        self, municipality: str | None, vendor: str | None, system: str | None, group: Group | None = None
    ) -> bool:
        """Tell whether the information type makes a difference, so that the body must be read to know it."""
        named = (municipality, vendor, system, group)
        if (known := self._differing.get(named)) is not None:
            return known
        remaining = self._remain(municipality, vendor, system, group)
        differing = len(remaining) > 1 and len({_effect(route) for route in remaining}) > 1
        if len(self._differing) < _MOST_REMEMBERED:
            self._differing[named] = differing
        return differing

    def is_moving(self, municipality: str | None) -> bool:
        """Tell whether some journaling of a municipality is, or may be, answered by somebody else than VKP."""
        return municipality in self._moving

    def municipality_by_orgnr(self, orgnr: str) -> Municipality | None:
        """Find a municipality by the organisation number in an R4 path."""
        return self._by_orgnr.get(orgnr)

    def municipality_by_her_id(self, her_id: str) -> Municipality | None:
        """Find a municipality by the HER-id in an STU3 path."""
        return self._by_her_id.get(her_id)

    def sender_by_vkp_id(self, vkp_id: str) -> Sender | None:
        """Find a sender by the vkp-id of its token."""
        return self._by_vkp_id.get(vkp_id)

    def sender_by_her_id(self, her_id: str) -> Sender | None:
        """Find a sender by the HER-id of its token."""
        return self._by_sender_her_id.get(her_id)

    def _upstream(self, mode: Mode, information: Information | None) -> str | None:
        if mode is Mode.LEGACY:
            return self._vkp_name
        return self._jft_name if mode is Mode.NEW and information in JOURNALING else None

    def _remain(
        self, municipality: str | None, vendor: str | None, system: str | None, group: Group | None
    ) -> tuple[Route | None, ...]:
        """Return the different winners, None among them when some type has none; senders alike share one entry."""
        chain = self._buckets.chain(municipality, vendor, system)
        key = (group, *map(id, chain))
        if (known := self._remaining.get(key)) is not None:
            return known
        found = _winners(chain, group)
        if len(self._remaining) < _MOST_REMEMBERED:
            self._remaining[key] = found
        return found


def _moving(config: Config) -> frozenset[str]:
    moved = [route for route in config.routes if route.mode is Mode.NEW]
    journaled = [route.municipality for route in moved if route.information is None or route.information & JOURNALING]
    return frozenset(config.municipalities) if None in journaled else frozenset(filter(None, journaled))


def _winners(chain: Chain, group: Group | None) -> tuple[Route | None, ...]:
    types = [None, *(each for each in Information if group is None or each in MEMBERS[group])]
    return tuple({id(route): route for route in (winner(chain, each) for each in types)}.values())


def _effect(route: Route | None) -> tuple[object, ...] | None:
    if route is None:
        return None
    policies = (route.answer, route.on_outage, route.unclear, route.acknowledge_within)
    return (route.mode, route.text, route.losses, *policies)
