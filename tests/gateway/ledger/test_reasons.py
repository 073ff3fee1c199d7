"""What is said of a PostgreSQL that cannot be used: in words, with what to do, and without names of its servers and users."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from gateway.errors import StartupError
from gateway.ledger.database import open_store
from gateway.ledger.writer import unavailable
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = 'connection failed: connection to server at "db.internal", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("failed to resolve host 'db.internal': [Errno -2] Name or service not known", "cannot be resolved"),
        (f'{BEFORE}FATAL:  password authentication failed for user "internal"', "does not let the gateway in"),
        (f"{BEFORE}fe_sendauth: no password supplied", "does not let the gateway in"),
        (f'{BEFORE}FATAL:  role "internal" does not exist', "does not let the gateway in"),
        (f'{BEFORE}FATAL:  database "internal" does not exist', "has no such database"),
        (f"{BEFORE}Connection refused", "cannot be reached, start it"),
        ("consuming input failed: server closed the connection unexpectedly", "cannot be reached, start it"),
    ],
)
def test_why_there_is_no_connection_is_said_in_words(said: str, told: str) -> None:
    """Libpq gives no SQLSTATE then."""
    reason = str(unavailable(OperationalError(None, None, psycopg.OperationalError(said))))
    assert told in reason
    assert "internal" not in reason


async def test_start_without_its_database_says_what_to_do(tmp_path: Path) -> None:
    """Whoever starts the gateway first, after a power cut."""
    (port,) = free_ports(1)
    with pytest.raises(StartupError, match="store: cannot be opened: the database cannot be reached, start it"):
        await asyncio.to_thread(open_store, f"postgresql://gateway@127.0.0.1:{port}/gateway", tmp_path)
