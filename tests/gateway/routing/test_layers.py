"""Rules over the routes: a higher layer wins, ends when it says so, and a canary's share only adds."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.config.model import Config
from gateway.config.plans import CutoverPlan
from gateway.model import JOURNALING, Envelope, Group, Information, Mode, Place
from gateway.routing.layers import ABOVE, Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import Decision, RouteTable

WithRoutes = Callable[[Iterable[Route]], Config]
MakeRoute = Callable[..., Route]

VARSEL, NOTAT = Information.VARSEL, Information.NOTAT
SHARES = st.floats(0, 1, exclude_max=True)
PARTS = st.floats(0, 1, exclude_min=True)
MUNICIPALITIES = st.sampled_from([None, "nordfjell", "sorvik"])
TYPES = st.none() | st.frozensets(st.sampled_from([VARSEL, NOTAT, Information.PASIENTINFO]), min_size=1)


def _envelope(information: Information | None = VARSEL, share: float | None = None) -> Envelope:
    return Envelope("vkp-r4", "nordfjell", "Dignio_Nordfjell", "dignio", "prevent", information, share)


def _canary(share: float | None, always: tuple[str, ...] = (), never: tuple[str, ...] = ()) -> Route:
    place = Place("routes.yaml", 1, 5)
    found = Route(None, None, None, None, frozenset(), Mode.CANARY, None, place)
    return structs.replace(found, share=share, always=always, never=never)


@pytest.fixture(scope="session")
def table_of(with_routes: WithRoutes) -> Callable[..., RouteTable]:
    """Compile a table of one route, with rules over it."""
    return lambda route, *rules: RouteTable.compile(with_routes([route])).with_layers(Layers(rules))


def test_a_higher_layer_wins_whatever_it_names(make_route: MakeRoute, with_routes: WithRoutes, now: datetime) -> None:
    """Taking the winning layer away makes the one below win, down to the routes of the file."""
    exact = make_route(1, "nordfjell", "dignio", "prevent", information={VARSEL}, mode=Mode.CLOSED, text="Nei.")
    rules = [
        Rule(Layer.CUTOVER, "c", make_route(4, "nordfjell", "dignio", information={VARSEL}, mode=Mode.NEW)),
        Rule(Layer.OVERRIDE, "o", make_route(3, "nordfjell", mode=Mode.NEW)),
        Rule(Layer.PANIC, "p", make_route(2)),
    ]
    table = RouteTable.compile(with_routes([exact]))
    found = []
    while rules:
        decision = table.with_layers(Layers(rules)).decide(_envelope(), now)
        found.append((decision.layer, decision.rule, decision.mode))
        rules.pop()
    assert found == [
        (Layer.PANIC, "p", Mode.LEGACY),
        (Layer.OVERRIDE, "o", Mode.NEW),
        (Layer.CUTOVER, "c", Mode.NEW),
    ]
    assert table.decide(_envelope(), now) == Decision(Mode.CLOSED, None, exact, VARSEL)


def test_inside_a_layer_the_most_specific_rule_wins(
    make_route: MakeRoute, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """Rules of one layer compete as routes do, whatever their order."""
    rules = [
        Rule(Layer.OVERRIDE, "general", make_route(2, "nordfjell")),
        Rule(Layer.OVERRIDE, "type", make_route(3, "nordfjell", information={VARSEL}, mode=Mode.NEW)),
        Rule(Layer.OVERRIDE, "elsewhere", make_route(4, "sorvik", "dignio", "prevent", mode=Mode.NEW)),
    ]
    for order in (rules, rules[::-1]):
        table = table_of(make_route(1), *order)
        assert table.decide(_envelope(), now).rule == "type"
        assert table.decide(_envelope(NOTAT), now).rule == "general"


def test_what_a_layer_does_not_name_follows_the_routes(
    make_route: MakeRoute, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """An override of one type leaves the others alone, and messages that do not say."""
    table = table_of(make_route(1), Rule(Layer.OVERRIDE, "o", make_route(2, information={VARSEL}, mode=Mode.NEW)))
    assert [table.decide(_envelope(one), now).rule for one in (VARSEL, NOTAT, None)] == ["o", None, None]


def test_a_rule_holds_until_its_end_and_not_at_it(
    make_route: MakeRoute, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """The same table decides otherwise once a rule has ended; what lies below then decides, in another layer too."""
    short = Rule(Layer.OVERRIDE, "short", make_route(2, information={VARSEL}, mode=Mode.NEW), now.timestamp() + 60)
    below = Rule(Layer.CUTOVER, "below", make_route(3, mode=Mode.NEW))
    table = table_of(make_route(1), short, below)
    moments = [now, now + timedelta(seconds=59), now + timedelta(seconds=60)]
    assert [table.decide(_envelope(), at).rule for at in moments] == ["short", "short", "below"]


def test_an_ended_rule_leaves_the_cell_to_a_less_specific_one_of_its_layer(
    make_route: MakeRoute, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """Not to the routes at once."""
    ended = Rule(Layer.OVERRIDE, "ended", make_route(2, "nordfjell", mode=Mode.NEW), now.timestamp())
    general = Rule(Layer.OVERRIDE, "general", make_route(3, mode=Mode.CLOSED, text="Nei."))
    assert table_of(make_route(1), ended, general).decide(_envelope(), now).rule == "general"


def test_a_body_is_read_when_a_rule_or_its_end_makes_a_difference(
    make_route: MakeRoute, table_of: Callable[..., RouteTable]
) -> None:
    """The type must be known as soon as any layer may depend on it, and for a canary the patient."""
    plain = table_of(make_route(1))
    assert not plain.differs("nordfjell", "dignio", "prevent")
    override = Rule(Layer.OVERRIDE, "o", make_route(2, "nordfjell", information={VARSEL}, mode=Mode.NEW), 1.0)
    assert table_of(make_route(1), override).differs("nordfjell", "dignio", "prevent", Group.JOURNALING)
    assert not table_of(make_route(1), override).differs("sorvik", "dignio", "prevent")
    assert table_of(_canary(0.1)).differs("nordfjell", "dignio", "prevent")


def test_rules_that_are_equally_specific_are_told(make_route: MakeRoute) -> None:
    """Two of one layer are a conflict; two of different layers are not."""
    first, second = (Rule(Layer.OVERRIDE, name, make_route(1, "nordfjell")) for name in "ab")
    other = Rule(Layer.PANIC, "c", make_route(1, "nordfjell"))
    assert Layers([first, other]).conflicts == ()
    assert Layers([first, second, other]).conflicts == ((second, first),)


def test_what_ends_next_and_what_holds_then(make_route: MakeRoute) -> None:
    """A rule without an end never is the next to end."""
    rules = [Rule(Layer.OVERRIDE, str(until), make_route(1), until) for until in (None, 20.0, 10.0)]
    layers = Layers(rules, 7)
    assert layers.ends_next() == 10
    assert [rule.id for rule in layers.at(10).rules] == ["None", "20.0"]
    assert layers.at(10).version == 7
    assert layers.at(20).ends_next() is None


def test_a_municipality_is_moving_as_soon_as_anything_may_move_it(
    make_route: MakeRoute, with_routes: WithRoutes, config: Config
) -> None:
    """Rules, canaries and cutovers that are only planned count; rehearsals and retrieval do not."""
    moved = make_route(2, "sorvik", information=JOURNALING, mode=Mode.NEW)
    legacy = RouteTable.compile(with_routes([make_route(1)]))
    assert not legacy.is_moving("sorvik")
    assert legacy.with_layers(Layers([Rule(Layer.OVERRIDE, "o", moved)])).is_moving("sorvik")
    at = datetime(2027, 1, 1, tzinfo=UTC)
    plan = CutoverPlan("c", at, (moved,), None, None, 1, Place("routes.yaml", 9, 3))
    planned = RouteTable.compile(replace(config, routes=(make_route(1),), cutovers={"c": plan}))
    assert (planned.is_moving("sorvik"), planned.is_moving("nordfjell")) == (True, False)
    others = [make_route(2, mode=Mode.REHEARSE), make_route(3, information={Information.PASIENTINFO}, mode=Mode.NEW)]
    assert not RouteTable.compile(with_routes(others)).is_moving("sorvik")
    assert RouteTable.compile(with_routes([_canary(0.1)])).is_moving("sorvik")


@given(share=SHARES, smaller=PARTS, larger=PARTS)
def test_a_larger_share_only_adds(
    share: float, smaller: float, larger: float, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """Whoever a canary has taken over stays taken over while its share grows."""
    smaller, larger = sorted((smaller, larger))
    before, after = (table_of(_canary(part)).decide(_envelope(share=share), now).mode for part in (smaller, larger))
    assert before in {Mode.LEGACY, Mode.NEW}
    assert before is Mode.LEGACY or after is Mode.NEW


@given(share=SHARES)
def test_the_whole_is_every_patient_with_a_usable_number(
    share: float, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """100 % leaves nobody."""
    assert table_of(_canary(1.0)).decide(_envelope(share=share), now).mode is Mode.NEW


@given(share=SHARES, part=PARTS)
def test_named_senders_stand_on_their_side(
    share: float, part: float, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """`always` takes all patients of a sender and `never` none, whatever the share; `never` is the stronger."""
    named = ("Dignio_Nordfjell",)
    sides = [
        table_of(_canary(part, always, never)).decide(_envelope(share=share), now).mode
        for always, never in ((named, ()), ((), named), (named, named))
    ]
    assert sides == [Mode.NEW, Mode.LEGACY, Mode.LEGACY]


@given(part=PARTS, is_always=st.booleans())
def test_without_a_usable_number_a_message_goes_legacy(
    part: float, is_always: bool, table_of: Callable[..., RouteTable], now: datetime
) -> None:
    """Also for a sender whose patients are taken over all."""
    route = _canary(part, ("Dignio_Nordfjell",) if is_always else ())
    decision = table_of(route).decide(_envelope(share=None), now)
    assert (decision.mode, decision.upstream, decision.route) == (Mode.LEGACY, "old", route)


def test_each_side_of_a_canary_has_its_upstream(table_of: Callable[..., RouteTable], now: datetime) -> None:
    """The share's end is not taken over; a rehearsal is VKP's."""
    table = table_of(_canary(0.25))
    found = [table.decide(_envelope(share=share), now) for share in (0.0, 0.2499, 0.25, 0.99)]
    assert [one.upstream for one in found] == ["journal", "journal", "old", "old"]
    rehearsal = table_of(structs.replace(_canary(None), mode=Mode.REHEARSE)).decide(_envelope(share=0.0), now)
    assert (rehearsal.mode, rehearsal.upstream) == (Mode.REHEARSE, "old")


@st.composite
def _rules(draw: st.DrawFn) -> list[Rule]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        place = Place("override", number, 1)
        types, mode = draw(TYPES), draw(st.sampled_from([Mode.LEGACY, Mode.NEW]))
        route = Route(draw(MUNICIPALITIES), None, None, types, frozenset(), mode, None, place)
        until = draw(st.none() | st.integers(-2, 2).map(float))
        found.append(Rule(draw(st.sampled_from(ABOVE)), str(number), route, until))
    return found


def _rank(rule: Rule, information: Information | None) -> tuple[int, bool, bool]:
    named = information is not None and rule.route.information is not None
    return (-ABOVE.index(rule.layer), rule.route.municipality is not None, named)


@settings(deadline=None)
@given(rules=_rules(), information=st.sampled_from([None, VARSEL, NOTAT]), at=st.integers(-2, 2))
def test_rules_equal_a_reference_that_ranks_them_all(
    rules: list[Rule], information: Information | None, at: int, make_route: MakeRoute, with_routes: WithRoutes
) -> None:
    """Of the rules that hold and cover a message the highest rank decides; two of one rank are refused before."""
    layers = Layers(rules)
    if layers.conflicts:
        return
    covering = [
        rule
        for rule in rules
        if rule.holds(at)
        and rule.route.municipality in {None, "nordfjell"}
        and (rule.route.information is None or information in rule.route.information)
    ]
    expected = max(covering, key=lambda rule: _rank(rule, information), default=None)
    table = RouteTable.compile(with_routes([make_route(1)])).with_layers(layers.at(at))
    decision = table.decide(_envelope(information), datetime.fromtimestamp(at, UTC))
    assert decision.rule == (expected.id if expected else None)
