"""Times of cutovers: instants, and wall times of Europe/Oslo through every change of its clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.plans import Freeze
from gateway.migration.schedule import (
    GRACE,
    OSLO,
    TimeRefused,
    Timing,
    frozen_by,
    instant_of,
    moment,
    shown,
    timing,
    why_not,
)
from gateway.model import Place

YEARS = range(2025, 2036)


def last_sunday(year: int, month: int) -> datetime:
    """Return the last Sunday of a month of 31 days, by the calendar alone."""
    last = datetime(year, month, 31)  # noqa: DTZ001 - a day of the calendar
    return last - timedelta(days=(last.weekday() + 1) % 7)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("minute", [0, 1, 30, 59])
def test_a_time_that_is_skipped_in_spring_is_refused(year: int, minute: int) -> None:
    """From 02:00 to 03:00 on the last Sunday of March; around it everything is an instant."""
    day = last_sunday(year, 3)
    with pytest.raises(TimeRefused, match="does not exist in Europe/Oslo"):
        instant_of(f"{day:%Y-%m-%d}T02:{minute:02}")
    before, after = instant_of(f"{day:%Y-%m-%d}T01:59"), instant_of(f"{day:%Y-%m-%d}T03:00")
    assert after - before == timedelta(minutes=1)
    assert after == datetime(day.year, day.month, day.day, 1, tzinfo=UTC)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("minute", [0, 30, 59])
def test_a_time_that_comes_twice_in_autumn_is_refused(year: int, minute: int) -> None:
    """From 02:00 to 03:00 on the last Sunday of October; the refusal names both, and each of them is taken."""
    day = last_sunday(year, 10)
    wall = f"{day:%Y-%m-%d}T02:{minute:02}"
    with pytest.raises(TimeRefused, match="comes twice") as refused:
        instant_of(wall)
    both = [instant_of(f"{wall}{offset}") for offset in ("+02:00", "+01:00")]
    assert all(f"{wall}:00{offset}"[:16] + offset in str(refused.value) for offset in ("+02:00", "+01:00"))
    assert both[1] - both[0] == timedelta(hours=1)
    assert instant_of(f"{day:%Y-%m-%d}T03:00") - instant_of(f"{day:%Y-%m-%d}T01:59") == timedelta(minutes=121)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2035, 12, 31)).map(  # noqa: DTZ001 - wall times
        lambda each: each.replace(second=0, microsecond=0)
    )
)
def test_a_wall_time_is_the_instant_that_it_is_shown_as(wall: datetime) -> None:
    """Or it is refused: no wall time ever means another."""
    try:
        instant = instant_of(f"{wall:%Y-%m-%dT%H:%M}")
    except TimeRefused:
        assert wall.month in (3, 10)
        assert wall.hour == 2
    else:
        assert instant.astimezone(OSLO).replace(tzinfo=None) == wall
        assert shown(instant).startswith(f"{wall:%Y-%m-%d %H:%M} Europe/Oslo (UTC+0")


@given(st.integers(1_735_686_000, 2_082_754_800))
def test_what_is_shown_tells_one_instant(seconds: int) -> None:
    """Also in the hour that comes twice."""
    text = shown(moment(seconds))
    day, time, _, offset = text.split(" ")
    assert instant_of(f"{day}T{time}{offset.removeprefix('(UTC').removesuffix(')')}") == moment(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-12-01", "2026-13-01T06:00", "2026-12-01T06:00+1", "2026-12-01T06:00 ", "1.12.2026 06:00",
     "2026-12-01T06", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "2026-12-01T06:00[Europe/Oslo]"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    """With what is expected."""
    with pytest.raises(TimeRefused, match="expected a time"):
        instant_of(text)


def test_times_with_an_offset_are_taken_as_they_are() -> None:
    """Whatever Norway's own offset is then."""
    assert instant_of("2026-07-01T06:00+01:00") == instant_of("2026-07-01T07:00") == instant_of("2026-07-01T05:00Z")
    assert shown(instant_of("2026-07-01T06:00:30+01:00")) == "2026-07-01 07:00:30 Europe/Oslo (UTC+02:00)"


@given(st.floats(0, 4e9), st.floats(-1e6, 1e6))
def test_a_time_is_early_due_or_past(at: float, later: float) -> None:
    """Early before it, due for a while, and past for ever."""
    now = at + later
    found = timing(at, now)
    if now < at:
        assert found is Timing.EARLY
    else:
        assert found is (Timing.DUE if now <= at + GRACE else Timing.PAST)
    if found is Timing.PAST:
        assert timing(at, now + 1e9) is Timing.PAST


def freeze(begins: str, ends: str) -> Freeze:
    """Return a window."""
    return Freeze(instant_of(begins), instant_of(ends), "Jul", Place("routes.yaml", 1, 1))


def test_a_freeze_refuses_from_its_first_moment_to_before_its_last() -> None:
    """And says until when, and why."""
    freezes = [freeze("2026-12-20T00:00", "2027-01-04T00:00")]
    assert frozen_by(instant_of("2026-12-19T23:59"), freezes) is None
    assert frozen_by(instant_of("2027-01-04T00:00"), freezes) is None
    told = frozen_by(instant_of("2026-12-20T00:00"), freezes)
    assert told is not None
    assert "2027-01-04 00:00 Europe/Oslo (UTC+01:00): Jul" in told


def test_a_time_that_is_past_or_frozen_is_refused() -> None:
    """Both reasons are told at once."""
    freezes = [freeze("2026-12-20T00:00", "2027-01-04T00:00")]
    at = instant_of("2026-12-24T00:00")
    assert len(why_not(at, at.timestamp(), freezes)) == 2
    assert why_not(at, at.timestamp() - 1, ()) == []
