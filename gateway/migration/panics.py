"""The panic switch: everything of one municipality, vendor or information type back to VKP, or closed where VKP cannot be."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from gateway.config import read_panics
from gateway.config.model import Config
from gateway.config.read_panics import CLOSED_TEXT
from gateway.config.upstreams import SERVICES
from gateway.ledger.cutovers import routes_of
from gateway.ledger.overrides import place
from gateway.ledger.returns import first_received
from gateway.ledger.tables import AUDIT, CUTOVER, RULE
from gateway.model import GOES_NEW, JOURNALING, Group, Information, Mode, Place
from gateway.routing.diff import Change, changed_cells
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import RouteTable

_Word = Annotated[str, Meta(min_length=1, max_length=200)]


class Scope(Struct, frozen=True):
    """What goes back; one of these is named."""

    municipality: _Word | None = None
    """Short name."""
    vendor: _Word | None = None
    information: Information | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.municipality, self.vendor, self.information)))


def problems_of(scope: Scope, config: Config) -> list[str]:
    """Return why there is no panic of this scope under a configuration; nothing when there is."""
    given = [each for each in (scope.municipality, scope.vendor, scope.information) if each is not None]
    if len(given) != 1:
        return ["name one municipality, one vendor or one information type"]
    if scope.municipality is not None and scope.municipality not in config.municipalities:
        return ["municipality: not one of the configuration"]
    if scope.vendor is not None and scope.vendor not in config.vendors:
        return ["vendor: not one of the configuration"]
    goes_legacy = any(route.mode is Mode.LEGACY for route in panic_routes(scope, config, "", CLOSED_TEXT))
    has_vkp = config.vkp is not None
    return ["there is no upstream of kind vkp to go back to"] if goes_legacy and not has_vkp else []


def panic_routes(scope: Scope, config: Config, name: str, text: str) -> list[Route]:
    """Return the rules of a panic: legacy for all, and closed for each municipality that VKP cannot reach."""
    at = place(Layer.PANIC, name)
    return read_panics.panic_routes(
        scope.municipality, scope.vendor, scope.information, config.municipalities, at, text
    )


def municipalities_of(scope: Scope, config: Config) -> list[str]:
    """Return the short names of those that may have journaled to the new service what a panic turns back."""
    if scope.information is not None and scope.information not in JOURNALING:
        return []
    if scope.municipality is not None:
        return [scope.municipality]
    sending = [one for one in config.senders if scope.vendor in (None, one.vendor)]
    reached = {key for one in sending for key in one.municipalities or config.municipalities}
    return [
        one.key
        for one in config.municipalities.values()
        if one.key in reached and SERVICES[Group.JOURNALING] in one.epj.reads
    ]


def rollback_of(scope: Scope, municipality: str, since: str | None) -> dict[str, Any]:
    """Offer to send back what one municipality has with the new service: the selection, and the command that lists it."""
    selection = {"municipality": municipality, "vendor": scope.vendor, "information": scope.information, "since": since}
    options = [f"--{name} {value}" for name, value in selection.items() if value is not None]
    missing = [] if since else ["--since T"]
    return {"selection": selection, "command": " ".join(("vkp-gateway rollback list", *options, *missing))}


def scope_of(rules: Iterable[Route]) -> Scope:
    """Return the scope of a panic by its rules: of several the one that names no municipality says all of it."""
    first = min(rules, key=lambda route: route.municipality is not None)
    return Scope(first.municipality, first.vendor, next(iter(first.information or ()), None))


def of_file(config: Config) -> list[tuple[Scope, Place]]:
    """Return what the panics of the file name, each with where it stands there."""
    found: dict[Place, list[Route]] = {}
    for route in config.panics:
        found.setdefault(route.place, []).append(route)
    return [(scope_of(routes), at) for at, routes in found.items()]


def effects(routes: Sequence[Route], layers: Layers, config: Config, now: float) -> tuple[Change, ...]:
    """Return every cell that the rules of a panic change, beside what lies over the routes of a configuration at `now`."""
    table = RouteTable.compile(config)
    above = Layers([*layers.rules, *(Rule(Layer.PANIC, "", route) for route in routes)])
    before, after = table.with_layers(layers), table.with_layers(above)
    return changed_cells(before, after, config, config, datetime.fromtimestamp(now, UTC))


class Switch(Struct, frozen=True):
    """Cells that went new, and when."""

    municipality: str | None
    vendor: str | None
    information: Collection[str] | None
    at: float
    """Seconds since the epoch."""

    def touches(self, scope: Scope, municipality: str) -> bool:
        """Tell whether it may be about a cell of a scope in a municipality."""
        return (
            self.municipality in (None, municipality)
            and (self.vendor is None or scope.vendor in (None, self.vendor))
            and (self.information is None or scope.information is None or scope.information in self.information)
        )


def _went_new(connection: Connection) -> list[Switch]:
    """Return every override and cutover by which cells went new, ended ones and earlier forms of changed ones among them."""
    C, R = CUTOVER.c, RULE.c  # noqa: N806 - as every statement has them
    named = (R.municipality, R.vendor, R.information, R.made_at)
    overrides = select(*named).where(R.layer == Layer.OVERRIDE.value, R.mode.in_([mode.value for mode in GOES_NEW]))
    found = [_switch(*row) for row in connection.execute(overrides)]
    for name, plan, at in connection.execute(select(C.name, C.plan, C.switched_at).where(C.switched_at.is_not(None))):
        new = (route for route in routes_of(name, plan) if route.mode in GOES_NEW)
        found += [Switch(route.municipality, route.vendor, route.information, at) for route in new]
    return [*found, *_changed_overrides(connection)]


def _switch(municipality: str | None, vendor: str | None, information: str | None, at: float) -> Switch:
    return Switch(municipality, vendor, None if information is None else information.split(), at)


def since_when(connection: Connection, scope: Scope, config: Config) -> dict[str, float | None]:
    """Return the earliest moment at which any cell of a scope went new, by municipality; None where none is known.

    The municipalities are those that may have journaled to the new service. Routes of the file leave no trace but the
    messages themselves: the first that the new side got counts as well.
    """
    if scope.information is not None and scope.information not in JOURNALING:
        return {}
    switches, first = _went_new(connection), first_received(connection, scope.vendor, scope.information)
    reached = municipalities_of(scope, config)
    found: dict[str, float | None] = {}
    for name in (
        name for name in config.municipalities if name in reached or (scope.municipality is None and name in first)
    ):
        moments = [one.at for one in switches if one.touches(scope, name)]
        found[name] = min([*moments, *([first[name]] if name in first else [])], default=None)
    return found


def _changed_overrides(connection: Connection) -> Iterator[Switch]:
    """Return what overrides were before they were changed: their rows know the last form only, and the audit each."""
    R, A = RULE.c, AUDIT.c  # noqa: N806 - likewise
    changed = select(R.id).where(R.layer == Layer.OVERRIDE.value, R.version > 1)
    wanted = select(A.detail).where(A.action == "override.change", A.target.in_(changed), A.detail.is_not(None))
    for detail in connection.execute(wanted).scalars():
        for rule in msgspec.json.decode(detail, type=_Change).before:
            if rule.mode in GOES_NEW:
                yield Switch(
                    rule.municipality, rule.vendor, rule.information and rule.information.split(), rule.made_at
                )


class _Rule(Struct):
    mode: str
    made_at: float
    municipality: str | None = None
    vendor: str | None = None
    information: str | None = None


class _Change(Struct):
    before: list[_Rule] = []
