"""What lies over the routes of the file: panics, overrides, cutovers that were executed; a higher layer wins whatever it names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.config.routes import Route
from gateway.routing.buckets import Buckets, Chain


class Layer(StrEnum):
    """Where a decision comes from, the strongest first."""

    PANIC = "panic"
    OVERRIDE = "override"
    CUTOVER = "cutover"
    ROUTES = "routes"


ABOVE = (Layer.PANIC, Layer.OVERRIDE, Layer.CUTOVER)


@dataclass(frozen=True, slots=True)
class Rule:
    """One route that was set at run time."""

    layer: Layer
    id: str
    """By which people know the panic, the override or the cutover."""
    route: Route
    until: float | None = None
    """Seconds since the epoch; None: until it is taken back."""

    def holds(self, now: float) -> bool:
        """Tell whether it has not ended yet."""
        return self.until is None or now < self.until


class Layers:
    """Every rule over the routes of one file, at one moment; never changed."""

    def __init__(self, rules: Iterable[Rule] = (), version: int = 0) -> None:
        self.rules = tuple(rules)
        self.version = version
        """Which state of the shared rules this is."""
        self._by_route = {id(rule.route): rule for rule in self.rules}
        self._buckets = tuple(
            Buckets(together) for layer in ABOVE if (together := [rule.route for rule in self.of(layer)])
        )

    @property
    def conflicts(self) -> tuple[tuple[Rule, Rule], ...]:
        """Rules of one layer that are equally specific on one cell."""
        found = (conflict for buckets in self._buckets for conflict in buckets.conflicts)
        return tuple((self._by_route[id(one.route)], self._by_route[id(one.first)]) for one in found)

    def at(self, now: float) -> "Layers":
        """Return what still holds then."""
        return Layers((rule for rule in self.rules if rule.holds(now)), self.version)

    def ends_next(self) -> float | None:
        """Return when the first rule ends."""
        return min((rule.until for rule in self.rules if rule.until is not None), default=None)

    def of(self, layer: Layer) -> Iterator[Rule]:
        """Return the rules of one layer."""
        return (rule for rule in self.rules if rule.layer is layer)

    def chains(self, municipality: str | None, vendor: str | None, system: str | None) -> tuple[Chain, ...]:
        """Return what may decide for a sender, the strongest layer first."""
        return tuple(buckets.chain(municipality, vendor, system) for buckets in self._buckets)

    def rule_of(self, route: Route) -> Rule | None:
        """Return the rule that a route is of; None for a route of the file."""
        return self._by_route.get(id(route))


NOTHING_ABOVE = Layers()
