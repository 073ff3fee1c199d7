"""Opening the ledger: its tables as this version needs them, one process on a file, and reasons without secrets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, insert, select, text

from gateway.errors import StartupError
from gateway.ledger import database
from gateway.ledger.database import _LOCK_KEY, Database, migrate, open_store
from gateway.ledger.tables import MESSAGE, METADATA, REPLICA_IDENTIFIER, SHARE
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_OPENER = """\
import sys
from pathlib import Path
from gateway.errors import StartupError
from gateway.ledger.database import open_store
try:
    open_store(sys.argv[1], Path(sys.argv[2]), patience=0.0)
except StartupError as error:
    sys.exit(str(error))
"""


@pytest.fixture(autouse=True)
def _really_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy no tables here."""
    monkeypatch.setattr(database, "migrate", migrate)


def _differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))


def _version(connection: Connection) -> str:
    found: str = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    return found


def _become(version: str, connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


async def test_migrations_make_the_tables_that_the_statements_use(store: Database) -> None:
    """Nothing stands in the schema that no migration makes, nor the other way round."""
    assert await store.read(_differences) == []


async def test_ledger_of_this_version_is_left_as_it_is(empty_url: str, tmp_path: Path) -> None:
    """Opening again changes nothing."""
    store = await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    version = await store.read(_version)
    await store.close()
    again = await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    assert await again.read(_version) == version
    assert await again.read(_differences) == []
    await again.close()


async def test_ledger_of_a_later_version_is_refused(empty_url: str, tmp_path: Path) -> None:
    """An older version does not write into tables that it does not know; nothing of them is changed."""
    store = await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    ours = await store.read(_version)
    await store.write(lambda connection: _become("9999", connection))
    await store.close()
    with pytest.raises(StartupError, match=r"of a later version \(9999\)"):
        await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    path = tmp_path / "ledger.db"
    engine = create_engine(
        f"sqlite:///{path}" if path.exists() else empty_url.replace("postgresql:", "postgresql+psycopg:")
    )
    with engine.begin() as connection:
        assert _version(connection) == "9999"
        _become(ours, connection)
    engine.dispose()


async def test_refused_ledger_is_left_to_the_next(tmp_path: Path) -> None:
    """Whoever could not open a file does not keep it from others."""
    store = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path, patience=0.0)
    await store.write(lambda connection: _become("9999", connection))
    await store.close()
    for _ in range(2):
        with pytest.raises(StartupError, match="of a later version"):
            await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path, patience=0.0)


async def test_two_nodes_may_open_an_empty_database_at_once(postgres: str, tmp_path: Path) -> None:
    """One makes the tables and the other waits for it."""
    engine = create_engine(postgres.replace("postgresql:", "postgresql+psycopg:"))
    waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
            opening = [group.create_task(asyncio.to_thread(open_store, postgres, tmp_path)) for _ in range(2)]
            await until(lambda: connection.execute(waits).scalar_one() == len(opening))
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})
    engine.dispose()
    for store in (task.result() for task in opening):
        assert await store.read(_differences) == []
        await store.close()


@pytest.mark.slow
async def test_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    """And gets it when the first has closed it."""
    url = "sqlite:///ledger.db"
    command = (sys.executable, "-c", _OPENER, url, str(tmp_path))
    store = await asyncio.to_thread(open_store, url, tmp_path, patience=0.0)
    refused = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    told = f"store: another process uses ledger.db: process {os.getpid()} since 20"
    assert (refused.returncode, refused.stderr[: len(told)]) == (1, told)
    await store.close()
    opened = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (opened.returncode, opened.stderr) == (0, "")


async def test_file_that_another_process_leaves_in_time_is_opened(tmp_path: Path) -> None:
    """A gateway that replaces another waits until that one has ended."""
    url = "sqlite:///ledger.db"
    first = await asyncio.to_thread(open_store, url, tmp_path, patience=0.0)
    async with asyncio.TaskGroup() as group:
        second = group.create_task(asyncio.to_thread(open_store, url, tmp_path, patience=60.0))
        group.create_task(first.close())
    assert await second.result().read(_differences) == []
    await second.result().close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://vkp:hemmelig@127.0.0.1:1/ledger", "store: cannot be opened: the database cannot be reached"),
        ("postgresql://vkp:hemmelig@[", "store: cannot be opened"),
        ("oracle://vkp:hemmelig@db/ledger", "store: cannot be opened: NoSuchModuleError|ModuleNotFoundError"),
        ("sqlite:///a-folder", "store: cannot be opened: IsADirectoryError"),
        ("sqlite:///no-database", "store: cannot be opened: its file is no ledger, or is damaged .SQLITE_NOTADB."),
    ],
)
def test_ledger_that_cannot_be_opened_is_told_without_its_password(url: str, reason: str, tmp_path: Path) -> None:
    """The reason is the kind of failure, for whoever runs the gateway."""
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "no-database").write_text("a text that is no database" * 100)
    with pytest.raises(StartupError, match=reason) as raised:
        open_store(url, tmp_path, patience=0.0)
    assert "hemmelig" not in str(raised.value)


async def test_shares_of_an_earlier_version_get_their_time_from_their_messages(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a file that is full of them; what will never be journaled keeps nothing, and is told of where a person must hear."""
    with monkeypatch.context() as earlier:
        earlier.setattr(database, "migrate", partial(_migrated_to, "0012"))
        store = await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    states = ("held", "delivered", "refused", "discarded", "quarantined")
    await store.write(lambda connection: _fill_with_shares(states, connection))
    await store.close()
    again = await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    wanted = text("SELECT state, due, payload IS NOT NULL AS is_kept FROM share ORDER BY id")
    found = await again.read(lambda connection: [tuple(row) for row in connection.execute(wanted)])
    await again.close()
    assert found == [
        ("waiting", None, 1),
        ("waiting", 7.0, 1),
        ("not-journaled", None, 0),
        ("given-up", 5.0, 0),
        ("waiting", None, 1),
    ]


async def test_copied_patients_of_an_earlier_version_are_found_as_before(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies go on answering: each identifier stands with its patient, and says whether it is the patient's first."""
    with monkeypatch.context() as earlier:
        earlier.setattr(database, "migrate", partial(_migrated_to, "0014"))
        store = await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    await store.write(_fill_with_patients)
    await store.close()
    again = await asyncio.to_thread(open_store, empty_url, tmp_path, patience=0.0)
    wanted = select(*(REPLICA_IDENTIFIER.c[name] for name in ("municipality", "generation", "hash", "row", "is_first")))
    rows = wanted.order_by(REPLICA_IDENTIFIER.c.municipality, REPLICA_IDENTIFIER.c.row, REPLICA_IDENTIFIER.c.hash)
    found = await again.read(lambda connection: [tuple(row) for row in connection.execute(rows)])
    await again.close()
    assert found == [
        ("havnes", 1, "a", 1, True),
        ("havnes", 1, "b", 1, False),
        ("havnes", 2, "a", 3, True),
        ("ostvik", 1, "c", 2, False),
    ]


def _fill_with_patients(connection: Connection) -> None:
    patients = ((1, "havnes", 1, "a", ("b", "a")), (2, "ostvik", 1, None, ("c",)), (3, "havnes", 2, "a", ("a",)))
    patient = "INSERT INTO replica_patient VALUES (:id, :of, :generation, :resource, :patient, '2026', :sealed)"
    identifier = (
        'INSERT INTO replica_identifier ("row", hash, municipality, generation) VALUES (:id, :hash, :of, :generation)'
    )
    for row, municipality, generation, first, hashes in patients:
        its = {"id": row, "of": municipality, "generation": generation}
        connection.execute(text(patient), {**its, "resource": f"r-{row}", "patient": first, "sealed": b"sealed"})
        connection.execute(text(identifier), [{**its, "hash": one} for one in hashes])


def _migrated_to(version: str, engine: Engine) -> None:
    config = database._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def _fill_with_shares(states: Sequence[str], connection: Connection) -> None:
    for number, state in enumerate(states, start=1):
        values = {"id": number, "reference": f"r-{number}", "state": state, "history": "", "surface": "r4"}
        its = {"municipality": "havnes", "sender": "s", "received_at": 5.0, "acknowledge_within": 1.0}
        flags = dict.fromkeys(("promised", "told", "resend_unclear"), True)
        connection.execute(insert(MESSAGE).values(**values, **its, **flags))
        share = {"message": number, "target": "pmd", "reference": f"r-{number}", "municipality": "havnes"}
        connection.execute(insert(SHARE).values(**share, state="waiting", created_at=5.0, due=7.0, payload=b"sealed"))
