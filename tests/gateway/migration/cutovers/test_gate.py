"""The gate: enough rehearsals, and enough of them clean. Without data it stays closed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.plans import Gate
from gateway.migration.gates import GateNumbers, judge_gate

WEEK = 7 * 86_400.0
SHARES = st.integers(0, 1000).map(lambda each: each / 1000)


@given(st.integers(0, 1000), SHARES, st.integers(-5, 0))
def test_no_data_is_never_a_pass(least: int, share: float, rehearsed: int) -> None:
    """Whatever little a gate asks for."""
    passing = judge_gate(Gate(least, share, WEEK), GateNumbers(rehearsed, 0))
    assert not passing.ok
    assert "nothing was rehearsed" in passing.text


@given(st.integers(1, 1000), SHARES, st.integers(1, 2000), st.data())
def test_it_passes_exactly_when_both_are_reached(least: int, share: float, rehearsed: int, data: st.DataObject) -> None:
    """In exact numbers, as they are written."""
    clean = data.draw(st.integers(0, rehearsed))
    wanted = rehearsed >= least and Fraction(clean, rehearsed) >= Fraction(repr(share))
    assert judge_gate(Gate(least, share, WEEK), GateNumbers(rehearsed, clean)).ok is wanted


@pytest.mark.parametrize(("rehearsed", "clean", "ok"), [(200, 199, True), (200, 198, False), (199, 199, False)])
def test_the_gate_of_the_example(rehearsed: int, clean: int, ok: bool) -> None:
    """200 messages, 99.5 % of them clean."""
    assert judge_gate(Gate(200, 0.995, WEEK), GateNumbers(rehearsed, clean)).ok is ok


def test_shares_are_compared_as_they_are_written() -> None:
    """7 of 100 are 7 %, which binary numbers would deny."""
    assert judge_gate(Gate(1, 0.07, WEEK), GateNumbers(100, 7)).ok


def test_reasons_are_told() -> None:
    """What was counted, and what is asked for; never rounded up."""
    passing = judge_gate(Gate(20_000, 0.9999, WEEK), GateNumbers(10_000, 9_998))
    assert passing.text == (
        "10000 rehearsed in the last 7 days, 9998 of them clean (99.98 %); 20000 are asked for; 99.99 % clean are asked for"
    )
    assert judge_gate(Gate(1, 1.0, 5400), GateNumbers(3, 2)).text == (
        "3 rehearsed in the last 90 minutes, 2 of them clean (66.66 %); 100 % clean are asked for"
    )


def test_a_plan_without_a_gate_passes_and_says_so() -> None:
    """A way back to VKP needs none."""
    assert judge_gate(None, GateNumbers(0, 0)).text == "the plan asks for no rehearsals"
