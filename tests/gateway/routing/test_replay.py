"""Past messages under other routes."""

from collections.abc import Callable, Iterable

from msgspec import Struct, structs

from gateway.config.model import Config
from gateway.model import Information, Mode
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.replay import Moved, replayed
from gateway.routing.route import Route
from gateway.routing.table import RouteTable

WithRoutes = Callable[[Iterable[Route]], Config]
MakeRoute = Callable[..., Route]

VARSEL, NOTAT = Information.VARSEL, Information.NOTAT


class Seen(Struct, frozen=True):
    """A row of the decision log."""

    at: float = 1_796_000_000.0
    surface: str = "vkp-r4"
    municipality: str | None = "nordfjell"
    sender: str | None = "Dignio_Nordfjell"
    vendor: str | None = "dignio"
    system: str | None = "prevent"
    information: str | None = "varsel"
    mode: str | None = "legacy"
    layer: str | None = "routes"


def test_messages_that_go_another_way_are_counted_by_municipality_vendor_and_type(
    make_route: MakeRoute, with_routes: WithRoutes
) -> None:
    """The most first; what goes the same way is only counted as looked at."""
    table = RouteTable.compile(with_routes([make_route(1), make_route(2, "nordfjell", mode=Mode.NEW)]))
    seen = [
        Seen(),
        Seen(information="notat"),
        Seen(information="notat"),
        Seen(municipality="sorvik"),
        Seen(mode="new"),
        Seen(municipality=None, sender=None, vendor=None, system=None, information=None, mode=None),
    ]
    replay = replayed(seen, table)
    assert (replay.messages, replay.another_way) == (6, 4)
    assert replay.moved == (
        Moved("nordfjell", "dignio", NOTAT, Mode.LEGACY, Mode.NEW, 2, 0),
        Moved(None, None, None, None, Mode.LEGACY, 1, 0),
        Moved("nordfjell", "dignio", VARSEL, Mode.LEGACY, Mode.NEW, 1, 0),
    )


def test_to_be_rehearsed_is_no_other_way(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """VKP answers as it did, in both directions."""
    rehearsal, legacy = (
        RouteTable.compile(with_routes([make_route(1, mode=mode)])) for mode in (Mode.REHEARSE, Mode.LEGACY)
    )
    assert replayed([Seen()], rehearsal).moved == ()
    assert replayed([Seen(mode="rehearse")], legacy).moved == ()


def test_what_a_rule_decided_is_told(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """The other routes may not know of a panic of last week."""
    table = RouteTable.compile(with_routes([make_route(1, mode=Mode.NEW)]))
    (moved,) = replayed([Seen(), Seen(layer="panic"), Seen(layer=None)], table).moved
    assert (moved.messages, moved.decided_above) == (3, 1)


def test_of_a_canary_it_depends_on_the_patient_but_for_senders_it_never_takes(
    make_route: MakeRoute, with_routes: WithRoutes
) -> None:
    """The log knows no patient."""
    canary = structs.replace(make_route(1, mode=Mode.CANARY), share=0.2, never=("Other",))
    table = RouteTable.compile(with_routes([canary]))
    (moved,) = replayed([Seen(), Seen(sender="Other")], table).moved
    assert (moved.after, moved.messages) == (Mode.CANARY, 1)
    (moved,) = replayed([Seen(sender="Other", mode="new")], table).moved
    assert moved.after is Mode.LEGACY


def test_who_stays_is_known_of_a_canary_that_goes_on(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """A larger share takes nobody back, a smaller one takes nobody over, and the same share moves nobody."""
    canary = structs.replace(make_route(1, mode=Mode.CANARY), share=0.2)
    small, large = (RouteTable.compile(with_routes([structs.replace(canary, share=part)])) for part in (0.2, 0.5))
    sides = [Seen(mode="legacy"), Seen(mode="new")]
    grown, shrunk = replayed(sides, large, small), replayed(sides, small, large)
    assert [one.before for one in grown.moved] == [Mode.LEGACY]
    assert [one.before for one in shrunk.moved] == [Mode.NEW]
    assert replayed(sides, small, small).moved == ()
    legacy = RouteTable.compile(with_routes([make_route(1)]))
    assert [one.after for one in replayed(sides, small, legacy).moved] == [Mode.CANARY, Mode.CANARY]


def test_what_depends_on_a_type_that_was_not_read_is_told(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """A message of one way for every type was passed on unread; it must not look as if it stayed."""
    table = RouteTable.compile(
        with_routes([make_route(1), make_route(2, "nordfjell", information={VARSEL}, mode=Mode.NEW)])
    )
    replay = replayed(
        [Seen(information=None), Seen(information="notat"), Seen(information=None, municipality="sorvik")], table
    )
    assert (replay.another_way, replay.type_unknown) == (0, 1)


def test_a_rule_over_the_other_routes_counts_until_its_end(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """Messages after its end are decided by the routes."""
    rule = Rule(Layer.OVERRIDE, "o", make_route(2, mode=Mode.NEW), until=100.0)
    table = RouteTable.compile(with_routes([make_route(1)])).with_layers(Layers([rule]))
    seen = [structs.replace(Seen(), at=at) for at in (99.0, 100.0, 98.0)]
    assert replayed(seen, table).another_way == 2


def test_what_is_remembered_is_bounded(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """A log with more senders than fit is counted as well."""
    table = RouteTable.compile(with_routes([make_route(1, mode=Mode.NEW)]))
    seen = [Seen(sender=str(number % 7)) for number in range(70)]
    assert replayed(seen, table, most_remembered=2).another_way == 70


def test_what_depends_on_a_type_is_told_for_the_rules_of_that_time(
    make_route: MakeRoute, with_routes: WithRoutes
) -> None:
    """A rule of a type counts until it ended, and not where a stronger one is on every type."""
    typed = Rule(Layer.OVERRIDE, "o", make_route(2, information={VARSEL}, mode=Mode.NEW), 2000.0)
    table = RouteTable.compile(with_routes([make_route(1)]))
    seen = [Seen(information=None, at=at) for at in (1000.0, 3000.0)]
    assert replayed(seen, table.with_layers(Layers([typed]))).type_unknown == 1
    panic = Rule(Layer.PANIC, "p", make_route(3))
    assert replayed(seen, table.with_layers(Layers([typed, panic]))).type_unknown == 0
