"""The decision log: which way each message went, and what said so; nothing of the message, and nothing of its patient."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import structlog
from msgspec import Struct, structs
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select

from gateway.ledger import prepared, traffic
from gateway.ledger.database import Database, LedgerUnavailable
from gateway.ledger.findings import FindingTally
from gateway.ledger.tables import DECISION
from gateway.model import UNRECOGNISED, Account, Finding, Information, Mode
from gateway.observability.metrics import DECISIONS_DROPPED
from gateway.observability.telemetry import diagnostics_of
from gateway.tasks import USUAL, Intervals, Periodic
from gateway.times import Clock

log = structlog.get_logger()

_AT_ONCE = 500
"""Rows in one write."""
_MOST_NAMED = 20
"""Repairs, or losses, of one message that are named."""
_D = DECISION.c


class PastDecision(Struct, frozen=True):
    """One message's way; None for what was not known."""

    at: float
    """Seconds since the epoch, when it was answered."""
    reference: str
    """Its correlation id."""
    surface: str
    municipality: str | None
    sender: str | None
    vendor: str | None
    system: str | None
    information: str | None
    """None also where the body was not read, because it did not matter."""
    mode: str | None
    layer: str | None
    rule: str | None
    route: str | None
    """Where the deciding route stood, `file:line:column`."""
    outcome: str
    diagnostics: str | None = None
    """Why it was refused, without anything that the sender wrote."""
    repairs: str | None = None
    """The rules that corrected it, with commas between them."""
    losses: str | None = None
    """The elements that could not be carried, likewise."""
    seconds: float | None = None
    """That its answer took."""


class LastSeen(Struct, frozen=True):
    """How much came of one kind, and when the last did."""

    municipality: str | None
    vendor: str | None
    system: str | None
    information: str | None
    mode: str | None
    messages: int
    last: float
    """Seconds since the epoch."""


class PastGroup(Struct, frozen=True):
    """How many messages went one way."""

    at: float
    """Seconds since the epoch: when the last of them was answered."""
    surface: str
    municipality: str | None
    sender: str | None
    vendor: str | None
    system: str | None
    information: str | None
    mode: str | None
    layer: str | None
    messages: int


_COLUMNS = tuple(_D[name] for name in PastDecision.__struct_fields__)
_INSERT = insert(DECISION).values({name: bindparam(name) for name in PastDecision.__struct_fields__})


def write(connection: Connection, rows: Sequence[PastDecision]) -> None:
    """Add rows to the log, and count their messages."""
    if rows:
        prepared.each(connection, _INSERT, [structs.asdict(row) for row in rows])
        traffic.add(connection, counted(rows))


def _write_accounts(connection: Connection, rows: Sequence[tuple[Account, float, float | None]]) -> None:
    write(connection, [decision_of(*row) for row in rows])


def counted(rows: Iterable[PastDecision]) -> list[tuple[float, traffic.Counted, traffic.Numbers]]:
    """Return what rows add to the counts of their hours and days: those of one hour that are alike as one."""
    sums: dict[tuple[Any, ...], traffic.Numbers] = {}
    for row in rows:
        named = (int(row.at // traffic.HOUR), row.municipality, row.vendor, row.system, row.information, row.mode)
        numbers = sums.get(named)
        if numbers is None:
            numbers = sums[named] = traffic.Numbers(last=row.at)
        seconds = row.seconds or 0.0
        numbers.messages += 1
        numbers.failed += row.outcome in traffic.FAILED
        numbers.seconds += seconds
        numbers.slowest = max(numbers.slowest, seconds)
        numbers.last = max(numbers.last, row.at)
    return [
        (numbers.last, traffic.Counted(*(name or "" for name in names)), numbers)
        for (_, *names), numbers in sums.items()
    ]


def past(connection: Connection, since: float, until: float | None = None) -> Iterator[PastDecision]:
    """Return what was decided from `since` until before `until`, the oldest first; read as it is iterated."""
    wanted = select(*_COLUMNS).where(_D.at >= since).order_by(_D.at, _D.id)
    if until is not None:
        wanted = wanted.where(_D.at < until)
    for row in connection.execute(wanted.execution_options(yield_per=_AT_ONCE)):
        yield PastDecision(*row)


def by_reference(connection: Connection, reference: str) -> PastDecision | None:
    """Return what was decided about a message; None where it is not, or no longer, in the log."""
    wanted = select(*_COLUMNS).where(_D.reference == reference).order_by(_D.id.desc()).limit(1)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else PastDecision(*row)


def last_seen(connection: Connection, since: float) -> list[LastSeen]:
    """Return how many messages came since then by municipality, vendor, system, information type and mode."""
    named = (_D.municipality, _D.vendor, _D.system, _D.information, _D.mode)
    wanted = select(*named, func.count(), func.max(_D.at)).where(_D.at >= since).group_by(*named)
    return [LastSeen(*row) for row in connection.execute(wanted)]


def grouped(
    connection: Connection, since: float, until: float, municipalities: Collection[str] | None = None
) -> list[PastGroup]:
    """Return how many messages of these municipalities, or of all, went which way from `since` until before `until`."""
    named = tuple(_D[name] for name in PastGroup.__struct_fields__[1:-1])
    wanted: Select[Any] = select(func.max(_D.at), *named, func.count()).where(_D.at >= since, _D.at < until)
    if municipalities is not None:
        wanted = wanted.where(_D.municipality.in_(sorted(municipalities)))
    return [PastGroup(*row) for row in connection.execute(wanted.group_by(*named))]


def purge(connection: Connection, before: float, at_once: int = 2_000) -> int:
    """Delete some of what was decided before then; how many rows: call it again until it is 0."""
    some = select(_D.id).where(_D.at < before).order_by(_D.at).limit(at_once)
    return connection.execute(delete(DECISION).where(_D.id.in_(some.scalar_subquery()))).rowcount


def decision_of(account: Account, at: float, seconds: float | None = None) -> PastDecision:
    """Return the row for a message."""
    envelope = account.envelope
    return PastDecision(
        at=at,
        reference=account.correlation_id,
        surface=envelope.surface,
        municipality=envelope.municipality,
        sender=envelope.sender,
        vendor=envelope.vendor,
        system=envelope.system,
        information=_TEXTS[envelope.information],
        mode=_TEXTS[account.mode],
        layer=account.layer,
        rule=account.rule,
        route=account.route,
        outcome=account.outcome,
        diagnostics=diagnostics_of(account),
        repairs=_named(account.repairs),
        losses=_named(account.losses),
        seconds=seconds,
    )


_TEXTS: dict[str | None, str | None] = {
    None: None,
    **{each: each.value for kind in (Information, Mode) for each in kind},
}
"""Members of enumerations as plain texts: a driver may write them by their names."""


def _named(names: tuple[str, ...]) -> str | None:
    """Return each name once; how many more there are, where there are many."""
    if not names:
        return None
    found = list(dict.fromkeys(names))
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return ", ".join([*found[:_MOST_NAMED], *more]) or None


def _fault(account: Account) -> tuple[Finding, ...]:
    """Return the fault of a message that was refused before it was translated, or by a service."""
    return (Finding("fault", account.outcome),) if account.outcome in traffic.FAILED else ()


class DecisionLog:
    """Gathers decisions and writes them beside the messages' ways; `store` returns None as long as there is no ledger."""

    def __init__(
        self,
        store: Callable[[], Database | None],
        clock: Clock,
        intervals: Intervals = USUAL,
        *,
        most: int = 20_000,
    ) -> None:
        """`most` rows wait; what comes then is missing in the log."""
        self._store = store
        self._clock = clock
        self._most = most
        self._rows: list[tuple[Account, float, float | None]] = []
        self._is_failing = False
        self._findings = FindingTally(store, clock, intervals)
        self._regularly = Periodic("decisions", self._flush, intervals.decisions, at_once=False)

    def record(self, account: Account, seconds: float | None = None) -> None:
        """Note which way a message went, when its answer has been given, and what was found in it; never waits, and never raises."""
        if account.envelope.surface == UNRECOGNISED:
            return
        if found := account.findings or _fault(account):
            envelope = account.envelope
            self._findings.note(envelope, str(envelope.information or ""), found, account.correlation_id)
        if len(self._rows) >= self._most:
            DECISIONS_DROPPED.inc()
            return
        self._rows.append((account, self._clock(), seconds))
        if len(self._rows) >= _AT_ONCE and not self._is_failing:
            self._regularly.soon()

    def start(self) -> None:
        """Write what gathers, until `stop`."""
        self._regularly.start()
        self._findings.start()

    async def stop(self) -> None:
        """Write what is left."""
        await self._regularly.finish()
        await self._findings.stop()
        if self._rows:
            DECISIONS_DROPPED.inc(len(self._rows))
            log.error("decisions.dropped", rows=len(self._rows))
            self._rows.clear()

    async def _flush(self) -> None:
        """Write what has gathered until now; what comes meanwhile gathers anew, since many rows cost little more than few."""
        left = len(self._rows)
        while left:
            if (store := self._store()) is None:
                self._rows.clear()
                return
            rows = self._rows[: min(left, _AT_ONCE)]
            try:
                await store.write(partial(_write_accounts, rows=rows))
            except LedgerUnavailable:
                self._is_failing = True
                return
            self._is_failing = False
            del self._rows[: len(rows)]
            left -= len(rows)
