"""Differences that a comparison may find are accepted for a time, which ends by itself and is told of before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from gateway.cli.check import accepted_until
from gateway.model import Mode, Place
from gateway.routing.route import AcceptedDifference, RouteSpec
from gateway.times import DAY, end_of_day

KNOWN = AcceptedDifference("Patient.telecom", "2026-12-31", "the EPJ has none", "missing")
END = end_of_day("2026-12-31")


@pytest.mark.parametrize(
    ("path", "kind", "now", "covered"),
    [
        ("Patient.telecom", "missing", END - 1, True),
        ("Patient.telecom.value", "missing", 0.0, True),
        ("Patient.telecom", "missing", END, False),
        ("Patient.telecom", "extra", 0.0, False),
        ("Patient.telecoms", "missing", 0.0, False),
        ("Patient", "missing", 0.0, False),
    ],
)
def test_a_difference_is_accepted_where_and_as_long_as_it_says(
    path: str, kind: str, now: float, *, covered: bool
) -> None:
    """The last day is the whole of it, in Norway."""
    assert KNOWN.covers(path, kind, now) is covered


def test_one_without_a_kind_accepts_each() -> None:
    """Of the path that it names."""
    assert structs.replace(KNOWN, kind="").covers("Patient.telecom", "different", 0.0)


@pytest.mark.parametrize(
    ("now", "told"),
    [(END - 15 * DAY, None), (END - 13 * DAY, "ends soon"), (END + 1, "has ended")],
)
def test_check_tells_of_one_that_has_ended_or_soon_will(now: float, told: str | None) -> None:
    """At the place of its route."""
    route = RouteSpec(mode=Mode.COMPARE, accept_differences=(KNOWN,)).route(Place("routes.yaml", 3, 5))
    config: Any = SimpleNamespace(routes=(route,), cutovers={})
    found = list(accepted_until(config, now))
    assert [(one.place, told in one.text) for one in found if told] == ([(route.place, True)] if told else [])
    assert bool(found) is bool(told)
