"""Gateways that go away between any two steps, and people who act in between: what must hold whatever happens."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.ledger import cutovers, overrides
from gateway.ledger.database import Database, LedgerUnavailable, open_store
from gateway.migration.cutover import CANCELLABLE, NEXT, STARTABLE, Cutover, CutoverEvent, CutoverState
from gateway.migration.schedule import GRACE
from gateway.migration.scheduler import Scheduler
from tests.gateway.ledger.conftest import NOW, Clock
from tests.gateway.migration.cutovers.scene import AT, Site, config_of, submitted, with_approval

pytestmark = pytest.mark.slow

SWITCHED = {CutoverState.SWITCHED, CutoverState.WATCHING, CutoverState.FINISHED}


_LAID_OTHERWISE = ("submitted", "switched", "rolled_back", "cancelled", "refused")
"""Events after which other routes lie, or are planned to lie, over those of the file."""


class Crashing:
    """A store of a process that goes away when it has written so many times."""

    def __init__(self, store: Database, writes: int) -> None:
        self._store = store
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, work: Any) -> Any:
        """Write, or be gone."""
        if self._left <= 0:
            raise LedgerUnavailable("gone")
        self._left -= 1
        return await self._store.write(work)


class Crashes(RuleBasedStateMachine):
    """One cutover, nodes that come and go, a clock that runs, and people."""

    @initialize(clean=st.sampled_from([0, 200]))
    def begin(self, clean: int) -> None:
        """Approve a plan."""
        self.folder = tempfile.TemporaryDirectory()
        path, self.loop = Path(self.folder.name), asyncio.new_event_loop()
        self.clock = Clock()
        store = open_store("sqlite:///ledger.db", path, patience=0.0)
        self.site = Site(store, self.clock, config_of(path))
        self.is_rehearsed = clean > 0
        if clean:
            self.run(self.site.rehearsed(clean))
        self.run(self.site.add(with_approval(submitted())))
        self.started_at: list[float] = []
        self.last: Cutover | None = None
        self.nodes = 0

    def run(self, work: Any) -> Any:
        """Do something to its end."""
        return self.loop.run_until_complete(work)

    @rule(seconds=st.sampled_from([1.0, 30.0, 500.0, 900.0, 3500.0]))
    def time_goes_by(self, seconds: float) -> None:
        """Whether a node is there or not."""
        self.clock.now += seconds

    @rule(writes=st.integers(0, 8))
    def node_looks(self, writes: int) -> None:
        """Let a new process, which remembers nothing, look; it may go away in the middle."""
        self.nodes += 1
        runner = Scheduler(self._ledger(writes), lambda: self.site.config, self.clock)
        with suppress(LedgerUnavailable):
            self.run(runner.look())

    def _ledger(self, writes: int) -> Any:
        ledger = self.site.runner(f"node-{self.nodes}")._ledger
        ledger.store = Crashing(self.site.store, writes)  # type: ignore[assignment] # a double
        return ledger

    @rule(outcome=st.sampled_from(["accepted", "no-answer"]), times=st.integers(1, 30))
    def messages_come(self, outcome: str, times: int) -> None:
        """They are decided by the cutover while it is executed."""
        if self.last is not None and self.last.is_executed:
            self.run(self.site.decided(outcome, times))

    @rule(action=st.sampled_from(["start", "cancel"]))
    def person_acts(self, action: str) -> None:
        """Where the state allows it."""
        record = self.run(self.site.get())
        into, allowed = (
            (CutoverState.DRAINING, STARTABLE) if action == "start" else (CutoverState.CANCELLED, CANCELLABLE)
        )
        if record.state not in allowed or (action == "start" and not self.is_rehearsed):
            return
        event = CutoverEvent(self.clock.now, "node", into.value, "kari", action)
        self.run(self.site.put(record, record.moved(into, event)))
        if into is CutoverState.DRAINING:
            self.started_at.append(self.clock.now)

    @invariant()
    def its_routes_lie_over_the_files_exactly_while_it_is_switched(self) -> None:
        """In every moment, also between two steps."""
        if not hasattr(self, "site"):
            return
        record = self.run(self.site.get())
        executed = self.run(self.site.store.read(cutovers.executed))
        assert bool(executed) is (record.state in SWITCHED)
        version = self.run(self.site.store.read(overrides.layers_version))
        what = [event.what for event in record.history if event.what in _LAID_OTHERWISE]
        # What was refused is planned no more: to call it off changes nothing.
        assert version == len(what) - sum(pair == ("refused", "cancelled") for pair in pairwise(what))

    @invariant()
    def history_follows_the_table(self) -> None:
        """State by state, and none is skipped; what was rolled back stays so."""
        if not hasattr(self, "site"):
            return
        record = self.run(self.site.get())
        states = [
            CutoverState(event.what) for event in record.history if event.what in {each.value for each in CutoverState}
        ]
        assert all(later in NEXT[earlier] for earlier, later in pairwise(states))
        assert states[-1] is record.state
        if self.last is not None and self.last.state is CutoverState.ROLLED_BACK:
            assert record.state is CutoverState.ROLLED_BACK
        self.last = record

    @invariant()
    def nothing_switches_late_or_without_its_gate(self) -> None:
        """Only shortly after its time, or after a person has started it."""
        if self.last is None:
            return
        switched = [event.at for event in self.last.history if event.what == "switched"]
        assert len(switched) <= 1
        drained = [event for event in self.last.history if event.what == "draining"]
        for at in switched:
            assert self.is_rehearsed
            assert at <= drained[-1].at + GRACE
            assert drained[-1].by is not None or AT <= drained[-1].at <= AT + GRACE

    def teardown(self) -> None:
        """Close everything."""
        if hasattr(self, "site"):
            self.run(self.site.store.close())
            self.loop.close()
            self.folder.cleanup()


assert NOW < AT
Crashes.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
test_crashes_between_any_two_steps = Crashes.TestCase
