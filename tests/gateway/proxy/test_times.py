"""How long a sender may take, with times given as numbers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.proxy.connection_limits import HEAD, IDLE, LINGER, SILENCE, Deadlines

STATE = {"idle": False, "in_head": False, "waits_for_body": False}


@pytest.mark.parametrize(
    ("since", "state", "limit"),
    [
        ({}, {"idle": True}, IDLE),
        ({"head_since": 100.0}, {"in_head": True}, HEAD),
        ({"head_since": 100.0}, {"idle": True, "in_head": True}, HEAD),
        ({}, {"waits_for_body": True}, SILENCE),
        ({"blocked_since": 100.0}, {}, SILENCE),
        ({"lingers_since": 100.0}, {}, LINGER),
        ({"lingers_since": 100.0}, {"idle": True}, LINGER),
        ({"lingers_since": 100.0, "blocked_since": 100.0}, {}, LINGER),
    ],
    ids=["idle", "head", "first head", "body", "answer not taken", "linger", "idle linger", "blocked linger"],
)
def test_each_thing_has_its_limit(since: dict[str, float], state: dict[str, bool], limit: float) -> None:
    """Up to its limit a sender may take its time; beyond it the time is up."""
    times = Deadlines(100.0, **since)
    assert not times.are_up(100.0 + limit, **{**STATE, **state})
    assert times.are_up(100.1 + limit, **{**STATE, **state})


def test_waiting_for_an_answer_has_no_limit_here() -> None:
    """While a request is being answered and the answer taken, the sender owes nothing."""
    assert not Deadlines(0.0).are_up(1_000_000.0, **STATE)


def test_bytes_prolong_a_body_and_not_a_head() -> None:
    """Every byte of a body starts its time anew; a head that trickles in is cut when its time is up."""
    times = Deadlines(0.0)
    times.read(10.0, in_head=False)
    for now in range(11, 25):
        times.read(float(now), in_head=True)
    assert not times.are_up(25.0, **{**STATE, "in_head": True})
    assert times.are_up(25.1, **{**STATE, "in_head": True})
    times.read(50.0, in_head=False)
    assert not times.are_up(50.0 + SILENCE, **{**STATE, "waits_for_body": True})


def test_reading_answers_does_not_excuse_silence_in_a_body() -> None:
    """An answer that is not taken is up although the sender still sends."""
    times = Deadlines(0.0, blocked_since=0.0)
    for now in range(1, 61):
        times.read(float(now), in_head=False)
    state: dict[str, Any] = {**STATE, "waits_for_body": True}
    assert not times.are_up(60.0, **state)
    assert times.are_up(60.1, **state)
