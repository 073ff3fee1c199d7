"""What may be seen of messages: narrowed as asked, in parts, with the history, and nothing of what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import message_queries, retention
from gateway.ledger.message_queries import Filter, Step
from gateway.ledger.records import MessageState
from tests.gateway.ledger.conftest import NOW, brought_to, put, taken, waiting

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger

PATIENT = "hash-of-a-patient"
STAMP = "2026-05-28T20:26:40.000+00:00"


async def references(ledger: Ledger, most: int = 50, before: int | None = None, **wanted: Any) -> list[str]:
    """Return what a filter finds."""
    narrowed = Filter(**{"within": None, **wanted})
    found = await ledger.store.read(lambda each: message_queries.messages(each, narrowed, most, before))
    return [one.reference for one in found]


async def fill(ledger: Ledger) -> dict[str, int]:
    """Write messages of every sort."""
    return {
        "held": await waiting(ledger, "held", municipality="havnes", sender="a"),
        "delivering": await taken(ledger, "delivering", municipality="sorvik", information="notat"),
        "delivered": await brought_to(
            ledger, MessageState.DELIVERED, "delivered", patient=PATIENT, received_at=NOW + 10
        ),
        "refused": await brought_to(
            ledger, MessageState.REFUSED, "refused", municipality="sorvik", received_at=NOW + 20
        ),
        "quarantined": await brought_to(ledger, MessageState.QUARANTINED, "quarantined", patient=PATIENT),
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["quarantined", "refused", "delivered", "delivering", "held"]),
        ({"within": {"sorvik"}}, ["refused", "delivering"]),
        ({"within": set()}, []),
        ({"within": {"sorvik"}, "municipality": "havnes"}, []),
        ({"municipality": "havnes"}, ["quarantined", "delivered", "held"]),
        ({"state": MessageState.QUARANTINED}, ["quarantined"]),
        ({"sender": "a"}, ["held"]),
        ({"information": "notat"}, ["delivering"]),
        ({"patient": PATIENT}, ["quarantined", "delivered"]),
        ({"overdue": True}, ["delivered"]),
        ({"mark": "possible-duplicate"}, ["held"]),
        ({"mark": "identifier-reused"}, ["refused"]),
        ({"mark": "other"}, []),
        ({"since": NOW + 10}, ["refused", "delivered"]),
        ({"until": NOW + 20}, ["quarantined", "delivered", "delivering", "held"]),
        ({"since": NOW + 10, "until": NOW + 20}, ["delivered"]),
        ({"sender": "' OR 1=1 --"}, []),
    ],
    ids=str,
)
async def test_filter_finds(ledger: Ledger, wanted: dict[str, Any], found: list[str]) -> None:
    """Each part of it narrows by itself and together with others."""
    ids = await fill(ledger)
    await put(ledger, ids["delivered"], overdue=True)
    await put(ledger, ids["held"], possible_duplicate=True)
    await put(ledger, ids["refused"], identifier_reused=True)
    assert await references(ledger, **wanted) == found


async def test_list_comes_in_parts(ledger: Ledger) -> None:
    """The next part begins where the last one ended, whatever arrived meanwhile."""
    ids = await fill(ledger)
    assert await references(ledger, 2) == ["quarantined", "refused"]
    await taken(ledger, "later")
    assert await references(ledger, 2, ids["refused"]) == ["delivered", "delivering"]
    assert await references(ledger, 2, ids["delivering"]) == ["held"]
    assert await references(ledger, 2, ids["held"]) == []


async def test_nothing_of_what_a_message_says_is_shown(ledger: Ledger) -> None:
    """Neither its payload nor a hash, though it is told whether there is a payload."""
    hidden = {"patient": "hash-1", "identity": "hash-2", "copy": "hash-3"}
    await taken(ledger, "one", **hidden)
    found = await ledger.store.read(lambda each: message_queries.message(each, "one", None))
    assert found is not None
    shown = msgspec.json.encode(found).decode()
    assert found[0].has_payload
    assert not any(value in shown for value in (*hidden.values(), "sealed", "owner"))


async def test_message_of_another_municipality_is_not_there(ledger: Ledger) -> None:
    """As if there were none."""
    await taken(ledger, "one", municipality="sorvik")
    for within, is_there in ((None, True), ({"sorvik"}, True), ({"havnes"}, False), (set[str](), False)):
        found = await ledger.store.read(lambda each, places=within: message_queries.message(each, "one", places))
        assert (found is not None) is is_there
    assert await ledger.store.read(lambda each: message_queries.message(each, "two", None)) is None


async def test_history_tells_every_step(ledger: Ledger) -> None:
    """When, where, what and why."""
    await brought_to(ledger, MessageState.READ, "one")
    found = await ledger.store.read(lambda each: message_queries.message(each, "one", None))
    assert found is not None
    assert [(one.state, one.reason) for one in found[1]] == [
        ("received", None), ("delivering", None), ("delivered", None), ("read", None)
    ]  # fmt: skip
    assert found[1][0] == Step(STAMP, "node-a", "received", None)


def test_reason_of_several_lines_stays_one() -> None:
    """A line that is none of ours belongs to the one before."""
    history = f"{STAMP} n held first\nsecond third fourth\n{STAMP} n delivering \n"
    assert message_queries.steps(history) == (
        Step(STAMP, "n", "held", "first second third fourth"),
        Step(STAMP, "n", "delivering", None),
    )


@given(st.text())
def test_no_history_fails(text: str) -> None:
    """Whatever is written there."""
    assert all(step.at for step in message_queries.steps(text))


async def test_last_run_of_a_job(ledger: Ledger) -> None:
    """None until it has ended well once."""
    assert await ledger.store.read(lambda each: message_queries.last_run(each, retention.PURGE)) is None
    await retention.ran(ledger.store, retention.PURGE, NOW, "node-a", "done")
    assert await ledger.store.read(lambda each: message_queries.last_run(each, retention.PURGE)) == NOW
