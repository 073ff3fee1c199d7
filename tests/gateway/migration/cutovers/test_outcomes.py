"""Watching after the switch: what counts as failed, and a rollback that is latched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.plans import RollBackWhen
from gateway.errors import Fault
from gateway.migration.gates import FAILED, FINE, GateDecision, Outcomes, judge_outcomes, outcomes_of

RULE = RollBackWhen(0.05, 20, 900.0)
OUTCOMES = st.builds(Outcomes, st.integers(0, 500), st.integers(0, 500))


@pytest.mark.parametrize(
    ("fine", "failed", "verdict"),
    [(19, 1, GateDecision.ROLL_BACK), (20, 1, GateDecision.GO_ON), (0, 19, GateDecision.GO_ON), (0, 20, GateDecision.ROLL_BACK), (500, 0, GateDecision.GO_ON)],
)  # fmt: skip
def test_its_own_rule_decides(fine: int, failed: int, verdict: GateDecision) -> None:
    """5 % of at least 20 messages."""
    assert judge_outcomes(RULE, Outcomes(fine, failed), 0, 10) is verdict


@pytest.mark.parametrize(
    ("fine", "waiting", "verdict"),
    [(12, 12, GateDecision.GO_ON), (20, 20, GateDecision.ROLL_BACK), (40, 20, GateDecision.ROLL_BACK), (41, 20, GateDecision.GO_ON), (40, 0, GateDecision.GO_ON)],
)  # fmt: skip
def test_what_is_held_and_not_delivered_rolls_back(fine: int, waiting: int, verdict: GateDecision) -> None:
    """Where the rule says so; without `held_at_least` nothing fails while the service is away."""
    assert judge_outcomes(RollBackWhen(0.05, 20, 900.0, 0.5), Outcomes(fine, 0, waiting), 0, 10) is verdict
    assert judge_outcomes(RULE, Outcomes(fine, 0, waiting), 0, 10) is GateDecision.GO_ON


def test_it_is_done_after_its_time() -> None:
    """And not before; a failure in the last moment still counts."""
    assert judge_outcomes(RULE, Outcomes(100, 0), 0, 899) is GateDecision.GO_ON
    assert judge_outcomes(RULE, Outcomes(100, 0), 0, 900) is GateDecision.DONE
    assert judge_outcomes(RULE, Outcomes(0, 100), 0, 900) is GateDecision.ROLL_BACK
    assert judge_outcomes(None, Outcomes(0, 100), 0, 0) is GateDecision.DONE


def test_without_a_failure_nothing_is_rolled_back() -> None:
    """Not even by a rule that tolerates none."""
    assert judge_outcomes(RollBackWhen(0.0, 1, 900.0), Outcomes(5, 0), 0, 0) is GateDecision.GO_ON


@given(st.lists(st.tuples(OUTCOMES, st.floats(0, 60)), min_size=1))
def test_what_once_said_roll_back_never_says_anything_else(seen: list[tuple[Outcomes, float]]) -> None:
    """However well messages go afterwards, and however long it takes."""
    verdict, now, latched = GateDecision.GO_ON, 0.0, False
    for outcomes, seconds in seen:
        now += seconds
        verdict = judge_outcomes(RULE, outcomes, 0, now, verdict)
        assert verdict is GateDecision.ROLL_BACK or not latched
        latched = latched or verdict is GateDecision.ROLL_BACK


@pytest.mark.parametrize(
    "outcome",
    [
        "unavailable", "no-answer", "not-supported", "refused-by-service", "loss", "malformed", "patient", "unclear",
        "quarantined", "no-service", "too-many-found", "parameters", "address", "too-large",
    ],
)  # fmt: skip
def test_these_failed_because_they_went_new(outcome: str) -> None:
    """The service's faults, and what rehearsals promised would not come."""
    assert outcomes_of({outcome: 3}, 0) == Outcomes(0, 3)


SAYS_NOTHING = frozenset(
    {Fault.TOKEN, Fault.SCOPE, Fault.NO_ACCESS, Fault.NO_NEED, Fault.TOO_MANY, Fault.SENDER_LEFT, Fault.CLOSED}
    | {Fault.BAD_REQUEST, Fault.BAD_TARGET, Fault.UNRECOGNISED}
)


@pytest.mark.parametrize("fault", sorted(SAYS_NOTHING, key=lambda each: each.value))
def test_these_say_nothing_of_the_switch(fault: Fault) -> None:
    """They would have failed, or been closed, anyway."""
    assert outcomes_of({fault.value: 3}, 0) == Outcomes(0, 0)


def test_no_outcome_is_both() -> None:
    """And every fault that is counted is there."""
    assert not FINE & FAILED
    assert {fault.value for fault in set(Fault) - SAYS_NOTHING} == FAILED - {"unclear", "quarantined"}


def test_what_was_held_and_set_aside_later_failed_after_all() -> None:
    """It is not counted twice."""
    assert outcomes_of({"held": 10, "accepted": 5, "duplicate": 1}, 4) == Outcomes(12, 4)
    assert outcomes_of({"held": 1}, 4) == Outcomes(0, 4)


def test_what_waits_counts_before_the_log_of_decisions_has_it() -> None:
    """It is written in batches."""
    assert outcomes_of({"held": 3}, 0, 12) == Outcomes(12, 0, 12)
