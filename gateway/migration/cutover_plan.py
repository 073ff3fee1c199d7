"""A cutover's plan: one way to write it, and the hash that approvals are bound to; pure."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, structs

from gateway.config.model import Config, Environment, Severity
from gateway.config.plans import CutoverPlan, Gate, RollBackWhen
from gateway.config.route_specs import CheckedSpecs, checked
from gateway.ledger import cutovers
from gateway.migration.schedule import instant_of
from gateway.model import GOES_NEW
from gateway.routing.index import Buckets
from gateway.routing.route import Route, RouteSpec
from gateway.times import DAY


class GateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What rehearsals must have shown; seconds, and a share from 0 to 1."""

    rehearsed_at_least: int
    clean_at_least: float
    within: float


class RollBackRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When it rolls itself back; seconds, and shares from 0 to 1.

    What is left out is not written, so that plans from before it was there keep their hash, and their approvals.
    """

    failed_at_least: float
    of_at_least: int
    within: float
    held_at_least: float | None = None


class CutoverRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan as the API takes it."""

    name: str
    at: str
    """With an offset, or a wall time of Europe/Oslo without."""
    set: tuple[RouteSpec, ...]
    gate: GateRequest | None = None
    roll_back_when: RollBackRequest | None = None
    approvals: int = 1
    step_back: bool = False


class Plan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed, when, and under which conditions. Every part of it is in its hash.

    What is left out is not written, so that plans from before it was there keep their hash, and their approvals.
    """

    name: str
    at: datetime
    """In UTC."""
    set: tuple[RouteSpec, ...]
    gate: GateRequest | None
    roll_back_when: RollBackRequest | None
    approvals: int
    """People other than those who wrote it."""
    step_back: bool = False
    """Whether it may take cells back to VKP."""

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
        set=tuple(RouteSpec.of(route) for route in plan.routes),
        gate=None
        if gate is None
        else GateRequest(**{name: getattr(gate, name) for name in GateRequest.__struct_fields__}),
        roll_back_when=None
        if watch is None
        else RollBackRequest(**{name: getattr(watch, name) for name in RollBackRequest.__struct_fields__}),
        approvals=plan.approvals,
        step_back=plan.step_back,
    )


def of_wanted(wanted: CutoverRequest) -> Plan:
    """Return a plan that the API was given; raises `TimeRefused`, and `ValueError` for a type that nobody knows."""
    return Plan(
        name=wanted.name,
        at=instant_of(wanted.at),
        set=tuple(RouteSpec.of(route) for route in cutovers.routes(wanted.name, wanted.set)),
        gate=wanted.gate,
        roll_back_when=wanted.roll_back_when,
        approvals=wanted.approvals,
        step_back=wanted.step_back,
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


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBER = re.compile(r"(?<!\d)\d{6}[ -]?\d{5}(?!\d)")
_MOST = 100
"""Changes, and people who approve."""
_LONGEST_TEXT = 500
_LONGEST = 90 * DAY
"""Seconds that are looked back over, or watched."""


def is_name(text: str) -> bool:
    """Tell whether a cutover may be called so."""
    return _NAME.fullmatch(text) is not None and _NUMBER.search(text) is None


def faults(plan: Plan, config: Config) -> list[str]:
    """Return everything that is wrong with a plan."""
    if not is_name(plan.name):
        return ["name: letters, digits, dots, hyphens and underscores, at most 64, and no national identity number"]
    if not 0 < len(plan.set) <= _MOST:
        return [f"set: 1 to {_MOST} changes"]
    if numbered := [f"set[{number}]: a national identity number" for number in _with_numbers(plan.set)]:
        # What is wrong with the routes may be said in the words that they have.
        return numbered
    found = [f"set[{number}]: {fault}" for number, route in enumerate(plan.set) for fault in _beside_the_file(route)]
    found += [f"set[{one.number}]: {one.text}" for one in _checked(plan, config).errors]
    conflicts = Buckets(plan.routes).conflicts
    found += [
        f"set: two changes are equally specific on one cell ({one.information or 'any type'})" for one in conflicts
    ]
    found += [*_of_gate(plan.gate), *_of_watch(plan.roll_back_when)]
    if not 0 <= plan.approvals <= _MOST:
        found.append(f"approvals: 0 to {_MOST}")
    if config.environment is Environment.PRODUCTION and any(route.mode in GOES_NEW for route in plan.routes):
        found += [f"{name}: required in environment production" for name in _left_out(plan)]
    return found


def warnings(plan: Plan, config: Config) -> list[str]:
    """Return what `check` would warn about, of a plan without `faults`."""
    return [one.text for one in _checked(plan, config).problems if one.severity is Severity.WARNING]


def _left_out(plan: Plan) -> Iterator[str]:
    if plan.gate is None:
        yield "gate"
    if plan.roll_back_when is None:
        yield "roll_back_when"
    if plan.approvals < 1:
        yield "approvals"


def resolved(plan: Plan, config: Config) -> Plan:
    """Return a plan without `faults` with its routes as the file would have them: senders as messages name them."""
    return structs.replace(plan, set=tuple(map(RouteSpec.of, _checked(plan, config).routes)))


def _checked(plan: Plan, config: Config) -> CheckedSpecs:
    return checked([spec.as_keys() for spec in plan.set], config)


def _beside_the_file(spec: RouteSpec) -> Iterator[str]:
    """Say what a route of a cutover may not say, and one of the file may."""
    if spec.municipality is None:
        yield 'a route of a cutover needs "municipality"'
    if spec.text is not None and not (0 < len(spec.text) <= _LONGEST_TEXT and spec.text.isprintable()):
        yield f"text: 1 to {_LONGEST_TEXT} characters on one line"


def _with_numbers(specs: Iterable[RouteSpec]) -> Iterator[int]:
    """Return which of the routes hold what may be a national identity number."""
    for number, spec in enumerate(specs):
        words = [value for value in spec.as_keys().values() if not isinstance(value, float)]
        if _NUMBER.search(msgspec.json.encode(words).decode()):
            yield number


def _of_gate(gate: GateRequest | None) -> Iterator[str]:
    if gate is None:
        return
    if gate.rehearsed_at_least < 1:
        yield "gate.rehearsed_at_least: at least 1, since a gate without data must not open"
    if not 0 <= gate.clean_at_least <= 1:
        yield "gate.clean_at_least: from 0 to 1"
    if not 0 < gate.within <= _LONGEST:
        yield "gate.within: seconds, at most 90 days"


def _of_watch(watch: RollBackRequest | None) -> Iterator[str]:
    if watch is None:
        return
    if not 0 < watch.failed_at_least <= 1:
        yield "roll_back_when.failed_at_least: more than 0, at most 1"
    if watch.held_at_least is not None and not 0 < watch.held_at_least <= 1:
        yield "roll_back_when.held_at_least: more than 0, at most 1"
    if watch.of_at_least < 1:
        yield "roll_back_when.of_at_least: at least 1"
    if not 0 < watch.within <= _LONGEST:
        yield "roll_back_when.within: seconds, at most 90 days"
