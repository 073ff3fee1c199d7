"""Counting what is held takes a bounded share of the time, however much is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.ledger import retention
from tests.gateway.outbox.conftest import QUICK, delivery_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World


@pytest.mark.parametrize(("takes", "pause"), [(0.0, QUICK.count), (0.2, 4.0), (1.0, 20.0)])
async def test_counting_takes_a_twentieth_of_the_time_at_most(
    begin: Callable[..., Awaitable[World]], clock: Clock, monkeypatch: pytest.MonkeyPatch, takes: float, pause: float
) -> None:
    """The longer it takes, the more rarely it is done."""
    upkeep = delivery_of(await begin())._upkeep
    counting = next(loop for loop in upkeep.loops if loop._name == "count")
    await counting.stop()
    counts = retention.counts

    def slow(connection: Connection) -> list[retention.BacklogCount]:
        clock.now += takes
        return counts(connection)

    monkeypatch.setattr(retention, "counts", slow)
    await upkeep.count()
    every = counting._every
    assert callable(every)
    assert every() == pytest.approx(pause)
