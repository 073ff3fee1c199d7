"""The judge of the chaos tests finds what it is there to find."""

from __future__ import annotations

import pytest

from tests.chaos.messages import HOLDS, REFUSES, Message
from tests.chaos.scene import Row
from tests.chaos.verdict import judge

DELIVERED, MARKED = Row("delivered", None, False), Row("delivered", "unclear", True)
ASIDE, UNEXPLAINED = Row("quarantined", "unclear", False), Row("quarantined", None, False)


def told(municipality: str = HOLDS, unclear: int = 0) -> Message:
    """Make a message whose sender was told of success."""
    return Message("one", municipality, 0, b"", is_done=True, references={"ref"}, unclear=unclear)


@pytest.mark.parametrize(
    ("message", "row", "copies"),
    [
        (told(), DELIVERED, 1),
        (told(), ASIDE, 0),
        (told(), ASIDE, 1),
        (told(REFUSES, unclear=1), MARKED, 2),
    ],
    ids=["once", "aside", "aside-and-there", "repeated-and-marked"],
)
def test_kept_promises_are_right(message: Message, row: Row, copies: int) -> None:
    """Once at JFT, set aside with a reason, or repeated by its sender and marked."""
    verdict = judge([message], {"ref": row}, ["one"] * copies)
    assert not verdict.faults


@pytest.mark.parametrize(
    ("message", "rows", "events", "fault"),
    [
        (told(), {"ref": DELIVERED}, [], "missing"),
        (told(), {}, ["one"], "not in the ledger"),
        (told(), {"ref": UNEXPLAINED}, [], "without a reason"),
        (told(), {"ref": DELIVERED}, ["one", "one"], "several times"),
        (told(unclear=1), {"ref": MARKED}, ["one", "one"], "several times"),
        (told(REFUSES), {"ref": MARKED}, ["one", "one"], "several times"),
        (told(REFUSES, unclear=1), {"ref": DELIVERED}, ["one", "one"], "several times"),
        (told(), {"ref": DELIVERED}, ["one", "another"], "nobody sent"),
        (told(), {"ref": Row("refused", "unclear", False)}, ["one"], "says otherwise"),
        (told(), {"ref": DELIVERED, "second": DELIVERED}, ["one"], "nobody was told of"),
        (Message("one", HOLDS, 0, b""), {}, [], "never told"),
        (Message("one", HOLDS, 0, b"", is_done=True, references={"a", "b"}), {"a": DELIVERED}, ["one"], "2 references"),
    ],
)
def test_broken_promises_are_found(message: Message, rows: dict[str, Row], events: list[str], fault: str) -> None:
    """Whatever is missing, there twice without a right to it, or unexplained."""
    verdict = judge([message], rows, events)
    assert len(verdict.faults) == 1
    assert fault in verdict.faults[0]
