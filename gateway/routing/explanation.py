"""Why a message got its route: every rule that was considered, with its place."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.config.routes import Route
from gateway.model import Envelope


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
    """Every route in the order of the file; none is chosen when none covers the message."""

    envelope: Envelope
    considered: tuple[Considered, ...]

    @property
    def chosen(self) -> Route | None:
        """The route that decided."""
        return next((one.route for one in self.considered if one.chosen), None)


def consider(routes: Iterable[Route], envelope: Envelope, chosen: Route | None) -> tuple[Considered, ...]:
    """Say of each route why it is `chosen` or not."""
    return tuple(Considered(route, route is chosen, _reason(route, envelope, chosen)) for route in routes)


def _reason(route: Route, envelope: Envelope, chosen: Route | None) -> str:
    if route is chosen:
        return "chosen"
    if (mismatch := _mismatch(route, envelope)) is not None:
        return mismatch
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
    if route.information is None or envelope.information in route.information:
        return None
    if envelope.information is None:
        return "names information, and the message's is not known"
    return "names other information"
