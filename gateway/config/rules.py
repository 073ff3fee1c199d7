"""Rules over the whole of routes.yaml: what the parts, each fine by itself, may not say together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.config import cells, cutover_rules
from gateway.config.parse_parties import Municipalities, Vendors
from gateway.config.parse_plans import NO_PLANS, Plans
from gateway.config.parse_routes import ParsedRoute, Routes
from gateway.config.parse_upstreams import Upstreams
from gateway.config.places import Environment, Place, Problem, Severity
from gateway.config.servers import Grant, JftUpstream
from gateway.routing.buckets import Buckets, Conflict


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a file."""

    environment: Environment | None
    unrecognised_passes: bool | None
    upstreams: Upstreams
    municipalities: Municipalities
    vendors: Vendors
    routes: Routes
    upstreams_place: Place
    plans: Plans = NO_PLANS

    @property
    def every_route(self) -> Iterator[ParsedRoute]:
        """The routes, and those that cutovers set."""
        yield from self.routes.parsed
        for cutover in self.plans.cutovers:
            yield from cutover.routes.parsed


def check(draft: Draft, buckets: Buckets) -> list[Problem]:
    """Return every fault between the parts; `buckets` are those of the draft's routes."""
    facts = _facts(draft)
    found = [
        *(_equally_specific(conflict) for conflict in buckets.conflicts),
        *_vkp_is_there(draft),
        *_nothing_exchanged_is_held(draft),
        *cells.check(facts, buckets, draft.routes),
    ]
    for cutover in draft.plans.cutovers:
        own = Buckets(one.route for one in cutover.routes.parsed)
        found += (_equally_specific(conflict) for conflict in own.conflicts)
        found += cutover_rules.check(facts, cutover, own, buckets, draft.routes)
    return found


def _facts(draft: Draft) -> cells.Facts:
    pairs = tuple(
        (vendor, system) for vendor, systems in (draft.vendors.systems or {}).items() for system in systems or ()
    )
    return cells.Facts(
        draft.environment, tuple(draft.municipalities.known.values()), pairs or ((None, None),), draft.upstreams
    )


def _equally_specific(conflict: Conflict) -> Problem:
    route = conflict.route
    cell = [route.municipality or "every municipality", route.vendor, route.system, conflict.information]
    where = ", ".join(part for part in cell if part)
    text = f"as specific as the route at line {conflict.first.place.line} for {where}"
    return Problem(route.place, Severity.ERROR, text)


def _nothing_exchanged_is_held(draft: Draft) -> Iterable[Problem]:
    """Report what would be held: when it is delivered, its sender's token, which must be exchanged then, has expired."""
    upstreams = draft.upstreams.known.values()
    if not any(isinstance(one, JftUpstream) and one.grant is Grant.TOKEN_EXCHANGE for one in upstreams):
        return
    for one in draft.every_route:
        if one.hold_place is not None:
            text = 'on_outage "hold" is not possible with grant "token_exchange": the sender\'s token expires meanwhile'
            yield Problem(one.hold_place, Severity.ERROR, text)


def _vkp_is_there(draft: Draft) -> Iterable[Problem]:
    if not draft.upstreams.lacks("vkp"):
        return
    legacy = (one.route for one in draft.every_route if one.sound and one.route.mode in cells.BESIDE_VKP)
    if (route := next(legacy, None)) is not None:
        needs = f"the route at line {route.place.line}"
    elif draft.unrecognised_passes:
        needs = '"unrecognised: legacy"'
    else:
        return
    yield Problem(draft.upstreams_place, Severity.ERROR, f"no upstream of kind vkp, which {needs} needs")
