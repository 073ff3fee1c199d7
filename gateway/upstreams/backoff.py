"""How long to wait before something that failed is tried again."""

_MOST_DOUBLINGS = 1000
"""A float holds this many; what is longer than the longest pause is cut anyway."""


def pause(attempt: int, chance: float, first: float = 1.0, longest: float = 600.0) -> float:
    """Return seconds to wait after the attempt with this number, from 1, has failed.

    The pause doubles from `first` to `longest`. What is returned lies between the half of it and the whole, by `chance` in
    [0, 1), so that many who failed together do not come back together.
    """
    doublings = min(max(attempt - 1, 0), _MOST_DOUBLINGS)
    whole = min(first * 2.0**doublings, longest)
    return whole * (1.0 + chance) / 2.0
