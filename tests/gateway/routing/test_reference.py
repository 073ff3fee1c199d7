"""The fast table against a slow reference that is obviously right."""

from collections.abc import Callable, Iterable
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.definitions import Config
from gateway.config.places import Place
from gateway.config.routes import Route
from gateway.model import JOURNALING, MEMBERS, RETRIEVAL, Envelope, Group, Information, Mode
from gateway.routing.buckets import Buckets
from gateway.routing.table import RouteTable

MUNICIPALITIES = st.sampled_from([None, "nordfjell", "sorvik"])
SENDERS = st.sampled_from(
    [(None, None), ("dignio", None), ("dignio", "prevent"), ("dignio", "other"), ("sky", "prevent")]
)
TYPES = st.frozensets(st.sampled_from(Information), max_size=3)
GROUPS = st.sampled_from([frozenset(), JOURNALING, RETRIEVAL])
MODES = st.sampled_from([Mode.LEGACY, Mode.NEW, Mode.CLOSED])


@st.composite
def _routes(draw: st.DrawFn) -> list[Route]:
    found = []
    for line in range(1, draw(st.integers(0, 12)) + 1):
        vendor, system = draw(SENDERS)
        types, group = draw(TYPES), draw(GROUPS)
        information = types | group or None
        place = Place("routes.yaml", line, 5)
        mode = draw(MODES)
        found.append(Route(draw(MUNICIPALITIES), vendor, system, information, group - types, mode, None, (), place))
    return found


@st.composite
def _envelopes(draw: st.DrawFn) -> Envelope:
    vendor, system = draw(SENDERS)
    municipality = draw(st.one_of(MUNICIPALITIES, st.just("elsewhere")))
    return Envelope("vkp-r4", municipality, "S", vendor, system, draw(st.sampled_from([None, *Information])))


def _covers(route: Route, envelope: Envelope) -> bool:
    pairs = (
        (route.municipality, envelope.municipality),
        (route.vendor, envelope.vendor),
        (route.system, envelope.system),
    )
    if any(named not in {None, actual} for named, actual in pairs):
        return False
    return route.information is None or envelope.information in route.information


def _rank(route: Route, information: Information | None) -> tuple[bool, bool, bool, int]:
    level = 0 if route.information is None else 1 if information in route.grouped else 2
    return (route.municipality is not None, route.vendor is not None, route.system is not None, level)


def _reference(routes: list[Route], envelope: Envelope) -> Route | None:
    """Rank every covering route and take the highest; the first of equals."""
    covering = [route for route in routes if _covers(route, envelope)]
    return max(covering, key=lambda route: _rank(route, envelope.information), default=None)


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
    types = [None, *(MEMBERS[group] if group else Information)]
    decisions = [table.decide(Envelope("vkp-r4", sender[0], "S", *sender[1:], one), now) for one in types]
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
            cells = (None, *Information)
            both = [cell for cell in cells if all(_names(route, cell) for route in (first, later))]
            if same and any(_rank(first, cell) == _rank(later, cell) for cell in both):
                equal.add(id(later))
    assert named == equal


def _names(route: Route, information: Information | None) -> bool:
    return route.information is None if information is None else information in (route.information or ())
