"""Two processes that send back to VKP, and end at any moment: no message goes twice."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.ledger import message_actions
from gateway.ledger.audit import Note
from gateway.ledger.database import open_store
from gateway.ledger.messages import Ledger
from gateway.ledger.records import NEXT, MessageState, Waiting
from gateway.ledger.returns import Returns
from tests.gateway.ledger.conftest import (
    NOW,
    UNTIL,
    WINDOW,
    Clock,
    arrival,
    history,
    payload,
    row,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = pytest.mark.slow

R4 = {"surface": "vkp-r4"}


class GoingBack(RuleBasedStateMachine):
    """Two processes that return, deliver, follow, and end at any moment; VKP remembers what it may have."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory()
        self._clock = Clock()
        self._store = open_store("sqlite:///ledger.db", Path(self._folder.name), patience=0.0)
        self._nodes = ["node-0", "node-1"]
        self._number = len(self._nodes)
        self._messages: list[int] = []
        self._with: dict[int, tuple[str, MessageState]] = {}
        """Messages that a process has taken: which, and where they were."""
        self._sent: set[int] = set()
        """Those of them that VKP may have by now."""
        self._times: dict[int, int] = {}
        """How often VKP may have got a message."""
        self._released: set[int] = set()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def ledger(self, node: str) -> Ledger:
        return Ledger(self._store, node, self._clock)

    def returns(self, node: str) -> Returns:
        return Returns(self.ledger(node), self._clock)

    def state(self, message: int) -> MessageState:
        return MessageState(self.do(row(self.ledger("test"), message)).state)

    def pick(self, messages: Any, index: int) -> Any:
        ordered = sorted(messages)
        return ordered[index % len(ordered)] if ordered else None

    @initialize()
    def first(self) -> None:
        self.arrives(held=False)

    @rule(held=st.booleans())
    def arrives(self, *, held: bool) -> None:
        reference, node = f"m{len(self._messages)}", self.ledger(self._nodes[0])
        if held:
            found = self.do(node.arrive(arrival(reference, **R4), payload, until=UNTIL, window=WINDOW, wait=True))
            assert isinstance(found, Waiting)
            self._messages.append(found.id)
            return
        message = self.do(taken(node, reference, **R4))
        self.do(node.delivered(message, f"event-{message}", "Bundle", next_poll=self._clock.now))
        self._messages.append(message)

    @rule(index=st.integers(0, 99), which=st.integers(0, 1), by_person=st.booleans())
    def takes(self, index: int, which: int, *, by_person: bool) -> None:
        message, node = self.pick(self._messages, index), self._nodes[which]
        was = self.state(message)
        # Whoever has held it again and then sends it to VKP has decided twice.
        by_person = by_person and message not in self._released
        take = self.returns(node).take
        if self.do(take(message, was, until=self._clock.now + 30, by_person=by_person)) is not None:
            assert was in (MessageState.DELIVERED, MessageState.HELD) or by_person
            assert message not in self._with
            assert not self._times.get(message), "taken again though VKP may have it"
            self._with[message] = (node, was)

    @rule(index=st.integers(0, 99))
    def sends(self, index: int) -> None:
        message = self.pick(self._with.keys() - self._sent, index)
        if message is not None:
            self._sent.add(message)
            self._times[message] = self._times.get(message, 0) + 1

    @rule(index=st.integers(0, 99), fate=st.sampled_from(["accepted", "refused", "unclear"]))
    def writes(self, index: int, fate: str) -> None:
        message = self.pick(self._sent, index)
        if message is None:
            return
        node, was = self._with.pop(message)
        self._sent.discard(message)
        returns = self.returns(node)
        if fate == "accepted":
            self.do(returns.returned(message, 200))
        elif fate == "unclear":
            self.do(returns.unclear(message))
        else:
            # VKP's own word: it has not got it.
            self._times[message] -= 1
            if not self.do(returns.not_returned(message, was, "refused", due=self._clock.now)):
                assert self.state(message) is MessageState.QUARANTINED

    @rule(index=st.integers(0, 99))
    def is_released(self, index: int) -> None:
        message = self.pick(self._messages, index)
        if self.state(message) is MessageState.QUARANTINED:
            note = Note(NOW, "node", "olga", "quarantine.release", "")
            line = self.ledger("test").line(NOW, MessageState.HELD)
            reference = f"m{self._messages.index(message)}"
            done = self.do(self._store.write(lambda each: message_actions.release(each, reference, None, note, line)))
            if isinstance(done, message_actions.Done):
                self._released.add(message)

    @rule(index=st.integers(0, 99))
    def is_read(self, index: int) -> None:
        message = self.pick(self._messages, index)
        self.do(self.ledger("test").read(message, next_poll=self._clock.now))

    @rule(which=st.integers(0, 1))
    def is_delivered(self, which: int) -> None:
        node = self.ledger(self._nodes[which])
        for due in self.do(node.claim(1, until=self._clock.now + 30)):
            assert due.id not in self._with
            self.do(node.delivered(due.id, f"event-{due.id}", "Bundle", next_poll=self._clock.now))

    @rule(which=st.integers(0, 1))
    def ends_and_starts(self, which: int) -> None:
        gone, self._nodes[which] = self._nodes[which], f"node-{self._number}"
        self._number += 1
        self._with = {message: (node, was) for message, (node, was) in self._with.items() if node != gone}
        self._sent &= self._with.keys()

    @rule(which=st.integers(0, 1), late=st.booleans())
    def recovers(self, which: int, *, late: bool) -> None:
        self._clock.now += 100 if late else 1
        self.do(self.returns(self._nodes[which]).recover(alone=False))

    @invariant()
    def vkp_gets_each_at_most_once(self) -> None:
        assert all(times <= 1 for times in self._times.values())

    def every_change_is_allowed(self) -> None:
        for message in self._messages:
            steps = [what for _, what, _ in self.do(history(self.ledger("test"), message))]
            states = [MessageState(what) for what in steps if what in set(MessageState)]
            assert all(later in NEXT[earlier] for earlier, later in itertools.pairwise(states) if later != earlier)

    def teardown(self) -> None:
        self.every_change_is_allowed()
        self.do(self._store.close())
        self._loop.close()
        self._folder.cleanup()


TestGoingBack = GoingBack.TestCase
TestGoingBack.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
