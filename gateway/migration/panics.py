"""The panic switch: everything of one municipality, vendor or information type back to VKP, or closed where VKP cannot be."""

from collections.abc import Collection
from typing import Annotated, Any

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from gateway.config.model import Config
from gateway.config.upstreams import SERVICES
from gateway.ledger.cutovers import routes_of
from gateway.ledger.overrides import place
from gateway.ledger.tables import CUTOVER, RULE
from gateway.model import JOURNALING, Group, Information, Mode
from gateway.routing.layers import Layer
from gateway.routing.route import Route

CLOSED_TEXT = "Tjenesten er stengt inntil videre. Følg rutinene for nedetid, og prøv igjen senere."
"""What a sender is told where neither VKP nor the new service answers, unless a person wrote something else."""
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
    if scope.municipality is not None:
        is_cut_off = config.municipalities[scope.municipality].epj.new_generation
        return [_route(scope, scope.municipality, name, text if is_cut_off else None)]
    cut_off = [one.key for one in config.municipalities.values() if one.epj.new_generation]
    return [_route(scope, None, name, None), *(_route(scope, key, name, text) for key in cut_off)]


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


def scope_of(first: Route) -> Scope:
    """Return the scope of a panic by the first of its rules."""
    return Scope(first.municipality, first.vendor, next(iter(first.information or ()), None))


def _route(scope: Scope, municipality: str | None, name: str, text: str | None) -> Route:
    types = None if scope.information is None else frozenset({scope.information})
    mode = Mode.LEGACY if text is None else Mode.CLOSED
    return Route(municipality, scope.vendor, None, types, frozenset(), mode, text, place(Layer.PANIC, name))


C, R = CUTOVER.c, RULE.c
_GOES_NEW = (Mode.NEW, Mode.CANARY)
_Selector = tuple[str | None, str | None, Collection[str] | None]
"""Municipality, vendor and information types that are named."""


def last_switch(connection: Connection, municipality: str, vendor: str | None, information: str | None) -> float | None:
    """Return when cells of a municipality last went new, by an override or a cutover; None when neither is known."""
    wanted = (municipality, vendor, information)
    overrides = select(R.municipality, R.vendor, R.information, R.made_at).where(
        R.layer == Layer.OVERRIDE.value, R.mode.in_([mode.value for mode in _GOES_NEW])
    )
    moments = [
        row.made_at
        for row in connection.execute(overrides)
        if _touches((row.municipality, row.vendor, row.information and row.information.split()), wanted)
    ]
    switched = select(C.name, C.plan, C.switched_at).where(C.switched_at.is_not(None))
    for row in connection.execute(switched):
        new = [route for route in routes_of(row.name, row.plan) if route.mode in _GOES_NEW]
        if any(_touches((route.municipality, route.vendor, route.information), wanted) for route in new):
            moments.append(row.switched_at)
    return max(moments, default=None)


def _touches(selector: _Selector, wanted: tuple[str, str | None, str | None]) -> bool:
    """Tell whether a selector and a wish may mean the same cell."""
    municipality, vendor, information = selector
    return (
        municipality in (None, wanted[0])
        and (vendor is None or wanted[1] in (None, vendor))
        and (information is None or wanted[2] is None or wanted[2] in information)
    )
