"""The published end of VKP in the answers of legacy routes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from gateway.config.plans import Sunset, announced
from tests.gateway.world import HAVNES, NORDFJELL, message

if TYPE_CHECKING:
    from tests.gateway.world import World

END = Sunset(date(2027, 1, 1), date(2027, 7, 1), headers=True)


def test_dates_are_the_first_moment_of_the_day_in_norway() -> None:
    """In winter an hour before midnight UTC, in summer two; each in the form of its RFC."""
    assert announced(END) == (
        (b"Deprecation", b"@1798758000"),
        (b"Sunset", b"Wed, 30 Jun 2027 22:00:00 GMT"),
    )


def test_nothing_is_said_unless_asked() -> None:
    """The legacy lane stays byte for byte as it is."""
    assert announced(None) == ()
    assert announced(replace(END, headers=False)) == ()
    assert announced(Sunset(None, None, headers=True)) == ()


async def test_answers_of_legacy_routes_say_it_and_no_others(world: World) -> None:
    """VKP's own fields stay; what an information service answers says nothing of VKP's end."""
    running = world.gateway._running
    target = running.lane.targets["vkp"]
    running.lane.targets["vkp"] = replace(target, announced=announced(END))
    passed = await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))
    assert passed.status == 200
    assert passed.values("deprecation") == ["@1798758000"]
    assert passed.values("sunset") == ["Wed, 30 Jun 2027 22:00:00 GMT"]
    assert len(passed.values("warning")) == 2
    translated = await world.post(f"/epj/r4/{HAVNES}/composition", message("note"))
    assert (translated.values("sunset"), translated.values("deprecation")) == ([], [])
