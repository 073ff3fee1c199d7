"""Buckets of requests, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import math

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.limits import TokenBuckets, Turns
from gateway.model import Rate

STEPS = st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=200)
RATES = st.builds(Rate, st.integers(1, 50), st.sampled_from([1.0, 60.0, 3600.0]))


@given(RATES, STEPS)
def test_never_more_than_the_rate_allows(rate: Rate, steps: list[float]) -> None:
    """In any stretch of time at most a full bucket and what refilled are let through."""
    rates, now = TokenBuckets(), 1_000.0
    allowed = []
    for step in steps:
        now += step
        if not rates.wait("sender", rate, now):
            allowed.append(now)
    for first in range(len(allowed)):
        for last in range(first, len(allowed)):
            most = rate.count + (allowed[last] - allowed[first]) * rate.count / rate.seconds
            assert last - first + 1 <= most + 1e-6


@given(RATES, STEPS)
@example(Rate(1, 60.0), [1.2319278058795824, 0.0])
def test_wait_is_long_enough_and_no_longer(rate: Rate, steps: list[float]) -> None:
    """Whoever waits as long as it was told is let through; a moment earlier it was not."""
    rates, now = TokenBuckets(), 1_000.0
    for step in steps:
        now += step
        wait = rates.wait("sender", rate, now)
        assert 0 <= wait <= rate.seconds / rate.count + 1e-6
        if wait:
            if wait > 1e-3:
                assert rates.wait("sender", rate, now + wait * 0.9) > 0
            now += math.ceil(wait)
            assert rates.wait("sender", rate, now) == 0


@given(RATES)
def test_senders_do_not_share_a_bucket(rate: Rate) -> None:
    """One sender's haste costs another nothing."""
    rates = TokenBuckets()
    while not rates.wait("hasty", rate, 0.0):
        pass
    assert rates.wait("other", rate, 0.0) == 0


def test_clock_that_goes_back_gives_nothing_away() -> None:
    """Time that runs backwards neither fills nor empties a bucket."""
    rates, rate = TokenBuckets(), Rate(1, 60.0)
    assert rates.wait("sender", rate, 100.0) == 0
    assert rates.wait("sender", rate, 40.0) > 0
    assert rates.wait("sender", rate, 41.0) > 0


async def _in_turn(turns: Turns, sender: str, had: list[str]) -> None:
    async with turns.turn(sender):
        had.append(sender)
        await asyncio.sleep(0)


async def test_senders_take_turns() -> None:
    """Who has come with three has each of them after one of the other's."""
    turns, had = Turns(), list[str]()
    await asyncio.gather(*(_in_turn(turns, sender, had) for sender in ("a", "a", "a", "a", "b", "b")))
    assert had == ["a", "a", "b", "a", "b", "a"]


async def test_turn_of_who_waits_no_longer_is_the_next_ones() -> None:
    """Both while it waited, and when it has just been given."""
    turns, had = Turns(), list[str]()
    loop = asyncio.get_running_loop()
    async with turns.turn("first"):
        waiting = [loop.create_task(_in_turn(turns, sender, had)) for sender in ("a", "b", "c")]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ends] == [asyncio.CancelledError, asyncio.CancelledError, type(None)]
    assert had == ["c"]
    await _in_turn(turns, "d", had)
    assert had == ["c", "d"]
