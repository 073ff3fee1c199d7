"""The compiled routes: which mode and upstream a message gets."""

from datetime import datetime

from msgspec import Struct

from gateway.model import GOES_NEW, JOURNALING, MEMBERS, PASSING, Envelope, Group, Information, Mode, Topic
from gateway.routing.explain import Explanation, consider
from gateway.routing.index import MOST_REMEMBERED, Buckets, Selector, winner
from gateway.routing.layers import ABOVE, NOTHING_ABOVE, Layer, Layers, Remaining, in_turn, remaining
from gateway.routing.route import Route, RoutedConfig


class Decision(Struct, frozen=True):
    """The mode and upstream for one message, and the route that says so."""

    mode: Mode | None
    """None when no route covers the message; of a canary, the side that the message is on."""
    upstream: str | None
    """The configured name; None when the mode calls no server that this version has a client for."""
    route: Route | None
    information: Information | None
    layer: Layer = Layer.ROUTES
    rule: str | None = None
    """The name of the panic, override or cutover that decided; None where a route of the file did."""
    generation: int = 0
    """The number of the table that decided."""

    @property
    def is_canary(self) -> bool:
        """Whether a canary decided, so that it matters who the patient is."""
        return self.route is not None and self.route.mode is Mode.CANARY


class RouteTable:
    """The routes of a configuration under what people set; never changed, so a reload cannot split a message."""

    def __init__(
        self,
        config: RoutedConfig,
        buckets: Buckets,
        layers: Layers = NOTHING_ABOVE,
        generation: int = 0,
        *,
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        """`most_remembered` bounds the answers that are kept of each kind."""
        self._most_remembered = most_remembered
        self._config = config
        self._routes = config.routes
        self._buckets = buckets
        self.layers = layers
        self.generation = generation
        """Which table of its process it is; 0 where it is in use nowhere."""
        self._remaining: dict[tuple[Group | int | None, ...], Remaining] = {}
        self._differing: dict[tuple[str | None, str | None, str | None, Group | None], bool] = {}
        self.vkp = config.vkp.name if config.vkp is not None else None
        """The name of the upstream that is legacy VKP; None where it is not configured."""
        answering = {each: config.upstream_for(each) for each in Information}
        self._services = {each: one.name for each, one in answering.items() if one is not None}
        found = {each: config.epj_of(each) for each in config.municipalities}
        self._record_systems = {each: one.name for each, one in found.items() if one is not None}
        self._everywhere: dict[tuple[str | None, str | None, Group], frozenset[Mode]] = {}
        self._moving = _moving(config, layers)

    @classmethod
    def compile(cls, config: RoutedConfig, buckets: Buckets | None = None) -> "RouteTable":
        """Build the table of a checked configuration; `buckets` are those of its routes, where they are made already."""
        return cls(config, buckets or Buckets(config.routes), NOTHING_ABOVE.under(config.panics))

    def with_layers(self, layers: Layers, generation: int = 0) -> "RouteTable":
        """Return the table with these rules over its routes and the file's panics over them, and with this number."""
        return self.with_these_alone(layers.under(self._config.panics), generation)

    def with_these_alone(self, layers: Layers, generation: int = 0) -> "RouteTable":
        """Likewise, as if the file had no panics; what the routes say stays compiled."""
        return RouteTable(self._config, self._buckets, layers, generation, most_remembered=self._most_remembered)

    def decide(self, envelope: Envelope, now: datetime) -> Decision:
        """Return the mode and upstream for a message at `now`, which may be any time: a rule that has ended then is none."""
        named, topic = (envelope.municipality, envelope.vendor, envelope.system), envelope.topic
        if self.layers.rules and (rule := self.layers.decides(named, topic, now.timestamp())) is not None:
            return self._by(rule.route, envelope, rule.layer, rule.id)
        if (route := winner(self._buckets.chain(*named), topic)) is None:
            return Decision(None, None, None, envelope.information, generation=self.generation)
        return self._by(route, envelope, Layer.ROUTES, None)

    def deciding(self, municipality: str | None, vendor: str | None, system: str | None) -> tuple[int, ...]:
        """Return what tells senders apart that rules and routes may decide otherwise about, as long as this table is there."""
        named = (municipality, vendor, system)
        return (*map(id, self.layers.chain(named)), -1, *map(id, self._buckets.chain(*named)))

    def placed(self, decision: Decision, envelope: Envelope) -> Decision:
        """Return a canary's decision once it is known where the patient stands; every other decision as it is."""
        if decision.route is None or decision.route.mode is not Mode.CANARY:
            return decision
        return self._by(decision.route, envelope, decision.layer, decision.rule)

    def _by(self, route: Route, envelope: Envelope, layer: Layer, name: str | None) -> Decision:
        mode, information = _side(route, envelope), envelope.information
        upstream = self._upstream(mode, information, envelope.municipality)
        return Decision(mode, upstream, route, information, layer, name, self.generation)

    def explain(self, envelope: Envelope, now: datetime) -> Explanation:
        """Return every rule, the strongest layer first, then every route in the order of the file, with why it was chosen or not."""
        chosen = self.decide(envelope, now).route
        rules = [rule for layer in ABOVE for rule in self.layers.of(layer)]
        return Explanation(envelope, consider(self._routes, envelope, chosen, rules, now.timestamp()))

    def routes_that_remain(
        self, municipality: str | None, vendor: str | None, system: str | None, group: Group | None = None
    ) -> tuple[Route, ...]:
        """Return every route that may win for a sender once the information type is known, or stays unknown.

        `group` narrows the types when the path or method says so; what decides for a message without a type always counts, and
        what lies below a rule that ends, since it may end before the message is decided.
        """
        return self._remain((municipality, vendor, system), group).routes

    def differs(
        self, municipality: str | None, vendor: str | None, system: str | None, group: Group | None = None
    ) -> bool:
        """Tell whether the information type makes a difference, so that the body must be read to know it."""
        named = (municipality, vendor, system, group)
        if (known := self._differing.get(named)) is not None:
            return known
        differs = self._remain((municipality, vendor, system), group).differ
        if len(self._differing) < self._most_remembered:
            self._differing[named] = differs
        return differs

    def asks_for_patients(
        self, municipality: str | None, vendor: str | None, system: str | None, group: Group | None = None
    ) -> bool:
        """Tell whether a canary may decide."""
        return any(route.mode is Mode.CANARY for route in self._remain((municipality, vendor, system), group).routes)

    def differs_by_municipality(self, vendor: str | None, system: str | None, group: Group) -> bool:
        """Tell whether it matters which municipality a sender's message is for, so that the body must be read to know it."""
        return bool(self._moving) or not self._modes_everywhere(vendor, system, group) <= {Mode.LEGACY}

    def passes_everywhere(self, vendor: str | None, system: str | None, group: Group) -> bool:
        """Tell whether VKP answers a sender's messages whatever municipality and type they are of."""
        return self._modes_everywhere(vendor, system, group) <= PASSING

    def _modes_everywhere(self, vendor: str | None, system: str | None, group: Group) -> frozenset[Mode]:
        """Return the modes of every route that may decide for a sender, whichever municipality its message is for."""
        named = (vendor, system, group)
        if (known := self._everywhere.get(named)) is not None:
            return known
        every = (None, *self._config.municipalities)
        found = frozenset(route.mode for one in every for route in self.routes_that_remain(one, vendor, system, group))
        if len(self._everywhere) < self._most_remembered:
            self._everywhere[named] = found
        return found

    def is_moving(self, municipality: str | None) -> bool:
        """Tell whether some journaling of a municipality is, or may be, answered by somebody else than VKP."""
        return municipality in self._moving

    def upstream_for(self, information: Information | None) -> str | None:
        """Return the name of the information service that answers for a type; None where none does."""
        return self._services.get(information) if information is not None else None

    def _upstream(self, mode: Mode, information: Information | None, municipality: str | None) -> str | None:
        if mode in PASSING:
            return self.vkp
        if mode is Mode.EPJ:
            return self._record_systems.get(municipality or "")
        return self.upstream_for(information) if mode is Mode.NEW else None

    def _remain(self, named: Selector, group: Group | None) -> Remaining:
        """Return what may decide; senders alike share one entry."""
        above, below = self.layers.chain(named), self._buckets.chain(*named)
        key = (group, *map(id, above), *map(id, below))
        if (known := self._remaining.get(key)) is not None:
            return known
        # What has no type goes by the route that names its group, or none.
        topics: list[Topic] = [None, *Group, *Information] if group is None else [group, *sorted(MEMBERS[group])]
        found = remaining([in_turn(self.layers.on(named, each), winner(below, each)) for each in topics])
        if len(self._remaining) < self._most_remembered:
            self._remaining[key] = found
        return found


class ActiveTable:
    """Holds the table that decides now for one configuration; each message reads it once, when it begins.

    A change of layers puts another table in its place and touches nothing else. A reload makes another holder, so that a
    message never meets the table of a configuration that it did not begin with.
    """

    __slots__ = ("table",)

    def __init__(self, table: RouteTable) -> None:
        self.table = table


def _side(route: Route, envelope: Envelope) -> Mode:
    """Return the mode of a message: a canary takes over a share of the patients, and leaves who has no usable number."""
    if route.mode is not Mode.CANARY:
        return route.mode
    if envelope.sender in route.never:
        return Mode.LEGACY
    share = 1.0 if envelope.sender in route.always else route.share or 0.0
    return Mode.NEW if envelope.share is not None and envelope.share < share else Mode.LEGACY


def _moving(config: RoutedConfig, layers: Layers) -> frozenset[str]:
    planned = (route for plan in config.cutovers.values() for route in plan.routes)
    above = (rule.route for rule in layers.rules)
    every = (*config.routes, *planned, *above, *layers.planned)
    moved = [route for route in every if route.mode in GOES_NEW]
    journaled = [route.municipality for route in moved if route.information is None or route.information & JOURNALING]
    return frozenset(config.municipalities) if None in journaled else frozenset(filter(None, journaled))
