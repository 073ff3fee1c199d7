"""A history tells the first tries and the last, and counts those between: it never grows for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import message_queries
from gateway.ledger.audit import Note
from gateway.ledger.message_actions import release
from gateway.ledger.records import LAST_TOLD, TOLD_TRIES, shortened
from tests.gateway.ledger.conftest import NOW, UNTIL, history, row, waiting

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger
    from tests.gateway.ledger.conftest import Clock

STAMP = "2026-05-28T20:26:40.000+00:00"


def lines(*told: str) -> str:
    """Make a history of states and reasons."""
    return "".join(f"{STAMP} node-a {one}\n" for one in told)


async def fail(ledger: Ledger, clock: Clock, times: int, begin: int = 0) -> int:
    """Have the first message tried in vain, each time for another reason; return what it is."""
    for number in range(begin, begin + times):
        (due,) = await ledger.claim(1, until=UNTIL)
        clock.now += 1
        assert await ledger.held(due.id, f"reason {number}", next_try=clock.now)
    return due.id


@pytest.mark.slow
async def test_history_tells_the_first_tries_and_the_last_and_counts_those_between(
    ledger: Ledger, clock: Clock
) -> None:
    """However often and for however many reasons a message has failed, what was tried last is there."""
    await waiting(ledger, "first")
    message = await fail(ledger, clock, 1000)
    told = await history(ledger, message)
    held = [why for _, what, why in told if what == "held"][1:]
    first, last = held[: TOLD_TRIES + 1], held[-LAST_TOLD:]
    assert first == [f"reason {number}" for number in range(TOLD_TRIES + 1)]
    assert last == [f"reason {number}" for number in range(1000 - LAST_TOLD, 1000)]
    between = 1000 - len(first) - len(last)
    assert told[-LAST_TOLD - 1] == ("node-a", "tries", f"{between} not told one by one")
    assert len(told) == 2 + 2 * (TOLD_TRIES + 1) + 1 + LAST_TOLD
    assert (await row(ledger, message)).tries == 1000


async def test_number_of_tries_is_a_step_of_what_is_shown(ledger: Ledger, clock: Clock) -> None:
    """Whoever looks at a message sees that there were more, and until when."""
    await waiting(ledger, "first")
    await fail(ledger, clock, TOLD_TRIES + LAST_TOLD + 3)
    found = await ledger.store.read(lambda each: message_queries.message(each, "first", None))
    assert found is not None
    (between,) = [step for step in found[1] if step.state == "tries"]
    assert between.reason == "2 not told one by one"
    assert between.at < found[1][-LAST_TOLD].at


async def test_released_message_is_told_and_tried_as_a_new_one(ledger: Ledger, clock: Clock) -> None:
    """That a person released it stays in the history, and its pauses begin anew."""
    await waiting(ledger, "first")
    message = await fail(ledger, clock, TOLD_TRIES + LAST_TOLD + 3)
    await ledger.claim(1, until=UNTIL)
    assert await ledger.quarantined(message, "failed")
    note, line = Note(clock.now, "node-a", "someone", "release", "first"), ledger.line(clock.now, "held", "released")
    assert await ledger.store.write(lambda each: release(each, "first", None, note, line))
    assert (await row(ledger, message)).tries == 0
    await fail(ledger, clock, TOLD_TRIES + LAST_TOLD + 3, begin=500)
    told = [why for _, what, why in await history(ledger, message) if what in {"held", "tries"}]
    assert "released" in told
    assert told.count("2 not told one by one") == 2


async def test_reason_of_several_lines_is_one_line(ledger: Ledger) -> None:
    """So that nothing that is not ours is ever read as a line of a history."""
    assert ledger.line(NOW, "held", "first\nsecond\r\n\u2028third ") == f"{STAMP} node-a held first second third\n"


def test_what_a_person_did_and_what_came_of_other_steps_is_never_counted_away() -> None:
    """Only tries one after another are; what stands before them, and the first of them, stays."""
    tries = [f"held reason {number}" for number in range(30)]
    before = ["received ", "delivering ", "quarantined unclear"]
    assert shortened(lines(*before, "held released by a person", *tries)) == lines(
        *before, "held released by a person", "tries 25 not told one by one", *tries[25:]
    )


@given(
    st.lists(
        st.sampled_from(["held why", "held ", "delivering ", "tries 7 not told one by one", "tries x"]), max_size=40
    )
)
def test_shortening_twice_is_shortening_once(told: list[str]) -> None:
    """And leaves everything before the last run of tries as it was."""
    once = shortened(lines(*told))
    assert shortened(once) == once
    assert once.count("\n") <= len(told) + 1


@given(st.text())
def test_no_history_fails(text: str) -> None:
    """Whatever is written there."""
    assert isinstance(shortened(text), str)
