"""Files that are written as a whole: a crash leaves the old one or the new one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replaced(path: Path, data: bytes) -> None:
    """Put a file in the place of the one at `path`, for its owner alone, durably; makes the folder; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path, data) as new:
        new.replace(path)


@contextmanager
def written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """Write a file that is not called `path` yet, for its owner alone; whoever asked gives it the name, or it is gone."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
