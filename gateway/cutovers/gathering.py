"""What is known of a plan's cells, gathered from the ledger: how rehearsals went, who sends, what is overdue."""

from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.config.model import Config
from gateway.cutovers.cells import stricter
from gateway.cutovers.gate import Numbers, Passing, judge
from gateway.cutovers.record import Record
from gateway.cutovers.schedule import frozen_by, moment
from gateway.cutovers.sound import faults
from gateway.cutovers.states import State
from gateway.ledger import cutovers as store
from gateway.ledger.cutovers import Cell, Seen
from gateway.ledger.rehearsals import Summary, summary
from gateway.routing.layers import Rule

SEEN_WITHIN = 30 * 86_400.0
"""Seconds for which senders are looked back."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the ledger knows of a plan's cells."""

    numbers: Numbers
    unrehearsed: tuple[str, ...]
    """Types that the plan names and nothing was rehearsed of."""
    seen: tuple[Seen, ...]
    overdue: tuple[Cell, ...]
    executed: tuple[Rule, ...]
    """What other cutovers have set."""


def gathered(connection: Connection, record: Record, now: float) -> Gathered:
    """Look at what the ledger knows of a plan's cells."""
    cells, rehearsals = record.cells, _rehearsals(connection, record, now)
    named = {each.value for route in cells.routes for each in route.information or ()}
    return Gathered(
        _numbers(rehearsals),
        tuple(sorted(named - {one.information for one in rehearsals if one.rehearsed})),
        tuple(one for one in store.seen(connection, now - SEEN_WITHIN) if cells.may_be(one)),
        tuple(cells.of(store.overdue(connection))),
        tuple(rule for rule in store.executed(connection) if rule.id != record.name),
    )


def gate_says(connection: Connection, record: Record, now: float) -> Passing:
    """Hold a plan's rehearsals against its gate."""
    return judge(record.plan.gate_rule, _numbers(_rehearsals(connection, record, now)))


def obstacles(connection: Connection, record: Record, config: Config, now: float) -> list[str]:
    """Say why a cutover cannot be applied now."""
    found = [f"approvals missing: {record.lacking}"] if record.lacking else []
    found += [*faults(record.plan, config), *stricter(config, record.cells)]
    freeze = frozen_by(moment(now), config.freezes)
    gate = gate_says(connection, record, now)
    return [*found, *([freeze] if freeze else []), *([] if gate.ok else [f"its gate: {gate.text}"])]


def still_delivering(connection: Connection, record: Record) -> int:
    """Return how many messages of its cells were under way before it drained, and are still."""
    found = record.cells.of(store.delivering(connection, record.since(State.DRAINING)))
    return sum(one.messages for one in found)


def outcomes_since(connection: Connection, record: Record) -> tuple[dict[str, int], int]:
    """Return what became of its messages since it switched, and how many were set aside for a person."""
    since = record.switched_at or 0.0
    quarantined = record.cells.of(store.quarantined(connection, since))
    return store.outcomes(connection, record.name, since), sum(one.messages for one in quarantined)


def _rehearsals(connection: Connection, record: Record, now: float) -> list[Summary]:
    gate, cells = record.plan.gate, record.cells
    since = now - (gate.within if gate else SEEN_WITHIN)
    return [one for place in cells.places for one in cells.of(summary(connection, municipality=place, since=since))]


def _numbers(rehearsals: list[Summary]) -> Numbers:
    return Numbers(sum(one.rehearsed for one in rehearsals), sum(one.passed for one in rehearsals))
