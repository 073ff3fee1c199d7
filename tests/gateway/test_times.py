"""One clock for a process: what passes is monotonic, and a wall clock that is set is noticed."""

import math

import pytest
import structlog

from gateway.times import end_of_day, when
from tests.gateway.clocks import FakeClock


def test_clock_that_nobody_sets_is_steady() -> None:
    """However long it runs, and though it drifts."""
    clock = FakeClock()
    for _ in range(1000):
        clock.now += 3600
        clock.ahead += 1
        assert clock() == clock.now + clock.ahead
    assert (clock.steps, clock.steady_for()) == (0, math.inf)


@pytest.mark.parametrize("moved", [3600.0, -3600.0])
def test_clock_that_is_set_is_noticed(moved: float) -> None:
    """Ahead and back, told once each time; what passes goes on as before."""
    clock = FakeClock()
    before = clock.monotonic()
    with structlog.testing.capture_logs() as logged:
        clock.ahead = moved
        assert clock.steady_for() == 0
        clock.now += 5
        assert (clock.steps, clock.steady_for(), clock.monotonic() - before) == (1, 5, 5)
    assert [(one["event"], one["seconds"]) for one in logged] == [("clock.stepped", moved)]


def test_a_day_ends_at_midnight_in_norway() -> None:
    """Also on the days on which the clocks change."""
    assert when(end_of_day("2026-12-31")) == "2026-12-31T23:00:00Z"
    assert when(end_of_day("2026-10-25")) == "2026-10-25T23:00:00Z"
    assert when(end_of_day("2026-03-28")) == "2026-03-28T23:00:00Z"
