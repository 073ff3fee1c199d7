"""The benchmark's arithmetic."""

import math

import pytest

from bench.stats import Spread, differences, percentile, ratios, spread


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 1.0), (0.2, 1.0), (0.21, 2.0), (0.5, 3.0), (0.99, 5.0), (1.0, 5.0)],
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    """By nearest rank, whatever the order of the values."""
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], share) == expected


def test_a_percentile_of_nothing_is_not_a_number() -> None:
    """It neither fails nor looks like a good latency."""
    assert math.isnan(percentile([], 0.5))


def test_ratios_and_differences_stay_within_a_round() -> None:
    """A round in which everything was slow says the same as the others."""
    assert ratios([50.0, 5.0], [100.0, 10.0]) == [0.5, 0.5]
    assert differences([3.0, 13.0], [1.0, 11.0]) == [2.0, 2.0]


def test_rounds_that_do_not_belong_together_are_refused() -> None:
    """A missing round is not silently left out."""
    with pytest.raises(ValueError, match="argument"):
        ratios([1.0], [1.0, 2.0])


def test_a_spread_shows_the_middle_and_the_extremes() -> None:
    """What a reader needs to judge how far a number can be trusted."""
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert Spread(12345.6, 900.0, 20000.0).show() == "12,346 (900 to 20,000)"
    assert Spread(0.5, 0.25, 1.0).show(2) == "0.50 (0.25 to 1.00)"
