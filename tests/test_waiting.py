"""No test passes or fails by how fast the machine is: nothing is slept away, and what limits a hang is more than any machine needs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.waiting import until

TESTS = Path(__file__).parent
WAITS = re.compile(
    r"\bsleep\((?P<slept>[\d.]+)\)|\basyncio\.timeout\((?P<timed>[\d.]+)\)|\bwait_for\(.*, (?P<waited>[\d.]+)\)$",
    re.MULTILINE,
)
LEAST = 60.0
"""Seconds that whoever waits is given."""
IN_REAL_TIME = ("load", "chaos", "browser")
"""Folders whose tests measure, or watch processes and pages as people do."""
EXCEPTIONS = {
    "asyncio.timeout(0)": "whoever gives up before the loop has turned",
    "sleep(0.05)": "parts a header into two packets, for a process: together they would do no harm",
    "sleep(1.5)": "gives a process time to read more than it may: a moment less proves less, and fails nothing",
}
"""What stands there all the same, and why."""


def waits(source: str) -> set[str]:
    """Return the waits of a test that are too short for a slow machine, or that it need not make."""
    found = set()
    for one in WAITS.finditer(source):
        slept, limited = float(one["slept"] or 0.0), float(one["timed"] or one["waited"] or LEAST)
        if 0.0 < slept < LEAST or limited < LEAST:
            found.add(one[0])
    return found


def test_nothing_is_slept_away_and_no_hang_is_told_too_soon() -> None:
    """`tests.waiting.until` waits for what tells nobody, and `LoopClock` and `FakeClock` have time pass."""
    files = [one for one in TESTS.rglob("*.py") if one.relative_to(TESTS).parts[0] not in IN_REAL_TIME]
    found = {wait for one in files if one != Path(__file__) for wait in waits(one.read_text(encoding="utf-8"))}
    assert found - EXCEPTIONS.keys() == set(), "wait for what has to happen, or move a clock"
    assert EXCEPTIONS.keys() - found == set(), "it is there no longer"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("await asyncio.sleep(0.8)", {"sleep(0.8)"}),
        ("time.sleep(2)", {"sleep(2)"}),
        ("await asyncio.sleep(0)", set()),
        ("async with asyncio.timeout(10):", {"asyncio.timeout(10)"}),
        ("async with asyncio.timeout(120):", set()),
        ("await asyncio.wait_for(done.wait(), 5)", {"wait_for(done.wait(), 5)"}),
        ("await asyncio.wait_for(done.wait(), HANGS)", set()),
    ],
)
def test_waits_are_found(source: str, found: set[str]) -> None:
    """Sleeps of any length that a machine may be slower than, and limits that it may need."""
    assert waits(source) == found


async def test_what_is_waited_for_is_looked_at_until_it_is_there() -> None:
    """Whether it is told at once or has to be asked for; what it is comes back."""
    looks = iter([False, None, "there"])
    assert await until(lambda: next(looks)) == "there"

    async def asked() -> bool:
        return time.monotonic() > 0

    assert await until(asked) is True
