"""What people have set and planned at run time, for a command beside the gateway: its ledger is read, and never changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
from msgspec import Struct
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.config.model import Config
from gateway.config.routes import Route
from gateway.ledger import canary_key, cutovers, overrides
from gateway.migration.cells import Cells
from gateway.migration.cutover import Cutover, CutoverState, of_row
from gateway.migration.schedule import GRACE, moment
from gateway.model import Envelope, RequestHead
from gateway.routing.layers import NOTHING_ABOVE, Layer, Layers, Rule
from gateway.routing.table import Decision, RouteTable

T = TypeVar("T")
_WAITING = (CutoverState.SUBMITTED, CutoverState.APPROVED, CutoverState.DRAINING)
_MOST = 1_000_000


class NoLedger(Exception):  # noqa: N818 - the condition
    """There is no ledger yet, so nobody has set anything."""


class Unreadable(Exception):  # noqa: N818 - the condition, told without the address's password
    """The ledger cannot be read."""


class Planned(Struct, frozen=True):
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
    planned: tuple[Planned, ...] = ()
    """Those that are to switch by then, by their times."""
    canary: str | None = None
    """The fingerprint of the key that shares are dealt with; None where no node has said so."""


class Change(Struct, frozen=True):
    """What a planned cutover would make of a message's way."""

    cutover: Planned
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


def changes(table: RouteTable, known: RunTime, envelope: Envelope, at: datetime) -> list[Change]:
    """Return what each planned cutover on a message's cell would make of its way at a time.

    Each with the approved ones before it: those that lack approvals will not have switched.
    """
    found: list[Change] = []
    before = known.layers.rules
    for one in known.planned:
        routes = Cells([rule.route for rule in one.rules])
        # The last to switch is the first of equals.
        above = (*one.rules, *before)
        if routes.route(envelope.municipality, envelope.vendor, envelope.system, envelope.information) is not None:
            found.append(Change(one, table.with_layers(Layers(above)).decide(envelope, at)))
        if one.state in (CutoverState.APPROVED, CutoverState.DRAINING):
            before = above
    return found


def read(store: str, folder: Path, work: Callable[[Connection], T]) -> T:
    """Do `work` on a ledger, which may be a running gateway's, and change nothing; raises `NoLedger` or `Unreadable`."""
    try:
        engine = _read_only(store, folder)
        try:
            with engine.connect() as connection:
                return work(connection)
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        # Not the error's own text: it has the statement and its values.
        raise Unreadable(type(error).__name__) from None


def _read_only(store: str, folder: Path) -> Engine:
    if store.startswith("sqlite:///"):
        path = (folder / store.removeprefix("sqlite:///")).absolute()
        if not path.is_file():
            raise NoLedger
        return create_engine(f"sqlite:///file:{path.as_posix()}?mode=ro&uri=true", hide_parameters=True)
    url = store.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, connect_args={"connect_timeout": 5}, hide_parameters=True)
    return engine.execution_options(postgresql_readonly=True)


def _set(connection: Connection, at: datetime, now: datetime) -> list[Rule]:
    """Return the panics and overrides that hold at a time."""
    wanted = at.timestamp()
    if at >= now:
        return [one.over_routes() for one in overrides.current(connection, wanted)]
    every = [
        one
        for layer in (Layer.PANIC, Layer.OVERRIDE)
        for one in overrides.listed(connection, overrides.Listing(layer, None, None, _MOST))
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


def _planned(record: Cutover) -> Planned:
    set_ = tuple(_rule(record.name, route) for route in record.plan.routes)
    return Planned(record.name, moment(record.at), record.state.value, record.lacking, set_)


def _of_file(config: Config, now: datetime, is_submitted: Callable[[str], bool]) -> Iterator[Planned]:
    for name, plan in config.cutovers.items():
        if plan.at > now and not is_submitted(name):
            set_ = tuple(_rule(name, route) for route in plan.routes)
            yield Planned(name, plan.at, "not submitted", plan.approvals, set_)


def _by(at: datetime, planned: list[Planned]) -> tuple[Planned, ...]:
    return tuple(sorted((one for one in planned if one.at <= at), key=lambda one: (one.at, one.name)))


def _rule(name: str, route: Route) -> Rule:
    return Rule(Layer.CUTOVER, name, route)


@dataclass(frozen=True, slots=True)
class WholeBody:
    """A body that has already arrived."""

    data: bytes

    def whole(self, limit: int) -> bytes | None:
        """Return the body, or None when it is larger than `limit` bytes."""
        return self.data if len(self.data) <= limit else None

    async def read(self, limit: int) -> bytes | None:
        """Return the body, or None when it is larger than `limit` bytes."""
        return self.whole(limit)


def read_request(path: Path) -> tuple[RequestHead, WholeBody]:
    """Return the request that a file holds; raises `click.BadParameter` when its head cannot be read.

    Lines may end with LF, as an editor leaves them; the gateway's own port is stricter.
    """
    data = path.read_bytes()
    end = min((at, length) for at, length in ((_find(data, b"\r\n\r\n"), 4), (_find(data, b"\n\n"), 2)))
    head, body = data[: end[0]], data[sum(end) :]
    first, *lines = head.decode("latin-1").splitlines() or [""]
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/"):
        raise click.BadParameter("the first line must be METHOD TARGET HTTP/1.1", param_hint="--request")
    fields = [line.partition(":") for line in lines]
    if any(not colon for _, colon, _ in fields):
        raise click.BadParameter("a field without a colon", param_hint="--request")
    headers = tuple((name.encode("latin-1"), value.strip().encode("latin-1")) for name, _, value in fields)
    return RequestHead(parts[0], parts[1], headers), WholeBody(body)


def _find(data: bytes, separator: bytes) -> int:
    at = data.find(separator)
    return at if at >= 0 else len(data)
