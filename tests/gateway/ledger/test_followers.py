"""Held messages that follow another about their patient: no time of their own until it is out of the way, whichever way that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, insert, select

from gateway.ledger import audit, message_actions, statements
from gateway.ledger.records import MessageState
from gateway.ledger.tables import MESSAGE
from tests.gateway.ledger.conftest import NOW, UNTIL, arrival, arrive, payload, put, row, taken, waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ledger.database import Database
    from gateway.ledger.messages import Ledger

NOTE = audit.Note(NOW, "node-a", "somebody", "discard", "reference", "for a test")


async def delivered(ledger: Ledger, message: int) -> None:
    """Have the service take a message."""
    assert await ledger.delivered(message, "event", "Communication", next_poll=NOW)


async def refused(ledger: Ledger, message: int) -> None:
    """Refuse one."""
    assert await ledger.refused(message, "invalid")


async def quarantined(ledger: Ledger, message: int) -> None:
    """Set one aside."""
    assert await ledger.quarantined(message, "invalid")


async def recovered(ledger: Ledger, message: int) -> None:
    """Have one be lost with its process."""
    await put(ledger, message, owner="node-gone")
    assert [each.id for each in await ledger.recover(alone=True)] == [message]


WAYS_OUT = [delivered, refused, quarantined, recovered]


async def due(ledger: Ledger, message: int) -> float | None:
    """Return when a message is to be tried."""
    found: float | None = (await row(ledger, message)).due
    return found


@pytest.mark.parametrize("leave", WAYS_OUT, ids=lambda way: way.__name__)
async def test_follower_gets_its_time_when_the_message_before_it_leaves(
    ledger: Ledger, leave: Callable[[Ledger, int], Awaitable[None]]
) -> None:
    """Only the next one does; the one after that goes on waiting."""
    first = await taken(ledger, "r-1", patient="p")
    second, third = [(await arrive(ledger, name, patient="p")).id for name in ("r-2", "r-3")]  # type: ignore[union-attr]
    assert [await due(ledger, each) for each in (second, third)] == [None, None]
    await leave(ledger, first)
    assert [await due(ledger, each) for each in (second, third)] == [NOW, None]
    assert [each.reference for each in await ledger.claim(9, until=UNTIL)] == ["r-2"]


async def test_message_that_is_taken_to_vkp_makes_way_too(ledger: Ledger) -> None:
    """Whatever statement it is that takes a message out of the way: the database sees to its follower."""
    first, second = [await waiting(ledger, name, patient="p") for name in ("r-1", "r-2")]
    await put(ledger, first, state=MessageState.RETURNING.value)
    assert await due(ledger, second) == NOW


async def test_released_message_goes_before_the_one_that_its_leaving_had_freed(ledger: Ledger, store: Database) -> None:
    """Order is by arrival, whatever times the messages have."""
    first = await taken(ledger, "r-1", patient="p")
    await arrive(ledger, "r-2", patient="p")
    await quarantined(ledger, first)
    await store.write(lambda each: message_actions.release(each, "r-1", None, NOTE, "line\n"))
    assert [each.reference for each in await ledger.claim(9, until=UNTIL)] == ["r-1"]


async def test_other_patients_and_other_municipalities_do_not_follow(ledger: Ledger) -> None:
    """Each has a time of its own from the beginning."""
    await taken(ledger, "r-1", patient="p")
    others = [{"patient": "q"}, {"patient": "p", "municipality": "nordfjell"}, {"patient": None}]
    found = [await waiting(ledger, f"o-{number}", **other) for number, other in enumerate(others)]
    assert [await due(ledger, each) for each in found] == [NOW, NOW, NOW]


async def test_follower_of_nothing_is_found_and_delivered(ledger: Ledger) -> None:
    """Two transactions on PostgreSQL that do not see each other leave one behind."""
    lost = await waiting(ledger, "r-1", patient="p")
    await put(ledger, lost, due=None)
    assert await ledger.claim(9, until=UNTIL) == []
    assert await ledger.release_followers(0) == (1, lost)
    assert [each.id for each in await ledger.claim(9, until=UNTIL)] == [lost]


async def test_follower_of_something_is_left_where_it_is(ledger: Ledger) -> None:
    """And what was looked at before is not looked at again."""
    await taken(ledger, "r-1", patient="p")
    second = await waiting(ledger, "r-2", patient="p")
    assert await ledger.release_followers(0) == (0, second)
    assert await due(ledger, second) is None
    lost = await waiting(ledger, "r-3", patient="q")
    await put(ledger, lost, due=None)
    assert await ledger.release_followers(lost) == (0, lost)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
async def test_claiming_costs_no_more_when_thousands_follow(ledger: Ledger, store: Database) -> None:
    """Counted in steps of SQLite's machine, which do not depend on how busy anything is."""
    await taken(ledger, "r-0", patient="p")
    await _followers(store, 1, 10)
    few = await _steps(store, ledger)
    await _followers(store, 11, 3000)
    assert await _steps(store, ledger) <= few + 10


async def _followers(store: Database, first: int, last: int) -> None:
    values = {"state": "held", "told": True, "history": "", "payload": payload(""), "due": None}
    rows: list[dict[str, Any]] = []
    for number in range(first, last + 1):
        made = arrival(f"r-{number}", patient="p")
        rows.append({**{name: getattr(made, name) for name in made.__struct_fields__}, **values})
    await store.write(lambda connection: connection.execute(insert(MESSAGE), rows).rowcount)


async def _steps(store: Database, ledger: Ledger) -> int:
    """Return how many steps of its machine SQLite takes to find nothing to claim."""

    def work(connection: Connection) -> int:
        counted = [0]

        def step() -> int:
            counted[0] += 1
            return 0

        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(step, 1)
        values = {"now": NOW, "most": 32, "node": ledger.node, "until": UNTIL, "line": ""}
        assert connection.execute(statements.CLAIM, values).all() == []
        driver.set_progress_handler(None, 1)
        assert connection.execute(select(MESSAGE.c.id).where(MESSAGE.c.due.is_(None)).limit(1)).all()
        return counted[0]

    return await store.write(work)
