"""The ledger's place: whether it can be read, written and grow, and is of a version that this gateway knows."""

import os
import shutil
from pathlib import Path

from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from gateway.cli import ledger_reader
from gateway.cli.doctor.installation.findings import Finding, fine, warning, wrong
from gateway.ledger.database import file_of, of_later_version

_NAME = "store"
_MEGABYTE = 1024 * 1024
NEEDED, WANTED = 20 * _MEGABYTE, 1024 * _MEGABYTE
"""Bytes that must be free on the disk of a SQLite file, and that should be: it grows by gigabytes a day where much comes."""
_LET_WRITE = "let the user of the gateway write there, or change store"
_MAY_WRITE = text("SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'")


def check_store(store: str, folder: Path) -> list[Finding]:
    """Look whether the ledger can be written where it is to be, and read where it is already; nothing is changed."""
    if (path := file_of(store, folder)) is None:
        return [_read(store, folder, "the database")]
    place = path if path.exists() else next(each for each in path.parents if each.exists())
    parts = (place, place if place != path else path.parent, Path(f"{path}.lock"))
    if locked := [each for each in parts if each.exists() and not os.access(each, os.W_OK)]:
        return [wrong(_NAME, f"{locked[0]} cannot be written", _LET_WRITE)]
    return [_read(store, folder, str(path)), space(path, shutil.disk_usage(place).free)]


def space(path: Path, free: int) -> Finding:
    """Judge the room on the disk of a file."""
    name, left = "room for the store", f"{free // _MEGABYTE} MB are free on the disk of {path}"
    if free < NEEDED:
        return wrong(name, left, "make room on it: nothing that is not VKP's can be taken while it is full")
    if free < WANTED:
        return warning(name, left, "make room on it, or keep decisions for a shorter time (retention.decision)")
    return fine(name, left)


def _read(store: str, folder: Path, called: str) -> Finding:
    try:
        found = ledger_reader.read(store, folder, _problem)
    except ledger_reader.NoLedger:
        return fine(_NAME, f"{called} can be made: the first start does that")
    except ledger_reader.Unreadable as error:
        return wrong(_NAME, f"{called} cannot be read: {error}", "do that, then start the gateway")
    return fine(_NAME, f"{called} can be read and written") if found is None else wrong(_NAME, *found)


def _problem(connection: Connection) -> tuple[str, str] | None:
    """Return what keeps a gateway from a database that can be read, and what to do."""
    if connection.dialect.name == "postgresql" and not connection.execute(_MAY_WRITE).scalar_one():
        return "the database may only be read", "see which of its servers is the primary one, and that store names it"
    later = of_later_version(MigrationContext.configure(connection).get_current_revision())
    return None if later is None else tuple(later.split(": ", 1))  # type: ignore[return-value] # what, and what to do
