"""The routes of routes.yaml."""

from dataclasses import dataclass, replace
from functools import partial

from yaml import Node, SequenceNode

from gateway.config import keys, nodes
from gateway.config.parse_parties import Municipalities, Vendors
from gateway.config.parse_policies import Policies, policies, refuse_strangers
from gateway.config.parse_shares import Shares, shares
from gateway.config.places import Place
from gateway.config.reader import Fields, Reader
from gateway.config.routes import Route
from gateway.model import MEMBERS, Group, Information, Mode

LATER_MODES = frozenset({Mode.COMPARE, Mode.EPJ})

_NAMES = (*Information, *Group)


@dataclass(frozen=True, slots=True)
class ParsedRoute:
    """A route whose selectors could be read."""

    route: Route
    mode_place: Place
    sound: bool
    """False when its mode is not one that can be judged; a problem says so already."""
    hold_place: Place | None = None
    """Where it says that messages are held while a service is away."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes in the order of the file."""

    parsed: tuple[ParsedRoute, ...]
    doubtful: frozenset[str] | None
    """Municipalities whose cells cannot be judged, because selectors of a route could not be read; None: all."""

    def certain(self, municipality: str) -> bool:
        """Tell whether every route that may cover the municipality could be read."""
        return self.doubtful is not None and municipality not in self.doubtful


def routes(reader: Reader, node: Node, municipalities: Municipalities, vendors: Vendors) -> Routes:
    """Read every route; the names it uses must be known."""
    if not isinstance(node, SequenceNode) and not nodes.is_unused(node):
        reader.items(node)
        return Routes((), None)
    parsed: list[ParsedRoute] = []
    doubtful: frozenset[str] | None = frozenset()
    for item in reader.items(node):
        fields = reader.fields(item, keys.ROUTE)
        route = _route(reader, item, fields, municipalities, vendors) if fields else None
        if route is not None:
            parsed.append(route)
        elif doubtful is not None:
            meant = _meant(reader, fields, municipalities) if fields else None
            doubtful = None if meant is None else doubtful | {meant}
    return Routes(tuple(parsed), doubtful)


def _meant(reader: Reader, fields: Fields, municipalities: Municipalities) -> str | None:
    """Return the only municipality that a route with unreadable selectors can be for."""
    word = fields.value("municipality").value
    if "municipality" not in fields or not isinstance(word, str) or municipalities.names is None:
        return None
    return word if word in municipalities.names else reader.nearest("municipality", word, municipalities.names) or word


def _route(
    reader: Reader, node: Node, fields: Fields, municipalities: Municipalities, vendors: Vendors
) -> ParsedRoute | None:
    before = len(reader.problems)
    municipality = fields.get("municipality", lambda at: reader.known(at, "municipality", municipalities.names))
    vendor = fields.get("vendor", lambda at: reader.known(at, "vendor", vendors.systems))
    system = _system(reader, fields, vendor, vendors)
    named = fields.get("information", partial(_information, reader))
    readable = len(reader.problems) == before and not fields.strange
    mode = _mode(reader, fields)
    text = _text(reader, fields, mode)
    judged = None if mode in LATER_MODES else mode
    if judged is not None:
        refuse_strangers(reader, fields, judged)
    found = policies(reader, fields, judged)
    parts = shares(reader, fields, judged, vendors.sender_keys)
    if not readable:
        return None
    information, grouped = named if named is not None else (None, frozenset())
    place = reader.place(node)
    route = Route(municipality, vendor, system, information, grouped, mode or Mode.CLOSED, text, found.losses, place)
    sound, mode_place = judged is not None, reader.place(fields.value("mode"))
    return ParsedRoute(_with(route, found, parts), mode_place, sound, found.hold_place)


def _with(route: Route, found: Policies, parts: Shares) -> Route:
    return replace(
        route,
        answer=found.answer,
        on_outage=found.on_outage,
        unclear=found.unclear,
        acknowledge_within=found.acknowledge_within,
        share=parts.share,
        always=parts.always,
        never=parts.never,
        sample=parts.sample,
    )


def _system(reader: Reader, fields: Fields, vendor: str | None, vendors: Vendors) -> str | None:
    if "system" not in fields:
        return None
    if "vendor" not in fields:
        reader.error(fields.key("system"), '"system" needs "vendor"')
    if vendor is None:
        return None
    return fields.get(
        "system",
        lambda at: reader.known(at, f"system of {vendor}", vendors.systems[vendor] if vendors.systems else None),
    )


def _information(reader: Reader, node: Node) -> tuple[frozenset[Information], frozenset[Information]] | None:
    """Read types and groups; return all that are meant, and those that only a group means."""
    items = reader.items(node) if isinstance(node, SequenceNode) else [node]
    if not items:
        reader.error(node, "no information is named; leave the key out to mean every type")
        return None
    words = [word for item in items if (word := reader.known(item, "information", _NAMES)) is not None]
    types = frozenset(Information(word) for word in words if word not in MEMBERS)
    groups = frozenset().union(*(MEMBERS[Group(word)] for word in words if word in MEMBERS))
    return types | groups, groups - types


def _mode(reader: Reader, fields: Fields) -> Mode | None:
    word = fields.get("mode", lambda node: reader.choice(node, "mode", list(Mode)))
    mode = None if word is None else Mode(word)
    if mode in LATER_MODES:
        reader.error(fields.value("mode"), f'mode "{mode}" is not supported yet')
    return mode


def _text(reader: Reader, fields: Fields, mode: Mode | None) -> str | None:
    """Read what a closed route tells the sender; no other has it."""
    if mode is Mode.CLOSED and "text" not in fields:
        reader.error(fields.value("mode"), 'mode "closed" needs "text": what the sender is told')
    if mode not in {Mode.CLOSED, None} and "text" in fields:
        reader.error(fields.key("text"), '"text" belongs to mode closed only')
    return fields.get("text", reader.text)
