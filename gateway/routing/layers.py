"""What lies over the routes of the file: panics, overrides, cutovers that were executed; a higher layer wins whatever it names.

And what may still decide for a sender whose message has not been read, with and without them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from gateway.model import TOPICS, Mode, Topic
from gateway.routing.index import MOST_REMEMBERED, Buckets, Selector, selectors
from gateway.routing.route import POLICIES, Route


class Layer(StrEnum):
    """Where a decision comes from, the strongest first."""

    __hash__ = str.__hash__  # as of the model's enumerations

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


IN_FILE = "routes.yaml"
"""By which a panic is known that stands in the file: it is over when the file says so no more."""

Bucket = Mapping[Topic, tuple[Rule, ...]]
"""The rules of one layer with one selector, by information type or group, the most specific first; each that has ended leaves the
cell to the next."""


class Layers:
    """Every rule over the routes of one file, at one moment; never changed. What ends meanwhile does not decide any more."""

    def __init__(self, rules: Iterable[Rule] = (), version: int = 0, planned: Iterable[Route] = ()) -> None:
        self.rules = tuple(rules)
        self.version = version
        """Which state of the shared rules this is."""
        self.planned = tuple(planned)
        """What cutovers are to set that have not switched yet: nothing is decided by it."""
        by_layer = (_buckets(self.of(layer)) for layer in ABOVE)
        self._buckets = tuple(buckets for buckets in by_layer if buckets)
        self._chains: dict[Selector, tuple[Bucket, ...]] = {}

    @property
    def conflicts(self) -> tuple[tuple[Rule, Rule], ...]:
        """Rules of one layer that are equally specific on one cell."""
        by_route = {id(rule.route): rule for rule in self.rules}
        found = (conflict for layer in ABOVE for conflict in Buckets(rule.route for rule in self.of(layer)).conflicts)
        return tuple((by_route[id(one.route)], by_route[id(one.first)]) for one in found)

    def at(self, now: float) -> "Layers":
        """Return what still holds then."""
        holding = tuple(rule for rule in self.rules if rule.holds(now))
        return self if len(holding) == len(self.rules) else Layers(holding, self.version, self.planned)

    def under(self, panics: Iterable[Route]) -> "Layers":
        """Return these below panics of the file, which nobody need write anywhere."""
        rules = (*(Rule(Layer.PANIC, IN_FILE, route) for route in panics), *self.rules)
        return Layers(rules, self.version, self.planned) if len(rules) > len(self.rules) else self

    def ends_next(self) -> float | None:
        """Return when the first rule ends."""
        return min((rule.until for rule in self.rules if rule.until is not None), default=None)

    def of(self, layer: Layer) -> Iterator[Rule]:
        """Return the rules of one layer."""
        return (rule for rule in self.rules if rule.layer is layer)

    def chain(self, named: Selector) -> tuple[Bucket, ...]:
        """Return what may decide for a sender: the strongest layer first, and in a layer the most specific."""
        if (known := self._chains.get(named)) is not None:
            return known
        every = dict.fromkeys(selectors(*named))
        chain = tuple(buckets[one] for buckets in self._buckets for one in every if one in buckets)
        if len(self._chains) < MOST_REMEMBERED:
            self._chains[named] = chain
        return chain

    def on(self, named: Selector, topic: Topic) -> Iterator[Rule]:
        """Return the rules on one cell, the strongest first: the first that holds decides."""
        return (rule for bucket in self.chain(named) for rule in bucket.get(topic, ()))

    def decides(self, named: Selector, topic: Topic, now: float) -> Rule | None:
        """Return the rule that decides for a cell at any time; None where the routes of the file do."""
        for bucket in self.chain(named):
            for rule in bucket.get(topic, ()):
                if rule.until is None or now < rule.until:
                    return rule
        return None


def _buckets(rules: Iterable[Rule]) -> dict[Selector, Bucket]:
    """Sort the rules of one layer by what they name."""
    together: dict[Selector, list[Rule]] = {}
    for rule in rules:
        named = (rule.route.municipality, rule.route.vendor, rule.route.system)
        together.setdefault(named, []).append(rule)
    return {named: _bucket(alike) for named, alike in together.items()}


def _bucket(rules: list[Rule]) -> Bucket:
    """Sort the rules of one selector by their types: one that names a type before a group, and before none."""
    found: dict[Topic, tuple[Rule, ...]] = {}
    for topic in TOPICS:
        levels: tuple[list[Rule], ...] = ([], [], [])
        for rule in rules:
            if rule.route.information is None:
                levels[2].append(rule)
            elif rule.route.names(topic):
                levels[rule.route.names_group_of(topic)].append(rule)
        if ranked := tuple(rule for level in levels for rule in level):
            found[topic] = ranked
    return found


NOTHING_ABOVE = Layers()


_OF_SENDER = frozenset({"share", "always", "never", "sample"})
"""Policies that matter once it is known which patient or which message it is."""

Turns = tuple[tuple[float, Route | None], ...]
"""What decides for one information type, one after the other: each until a time in seconds since the epoch, the last for ever."""


class Remaining(Struct, frozen=True):
    """The routes that may decide for a sender, by what the message turns out to be about."""

    routes: tuple[Route, ...]
    differ: bool
    """Whether it matters at some time which of them does, or a patient must be known."""


def in_turn(rules: Iterable[Rule], route: Route | None) -> Turns:
    """Return what decides for a cell by the `rules` on it, the strongest first, over a `route` of the file.

    A rule that ends no later than a stronger one never decides, nor does anything below a rule that never ends.
    """
    turns: list[tuple[float, Route | None]] = []
    latest = -math.inf
    for rule in rules:
        until = math.inf if rule.until is None else rule.until
        if until > latest:
            turns.append((until, rule.route))
            latest = until
        if latest == math.inf:
            return tuple(turns)
    return (*turns, (math.inf, route))


def remaining(types: Sequence[Turns]) -> Remaining:
    """Return what may decide for some types."""
    every = {id(route): route for turns in types for _, route in turns if route is not None}
    routes = tuple(every.values())
    is_canary = any(route.mode is Mode.CANARY for route in routes)
    ends = {until for turns in types for until, _ in turns}
    return Remaining(routes, is_canary or any(_differ(types, end) for end in ends))


def _differ(types: Sequence[Turns], end: float) -> bool:
    """Tell whether types go different ways just before an end of something."""
    deciding = (next(route for until, route in turns if until >= end) for turns in types)
    return len({_effect(route) for route in deciding}) > 1


def _effect(route: Route | None) -> tuple[object, ...] | None:
    if route is None:
        return None
    return (route.mode, route.text, *(getattr(route, name) for name in POLICIES if name not in _OF_SENDER))
