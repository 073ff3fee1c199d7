"""Files: read within bounds of size and time, and written as a whole, so that a crash leaves the old one or the new one."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def contents(path: Path, most: int, *, is_secret: bool = False) -> bytes:
    """Return what a file holds, and one byte more than `most` where it is larger; raises `OSError`, and `ValueError` for no name.

    What is no file is refused: a pipe would be waited for. So is a secret that others than its owner may read or change.
    """
    if "\0" in str(path):
        raise ValueError("no file is called so: a NUL is in its name")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a file")
        if is_secret and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise OSError(errno.EACCES, "others may read or change it; chmod 600")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most + 1)
    finally:
        os.close(descriptor)


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
