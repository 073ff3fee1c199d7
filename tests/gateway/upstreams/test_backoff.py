"""How long to wait before a next attempt: longer each time, bounded, and not all at once."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams.circuit_breaker import pause

CHANCES = st.floats(0, 1, exclude_max=True)


def test_the_pause_doubles_up_to_the_longest() -> None:
    """The whole pauses after each attempt, where chance is nearly one."""
    nearly = 1 - 2**-53
    assert [round(pause(attempt, nearly, 1.0, 10.0), 6) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]


@given(st.integers(-(10**30), 10**30), CHANCES, st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
def test_any_attempt_waits_between_half_and_whole(attempt: int, chance: float, first: float, longest: float) -> None:
    """However many have failed, nothing overflows, and the pause is never more than the longest."""
    found = pause(attempt, chance, first, longest)
    half = pause(attempt, 0.0, first, longest)
    assert 0 < half <= found <= min(2 * half, longest)


@given(st.integers(1, 100), CHANCES, CHANCES)
def test_no_pause_is_shorter_than_the_one_before(attempt: int, before: float, after: float) -> None:
    """Half of the doubled pause is the whole of the one before, until the longest is reached."""
    assert pause(attempt + 1, after, longest=float("inf")) >= pause(attempt, before, longest=float("inf"))
