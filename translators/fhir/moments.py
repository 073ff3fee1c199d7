"""Which of two moments is the earlier: dates and times of FHIR as texts, by the rules of FHIRPath (6.4)."""

import re
from typing import Final

_PARTS: Final = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:Z|([+-])(\d{2}):(\d{2})))?)?)?"
)
_MINUTES_OF_DAY = 1440


def order_of(first: str, second: str) -> int | None:
    """Return -1, 0 or 1 as the first moment is before, at or after the second; None where that cannot be told.

    Where one says more than the other they differ by what both say, or cannot be told apart.
    """
    one, other = _PARTS.fullmatch(first), _PARTS.fullmatch(second)
    if one is None or other is None:
        return None
    if one[4] is not None and other[4] is not None:
        digits = max(one.end(6), one.end(7))
        if digits == max(other.end(6), other.end(7)) and first[digits:] == second[digits:]:
            return (first > second) - (first < second)  # as most are: with as many digits, and the same offset
        return _order(_instant(one), _instant(other))
    precisions = [sum(part is not None for part in found.groups()[:4]) for found in (one, other)]
    known = min(3, *precisions)
    order = _order(one.groups()[:known], other.groups()[:known])
    return order if order or precisions[0] == precisions[1] else None


def is_later(first: str, second: str, minutes: int) -> bool:
    """Tell whether a moment is certainly after another one, of times by more than so many minutes: clocks differ."""
    one, other = _PARTS.fullmatch(first), _PARTS.fullmatch(second)
    if one is None or other is None or one[4] is None or other[4] is None:
        return order_of(first, second) == 1
    return _instant(one)[0] - _instant(other)[0] > minutes


def is_within(period: object, moment: str) -> bool:
    """Tell whether a moment may lie within a Period: it has certainly not ended before, nor begins after; one that is none says nothing."""
    if not isinstance(period, dict):
        return True
    start, end = period.get("start"), period.get("end")
    has_ended = isinstance(end, str) and order_of(end, moment) == -1
    return not has_ended and not (isinstance(start, str) and order_of(start, moment) == 1)


def instant_of(text: str) -> str | None:
    """Return one spelling of a time that has an offset, the same for equal instants; None for what is no such time."""
    found = _PARTS.fullmatch(text)
    if found is None or found[4] is None:
        return None
    minutes, second, fraction = _instant(found)
    return f"{minutes}:{second}.{fraction}"


def _order(one: tuple[object, ...], other: tuple[object, ...]) -> int:
    return (one > other) - (one < other)


def _instant(found: re.Match[str]) -> tuple[int, int, str]:
    """Return the minutes of UTC since a day long ago, the second, and its fraction as digits."""
    year, month, day, hour, minute = (int(found[index]) for index in range(1, 6))
    offset = int(found[9] or 0) * 60 + int(found[10] or 0)
    minutes = _days(year, month, day) * _MINUTES_OF_DAY + hour * 60 + minute + (offset if found[8] == "-" else -offset)
    return minutes, int(found[6]), (found[7] or "").rstrip("0")


def _days(year: int, month: int, day: int) -> int:
    """Count the days of the calendar, with March as the first month, so that the leap day is the last of its year."""
    if month <= 2:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day
