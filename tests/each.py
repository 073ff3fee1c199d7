"""One test of a table's every row: hundreds of rows that take less than pytest takes to count them."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def each_of(rows: Iterable[Any], name: Callable[[Any], object] = str) -> Callable[[Callable[..., None]], Any]:
    """Make a test of what checks one row, or its parts where it is a tuple; the failures of all rows are told, each by its name."""
    table = [*rows]
    assert table, "a table without rows tests nothing"

    def decorate(check: Callable[..., None]) -> Callable[[], None]:
        @wraps(check)
        def of_every_row() -> None:
            failures: list[BaseException] = []
            for row in table:
                try:
                    check(*row) if isinstance(row, tuple) else check(row)
                except (Exception, pytest.fail.Exception) as failure:  # noqa: BLE001 - told below
                    failure.add_note(f"row: {name(row)}")
                    failures.append(failure)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(table)} rows fail", failures)

        # What pytest looks at for the names of fixtures.
        del of_every_row.__wrapped__  # type: ignore[attr-defined]
        return of_every_row

    return decorate
