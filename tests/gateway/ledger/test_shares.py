"""Shares: written with the message, sent by one node at a time, once; what may have been sent is never sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from gateway.ledger import message_actions, restore, shares
from gateway.ledger.audit import Note
from gateway.ledger.shares import DueShare, NewShare, ShareState
from gateway.ledger.tables import SHARE
from tests.gateway.ledger.conftest import NOW, UNTIL, taken

if TYPE_CHECKING:
    from sqlalchemy import Row

    from gateway.ledger.database import Database
    from gateway.ledger.messages import Ledger

NOTE = Note(NOW, "node-a", "kari", "did", "x", "because")
NEW = NewShare("pmd", b"sealed")


async def to_share(ledger: Ledger, reference: str, *, journaled: bool = True, patient: str | None = None) -> int:
    """Have a message that is to be shared arrive, and perhaps be delivered; its id."""
    message = await taken(ledger, reference, patient=patient)
    await ledger.store.write(lambda each: shares.note(each, message, reference, "havnes", NEW, NOW))
    if journaled:
        assert await ledger.delivered(message, f"event-{reference}", "Bundle", next_poll=NOW)
    return message


async def claimed(ledger: Ledger, now: float = NOW) -> list[DueShare]:
    """Return what a node gets to send."""
    return await ledger.store.write(
        lambda each: shares.claim(each, ledger.node, now=now, until=now + 60, most=8, longest=600.0)
    )


async def rows(store: Database) -> list[Row[tuple[str, str | None, bytes | None]]]:
    """Return state, reason and payload of each share."""
    wanted = select(SHARE.c.state, SHARE.c.reason, SHARE.c.payload).order_by(SHARE.c.id)
    return await store.read(lambda each: list(each.execute(wanted)))


async def test_only_what_is_journaled_is_claimed_and_by_one_node(ledger: Ledger, other: Ledger) -> None:
    """The other gets nothing of it, nor does the same node twice."""
    await to_share(ledger, "one")
    await to_share(ledger, "two", journaled=False)
    (due,) = await claimed(ledger)
    assert (due.reference, due.municipality, due.payload) == ("one", "havnes", b"sealed")
    assert await claimed(other) == []
    assert await claimed(ledger) == []
    assert await ledger.store.read(shares.waiting) == {}


async def test_one_that_is_put_back_waits_for_its_time(ledger: Ledger) -> None:
    """And a clock that was ahead puts nothing off for long."""
    await to_share(ledger, "one")
    (due,) = await claimed(ledger)
    assert await ledger.store.write(lambda each: shares.again(each, due.id, ledger.node, "away", NOW + 10))
    assert await ledger.store.read(shares.waiting) == {("pmd", "havnes"): 1}
    assert await claimed(ledger, NOW + 9) == []
    (again,) = await claimed(ledger, NOW + 10)
    assert again.tries == 1
    await ledger.store.write(lambda each: shares.again(each, due.id, ledger.node, "away", NOW + 10_000))
    assert len(await claimed(ledger, NOW + 11)) == 1


async def test_one_that_has_ended_is_done_for_good(ledger: Ledger, other: Ledger) -> None:
    """Only who has it ends it, and nothing is kept of it then."""
    await to_share(ledger, "one")
    (due,) = await claimed(ledger)
    for node, done in ((other.node, False), (ledger.node, True), (ledger.node, False)):
        state = ShareState.SHARED
        assert await ledger.store.write(lambda each: shares.end(each, due.id, node, state, None, NOW)) is done  # noqa: B023 - it is awaited here
    assert await rows(ledger.store) == [("shared", None, None)]
    assert not await ledger.store.write(lambda each: shares.again(each, due.id, ledger.node, "x", NOW))


async def test_a_message_has_one_share_whoever_writes_it(ledger: Ledger) -> None:
    """A repeat that is taken up again finds its share there."""
    message = await to_share(ledger, "one")
    await ledger.store.write(lambda each: shares.note(each, message, "one", "havnes", NEW, NOW))
    assert len(await rows(ledger.store)) == 1


async def test_what_cannot_be_shared_is_written_down_as_such(ledger: Ledger) -> None:
    """With the reason, and what is left out."""
    message = await taken(ledger, "one")
    new = NewShare("pmd", None, "nothing to share", "Observation: it has no code")
    await ledger.store.write(lambda each: shares.note(each, message, "one", "havnes", new, NOW))
    (found,) = await ledger.store.read(lambda each: shares.of_message(each, "one"))
    assert (found.state, found.reason, found.left_out) == (ShareState.REFUSED, new.reason, new.left_out)


@pytest.mark.parametrize(
    ("alone", "now", "lost"), [(True, NOW, ["one"]), (False, NOW + 59, []), (False, NOW + 61, ["one"])]
)
async def test_what_was_with_a_node_that_is_gone_is_unclear(
    ledger: Ledger, other: Ledger, now: float, lost: list[str], *, alone: bool
) -> None:
    """At once where no other shares the ledger, else when its lease has ended."""
    await to_share(ledger, "one")
    await claimed(ledger)
    found = await other.store.write(
        lambda each: shares.recover(each, other.node, alone=alone, ended_before=now, now=now)
    )
    assert [reference for reference, _ in found] == lost
    assert (await rows(ledger.store))[0][0] == ("unclear" if lost else "sending")


async def test_what_waits_too_long_is_given_up_and_only_what_was_journaled_is_told(ledger: Ledger) -> None:
    """Nothing of it is kept."""
    await to_share(ledger, "one")
    await to_share(ledger, "two", journaled=False)
    assert await ledger.store.write(lambda each: shares.give_up(each, before=NOW, now=UNTIL)) == []
    told = await ledger.store.write(lambda each: shares.give_up(each, before=NOW + 1, now=UNTIL))
    assert told == [("one", "havnes")]
    assert await rows(ledger.store) == [("given-up", "retention ended", None), ("given-up", "not journaled", None)]


async def test_a_forgotten_patient_has_nothing_shared_any_more(ledger: Ledger) -> None:
    """What was to be shared is forgotten with the message."""
    await to_share(ledger, "mine", patient="mine")
    await to_share(ledger, "theirs", patient="theirs")
    line = ledger.line(NOW, "forgotten")
    await ledger.store.write(lambda each: message_actions.forget(each, "mine", None, NOTE, line))
    assert [due.reference for due in await claimed(ledger)] == ["theirs"]


async def test_a_restored_ledger_shares_nothing_that_was_perhaps_shared(ledger: Ledger) -> None:
    """Since the copy was made it may have been."""
    await to_share(ledger, "one")
    line = restore.line_of(ledger.line, NOW)
    await ledger.store.write(lambda each: restore.make_safe(each, NOW - 60, None, NOTE, line))
    assert await claimed(ledger) == []
    ((state, _, _),) = await rows(ledger.store)
    assert state == "unclear"
    await ledger.store.write(lambda each: shares.give_up(each, before=NOW + 1, now=NOW + 1))
    assert [payload for _, _, payload in await rows(ledger.store)] == [None]


async def test_shares_of_messages_that_are_gone_go_too(ledger: Ledger) -> None:
    """As the numbers of their patients do."""
    await to_share(ledger, "one")
    assert await ledger.store.write(shares.purge) == 0
    await ledger.store.write(lambda each: each.exec_driver_sql("DELETE FROM message").rowcount)
    assert await ledger.store.write(shares.purge) == 1
