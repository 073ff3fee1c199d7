"""When a cutover switches: instants, shown and perhaps given in the time of Europe/Oslo; pure."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from gateway.config.plans import Freeze

OSLO = ZoneInfo("Europe/Oslo")
GRACE = 600.0
"""Seconds after its time for which a cutover is still applied by itself; later a person must ask for it."""
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")
_ABSOLUTE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_EXPECTED = (
    "expected a time with its offset, as 2026-12-01T06:00+01:00, or one of Europe/Oslo without, as 2026-12-01T06:00"
)


class TimeRefused(ValueError):  # noqa: N818 - an answer to whoever gave the time
    """There is no such time, or it does not say which of two is meant."""


class Timing(Enum):
    """Whether a cutover's time has come."""

    EARLY = "early"
    DUE = "due"
    PAST = "past"
    """It was not applied in its time, and is not any more by itself."""


def timing(at: float, now: float, grace: float = GRACE) -> Timing:
    """Tell whether the time `at` has come, in seconds since the epoch."""
    if now < at:
        return Timing.EARLY
    return Timing.DUE if now <= at + grace else Timing.PAST


def instant_of(text: str) -> datetime:
    """Return the instant, in UTC, that a time with its offset, or a wall time of Europe/Oslo, means; raises `TimeRefused`."""
    try:
        if _ABSOLUTE.fullmatch(text):
            return _told(datetime.fromisoformat(text).astimezone(UTC))
        if _LOCAL.fullmatch(text):
            return _told(_of_wall(datetime.fromisoformat(text)))
    except (ValueError, OverflowError) as error:
        if isinstance(error, TimeRefused):
            raise
    raise TimeRefused(_EXPECTED)


def _told(at: datetime) -> datetime:
    """Return an instant that Europe/Oslo has a wall time for; raises `OverflowError` beyond the last."""
    at.astimezone(OSLO)
    return at


def _of_wall(wall: datetime) -> datetime:
    early, late = (wall.replace(tzinfo=OSLO, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late:
        return early
    if early.astimezone(OSLO).replace(tzinfo=None) != wall:
        raise TimeRefused(
            f"{_wall(wall)} does not exist in Europe/Oslo: clocks are put forward over it that day; "
            f"give an offset, or a time that exists"
        )
    first, second = (each.astimezone(OSLO).isoformat(timespec="minutes") for each in (early, late))
    raise TimeRefused(
        f"{_wall(wall)} comes twice in Europe/Oslo, since clocks are put back that day: say {first} or {second}"
    )


def _wall(wall: datetime) -> str:
    return wall.strftime("%Y-%m-%d %H:%M")


def shown(at: datetime) -> str:
    """Return a time as people in Norway read it, and with its offset, so that it means one instant."""
    local = at.astimezone(OSLO)
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    seconds = local.strftime(":%S") if local.second else ""
    return f"{_wall(local)}{seconds} Europe/Oslo (UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02})"


def wall(at: datetime) -> str:
    """Return a time as a field for Norwegian clocks has it: `2026-11-28T17:27`."""
    return at.astimezone(OSLO).replace(tzinfo=None).isoformat(timespec="minutes")


def moment(seconds: float) -> datetime:
    """Return a time in seconds since the epoch as an instant."""
    return datetime.fromtimestamp(seconds, UTC)


def freeze_at(at: datetime, freezes: Iterable[Freeze]) -> Freeze | None:
    """Return the window in which nothing switches at that time; None where something may."""
    return next((one for one in freezes if one.holds(at)), None)


def frozen_by(at: datetime, freezes: Iterable[Freeze]) -> str | None:
    """Say which window nothing switches in at that time; None where something may."""
    found = freeze_at(at, freezes)
    if found is None:
        return None
    return f"nothing switches from {shown(found.begins)} until {shown(found.ends)}: {found.reason}"


def why_not(at: datetime, now: float, freezes: Iterable[Freeze]) -> list[str]:
    """Say why nothing can be planned for that time."""
    past = [f"{shown(at)} is past"] if at.timestamp() <= now else []
    freeze = frozen_by(at, freezes)
    return past if freeze is None else [*past, freeze]
