"""Routes sorted so that the most specific one for a cell is found by looking at six buckets in order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.model import TOPICS, Group, Information, Topic
from gateway.routing.route import Route

Selector = tuple[str | None, str | None, str | None]
"""Municipality, vendor and system that a route names."""

Bucket = Mapping[Topic, Route]
"""The winner among routes with one selector, by information type or group; None: the route that names no information."""

Chain = tuple[Bucket, ...]
"""Buckets that may hold a sender's route, the most specific first."""


EVERY_INFORMATION: tuple[Information | None, ...] = (None, *Information)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two routes that are equally specific on one cell."""

    route: Route
    first: Route
    information: Topic
    """The type of the first such cell; None when both name no information."""


_TYPES_FIRST: tuple[Topic, ...] = (*Information, *Group)
"""So that a conflict is told by a type."""
MOST_REMEMBERED = 65_536
"""Chains; a name that no route knows must not fill the memory."""


class Buckets:
    """Every route of a file under its selector."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._buckets: dict[Selector, dict[Topic, Route]] = {}
        self._chains: dict[Selector, Chain] = {}
        self.conflicts: list[Conflict] = []
        """One for each pair of routes, in the order of the file; the first of a pair is the one that is used."""
        levels: dict[Selector, list[Route]] = {}
        for route in routes:
            levels.setdefault((route.municipality, route.vendor, route.system), []).append(route)
        for selector, together in levels.items():
            self._buckets[selector] = self._bucket(together)

    def chain(self, municipality: str | None, vendor: str | None, system: str | None) -> Chain:
        """Return the buckets that may hold the route of a sender, the most specific first."""
        named = (municipality, vendor, system)
        if (known := self._chains.get(named)) is not None:
            return known
        get = self._buckets.get
        chain = tuple(bucket for one in selectors(*named) if (bucket := get(one)) is not None)
        if len(self._chains) < MOST_REMEMBERED:
            self._chains[named] = chain
        return chain

    def _bucket(self, routes: list[Route]) -> dict[Topic, Route]:
        general: dict[Topic, Route] = {}
        grouped: dict[Topic, Route] = {}
        typed: dict[Topic, Route] = {}
        pairs: set[tuple[int, int]] = set()
        for route in routes:
            if route.information is None:
                self._claim(general, route, None, pairs)
                continue
            for topic in _TYPES_FIRST:
                if route.names(topic):
                    self._claim(grouped if route.names_group_of(topic) else typed, route, topic, pairs)
        everywhere = dict.fromkeys(TOPICS, general[None]) if general else {}
        return everywhere | grouped | typed

    def _claim(
        self,
        level: dict[Topic, Route],
        route: Route,
        information: Topic,
        pairs: set[tuple[int, int]],
    ) -> None:
        first = level.setdefault(information, route)
        if first is not route and (id(first), id(route)) not in pairs:
            pairs.add((id(first), id(route)))
            self.conflicts.append(Conflict(route, first, information))


def selectors(municipality: str | None, vendor: str | None, system: str | None) -> tuple[Selector, ...]:
    """Return what a route for a sender may name, the most specific first: municipality, then vendor, then system."""
    if vendor is None:
        return ((municipality, None, None), (None, None, None)) if municipality is not None else ((None, None, None),)
    for_all = ((None, vendor, system), (None, vendor, None), (None, None, None))
    if municipality is None:
        return for_all
    return ((municipality, vendor, system), (municipality, vendor, None), (municipality, None, None), *for_all)


def winner(chain: Chain, topic: Topic) -> Route | None:
    """Return the most specific route for one information type, or the one for a message that does not say its own."""
    for bucket in chain:
        if (route := bucket.get(topic)) is not None:
            return route
    return None
