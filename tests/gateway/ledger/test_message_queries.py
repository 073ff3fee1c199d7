"""What may be seen of messages: narrowed as asked, in parts, with the history, and nothing of what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from gateway.ledger import message_queries, retention
from gateway.ledger.message_queries import MessageFilter, PagePlace, Step
from gateway.ledger.records import MessageState
from tests.gateway.ledger.conftest import NOW, brought_to, put, taken, waiting

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger

PATIENT = "hash-of-a-patient"
STAMP = "2026-05-28T20:26:40.000+00:00"


async def references(ledger: Ledger, most: int = 50, after: PagePlace | None = None, **wanted: Any) -> list[str]:
    """Return what a filter finds."""
    narrowed = MessageFilter(**{"within": None, **wanted})
    found = await ledger.store.read(lambda each: message_queries.messages(each, narrowed, most, after))
    return [one.reference for one in found.messages]


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
        ({}, ["refused", "delivered", "quarantined", "delivering", "held"]),
        ({"within": {"sorvik"}}, ["refused", "delivering"]),
        ({"within": set()}, []),
        ({"within": {"sorvik"}, "municipality": "havnes"}, []),
        ({"municipality": "havnes"}, ["delivered", "quarantined", "held"]),
        ({"state": MessageState.QUARANTINED}, ["quarantined"]),
        ({"sender": "a"}, ["held"]),
        ({"information": "notat"}, ["delivering"]),
        ({"patient": PATIENT}, ["delivered", "quarantined"]),
        ({"overdue": True}, ["delivered"]),
        ({"mark": "possible-duplicate"}, ["held"]),
        ({"mark": "identifier-reused"}, ["refused"]),
        ({"mark": "other"}, []),
        ({"since": NOW + 10}, ["refused", "delivered"]),
        ({"until": NOW + 20}, ["delivered", "quarantined", "delivering", "held"]),
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
    assert await references(ledger, 2) == ["refused", "delivered"]
    await taken(ledger, "later", received_at=NOW + 15)
    assert await references(ledger, 2, PagePlace(NOW + 10, ids["delivered"])) == ["quarantined", "delivering"]
    assert await references(ledger, 2, PagePlace(NOW, ids["delivering"])) == ["held"]
    assert await references(ledger, 2, PagePlace(NOW, ids["held"])) == []


async def test_search_without_hits_ends_and_says_where_it_goes_on(ledger: Ledger) -> None:
    """So many rows are looked at for one answer, and nothing is left out from one answer to the next."""
    for number in range(5):
        await taken(ledger, f"m{number}", information="notat" if number == 0 else "tilsyn", received_at=NOW + number)
    wanted, after, found = MessageFilter(None, sender="vkp-1", information="notat"), None, []
    for _ in range(3):
        part = await ledger.store.read(
            lambda each, after=after: message_queries.messages(each, wanted, 50, after, looks=2)
        )
        found.append([one.reference for one in part.messages])
        after = part.next
    assert found == [[], [], ["m0"]]
    assert after is None


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "message_received"),
        ({"since": NOW}, "message_received"),
        ({"information": "notat"}, "message_received"),
        ({"sender": "a", "state": MessageState.READ}, "message_of_sender"),
        ({"sender": "a", "state": MessageState.REFUSED}, "message_of_state"),
        ({"within": {"havnes"}, "until": NOW}, "message_of_municipality"),
        ({"mark": "possible-duplicate", "sender": "a"}, "message_possible_duplicate"),
        ({"mark": "identifier-reused"}, "message_identifier_reused"),
        ({"overdue": True}, "message_overdue"),
        ({"patient": PATIENT}, "message_of_patient"),
    ],
    ids=str,
)
async def test_search_goes_by_an_index(ledger: Ledger, wanted: dict[str, Any], index: str) -> None:
    """No search reads the whole table of a large ledger."""
    if ledger.store.engine.dialect.name != "sqlite":
        return  # PostgreSQL chooses by how much there is
    told: list[str] = []

    def work(connection: Connection) -> None:
        def explain(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
            if statement.startswith("SELECT"):
                rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                told.extend(row[3] for row in rows)

        event.listen(connection, "before_cursor_execute", explain)
        try:
            message_queries.messages(connection, MessageFilter(**{"within": None, **wanted}), 50, PagePlace(NOW, 7))
        finally:
            event.remove(connection, "before_cursor_execute", explain)

    await ledger.store.read(work)
    assert any(f"INDEX {index}" in line for line in told), told
    assert not any(line.startswith("SCAN message") and "INDEX" not in line for line in told), told


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
