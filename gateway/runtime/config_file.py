"""The last routes.yaml that a gateway took, kept beside it, for a start while the file has an error."""

import contextlib
import hashlib
from pathlib import Path

from gateway.config.load import Loaded, load_text
from gateway.files import replaced

_FILE = "var/last-good-routes.yaml"
Stamp = tuple[int, int]


def version_of(data: bytes) -> str:
    """Return what tells one content of the file from another, as `load` does."""
    return hashlib.sha256(data).hexdigest()[:12]


def stamp(path: Path) -> Stamp | None:
    """Return what changes when a file does; None while it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def remember(path: Path, version: str) -> bool:
    """Keep a copy of the file at `path` if it still is of this version; tell whether that was done."""
    with contextlib.suppress(OSError):
        data = path.read_bytes()
        if version_of(data) == version:
            replaced(path.parent / _FILE, data)
            return True
    return False


def recall(path: Path) -> Loaded | None:
    """Load the copy that was kept of the file at `path`; None when there is none.

    Its problems name the file itself, and its paths start where the file's do.
    """
    try:
        data = (path.parent / _FILE).read_bytes()
        return load_text(data.decode(), str(path), version_of(data))
    except (OSError, UnicodeDecodeError):
        return None
