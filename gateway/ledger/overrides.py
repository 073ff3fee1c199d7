"""Rules that people set over the routes: each change with its entry in the audit, and with a version that other nodes look at."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, insert, or_, select, update

from gateway.ledger import audit
from gateway.ledger.tables import RULE, VERSION
from gateway.ledger.upserts import insert_into
from gateway.model import Information, Mode, Place
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import Policies, Route

R = RULE.c
LAYERS = "layers"
"""The row of `version` that grows with every change of what lies over the routes."""
_PART = "/"
"""Stands in the id of a row between the name of a panic and the number of its part."""


class RulePlace(Place):
    """Where a rule stands that stands in no file: in its layer, under its name."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.file


class StoredPolicies(Policies, frozen=True, omit_defaults=True):
    """What a route says beside its cells and its mode, as a row has it."""

    grouped: tuple[Information, ...] = ()


class SetRule(Struct, frozen=True):
    """A rule as it was set, changed or ended."""

    id: str
    """Of the row; a panic of several rules has a number behind its name."""
    layer: Layer
    route: Route
    reason: str
    ticket: str | None
    made_by: str
    """Who set it as it is now, as the audit calls people."""
    made_at: float
    """Seconds since the epoch, as every time here."""
    until: float | None
    version: int = 1
    """Counts its changes."""
    ended_at: float | None = None
    ended_by: str | None = None
    ended_why: str | None = None

    @property
    def name(self) -> str:
        """By which people know it."""
        return self.id.partition(_PART)[0]

    def holds(self, now: float) -> bool:
        """Tell whether it has neither been ended nor come to its end."""
        return self.ended_at is None and (self.until is None or now < self.until)

    def over_routes(self) -> Rule:
        """Return it as routing has it."""
        return Rule(self.layer, self.name, self.route, self.until)


class RuleFilter(Struct, frozen=True):
    """Which rules are to be listed."""

    layer: Layer
    within: Collection[str] | None
    """Those of these municipalities, and those that name none; None is all."""
    holding_at: float | None
    """Those that hold then; None also those that have ended."""
    most: int
    skipped: int = 0


class Changed(Struct, frozen=True):
    """What a rule becomes."""

    route: Route
    reason: str
    ticket: str | None
    until: float | None


class Refused(Struct, frozen=True):
    """A change that was not made, and nothing else was."""

    reason: str


class Stale(Struct, frozen=True):
    """A change that was meant for another version."""

    version: int
    """What it is now."""


def part(name: str, number: int) -> str:
    """Return the id of one of several rules under one name; numbers count from 1."""
    return f"{name}{_PART}{number}"


def place(layer: Layer, name: str) -> Place:
    """Return where a rule stands, for logs and explanations."""
    return RulePlace(f"{layer} {name}", 0, 0)


def layers_version(connection: Connection) -> int:
    """Return what grows with every change; 0 before the first."""
    return connection.execute(select(VERSION.c.number).where(VERSION.c.of == LAYERS)).scalar_one_or_none() or 0


def bump(connection: Connection) -> int:
    """Let every node see a change of this transaction; whoever makes another change at the same time waits for its end."""
    new = insert_into(VERSION, connection.dialect.name)
    grown = new.values(of=LAYERS, number=1).on_conflict_do_update(
        index_elements=[VERSION.c.of], set_={"number": VERSION.c.number + 1}
    )
    return int(connection.execute(grown.returning(VERSION.c.number)).scalar_one())


def current(connection: Connection, now: float) -> list[SetRule]:
    """Return every rule that holds, the oldest first."""
    holding = select(RULE).where(R.ended_at.is_(None), or_(R.until.is_(None), R.until > now))
    return [_rule(row) for row in connection.execute(holding.order_by(R.made_at, R.id))]


def named(connection: Connection, layer: Layer, name: str) -> list[SetRule]:
    """Return the rules under one name, ended or not."""
    wanted = select(RULE).where(
        R.layer == layer.value, or_(R.id == name, R.id.startswith(name + _PART, autoescape=True))
    )
    return [_rule(row) for row in connection.execute(wanted.order_by(R.id))]


def listed(connection: Connection, wanted: RuleFilter) -> list[SetRule]:
    """Return rules of a layer, the newest first."""
    statement = select(RULE).where(R.layer == wanted.layer.value)
    if wanted.within is not None:
        statement = statement.where(or_(R.municipality.is_(None), R.municipality.in_(list(wanted.within))))
    if wanted.holding_at is not None:
        statement = statement.where(R.ended_at.is_(None), or_(R.until.is_(None), R.until > wanted.holding_at))
    ordered = statement.order_by(R.made_at.desc(), R.id).limit(wanted.most).offset(wanted.skipped)
    return [_rule(row) for row in connection.execute(ordered)]


def put(connection: Connection, rules: Sequence[SetRule], note: audit.Note) -> Refused | None:
    """Set rules of one layer under one name; refused where another rule of the layer is as specific on one of the cells."""
    bump(connection)
    if (why := _conflict(current(connection, note.at), rules)) is not None:
        return why
    connection.execute(insert(RULE), [_values(one) for one in rules])
    audit.write(connection, structs.replace(note, detail=_detail((), rules)))
    return None


def change(
    connection: Connection, before: SetRule, changed: Changed, versions: Collection[int], note: audit.Note
) -> SetRule | Refused | Stale:
    """Make a rule another, if it still is one of the versions that its maker has seen and holds."""
    bump(connection)
    now = _rule(connection.execute(select(RULE).where(R.id == before.id)).one())
    if now.version not in versions:
        return Stale(now.version)
    if not now.holds(note.at):
        return Refused("it has ended; set another")
    after = structs.replace(
        now,
        **structs.asdict(changed),
        made_by=note.actor,
        made_at=note.at,
        version=now.version + 1,
    )
    others = [one for one in current(connection, note.at) if one.id != now.id]
    if (why := _conflict(others, [after])) is not None:
        return why
    connection.execute(update(RULE).where(R.id == now.id).values(_values(after)))
    audit.write(connection, structs.replace(note, detail=_detail([now], [after])))
    return after


def end(
    connection: Connection, layer: Layer, name: str, versions: Collection[int] | None, note: audit.Note
) -> tuple[SetRule, ...] | Refused | Stale:
    """End every rule under a name; with `versions` only if it still is one of them."""
    bump(connection)
    before = named(connection, layer, name)
    newest = max((one.version for one in before), default=0)
    if versions is not None and newest not in versions:
        return Stale(newest)
    holding = [one for one in before if one.holds(note.at)]
    if not holding:
        return Refused("it has ended already")
    after = tuple(
        structs.replace(one, version=one.version + 1, ended_at=note.at, ended_by=note.actor, ended_why=note.reason)
        for one in holding
    )
    for one in after:
        connection.execute(update(RULE).where(R.id == one.id).values(_values(one)))
    audit.write(connection, structs.replace(note, detail=_detail(holding, after)))
    return after


def _conflict(others: Iterable[SetRule], new: Sequence[SetRule]) -> Refused | None:
    """Refuse what is as specific as another rule of its layer on some cell: nobody could tell which of them holds."""
    for pair in Layers(one.over_routes() for one in (*others, *new)).conflicts:
        names = {rule.id for rule in pair}
        if new[0].name in names and (other := names - {new[0].name}):
            return Refused(f"{new[0].layer} {other.pop()} is as specific on some of the cells; change or end that one")
    return None


def _detail(before: Sequence[SetRule], after: Sequence[SetRule]) -> str:
    """Return what the audit keeps of a change."""
    told = {"before": [_told(one) for one in before], "after": [_told(one) for one in after]}
    return msgspec.json.encode(told).decode()


def _told(rule: SetRule) -> dict[str, Any]:
    shown = {name: value for name, value in _values(rule).items() if value is not None}
    shown["policies"] = msgspec.json.decode(shown["policies"])
    return shown


def _values(rule: SetRule) -> dict[str, Any]:
    """Return a rule as its row has it."""
    route = rule.route
    policies = StoredPolicies(**route.policies, grouped=tuple(sorted(route.grouped)))
    plain = ("reason", "ticket", "made_by", "made_at", "until", "version", "ended_at", "ended_by", "ended_why")
    return {
        "id": rule.id,
        "layer": rule.layer.value,
        **{name: getattr(route, name) for name in ("municipality", "vendor", "system", "text")},
        "information": None if route.information is None else " ".join(sorted(route.information)),
        "mode": route.mode.value,
        "policies": msgspec.json.encode(policies).decode(),
        **{name: getattr(rule, name) for name in plain},
    }


def _rule(row: Any) -> SetRule:
    values = row._asdict()
    layer = Layer(values.pop("layer"))
    policies = msgspec.json.decode(values.pop("policies") or "{}", type=StoredPolicies)
    words = values.pop("information")
    route = Route(
        **{name: values.pop(name) for name in ("municipality", "vendor", "system")},
        information=None if words is None else frozenset(map(Information, words.split())),
        mode=Mode(values.pop("mode")),
        text=values.pop("text"),
        place=place(layer, values["id"].partition(_PART)[0]),
        **{**structs.asdict(policies), "grouped": frozenset(policies.grouped)},
    )
    return SetRule(layer=layer, route=route, **values)
