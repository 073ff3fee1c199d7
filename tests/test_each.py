"""A table's rows are all tried, and those that fail are named."""

import pytest

from tests.each import each_of


def test_every_row_is_tried_and_each_that_fails_is_told() -> None:
    """With its name, also after one that failed."""
    tried = []

    @each_of([(1, "one"), (2, "two"), (3, "three")], name=lambda row: row[1])
    def is_odd(number: int, name: str) -> None:
        """Odd."""
        tried.append(name)
        if number == 3:
            pytest.fail("three")
        assert number % 2

    with pytest.raises(BaseExceptionGroup, match="2 of 3 rows fail") as failed:
        is_odd()
    assert tried == ["one", "two", "three"]
    assert [one.__notes__[-1] for one in failed.value.exceptions] == ["row: two", "row: three"]


def test_a_table_without_rows_is_no_test() -> None:
    """A glob that finds nothing would pass."""
    with pytest.raises(AssertionError, match="without rows"):
        each_of([])
