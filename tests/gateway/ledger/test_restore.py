"""A database that was restored from a copy: noticed, and nothing of it is sent again by itself, or comes again unmarked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from sqlalchemy import select

from gateway.config.model import KeyFiles
from gateway.ledger import audit, restore
from gateway.ledger.audit import Note
from gateway.ledger.records import MessageState, Taken
from gateway.ledger.restore import Position, PositionFile
from gateway.ledger.tables import MESSAGE, RUN
from tests.gateway.ledger.conftest import NOW, arrive, brought_to, put, row, taken, waiting

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.ledger.messages import Ledger

KEYS = KeyFiles("keys/payload.key", "keys/lookup.key", "keys/canary.key")
NOTE = Note(NOW, "node-a", "olga", "ledger.restored", "ledger", "disk failed")


async def advanced(ledger: Ledger) -> Position:
    """Note that something was written."""
    found = await ledger.store.write(lambda each: restore.advance(each, NOW, "node-a"))
    assert found is not None
    return found


async def made_safe(ledger: Ledger, known: Position | None = None, since: float | None = NOW - 60) -> restore.Restored:
    """Make a restored ledger safe."""
    line = restore.line_of(ledger.line, NOW)
    return await ledger.store.write(lambda each: restore.make_safe(each, since, known, NOTE, line))


async def older(ledger: Ledger, known: Position | None) -> bool:
    """Tell whether the database is older than what is known of it."""
    return await ledger.store.read(lambda each: restore.is_older(each, known))


async def test_nothing_undelivered_is_sent_again_by_itself(ledger: Ledger) -> None:
    """It waits for a person, and is marked when it is released."""
    held = [await waiting(ledger, f"held-{number}", patient=f"p{number}") for number in range(4)]
    under_way = [await taken(ledger, f"sent-{number}", resend_unclear=True) for number in range(4)]
    assert (await made_safe(ledger)).quarantined == 8
    assert await ledger.claim(99, until=NOW + 30) == []
    assert await ledger.recover(alone=True) == []
    for message in held + under_way:
        found = await row(ledger, message)
        assert (found.state, found.reason, found.possible_duplicate) == ("quarantined", "restored", True)
        assert found.payload is not None
        assert found.history.endswith("quarantined restored\n")


async def test_what_is_delivered_is_asked_for_at_once(ledger: Ledger) -> None:
    """How far it is, since it may be further than the copy says; it is marked, in case it went back to VKP meanwhile."""
    messages = [await brought_to(ledger, state, state.value) for state in (MessageState.DELIVERED, MessageState.READ)]
    for message in messages:
        await put(ledger, message, due=NOW + 3600)
    assert (await made_safe(ledger)).asked == 2
    due = await ledger.due_for_poll(9, until=NOW + 60, without=())
    assert sorted(each.id for each in due) == messages
    assert (await row(ledger, messages[0])).possible_duplicate


async def test_what_comes_again_is_marked(ledger: Ledger) -> None:
    """Also what had been refused when the copy was made; for a day, as nobody knows what it was."""
    await brought_to(ledger, MessageState.REFUSED, "refused", copy="refused", identity="i")
    await made_safe(ledger)
    ledger.marks_until = await ledger.store.read(restore.marks_until)
    again = await arrive(ledger, "again", copy="refused", identity="i")
    assert isinstance(again, Taken)
    assert again.possible_duplicate
    for reference, at, marked in (("soon", NOW + 86_399, True), ("later", NOW + 86_400, False)):
        found = await arrive(ledger, reference, received_at=at, copy=reference)
        assert isinstance(found, Taken)
        assert (found.possible_duplicate, (await row(ledger, found.id)).possible_duplicate) == (marked, marked)


async def test_what_may_be_missing_is_said(ledger: Ledger) -> None:
    """As far as this machine knows of it; the audit tells of the restore itself."""
    for target in ("one", "two"):
        await ledger.store.write(lambda each, name=target: audit.write(each, Note(NOW, "n", "a", "look", name)))
    here = await advanced(ledger)
    known = Position(here.restores, here.number + 9, NOW, audit=7, layers=3)
    told = restore.told(await made_safe(ledger, known))
    assert (told["audit"], told["audit_missing"], told["layers_missing"]) == (2, 5, 3)
    (entry, *_) = await ledger.store.read(lambda each: audit.entries(each, 1))
    assert (entry.note.action, entry.note.reason) == ("ledger.restored", "disk failed")
    assert msgspec.json.decode(entry.note.detail or "")["audit_known"] == 7
    assert restore.told(await made_safe(ledger, None))["audit_missing"] is None
    assert await ledger.store.read(audit.verify) is None


async def test_database_that_is_older_than_what_is_known_of_it_is_noticed(ledger: Ledger) -> None:
    """Once: when it was made safe it is after everything that was known before."""
    copied = await advanced(ledger)
    await waiting(ledger, "first")
    known = await advanced(ledger)
    assert known.is_after(copied)
    assert not await older(ledger, known)
    assert not await older(ledger, copied)
    assert not await older(ledger, None)
    values = {"outcome": f"{copied.restores} {copied.number}"}
    await ledger.store.write(
        lambda each: each.execute(RUN.update().where(RUN.c.job == "position").values(**values)).rowcount
    )
    assert await older(ledger, known)
    assert (await made_safe(ledger, known, None)).since == NOW
    assert not await older(ledger, known)
    assert (await advanced(ledger)).is_after(known)


async def test_position_never_goes_back_where_two_nodes_write(ledger: Ledger, other: Ledger) -> None:
    """Each has its turn."""
    first = await advanced(ledger)
    await asyncio.gather(*(advanced(node) for _ in range(5) for node in (ledger, other)))
    found = await ledger.store.read(restore.position)
    assert found is not None
    assert found.number == first.number + 10


@pytest.mark.parametrize("has_messages", [False, True])
async def test_database_that_knows_no_position_is_older_where_one_is_known(
    ledger: Ledger, *, has_messages: bool
) -> None:
    """An empty one too: what was held, what was told and what people had set is gone."""
    if has_messages:
        await waiting(ledger, "first")
    assert await older(ledger, Position(0, 1, NOW, 0, 0))
    assert not await older(ledger, None)


def test_position_is_kept_beside_the_keys(tmp_path: Path) -> None:
    """Whatever else is in the file is no position."""
    file = PositionFile(KEYS, tmp_path)
    assert file.read() is None
    position = Position(1, 2, NOW, 3, 4)
    file.write(position)
    assert PositionFile(KEYS, tmp_path).read() == position
    (tmp_path / "keys" / "ledger-position.json").write_text("x")
    assert file.read() is None


async def test_nothing_else_is_touched(ledger: Ledger) -> None:
    """What is in the record, was discarded, or went to VKP is as it was."""
    states = (MessageState.ACKNOWLEDGED, MessageState.DISCARDED, MessageState.RETURNED, MessageState.PASSED)
    for state in states:
        await put(ledger, await taken(ledger, state.value), state=state.value)
    wanted = select(MESSAGE).order_by(MESSAGE.c.id)
    before = await ledger.store.read(lambda each: each.execute(wanted).all())
    await made_safe(ledger)
    assert await ledger.store.read(lambda each: each.execute(wanted).all()) == before
