"""The table of states: which may follow which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.states import FIRST, FOLLOWED, NEXT, PENDING, State, before

FINAL = {State.ACKNOWLEDGED, State.DISCARDED, State.RETURNED, State.PASSED}


def test_every_state_says_what_may_follow() -> None:
    """None was forgotten in the table."""
    assert set(NEXT) == set(State)


def test_every_state_can_be_reached() -> None:
    """From those that a message begins in."""
    reached, new = set(FIRST), set(FIRST)
    while new:
        new = {later for state in new for later in NEXT[state]} - reached
        reached |= new
    assert reached == set(State)


def test_final_states_are_final_and_no_others_are() -> None:
    """A message that is in the record, discarded, returned or passed stays so."""
    assert {state for state in State if not NEXT[state]} == FINAL


def test_every_message_can_come_to_an_end() -> None:
    """From no state is there only a way in circles."""

    def ends(state: State, seen: frozenset[State]) -> bool:
        return state in FINAL or any(ends(later, seen | {later}) for later in NEXT[state] - seen)

    assert all(ends(state, frozenset({state})) for state in State)


@given(st.sampled_from(State), st.sampled_from(State))
def test_before_is_the_inverse(earlier: State, later: State) -> None:
    """What may follow a state has it among those that come before."""
    assert (earlier in before(later)) == (later in NEXT[earlier])


@pytest.mark.parametrize("state", State)
def test_nothing_becomes_what_it_is(state: State) -> None:
    """A change that is written twice is noticed."""
    assert state not in NEXT[state]


def test_what_is_followed_waits_for_nothing_but_news() -> None:
    """A delivered message is never pending again by itself: only what was to be returned goes back to where it was."""
    assert all(not NEXT[state] & set(PENDING) for state in FOLLOWED)
