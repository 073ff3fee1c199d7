"""The lock beside a SQLite ledger: one process has it whole, or several share it, and each says who it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gateway.ledger.file_lock import FileLock, LockTaken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[tuple[FileLock, FileLock, FileLock]]:
    """Make the locks of three processes on one file."""
    made = (FileLock(tmp_path / "g.db"), FileLock(tmp_path / "g.db"), FileLock(tmp_path / "g.db"))
    yield made
    for each in made:
        each.release()


def test_several_share_it_and_nobody_has_it_whole(locks: tuple[FileLock, FileLock, FileLock]) -> None:
    """The refusal names each of those that share it, and when they came."""
    one, two, three = locks
    one.share(0)
    two.share(0)
    with pytest.raises(LockTaken, match=rf"another process uses g\.db: process {os.getpid()} since 20.*, process"):
        three.take(0)
    with pytest.raises(LockTaken):
        one.take(0)
    two.release()
    one.take(0)
    assert one.is_whole


def test_taken_whole_it_is_shared_with_nobody(locks: tuple[FileLock, FileLock, FileLock]) -> None:
    """Until it is lowered, or left."""
    one, two, three = locks
    one.take(0)
    for refused in (two.share, three.take):
        with pytest.raises(LockTaken, match=rf"g\.db: process {os.getpid()} since 20"):
            refused(0)
    one.lower()
    two.share(0)
    one.release()
    two.release()
    three.take(0)


def test_who_could_not_have_it_whole_still_has_its_part(locks: tuple[FileLock, FileLock, FileLock]) -> None:
    """So that the others are held back as before."""
    one, two, three = locks
    one.share(0)
    two.share(0)
    with pytest.raises(LockTaken):
        one.take(0)
    two.release()
    with pytest.raises(LockTaken):
        three.take(0)


def test_who_is_gone_is_not_named(locks: tuple[FileLock, FileLock, FileLock], tmp_path: Path) -> None:
    """What a killed process left in the file is written over by the next that has it alone."""
    (tmp_path / "g.db.lock").write_text("999999 2020-01-01T00:00:00+00:00\n", encoding="ascii")
    one, two, _ = locks
    one.share(0)
    with pytest.raises(LockTaken) as refused:
        two.take(0)
    assert "999999" not in str(refused.value)


def test_damaged_file_says_nothing_wrong(locks: tuple[FileLock, FileLock, FileLock], tmp_path: Path) -> None:
    """It only holds back."""
    one, two, _ = locks
    one.take(0)
    (tmp_path / "g.db.lock").write_bytes(b"\xff\x00 x\nnonsense\n")
    with pytest.raises(LockTaken, match=r"another process uses g\.db;"):
        two.take(0)
