"""Why a route won or lost, for a person."""

from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec import structs

from gateway.config.model import Config
from gateway.ledger.overrides import place
from gateway.model import JOURNALING, Envelope, Information
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import RouteTable

WithRoutes = Callable[[Iterable[Route]], Config]
MakeRoute = Callable[..., Route]

VARSEL, NOTAT = Information.VARSEL, Information.NOTAT


def _reasons(table: RouteTable, envelope: Envelope, now: datetime) -> list[str]:
    return [str(one) for one in table.explain(envelope, now).considered]


def test_every_route_has_its_place_and_a_reason(make_route: MakeRoute, with_routes: WithRoutes, now: datetime) -> None:
    """The whole file is listed in its own order, and one route is chosen."""
    routes = [
        make_route(10),
        make_route(11, "sorvik"),
        make_route(12, "nordfjell", "skyresponse"),
        make_route(13, "nordfjell", "dignio", "other"),
        make_route(14, "nordfjell", information={NOTAT}),
        make_route(15, "nordfjell", information=JOURNALING, grouped=JOURNALING),
        make_route(16, "nordfjell", information={VARSEL}),
    ]
    table = RouteTable.compile(with_routes(routes))
    envelope = Envelope("vkp-r4", "nordfjell", "Dignio_Nordfjell", "dignio", "prevent", VARSEL)
    assert _reasons(table, envelope, now) == [
        "routes.yaml:10:5: less specific than line 16",
        "routes.yaml:11:5: names another municipality",
        "routes.yaml:12:5: names another vendor",
        "routes.yaml:13:5: names another system",
        "routes.yaml:14:5: names other information",
        "routes.yaml:15:5: less specific than line 16",
        "routes.yaml:16:5: chosen",
    ]
    assert table.explain(envelope, now).chosen is routes[6]


def test_what_the_request_does_not_say_is_told_apart(
    make_route: MakeRoute, with_routes: WithRoutes, now: datetime
) -> None:
    """Unknown is not the same as another."""
    routes = [
        make_route(10),
        make_route(11, "sorvik"),
        make_route(12, None, "dignio"),
        make_route(13, information={VARSEL}),
    ]
    table = RouteTable.compile(with_routes(routes))
    assert _reasons(table, Envelope("vkp-r4", None, None, None, None, None), now) == [
        "routes.yaml:10:5: chosen",
        "routes.yaml:11:5: names a municipality, and the request's is not known",
        "routes.yaml:12:5: names a vendor, and the request's is not known",
        "routes.yaml:13:5: names information, and the message's is not known",
    ]


def test_nothing_is_chosen_when_nothing_covers(make_route: MakeRoute, with_routes: WithRoutes, now: datetime) -> None:
    """The reasons then say why each route does not."""
    table = RouteTable.compile(with_routes([make_route(10, "sorvik")]))
    explanation = table.explain(Envelope("vkp-r4", "nordfjell", None, None, None, VARSEL), now)
    assert explanation.chosen is None
    assert [one.chosen for one in explanation.considered] == [False]


def test_what_lies_over_the_routes_is_considered_first(
    make_route: MakeRoute, with_routes: WithRoutes, now: datetime
) -> None:
    """The strongest layer first: what has ended, what names something else, what is weaker, what is less specific."""
    at = now.timestamp()

    def rule(layer: Layer, name: str, route: Route, until: float | None = None) -> Rule:
        return Rule(layer, name, structs.replace(route, place=place(layer, name)), until)

    rules = [
        rule(Layer.CUTOVER, "c", make_route(0, "nordfjell")),
        rule(Layer.OVERRIDE, "general", make_route(0)),
        rule(Layer.OVERRIDE, "exact", make_route(0, "nordfjell", "dignio")),
        rule(Layer.OVERRIDE, "ended", make_route(0, "nordfjell", "dignio", "prevent"), at),
        rule(Layer.PANIC, "p", make_route(0, "sorvik")),
    ]
    table = RouteTable.compile(with_routes([make_route(10), make_route(11, "sorvik")])).with_layers(Layers(rules))
    envelope = Envelope("vkp-r4", "nordfjell", None, "dignio", "prevent", VARSEL)
    assert [one.reason for one in table.explain(envelope, now).considered] == [
        "names another municipality",
        "less specific than override exact",
        "chosen",
        "has ended by then",
        "below override exact",
        "below override exact",
        "names another municipality",
    ]
