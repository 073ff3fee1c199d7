"""A copy of a SQLite ledger while a gateway has it open: whole, and for its owner alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.ledger.database import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

FILE = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams: {old: {kind: vkp, url: https://vkp.example}}
municipalities: {}
store: "sqlite:///ledger.db"
routes: [{mode: legacy}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a configuration."""
    path = tmp_path / "routes.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def copied(config: Path, to: Path, *options: str) -> Result:
    """Ask for a copy."""
    return CliRunner().invoke(main, ["ledger", "copy", str(to), "--config", str(config), *options])


async def test_copy_has_what_was_written_last(config: Path, tmp_path: Path) -> None:
    """It is in SQLite's log of writes alone, which a copy of the file itself lacks."""
    store = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path)
    await store.write(lambda each: each.exec_driver_sql("CREATE TABLE told (at TEXT)").rowcount)
    to = tmp_path / "copy.db"
    result = await asyncio.to_thread(copied, config, to, "--json")
    await store.close()
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.output)) == {"ok", "file", "at"}
    with closing(sqlite3.connect(to)) as found:
        assert found.execute("SELECT count(*) FROM told").fetchall() == [(0,)]
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert stat.S_IMODE(to.stat().st_mode) == 0o600


def test_nothing_is_overwritten_and_nothing_half_is_left(config: Path, tmp_path: Path) -> None:
    """Exit 1 with what is wrong: no ledger, a file that is there, a ledger that is damaged."""
    to = tmp_path / "copy.db"
    said = copied(config, to).output
    assert "There is no ledger" in said
    assert "with --config" in said
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 1000)
    damaged = copied(config, to)
    assert (damaged.exit_code, "is no ledger, or is damaged" in damaged.output, to.exists()) == (1, True, False)
    to.write_bytes(b"mine")
    assert (copied(config, to).exit_code, to.read_bytes()) == (1, b"mine")
    config.write_text(FILE.replace("sqlite:///ledger.db", "postgresql://x@y/z"), encoding="utf-8")
    assert "pg_dump" in copied(config, to).output
