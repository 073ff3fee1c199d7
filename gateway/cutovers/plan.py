"""A cutover's plan: one way to write it, and the hash that approvals are bound to; pure."""

import hashlib
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from gateway.config.routes import CutoverPlan, Gate, RollBackWhen, Route
from gateway.cutovers.schedule import instant_of
from gateway.ledger import cutovers
from gateway.ledger.cutovers import Change


class GateAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What rehearsals must have shown; seconds, and a share from 0 to 1."""

    rehearsed_at_least: int
    clean_at_least: float
    within: float


class RollBackAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When it rolls itself back; seconds, and a share from 0 to 1."""

    failed_at_least: float
    of_at_least: int
    within: float


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan as the API takes it."""

    name: str
    at: str
    """With an offset, or a wall time of Europe/Oslo without."""
    set: tuple[Change, ...]
    gate: GateAsked | None = None
    roll_back_when: RollBackAsked | None = None
    approvals: int = 1


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be changed, when, and under which conditions. Every part of it is in its hash."""

    name: str
    at: datetime
    """In UTC."""
    set: tuple[Change, ...]
    gate: GateAsked | None
    roll_back_when: RollBackAsked | None
    approvals: int
    """People other than those who wrote it."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that it sets."""
        return cutovers.routes(self.name, self.set)

    @property
    def gate_rule(self) -> Gate | None:
        """The gate, as the file has it."""
        return None if self.gate is None else Gate(**msgspec.structs.asdict(self.gate))

    @property
    def watch_rule(self) -> RollBackWhen | None:
        """When it rolls itself back, as the file has it."""
        return None if self.roll_back_when is None else RollBackWhen(**msgspec.structs.asdict(self.roll_back_when))


def of_file(plan: CutoverPlan) -> Plan:
    """Return a plan that is written in routes.yaml; where it stands there is no part of it."""
    gate, watch = plan.gate, plan.roll_back_when
    return Plan(
        name=plan.name,
        at=plan.at.astimezone(UTC),
        set=tuple(Change.of(route) for route in plan.routes),
        gate=None if gate is None else GateAsked(**{name: getattr(gate, name) for name in GateAsked.__struct_fields__}),
        roll_back_when=None
        if watch is None
        else RollBackAsked(**{name: getattr(watch, name) for name in RollBackAsked.__struct_fields__}),
        approvals=plan.approvals,
    )


def of_wanted(wanted: Wanted) -> Plan:
    """Return a plan that the API was given; raises `TimeRefused`, and `ValueError` for a type that nobody knows."""
    return Plan(
        name=wanted.name,
        at=instant_of(wanted.at),
        set=tuple(Change.of(route) for route in cutovers.routes(wanted.name, wanted.set)),
        gate=wanted.gate,
        roll_back_when=wanted.roll_back_when,
        approvals=wanted.approvals,
    )


def encoded(plan: Plan) -> str:
    """Write a plan in the one way: names sorted, every default said."""
    return msgspec.json.encode(plan, order="sorted").decode()


def decoded(text: str) -> Plan:
    """Read a plan that `encoded` has written."""
    return msgspec.json.decode(text, type=Plan)


def hash_of(text: str) -> str:
    """Return the SHA-256 of a plan as it is written, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
