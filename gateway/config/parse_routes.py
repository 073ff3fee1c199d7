"""The routes of routes.yaml."""

from dataclasses import dataclass
from functools import partial

from yaml import Node, SequenceNode

from gateway.config import keys, nodes
from gateway.config.definitions import Place, Route
from gateway.config.parse_parties import Municipalities, Vendors
from gateway.config.reader import Fields, Reader
from gateway.model import MEMBERS, Group, Information, Mode
from translators.fhir.elements import r4

LATER_MODES = frozenset({Mode.REHEARSE, Mode.COMPARE, Mode.CANARY, Mode.EPJ})

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
    text, losses = _details(reader, fields, mode)
    if not readable:
        return None
    information, grouped = named if named is not None else (None, frozenset())
    sound = mode is not None and mode not in LATER_MODES
    place = reader.place(node)
    route = Route(municipality, vendor, system, information, grouped, mode or Mode.CLOSED, text, losses, place)
    return ParsedRoute(route, reader.place(fields.value("mode")), sound, _hold_place(reader, fields))


def _hold_place(reader: Reader, fields: Fields) -> Place | None:
    node = fields.value("on_outage")
    return reader.place(node) if "on_outage" in fields and node.value == "hold" else None


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


def _details(reader: Reader, fields: Fields, mode: Mode | None) -> tuple[str | None, tuple[str, ...]]:
    """Read what only some modes have."""
    text = fields.get("text", reader.text)
    losses = fields.get("losses", partial(_losses, reader)) or ()
    if mode is Mode.CLOSED and "text" not in fields:
        reader.error(fields.value("mode"), 'mode "closed" needs "text": what the sender is told')
    if mode not in {Mode.CLOSED, None} and "text" in fields:
        reader.error(fields.key("text"), '"text" belongs to mode closed only')
    if (
        mode not in {Mode.NEW, None, *LATER_MODES}
        and not nodes.is_unused(fields.value("losses"))
        and "losses" in fields
    ):
        reader.error(fields.key("losses"), '"losses" belongs to mode new only')
    _policy(reader, fields, "answer", ("accepted", "journaled"))
    _policy(reader, fields, "on_outage", ("refuse", "hold"))
    return text, losses


def _policy(reader: Reader, fields: Fields, name: str, words: tuple[str, str]) -> None:
    """Accept the policy that holds anyway, the first of `words`."""
    if fields.get(name, lambda node: reader.choice(node, name, words)) == words[1]:
        reader.error(fields.value(name), f'{name} "{words[1]}" is not supported yet')


def _losses(reader: Reader, node: Node) -> tuple[str, ...]:
    """Read paths whose loss is tolerated: a resource type, and the elements below it that are."""
    found = []
    for item in reader.items(node):
        path = reader.text(item)
        if path is not None and (kind := path.partition(".")[0]) not in r4().resources:
            reader.error(
                item, f"{nodes.quoted(kind)} is not a resource of FHIR R4; a loss is named like DetectedIssue.note"
            )
        elif path is not None:
            found.append(path)
    return tuple(found)
