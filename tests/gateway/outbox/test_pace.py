"""How fast a backlog drains: all that the service takes, found without knowing its bounds."""

from __future__ import annotations

import heapq
import random

import pytest

from gateway.outbox.pace import Pace


def test_begins_with_one_and_widens_with_each_that_goes_well() -> None:
    """Only where all that may be under way is: what few messages need says nothing of what the service bears."""
    pace = Pace(most=4)
    assert pace.room == 1
    for under_way, room in ((1, 2), (1, 2), (2, 3), (3, 4), (4, 4)):
        pace.went_well(0.0, under_way)
        assert pace.room == room


def test_first_complaint_halves_it_and_later_ones_take_a_tenth() -> None:
    """What complains within half a second was under way already."""
    pace = Pace()
    for under_way in range(1, 40):
        pace.went_well(0.0, under_way)
    pace.was_too_much(10.0)
    assert pace.room == 20
    pace.was_too_much(10.1)
    assert pace.room == 20
    pace.was_too_much(11.0)
    assert pace.room == 18


def test_grows_by_one_each_eight_seconds_after_a_complaint() -> None:
    """One is always left, so that it is noticed when things are well again."""
    pace = Pace()
    pace.was_too_much(10.0)
    assert pace.room == 1
    pace.went_well(17.9, 1)
    assert pace.room == 1
    pace.went_well(18.0, 1)
    assert pace.room == 2


def test_what_is_begun_too_fast_is_begun_more_slowly() -> None:
    """A service that answers at once is asked too often by one at a time: there is a time between two then."""
    pace = Pace(most=1)
    for number in range(40):
        assert pace.allowed(number / 400, 0) == 1
        pace.begun(number / 400, 1)
        pace.went_well(number / 400, 1)
    pace.was_too_much(0.1)
    begun = 0
    for now in (1.0 + step / 1000 for step in range(1000)):
        begun += pace.allowed(now, 0)
        pace.begun(now, pace.allowed(now, 0))
    assert 300 <= begun <= 345  # four fifths of 400 a second, and some together at the beginning
    pace.went_well(9.0, 1)
    pace.begun(9.0, 1)
    assert pace.wait(9.0) < 1 / 320


def test_few_that_are_begun_say_nothing_of_a_speed() -> None:
    """A service that is away, and not asked too often, is asked at once when it is back."""
    pace = Pace()
    for number in range(10):
        pace.begun(number / 10, 1)
    pace.was_too_much(1.0)
    pace.begun(1.0, 1)
    assert (pace.allowed(1.0, 0), pace.wait(1.0)) == (1, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("retry_after", [0.0, 1.0])
@pytest.mark.parametrize(
    ("latency", "burst"), [(0.002, 30), (0.002, 300), (0.02, 30), (0.02, 300), (0.05, 30), (0.05, 300), (0.3, 300)]
)
def test_night_drains_in_forty_minutes_from_a_service_that_takes_300_a_second(
    retry_after: float, latency: float, burst: int
) -> None:
    """At 210 a second 500,000 messages take less; none of the service's ways to say no brings it below."""
    assert _rate(90_000, burst, latency, retry_after) > 500_000 / 2_400


@pytest.mark.slow
def test_service_that_bears_no_bursts_and_answers_late_drains_in_an_hour() -> None:
    """What is under way at once is three times what it takes at once, so that each pause is followed by the next."""
    assert _rate(90_000, 30, 0.3, 1.0) > 500_000 / 3_600


def _rate(messages: int, burst: int, latency: float, retry_after: float) -> float:
    return messages / _drained(messages, 300.0, burst, latency, retry_after)


def _drained(messages: int, rate: float, burst: int, latency: float, retry_after: float) -> float:
    """Return how many seconds a backlog takes, with a service that has a bucket of tokens and closes the breaker's door."""
    chance, pace = random.Random(1), Pace()  # noqa: S311 - repeatable, not secret
    now = opens = filled_at = 0.0
    tokens, left, done, is_probe = float(burst), messages, 0, False
    under_way: list[tuple[float, int, bool]] = []
    while done < messages:
        while left and now >= opens and (pace.allowed(now, len(under_way)) if not is_probe else 1 - len(under_way)) > 0:
            pace.begun(now, 1)
            tokens, filled_at = min(burst, tokens + (now - filled_at) * rate), now
            takes = tokens >= 1
            tokens -= takes
            ends = now + (latency * chance.uniform(0.7, 1.3) if takes else 0.005)
            heapq.heappush(under_way, (ends, left, takes))
            left -= 1
        soon = max(opens, now + (0.0 if is_probe else pace.wait(now)))
        if not under_way or (left and now < soon < under_way[0][0]):
            now = soon
            continue
        before = len(under_way)
        ends, _, takes = heapq.heappop(under_way)
        now = max(now, ends)
        if takes:
            done, is_probe = done + 1, False
            pace.went_well(now, before)
        else:
            left += 1
            pace.was_too_much(now)
            opens, is_probe = max(opens, now + retry_after), bool(retry_after)
    return now
