"""What the ledger knows of a plan's cells: how rehearsals and comparisons went, who sends, what is overdue, how it goes."""

from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.config.model import Config
from gateway.config.plans import Gate
from gateway.ledger import comparisons
from gateway.ledger import cutovers as store
from gateway.ledger.comparisons import ComparisonSummary
from gateway.ledger.cutovers import CellCount, Seen
from gateway.ledger.layers import layers_of
from gateway.ledger.rehearsals import Summary, summary
from gateway.migration.cells import changes_of
from gateway.migration.cutover import Cutover, CutoverState
from gateway.migration.gates import GateNumbers, Outcomes, judge_gate, outcomes_of
from gateway.replica.status import CopyStatus, copies, freshness_of
from gateway.routing.diff import Change
from gateway.routing.layers import Layers
from gateway.times import DAY

SEEN_WITHIN = 30 * DAY
"""Seconds for which senders are looked back."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the ledger knows of a plan's cells."""

    numbers: GateNumbers
    unrehearsed: tuple[str, ...]
    """Types that the plan names and nothing was rehearsed or compared of."""
    seen: tuple[Seen, ...]
    overdue: tuple[CellCount, ...]
    layers: Layers
    """What lies over the routes."""
    copies: tuple[CopyStatus, ...] = ()
    """What retrieval is answered from."""


def gathered(connection: Connection, record: Cutover, config: Config, now: float) -> Gathered:
    """Look at what the ledger knows of a plan's cells."""
    cells, (rehearsals, compared) = record.cells, _tried(connection, record, now)
    named = {each.value for route in cells.routes for each in route.information or ()}
    shown_of = {one.information for one in rehearsals if one.rehearsed} | {
        one.information for one in compared if one.tried
    }
    return Gathered(
        _numbers(record.plan.gate_rule, rehearsals, compared),
        tuple(sorted(named - shown_of)),
        tuple(one for one in store.seen(connection, now - SEEN_WITHIN) if cells.may_be(one)),
        tuple(cells.of(store.overdue(connection))),
        layers_of(connection, now),
        tuple(copies(connection, freshness_of(config), now)),
    )


def gate_numbers(connection: Connection, record: Cutover, now: float) -> GateNumbers:
    """Return what rehearsals and comparisons of a plan's cells have shown, to be held against its gate."""
    return _numbers(record.plan.gate_rule, *_tried(connection, record, now))


def changed_by(connection: Connection, record: Cutover, config: Config, now: float) -> list[Change]:
    """Return the cells that a cutover changes, beside everything else that holds."""
    return list(changes_of(record.name, record.plan.routes, layers_of(connection, now), config, now))


def still_delivering(connection: Connection, record: Cutover) -> int:
    """Return how many messages of its cells were under way before it drained, and are still."""
    found = record.cells.of(store.delivering(connection, record.since(CutoverState.DRAINING)))
    return sum(one.messages for one in found)


def outcomes_since(connection: Connection, record: Cutover) -> tuple[dict[str, int], Outcomes]:
    """Return what became of its messages since it switched: by outcomes, and those set aside or held still; and in all."""
    since, cells = record.switched_at or 0.0, record.cells
    counted = store.outcomes(connection, record.name, since)
    quarantined = sum(one.messages for one in cells.of(store.quarantined(connection, since)))
    waiting = sum(one.messages for one in cells.of(store.waiting(connection, since)))
    outcomes = outcomes_of(counted, quarantined, waiting)
    return {**counted, "quarantined": quarantined, "waiting": waiting}, outcomes


_Tried = tuple[list[Summary], list[ComparisonSummary]]


def _tried(connection: Connection, record: Cutover, now: float) -> _Tried:
    """Return what rehearsals of its journaling and comparisons of its retrieval have shown."""
    gate, cells = record.plan.gate, record.cells
    since = now - (gate.within if gate else SEEN_WITHIN)
    places = cells.places
    rehearsed = [one for place in places for one in summary(connection, municipality=place, since=since)]
    compared = [one for place in places for one in comparisons.summary(connection, municipality=place, since=since)]
    return cells.of(rehearsed), cells.of(compared)


def _numbers(gate: Gate | None, rehearsals: list[Summary], compared: list[ComparisonSummary]) -> GateNumbers:
    """Return what was tried; of journaling or of retrieval alone where that does not pass, which the other must not hide."""
    of_rehearsals = GateNumbers(sum(one.rehearsed for one in rehearsals), sum(one.passed for one in rehearsals))
    of_comparisons = GateNumbers(sum(one.tried for one in compared), sum(one.clean for one in compared), "compared")
    kinds = [of_rehearsals] if rehearsals or not compared else []
    kinds += [of_comparisons] if compared else []
    lacking = next((one for one in kinds if not judge_gate(gate, one).ok), None)
    return lacking or GateNumbers(
        sum(one.rehearsed for one in kinds), sum(one.clean for one in kinds), " or ".join(one.how for one in kinds)
    )
