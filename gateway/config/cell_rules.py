"""Rules that hold for each resolved cell: municipality x vendor x system x one information type."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config.model import Environment, Municipality, Problem, Severity
from gateway.config.read_routes import ParsedRoute, Routes
from gateway.config.read_upstreams import Upstreams
from gateway.config.upstreams import (
    SERVICES,
    OktUpstream,
    PitUpstream,
    PmdUpstream,
    ServiceStatus,
    ServiceUpstream,
    of_kind,
    upstream_for,
)
from gateway.model import JOURNALING, RETRIEVAL, Information, Mode
from gateway.routing.index import Buckets, Chain, winner
from gateway.routing.route import Route

Pair = tuple[str | None, str | None]

_RETRIEVAL_ALONE = (Mode.COMPARE, Mode.EPJ)
"""Modes in which a journaling would be delivered twice, or to whom takes none."""
BESIDE_VKP = (Mode.LEGACY, Mode.REHEARSE, Mode.COMPARE, Mode.CANARY)
"""Modes in which VKP answers some message."""


@dataclass(frozen=True, slots=True)
class CellFacts:
    """What the rules need to know beside the routes."""

    environment: Environment | None
    municipalities: tuple[Municipality, ...]
    pairs: tuple[Pair, ...]
    """Every vendor and system of the file."""
    upstreams: Upstreams


@dataclass(frozen=True, slots=True)
class _Finding:
    severity: Severity
    text: str
    """With `{cell}` where the cell is named."""


def check(facts: CellFacts, buckets: Buckets, routes: Routes) -> Iterator[Problem]:
    """Return each rule's problem once for a route, a municipality and a reason, with all affected types."""
    parsed = {id(one.route): one for one in routes.parsed}
    resolved: dict[tuple[int, ...], dict[int, tuple[Information, ...]]] = {}
    for municipality in facts.municipalities:
        if not routes.certain(municipality.key):
            continue
        won, uncovered = _won(municipality, facts.pairs, buckets, resolved)
        for identity, types in won.items():
            yield from judge(facts, municipality, parsed[identity], types)
        if uncovered:
            yield _uncovered(municipality, uncovered)


def won(municipality: Municipality, facts: CellFacts, buckets: Buckets) -> dict[int, set[Information]]:
    """Return which types each route wins in a municipality, by the route's identity."""
    return _won(municipality, facts.pairs, buckets, {})[0]


def _won(
    municipality: Municipality,
    pairs: tuple[Pair, ...],
    buckets: Buckets,
    resolved: dict[tuple[int, ...], dict[int, tuple[Information, ...]]],
) -> tuple[dict[int, set[Information]], set[Information]]:
    """Return which types each route wins in a municipality, by the route's identity, and which types have no route."""
    chains = {tuple(map(id, chain)): chain for chain in (buckets.chain(municipality.key, *pair) for pair in pairs)}
    won: dict[int, set[Information]] = {}
    for key, chain in chains.items():
        if key not in resolved:
            resolved[key] = _resolve(chain)
        for identity, types in resolved[key].items():
            won.setdefault(identity, set()).update(types)
    return won, won.pop(id(None), set())


def _resolve(chain: Chain) -> dict[int, tuple[Information, ...]]:
    found: dict[int, tuple[Information, ...]] = {}
    for information in Information:
        identity = id(winner(chain, information))
        found[identity] = (*found.get(identity, ()), information)
    return found


def judge(
    facts: CellFacts, municipality: Municipality, parsed: ParsedRoute, types: set[Information]
) -> Iterator[Problem]:
    """Return each problem of a route once for a reason, with the types that it wins and that have it."""
    if not parsed.sound:
        return
    reasons: dict[_Finding, list[Information]] = {}
    for information in Information:
        if information in types and (finding := _finding(facts, municipality, parsed.route, information)):
            reasons.setdefault(finding, []).append(information)
    if Information.MALEDATA in types and (finding := _sharing(facts, municipality, parsed.route)):
        reasons.setdefault(finding, []).append(Information.MALEDATA)
    for finding, affected in reasons.items():
        text = finding.text.replace("{cell}", _cell(municipality, parsed.route, affected))
        yield Problem(parsed.mode_place, finding.severity, text)


def _sharing(facts: CellFacts, municipality: Municipality, route: Route) -> _Finding | None:
    """Return what keeps measurements from being shared as the route says."""
    kind = PmdUpstream.KIND
    if kind not in route.share_with:
        return None
    if facts.upstreams.lacks(kind):
        return _Finding(Severity.ERROR, f"share_with {kind} needs an upstream of kind {kind}: {{cell}}")
    service = of_kind(PmdUpstream, facts.upstreams.known.values())
    if service is None or facts.environment is None:
        return None
    if not is_enough(service.status, facts.environment):
        return _Finding(Severity.ERROR, _status_text(f"share_with {kind}", service, facts.environment))
    if facts.environment is Environment.PRODUCTION and service.scope is None:
        text = f"share_with {kind} needs upstreams.{service.name}.scope in environment production: no access of machines to PMD is documented: {{cell}}"
        return _Finding(Severity.ERROR, text)
    if municipality.kommunenummer is None:
        text = f"share_with {kind} shares nothing of {municipality.key} without its kommunenummer: {{cell}}"
        return _Finding(Severity.WARNING, text)
    return None


def _finding(facts: CellFacts, municipality: Municipality, route: Route, information: Information) -> _Finding | None:
    mode = route.mode
    if mode is Mode.CLOSED:
        return None
    if mode in BESIDE_VKP and municipality.epj.new_generation:
        possible = "only new, closed and for retrieval epj are"
        return _Finding(Severity.ERROR, f"{mode} is not possible where epj.generation is new, {possible}: {{cell}}")
    if mode is Mode.LEGACY:
        return None
    if (mode is Mode.REHEARSE) if information in RETRIEVAL else (mode in _RETRIEVAL_ALONE):
        return _other_group(route, information)
    if information in JOURNALING:
        return _journaling(facts, municipality, mode, information)
    if mode is Mode.EPJ or (mode is Mode.COMPARE and not is_fed(municipality, information)):
        return _record_system(municipality, mode, information)
    return _retrieval(facts, municipality, mode, information)


def _journaling(facts: CellFacts, municipality: Municipality, mode: Mode, information: Information) -> _Finding | None:
    is_delivered, kind = mode is not Mode.REHEARSE, SERVICES[information]
    if is_delivered and kind not in municipality.epj.reads:
        return _Finding(Severity.ERROR, f"{mode} needs {kind} in epj.reads of {municipality.key}: {{cell}}")
    if facts.upstreams.lacks(kind):
        return _Finding(Severity.ERROR, f"{mode} needs an upstream of kind {kind}: {{cell}}")
    return _status(facts, mode, information) if is_delivered else None


def _status(facts: CellFacts, mode: Mode, information: Information) -> _Finding | None:
    service = upstream_for(facts.upstreams.known.values(), information)
    if service is None or facts.environment is None or is_enough(service.status, facts.environment):
        return None
    return _Finding(Severity.ERROR, _status_text(mode.value, service, facts.environment))


def is_fed(municipality: Municipality, information: Information) -> bool:
    """Tell whether the municipality's record system feeds the information service that has a type."""
    return SERVICES.get(information) in municipality.epj.feeds


def _record_system(municipality: Municipality, mode: Mode, information: Information) -> _Finding | None:
    if municipality.epj.upstream is not None:
        return None
    needs = (
        "epj.upstream" if mode is Mode.EPJ or information not in SERVICES else f"{SERVICES[information]} in epj.feeds"
    )
    also = "" if needs == "epj.upstream" or mode is Mode.EPJ else ", or epj.upstream,"
    return _Finding(Severity.ERROR, f"{mode} needs {needs}{also} of {municipality.key}: {{cell}}")


def _retrieval(facts: CellFacts, municipality: Municipality, mode: Mode, information: Information) -> _Finding | None:
    service = SERVICES.get(information)
    if service is None:
        return _Finding(Severity.ERROR, f"{mode} is not possible, there is no information service yet: {{cell}}")
    if service not in municipality.epj.feeds:
        return _Finding(Severity.ERROR, f"{mode} needs {service} in epj.feeds of {municipality.key}: {{cell}}")
    if facts.upstreams.lacks(service):
        return _Finding(Severity.ERROR, f"{mode} needs an upstream of kind {service}: {{cell}}")
    if (finding := _status(facts, mode, information)) is not None:
        return finding
    if information is Information.TJENESTER and (
        facts.upstreams.lacks(PitUpstream.KIND) or PitUpstream.KIND not in municipality.epj.feeds
    ):
        # The sweep of OKT asks about the patients of the copy.
        text = f"{mode} needs pit in epj.feeds of {municipality.key} and an upstream of kind pit, since OKT has no list of patients: {{cell}}"
        return _Finding(Severity.ERROR, text)
    return _services(facts, municipality, mode)


def _services(facts: CellFacts, municipality: Municipality, mode: Mode) -> _Finding | None:
    """Report what tjenstlig behov cannot be told by."""
    known = municipality.services_from
    if known is None:
        text = f"{mode} needs services_from of {municipality.key}, for tjenstlig behov: {{cell}}"
        return _Finding(Severity.ERROR, text)
    if known.file is not None:
        return None
    if facts.upstreams.lacks(OktUpstream.KIND):
        text = f"services_from: okt of {municipality.key} needs an upstream of kind okt: {{cell}}"
        return _Finding(Severity.ERROR, text)
    if (finding := _status(facts, mode, Information.TJENESTER)) is not None or is_fed(
        municipality, Information.TJENESTER
    ):
        return finding
    text = f"services_from: okt of {municipality.key}, whose epj.feeds has no okt: nobody has a need unless others feed it: {{cell}}"
    return _Finding(Severity.WARNING, text)


def _other_group(route: Route, information: Information) -> _Finding:
    group, other = ("retrieval", "journaling") if information in RETRIEVAL else ("journaling", "retrieval")
    remedy = f"; name information: [{other}]" if route.information is None else ""
    return _Finding(Severity.ERROR, f"{route.mode} is not possible for {group}{remedy}: {{cell}}")


def _status_text(what: str, service: ServiceUpstream, environment: Environment) -> str:
    wanted = "production" if environment is Environment.PRODUCTION else "test or production"
    return (
        f"{what} needs a service with status {wanted} in environment {environment}, "
        f"and {service.name} has {service.status}: {{cell}}"
    )


def is_enough(status: ServiceStatus, environment: Environment) -> bool:
    """Tell whether a service with this status may be used in an environment."""
    if environment is Environment.PRODUCTION:
        return status is ServiceStatus.PRODUCTION
    return status is not ServiceStatus.PROTOTYPE


def _uncovered(municipality: Municipality, types: set[Information]) -> Problem:
    missing = _types([each for each in Information if each in types])
    text = f'no route covers {municipality.key}, {missing}; add "- {{mode: legacy}}" or a route of its own'
    return Problem(municipality.place, Severity.ERROR, text)


def _cell(municipality: Municipality, route: Route, types: list[Information]) -> str:
    named = [municipality.key, route.vendor, route.system, _types(types)]
    return ", ".join(part for part in named if part)


def _types(types: list[Information]) -> str:
    return "every type" if len(types) == len(Information) else ", ".join(types)
