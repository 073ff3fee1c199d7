"""How long a sender may take, with times given as numbers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.proxy.bounds import Bounds
from gateway.proxy.connection_limits import Deadlines

BOUNDS = Bounds(idle=75.0, head=15.0, silence=60.0, linger=2.0)
STATE = {"idle": False, "in_head": False, "waits_for_body": False}


@pytest.mark.parametrize(
    ("since", "state", "limit"),
    [
        ({}, {"idle": True}, BOUNDS.idle),
        ({"head_since": 100.0}, {"in_head": True}, BOUNDS.head),
        ({"head_since": 100.0}, {"idle": True, "in_head": True}, BOUNDS.head),
        ({}, {"waits_for_body": True}, BOUNDS.silence),
        ({"blocked_since": 100.0}, {}, BOUNDS.silence),
        ({"lingers_since": 100.0}, {}, BOUNDS.linger),
        ({"lingers_since": 100.0}, {"idle": True}, BOUNDS.linger),
        ({"lingers_since": 100.0, "blocked_since": 100.0}, {}, BOUNDS.linger),
    ],
    ids=["idle", "head", "first head", "body", "answer not taken", "linger", "idle linger", "blocked linger"],
)
def test_each_thing_has_its_limit(since: dict[str, float], state: dict[str, bool], limit: float) -> None:
    """Up to its limit a sender may take its time; beyond it the time is up."""
    times = Deadlines(100.0, **since)
    assert not times.are_up(100.0 + limit, BOUNDS, **{**STATE, **state})
    assert times.are_up(100.1 + limit, BOUNDS, **{**STATE, **state})


def test_waiting_for_an_answer_has_no_limit_here() -> None:
    """While a request is being answered and the answer taken, the sender owes nothing."""
    assert not Deadlines(0.0).are_up(1_000_000.0, BOUNDS, **STATE)


def test_bytes_prolong_a_body_and_not_a_head() -> None:
    """Every byte of a body starts its time anew; a head that trickles in is cut when its time is up."""
    times = Deadlines(0.0)
    times.read(10.0, in_head=False)
    for now in range(11, 25):
        times.read(float(now), in_head=True)
    assert not times.are_up(25.0, BOUNDS, **{**STATE, "in_head": True})
    assert times.are_up(25.1, BOUNDS, **{**STATE, "in_head": True})
    times.read(50.0, in_head=False)
    assert not times.are_up(50.0 + BOUNDS.silence, BOUNDS, **{**STATE, "waits_for_body": True})


def test_reading_answers_does_not_excuse_silence_in_a_body() -> None:
    """An answer that is not taken is up although the sender still sends."""
    times = Deadlines(0.0, blocked_since=0.0)
    for now in range(1, 61):
        times.read(float(now), in_head=False)
    state: dict[str, Any] = {**STATE, "waits_for_body": True}
    assert not times.are_up(60.0, BOUNDS, **state)
    assert times.are_up(60.1, BOUNDS, **state)
