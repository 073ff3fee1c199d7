"""Routes sorted so that the most specific one for a cell is found by looking at six buckets in order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.model import Information
from gateway.routing.route import Route

Selector = tuple[str | None, str | None, str | None]
"""Municipality, vendor and system that a route names."""

Bucket = Mapping[Information | None, Route]
"""The winner among routes with one selector, by information type; None: the route that names no information."""

Chain = tuple[Bucket, ...]
"""Buckets that may hold a sender's route, the most specific first."""

EVERY_INFORMATION: tuple[Information | None, ...] = (None, *Information)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two routes that are equally specific on one cell."""

    route: Route
    first: Route
    information: Information | None
    """The type of the first such cell; None when both name no information."""


MOST_REMEMBERED = 65_536
"""Chains; a name that no route knows must not fill the memory."""


class Buckets:
    """Every route of a file under its selector."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._buckets: dict[Selector, dict[Information | None, Route]] = {}
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

    def _bucket(self, routes: list[Route]) -> dict[Information | None, Route]:
        general: dict[Information | None, Route] = {}
        grouped: dict[Information | None, Route] = {}
        typed: dict[Information | None, Route] = {}
        pairs: set[tuple[int, int]] = set()
        for route in routes:
            if route.information is None:
                self._claim(general, route, None, pairs)
                continue
            for information in Information:
                if information in route.information:
                    level = grouped if information in route.grouped else typed
                    self._claim(level, route, information, pairs)
        everywhere = dict.fromkeys(EVERY_INFORMATION, general[None]) if general else {}
        return everywhere | grouped | typed

    def _claim(
        self,
        level: dict[Information | None, Route],
        route: Route,
        information: Information | None,
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


def winner(chain: Chain, information: Information | None) -> Route | None:
    """Return the most specific route for one information type, or the one for a message that does not say."""
    for bucket in chain:
        if (route := bucket.get(information)) is not None:
            return route
    return None
