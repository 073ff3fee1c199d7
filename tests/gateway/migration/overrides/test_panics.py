"""A panic covers everything of its scope: legacy where VKP is, closed where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.config.read_panics import CLOSED_TEXT
from gateway.migration.panics import (
    Scope,
    municipalities_of,
    panic_routes,
    problems_of,
    rollback_of,
    scope_of,
)
from gateway.model import Envelope, Information, Mode
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.table import RouteTable
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from gateway.config.model import Config

VARSEL = Information.VARSEL
SCOPES = [
    Scope(municipality="nordfjell"),
    Scope(municipality="havnes"),
    Scope(vendor="dignio"),
    Scope(information=VARSEL),
]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_every_cell_of_the_scope_goes_back(config: Config, scope: Scope) -> None:
    """And no other cell changes; `havnes` has an EPJ that VKP cannot reach."""
    routes = panic_routes(scope, config, "p-1", "Stengt.")
    table = RouteTable.compile(config)
    above = table.with_layers(Layers(Rule(Layer.PANIC, "p-1", route) for route in routes))
    now = datetime.fromtimestamp(NOW, UTC)
    for municipality in config.municipalities:
        for vendor, system in (("dignio", "prevent"), ("evondos", "e300")):
            for information in Information:
                envelope = Envelope("vkp-r4", municipality, None, vendor, system, information)
                found, before = above.decide(envelope, now), table.decide(envelope, now)
                named = (scope.municipality, scope.vendor, scope.information)
                meant = all(a in (None, b) for a, b in zip(named, (municipality, vendor, information), strict=True))
                if not meant:
                    assert found == before
                    continue
                assert found.layer is Layer.PANIC
                assert found.mode is (Mode.CLOSED if municipality == "havnes" else Mode.LEGACY)
                assert found.route is not None
                assert str(found.route.place) == "panic p-1"


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_scope_is_told_by_its_rules(config: Config, scope: Scope) -> None:
    """In whatever order they are."""
    assert scope_of(reversed(panic_routes(scope, config, "p-1", CLOSED_TEXT))) == scope


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (Scope(), "name one"),
        (Scope(municipality="nordfjell", vendor="dignio"), "name one"),
        (Scope(municipality="elsewhere"), "municipality: not one of the configuration"),
        (Scope(vendor="nobody"), "vendor: not one of the configuration"),
    ],
)
def test_scope_is_one_that_is_known(config: Config, scope: Scope, why: str) -> None:
    """One municipality, one vendor or one type."""
    assert [each[: len(why)] for each in problems_of(scope, config)] == [why]


def test_without_vkp_there_is_nothing_to_go_back_to(config: Config) -> None:
    """What is closed needs no server."""
    alone = replace(config, upstreams={})
    assert problems_of(Scope(vendor="dignio"), alone) == ["there is no upstream of kind vkp to go back to"]
    assert problems_of(Scope(municipality="havnes"), alone) == []
    assert [problems_of(scope, config) for scope in SCOPES] == [[], [], [], []]


def test_rollback_is_offered_where_something_may_have_been_sent(config: Config) -> None:
    """Municipalities that a sender may call for, and whose EPJ reads the service."""
    assert municipalities_of(Scope(vendor="dignio"), config) == ["havnes"]
    assert municipalities_of(Scope(information=VARSEL), config) == ["nordfjell", "havnes"]
    assert municipalities_of(Scope(information=Information.PASIENTINFO), config) == []
    assert municipalities_of(Scope(municipality="sorvik"), config) == ["sorvik"]


def test_rollback_names_its_command(config: Config) -> None:
    """A placeholder stands where nobody knows since when."""
    offer = rollback_of(Scope(vendor="dignio"), "havnes", "2026-12-01T07:00:00Z")
    assert offer["selection"] == {
        "municipality": "havnes",
        "vendor": "dignio",
        "information": None,
        "since": "2026-12-01T07:00:00Z",
    }
    command = "vkp-gateway rollback list --municipality havnes --vendor dignio --since 2026-12-01T07:00:00Z"
    assert offer["command"] == command
    assert rollback_of(Scope(), "havnes", None)["command"].endswith("--municipality havnes --since T")
    del config
