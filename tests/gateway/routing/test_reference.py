"""The fast table against a slow reference that is obviously right."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.config.model import Config
from gateway.model import JOURNALING, MEMBERS, RETRIEVAL, TOPICS, Envelope, Group, Information, Mode, Place, Topic
from gateway.routing.index import Buckets
from gateway.routing.layers import ABOVE, Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import RouteTable

MUNICIPALITIES = st.sampled_from([None, "nordfjell", "sorvik"])
SENDERS = st.sampled_from(
    [(None, None), ("dignio", None), ("dignio", "prevent"), ("dignio", "other"), ("sky", "prevent")]
)
TYPES = st.frozensets(st.sampled_from(Information), max_size=3)
GROUPS = st.sampled_from([frozenset(), JOURNALING, RETRIEVAL])
MODES = st.sampled_from([Mode.LEGACY, Mode.NEW, Mode.CLOSED])
ENDS = (10, 20, 30)
TIMES = (0, *ENDS)
"""One within each span between two ends; a rule does not hold at its end any more."""


@st.composite
def _routes(draw: st.DrawFn) -> list[Route]:
    found = []
    for line in range(1, draw(st.integers(0, 12)) + 1):
        vendor, system = draw(SENDERS)
        types, group = draw(TYPES), draw(GROUPS)
        information = types | group or None
        place = Place("routes.yaml", line, 5)
        mode = draw(MODES)
        found.append(Route(draw(MUNICIPALITIES), vendor, system, information, group - types, mode, None, place))
    return found


@st.composite
def _envelopes(draw: st.DrawFn) -> Envelope:
    vendor, system = draw(SENDERS)
    municipality = draw(st.one_of(MUNICIPALITIES, st.just("elsewhere")))
    asked = Envelope("vkp-r4", municipality, "S", vendor, system, None)
    return _about(asked, draw(st.sampled_from(TOPICS)))


def _about(envelope: Envelope, topic: Topic) -> Envelope:
    """Return a message of a type, or one without a type of a group, or one of which neither is known."""
    if isinstance(topic, Group):
        return structs.replace(envelope, information=None, group=topic)
    return structs.replace(envelope, information=topic, group=None)


def _types(group: Group | None) -> list[Topic]:
    """Return what a message may be about as far as its path says."""
    return [group, *MEMBERS[group]] if group else list(TOPICS)


def _covers(route: Route, envelope: Envelope) -> bool:
    pairs = (
        (route.municipality, envelope.municipality),
        (route.vendor, envelope.vendor),
        (route.system, envelope.system),
    )
    if any(named not in {None, actual} for named, actual in pairs):
        return False
    return route.information is None or _is_named(route, envelope.topic)


def _is_named(route: Route, topic: Topic) -> bool:
    if isinstance(topic, Group):
        return any(each in route.grouped for each in MEMBERS[topic])
    return topic in (route.information or ())


def _rank(route: Route, information: Topic) -> tuple[bool, bool, bool, int]:
    by_group = isinstance(information, Group) or information in route.grouped
    level = 0 if route.information is None else 1 if by_group else 2
    return (route.municipality is not None, route.vendor is not None, route.system is not None, level)


def _reference(routes: list[Route], envelope: Envelope) -> Route | None:
    """Rank every covering route and take the highest; the first of equals."""
    covering = [route for route in routes if _covers(route, envelope)]
    return max(covering, key=lambda route: _rank(route, envelope.topic), default=None)


@settings(deadline=None)
@given(routes=_routes(), envelope=_envelopes())
def test_decide_equals_the_reference(
    routes: list[Route], envelope: Envelope, with_routes: Callable[[Iterable[Route]], Config], now: datetime
) -> None:
    """Whatever the routes are, the six buckets find the highest rank."""
    table = RouteTable.compile(with_routes(routes))
    expected = _reference(routes, envelope)
    assert table.decide(envelope, now).route is expected
    assert table.explain(envelope, now).chosen is expected


@settings(deadline=None)
@given(routes=_routes(), envelope=_envelopes(), group=st.sampled_from([None, *Group]))
def test_what_remains_equals_asking_for_every_type(
    routes: list[Route],
    envelope: Envelope,
    group: Group | None,
    with_routes: Callable[[Iterable[Route]], Config],
    now: datetime,
) -> None:
    """The routes that remain are the winners over the types, and `differs` says whether their modes are one."""
    table = RouteTable.compile(with_routes(routes))
    sender = (envelope.municipality, envelope.vendor, envelope.system)
    decisions = [table.decide(_about(envelope, one), now) for one in _types(group)]
    winners = {id(one.route) for one in decisions if one.route is not None}
    assert {id(route) for route in table.routes_that_remain(*sender, group)} == winners
    assert table.differs(*sender, group) == (len({one.mode for one in decisions}) > 1)


@settings(deadline=None)
@given(routes=_routes())
def test_conflicts_are_the_cells_with_two_highest_ranks(routes: list[Route]) -> None:
    """A conflict names two routes of one rank on one cell, and every such pair's later route is named."""
    conflicts = Buckets(routes).conflicts
    named = {id(conflict.route) for conflict in conflicts}
    for conflict in conflicts:
        assert _rank(conflict.route, conflict.information) == _rank(conflict.first, conflict.information)
        assert conflict.first.place < conflict.route.place
    equal = set()
    for index, later in enumerate(routes):
        for first in routes[:index]:
            same = (first.municipality, first.vendor, first.system) == (later.municipality, later.vendor, later.system)
            both = [cell for cell in TOPICS if all(_names(route, cell) for route in (first, later))]
            if same and any(_rank(first, cell) == _rank(later, cell) for cell in both):
                equal.add(id(later))
    assert named == equal


def _names(route: Route, information: Topic) -> bool:
    return route.information is None if information is None else _is_named(route, information)


@st.composite
def _rules(draw: st.DrawFn) -> list[Rule]:
    """Make rules on few cells, so that many of them meet; in the order in which they were set, equals too."""
    layers, ends = st.sampled_from(ABOVE), st.sampled_from([None, *map(float, ENDS)])
    routes = draw(_routes())
    return [Rule(draw(layers), f"{number}", route, draw(ends)) for number, route in enumerate(routes)]


def _deciding(rules: list[Rule], routes: list[Route], envelope: Envelope, at: float) -> tuple[str | None, Route | None]:
    """Go through the layers; in each, rank what holds then and covers the message, and take the highest."""
    for layer in ABOVE:
        holding = [rule for rule in rules if rule.layer is layer and (rule.until is None or at < rule.until)]
        if (route := _reference([rule.route for rule in holding], envelope)) is not None:
            return next(rule.id for rule in holding if rule.route is route), route
    return None, _reference(routes, envelope)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_VARSEL = Information.VARSEL


def _set(identity: str, until: float | None, *, types: frozenset[Information] | None = None) -> Rule:
    """Make an override of a municipality."""
    place = Place(identity, 0, 0)
    mode = Mode.NEW if types else Mode.CLOSED
    return Rule(Layer.OVERRIDE, identity, Route("nordfjell", None, None, types, frozenset(), mode, None, place), until)


@settings(deadline=None)
@given(rules=_rules(), routes=_routes(), envelope=_envelopes(), at=st.sampled_from(TIMES))
@example(
    rules=[_set("typed", 10, types=frozenset({_VARSEL})), _set("general", None)],
    routes=[],
    envelope=Envelope("vkp-r4", "nordfjell", "S", None, None, _VARSEL),
    at=20,
)
@example(
    rules=[_set("ended", 10), _set("alike", None)],
    routes=[],
    envelope=Envelope("vkp-r4", "nordfjell", "S", None, None, _VARSEL),
    at=10,
)
def test_decide_equals_the_reference_at_any_time(
    rules: list[Rule],
    routes: list[Route],
    envelope: Envelope,
    at: int,
    with_routes: Callable[[Iterable[Route]], Config],
) -> None:
    """Whatever has ended, with or without having been taken away: the next of its layer decides, of its selector first."""
    layers = Layers(rules)
    table = RouteTable.compile(with_routes(routes)).with_layers(layers)
    rule, route = _deciding(rules, routes, envelope, at)
    decision = table.decide(envelope, _at(at))
    assert (decision.rule, decision.route) == (rule, route)
    assert decision.route is route
    assert table.with_layers(layers.at(at)).decide(envelope, _at(at)) == decision
    explanation = table.explain(envelope, _at(at))
    assert explanation.chosen is route
    assert len(explanation.considered) == len(rules) + len(routes)


@settings(deadline=None)
@given(rules=_rules(), routes=_routes(), envelope=_envelopes(), group=st.sampled_from([None, *Group]))
def test_what_remains_is_what_decides_at_some_time(
    rules: list[Rule],
    routes: list[Route],
    envelope: Envelope,
    group: Group | None,
    with_routes: Callable[[Iterable[Route]], Config],
) -> None:
    """A rule that ends leaves room for what lies below; one that does not end hides it. Types differ if they do at any time."""
    table = RouteTable.compile(with_routes(routes)).with_layers(Layers(rules))
    sender = (envelope.municipality, envelope.vendor, envelope.system)
    at = {time: [_deciding(rules, routes, _about(envelope, one), time)[1] for one in _types(group)] for time in TIMES}
    winners = {id(route) for found in at.values() for route in found if route is not None}
    assert {id(route) for route in table.routes_that_remain(*sender, group)} == winners
    modes = [{route.mode if route is not None else None for route in found} for found in at.values()]
    assert table.differs(*sender, group) == any(len(each) > 1 for each in modes)


@settings(deadline=None)
@given(rules=_rules(), envelope=_envelopes())
def test_rules_of_one_cell_are_ranked_alike_for_every_sender(rules: list[Rule], envelope: Envelope) -> None:
    """Asking twice, and by way of what is remembered, changes nothing; every rule on a cell is there once."""
    layers = Layers(rules)
    named = (envelope.municipality, envelope.vendor, envelope.system)
    for information in TOPICS:
        found = [rule.id for rule in layers.on(named, information)]
        asked = _about(envelope, information)
        assert sorted(found) == sorted(rule.id for rule in rules if _covers(rule.route, asked))
        assert [rule.id for rule in layers.on(named, information)] == found
