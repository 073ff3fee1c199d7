"""What many measurements say: percentiles, the middle with its spread, and ratios within a round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several rounds, and the lowest and the highest of them."""

    middle: float
    low: float
    high: float

    def show(self, digits: int = 0) -> str:
        """Write it for a table: `12,345 (11,900-12,800)`."""
        middle, low, high = (f"{value:,.{digits}f}" for value in (self.middle, self.low, self.high))
        return f"{middle} ({low} to {high})"


def spread(values: Sequence[float]) -> Spread:
    """Return median, lowest and highest of at least one value."""
    return Spread(median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of all values do not exceed, by nearest rank; NaN for no values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Divide each round's value by the same round's base, so that what slowed a whole round cancels out."""
    return [value / other for value, other in zip(values, base, strict=True)]


def differences(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Subtract the same round's base from each round's value."""
    return [value - other for value, other in zip(values, base, strict=True)]
