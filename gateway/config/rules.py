"""Rules over the whole of routes.yaml: what the parts, each fine by itself, may not say together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.config import cell_rules
from gateway.config.cell_rules import CellFacts
from gateway.config.model import Environment, Listen, Problem, Severity
from gateway.config.read_cutovers import NO_PLANS, ParsedCutover, Plans
from gateway.config.read_parties import Municipalities, Vendors
from gateway.config.read_routes import ParsedRoute, Routes
from gateway.config.read_upstreams import Upstreams
from gateway.config.upstreams import EpjUpstream, Grant, JftUpstream, PitUpstream, VkpUpstream, of_kind
from gateway.config.yaml_nodes import quoted
from gateway.model import Information, Mode, Place
from gateway.routing.index import Buckets, Conflict, winner
from gateway.routing.route import Route
from translators.services import WITHOUT_IPLOS


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
    panics: tuple[ParsedRoute, ...] = ()

    @property
    def every_route(self) -> Iterator[ParsedRoute]:
        """The routes, and those that cutovers and panics set."""
        yield from self.routes.parsed
        yield from self.panics
        for cutover in self.plans.cutovers:
            yield from cutover.routes.parsed


def check(draft: Draft, buckets: Buckets) -> list[Problem]:
    """Return every fault between the parts; `buckets` are those of the draft's routes."""
    facts = _facts(draft)
    found = [
        *_record_systems(draft),
        *_local_numbers(draft),
        *_needless(draft),
        *(_equally_specific(conflict) for conflict in buckets.conflicts),
        *check_cells(draft, buckets),
    ]
    for cutover in draft.plans.cutovers:
        own = Buckets(one.route for one in cutover.routes.parsed)
        found += (_equally_specific(conflict) for conflict in own.conflicts)
        found += check_cutovers(facts, cutover, own, buckets, draft.routes)
    return found


def check_shared(listen: Listen, store: str, draft: Draft) -> list[Problem]:
    """Report what several processes cannot do without a ledger that they share: anything that VKP does not answer."""
    if not listen.reuse_port or not store.startswith("sqlite:"):
        return []
    moved = (one.route for one in draft.every_route if one.route.mode is not Mode.LEGACY)
    text = "mode {} with listen.reuse_port needs a postgresql store: several processes cannot share a SQLite file"
    return [Problem(route.place, Severity.ERROR, text.format(route.mode)) for route in moved]


def check_cells(draft: Draft, buckets: Buckets) -> Iterator[Problem]:
    """Return what the routes say that cannot be done in some cell, or with the upstreams."""
    yield from _vkp_is_there(draft)
    yield from _nothing_exchanged_is_held(draft)
    yield from cell_rules.check(_facts(draft), buckets, draft.routes)


def _facts(draft: Draft) -> cell_rules.CellFacts:
    pairs = tuple(
        (vendor, system) for vendor, systems in (draft.vendors.systems or {}).items() for system in systems or ()
    )
    return cell_rules.CellFacts(
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


def _record_systems(draft: Draft) -> Iterator[Problem]:
    """Report municipalities whose record system is no upstream of its kind."""
    known = {name: one.KIND for name, one in draft.upstreams.known.items()}
    for municipality in draft.municipalities.known.values():
        name, place = municipality.epj.upstream, municipality.epj.upstream_place
        if name is None or place is None or known.get(name) == EpjUpstream.KIND:
            continue
        if name in known:
            yield Problem(place, Severity.ERROR, f"upstream {name} is of kind {known[name]}, and not epj")
        elif draft.upstreams.clear:
            yield Problem(place, Severity.ERROR, f"unknown upstream {quoted(name)}")


def _local_numbers(draft: Draft) -> Iterator[Problem]:
    """Say of numbers of a record system's own what those who are asked for them do not document."""
    vkp = of_kind(VkpUpstream, draft.upstreams.known.values())
    for municipality in draft.municipalities.known.values():
        for system, resolver in municipality.resolvers.items():
            what = f"patient_ids of {municipality.key}, {quoted(system)}: resolve: {resolver}"
            if resolver == "pit" and PitUpstream.KIND not in municipality.epj.feeds:
                yield Problem(municipality.place, Severity.ERROR, f"{what} needs pit in epj.feeds")
            elif resolver == "vkp" and vkp is not None and vkp.client_for(municipality.key, None) is None:
                text = f"{what} needs a client of the municipality's own, without a vendor, in {vkp.name}.clients"
                yield Problem(municipality.place, Severity.ERROR, text)
            else:
                text = f"{what}: no search by such numbers is documented, so they are learnt from lists of patients"
                yield Problem(municipality.place, Severity.WARNING, f"{text}, and others are refused")


def _needless(draft: Draft) -> Iterator[Problem]:
    """Say who can have no need by OKT, since none of a sender's ServiceCodes has an IPLOS code, and which patterns say nothing."""
    for municipality in draft.municipalities.known.values():
        source = municipality.services_from
        if source is None or source.file is not None:
            continue
        if municipality.partner_profile:
            text = f"partner_profile of {municipality.key} says nothing to OKT, which has no service levels"
            yield Problem(municipality.place, Severity.WARNING, text)
        for sender in draft.vendors.senders:
            codes = {code.upper() for code in sender.service_codes}
            if sender.serves(municipality.key) and codes and codes <= WITHOUT_IPLOS:
                text = (
                    f"{sender.key} can have no need by OKT, which has no IPLOS code for {' and '.join(sorted(codes))}"
                )
                yield Problem(source.place, Severity.WARNING, f"{text}; a file can name who has such a service")


def _vkp_is_there(draft: Draft) -> Iterable[Problem]:
    if not draft.upstreams.lacks(VkpUpstream.KIND):
        return
    legacy = (one.route for one in draft.every_route if one.sound and one.route.mode in cell_rules.BESIDE_VKP)
    if (route := next(legacy, None)) is not None:
        needs = f"the route at line {route.place.line}"
    elif draft.unrecognised_passes:
        needs = '"unrecognised: legacy"'
    else:
        return
    yield Problem(draft.upstreams_place, Severity.ERROR, f"no upstream of kind vkp, which {needs} needs")


def check_cutovers(
    facts: CellFacts, cutover: ParsedCutover, own: Buckets, buckets: Buckets, routes: Routes
) -> Iterator[Problem]:
    """Return the problems of what a cutover sets; `own` are the buckets of that, `buckets` those of the routes."""
    for municipality in facts.municipalities:
        if not cutover.routes.certain(municipality.key):
            continue
        won = cell_rules.won(municipality, facts, own)
        for one in cutover.routes.parsed:
            if one.route.municipality != municipality.key or not (types := won.get(id(one.route))):
                continue
            yield from cell_rules.judge(facts, municipality, one, types)
            if one.sound and routes.certain(municipality.key) and _says_nothing(facts, one.route, types, own, buckets):
                text = f"the routes already say what cutover {cutover.name} sets here"
                yield Problem(one.route.place, Severity.WARNING, text)
            if one.sound and cutover.plan is not None and not cutover.plan.step_back:
                yield from _steps_back(facts, one.route, types, own, buckets)


def _steps_back(
    facts: CellFacts, route: Route, types: set[Information], own: Buckets, buckets: Buckets
) -> Iterator[Problem]:
    """Report where a cutover sends less to the new side than the routes do."""
    for pair in facts.pairs:
        above, below = own.chain(route.municipality, *pair), buckets.chain(route.municipality, *pair)
        for information in sorted(types):
            now = winner(below, information)
            if now is None or winner(above, information) is not route or route.mode is Mode.CLOSED:
                continue
            if now.new_part > route.new_part or (now.mode is Mode.CLOSED and not route.new_part):
                text = f'a step back, from {now.mode} to {route.mode}: it needs "step_back: true"'
                yield Problem(route.place, Severity.WARNING, text)
                return


def _says_nothing(facts: CellFacts, route: Route, types: set[Information], own: Buckets, buckets: Buckets) -> bool:
    """Tell whether the routes say the same of every cell that `route` wins."""
    for pair in facts.pairs:
        above, below = own.chain(route.municipality, *pair), buckets.chain(route.municipality, *pair)
        for information in types:
            if winner(above, information) is route and not _alike(route, winner(below, information)):
                return False
    return True


def _alike(route: Route, other: Route | None) -> bool:
    return other is not None and route.said == other.said
