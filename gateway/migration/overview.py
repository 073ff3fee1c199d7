"""The overview: one row for each municipality, from where it stands, what its traffic is, and what is planned and set; pure but for `read`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct
from sqlalchemy import Connection

from gateway.config.model import Config
from gateway.ledger import cutovers as store
from gateway.ledger import message_queries, nodes, overrides, retention, traffic
from gateway.ledger.nodes import NodeSeen
from gateway.ledger.overrides import SetRule
from gateway.ledger.traffic import Numbers
from gateway.migration.cutover import EXECUTED, Cutover, CutoverState, of_row
from gateway.migration.standing import Standing, Standings, Step, first_step, of_cells
from gateway.model import Mode
from gateway.routing.layers import Layer
from gateway.times import DAY

DAYS = 14
"""Days of a municipality's small curve, today's among them."""
WEEK = 7
REHEARSED_WITHIN = 28
"""Days of rehearsals that are looked at for what comes next."""
RECENTLY = 7 * DAY
"""Seconds for which something that went wrong is told."""
_MOST = 10_000
"""Cutovers that are looked at."""
_FAILING, _FAILURES = 0.05, 5
"""The share of the messages of two days that fails, and how many at least, where something is wrong."""
_USUAL = 20
"""Messages a day; of whoever sends fewer, a day without any says nothing."""
TROUBLES = (
    *("panic", "rolled-back", "missed", "refused", "unclear", "quarantined", "overdue"),
    *("held", "failing", "silent"),
)
"""What may be wrong with a municipality, the gravest first."""
Day = tuple[int, int]
"""Messages, and how many of them failed."""


class LedgerFacts(Struct, frozen=True):
    """What the ledger knows at one moment."""

    at: float
    days: tuple[int, ...]
    """When each of the days of a curve began, in seconds since the epoch."""
    traffic: Mapping[str, Mapping[int, Day]]
    rehearsed: Mapping[tuple[str, str, str, str], Numbers]
    cutovers: tuple[Cutover, ...]
    waiting: Mapping[str, Mapping[str, int]]
    """Messages that wait for something, by municipality and state; `unclear` are among those that are quarantined."""
    rules: tuple[SetRule, ...]
    nodes: tuple[NodeSeen, ...] = ()


class Trouble(Struct, frozen=True):
    """Something that is wrong: what, and how many messages, or which cutover."""

    kind: str
    messages: int = 0
    cutover: str | None = None


class MunicipalityRow(Struct, frozen=True):
    """One municipality as the overview has it."""

    key: str
    name: str
    record_system: str
    modes: tuple[str, ...]
    vendors: tuple[str, ...]
    is_moved: bool
    is_begun: bool
    is_closed: bool
    traffic: tuple[int, ...]
    """Messages of each day of the curve."""
    messages: int
    """Of the last seven days, today's among them."""
    failed: int
    step: Step
    cutover: str | None
    """That the step is about."""
    at: float | None
    """When it is to switch."""
    troubles: tuple[Trouble, ...]


def read(connection: Connection, now: float, past: Mapping[str, Mapping[int, Day]] | None = None) -> LedgerFacts:
    """Look at everything; `past` is the traffic of earlier days where that is known already."""
    days = tuple(traffic.days_ago(now, each) for each in reversed(range(DAYS)))
    found = traffic.days(connection, days[-1] if past is not None else days[0])
    return LedgerFacts(
        now,
        days,
        found if past is None else _joined(past, found),
        {},
        tuple(_record(row) for row in store.listed(connection, _MOST)),
        _waiting(connection),
        tuple(overrides.current(connection, now)),
        tuple(nodes.seen(connection)),
    )


def read_rehearsed(connection: Connection, now: float) -> dict[tuple[str, str, str, str], Numbers]:
    """Return what rehearsals of four weeks have shown, by cell."""
    found: dict[tuple[str, str, str, str], Numbers] = {}
    for one in traffic.cells(connection, traffic.days_ago(now, REHEARSED_WITHIN - 1), mode=Mode.REHEARSE.value):
        found.setdefault((one.municipality, one.vendor, one.system, one.information), Numbers()).add(one.numbers)
    return found


def steps(standings: Standings, facts: LedgerFacts) -> dict[str, Step]:
    """Return what comes next for each municipality where nothing is planned; the same as long as routes and rehearsals are."""
    return {
        key: first_step(of_cells(one.cells, facts.rehearsed, standings.config)) for key, one in standings.all.items()
    }


class Before(Struct, frozen=True):
    """What rows were made of, and the rows."""

    facts: LedgerFacts
    standings: Standings
    ahead: Mapping[str, Step]
    rows: tuple[MunicipalityRow, ...]


def rows(
    standings: Standings, facts: LedgerFacts, ahead: Mapping[str, Step], before: Before | None = None
) -> list[MunicipalityRow]:
    """Return a row for every municipality, in the order of their names; `ahead` is what `steps` returned.

    A row of `before` is taken where nothing of it has changed: most have no message in two seconds.
    """
    config = standings.config
    cutovers, panics = _by_place(facts.cutovers), _panics(facts.rules, config)
    kept = {} if before is None else _kept(before, standings, facts, ahead)
    return [
        kept.get(one.key) or _row(one, facts, cutovers.get(one.key, []), one.key in panics, ahead[one.key])
        for one in standings.all.values()
    ]


def _kept(
    before: Before, standings: Standings, facts: LedgerFacts, ahead: Mapping[str, Step]
) -> dict[str, MunicipalityRow]:
    """Return the rows that would be made again just as they are. What a cutover says of itself changes with the time."""
    earlier = before.facts
    if before.standings is not standings or before.ahead is not ahead or earlier.days != facts.days:
        return {}
    ruled = _panics(earlier.rules, standings.config) ^ _panics(facts.rules, standings.config)
    changing = {*_by_place(earlier.cutovers), *_by_place(facts.cutovers), *ruled}
    return {
        row.key: row
        for row in before.rows
        if row.key not in changing
        and earlier.traffic.get(row.key) == facts.traffic.get(row.key)
        and earlier.waiting.get(row.key) == facts.waiting.get(row.key)
    }


def _row(
    one: Standing, facts: LedgerFacts, cutovers: Sequence[Cutover], has_panic: bool, ahead: Step
) -> MunicipalityRow:
    of = facts.traffic.get(one.key, {})
    curve = [of.get(day, (0, 0)) for day in facts.days]
    step, about = _step(cutovers, ahead)
    messages = sum(messages for messages, _ in curve[-WEEK:])
    if step is Step.QUIET and messages:
        step = Step.REHEARSE_ON  # what comes may be of a type that was not read, or came before the rehearsal began
    return MunicipalityRow(
        one.key,
        one.name,
        one.record_system,
        one.modes,
        one.vendors,
        one.is_moved,
        one.is_begun,
        one.is_closed,
        tuple(messages for messages, _ in curve),
        messages,
        sum(failed for _, failed in curve[-WEEK:]),
        step,
        about.name if about else None,
        time_of(about) if about else None,
        tuple(_troubles(curve, facts.waiting.get(one.key, {}), cutovers, has_panic, facts.at)),
    )


PLANNED: Mapping[CutoverState, Step] = {
    CutoverState.DRAINING: Step.WATCH,
    CutoverState.SWITCHED: Step.WATCH,
    CutoverState.WATCHING: Step.WATCH,
    CutoverState.SUBMITTED: Step.APPROVE,
    CutoverState.APPROVED: Step.AWAIT,
}


def time_of(about: Cutover) -> float:
    """Return when a cutover is planned for, or since when it is watched: somebody may have started it before its time."""
    return about.since(about.state) if PLANNED[about.state] is Step.WATCH else about.at


def _step(cutovers: Iterable[Cutover], ahead: Step) -> tuple[Step, Cutover | None]:
    planned = [each for each in cutovers if each.state in PLANNED and each.ended_at is None]
    if planned:
        first = min(planned, key=lambda each: (list(PLANNED).index(each.state), each.at))
        return PLANNED[first.state], first
    return ahead, None


def _troubles(
    curve: Sequence[Day], waiting: Mapping[str, int], cutovers: Iterable[Cutover], has_panic: bool, now: float
) -> Iterable[Trouble]:
    if has_panic:
        yield Trouble("panic")
    found = sorted((kind, each.name) for each in cutovers if (kind := went_wrong(each, now)) is not None)
    yield from (Trouble(kind, cutover=name) for kind, name in sorted(found, key=lambda one: TROUBLES.index(one[0])))
    for state in ("unclear", "quarantined", "overdue", "held"):
        number = waiting.get(state, 0) - (waiting.get("unclear", 0) if state == "quarantined" else 0)
        if number > 0:
            yield Trouble(state, number)
    messages, failed = (sum(each) for each in zip(*curve[-2:], strict=True))
    if failed >= _FAILURES and failed >= _FAILING * messages:
        yield Trouble("failing", failed)
    earlier = [each for each, _ in curve[-WEEK:-2]]
    if not messages and sum(earlier) >= _USUAL * len(earlier):
        yield Trouble("silent")


def went_wrong(record: Cutover, now: float) -> str | None:
    """Return what went wrong with a cutover, as long as it should be told; None where nothing did."""
    if record.state is CutoverState.MISSED:
        return "missed"
    if record.state in (CutoverState.ROLLED_BACK, CutoverState.REFUSED) and now - record.since(record.state) < RECENTLY:
        return "rolled-back" if record.state is CutoverState.ROLLED_BACK else "refused"
    return None


def curve(standings: Standings, cutovers: Iterable[Cutover], within: Iterable[str] | None) -> list[tuple[float, int]]:
    """Return how many municipalities had moved from which moment on, in seconds since the epoch; 0: before anything is known."""
    switched: dict[str, float] = {}
    for record in cutovers:
        if record.state in EXECUTED and record.switched_at is not None:
            for key in places_of(record):
                switched[key] = max(switched.get(key, 0.0), record.switched_at)
    moments = Counter(switched.get(key, 0.0) for key, one in standings.within(within).items() if one.is_moved)
    found, number = [], 0
    for at, moved in sorted(moments.items()):
        number += moved
        found.append((at, number))
    return found


def places_of(record: Cutover) -> set[str]:
    """Return the municipalities that a cutover changes something in: each of its changes names one."""
    return {change.municipality for change in record.plan.set if change.municipality is not None}


@lru_cache(4096)
def _record(row: store.Row) -> Cutover:
    """Read a row, once for each of its versions."""
    return of_row(row)


def _by_place(cutovers: Iterable[Cutover]) -> dict[str, list[Cutover]]:
    found: dict[str, list[Cutover]] = {}
    for record in cutovers:
        if record.state is not CutoverState.CANCELLED:
            for key in places_of(record):
                found.setdefault(key, []).append(record)
    return found


def _panics(rules: Iterable[SetRule], config: Config) -> set[str]:
    """Return the municipalities where some panic holds: those it names, or everybody whom its vendor or type may have."""
    found: set[str] = set()
    for one in rules:
        if one.layer is Layer.PANIC:
            named = one.route.municipality
            found.update([named] if named is not None else config.municipalities)
    return found


def _waiting(connection: Connection) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in retention.counts(connection):
        found.setdefault(one.municipality, {})[one.state] = one.messages
    for municipality, messages in message_queries.unclear(connection).items():
        found.setdefault(municipality, {})["unclear"] = messages
    return found


def _joined(
    past: Mapping[str, Mapping[int, Day]], now: Mapping[str, Mapping[int, Day]]
) -> dict[str, Mapping[int, Day]]:
    return {key: {**past.get(key, {}), **now.get(key, {})} for key in {*past, *now}}
