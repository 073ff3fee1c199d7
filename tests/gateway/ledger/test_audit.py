"""The audit is one chain: whatever is changed, removed or put in afterwards is found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import delete, func, insert, select, update

from gateway.ledger import audit
from gateway.ledger.audit import Entry, ExportedHead, Note
from gateway.ledger.crypto import LookupHasher
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.tables import AUDIT, RUN
from gateway.ledger.upserts import put_run
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.ledger.messages import Ledger

NOTES = st.builds(
    Note, st.floats(0, 1e10), *[st.text('ab\n,"[]', max_size=4)] * 4, *[st.none() | st.text("ab", max_size=2)] * 2
)


def note(target: str, **changed: str) -> Note:
    """Return a note."""
    return Note(**{"at": NOW, "node": "node-a", "actor": "olga (s)", "action": "look", "target": target, **changed})  # type: ignore[arg-type] # changed are texts


async def written(ledger: Ledger, *targets: str) -> list[Entry]:
    """Write entries, each in a transaction of its own."""
    return [await ledger.store.write(lambda each, name=name: audit.write(each, note(name))) for name in targets]


async def broken(ledger: Ledger, at_once: int = 500) -> int | None:
    """Return what `verify` finds."""
    return await ledger.store.read(lambda each: audit.verify(each, at_once))


@given(st.text(max_size=4), st.integers(1, 9), NOTES, NOTES)
def test_no_two_notes_have_one_digest(previous: str, number: int, one: Note, other: Note) -> None:
    """Nor the same note in another place, or after another entry: texts never run together."""
    made = audit.digest(previous, number, one)
    assert (audit.digest(previous, number, other) == made) is (one == other)
    assert audit.digest(previous, number + 1, one) != made
    assert audit.digest(previous + "x", number, one) != made


async def test_entries_are_read_as_they_were_written(ledger: Ledger) -> None:
    """The newest first, in parts, with every field."""
    wanted = note("three", reason="fordi; æøå", detail="1 left")
    await written(ledger, "one", "two")
    third = await ledger.store.write(lambda each: audit.write(each, wanted))
    found = await ledger.store.read(lambda each: audit.entries(each, 2))
    assert [(one.id, one.note.target) for one in found] == [(3, "three"), (2, "two")]
    assert found[0] == third == Entry(3, wanted, third.hash)
    older = await ledger.store.read(lambda each: audit.entries(each, 2, before=2))
    assert [one.note.target for one in older] == ["one"]
    assert await ledger.store.read(audit.head) == (3, third.hash)


async def test_whole_chain_is_whole(ledger: Ledger) -> None:
    """From the first entry to the newest; without any there is none."""
    assert await ledger.store.read(audit.head) is None
    assert await broken(ledger) == 1
    await written(ledger, *(str(number) for number in range(7)))
    assert await broken(ledger) is None


async def test_long_chain_is_read_in_parts(ledger: Ledger) -> None:
    """What is broken beyond the first part is found too."""
    await written(ledger, *(str(number) for number in range(7)))
    assert await broken(ledger, at_once=3) is None
    await ledger.store.write(lambda each: each.execute(delete(AUDIT).where(AUDIT.c.id == 4)).rowcount)
    assert await broken(ledger, at_once=3) == 4


@pytest.mark.parametrize("number", [1, 2, 4])
async def test_changed_entry_is_found(ledger: Ledger, number: int) -> None:
    """Whichever part of whichever entry, the newest too."""
    await written(ledger, "one", "two", "three", "four")
    entry = AUDIT.c.id == number
    for column in (AUDIT.c[name] for name in ("at", "node", "actor", "action", "target", "reason", "detail", "hash")):
        was = await ledger.store.read(
            lambda each, column=column: each.execute(select(column).where(entry)).scalar_one()
        )
        for value, place in ((1.0 if column is AUDIT.c.at else "changed", number), (was, None)):
            change = update(AUDIT).where(entry).values({column: value})
            await ledger.store.write(lambda each, change=change: each.execute(change).rowcount)
            assert await broken(ledger) == place, column.name


@pytest.mark.parametrize("number", [2, 3, 4])
async def test_removed_entry_is_found(ledger: Ledger, number: int) -> None:
    """Also the newest, and still when others were written afterwards."""
    await written(ledger, "one", "two", "three", "four")
    await ledger.store.write(lambda each: each.execute(delete(AUDIT).where(AUDIT.c.id == number)).rowcount)
    assert await broken(ledger) == number
    await written(ledger, "five")
    assert await broken(ledger) == number


@pytest.mark.parametrize("number", [-1, 0, 5, 9])
async def test_inserted_entry_is_found(ledger: Ledger, number: int) -> None:
    """Even one with the hash that it would rightly have in its place, unless all after it are made anew too."""
    entries = await written(ledger, "one", "two", "three", "four")
    right = audit.digest(entries[-1].hash, number, note("false"))
    values = {"id": number, "hash": right, "at": NOW, "node": "node-a", "actor": "x", "action": "x", "target": "false"}
    await ledger.store.write(lambda each: each.execute(insert(AUDIT).values(values)).rowcount)
    assert await broken(ledger) in (number, 5)


async def test_exchanged_entries_are_found(ledger: Ledger) -> None:
    """Two entries that changed places."""
    await written(ledger, "one", "two", "three", "four")

    def exchange(connection: Connection) -> None:
        for before, after in ((2, 99), (3, 2), (99, 3)):
            connection.execute(update(AUDIT).where(AUDIT.c.id == before).values(id=after))

    await ledger.store.write(exchange)
    assert await broken(ledger) == 2


async def purged(ledger: Ledger, before: float, at_once: int = 500) -> int:
    """Remove entries that were made before then."""
    return await ledger.store.write(lambda each: audit.purge(each, before, at_once))


async def test_chain_goes_on_after_retention(ledger: Ledger) -> None:
    """The first that is left follows the last that was removed; the newest is always left."""
    await written(ledger, "one", "two", "three", "four")
    assert [await purged(ledger, NOW, at_once=2), await purged(ledger, NOW + 1, at_once=2)] == [0, 2]
    assert await broken(ledger) is None
    assert [await purged(ledger, NOW + 1, at_once=2), await purged(ledger, NOW + 1, at_once=2)] == [1, 0]
    assert await broken(ledger) is None
    (entry,) = await written(ledger, "five")
    assert entry.id == 5
    assert await broken(ledger) is None


@pytest.mark.parametrize("purge_first", [False, True])
@pytest.mark.parametrize("left", [2, 1, 0])
async def test_removed_oldest_entries_are_found(ledger: Ledger, left: int, *, purge_first: bool) -> None:
    """However many; also all of them, and after retention has removed some."""
    await written(ledger, "one", "two", "three", "four")
    if purge_first:
        await ledger.store.write(lambda each: each.execute(update(AUDIT).where(AUDIT.c.id < 2).values(at=0)).rowcount)
        assert await purged(ledger, 1) == 1
    await ledger.store.write(lambda each: each.execute(delete(AUDIT).where(AUDIT.c.id <= 4 - left)).rowcount)
    assert await broken(ledger) == (2 if purge_first else 1)
    if left:
        await written(ledger, "five")
        assert await broken(ledger) == (2 if purge_first else 1)


async def test_purge_during_a_check_is_no_break(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was removed rightly while entries were read is looked at anew."""
    await written(ledger, "one", "two", "three")
    found = audit._broken_at

    def meanwhile(connection: Connection, number: int, previous: str, at_once: int) -> int | None:
        if not number:
            audit.purge(connection, NOW + 1)
        return found(connection, number, previous, at_once)

    monkeypatch.setattr(audit, "_broken_at", meanwhile)
    assert await ledger.store.write(audit.verify) is None


async def test_chain_that_was_shortened_before_there_were_anchors_is_whole(ledger: Ledger) -> None:
    """Its first entry is the anchor; it cannot be checked itself, and must not be removed any more."""
    entries = await written(ledger, "one", "two", "three")

    def shortened(connection: Connection) -> None:
        connection.execute(delete(AUDIT).where(AUDIT.c.id < 2))
        put_run(connection, audit._ANCHOR, NOW, "node", f"2 {entries[1].hash}")

    await ledger.store.write(shortened)
    assert await broken(ledger) is None
    await ledger.store.write(lambda each: each.execute(update(AUDIT).where(AUDIT.c.id == 2).values(hash="x")).rowcount)
    assert await broken(ledger) == 2


KEY = LookupHasher(bytes(32))


async def exported(ledger: Ledger) -> ExportedHead:
    """Export the head."""
    newest = await ledger.store.read(audit.head)
    assert newest is not None
    return ExportedHead.signed(*newest, "2026-12-01T08:00:00Z", KEY)


async def test_chain_goes_on_from_a_head_that_was_kept(ledger: Ledger) -> None:
    """While its entry is there, and as the one that retention removed last; a whole new chain is another."""
    await written(ledger, "one", "two")
    kept = await exported(ledger)
    assert kept.is_signed(KEY)
    await written(ledger, "three")
    assert await ledger.store.read(lambda each: audit.verify_head(each, kept)) is None
    await purged(ledger, NOW + 1)
    assert await ledger.store.read(lambda each: audit.verify_head(each, kept)) is None
    await written(ledger, "four")
    await purged(ledger, NOW + 1)
    assert "was removed by retention" in str(await ledger.store.read(lambda each: audit.verify_head(each, kept)))

    def anew(connection: Connection) -> None:
        connection.execute(delete(AUDIT))
        connection.execute(delete(RUN))
        audit.write(connection, note("false"))

    kept = await exported(ledger)
    await ledger.store.write(anew)
    assert await broken(ledger) is None
    assert "is missing" in str(await ledger.store.read(lambda each: audit.verify_head(each, kept)))
    await written(ledger, *"abc")
    assert await broken(ledger) is None
    assert "another than it was" in str(await ledger.store.read(lambda each: audit.verify_head(each, kept)))


def test_head_is_good_only_as_it_was_signed() -> None:
    """By this key, with these words; a signature may be any text."""
    head = ExportedHead.signed(2, "hash", "2026-12-01T08:00:00Z", KEY)
    assert not head.is_signed(LookupHasher(bytes(31) + b"x"))
    for changed in ({"id": 3}, {"hash": "x"}, {"at": "2026-12-02T08:00:00Z"}, {"signature": "x"}, {"signature": "ö"}):
        assert not structs.replace(head, **changed).is_signed(KEY)


async def test_chain_without_its_newest_is_broken(ledger: Ledger) -> None:
    """When nothing says any more, or something says wrongly, which entry is the newest; nothing is written then."""
    await written(ledger, "one", "two")
    for outcome in ("nonsense", "1 other", "2 other"):
        await ledger.store.write(lambda each, text=outcome: each.execute(update(RUN).values(outcome=text)).rowcount)
        assert await broken(ledger) is not None
    await ledger.store.write(lambda each: each.execute(delete(RUN)).rowcount)
    assert await broken(ledger) == 1
    with pytest.raises(LedgerUnavailable):
        await written(ledger, "three")


async def test_two_nodes_make_one_chain(ledger: Ledger, other: Ledger) -> None:
    """Entries of both at the same time come one after the other."""
    await asyncio.gather(
        *(node.store.write(lambda each, name=f"{number}": audit.write(each, note(name)))
          for number in range(20) for node in (ledger, other))
    )  # fmt: skip
    assert (
        await ledger.store.read(lambda each: each.execute(select(func.count()).select_from(AUDIT)).scalar_one()) == 40
    )
    assert await broken(ledger) is None


async def test_entry_is_gone_with_its_transaction(ledger: Ledger) -> None:
    """What fails afterwards takes the entry with it, and leaves no gap."""

    def fails(connection: Connection) -> None:
        audit.write(connection, note("never"))
        raise ValueError("afterwards")

    await written(ledger, "one")
    with pytest.raises(ValueError, match="afterwards"):
        await ledger.store.write(fails)
    (entry,) = await written(ledger, "two")
    assert entry.id == 2
    assert await broken(ledger) is None
