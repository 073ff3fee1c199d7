"""What `doctor` says of the ledger's place: whatever keeps a gateway from starting, or from taking messages, is there."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.doctor.installation.findings import FindingState
from gateway.cli.doctor.installation.store import NEEDED, WANTED, check_store, space
from gateway.ledger.database import open_store
from tests.ports import free_ports

STORE = "sqlite:///ledger.db"
OK, WARNING, FAILED = FindingState.OK, FindingState.WARNING, FindingState.FAILED


async def made(folder: Path, store: str = STORE) -> None:
    """Have a gateway make a ledger, and end."""
    await (await asyncio.to_thread(open_store, store, folder)).close()


@pytest.mark.parametrize("exists", [True, False])
async def test_ledger_that_can_be_used_is_well(tmp_path: Path, *, exists: bool) -> None:
    """Also one that is not there yet."""
    if exists:
        await made(tmp_path)
    assert check_store(STORE, tmp_path)[0].state is OK


async def test_damaged_file_is_told_as_a_start_would(tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 1000)
    found = check_store(STORE, tmp_path)[0]
    assert found.state is FAILED
    assert "its file is no ledger, or is damaged" in found.text


async def test_tables_of_a_later_version_are_told(tmp_path: Path) -> None:
    """Which version that was is the file's to say; what to do is said."""
    await made(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as own:
        own.execute("UPDATE alembic_version SET version_num = '9999'")
        own.commit()
    found = check_store(STORE, tmp_path)[0]
    assert (found.state, found.text) == (FAILED, "its tables are of a later version (9999)")
    assert found.advice.startswith("install that version of the gateway again")


@pytest.mark.parametrize(("free", "state"), [(0, FAILED), (NEEDED - 1, FAILED), (NEEDED, WARNING), (WANTED, OK)])
def test_disk_without_room_is_told(free: int, state: FindingState) -> None:
    """Before it is full, and when it is."""
    assert space(Path("ledger.db"), free).state is state


async def test_postgresql_is_tried(tmp_path: Path, postgres: str) -> None:
    """One that is away, one that may only be read, and one that is well."""
    (port,) = free_ports(1)
    (away,) = check_store(f"postgresql://gateway@127.0.0.1:{port}/gateway", tmp_path)
    assert (away.state, "cannot be reached" in away.text) == (FAILED, True)
    await made(tmp_path, postgres)
    assert [one.state for one in check_store(postgres, tmp_path)] == [OK]
    mark = "&" if "?" in postgres else "?"
    (readable,) = check_store(f"{postgres}{mark}options=-c%20default_transaction_read_only%3Don", tmp_path)
    assert (readable.state, readable.text) == (FAILED, "the database may only be read")
