"""Rules for what a cutover sets: those of cells, and that something changes."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.config import cells
from gateway.config.cells import Facts
from gateway.config.parse_plans import ParsedCutover
from gateway.config.parse_routes import Routes
from gateway.config.places import Place, Problem, Severity
from gateway.config.routes import Route
from gateway.model import Information
from gateway.routing.buckets import Buckets, winner

_NOWHERE = Place("", 0, 0)


def check(facts: Facts, cutover: ParsedCutover, own: Buckets, buckets: Buckets, routes: Routes) -> Iterator[Problem]:
    """Return the problems of what a cutover sets; `own` are the buckets of that, `buckets` those of the routes."""
    for municipality in facts.municipalities:
        if not cutover.routes.certain(municipality.key):
            continue
        won = cells.won(municipality, facts, own)
        for one in cutover.routes.parsed:
            if one.route.municipality != municipality.key or not (types := won.get(id(one.route))):
                continue
            yield from cells.judge(facts, municipality, one, types)
            if one.sound and routes.certain(municipality.key) and _says_nothing(facts, one.route, types, own, buckets):
                text = f"the routes already say what cutover {cutover.name} sets here"
                yield Problem(one.route.place, Severity.WARNING, text)


def _says_nothing(facts: Facts, route: Route, types: set[Information], own: Buckets, buckets: Buckets) -> bool:
    """Tell whether the routes say the same of every cell that `route` wins."""
    for pair in facts.pairs:
        above, below = own.chain(route.municipality, *pair), buckets.chain(route.municipality, *pair)
        for information in types:
            if winner(above, information) is route and not _alike(route, winner(below, information)):
                return False
    return True


def _alike(route: Route, other: Route | None) -> bool:
    """Tell whether two routes say the same, wherever they stand and whatever they name."""
    if other is None:
        return False
    return _said(route) == _said(other)


def _said(route: Route) -> Route:
    return replace(
        route, municipality=None, vendor=None, system=None, information=None, grouped=frozenset(), place=_NOWHERE
    )
