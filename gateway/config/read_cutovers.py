"""The parts of routes.yaml that say how routes change over time: cutovers, freezes, the guard of reloads, the end of VKP."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from yaml import Node

from gateway.config import schema, values
from gateway.config.model import Environment, Problem, Severity
from gateway.config.plans import CutoverPlan, Freeze, Gate, RollBackWhen, Sunset
from gateway.config.read_parties import Municipalities, Vendors
from gateway.config.read_routes import Routes, routes
from gateway.config.yaml_nodes import quoted
from gateway.config.yaml_reader import Fields, Reader, unless_null, within
from gateway.model import GOES_NEW, Place

ReadRoutes = Callable[[Node], Routes]


@dataclass(frozen=True, slots=True)
class ParsedCutover:
    """A cutover; its plan is None when something of it could not be read."""

    name: str
    plan: CutoverPlan | None
    routes: Routes
    """What it sets, as far as that could be read."""


@dataclass(frozen=True, slots=True)
class Plans:
    """What the file says of changes over time."""

    cutovers: tuple[ParsedCutover, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    guard_reload: bool = False
    sunset: Sunset | None = None


NO_PLANS = Plans()


def plans(
    reader: Reader, root: Fields, environment: Environment | None, municipalities: Municipalities, vendors: Vendors
) -> Plans:
    """Read every plan; what a cutover sets is read as routes are."""
    is_production = environment is Environment.PRODUCTION
    freezes = root.get("freeze", partial(_freezes, reader)) or ()
    read = _Cutovers(reader, freezes, lambda node: routes(reader, node, municipalities, vendors), is_production)
    cutovers = root.get("cutovers", read.all) or ()
    guard = root.get("guard_reload", reader.boolean)
    sunset = root.get("sunset", partial(unless_null(_sunset), reader))
    return Plans(cutovers, freezes, is_production if guard is None else guard, sunset)


class _Cutovers:
    """Reads cutovers."""

    def __init__(
        self, reader: Reader, freezes: tuple[Freeze, ...], read_routes: ReadRoutes, is_production: bool
    ) -> None:
        self._reader = reader
        self._freezes = freezes
        self._read_routes = read_routes
        self._is_production = is_production

    def all(self, node: Node) -> tuple[ParsedCutover, ...]:
        """Read every cutover of the file."""
        reader = self._reader
        found = []
        for name, (key, value) in reader.named(node).items():
            if (fields := reader.fields(value, schema.CUTOVER)) is not None:
                found.append(self._one(name, reader.place(key), fields))
        return tuple(found)

    def _one(self, name: str, place: Place, fields: Fields) -> ParsedCutover:
        reader = self._reader
        at = fields.get("at", partial(_local, reader))
        frozen = next((one for one in self._freezes if at is not None and one.holds(at)), None)
        if frozen is not None:
            text = f"nothing switches then, by the freeze at line {frozen.place.line}: {frozen.reason}"
            reader.error(fields.value("at"), " ".join(text.split()))
        ways = fields.get("set", self._set) or Routes((), None)
        gate = fields.get("gate", partial(unless_null(within(schema.GATE, Gate)), reader))
        back = fields.get("roll_back_when", partial(unless_null(within(schema.ROLL_BACK_WHEN, RollBackWhen)), reader))
        approvals = fields.get("approvals", partial(_approvals, reader, 1 if self._is_production else 0))
        if self._is_production and any(one.route.mode in GOES_NEW for one in ways.parsed):
            _must_be_there(reader, fields, "gate", "roll_back_when")
        if back is not None and back.held_at_least is None and any(one.hold_place is not None for one in ways.parsed):
            text = 'what is held rolls nothing back without "held_at_least", however long the service is away'
            reader.warn(fields.value("roll_back_when"), text)
        step_back = bool(fields.get("step_back", reader.boolean))
        if at is None or approvals is None:
            return ParsedCutover(name, None, ways)
        routed = tuple(one.route for one in ways.parsed)
        return ParsedCutover(name, CutoverPlan(name, at, routed, gate, back, approvals, place, step_back), ways)

    def _set(self, node: Node) -> Routes:
        before = len(self._reader.problems)
        found = self._read_routes(node)
        if not found.parsed and len(self._reader.problems) == before:
            self._reader.error(node, "the cutover sets nothing")
        for one in found.parsed:
            if one.route.municipality is None:
                text = 'a route of a cutover needs "municipality"'
                self._reader.problems.append(Problem(one.route.place, Severity.ERROR, text))
        return found


def _must_be_there(reader: Reader, fields: Fields, *names: str) -> None:
    for name in names:
        if name not in fields or reader.is_null(fields.value(name)):
            at = fields.value(name)
            reader.error(at, f'environment production needs "{name}" where something goes new')


def _local(reader: Reader, node: Node) -> datetime | None:
    """Read a time; an offset that Norway does not have then is most likely the other half of the year's."""
    at = values.moment(reader, node)
    if at is not None and at.utcoffset():
        with suppress(ZoneInfoNotFoundError, OverflowError):
            if (there := at.astimezone(ZoneInfo("Europe/Oslo"))).utcoffset() != at.utcoffset():
                reader.warn(node, f"Norway has {there.isoformat()[-6:]} then, and it is {there:%H:%M} there")
    return at


def _approvals(reader: Reader, least: int, node: Node) -> int | None:
    text = reader.identifier(node, "a number of people")
    if text is None or (re.fullmatch("[0-9]{1,2}", text) and int(text) >= least):
        return None if text is None else int(text)
    why = " in environment production" if least else ""
    reader.error(node, f"expected a number of people from {least} to 99{why}, found {quoted(text)}")
    return None


def _freezes(reader: Reader, node: Node) -> tuple[Freeze, ...]:
    found = (_freeze(reader, item) for item in reader.items(node))
    return tuple(one for one in found if one is not None)


def _freeze(reader: Reader, node: Node) -> Freeze | None:
    fields = reader.fields(node, schema.FREEZE)
    if fields is None or (found := reader.made(fields, Freeze, place=reader.place(node))) is None:
        return None
    if found.ends <= found.begins:
        reader.error(fields.value("to"), "the freeze ends before it begins")
        return None
    return found


def _sunset(reader: Reader, node: Node) -> Sunset | None:
    fields = reader.fields(node, schema.SUNSET)
    if fields is None or (found := reader.made(fields, Sunset)) is None:
        return None
    if found.deprecated is not None and found.ends is not None and found.ends < found.deprecated:
        reader.error(fields.value("ends"), "VKP ends before it is deprecated")
    if found.headers and "deprecated" not in fields and "ends" not in fields:
        reader.error(fields.value("headers"), 'headers need "deprecated" or "ends"')
    return found
