"""A bounded memory of what a stub received."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

MAX_RECORDS = 10_000
MAX_BYTES = 64_000_000

Record = TypeVar("Record")


class Recorder(Generic[Record]):
    """Keeps the newest records, bounded in number and in bytes of body."""

    def __init__(self, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES) -> None:
        self._records: deque[tuple[Record, int]] = deque()
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0

    def add(self, record: Record, size: int) -> None:
        """Remember `record`, forgetting the oldest if there is no room."""
        self._records.append((record, size))
        self._bytes += size
        while len(self._records) > self._max_records or (self._bytes > self._max_bytes and len(self._records) > 1):
            self._bytes -= self._records.popleft()[1]

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._bytes = 0

    def __iter__(self) -> Iterator[Record]:
        return (record for record, _ in self._records)

    def __len__(self) -> int:
        return len(self._records)
