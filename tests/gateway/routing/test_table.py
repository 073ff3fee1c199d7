"""The table as exchange uses it."""

from collections.abc import Callable, Iterable
from datetime import datetime

import pytest

from gateway.config.load import load_text
from gateway.config.model import Config
from gateway.model import JOURNALING, RETRIEVAL, Envelope, Group, Information, Mode
from gateway.routing.index import Buckets
from gateway.routing.route import Route
from gateway.routing.table import Decision, RouteTable

WithRoutes = Callable[[Iterable[Route]], Config]
MakeRoute = Callable[..., Route]

VARSEL, NOTAT, PASIENTINFO = Information.VARSEL, Information.NOTAT, Information.PASIENTINFO


def _envelope(
    municipality: str | None = "nordfjell",
    vendor: str | None = "dignio",
    system: str | None = "prevent",
    information: Information | None = VARSEL,
) -> Envelope:
    return Envelope("vkp-r4", municipality, "Dignio_Nordfjell", vendor, system, information)


@pytest.fixture
def ladder(make_route: MakeRoute) -> list[Route]:
    """One route for every way to be specific, the least specific first."""
    selectors = [
        (None, None, None),
        (None, "dignio", None),
        (None, "dignio", "prevent"),
        ("nordfjell", None, None),
        ("nordfjell", "dignio", None),
        ("nordfjell", "dignio", "prevent"),
    ]
    found: list[Route] = []
    for selector in selectors:
        found.append(make_route(len(found) + 1, *selector))
        found.append(make_route(len(found) + 1, *selector, information=JOURNALING, grouped=JOURNALING))
        found.append(make_route(len(found) + 1, *selector, information={VARSEL}))
    return found


def test_the_most_specific_route_wins_a_cell(ladder: list[Route], with_routes: WithRoutes, now: datetime) -> None:
    """Municipality, vendor, system, information: taking the winner away makes the one before it win."""
    while ladder:
        table = RouteTable.compile(with_routes(reversed(ladder)))
        assert table.decide(_envelope(), now).route is ladder.pop()


def test_a_message_that_does_not_say_follows_the_route_that_names_no_information(
    ladder: list[Route], with_routes: WithRoutes, now: datetime
) -> None:
    """A body that was not or cannot be read never gets the route of a type."""
    table = RouteTable.compile(with_routes(ladder))
    assert table.decide(_envelope(information=None), now).route is ladder[-3]


def test_an_unknown_sender_or_municipality_gets_only_routes_that_name_none(
    ladder: list[Route], with_routes: WithRoutes, now: datetime
) -> None:
    """What routes.yaml does not know is covered by what holds for all."""
    table = RouteTable.compile(with_routes(ladder))
    lines = [
        table.decide(_envelope(*names), now).route
        for names in (
            (None, None, None),
            ("elsewhere", None, None),
            (None, "dignio", "unknown"),
            ("nordfjell", None, None),
        )
    ]
    assert lines == [ladder[2], ladder[2], ladder[5], ladder[11]]


def test_the_upstream_follows_from_mode_and_information(
    make_route: MakeRoute, with_routes: WithRoutes, now: datetime
) -> None:
    """Legacy goes to kind vkp, new journaling to kind jft by their configured names; the rest has no client."""
    legacy, new = make_route(1), make_route(2, "nordfjell", mode=Mode.NEW)
    closed = make_route(3, "nordfjell", information={NOTAT}, mode=Mode.CLOSED, text="Nei.")
    table = RouteTable.compile(with_routes([legacy, new, closed]))
    assert table.decide(_envelope("sorvik"), now) == Decision(Mode.LEGACY, "old", legacy, VARSEL)
    assert table.decide(_envelope(), now) == Decision(Mode.NEW, "journal", new, VARSEL)
    assert table.decide(_envelope(information=PASIENTINFO), now) == Decision(Mode.NEW, None, new, PASIENTINFO)
    assert table.decide(_envelope(information=None), now) == Decision(Mode.NEW, None, new, None)
    assert table.decide(_envelope(information=NOTAT), now) == Decision(Mode.CLOSED, None, closed, NOTAT)


def test_no_route_is_a_decision_too(make_route: MakeRoute, with_routes: WithRoutes, now: datetime) -> None:
    """Nothing is assumed where nothing is said."""
    table = RouteTable.compile(with_routes([make_route(1, "nordfjell")]))
    assert table.decide(_envelope("sorvik"), now) == Decision(None, None, None, VARSEL)


def test_routes_that_remain_are_all_that_may_win(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """The group narrows them, and the route for a message that does not say always counts: that of its group, where that is known."""
    general = make_route(1, "nordfjell")
    journaling = make_route(2, "nordfjell", information=JOURNALING, grouped=JOURNALING)
    varsel = make_route(3, "nordfjell", "dignio", information={VARSEL})
    retrieval = make_route(4, "nordfjell", information=RETRIEVAL, grouped=RETRIEVAL)
    table = RouteTable.compile(with_routes([general, journaling, varsel, retrieval]))

    def remaining(vendor: str | None, group: Group | None) -> list[int]:
        return sorted(one.place.line for one in table.routes_that_remain("nordfjell", vendor, None, group))

    assert remaining("dignio", None) == [1, 2, 3, 4]
    assert remaining("dignio", Group.JOURNALING) == [2, 3]
    assert remaining("skyresponse", Group.JOURNALING) == [2]
    assert remaining("dignio", Group.RETRIEVAL) == [4]
    assert table.routes_that_remain("sorvik", None, None) == ()


@pytest.mark.parametrize(
    ("special", "differs"),
    [
        ({"mode": Mode.LEGACY}, False),
        ({"mode": Mode.NEW}, True),
        ({"mode": Mode.CLOSED, "text": "Nei."}, True),
    ],
)
def test_the_body_is_read_only_where_routes_differ_in_effect(
    special: dict[str, object], differs: bool, make_route: MakeRoute, with_routes: WithRoutes
) -> None:
    """Two routes that say the same make no difference, wherever they stand."""
    routes = [make_route(1), make_route(2, "nordfjell", information={VARSEL}, **special)]
    table = RouteTable.compile(with_routes(routes))
    for _ in ("found", "remembered"):
        assert table.differs("nordfjell", "dignio", "prevent") is differs
        assert table.differs("nordfjell", "dignio", "prevent", Group.JOURNALING) is differs
        assert table.differs("nordfjell", "dignio", "prevent", Group.RETRIEVAL) is False
        assert table.differs("sorvik", "dignio", "prevent") is False


def test_texts_and_losses_are_part_of_the_effect(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """A sender must be told the text of its own route."""
    closed = [
        make_route(1, mode=Mode.CLOSED, text="A"),
        make_route(2, information={VARSEL}, mode=Mode.CLOSED, text="B"),
    ]
    assert RouteTable.compile(with_routes(closed)).differs("nordfjell", None, None)
    new = [make_route(1, mode=Mode.NEW), make_route(2, information={VARSEL}, mode=Mode.NEW, losses=("Flag.text",))]
    assert RouteTable.compile(with_routes(new)).differs("nordfjell", None, None)


def test_a_type_without_any_route_makes_a_difference(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """Being covered or not is an effect."""
    table = RouteTable.compile(with_routes([make_route(1, information={VARSEL})]))
    assert table.differs("nordfjell", None, None)
    assert not table.differs("nordfjell", None, None, Group.RETRIEVAL)


def test_upstreams_are_known_by_what_they_answer_for(config: Config) -> None:
    """Journaling has a service, and retrieval none yet."""
    table = RouteTable.compile(config)
    assert table.vkp == "old"
    assert {table.upstream_for(each) for each in JOURNALING} == {"journal"}
    assert {table.upstream_for(each) for each in (*RETRIEVAL, None)} == {None}


def test_the_table_of_a_loaded_file_is_that_of_its_configuration(now: datetime) -> None:
    """`load` compiles the same table as `compile`, also without any upstream."""
    text = (
        "version: 1\nunrecognised: refuse\nhelseid: {issuer: https://sts.example, client_id: a, key_file: b}\n"
        "upstreams: {}\nmunicipalities: {}\nroutes: [{mode: closed, text: Nei.}]\n"
    )
    loaded = load_text(text, "routes.yaml")
    assert loaded.config is not None
    assert loaded.table is not None
    assert loaded.table.vkp is loaded.table.upstream_for(Information.NOTAT) is None
    assert loaded.table.decide(_envelope(), now) == RouteTable.compile(loaded.config).decide(_envelope(), now)


def test_what_remains_is_not_remembered_without_bound(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """Beyond the bound the answer is found anew each time, and it is the same."""
    config = with_routes([make_route(1), make_route(2, "nordfjell", mode=Mode.NEW)])
    table = RouteTable(config, Buckets(config.routes), most_remembered=1)
    for _ in ("first", "again"):
        assert [one.place.line for one in table.routes_that_remain("nordfjell", None, None)] == [2]
        assert [one.place.line for one in table.routes_that_remain("sorvik", None, None)] == [1]
    assert len(table._remaining) == 1


@pytest.mark.parametrize(
    ("elsewhere", "matters", "passes"),
    [(None, False, True), (Mode.REHEARSE, True, True), (Mode.NEW, True, False), (Mode.CLOSED, True, False)],
)
def test_whom_a_message_is_for_matters_as_soon_as_one_municipality_is_not_plainly_on_vkp(
    make_route: MakeRoute, with_routes: WithRoutes, elsewhere: Mode | None, matters: bool, passes: bool
) -> None:
    """Where a message says in its body whom it is for, the body is read for that; an unreadable one is for anybody."""
    routes = [make_route(1)]
    if elsewhere is not None:
        routes.append(make_route(2, "sorvik", information={NOTAT}, mode=elsewhere))
    table = RouteTable.compile(with_routes(routes))
    assert table.differs_by_municipality("dignio", "prevent", Group.JOURNALING) is matters
    assert table.passes_everywhere("dignio", "prevent", Group.JOURNALING) is passes
    assert table.passes_everywhere("dignio", "prevent", Group.RETRIEVAL)
