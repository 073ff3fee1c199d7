"""Why a message got its route: every rule that was considered, with its place."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model import Envelope
from gateway.routing.layers import Rule
from gateway.routing.route import Route


@dataclass(frozen=True, slots=True)
class Considered:
    """One route and why it won or lost."""

    route: Route
    chosen: bool
    reason: str

    def __str__(self) -> str:
        return f"{self.route.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every rule over the routes, the strongest layer first, then every route in the order of the file.

    None is chosen when none covers the message.
    """

    envelope: Envelope
    considered: tuple[Considered, ...]

    @property
    def chosen(self) -> Route | None:
        """The route that decided."""
        return next((one.route for one in self.considered if one.chosen), None)


def consider(
    routes: Iterable[Route], envelope: Envelope, chosen: Route | None, rules: Iterable[Rule], now: float
) -> tuple[Considered, ...]:
    """Say of each rule over the routes, and of each route, why it is `chosen` or not at `now`, in seconds since the epoch."""
    rules = tuple(rules)
    by = next((rule for rule in rules if rule.route is chosen), None)
    return (
        *(Considered(rule.route, rule.route is chosen, _reason_of_rule(rule, envelope, by, now)) for rule in rules),
        *(Considered(route, route is chosen, _reason(route, envelope, chosen, by)) for route in routes),
    )


def _reason_of_rule(rule: Rule, envelope: Envelope, by: Rule | None, now: float) -> str:
    if rule is by:
        return "chosen"
    if not rule.holds(now):
        return "has ended by then"
    if (mismatch := _mismatch(rule.route, envelope)) is not None:
        return mismatch
    if by is None:
        return "not considered"
    return f"{'less specific than' if rule.layer is by.layer else 'below'} {by.route.place}"


def _reason(route: Route, envelope: Envelope, chosen: Route | None, by: Rule | None) -> str:
    if route is chosen:
        return "chosen"
    if (mismatch := _mismatch(route, envelope)) is not None:
        return mismatch
    if by is not None:
        return f"below {by.route.place}"
    return f"less specific than line {chosen.place.line}" if chosen else "not considered"


def _mismatch(route: Route, envelope: Envelope) -> str | None:
    """Say what the route names and the message has not; None when the route covers the message."""
    selectors = (
        ("municipality", route.municipality, envelope.municipality),
        ("vendor", route.vendor, envelope.vendor),
        ("system", route.system, envelope.system),
    )
    for what, named, actual in selectors:
        if named is not None and named != actual:
            return f"names another {what}" if actual is not None else f"names a {what}, and the request's is not known"
    if route.information is None or route.names(envelope.topic):
        return None
    if envelope.topic is None:
        return "names information, and the message's is not known"
    return "names other information"
