"""The table of states: which may follow which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.records import FOLLOWED, NEXT, PENDING, MessageState, before
from tests.gateway.ledger.world import FIRST

FINAL = {MessageState.ACKNOWLEDGED, MessageState.DISCARDED, MessageState.RETURNED, MessageState.PASSED}


def test_every_state_says_what_may_follow() -> None:
    """None was forgotten in the table."""
    assert set(NEXT) == set(MessageState)


def test_every_state_can_be_reached() -> None:
    """From those that a message begins in."""
    reached, new = set(FIRST), set(FIRST)
    while new:
        new = {later for state in new for later in NEXT[state]} - reached
        reached |= new
    assert reached == set(MessageState)


def test_final_states_are_final_and_no_others_are() -> None:
    """A message that is in the record, discarded, returned or passed stays so."""
    assert {state for state in MessageState if not NEXT[state]} == FINAL


def test_every_message_can_come_to_an_end() -> None:
    """From no state is there only a way in circles."""

    def ends(state: MessageState, seen: frozenset[MessageState]) -> bool:
        return state in FINAL or any(ends(later, seen | {later}) for later in NEXT[state] - seen)

    assert all(ends(state, frozenset({state})) for state in MessageState)


@given(st.sampled_from(MessageState), st.sampled_from(MessageState))
def test_before_is_the_inverse(earlier: MessageState, later: MessageState) -> None:
    """What may follow a state has it among those that come before."""
    assert (earlier in before(later)) == (later in NEXT[earlier])


@pytest.mark.parametrize("state", MessageState)
def test_nothing_becomes_what_it_is(state: MessageState) -> None:
    """A change that is written twice is noticed."""
    assert state not in NEXT[state]


def test_what_is_followed_waits_for_nothing_but_news() -> None:
    """A delivered message is never pending again by itself: only what was to be returned goes back to where it was."""
    assert all(not NEXT[state] & set(PENDING) for state in FOLLOWED)
