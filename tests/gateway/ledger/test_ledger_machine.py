"""The ledger in a world where answers are lost and nodes die at every step: what was promised is delivered, and once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.ledger import message_actions
from gateway.ledger.audit import Note
from gateway.ledger.records import MOST_ATTEMPTS, UNFINISHED, Known, MessageState, Taken, Waiting
from gateway.ledger.retention import RetentionTimes, purge
from tests.gateway.ledger.conftest import NOW, WINDOW, arrival, next_due, payload
from tests.gateway.ledger.world import AT_THE_SERVICE, SET_ASIDE, Flight, Message, Sent, World

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from sqlalchemy import Row

    from gateway.ledger.database import Database
    from gateway.ledger.messages import Ledger

pytestmark = pytest.mark.slow

TIMEOUT = 30.0
RETENTION = 400.0
"""Seconds for which payloads are kept."""
POLICIES = [(True, False), (True, True), (False, False)]
"""Whether a message is promised, and whether it is sent again when nobody knows."""
WHICH = st.integers(0, 99)
"""Which of what there is."""
SECONDS = st.sampled_from([0.0, 0.0, 11.0, 61.0])
"""At once, or when a pause is over, or a lease."""


@dataclass(frozen=True)
class Try:
    """How far a node comes at once: to what it has sent, and to what it has written; and what comes of it."""

    steps: int
    which: int
    """Of what may come of sending in this world."""
    reaches: bool
    """Whether JFT has it where the answer is lost."""


TRIES = st.builds(Try, st.sampled_from([2, 2, 1, 0]), WHICH, st.booleans())


class LedgerMachine(RuleBasedStateMachine):
    """Each rule is one step of one process; between any two of them a node may die."""

    def __init__(self, store: Database, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.world = World(store, loop, is_alone=True)
        self.messages: list[Message] = []
        self.weather: list[Sent] = []
        """What may come of sending."""
        self.world.empty()
        self.world.start()

    @initialize(
        is_alone=st.booleans(),
        policies=st.sampled_from(POLICIES),
        others=st.sampled_from([*POLICIES, None, None]),
        weather=st.lists(st.sampled_from(Sent), min_size=2, max_size=4, unique=True),
    )
    def begin(
        self,
        is_alone: bool,
        policies: tuple[bool, bool],
        others: tuple[bool, bool] | None,
        weather: list[Sent],
    ) -> None:
        """Have one node, or two that share the ledger; and few of everything, so that much happens to each message."""
        self.weather = weather
        self.world.is_alone = is_alone
        if not is_alone:
            self.world.start()
        some = [
            ("anna", policies),
            ("anna", policies),
            ("anna", others or policies),
            ("berit", policies),
            (None, policies),
        ]
        self.messages = [Message(number, patient, *both, number != 4) for number, (patient, both) in enumerate(some)]

    def node(self, which: int) -> Ledger:
        """Return one of the nodes."""
        return self.world.nodes[which % len(self.world.nodes)]

    # Senders

    @rule(
        message=st.sampled_from([0, 0, 1, 1, 2, 3, 4]),
        which=WHICH,
        seconds=SECONDS,
        is_copy=st.booleans(),
        wait=st.sampled_from([False, False, True]),
        try_=TRIES,
    )
    def arrive(self, *, message: int, which: int, seconds: float, is_copy: bool, wait: bool, try_: Try) -> None:
        """Have a message arrive at a node after a while, first or again, and the node come so far with it."""
        self.world.now += seconds
        wanted = self.messages[message]
        if not is_copy and self.world.told.keys() >= {self.world.latest.get(wanted)}:
            # Its sender has no more to do with it.
            wanted = self.messages[message] = replace(wanted, number=self.world.happened() + len(self.messages))
        if self._arrive(wanted, which, wait=wait):
            self._go_on(self.world.flights[-1:], try_)

    @precondition(lambda self: self.world.latest)
    @rule(which=WHICH, tries=st.lists(TRIES, min_size=5, max_size=5))
    def insist(self, which: int, tries: list[Try]) -> None:
        """Have every sender repeat what it was not told the success of."""
        for message, try_ in zip(self.messages, tries, strict=True):
            row = self.world.latest.get(message)
            is_open = row is not None and row not in self.world.told
            if is_open and self._arrive(message, which, wait=False):
                self._go_on(self.world.flights[-1:], try_)

    def _arrive(self, message: Message, which: int, *, wait: bool) -> bool:
        """Have a message arrive; return whether the node is to send it."""
        world, node = self.world, self.node(which)
        until = world.now + TIMEOUT
        name = f"{message.number}" if message.is_named else None
        arriving = arrival(
            f"reference-{world.happened()}",
            received_at=world.now,
            patient=message.patient,
            identity=name,
            copy=name,
            promised=message.promised,
            resend_unclear=message.resend,
        )
        found = world.run(node.arrive(arriving, payload, until=until, window=WINDOW, wait=wait))
        match found:
            case Known():
                assert found.id == world.latest[message]
                since = max(world.received[found.id], found.delivered_at or 0.0)
                assert world.now - since <= WINDOW or found.state in UNFINISHED
                assert found.is_success or found.state is MessageState.DELIVERING
                if found.is_success:
                    world.tell_success(found.id)
            case Waiting():
                assert message.promised
                world.begin(message, found.id)
                world.tell_success(found.id)
            case Taken():
                world.begin(message, found.id)
                assert not world.at_jft[found.id] or found.possible_duplicate
                world.fly(node, found.id, until, is_inline=True)
        return isinstance(found, Taken)

    # Nodes

    @precondition(lambda self: self.world.flights)
    @rule(which=WHICH, try_=TRIES)
    def go_on(self, which: int, try_: Try) -> None:
        """Have a node come further with what it delivers."""
        self._go_on([self.world.flights[which % len(self.world.flights)]], try_)

    @precondition(lambda self: self.world.flights)
    @rule(which=WHICH, whose=WHICH, is_repeated=st.booleans(), try_=TRIES)
    def wake_late(self, which: int, whose: int, is_repeated: bool, try_: Try) -> None:
        """Have a node sleep with what it delivers, beyond its lease, until another has taken that over."""
        flight = self.world.flights[which % len(self.world.flights)]
        self._go_on([flight], replace(try_, steps=int(flight.sent is None)))
        self.recover(whose, 61.0)
        if is_repeated:
            self._arrive(self.world.message_of[flight.row], whose, wait=False)
        else:
            self._claim(whose, 4)
        self._go_on([flight], try_)

    def _go_on(self, flights: list[Flight], try_: Try) -> None:
        for flight in flights:
            for _ in range(try_.steps):
                if flight.sent is None:
                    self._send(flight, self.weather[try_.which % len(self.weather)], reaches=try_.reaches)
                elif flight in self.world.flights:
                    self._conclude(flight)

    def _send(self, flight: Flight, sent: Sent, *, reaches: bool) -> None:
        """Send a message; of one whose answer is lost JFT may have it."""
        flight.sent = sent if self.world.now < flight.until else Sent.AWAY
        if flight.sent is Sent.ACCEPTED or (flight.sent is Sent.LOST and reaches):
            self.world.accept(flight.row)

    def _conclude(self, flight: Flight) -> None:
        """Write down what came of sending, and tell it to the sender."""
        self.world.flights.remove(flight)
        if flight.sent is Sent.ACCEPTED:
            self._delivered(flight)
        else:
            self._not_delivered(flight)

    def _delivered(self, flight: Flight) -> None:
        self.world.written.add(flight.row)
        event_id = f"event-{flight.row}"
        self.world.run(flight.node.delivered(flight.row, event_id, "Task", next_poll=self.world.now + 5))
        self.world.tell_success(flight.row)
        known = self.world.rows()[flight.row].state
        assert known in (*AT_THE_SERVICE, MessageState.DISCARDED), "known to be delivered, and not written"

    def _not_delivered(self, flight: Flight) -> None:
        message, is_lost = self.world.message_of[flight.row], flight.sent is Sent.LOST
        is_last = flight.sent is Sent.REFUSED or (is_lost and not message.resend)
        reason = "unclear" if is_lost else "away"
        row = self.world.rows()[flight.row]
        is_ours = row.state == MessageState.DELIVERING and row.owner == flight.node.node
        if flight.is_inline and (not message.promised or flight.sent is Sent.REFUSED):
            done = self.world.run(flight.node.refused(flight.row, reason))
        elif is_last:
            done = self.world.run(flight.node.quarantined(flight.row, reason))
        else:
            again, counted = self.world.now + 10, flight.sent is Sent.FAILED
            held = flight.node.held(flight.row, reason, next_try=again, counted=counted, unclear=is_lost)
            done = self.world.run(held)
        assert done == is_ours, "given back by another than its owner"
        if flight.is_inline and message.promised and flight.sent is not Sent.REFUSED:
            self.world.tell_success(flight.row)

    @precondition(lambda self: any(flight.sent is Sent.ACCEPTED for flight in self.world.flights))
    @rule(which=WHICH)
    def tell_before_it_is_written(self, which: int) -> None:
        """Tell a sender of success while the ledger cannot be written: the node has it in its memory only."""
        some = [flight for flight in self.world.flights if flight.sent is Sent.ACCEPTED]
        self.world.tell_success(some[which % len(some)].row)

    @precondition(lambda self: MessageState.HELD in self.world.states)
    @rule(which=WHICH, most=st.integers(1, 4), seconds=SECONDS, try_=TRIES)
    def claim(self, which: int, most: int, seconds: float, try_: Try) -> None:
        """Have a node take what is due after a while, and come so far with it."""
        self.world.now += seconds
        self._go_on(self._claim(which, most), try_)

    def _claim(self, which: int, most: int) -> list[Flight]:
        node, until = self.node(which), self.world.now + TIMEOUT
        found = self.world.run(node.claim(most, until=until))
        assert len(found) <= most
        patients = [patient for due in found if (patient := self.world.message_of[due.id].patient)]
        assert len(patients) == len(set(patients))
        for due in found:
            assert due.payload == payload(due.reference)
            assert due.id not in self.world.written, "known to be delivered, and sent again"
            self.world.fly(node, due.id, until, is_inline=False)
        return self.world.flights[-len(found) :] if found else []

    @precondition(lambda self: self.world.flights)
    @rule(which=WHICH)
    def crash(self, which: int) -> None:
        """Kill a node wherever it is, and start another in its place."""
        self.world.kill(self.node(which))
        self.world.start()

    @precondition(lambda self: MessageState.DELIVERING in self.world.states)
    @rule(which=WHICH, seconds=SECONDS)
    def recover(self, which: int, seconds: float) -> None:
        """Have a node take up, after a while, what was with processes that are gone."""
        self.world.now += seconds
        world, before = self.world, self.world.rows()
        for each in world.run(self.node(which).recover(alone=world.is_alone)):
            message = world.message_of[each.id]
            is_tried_again = message.resend and before[each.id].attempts + 1 < MOST_ATTEMPTS
            promised = MessageState.HELD if is_tried_again else MessageState.QUARANTINED
            assert each.state is (promised if message.promised else MessageState.REFUSED)
            assert not [flight for flight in world.flights if flight.row == each.id and flight.holds(world.now)]

    @precondition(lambda self: self.world.written)
    @rule(which=WHICH, news=st.sampled_from(["nothing", "read", "acknowledged", "overdue"]))
    def follow(self, which: int, news: str) -> None:
        """Have a node ask what became of events."""
        world, node = self.world, self.node(which)
        for followed in world.run(node.due_for_poll(2, until=world.now + 60, without=())):
            if news == "acknowledged":
                assert world.run(node.acknowledged(followed.id))
            elif news == "overdue":
                assert world.run(node.overdue(followed.id, "not read")) is not followed.overdue
            elif news == "read" and followed.state is MessageState.DELIVERED:
                assert world.run(node.read(followed.id, next_poll=world.now + 5))
            else:
                world.run(node.poll_again(followed.id, next_poll=world.now + 5))

    # Time and people

    @rule(seconds=st.sampled_from([31.0, 61.0, RETENTION + 1, WINDOW + 1]))
    def wait(self, seconds: float) -> None:
        """Have time pass: beyond a deadline, beyond a lease, beyond what is kept, beyond the window."""
        self.world.now += seconds

    @precondition(lambda self: self.world.now > NOW + RETENTION and self.world.latest)
    @rule(which=WHICH)
    def clear_away(self, which: int) -> None:
        """Have a node clear away what has been kept long enough; receipts are kept."""
        world, node = self.world, self.node(which)
        times = RetentionTimes(world.now - RETENTION, 0.0, 0.0, 0.0)
        told = world.run(
            purge(world.store, times, lambda state, why: node.line(world.now, state, why), lambda *_: None)
        )
        references = {row.reference: row.state for row in world.rows().values()}
        assert all(references[reference] == MessageState.DISCARDED for reference, _ in told.discarded)

    @precondition(lambda self: MessageState.QUARANTINED in self.world.states)
    @rule(
        which=WHICH,
        whose=WHICH,
        decision=st.sampled_from([message_actions.release, message_actions.release, message_actions.discard]),
    )
    def decide(self, which: int, whose: int, decision: Callable[..., Any]) -> None:
        """Have a person release or discard what is in quarantine."""
        quarantined = [row for row in self.world.rows().values() if row.state == MessageState.QUARANTINED]
        node, row = self.node(whose), quarantined[which % len(quarantined)]
        into = MessageState.HELD if decision is message_actions.release else MessageState.DISCARDED
        note = Note(self.world.now, node.node, "someone", "decide", row.reference)
        line = node.line(self.world.now, into, "decided")
        done = self.world.write(lambda connection: decision(connection, row.reference, None, note, line))
        assert isinstance(done, message_actions.Done)
        if into is MessageState.HELD:
            self.world.released.add(row.id)

    @invariant()
    def holds(self) -> None:
        """Check everything that must hold."""
        self.world.check()

    # The end

    def teardown(self) -> None:
        """Kill everything; then one node that lives has delivered, in the end, what was promised."""
        world = self.world
        for node in list(world.nodes):
            world.kill(node)
        world.start()
        self.weather = [Sent.ACCEPTED]
        world.now += 2 * TIMEOUT + 1
        self.recover(0, 0.0)
        self.holds()
        for _ in range(10 * len(world.message_of) + 10):
            self._go_on(self._claim(0, 4), Try(2, 0, reaches=True))
            if (due := world.run(next_due(self.node(0)))) is None:
                break
            world.now = max(world.now, due)
        self.holds()
        rows = world.rows()
        assert {MessageState(row.state) for row in rows.values()} <= {*AT_THE_SERVICE, *SET_ASIDE, MessageState.REFUSED}
        assert all(self._is_kept(rows[number]) for number in world.told)

    def _is_kept(self, row: Row[Any]) -> bool:
        return self.world.at_jft[row.id] > 0 or (row.state in SET_ASIDE and bool(row.reason))


def test_what_is_promised_is_delivered_and_once_whatever_dies(fast: Database, loop: asyncio.AbstractEventLoop) -> None:
    """Each message told of success is at JFT once, or set aside with its reason; or twice, and marked, where that may be."""
    chosen = settings(
        max_examples=50 if fast.is_sqlite else 12,
        stateful_step_count=100,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(lambda: LedgerMachine(fast, loop), settings=chosen)  # type: ignore[arg-type] # it takes what makes one
