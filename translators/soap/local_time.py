"""Times without an offset, as the national message formats write them: they are those of Norway's clocks."""

import re

from translators.contract import Reason, Refused

_LOCAL = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):\d{2}(?:\.\d+)?")


def with_offset(text: str, path: str) -> str:
    """Return a time with the offset that clocks in Norway had then, if it has none of its own.

    Summer time lasts from 01:00 UTC on the last Sunday of March to that of October (directive 2000/84/EC). Raises `Refused` for
    the hours that the clocks leave out and go through twice: what is meant cannot be known.
    """
    found = _LOCAL.fullmatch(text)
    if found is None:
        return text
    year, month, day, hour = (int(part) for part in found.groups()[:4])
    last = {each: 31 - (_weekday(year, each, 31) + 1) % 7 for each in (3, 10)}
    if month in last and day == last[month] and hour == 2:
        raise Refused(Reason.FORMAT, "a time without an offset in the hour in which clocks change", path)
    after_march = (month, day, hour) >= (3, last[3], 3)
    before_october = (month, day, hour) < (10, last[10], 2)
    return f"{text}{'+02:00' if after_march and before_october else '+01:00'}"


def _weekday(year: int, month: int, day: int) -> int:
    """Return the day of the week, Monday as 0 (Sakamoto's rule)."""
    before = (0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4)[month - 1]
    year -= month < 3
    return (year + year // 4 - year // 100 + year // 400 + before + day + 6) % 7
