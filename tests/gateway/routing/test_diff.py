"""Which cells two configurations route differently."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.config.load import load_text
from gateway.config.model import Config
from gateway.model import JOURNALING, Envelope, Information, Mode, Place
from gateway.routing.diff import CellState, Change, Whose, changed_cells
from gateway.routing.index import EVERY_INFORMATION
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import RouteTable
from tests.gateway.config.conftest import large_text

WithRoutes = Callable[[Iterable[Route]], Config]
MakeRoute = Callable[..., Route]

VARSEL, NOTAT = Information.VARSEL, Information.NOTAT
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def _changed(old: Config, new: Config, before: Layers | None = None, after: Layers | None = None) -> tuple[Change, ...]:
    tables = RouteTable.compile(old), RouteTable.compile(new)
    return changed_cells(
        tables[0].with_layers(before or Layers()), tables[1].with_layers(after or Layers()), old, new, NOW
    )


def _shown(changes: Iterable[Change]) -> list[str]:
    return [
        f"{one.municipality} {one.vendor} {one.system} {','.join(str(each) for each in one.information)}: "
        f"{one.before} -> {one.after}"
        for one in changes
    ]


def test_the_same_routes_in_another_order_change_nothing(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """Another line, or another route that says the same, is no change."""
    old = with_routes([make_route(1), make_route(2, "sorvik", mode=Mode.NEW)])
    new = with_routes([make_route(1, "sorvik", mode=Mode.NEW), make_route(2), make_route(3, "nordfjell")])
    assert _changed(old, new) == ()


def test_a_type_of_one_system_is_told_with_both_routes(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """Nobody else's cells are named."""
    routes = [
        make_route(1),
        make_route(2, "nordfjell", "dignio", "prevent", information={VARSEL, NOTAT}, mode=Mode.NEW),
    ]
    (change,) = _changed(with_routes(routes[:1]), with_routes(routes))
    assert (change.whose, change.changes_mode) == (Whose.SYSTEM, True)
    assert _shown([change]) == ["nordfjell dignio prevent varsel,notat: legacy -> new"]
    assert (change.before.route, change.after.route) == ("routes.yaml:1:5", "routes.yaml:2:5")


def test_what_changes_for_every_sender_is_told_once(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """One line for a municipality, not one for each system."""
    routes = [make_route(1), make_route(2, "nordfjell", information=JOURNALING, grouped=JOURNALING, mode=Mode.NEW)]
    (change,) = _changed(with_routes(routes[:1]), with_routes(routes))
    assert (change.municipality, change.whose, change.vendor) == ("nordfjell", Whose.EVERY, None)
    assert frozenset(change.information) == JOURNALING


def test_messages_that_do_not_say_and_senders_that_nobody_knows_count(
    make_route: MakeRoute, with_routes: WithRoutes
) -> None:
    """The route that names nothing decides for them alone, when everything else has a route of its own."""
    types = make_route(2, information=Information, mode=Mode.CLOSED, text="Nei.")
    known = [make_route(3, one, mode=Mode.NEW) for one in ("nordfjell", "sorvik")]
    old, new = make_route(1), make_route(1, mode=Mode.NEW)
    assert _shown(_changed(with_routes([old, types, *known]), with_routes([new, types, *known]))) == [
        "None None None None: legacy -> new"
    ]


def test_a_larger_share_is_a_change_but_not_of_the_mode(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """So are the senders on either side."""
    old = structs.replace(make_route(1, mode=Mode.CANARY), share=0.05)
    changes = _changed(with_routes([old]), with_routes([structs.replace(old, share=0.2)]))
    assert {(str(one.before), str(one.after), one.changes_mode) for one in changes} == {
        ("canary 5%", "canary 20%", False)
    }
    assert _changed(with_routes([old]), with_routes([structs.replace(old, never=("Dignio_Nordfjell",))]))
    assert not _changed(
        with_routes([structs.replace(old, never=("a", "b"))]), with_routes([structs.replace(old, never=("b", "a"))])
    )


def test_a_rule_over_both_files_hides_what_changes_below(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """A file that says what an executed cutover has set changes nothing; once it has ended, the routes count."""
    old = with_routes([make_route(1)])
    new = with_routes([make_route(1), make_route(2, "nordfjell", mode=Mode.NEW)])
    rule = Rule(Layer.CUTOVER, "c", make_route(9, "nordfjell", mode=Mode.NEW))
    assert _changed(old, new, Layers([rule]), Layers([rule])) == ()
    assert _changed(old, new, Layers([rule])) == ()
    ended = Layers([replace(rule, until=NOW.timestamp())])
    assert _shown(_changed(old, new, ended, ended)) == _shown(_changed(old, new)) != []
    (change,) = _changed(old, old, Layers(), Layers([rule]))
    assert (change.after.layer, change.after.rule) == (Layer.CUTOVER, "c")


def test_what_one_file_does_not_know_is_decided_there_by_what_names_neither(
    make_route: MakeRoute, with_routes: WithRoutes
) -> None:
    """A municipality that comes with its own route moves from what holds for all."""
    old = with_routes([make_route(1), make_route(2, "sorvik", mode=Mode.CLOSED, text="Nei.")])
    less = replace(old, municipalities={key: one for key, one in old.municipalities.items() if key != "sorvik"})
    assert [(one.municipality, str(one.before), str(one.after)) for one in _changed(less, old)] == [
        ("sorvik", "legacy", "closed")
    ]
    assert [(one.municipality, str(one.before), str(one.after)) for one in _changed(old, less)] == [
        ("sorvik", "closed", "legacy")
    ]


def test_cells_without_any_route_are_told(make_route: MakeRoute, with_routes: WithRoutes) -> None:
    """Nothing decides for them."""
    assert {str(one.after) for one in _changed(with_routes([make_route(1)]), with_routes([]))} == {"no route"}


def test_a_standing_reads_as_the_file_has_it() -> None:
    """Shares are shown as they are written."""
    shown = [str(CellState(Mode.CANARY, share)) for share in (0.25, 1.0, 0.1, 0.005)]
    assert shown == ["canary 25%", "canary 100%", "canary 10%", "canary 0.5%"]


def test_a_country_is_compared() -> None:
    """Every cell of a large file is looked at, and only what changes is told."""
    text = large_text(60, 5)
    old, new = (load_text(one, "routes.yaml") for one in (text, text.replace("mode: new}", "mode: rehearse}")))
    assert old.table is not None
    assert old.config is not None
    assert new.table is not None
    assert new.config is not None
    changes = changed_cells(old.table, new.table, old.config, new.config, NOW)
    assert sum(len(one.information) for one in changes) == 60 * 4
    assert {(str(one.before), str(one.after)) for one in changes} == {("new", "rehearse")}


@st.composite
def _routes(draw: st.DrawFn) -> list[Route]:
    found = [Route(None, None, None, None, frozenset(), Mode.LEGACY, None, Place("routes.yaml", 1, 5))]
    for line in range(2, draw(st.integers(2, 7))):
        vendor, system = draw(st.sampled_from([(None, None), ("dignio", None), ("dignio", "prevent")]))
        types = draw(st.none() | st.frozensets(st.sampled_from([VARSEL, NOTAT]), min_size=1))
        mode = draw(st.sampled_from([Mode.LEGACY, Mode.NEW, Mode.REHEARSE]))
        municipality = draw(st.sampled_from([None, "nordfjell", "sorvik"]))
        place = Place("routes.yaml", line, 5)
        found.append(Route(municipality, vendor, system, types, frozenset(), mode, None, place))
    return found


@given(old=_routes(), new=_routes())
def test_changes_are_exactly_the_cells_that_are_decided_otherwise(
    old: list[Route], new: list[Route], with_routes: WithRoutes
) -> None:
    """Whatever the routes are, asking both tables about every cell finds the same."""
    configs = with_routes(old), with_routes(new)
    tables = [RouteTable.compile(one) for one in configs]
    pairs = [("dignio", "prevent"), ("dignio", "other"), ("skyresponse", "alarm"), (None, None)]
    expected = set()
    for municipality in (None, "nordfjell", "sorvik"):
        for vendor, system in pairs:
            for information in EVERY_INFORMATION:
                envelope = Envelope("vkp-r4", municipality, None, vendor, system, information)
                before, after = (table.decide(envelope, NOW).mode for table in tables)
                if before is not after:
                    expected.add((municipality, vendor, system, information, before, after))
    found = set()
    for one in _changed(*configs):
        whose = pairs if one.whose is Whose.EVERY else [(one.vendor, one.system)]
        for vendor, system in whose:
            cells = ((one.municipality, vendor, system, each) for each in one.information)
            found |= {(*cell, one.before.mode, one.after.mode) for cell in cells}
    assert found == expected
