"""How checks are run: each by itself, against its deadline, and with a new gateway when the old one has ended."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.cli.doctor.command import run
from gateway.cli.doctor.harness import Check, exchange
from gateway.cli.doctor.wire import Differs
from tests.gateway.cli.doctor.conftest import pipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.doctor.lane import Lane
    from gateway.cli.doctor.stage import Stage


def _exchanges(lane: Lane) -> None:
    exchange(lane, lane.connect())


def _waits(lane: Lane) -> None:
    lane._deadline = time.monotonic()  # as it is after half a minute
    lane.arrives(lane.connect())


def _differs(_: Lane) -> None:
    raise Differs("as it must")


def _checks(*acts: object, unreachable: bool = False) -> list[Check]:
    return [Check("group", str(number), act, unreachable=unreachable) for number, act in enumerate(acts)]  # type: ignore[arg-type] # acts


def test_a_check_that_hears_nothing_ends_at_its_deadline_and_harms_no_other() -> None:
    """One after the other over the same gateway."""
    results = run(_checks(_exchanges, _waits, _exchanges, _differs), pipe(), workers=1)
    assert [result.difference for result in results] == [
        None,
        "no request came to the upstream, and no answer to the sender",
        None,
        "as it must",
    ]


def test_a_gateway_that_has_ended_fails_the_check_and_is_replaced() -> None:
    """The next check is not blamed for it."""
    stages: list[Stage] = []

    @contextmanager
    def fragile() -> Iterator[Stage]:
        with pipe()() as stage:
            stages.append(stage)
            yield stage

    def breaks(_: Lane) -> None:
        stages[-1].ended = lambda: "the gateway process ended with 1: why"

    results = run(_checks(breaks, _exchanges), fragile, workers=1)
    assert [result.difference for result in results] == ["the gateway process ended with 1: why", None]
    assert len(stages) == 2


def test_what_needs_an_unreachable_upstream_gets_a_stage_that_does_not_listen() -> None:
    """Also when it was not the first."""
    listening: list[bool] = []
    stages: list[Stage] = []

    @contextmanager
    def seen() -> Iterator[Stage]:
        with pipe()() as stage:
            stages.append(stage)
            yield stage

    def looks(_: Lane) -> None:
        listening.append(stages[-1].listening)

    checks = [*_checks(_exchanges), *_checks(looks, looks, unreachable=True)]
    results = run(checks, seen, workers=1)
    assert [result.difference for result in results] == [None, None, None]
    assert listening == [False, False]
