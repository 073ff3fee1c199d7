"""What people have set and planned at run time, for `explain`. It is apart, since it takes the ledger's libraries."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection

from gateway.cli.ledger_reader import NoLedger, read
from gateway.config.model import Config
from gateway.ledger import canary_key, cutovers, overrides
from gateway.migration.cells import Cells
from gateway.migration.cutover import Cutover, CutoverState, of_row
from gateway.migration.schedule import GRACE, moment
from gateway.model import Envelope
from gateway.routing.layers import NOTHING_ABOVE, Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import Decision, RouteTable

_WAITING = (CutoverState.SUBMITTED, CutoverState.APPROVED, CutoverState.DRAINING)
_MOST = 1_000_000


class PlannedCutover(Struct, frozen=True):
    """A cutover that has not switched yet."""

    name: str
    at: datetime
    state: str
    """As the ledger has it, or `not submitted` for one that only the file has."""
    lacking: int
    """How many approvals are missing."""
    rules: tuple[Rule, ...]


class RunTime(Struct, frozen=True):
    """What lies over the routes of the file at one time, and what is planned to."""

    layers: Layers = NOTHING_ABOVE
    planned: tuple[PlannedCutover, ...] = ()
    """Those that are to switch by then, by their times."""
    canary: str | None = None
    """The fingerprint of the key that canaries divide patients by; None where no node has said so."""

    def has_other_key(self, key: bytes) -> bool:
        """Tell whether the shares of this ledger are dealt with another canary key than this."""
        return self.canary not in (None, canary_key.fingerprint(key))

    def changes(self, table: RouteTable, envelope: Envelope, at: datetime) -> "list[PlannedChange]":
        """Return what each planned cutover on a message's cell would make of its way at a time.

        Each with the approved ones before it: those that lack approvals will not have switched.
        """
        found: list[PlannedChange] = []
        before = self.layers.rules
        for one in self.planned:
            routes = Cells([rule.route for rule in one.rules])
            # The last to switch is the first of equals.
            above = (*one.rules, *before)
            if routes.route(envelope.municipality, envelope.vendor, envelope.system, envelope.information) is not None:
                found.append(PlannedChange(one, table.with_layers(Layers(above)).decide(envelope, at)))
            if one.state in (CutoverState.APPROVED, CutoverState.DRAINING):
                before = above
        return found


class PlannedChange(Struct, frozen=True):
    """What a planned cutover would make of a message's way."""

    cutover: PlannedCutover
    decision: Decision


def run_time(config: Config, folder: Path, at: datetime, now: datetime) -> RunTime:
    """Return what holds at a time by the ledger of a configuration, as it is known now; raises `Unreadable`."""

    def work(connection: Connection) -> RunTime:
        layers = Layers([*_set(connection, at, now), *_executed(connection, at, now)])
        waiting = [of_row(row) for row in cutovers.worked_on(connection)]
        planned = [*(_planned(each) for each in waiting if each.state in _WAITING and _may_switch(each, now))]
        planned += _of_file(config, now, lambda name: cutovers.one(connection, name) is not None)
        return RunTime(layers, _by(at, planned), canary_key.known(connection))

    try:
        return read(config.store, folder, work)
    except NoLedger:
        return RunTime(planned=_by(at, [*_of_file(config, now, lambda _: False)]))


def _set(connection: Connection, at: datetime, now: datetime) -> list[Rule]:
    """Return the panics and overrides that hold at a time."""
    wanted = at.timestamp()
    if at >= now:
        return [one.over_routes() for one in overrides.current(connection, wanted)]
    every = [
        one
        for layer in (Layer.PANIC, Layer.OVERRIDE)
        for one in overrides.listed(connection, overrides.RuleFilter(layer, None, None, _MOST))
    ]
    held = (one for one in every if one.made_at <= wanted and (one.ended_at is None or wanted < one.ended_at))
    return [one.over_routes() for one in held]


def _executed(connection: Connection, at: datetime, now: datetime) -> list[Rule]:
    """Return what cutovers have set that had switched at a time, the last first."""
    if at >= now:
        return cutovers.executed(connection)
    wanted = at.timestamp()
    rows = cutovers.listed(connection, _MOST, states=[*cutovers.EXECUTED, CutoverState.ROLLED_BACK])
    held = [
        (row.switched_at, row)
        for row in rows
        if row.switched_at is not None and row.switched_at <= wanted and (row.ended_at is None or wanted < row.ended_at)
    ]
    held.sort(key=lambda one: (one[0], one[1].name), reverse=True)
    return [_rule(row.name, route) for _, row in held for route in cutovers.routes_of(row.name, row.plan)]


def _may_switch(record: Cutover, now: datetime) -> bool:
    """Tell whether it has not missed its time."""
    return record.state is CutoverState.DRAINING or record.at + GRACE >= now.timestamp()


def _planned(record: Cutover) -> PlannedCutover:
    set_ = tuple(_rule(record.name, route) for route in record.plan.routes)
    return PlannedCutover(record.name, moment(record.at), record.state.value, record.lacking, set_)


def _of_file(config: Config, now: datetime, is_submitted: Callable[[str], bool]) -> Iterator[PlannedCutover]:
    for name, plan in config.cutovers.items():
        if plan.at > now and not is_submitted(name):
            set_ = tuple(_rule(name, route) for route in plan.routes)
            yield PlannedCutover(name, plan.at, "not submitted", plan.approvals, set_)


def _by(at: datetime, planned: list[PlannedCutover]) -> tuple[PlannedCutover, ...]:
    return tuple(sorted((one for one in planned if one.at <= at), key=lambda one: (one.at, one.name)))


def _rule(name: str, route: Route) -> Rule:
    return Rule(Layer.CUTOVER, name, route)
