"""The clock that tests move stands where the gateway's times can be."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.clocks import NOW, FakeClock


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=5))
def test_what_is_due_is_due_at_the_time_the_clock_was_moved_to(pauses: list[float]) -> None:
    """Also where pauses have fractions, and where a message's time went through a `datetime`."""
    clock = FakeClock(NOW)
    for pause in pauses:
        due = clock.now + pause
        clock.now = due
        assert due <= clock() < due + 2e-6
        assert datetime.fromtimestamp(clock(), UTC).timestamp() == clock()
