"""One test of a table's every row: where pytest would take longer to count them, or to start a world for each, than they take."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable


_FAILURES = (Exception, pytest.fail.Exception)


def _tell(failures: list[BaseException], table: list[Any]) -> None:
    if failures:
        raise BaseExceptionGroup(f"{len(failures)} of {len(table)} rows fail", failures)


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
                except _FAILURES as failure:
                    failure.add_note(f"row: {name(row)}")
                    failures.append(failure)
            _tell(failures, table)

        # What pytest looks at for the names of fixtures.
        del of_every_row.__wrapped__  # type: ignore[attr-defined]
        return of_every_row

    return decorate


def in_one_world(
    names: str | tuple[str, ...], rows: Iterable[Any], *, ids: object = None
) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Do what `pytest.mark.parametrize` does, with one world for all rows, which has forgotten the row before.

    For rows that leave nothing behind: what is refused, what only looks, what is another message each time. `ids` is
    `parametrize`'s, and not looked at: a row that fails is told as it stands.
    """
    del ids
    table, own = [*rows], (names,) if isinstance(names, str) else names
    assert table, "a table without rows tests nothing"

    def decorate(check: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @wraps(check)
        async def of_every_row(**fixtures: Any) -> None:
            failures: list[BaseException] = []
            for row in table:
                try:
                    await check(**fixtures, **dict(zip(own, row if len(own) > 1 else (row,), strict=True)))
                except _FAILURES as failure:
                    failure.add_note(f"row: {row}")
                    failures.append(failure)
                for fixture in fixtures.values():
                    if isinstance(fixture, World):
                        fixture.forget()
            _tell(failures, table)

        # What pytest looks at for the names of fixtures.
        del of_every_row.__wrapped__  # type: ignore[attr-defined]
        declared = inspect.signature(check)
        asked = [one for name, one in declared.parameters.items() if name not in own]
        vars(of_every_row)["__signature__"] = declared.replace(parameters=asked)
        return of_every_row

    return decorate
