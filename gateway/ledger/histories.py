"""Keeps a history short, however often a message is tried: the first tries and the last, and how many came between; pure."""

import re

from gateway.ledger.states import State

TOLD_TRIES = 20
"""The first tries, each told as it begins and as it ends; of later ones only the end is told."""
LAST_TOLD = 5
"""The last of those, each told by itself."""
BETWEEN = "tries"
"""What stands in a line for those between."""
_BETWEEN = re.compile(rf"\S+ \S+ {BETWEEN} (\d{{1,9}}) ")


def shortened(history: str) -> str:
    """Return a history that ends with `held` lines, one for each try, with a number for all but the first and the last few.

    The first one stays: perhaps it is not of a try, but of what a person did.
    """
    *lines, rest = history.split("\n")
    first = len(lines)
    while first and _what(lines[first - 1]) in (State.HELD, BETWEEN):
        first -= 1
    start = first + 1
    before = _BETWEEN.match(lines[start]) if start < len(lines) else None
    tries = lines[start + (before is not None) :]
    if not (gone := tries[:-LAST_TOLD]):
        return history
    at, node, *_ = gone[-1].split(" ", 2)
    number = f"{at} {node} {BETWEEN} {int(before[1] if before else 0) + len(gone)} not told one by one"
    return "\n".join([*lines[:start], number, *tries[-LAST_TOLD:], rest])


def _what(line: str) -> str:
    return next(iter(line.split(" ", 3)[2:3]), "")
