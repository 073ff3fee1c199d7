"""Which cells a plan touches, and what it does to them; pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from gateway.config.model import Config, Municipality
from gateway.model import GOES_NEW, JOURNALING, Information, Mode
from gateway.routing.diff import Change, Effect, changed_cells, effect_of
from gateway.routing.index import EVERY_INFORMATION, Buckets, winner
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.replay import OfCell
from gateway.routing.route import Route
from gateway.routing.table import RouteTable

Told = TypeVar("Told", bound=OfCell)


class Cells:
    """The cells of a plan's routes, resolved as messages are."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._buckets = Buckets(routes)

    def route(
        self, municipality: str | None, vendor: str | None, system: str | None, information: str | None
    ) -> Route | None:
        """Return the route that decides a cell; None for one that the plan does not touch."""
        known = Information(information) if information in _TYPES else None
        # Counts have an empty text where a message did not say.
        return winner(self._buckets.chain(municipality or None, vendor or None, system or None), known)

    def of(self, told: Iterable[Told]) -> list[Told]:
        """Return what is told of cells that the plan touches."""
        return [
            one for one in told if self.route(one.municipality, one.vendor, one.system, one.information) is not None
        ]

    def may_be(self, told: OfCell) -> bool:
        """Tell whether a message may be of these cells: where VKP answers, its body was perhaps not read."""
        if told.information:
            return self.route(told.municipality, told.vendor, told.system, told.information) is not None
        return bool(self._buckets.chain(told.municipality or None, told.vendor or None, told.system or None))

    @property
    def places(self) -> tuple[str | None, ...]:
        """The municipalities where it changes something; None, alone, where it names none: all, and requests of none."""
        named = {route.municipality for route in self.routes}
        return (None,) if None in named else tuple(sorted(filter(None, named)))

    def municipalities(self, config: Config) -> list[Municipality]:
        """Return the municipalities of a configuration where it changes something."""
        places = self.places
        return [one for one in config.municipalities.values() if None in places or one.key in places]

    def going_new(self, config: Config) -> list[Municipality]:
        """Return those where it sends some message to an information service."""
        named = {route.municipality for route in self.routes if route.mode in GOES_NEW}
        return [one for one in self.municipalities(config) if None in named or one.key in named]


_TYPES = frozenset(each.value for each in Information)


def stricter(config: Config, cells: "Cells") -> list[str]:
    """Say where the plan tolerates less than the rehearsals of the file did: their numbers promise nothing then."""
    found = []
    for rehearsed in (route for route in config.routes if route.mode is Mode.REHEARSE):
        for route in (one for one in cells.routes if one.mode in GOES_NEW and overlap(rehearsed, one)):
            more = [path for path in rehearsed.losses if not _covered(path, route.losses)]
            if more:
                found.append(f"rehearsed with losses that the plan does not tolerate: {', '.join(more)}")
    return list(dict.fromkeys(found))


def _covered(path: str, tolerated: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in tolerated)


def overlap(one: Route, other: Route) -> bool:
    """Tell whether two routes may be about the same cell."""
    named = ((one.municipality, other.municipality), (one.vendor, other.vendor), (one.system, other.system))
    if any(None not in pair and pair[0] != pair[1] for pair in named):
        return False
    return one.information is None or other.information is None or bool(one.information & other.information)


def steps_back(name: str, routes: Sequence[Route], layers: Layers, config: Config, at: float) -> tuple[Change, ...]:
    """Return the cells that a cutover takes back to VKP, all of them or in part, from what the file and other cutovers say.

    What people have set for a while, panics of the file too, is no part of that: it decides before and after.
    """
    others = [rule for rule in layers.of(Layer.CUTOVER) if rule.id != name]
    table = RouteTable.compile(config)
    before, after = Layers(others), Layers([*_rules(name, routes), *others])
    changed = _changes(table.with_these_alone(before), table.with_these_alone(after), config, at)
    return tuple(one for one in changed if _is_back(one))


def decided_otherwise(
    name: str, routes: Sequence[Route], layers: Layers, config: Config, at: float
) -> tuple[Change, ...]:
    """Return the cells of a cutover for which something that says another thing will win.

    That is a panic, of the file too, an override, or what another cutover sets more specifically.
    """
    mine, table = _rules(name, routes), RouteTable.compile(config)
    everything = Layers([*mine, *(rule for rule in layers.rules if (rule.layer, rule.id) != (Layer.CUTOVER, name))])
    changed = _changes(table.with_these_alone(Layers(mine)), table.with_layers(everything), config, at)
    return tuple(one for one in changed if (one.before.layer, one.before.rule) == (Layer.CUTOVER, name))


def changes_of(name: str, routes: Sequence[Route], layers: Layers, config: Config, at: float) -> tuple[Change, ...]:
    """Return the cells that a cutover changes, from what decides them without it; what wins over it leaves them as they are."""
    others = [rule for rule in layers.rules if (rule.layer, rule.id) != (Layer.CUTOVER, name)]
    table = RouteTable.compile(config)
    before, after = Layers(others), Layers([*_rules(name, routes), *others])
    return _changes(table.with_layers(before), table.with_layers(after), config, at)


def _rules(name: str, routes: Sequence[Route]) -> list[Rule]:
    # They stand first: of two that are equally specific the cutover that switched last wins.
    return [Rule(Layer.CUTOVER, name, route) for route in routes]


def _changes(before: RouteTable, after: RouteTable, config: Config, at: float) -> tuple[Change, ...]:
    return changed_cells(before, after, config, config, datetime.fromtimestamp(at, UTC))


def _is_back(change: Change) -> bool:
    effect = effect_of(change.before, change.after)
    opens_to_vkp = effect is Effect.OPENS and change.before.mode is Mode.CLOSED and change.after.new_part == 0
    return effect is Effect.GOES_BACK or opens_to_vkp


def says_the_same(routes: Sequence[Route], below: Buckets, config: Config) -> bool:
    """Tell whether the file says of every cell what a cutover says, so that it is not needed any more."""
    above = Buckets(routes)
    pairs = [(None, None), *((vendor.key, system) for vendor in config.vendors.values() for system in vendor.systems)]
    for municipality in (*(each.key for each in Cells(routes).municipalities(config)), *_strangers(routes)):
        for pair in pairs:
            own, others = above.chain(municipality, *pair), below.chain(municipality, *pair)
            if any(not _alike(winner(own, each), winner(others, each)) for each in EVERY_INFORMATION):
                return False
    return True


def _strangers(routes: Sequence[Route]) -> Iterator[str | None]:
    """Return None, for requests that name no municipality, where a route names none either."""
    if any(route.municipality is None for route in routes):
        yield None


def _alike(above: Route | None, below: Route | None) -> bool:
    """Tell whether what lies above changes nothing."""
    return above is None or (below is not None and above.said == below.said)


def send_back(routes: Sequence[Route], config: Config, since: str) -> list[str]:
    """Return the commands that list what can be sent to VKP after a rollback; nothing is sent by them."""
    found = []
    for route in routes:
        if route.mode not in GOES_NEW or not (route.information is None or route.information & JOURNALING):
            continue
        types = sorted((route.information or frozenset()) & JOURNALING)
        options = [
            ("--vendor", route.vendor),
            ("--system", route.system),
            *(("--information", each.value) for each in types),
        ]
        given = "".join(f" {name} {value}" for name, value in options if value is not None)
        keys = [route.municipality] if route.municipality is not None else list(config.municipalities)
        found += [f"vkp-gateway rollback list --municipality {key}{given} --since {since}" for key in keys]
    return found
