"""Panics: what of one municipality, vendor or type goes back to VKP at once, as routes that lie over everything else.

People turn them on at the admin port, which the ledger must be written for; where it cannot be, they stand in routes.yaml.
"""

from collections.abc import Mapping
from functools import partial

from yaml import Node

from gateway.config import schema
from gateway.config.model import Municipality
from gateway.config.read_parties import Municipalities, Vendors
from gateway.config.read_routes import ParsedRoute
from gateway.config.yaml_reader import Reader
from gateway.model import Information, Mode, Place
from gateway.routing.route import Route

CLOSED_TEXT = "Tjenesten er stengt inntil videre. Følg rutinene for nedetid, og prøv igjen senere."
"""What a sender is told where neither VKP nor the new service answers, unless a person wrote something else."""
_SCOPES = ("municipality", "vendor", "information")


def panics(reader: Reader, node: Node, municipalities: Municipalities, vendors: Vendors) -> tuple[ParsedRoute, ...]:
    """Read every panic of the file; while one stands there, `check` says so."""
    found: list[ParsedRoute] = []
    first: dict[tuple[str, str], int] = {}
    for item in reader.items(node):
        for scope, route in _panic(reader, item, municipalities, vendors):
            line = item.start_mark.line + 1
            if (before := first.setdefault(scope, line)) != line:
                reader.error(item, f"the same as the panic at line {before}")
                break
            found.append(ParsedRoute(route, route.place, sound=True))
    return tuple(found)


def _panic(
    reader: Reader, node: Node, municipalities: Municipalities, vendors: Vendors
) -> list[tuple[tuple[str, str], Route]]:
    if (fields := reader.fields(node, schema.PANIC)) is None:
        return []
    before = len(reader.problems)
    municipality = fields.get("municipality", lambda at: reader.known(at, "municipality", municipalities.names))
    vendor = fields.get("vendor", lambda at: reader.known(at, "vendor", vendors.systems))
    information: Information | None = reader.values(fields, "information")["information"]
    text = fields.get("text", partial(Reader.text, reader)) or CLOSED_TEXT
    named = [name for name in _SCOPES if name in fields]
    if len(named) != 1:
        reader.error(node, "a panic names one municipality, one vendor or one information type")
    if len(reader.problems) > before or fields.strange:
        return []
    scope = municipality or vendor or str(information)
    reader.warn(node, f"a panic: everything of {scope} goes back to VKP as long as this stands here")
    routes = panic_routes(municipality, vendor, information, municipalities.known, reader.place(node), text)
    return [((named[0], scope), route) for route in routes]


def panic_routes(  # noqa: PLR0913, PLR0917 - what a panic says
    municipality: str | None,
    vendor: str | None,
    information: Information | None,
    municipalities: Mapping[str, Municipality],
    place: Place,
    text: str,
) -> list[Route]:
    """Return what a panic sets: legacy for all, and closed for each municipality that VKP cannot reach."""
    types = None if information is None else frozenset({information})

    def route(named: str | None, *, is_cut_off: bool) -> Route:
        mode, told = (Mode.CLOSED, text) if is_cut_off else (Mode.LEGACY, None)
        return Route(named, vendor, None, types, frozenset(), mode, told, place)

    if municipality is not None:
        known = municipalities.get(municipality)
        return [route(municipality, is_cut_off=known is not None and known.epj.new_generation)]
    cut_off = [one.key for one in municipalities.values() if one.epj.new_generation]
    return [route(None, is_cut_off=False), *(route(key, is_cut_off=True) for key in cut_off)]
