"""A small world around a ledger: senders, a JFT that keeps what it got, nodes that die; and what must hold in it always."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, select

from gateway.ledger.messages import LEASE, Ledger
from gateway.ledger.records import NEXT, PENDING, RECEIVED, UNFINISHED, MessageState
from gateway.ledger.tables import MESSAGE
from gateway.times import Clock
from tests.gateway.ledger.conftest import NOW, WINDOW, payload

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from gateway.ledger.database import Database

FIRST = (MessageState.HELD, MessageState.DELIVERING, MessageState.PASSED)
SET_ASIDE = (MessageState.QUARANTINED, MessageState.DISCARDED)
AT_THE_SERVICE = (MessageState.DELIVERED, MessageState.READ, MessageState.ACKNOWLEDGED)
WITHOUT_PAYLOAD = (MessageState.REFUSED, MessageState.ACKNOWLEDGED, MessageState.DISCARDED)


@dataclass(frozen=True, eq=False)
class Message:
    """What a sender sends, once or again and again; its route's policies do not change."""

    number: int
    patient: str | None
    promised: bool
    resend: bool
    is_named: bool
    """Whether it has an id by which it is known again."""


class Sent(Enum):
    """What came of sending, as the node sees it."""

    ACCEPTED = auto()
    REFUSED = auto()
    """The service does not take this message."""
    FAILED = auto()
    """The service failed, and perhaps because of this message."""
    AWAY = auto()
    """Nothing reached the service."""
    LOST = auto()
    """No answer: whether the service has it is not known."""


@dataclass(eq=False)
class Flight:
    """One attempt to deliver a message: it is in the memory of a node, and gone with it."""

    node: Ledger
    row: int
    until: float
    """Nothing is sent from then on."""
    is_inline: bool
    """Whether its sender waits."""
    sent: Sent | None = None

    def holds(self, now: float) -> bool:
        """Tell whether its node may still take the message for its own."""
        return now <= self.until + LEASE


@dataclass
class World:
    """Everything outside of the ledger, and what was seen of the ledger from there."""

    store: Database
    loop: asyncio.AbstractEventLoop
    is_alone: bool
    """Whether one process has the ledger at a time."""
    now: float = NOW
    nodes: list[Ledger] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    message_of: dict[int, Message] = field(default_factory=dict)
    """By row."""
    received: dict[int, float] = field(default_factory=dict)
    latest: dict[Message, int] = field(default_factory=dict)
    """The row of a message's copies."""
    at_jft: Counter[int] = field(default_factory=Counter)
    """How often JFT has each."""
    written: set[int] = field(default_factory=set)
    """Whose delivery a node has written, or tried to."""
    released: set[int] = field(default_factory=set)
    told: dict[int, int] = field(default_factory=dict)
    """Whose senders were told of success, and when: a count of what happened."""
    arrived: dict[int, int] = field(default_factory=dict)
    """When each came last."""
    events: int = 0
    names: set[str] = field(default_factory=set)
    histories: dict[int, str] = field(default_factory=dict)
    states: set[str] = field(default_factory=set)
    """Of all messages, when last checked."""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something of a node."""
        return self.loop.run_until_complete(work)

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """Do something to the database."""
        return self.run(self.store.write(work))

    def rows(self) -> dict[int, Row[Any]]:
        """Return all messages of the ledger."""
        found = self.run(self.store.read(lambda connection: connection.execute(select(MESSAGE)).all()))
        return {row.id: row for row in found}

    def empty(self) -> None:
        """Begin with a ledger that has nothing."""
        self.write(lambda connection: connection.execute(delete(MESSAGE)).rowcount)

    def start(self) -> None:
        """Start a node, by a name that no other ever had."""
        self.nodes.append(Ledger(self.store, f"node-{len(self.names)}", Clock(lambda: self.now, lambda: self.now)))
        self.names.add(self.nodes[-1].node)

    def kill(self, node: Ledger) -> None:
        """Have a node vanish with all that it knows."""
        self.nodes.remove(node)
        self.flights = [flight for flight in self.flights if flight.node is not node]

    def happened(self) -> int:
        """Count an event; what happens later has a larger number."""
        self.events += 1
        return self.events

    def tell_success(self, row: int) -> None:
        """Have the sender of a message know that it succeeded."""
        self.told.setdefault(row, self.happened())

    def begin(self, message: Message, row: int) -> bool:
        """Note that a message is taken or held; return whether that is a row of its own."""
        is_new = row not in self.message_of
        earlier = self.latest.get(message) if message.is_named else None
        if is_new:
            assert earlier is None or self.now - self.received[earlier] > WINDOW, "a copy was not known"
            assert earlier is None or self.rows()[earlier].state not in UNFINISHED, "beside one that is not done"
            self.message_of[row], self.received[row], self.latest[message] = message, self.now, row
        else:
            assert earlier == row, "a copy of another message"
        self.arrived[row] = self.happened()
        return is_new

    def fly(self, node: Ledger, row: int, until: float, *, is_inline: bool) -> None:
        """Have a node deliver a message."""
        holders = [flight for flight in self.flights if flight.row == row and flight.holds(self.now)]
        assert not holders, "two owners"
        # By its deadline a node has written what came of sending; what JFT has accepted may still wait for that.
        ended = [one for one in self.flights if (one.row, one.node) == (row, node) and one.sent is not Sent.ACCEPTED]
        self.flights = [one for one in self.flights if one not in ended]
        self.flights.append(Flight(node, row, until, is_inline))

    def accept(self, row: int) -> None:
        """Have JFT take a message."""
        message, rows = self.message_of[row], self.rows()
        for earlier, other in self.message_of.items():
            if earlier in self.released:
                continue  # set aside it lost its place: others may be under way when a person releases it
            is_before = earlier < row and self.told.get(earlier, self.events) < self.arrived[row]
            if is_before and message.promised and message.patient is not None and other.patient == message.patient:
                assert self.at_jft[earlier] or rows[earlier].state not in PENDING, "it overtook an earlier one"
        self.at_jft[row] += 1

    def check(self) -> None:
        """Check what must hold whenever nothing is being written."""
        rows = self.rows()
        self.states = {row.state for row in rows.values()}
        assert rows.keys() == self.message_of.keys(), "a row is missing, or more than one was made"
        for row in rows.values():
            self._check_history(row)
            self._check_row(row)
        for number in self.told:
            row, message = rows[number], self.message_of[number]
            kept = message.promised and row.state in (*PENDING, *SET_ASIDE)
            assert self.at_jft[number] or kept, "promised, and nowhere"
        holders = Counter(flight.row for flight in self.flights if flight.holds(self.now))
        assert all(number == 1 for number in holders.values()), "two owners"

    def _check_row(self, row: Row[Any]) -> None:
        message, state, delivered = self.message_of[row.id], MessageState(row.state), self.at_jft[row.id]
        assert (state is MessageState.DELIVERING) <= (row.owner in self.names and row.lease is not None)
        assert (row.payload is not None) or state not in (*PENDING, MessageState.QUARANTINED)
        assert (row.payload is None) or state not in WITHOUT_PAYLOAD
        assert row.payload in (None, payload(row.reference)), "sealed for another"
        assert delivered or state not in AT_THE_SERVICE, "delivered, and not there"
        assert row.reason or state not in (*SET_ASIDE, MessageState.REFUSED), "set aside without a reason"
        # What may be there already is never tried again as if it were not.
        is_told = row.possible_duplicate or (state is MessageState.REFUSED and row.reason == "unclear")
        assert not delivered or is_told or state not in (MessageState.HELD, MessageState.REFUSED)
        assert delivered < 2 or row.possible_duplicate, "delivered twice, and not marked"
        may_repeat = message.resend or not message.promised or row.id in self.released
        assert delivered < 2 or may_repeat, "delivered twice"

    def _check_history(self, row: Row[Any]) -> None:
        assert row.history.startswith(self.histories.get(row.id, "")), "a history was rewritten"
        self.histories[row.id] = row.history
        lines = [line.split(" ", 3) for line in row.history.splitlines()]
        times = [datetime.fromisoformat(line[0]).timestamp() for line in lines]
        assert times == sorted(times)
        assert times[-1] <= self.now
        assert {line[1] for line in lines} <= self.names
        # A repeat takes over what was with a process that is gone.
        taken_over = [MessageState.DELIVERING, "repeated by its sender"]
        lines = [
            each
            for before, each in pairwise([lines[0], *lines])
            if not (before[2] == each[2] and each[2:] == taken_over)
        ]
        first, *states = [line[2] for line in lines if line[2] != "overdue"]
        assert first == RECEIVED
        assert states[0] in FIRST
        assert all(later in NEXT[MessageState(earlier)] for earlier, later in pairwise(states))
        assert states[-1] == row.state
