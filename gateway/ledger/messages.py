"""What the gateway promises and does, written down before it happens; every change is one durable transaction."""

import math
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import structs
from sqlalchemy import Connection, Update, func, select

from gateway.ledger import prepared, shares
from gateway.ledger import statements as sql
from gateway.ledger.database import Database
from gateway.ledger.records import (
    LONGEST_LEASE,
    LONGEST_PAUSE,
    MOST_ATTEMPTS,
    PENDING,
    RECEIVED,
    TOLD_TRIES,
    Arrival,
    Due,
    FollowedEvent,
    Known,
    LeaseWatch,
    MessageState,
    PassedNote,
    Recovered,
    Taken,
    Waiting,
    shortened,
)
from gateway.ledger.retention import ahead_of_database
from gateway.ledger.shares import NewShare
from gateway.ledger.tables import PATIENT_NUMBER
from gateway.ledger.upserts import insert_into
from gateway.tasks import USUAL
from gateway.times import HOUR, Clock

LEASE = USUAL.lease
_SETTLED = HOUR
"""Seconds for which the clock must have run evenly before a message is forgotten by it, so that its copy is delivered."""


class Ledger:
    """One node's view of the ledger; raises `LedgerUnavailable` from every method while it cannot be read or written."""

    def __init__(self, store: Database, node: str, clock: Clock, lease: float = LEASE) -> None:
        self.store = store
        self.node = node
        self.lease = lease
        """Seconds beyond its deadline for which a message stays with a process that was to deliver it."""
        self._clock = clock
        self._leases = LeaseWatch(clock)
        self.marks_until = 0.0
        """Until when each message that comes is marked, since the database was restored."""
        self._arrive = sql.arrive(store.engine.dialect.name)
        self._note = sql.note_passed(store.engine.dialect.name)

    async def arrive(  # noqa: PLR0913 - what there is to write down
        self,
        arrival: Arrival,
        seal: Callable[[str], bytes],
        *,
        until: float,
        window: float,
        wait: bool = False,
        other_numbers: Sequence[str] = (),
        share: Callable[[str], NewShare] | None = None,
    ) -> Taken | Waiting | Known:
        """Write down a message before anything is sent, or say that it is there already.

        `seal` returns its payload for the reference that it is kept under. Until `until` it is ours to deliver if it is taken.
        A copy that is older than `window` seconds is no copy any more. With `wait` a promised message is held at once.
        `other_numbers` are keyed hashes of the patient's other numbers, by which the message is found too.
        `share` returns what of it is shared with another service, once it is journaled, for the reference that it is kept under.
        """
        now, why = self._clock(), "the service is away" if wait else "others about the patient come first"
        received = self.line(arrival.received_at, RECEIVED)
        may_repeat = arrival.received_at < self.marks_until
        values = {
            **structs.asdict(arrival),
            "lines": received + self.line(now, MessageState.DELIVERING),
            # Nothing else is ever held.
            "held_lines": received + self.line(now, MessageState.HELD, why) if arrival.promised else received,
            "wait": wait,
            "node": self.node,
            "until": until + self.lease,
            "payload": seal(arrival.reference),
            "may_repeat": may_repeat,
        }
        ended_before = self._leases.ended_before()

        def work(connection: Connection, first: Any) -> Taken | Waiting | Known:
            for is_first in (True, False):
                made = first.fetchall() if is_first else prepared.rows(connection, self._arrive, values)
                for message, state, is_reused in made:
                    _note_numbers(connection, message, other_numbers)
                    if share is not None:
                        shares.note(
                            connection, message, arrival.reference, arrival.municipality, share(arrival.reference), now
                        )
                    if state == MessageState.HELD.value:
                        return Waiting(message, arrival.reference, bool(is_reused))
                    return Taken(message, arrival.reference, may_repeat, bool(is_reused))
                known = self._known(connection, arrival)
                if known is None:
                    continue
                if (itself := _itself(known, arrival, may_repeat=may_repeat)) is not None:
                    return itself
                if not known.is_past(now, window) or self._clock.steady_for() < _SETTLED:
                    again = self._again(arrival, now, until, ended_before, wait=wait)
                    found = self._taken_again(connection, again, seal, known, other_numbers)
                    if found is not None and share is not None:
                        shares.note(
                            connection, known.id, known.reference, arrival.municipality, share(known.reference), now
                        )
                    return found or known
                connection.execute(sql.FORGET_COPY, {"message": known.id})
            raise RuntimeError("an arrival that is neither new nor known")

        return await self.store.write(prepared.AskedFirst(self._arrive, values, work))

    def _again(self, arrival: Arrival, now: float, until: float, ended_before: float, *, wait: bool) -> dict[str, Any]:
        """Return what is written of a message that came before, and may be taken up again."""
        return {
            "now": now,
            "ended_before": ended_before,
            "node": self.node,
            "until": until + self.lease,
            "wait": wait,
            "is_promised": arrival.promised,
            "resend": arrival.resend_unclear,
            "within": arrival.acknowledge_within,
            "patient": arrival.patient,
            "line": self.line(now, MessageState.DELIVERING, "repeated by its sender"),
            "held_line": self.line(now, MessageState.HELD, "repeated by its sender"),
        }

    def _known(self, connection: Connection, arrival: Arrival) -> Known | None:
        row = connection.execute(sql.COPY, {"copy": arrival.copy}).one_or_none()
        return None if row is None else _known(row)

    def _taken_again(
        self,
        connection: Connection,
        again: dict[str, Any],
        seal: Callable[[str], bytes],
        known: Known,
        other_numbers: Sequence[str],
    ) -> Taken | Waiting | None:
        """Take up what was refused before, or given up by a process that is gone; None for what is done or under way."""
        if known.state not in (MessageState.REFUSED, MessageState.DELIVERING):
            return None
        values = {**again, "message": known.id, "sealed": seal(known.reference)}
        row = connection.execute(sql.TAKE_AGAIN, values).one_or_none()
        if row is None:
            return None
        _note_numbers(connection, known.id, other_numbers)
        if row.state == MessageState.HELD.value:
            return Waiting(row.id, row.reference, row.identifier_reused)
        return Taken(row.id, row.reference, row.possible_duplicate, row.identifier_reused)

    async def note_passed(self, notes: Sequence[PassedNote]) -> None:
        """Write down by what messages are known again that VKP took."""
        rows = [self._noted(note) for note in notes]
        await self.store.write(lambda connection: prepared.each(connection, self._note, rows))

    def _noted(self, note: PassedNote) -> dict[str, Any]:
        envelope = note.account.envelope
        identity, copy = note.known_by
        return {
            **{name: getattr(envelope, name) for name in ("surface", "municipality", "sender", "vendor", "system")},
            "information": envelope.information.value if envelope.information else None,
            "reference": note.account.correlation_id,
            "received_at": note.at,
            "identity": identity,
            "copy": copy,
            "status": note.status,
            "line": self.line(note.at, MessageState.PASSED, str(note.status)),
            "returned_line": self.line(note.at, MessageState.RETURNED, f"by its sender: {note.status}"),
        }

    async def find(self, copy: str) -> Known | None:
        """Return what has become of the message that is known by this hash."""

        def work(connection: Connection) -> Known | None:
            row = connection.execute(sql.COPY, {"copy": copy}).one_or_none()
            return None if row is None else _known(row)

        return await self.store.read(work)

    async def has_held(self, municipality: str, patient: str, most: int) -> bool:
        """Tell whether so many messages about a patient are held."""
        some = sql.HELD_OF_PATIENT.limit(most).subquery()
        wanted = select(func.count()).select_from(some)
        values = {"municipality": municipality, "patient": patient}
        return await self.store.read(lambda connection: connection.execute(wanted, values).scalar_one() >= most)

    async def one(self, message: int) -> Known | None:
        """Return what has become of a message."""

        def work(connection: Connection) -> Known | None:
            row = connection.execute(sql.ONE, {"message": message}).one_or_none()
            return None if row is None else _known(row)

        return await self.store.read(work)

    async def delivered(self, message: int, event_id: str, kind: str, *, next_poll: float) -> bool:
        """Write down that the service has accepted a message; `next_poll` is when to ask what became of it."""
        values: dict[str, Any] = {"event": event_id, "kind": kind, "now": self._clock(), "next_poll": next_poll}
        return await self._change(sql.DELIVERED, message, MessageState.DELIVERED, **values)

    async def held(
        self, message: int, reason: str, *, next_try: float, counted: bool = False, unclear: bool = False
    ) -> bool:
        """Put back a message that was not delivered; `counted` if that was because of the message itself, or is unclear."""
        also: dict[str, Any] = {"node": self.node, "next_try": next_try, "counted": int(counted), "unclear": unclear}
        values = self._changed(message, MessageState.HELD, reason, also)

        def work(connection: Connection) -> bool:
            row = connection.execute(sql.HELD_AGAIN, values).one_or_none()
            if row is not None and row.tries > TOLD_TRIES:
                rewritten = {"message": message, "rewritten": shortened(row.history)}
                connection.execute(sql.REWRITE_HISTORY, rewritten)
            return row is not None

        return await self.store.write(work)

    async def refused(self, message: int, reason: str) -> bool:
        """Write down that a message's sender is told that it was not done; what it held is forgotten."""
        return await self._change(sql.REFUSED, message, MessageState.REFUSED, reason, node=self.node)

    async def quarantined(self, message: int, reason: str, *, unclear: bool = False) -> bool:
        """Set a promised message aside, for a person to decide; `unclear` marks one that the service may have all the same."""
        values: dict[str, Any] = {"node": self.node, "now": self._clock(), "unclear": unclear}
        return await self._change(sql.QUARANTINED, message, MessageState.QUARANTINED, reason, **values)

    async def claim(self, most: int, *, until: float) -> list[Due]:
        """Take held messages whose time and turn has come; they are ours until `until`."""
        now = self._clock()
        line = self.line(now, MessageState.DELIVERING)
        values = {"now": now, "most": most, "node": self.node, "until": until + self.lease, "line": line}
        latest = {"now": now, "latest": now + LONGEST_PAUSE + self.lease}

        def work(connection: Connection) -> list[Due]:
            prepared.changed(connection, sql.BRING_FORWARD, latest)
            return sorted((_due(*row) for row in prepared.rows(connection, sql.CLAIM, values)), key=lambda due: due.id)

        return await self.store.write(work)

    async def release_followers(self, after: int) -> tuple[int, int]:
        """Give held messages beyond `after` that follow none any more their time; return how many, and the newest message now."""

        def look(connection: Connection) -> tuple[list[int], int]:
            newest = connection.execute(sql.NEWEST).scalar_one() or 0
            return list(connection.execute(sql.FORGOTTEN, {"after": after}).scalars()), newest

        found, newest = await self.store.read(look)
        if found:
            rows = [{"message": message} for message in found]
            await self.store.write(lambda connection: connection.execute(sql.FOLLOW_NO_MORE, rows).rowcount)
        return len(found), newest

    async def is_ahead(self) -> bool:
        """Tell whether this node's clock is so far ahead of the database's that what others have would be taken for lost."""
        ahead = await self.store.read(lambda connection: ahead_of_database(connection, self._clock()))
        return ahead > self.lease / 2

    async def recover(self, *, alone: bool, longest: float = LONGEST_LEASE) -> list[Recovered]:
        """Take what was with processes that are gone: whether it was delivered is unclear.

        `alone` says that no other process shares the ledger, so that there is no lease to wait for; `longest` is how many
        seconds a message may be with one process.
        """
        now = self._clock()

        def work(connection: Connection) -> list[Recovered]:
            rows = connection.execute(sql.BEING_DELIVERED).all()
            ended = self._leases.ended({row.id: row.lease for row in rows}, longest)
            lost = [row for row in rows if row.id in ended or (alone and row.owner != self.node)]
            found = [self._recovered(connection, row, now) for row in lost]
            return [each for each in found if each is not None]

        return await self.store.write(work)

    def _recovered(self, connection: Connection, row: Any, now: float) -> Recovered | None:
        """Take a message that was lost; None where another node, or the one that had it, was quicker."""
        state = _after_loss(row)
        line = self.line(now, state, "unclear")
        values = {"message": row.id, "ended": row.lease, "into": state.value, "now": now, "line": line}
        if connection.execute(sql.RECOVER, values).rowcount != 1:
            return None
        return Recovered(row.id, row.reference, row.municipality, state)

    async def due_for_poll(
        self, most: int, *, until: float, without: Collection[str], longest: float = math.inf
    ) -> list[FollowedEvent]:
        """Take events whose state is to be asked for, except of some municipalities; nobody else asks before `until`.

        What would be polled for more than `longest` seconds from now is polled for now: the clock was ahead.
        """
        latest = {"now": self._clock(), "latest": self._clock() + longest}
        values = {"now": self._clock(), "most": most, "until": until, "without": list(without)}

        def work(connection: Connection) -> list[FollowedEvent]:
            if math.isfinite(longest):
                connection.execute(sql.BRING_POLLS_FORWARD, latest)
            return [_followed(row) for row in connection.execute(sql.DUE_FOR_POLL, values)]

        return await self.store.write(work)

    async def read(self, message: int, *, next_poll: float) -> bool:
        """Write down that somebody has fetched an event."""
        return await self._change(sql.READ, message, MessageState.READ, next_poll=next_poll)

    async def acknowledged(self, message: int) -> bool:
        """Write down that an event is in the record; what it held is forgotten."""
        return await self._change(sql.ACKNOWLEDGED, message, MessageState.ACKNOWLEDGED)

    async def poll_again(self, message: int, *, next_poll: float, asked: bool = True) -> None:
        """Say when to ask for an event's state again, and whether it was asked now."""
        values = {"message": message, "next_poll": next_poll, "asked": int(asked)}
        await self.store.write(lambda connection: connection.execute(sql.POLL_AGAIN, values).rowcount)

    async def overdue(self, message: int, reason: str) -> bool:
        """Mark an event that was not acknowledged in time; return whether that is news."""
        values = {"message": message, "line": self.line(self._clock(), "overdue", reason)}
        return await self.store.write(lambda connection: connection.execute(sql.OVERDUE, values).rowcount == 1)

    async def _change(
        self, statement: Update, message: int, state: MessageState, reason: str = "", **values: Any
    ) -> bool:
        """Change a message's state; False when it was in none of those that the new one may follow."""
        everything = self._changed(message, state, reason, values)
        return await self.store.write(prepared.AskedFirst(statement, everything, _is_one))

    def _changed(self, message: int, state: MessageState, reason: str, also: dict[str, Any]) -> dict[str, Any]:
        line = self.line(self._clock(), state, reason)
        return {"message": message, "because": reason or None, "line": line, **also}

    def line(self, at: float, what: str, why: str = "") -> str:
        """Return one line of a history: when, on which node, what, and why."""
        second, microseconds = divmod(round(at * 1_000_000), 1_000_000)
        stamp = f"{_written(second)}.{microseconds // 1000:03d}+00:00"
        return f"{stamp} {self.node} {what} {' '.join(why.split()) if why else ''}\n"


@lru_cache(maxsize=256)
def _written(second: int) -> str:
    """Write a second since the epoch: all that a message's history says of its arrival is of one or two."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _is_one(_: Connection, cursor: Any) -> bool:
    """Whether a statement changed one message."""
    return bool(cursor.rowcount == 1)


def _itself(known: Known, arrival: Arrival, *, may_repeat: bool) -> Taken | Waiting | None:
    """Return an arrival that is there already, since nobody heard that it was committed and the work was run again; None for a copy."""
    if known.reference != arrival.reference or known.state not in PENDING:
        return None
    return Waiting(known.id, known.reference) if known.told else Taken(known.id, known.reference, may_repeat)


def _note_numbers(connection: Connection, message: int, numbers: Sequence[str]) -> None:
    """Have a message found by its patient's other numbers too."""
    if numbers:
        noted = insert_into(PATIENT_NUMBER, connection.dialect.name).on_conflict_do_nothing()
        connection.execute(noted, [{"message": message, "patient": number} for number in numbers])


def _due(*row: Any) -> Due:
    due = Due(*row)
    return structs.replace(due, resend_unclear=bool(due.resend_unclear))


def _known(row: Any) -> Known:
    return Known(
        row.id, row.reference, row.received_at, MessageState(row.state), row.told, row.event_id, row.delivered_at
    )


def _followed(row: Any) -> FollowedEvent:
    return FollowedEvent(**{**row._asdict(), "state": MessageState(row.state)})


def _after_loss(row: Any) -> MessageState:
    if not row.promised:
        return MessageState.REFUSED
    return MessageState.HELD if row.resend_unclear and row.attempts + 1 < MOST_ATTEMPTS else MessageState.QUARANTINED
