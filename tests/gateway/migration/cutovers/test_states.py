"""The table of a cutover's states: which may follow which."""

from __future__ import annotations

import pytest

from gateway.ledger import cutovers
from gateway.migration.cutover import CANCELLABLE, CHANGEABLE, EXECUTED, NEXT, STARTABLE, WAITING, CutoverState


def test_every_state_says_what_may_follow() -> None:
    """None was forgotten in the table."""
    assert set(NEXT) == set(CutoverState)


def test_every_state_can_be_reached() -> None:
    """From where every cutover begins."""
    reached, new = {CutoverState.SUBMITTED}, {CutoverState.SUBMITTED}
    while new:
        new = {later for state in new for later in NEXT[state]} - reached
        reached |= new
    assert reached == set(CutoverState)


def test_a_rollback_is_for_good() -> None:
    """Nothing switches again what was rolled back, and nothing but a switch leads there."""
    assert not NEXT[CutoverState.ROLLED_BACK]
    assert {state for state, later in NEXT.items() if CutoverState.ROLLED_BACK in later} == EXECUTED


def test_only_what_was_drained_switches() -> None:
    """And only what people approved, or a person starts, is drained."""
    assert [state for state, later in NEXT.items() if CutoverState.SWITCHED in later] == [CutoverState.DRAINING]
    assert {CutoverState.APPROVED, CutoverState.MISSED} == STARTABLE


@pytest.mark.parametrize("state", sorted(EXECUTED))
def test_what_is_executed_is_neither_changed_nor_cancelled(state: CutoverState) -> None:
    """Only rolled back."""
    assert state not in CHANGEABLE | CANCELLABLE | STARTABLE


def test_the_ledger_names_the_same_states() -> None:
    """It has them as texts, since it is below."""
    assert set(cutovers.EXECUTED) == {state.value for state in EXECUTED}
    assert set(cutovers.WAITING) == {state.value for state in WAITING}
    assert set(cutovers.WORKED_ON) <= {state.value for state in CutoverState}
