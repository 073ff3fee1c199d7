"""The routes of routes.yaml: what each says, and what it may not say together."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from yaml import Node, SequenceNode

from gateway.config import values, yaml_nodes
from gateway.config.read_parties import Municipalities, Vendors
from gateway.config.route_keys import POLICY_KEYS, ROUTE
from gateway.config.yaml_nodes import quoted
from gateway.config.yaml_reader import Fields, Reader
from gateway.model import GOES_NEW, Group, Information, Mode, Place
from gateway.routing.route import AnswerWhen, OnOutage, Route, Unclear, types_of

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
    if not isinstance(node, SequenceNode) and not yaml_nodes.is_unused(node):
        reader.items(node)
        return Routes((), None)
    reader.senders = vendors.sender_keys
    parsed: list[ParsedRoute] = []
    doubtful: frozenset[str] | None = frozenset()
    for item in reader.items(node):
        fields = reader.fields(item, ROUTE)
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
    policies = {name: value for name, value in reader.values(fields, *POLICY_KEYS).items() if value is not None}
    _check_policies(reader, fields, mode, policies, named[0] if named is not None else None)
    if not readable:
        return None
    information, grouped = named if named is not None else (None, frozenset())
    selectors = (municipality, vendor, system, information, grouped)
    route = Route(*selectors, mode or Mode.CLOSED, text, reader.place(node), **policies)
    is_held = route.on_outage is OnOutage.HOLD and (mode is None or mode in GOES_NEW)
    hold_place = reader.place(fields.value("on_outage")) if is_held else None
    return ParsedRoute(route, reader.place(fields.value("mode")), mode is not None, hold_place)


def _check_policies(
    reader: Reader,
    fields: Fields,
    mode: Mode | None,
    policies: Mapping[str, Any],
    named: frozenset[Information] | None,
) -> None:
    """Report policies that say nothing with the mode, or not together; None is a mode that is not read, or cannot be."""
    for key in POLICY_KEYS.values() if mode is not None else ():
        if mode not in key.modes and key.name in fields and not yaml_nodes.is_unused(fields.value(key.name)):
            reader.error(fields.key(key.name), f'"{key.name}" belongs to {_modes(key.modes)} only')
    if mode is Mode.CANARY and "share" not in fields:
        reader.error(fields.value("mode"), 'mode "canary" needs "share": the part of the patients that goes new')
    _check_senders(reader, fields, frozenset(policies.get("always", ())))
    if policies.get("share_with") and named is not None and Information.MALEDATA not in named:
        reader.error(fields.value("share_with"), "only maledata is shared, and the route names none of it")
    if mode is None or mode in GOES_NEW:
        _check_together(reader, fields, policies)


def _check_senders(reader: Reader, fields: Fields, always: frozenset[str]) -> None:
    node = fields.value("never")
    for item in node.value if always and "never" in fields and isinstance(node, SequenceNode) else ():
        word = str(item.value)
        if (key := (reader.senders or {}).get(word, word)) in always:
            reader.error(item, f'{quoted(key)} stands in "always" and in "never"')


def _modes(modes: tuple[Mode, ...]) -> str:
    *others, last = modes
    return f"modes {', '.join(others)} and {last}" if others else f"mode {last}"


def _check_together(reader: Reader, fields: Fields, policies: Mapping[str, Any]) -> None:
    answer, on_outage, unclear = (policies.get(name) for name in ("answer", "on_outage", "unclear"))
    if answer is AnswerWhen.JOURNALED and on_outage is OnOutage.HOLD:
        text = (
            'answer "journaled" is not possible with on_outage "hold": what is held is answered before it is journaled'
        )
        reader.error(fields.value("answer"), text)
    if unclear is Unclear.RESEND and on_outage is OnOutage.REFUSE:
        text = 'unclear "resend" needs on_outage "hold": nothing is held that could be sent again, the sender repeats'
        reader.error(fields.value("unclear"), text)


def _system(reader: Reader, fields: Fields, vendor: str | None, vendors: Vendors) -> str | None:
    if "system" not in fields:
        return None
    if "vendor" not in fields:
        reader.error(fields.key("system"), '"system" needs "vendor"')
    if vendor is None:
        return None
    systems = vendors.systems[vendor] if vendors.systems else None
    return fields.get("system", lambda at: reader.known(at, f"system of {vendor}", systems))


def _information(reader: Reader, node: Node) -> tuple[frozenset[Information] | None, frozenset[Information]] | None:
    """Read types and groups; return all that are meant, and those that only a group means."""
    items = reader.items(node) if isinstance(node, SequenceNode) else [node]
    if not items:
        reader.error(node, "no information is named; leave the key out to mean every type")
        return None
    words = [reader.known(item, "information", _NAMES) for item in items]
    return types_of(tuple(word for word in words if word is not None))


def _mode(reader: Reader, fields: Fields) -> Mode | None:
    mode: Mode | None = fields.get("mode", partial(values.one_of("mode", Mode), reader))
    return mode


def _text(reader: Reader, fields: Fields, mode: Mode | None) -> str | None:
    """Read what a closed route tells the sender; no other has it."""
    if mode is Mode.CLOSED and "text" not in fields:
        reader.error(fields.value("mode"), 'mode "closed" needs "text": what the sender is told')
    if mode not in {Mode.CLOSED, None} and "text" in fields:
        reader.error(fields.key("text"), '"text" belongs to mode closed only')
    return fields.get("text", reader.text)
