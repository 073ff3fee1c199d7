"""Dates and times of FHIR R4 by Python's own calendar: whether they are ones, and which is the earlier."""

import datetime as dt
import re
from typing import Any

_ZONE = r"(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))"
_TIME = rf"(?P<time>\d\d:\d\d:\d\d)(?P<fraction>\.\d+)?(?P<zone>{_ZONE})"
_FORM = re.compile(rf"(?P<year>\d{{4}})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:T{_TIME})?)?)?", re.ASCII)
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?", re.ASCII)


def is_moment(text: str, *, most: str, least: str = "year") -> bool:
    """Tell whether this is a moment of the calendar that says as much as `least` and no more than `most`."""
    found = _FORM.fullmatch(text)
    if found is None or found["year"] == "0000":
        return False
    said = "time" if found["time"] else "day" if found["day"] else "month" if found["month"] else "year"
    order = ("year", "month", "day", "time")
    if not order.index(least) <= order.index(said) <= order.index(most):
        return False
    try:
        dt.date(int(found["year"]), int(found["month"] or 1), int(found["day"] or 1))
    except ValueError:
        return False
    return found["time"] is None or _CLOCK.fullmatch(found["time"]) is not None


def is_clock(text: str) -> bool:
    """Tell whether this is a time of day."""
    return _CLOCK.fullmatch(text) is not None


def compare(one: Any, other: Any) -> int | None:
    """Return -1, 0 or 1 for two numbers, quantities of one unit, texts or moments; None where FHIRPath cannot tell."""
    if isinstance(one, dict) and isinstance(other, dict):
        is_one_unit = all(one.get(name) == other.get(name) for name in ("code", "unit", "system"))
        return compare(one.get("value"), other.get("value")) if is_one_unit else None
    if isinstance(one, str) and isinstance(other, str):
        first, second = _FORM.fullmatch(one), _FORM.fullmatch(other)
        if first is not None and second is not None:
            return _compare_moments(first, second)
        return (one > other) - (one < other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (one > other) - (one < other)
    return None


def _compare_moments(first: re.Match[str], second: re.Match[str]) -> int | None:
    try:
        one, other = _parts(first), _parts(second)
    except ValueError:
        return None
    for left, right in zip(one, other, strict=False):
        if left != right:
            return 1 if left > right else -1
    return 0 if len(one) == len(other) else None


def _parts(found: re.Match[str]) -> list[float]:
    """Return year, month, day and, in UTC where there is a time, the seconds of the day."""
    if found["time"] is None:
        return [int(part) for part in (found["year"], found["month"], found["day"]) if part is not None]
    seconds = found["time"][:6] + ("59" if found["time"].endswith("60") else found["time"][6:])
    moment = dt.datetime.fromisoformat(f"{found['year']}-{found['month']}-{found['day']}T{seconds}{found['zone']}")
    utc = moment.astimezone(dt.UTC)
    return [
        utc.year,
        utc.month,
        utc.day,
        utc.hour * 3600 + utc.minute * 60 + utc.second + float(found["fraction"] or 0),
    ]
