"""National numbers that lists have told: sealed in the ledger, known to every node, and forgotten in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from gateway.ledger import learnt_numbers
from gateway.ledger.crypto import LookupHasher, PayloadCipher, PayloadUnreadable
from gateway.ledger.key_files import Keys
from gateway.ledger.learnt_numbers import KEPT, LearntNumbers
from gateway.ledger.tables import LEARNT_NUMBER
from tests.gateway.clocks import FakeClock

if TYPE_CHECKING:
    from gateway.ledger.database import Database

LOCAL = "http://cosdoc.dips.no/lopenummer"
FIRST, SECOND = "22750884907", "19779998080"


def node(store: Database, clock: FakeClock, payload: bytes = b"p" * 32) -> LearntNumbers:
    """Make what a node has that has just started."""
    return LearntNumbers(store, Keys(PayloadCipher({"k": payload}, "k"), LookupHasher(b"l" * 32)), clock)


async def test_number_that_one_node_learnt_is_known_to_another(store: Database) -> None:
    """In its own municipality, with its own system, for twelve hours."""
    clock = FakeClock()
    await node(store, clock).keep("nordfjell", {(LOCAL, "1"): FIRST})
    other = node(store, clock)
    assert await other.find("nordfjell", (LOCAL, "1")) == FIRST
    assert await other.find("sorvik", (LOCAL, "1")) is None
    assert await other.find("nordfjell", ("urn:other", "1")) is None
    clock.now += 30 + KEPT
    assert await other.find("nordfjell", (LOCAL, "1")) is None
    assert await store.write(lambda each: learnt_numbers.purge(each, clock.now)) == 1


async def test_list_takes_the_place_of_the_one_before(store: Database) -> None:
    """Whom it does not name any more is not known any more; other municipalities stay as they are."""
    clock = FakeClock()
    learnt = node(store, clock)
    await learnt.keep("nordfjell", {(LOCAL, str(index)): FIRST for index in range(1200)})
    await learnt.keep("sorvik", {(LOCAL, "9"): FIRST})
    clock.now += 60
    await learnt.keep("nordfjell", {(LOCAL, "2"): SECOND})
    found = [await learnt.find("nordfjell", (LOCAL, own)) for own in ("1", "2", "1199")]
    assert found == [None, SECOND, None]
    assert await learnt.find("sorvik", (LOCAL, "9")) == FIRST


async def test_lists_that_two_nodes_keep_at_once_are_both_known(store: Database) -> None:
    """Neither takes the other's numbers for old ones; and a list that names nobody takes nothing away."""
    first, second = FakeClock(), FakeClock()
    second.now += 0.02
    await node(store, second).keep("nordfjell", {(LOCAL, "2"): SECOND})
    await node(store, first).keep("nordfjell", {(LOCAL, "1"): FIRST})
    first.now = second.now = first.now + 60
    await node(store, first).keep("nordfjell", {})
    assert [await node(store, second).find("nordfjell", (LOCAL, own)) for own in ("1", "2")] == [FIRST, SECOND]


async def test_rows_name_nobody_and_are_read_with_their_key_alone(store: Database) -> None:
    """Nor with a row of another."""
    clock = FakeClock()
    await node(store, clock).keep("nordfjell", {(LOCAL, "4711"): FIRST})
    (row,) = await store.read(lambda each: each.execute(select(LEARNT_NUMBER)).all())
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    assert not [one for one in (FIRST, "4711") if one.encode() in stored]
    with pytest.raises(PayloadUnreadable):
        await node(store, clock, b"q" * 32).find("nordfjell", (LOCAL, "4711"))


async def test_what_a_clock_that_was_ahead_has_kept_is_not_used(store: Database) -> None:
    """It would be kept for as long as that clock was ahead."""
    clock = FakeClock()
    clock.now += 7200
    learnt = node(store, clock)
    await learnt.keep("nordfjell", {(LOCAL, "1"): FIRST})
    clock.now -= 7200
    assert await learnt.find("nordfjell", (LOCAL, "1")) is None


async def test_one_node_asks_for_a_list_and_no_other_until_it_is_old(store: Database) -> None:
    """While it asks, and for a minute after, or half of one where it could not; each municipality has its own."""
    clock = FakeClock()
    first, second = node(store, clock), node(store, clock)
    for is_failed, pause in ((False, 60), (True, 30)):
        ours = await first.claim("nordfjell", 60.0, 30.0)
        assert ours.lease is not None
        assert (await second.claim("nordfjell", 60.0, 30.0)).is_under_way
        other = await second.claim(f"sorvik-{is_failed}", 60.0, 30.0)
        assert other.lease is not None
        await first.asked("nordfjell", ours, is_failed=is_failed)
        clock.now += pause - 1
        lately = await second.claim("nordfjell", 60.0, 30.0)
        assert (lately.lease, lately.is_under_way, lately.wait) == (None, False, 1.0 if is_failed else 0.0)
        clock.now += 1


async def test_list_of_a_node_that_is_gone_is_asked_for_by_another(store: Database) -> None:
    """When its time has ended, or cannot be what it says; what it tells then is no end of the other's time."""
    clock = FakeClock()
    first, second = node(store, clock), node(store, clock)
    gone = await first.claim("nordfjell", 60.0, 30.0)
    clock.now += 59
    assert (await second.claim("nordfjell", 60.0, 30.0)).is_under_way
    clock.now += 1
    assert (await second.claim("nordfjell", 60.0, 30.0)).lease is not None
    await first.asked("nordfjell", gone, is_failed=False)
    assert (await first.claim("nordfjell", 60.0, 30.0)).is_under_way
    clock.now -= 3600
    assert (await first.claim("nordfjell", 60.0, 30.0)).lease is not None
